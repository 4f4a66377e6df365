import { editManifest } from '../../../components/network/calico/manifest';
import { inStages, parseManifest, type ManifestObject } from '../../../components/network/manifest';
import type { ClusterPlan } from '../../../components/plan';
import { ApiServer } from '../../plugins/kubernetes/apiServer';
import { DryRun } from '../../plugins/kubernetes/dryRun';
import { impossible, MODES, nameOf, planOfMode } from './modes';
import { releaseText } from './release';

/**
 * Every object of every mode, sent to a real API server with the real kinds of each version. Nothing is kept: a server-side
 * dry run that refuses unknown fields.
 */

const parsed = new Map<string, ManifestObject[]>();

/** Parsed once for each file and not for each mode. */
function release(cluster: ClusterPlan, name: string): ManifestObject[] {
  const key = cluster.bundle.manifests.find((one) => one.name === name)!.sha256;
  const objects = parsed.get(key) ?? parseManifest(name, releaseText(cluster.bundle, name));
  parsed.set(key, objects);
  return objects;
}

function everyObject(cluster: ClusterPlan): ManifestObject[] {
  const calico = cluster.calico!;
  const { manifest } = calico;
  const released =
    manifest === null
      ? cluster.bundle.manifests.flatMap(({ name }) => release(cluster, name))
      : editManifest(release(cluster, manifest.file), {
          edits: manifest,
          images: cluster.bundle.images,
          limitFactor: 1,
        });
  return [...released, ...([...calico.objects, ...calico.lateObjects, ...calico.operator] as ManifestObject[])];
}

/** The objects of all modes of a version, each content once, with the first mode that has it. */
function objectsOf(version: string): Map<string, { object: ManifestObject; mode: string }> {
  const found = new Map<string, { object: ManifestObject; mode: string }>();
  for (const mode of MODES.filter((one) => one.version === version && impossible(one).length === 0)) {
    const { cluster, errors } = planOfMode(mode);
    if (cluster === null) throw new Error(`${nameOf(mode)}: ${errors.join('; ')}`);
    for (const object of everyObject(cluster)) {
      // Kinds are made for good before, from the same bytes.
      if (object.kind === 'CustomResourceDefinition') continue;
      const key = JSON.stringify(object);
      if (!found.has(key)) found.set(key, { object, mode: nameOf(mode) });
    }
  }
  return found;
}

describe.each(['3.32.1', '3.28.5'] as const)('Calico %s', (version) => {
  let server: ApiServer;
  let dryRun: DryRun;

  beforeAll(async () => {
    server = await ApiServer.start();
    dryRun = new DryRun(server);
    const install = version === '3.32.1' ? 'operator' : 'manifest';
    const { cluster } = planOfMode({
      ...{ routing: 'vxlan', wireguard: false, dataplane: 'iptables', families: 'v4', topology: 'plain' },
      ...{ from: 'upstream', version, install },
    });
    const { kinds } = inStages(everyObject(cluster!));
    await dryRun.makeKinds(kinds);
    await dryRun.make({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'calico-system' } });
  });

  afterAll(() => server?.stop());

  const apply = (object: ManifestObject) => dryRun.apply(object);

  test('every object of every mode is accepted', async () => {
    const objects = [...objectsOf(version).values()];
    // A matrix that has shrunk to nothing would pass.
    expect(objects.length).toBeGreaterThan(60);
    const refused: string[] = [];
    for (const { object, mode } of objects) {
      await apply(object).catch((error: Error) =>
        refused.push(`${mode}: ${object.kind} ${object.metadata.name}: ${error.message}`),
      );
    }
    expect(refused).toEqual([]);
  });

  test('what is wrong would be seen', async () => {
    const [pool] = [...objectsOf(version).values()].filter(({ object }) => object.kind === 'FelixConfiguration');
    const wrong = { ...pool.object, spec: { ...(pool.object.spec as object), vxlanMtu: 1450 } };
    await expect(apply(wrong)).rejects.toThrow(/vxlanMtu/);
    await expect(apply({ ...pool.object, spec: { vxlanMTU: '1450' } })).rejects.toThrow(/vxlanMTU: expected numeric/);
  });
});
