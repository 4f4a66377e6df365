import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { releasedObjects } from '../../../components/addons/ingress/ingress';
import { editIngress } from '../../../components/addons/ingress/manifest';
import { inStages, parseManifest, type ManifestObject } from '../../../components/network/manifest';
import { ingressAnnotations } from '../../../components/plan/ingressTuning';
import { ApiServer } from '../../plugins/kubernetes/apiServer';
import { DryRun } from '../../plugins/kubernetes/dryRun';
import { BALANCED, clusterOf, writeBundle } from './sites';

/** Every object of both controllers, sent to a real API server with the real kinds of F5's and Calico's. */

let server: ApiServer;
let dryRun: DryRun;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sitewright-ingress-'));
  server = await ApiServer.start();
  dryRun = new DryRun(server);
  const calico = resolve(__dirname, '../../../../shared/upstream/calico-v3.32.1/calico.yaml');
  const pools = parseManifest(calico, readFileSync(calico, 'utf8')).filter(
    ({ kind, metadata }) => kind === 'CustomResourceDefinition' && metadata.name.startsWith('ippools.'),
  );
  await dryRun.makeKinds(pools);
});
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true });
});

function everyObject(ingress: object): ManifestObject[] {
  const { ingress: plan, bundle } = clusterOf(ingress);
  writeBundle(folder, bundle);
  const released = editIngress(releasedObjects(bundle, folder), plan!, bundle.images);
  return [...released, ...([...plan!.objects, ...plan!.lateObjects] as ManifestObject[])];
}

const TUNING = { bodySize: '50m', readTimeout: '600s', buffering: false, buffers: { size: '8k', count: 8 } };
const LISTENER = { proxyProtocol: true, realIpRanges: ['192.0.2.0/24', '2001:db8::/48'] };

describe.each(['nginx', 'ingress-nginx'] as const)('%s', (controller) => {
  test.each([
    ['in the network of its nodes', {}],
    ['on chosen machines, tuned', { nodes: { 'acme.example/edge': 'gpu' }, tuning: { ...TUNING, ...LISTENER } }],
    ['behind an address', { ...BALANCED, replicas: 3, defaultClass: false }],
  ])('%s is accepted', async (_, ingress) => {
    const objects = everyObject({ controller, ...ingress });
    const { kinds } = inStages(objects);
    await dryRun.makeKinds(kinds);
    const refused: string[] = [];
    for (const object of objects) {
      await dryRun
        .apply(object)
        .catch((error: Error) => refused.push(`${object.kind} ${object.metadata.name}: ${error.message}`));
    }
    expect(refused).toEqual([]);
    expect(objects.length).toBeGreaterThan(8);
  });

  test('an Ingress of a program', async () => {
    const accepted = await dryRun.apply({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'Ingress',
      metadata: { name: 'shop', namespace: 'default', annotations: ingressAnnotations(TUNING, controller) } as never,
      spec: {
        ingressClassName: 'nginx',
        rules: [
          {
            host: 'shop.example',
            http: {
              paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'shop', port: { number: 80 } } } }],
            },
          },
        ],
      },
    });
    expect(Object.keys(accepted.metadata.annotations)).toHaveLength(5);
  });
});

test('what is wrong would be seen', async () => {
  const objects = everyObject({});
  await dryRun.makeKinds(inStages(objects).kinds);
  const daemonSet = objects.find(({ kind }) => kind === 'DaemonSet')!;
  const wrong = structuredClone(daemonSet) as unknown as { spec: { template: { spec: Record<string, unknown> } } };
  wrong.spec.template.spec.hostNetworks = true;
  await expect(dryRun.apply(wrong as never)).rejects.toThrow(/hostNetworks/);
  const pool = everyObject(BALANCED).find(({ kind }) => kind === 'IPPool')!;
  const both = { ...pool, spec: { ...(pool.spec as object), allowedUses: ['LoadBalancer', 'Workload'] } };
  await expect(dryRun.apply(both)).rejects.toThrow(/LoadBalancer cannot be combined with Workload/);
});
