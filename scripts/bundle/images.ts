import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { sha256OfFile, sha256OfText } from '../../components/bundle/checksum';
import type { ClusterImage, IngressImage } from '../../components/plan/clusterTypes';
import { targetArch } from './goParts';
import type { Part } from './parts';
import { runProgram } from './program';

interface ImageRecipe {
  /** Where its own programs are; none: it runs what it is told to. */
  programs: string[];
  /** Symbolic links by their place. */
  links?: Record<string, string>;
  /** What it runs. Default: the first program, with the arguments of whoever starts it. */
  command?: string[];
  environment?: string[];
  /** Default: root. */
  user?: string;
}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What the kit builds from source. */
export type BuiltImage = Exclude<
  ClusterImage,
  'calico' | 'calico-kube-controllers' | 'calico-typha' | 'calico-apiserver' | 'tigera-operator' | IngressImage
>;

/** The places are those of the projects' own images, so that their manifests run these as well. */
const RECIPES: Record<BuiltImage, ImageRecipe> = {
  'kube-apiserver': { programs: ['usr/local/bin/kube-apiserver'] },
  'kube-controller-manager': { programs: ['usr/local/bin/kube-controller-manager'] },
  'kube-scheduler': { programs: ['usr/local/bin/kube-scheduler'] },
  'kube-proxy': { programs: ['usr/local/bin/kube-proxy'] },
  etcd: { programs: ['usr/local/bin/etcd'] },
  coredns: { programs: ['coredns'] },
  pause: { programs: ['pause'], user: '65535:65535' },
  toolbox: { programs: [], command: ['/bin/bash'] },
  // As the project's own image: a process supervisor with Felix and its helpers, and no BIRD.
  'calico-node': {
    programs: ['bin/calico-node', 'bin/mountns'],
    command: ['start_runit'],
    environment: ['SVDIR=/etc/service/enabled'],
  },
  'calico-cni': {
    programs: ['opt/cni/bin/install', 'opt/cni/bin/calico'],
    // One program that does what its name says; the installer makes a file of either on the node.
    links: { 'opt/cni/bin/calico-ipam': 'calico' },
    command: ['/opt/cni/bin/install'],
  },
};

/** Names of the programs that an image has, in the order of their places. */
export const imagePrograms = (name: BuiltImage) => RECIPES[name].programs.map((place) => path.basename(place));

export interface ImageFile {
  /** Absolute. */
  path: string;
  sha256: string;
}

const TIMEOUT_SECONDS = 300;

/**
 * A container image as one archive that `ctr images import` and `docker load` read: layers from below, and its own programs
 * in the order of their places. The layers are not compressed: a slow node would spend more time on that than on reading
 * them. Times and owners are fixed, so the same files give the same image.
 */
export function imagePart(name: BuiltImage, reference: string, programs: ImageFile[], below: ImageFile[]): Part {
  const recipe = RECIPES[name];
  return {
    name: `image-${name}`,
    recipe: {
      ...{ ...recipe, reference, arch: targetArch, tarFlags },
      ...{ binaries: programs.map(({ sha256 }) => sha256), below: below.map(({ sha256 }) => sha256) },
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
      if (recipe.programs.length > 0) {
        const files = path.join(staging, 'files');
        await placeFiles(files, recipe, programs);
        const members = new Set(recipe.programs.map((place) => place.split('/')[0]));
        await deterministicTar(files, [...members], path.join(staging, 'program.tar'));
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

/** The programs of an image below a folder, in the order of their places in the recipe. */
async function placeFiles(folder: string, { programs, links = {} }: ImageRecipe, files: ImageFile[]): Promise<void> {
  for (const [index, place] of programs.entries()) {
    const target = path.join(folder, place);
    await fs.mkdir(path.dirname(target), { recursive: true });
    await fs.copyFile(files[index].path, target);
    await fs.chmod(target, 0o755);
  }
  for (const [place, target] of Object.entries(links)) await fs.symlink(target, path.join(folder, place));
}

function imageConfig({ programs, command, environment = [], user }: ImageRecipe, layers: { diffId: string }[]): string {
  return JSON.stringify({
    created: '1970-01-01T00:00:00Z',
    architecture: targetArch,
    os: 'linux',
    config: {
      Env: [`PATH=${PATH}`, ...environment],
      ...(command === undefined ? { Entrypoint: [`/${programs[0]}`] } : { Cmd: command }),
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
