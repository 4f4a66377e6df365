import * as path from 'node:path';
import { versionOf, wantedArtifacts, type WantedArtifact } from '../../components/bundle/contents';
import { LOCK_SCHEMA_VERSION, type BundleArtifact, type BundleLock } from '../../components/bundle/lock';
import { BundleError } from '../../components/bundle/parse';
import type { BundlePlan } from '../../components/plan/clusterTypes';
import { calicoFilesPart } from './calicoParts';
import { calicoRootPart, debianSource, proxyRootPart, runtimePart, sysrootPart, toolboxPart } from './debianParts';
import { goModule, goPart, goSource, type GoComponent } from './goParts';
import { imagePart, imagePrograms, type BuiltImage } from './images';
import { licenceOf } from './licences';
import { ensurePart, type Log, type MadePart } from './parts';
import { placeBundle, type PlacedBundle } from './place';

/** In the order of their time: what goes wrong at once goes wrong first. */
const GO_COMPONENTS: Exclude<GoComponent, 'calico'>[] = [
  ...(['pause', 'cni-plugins', 'etcd', 'coredns', 'cri-tools', 'kubernetes'] as const),
];

/**
 * Builds what a plan wants from package registries alone: programs from Go modules, the container runtime and kube-proxy's
 * root from the distribution. About 20 CPU minutes from nothing; what was built before is taken from the cache.
 * @throws BundleError where something cannot be had or does not build
 */
export async function buildFromSource(plan: BundlePlan, log: Log): Promise<PlacedBundle> {
  const runtime = await ensurePart(
    runtimePart({ containerd: versionOf(plan, 'containerd'), runc: versionOf(plan, 'runc') }),
    log,
  );
  const proxyRoot = await ensurePart(await proxyRootPart(), log);
  const proxyLayer = fileOf(proxyRoot, 'root.tar');
  const toolbox = await ensurePart(await toolboxPart(proxyLayer), log);
  const programs = {} as Record<GoComponent, MadePart>;
  for (const component of GO_COMPONENTS) {
    programs[component] = await ensurePart(await goPart(component, versionOf(plan, component)), log);
  }
  const calico = plan.manifests.length === 0 ? null : await calicoParts(plan, proxyLayer, log);
  if (calico !== null) programs.calico = calico.programs;

  const artifacts: BundleArtifact[] = [];
  const files = new Map<string, string>();
  for (const wanted of wantedArtifacts(plan)) {
    const { file, source } = await made(wanted, path.basename(wanted.path, '.tar'));
    const { path: place, ...facts } = file;
    files.set(wanted.path, place);
    artifacts.push({ ...wanted, source, ...facts, licence: licenceOf(wanted.path) });
  }
  const lock: BundleLock = { schemaVersion: LOCK_SCHEMA_VERSION, name: plan.name, from: plan.from, artifacts };
  return placeBundle(lock, (artifact) => files.get(artifact)!, log);

  async function made(wanted: WantedArtifact, name: string): Promise<{ file: PartFile; source: string }> {
    const { kind, component, version } = wanted;
    if (kind === 'image') return image(wanted, name as BuiltImage);
    if (kind === 'manifest') {
      const { module, version } = goModule(component as GoComponent, wanted.version);
      return { file: fileOf(calico!.files, wanted.path), source: `Go module ${module}@v${version}` };
    }
    const debian = runtime.facts[component];
    if (debian !== undefined) return { file: fileOf(runtime, name), source: debianSource(component, debian) };
    const own = component as GoComponent;
    return { file: fileOf(programs[own], name), source: goSource(own, version, name) };
  }

  async function image({ component, version, reference }: WantedArtifact, name: BuiltImage) {
    const own = component as GoComponent;
    const names = imagePrograms(name);
    const layers = {
      'kube-proxy': [proxyRoot],
      toolbox: [proxyRoot, toolbox],
      'calico-node': [proxyRoot, calico?.root],
    };
    const below = (name in layers ? layers[name as keyof typeof layers] : []).filter((part) => part !== undefined);
    const part = imagePart(
      name,
      reference!,
      names.map((program) => fileOf(programs[own], program)),
      below.map((layer) => fileOf(layer, 'root.tar')),
    );
    // The topmost root is made of the packages of those below it as well.
    const packages = Object.entries(below.at(-1)?.facts ?? {}).map(([debian, found]) => debianSource(debian, found));
    const modules = new Set(names.map((program) => goSource(own, version, program)));
    return { file: fileOf(await ensurePart(part, log), `${name}.tar`), source: [...modules, ...packages].join('; ') };
  }
}

interface PartFile {
  /** Absolute. */
  path: string;
  sha256: string;
  sizeBytes: number;
}

const fileOf = ({ folder, files }: MadePart, name: string): PartFile => ({
  path: path.join(folder, name),
  ...files[name],
});

/** Calico: programs of its Go module, the root below calico-node, and its release manifests. About 5 CPU minutes. */
async function calicoParts(plan: BundlePlan, proxyRoot: PartFile, log: Log) {
  const version = versionOf(plan, 'calico');
  const files = await ensurePart(calicoFilesPart(version), log);
  for (const { name, sha256 } of plan.manifests) {
    const found = files.files[`manifests/${name}`]?.sha256;
    if (found === sha256) continue;
    throw new BundleError(
      `${name} of Calico ${version} has the sha256 ${sha256}, and that of its Go module ${found ?? 'is missing'}: build the bundle --from upstream`,
    );
  }
  const image = { folder: path.join(files.folder, 'node/filesystem'), recipe: files.files };
  const root = await ensurePart(await calicoRootPart(proxyRoot, image), log);
  const sysroot = fileOf(await ensurePart(sysrootPart(), log), 'root.tar');
  const programs = await ensurePart(await goPart('calico', version, sysroot), log);
  return { files, root, programs };
}
