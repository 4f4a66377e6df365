import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { sha256OfFile, sha256OfText } from '../../components/bundle/checksum';
import type { CalicoImage, ClusterImage } from '../../components/plan/clusterTypes';
import { targetArch } from './goParts';
import type { Part } from './parts';
import { runProgram } from './program';

/**
 * Where the program is in an image, which it is the entry point of, and as whom it runs where that is not root; null: the
 * image has no program of its own, and runs what it is told to.
 */
interface ImageRecipe {
  program: string | null;
  user?: string;
}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What the kit builds from source. */
export type BuiltImage = Exclude<ClusterImage, CalicoImage>;

/** The places are those of the projects' own images, so that their manifests run these as well. */
const RECIPES: Record<BuiltImage, ImageRecipe> = {
  'kube-apiserver': { program: 'usr/local/bin/kube-apiserver' },
  'kube-controller-manager': { program: 'usr/local/bin/kube-controller-manager' },
  'kube-scheduler': { program: 'usr/local/bin/kube-scheduler' },
  'kube-proxy': { program: 'usr/local/bin/kube-proxy' },
  etcd: { program: 'usr/local/bin/etcd' },
  coredns: { program: 'coredns' },
  pause: { program: 'pause', user: '65535:65535' },
  toolbox: { program: null },
};

export interface ImageFile {
  /** Absolute. */
  path: string;
  sha256: string;
}

const TIMEOUT_SECONDS = 300;

/**
 * A container image as one archive that `ctr images import` and `docker load` read: layers from below, and the program
 * where the image has one. The layers are not compressed: a slow node would spend more time on that than on reading them. Times and owners are fixed,
 * so the same files give the same image.
 */
export function imagePart(name: BuiltImage, reference: string, program: ImageFile | null, below: ImageFile[]): Part {
  const recipe = RECIPES[name];
  return {
    name: `image-${name}`,
    recipe: {
      ...{ ...recipe, reference, arch: targetArch, tarFlags },
      ...{ binary: program?.sha256 ?? null, below: below.map(({ sha256 }) => sha256) },
    },
    async make(out, log) {
      log(`image ${reference}`);
      const staging = path.join(out, 'staging');
      const archive = path.join(staging, 'archive');
      const layers: { file: string; diffId: string }[] = [];
      const addLayer = async (file: string) => {
        const diffId = await sha256OfFile(file);
        await fs.rename(file, path.join(archive, `${diffId}.tar`));
        layers.push({ file: `${diffId}.tar`, diffId: `sha256:${diffId}` });
      };
      await fs.mkdir(archive, { recursive: true });
      for (const layer of below) {
        await fs.copyFile(layer.path, path.join(staging, 'layer.tar'));
        await addLayer(path.join(staging, 'layer.tar'));
      }
      if (recipe.program !== null && program !== null) {
        const files = path.join(staging, 'files');
        await fs.mkdir(path.join(files, path.dirname(recipe.program)), { recursive: true });
        await fs.copyFile(program.path, path.join(files, recipe.program));
        await fs.chmod(path.join(files, recipe.program), 0o755);
        await deterministicTar(files, [recipe.program.split('/')[0]], path.join(staging, 'program.tar'));
        await addLayer(path.join(staging, 'program.tar'));
      }

      const config = imageConfig(recipe, layers);
      const configFile = `${sha256OfText(config)}.json`;
      await fs.writeFile(path.join(archive, configFile), config);
      const manifest = [{ Config: configFile, RepoTags: [reference], Layers: layers.map(({ file }) => file) }];
      await fs.writeFile(path.join(archive, 'manifest.json'), JSON.stringify(manifest));
      const members = ['manifest.json', configFile, ...layers.map(({ file }) => file)];
      await deterministicTar(archive, members, path.join(out, `${name}.tar`));
      await fs.rm(staging, { recursive: true });
      return {};
    },
  };
}

function imageConfig({ program, user }: ImageRecipe, layers: { diffId: string }[]): string {
  return JSON.stringify({
    created: '1970-01-01T00:00:00Z',
    architecture: targetArch,
    os: 'linux',
    config: {
      Env: [`PATH=${PATH}`],
      ...(program === null ? { Cmd: ['/bin/bash'] } : { Entrypoint: [`/${program}`] }),
      ...(user === undefined ? {} : { User: user }),
      WorkingDir: '/',
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(() => ({ created: '1970-01-01T00:00:00Z', created_by: 'sitewright' })),
  });
}

const tarFlags = [
  ...['--format=gnu', '--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'],
  '--mode=u=rwX,go=rX',
];

/** An archive of files in a folder: the same files give the same bytes. */
export const deterministicTar = (folder: string, members: string[], file: string) =>
  runProgram('tar', ['--create', ...tarFlags, '--directory', folder, '--file', file, '--', ...members], {
    timeoutSeconds: TIMEOUT_SECONDS,
  });
