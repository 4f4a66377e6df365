import * as path from 'node:path';
import { versionOf, wantedArtifacts, type WantedArtifact } from '../../components/bundle/contents';
import { LOCK_SCHEMA_VERSION, type BundleArtifact, type BundleLock } from '../../components/bundle/lock';
import type { BundlePlan } from '../../components/plan/clusterTypes';
import { debianSource, proxyRootPart, runtimePart, toolboxPart } from './debianParts';
import { goPart, goSource, type GoComponent } from './goParts';
import { imagePart, type BuiltImage } from './images';
import { licenceOf } from './licences';
import { ensurePart, type Log, type MadePart } from './parts';
import { placeBundle, type PlacedBundle } from './place';

/** In the order of their time: what goes wrong at once goes wrong first. */
const GO_COMPONENTS: GoComponent[] = ['pause', 'cni-plugins', 'etcd', 'coredns', 'cri-tools', 'kubernetes'];

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
  const proxyLayer = { path: path.join(proxyRoot.folder, 'root.tar'), sha256: proxyRoot.files['root.tar'].sha256 };
  const toolbox = await ensurePart(await toolboxPart(proxyLayer), log);
  const toolboxLayer = { path: path.join(toolbox.folder, 'root.tar'), sha256: toolbox.files['root.tar'].sha256 };
  const programs = {} as Record<GoComponent, MadePart>;
  for (const component of GO_COMPONENTS) {
    programs[component] = await ensurePart(await goPart(component, versionOf(plan, component)), log);
  }

  const artifacts: BundleArtifact[] = [];
  const files = new Map<string, string>();
  for (const wanted of wantedArtifacts(plan)) {
    const name = path.basename(wanted.path, '.tar');
    const part = wanted.kind === 'image' ? await image(wanted, name as BuiltImage) : programPart(wanted);
    const file = wanted.kind === 'image' ? `${name}.tar` : name;
    const { sha256, sizeBytes } = part.files[file];
    files.set(wanted.path, path.join(part.folder, file));
    artifacts.push({ ...wanted, source: sourceOf(wanted, name), sha256, sizeBytes, licence: licenceOf(wanted.path) });
  }
  const lock: BundleLock = { schemaVersion: LOCK_SCHEMA_VERSION, name: plan.name, from: plan.from, artifacts };
  return placeBundle(lock, (artifact) => files.get(artifact)!, log);

  function programPart({ component }: WantedArtifact): MadePart {
    return component in runtime.facts ? runtime : programs[component as GoComponent];
  }

  function image({ component, reference }: WantedArtifact, name: BuiltImage): Promise<MadePart> {
    if (name === 'toolbox') return ensurePart(imagePart(name, reference!, null, [proxyLayer, toolboxLayer]), log);
    const part = programs[component as GoComponent];
    const program = { path: path.join(part.folder, name), sha256: part.files[name].sha256 };
    return ensurePart(imagePart(name, reference!, program, name === 'kube-proxy' ? [proxyLayer] : []), log);
  }

  function sourceOf({ component, version }: WantedArtifact, name: string): string {
    const debian = runtime.facts[component];
    if (debian !== undefined) return debianSource(component, debian);
    const packages = (part: MadePart) =>
      Object.entries(part.facts).map(([name, version]) => debianSource(name, version));
    if (name === 'toolbox') return packages(toolbox).join('; ');
    const own = goSource(component as GoComponent, version, name);
    return name === 'kube-proxy' ? [own, ...packages(proxyRoot)].join('; ') : own;
  }
}
