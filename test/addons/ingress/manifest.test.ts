import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { releasedObjects } from '../../../components/addons/ingress/ingress';
import { editIngress } from '../../../components/addons/ingress/manifest';
import type { ManifestObject } from '../../../components/network/manifest';
import type { ClusterPlan } from '../../../components/plan';
import { changes } from '../../network/calico/changes';
import { expectGolden } from './golden';
import { BALANCED, clusterOf, writeBundle } from './sites';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'sitewright-ingress-'))));
afterEach(() => rmSync(folder, { recursive: true }));

function released({ bundle }: ClusterPlan): ManifestObject[] {
  writeBundle(folder, bundle);
  return releasedObjects(bundle, folder);
}

const TUNING = {
  ...{ bodySize: '50m', connectTimeout: '15s', readTimeout: '10m', sendTimeout: '600s', buffering: true },
  ...{ buffers: { size: '8k' }, realIpRanges: ['192.0.2.0/24'] },
};

const SITES: [title: string, ingress: object][] = [
  ['nginx', {}],
  [
    'nginx, tuned, on labelled machines, behind an address',
    { tuning: TUNING, nodes: { 'acme.example/edge': 'gpu' }, ...BALANCED },
  ],
  ['ingress-nginx', { controller: 'ingress-nginx' }],
  [
    'ingress-nginx, tuned, on a labelled machine',
    { controller: 'ingress-nginx', tuning: TUNING, nodes: { 'acme.example/edge': 'gpu' } },
  ],
  ['ingress-nginx behind an address', { controller: 'ingress-nginx', ...BALANCED, replicas: 3, defaultClass: false }],
];

/** The workload under the kind that it has become, so that its fields are compared. */
const sameKind = (before: ManifestObject[], after: ManifestObject[]) =>
  before.map((object) =>
    object.kind === 'Deployment' || object.kind === 'DaemonSet'
      ? {
          ...object,
          kind: after.find(
            ({ metadata: { name }, spec }) =>
              name === object.metadata.name && (spec as { template?: object })?.template,
          )!.kind,
        }
      : object,
  );

/** What is set beside spec and data. */
const metadata = (objects: ManifestObject[]) =>
  objects
    .filter(({ kind }) => ['Namespace', 'IngressClass', 'DaemonSet', 'Deployment'].includes(kind))
    .map(({ kind, metadata: all }) => `${kind} ${JSON.stringify(all)}`);

test('what each site changes in the release, and what the kit adds', () => {
  const sections = SITES.map(([title, ingress]) => {
    const cluster = clusterOf(ingress);
    const before = released(cluster);
    const { objects, lateObjects } = cluster.ingress!;
    const after = editIngress(before, cluster.ingress!, cluster.bundle.images);
    const added = [...objects, ...lateObjects].map((object) => `added ${JSON.stringify(object)}`);
    return `# ${title}\n${[...metadata(after), ...changes(sameKind(before, after), after), ...added].join('\n')}\n`;
  });
  expectGolden('changes.txt', sections.join('\n'));
});

test('what a site tunes changes the ConfigMap and nothing else', () => {
  const [plain, tuned] = [clusterOf({}), clusterOf({ tuning: TUNING })];
  const before = released(plain);
  const edit = ({ ingress, bundle }: ClusterPlan) => editIngress(before, ingress!, bundle.images);
  const different = changes(edit(plain), edit(tuned));
  expect(different.length).toBeGreaterThan(7);
  expect(different.filter((line) => !line.startsWith('ConfigMap nginx-config data.'))).toEqual([]);
});

test('every place that a newer release lacks is named, and nothing comes back', () => {
  const cluster = clusterOf({ controller: 'ingress-nginx' });
  const objects = released(cluster);
  const text = JSON.stringify(objects)
    .replace('"--validating-webhook=:8443"', '"--webhook=:8443"')
    .replace('"name":"webhook-cert","secret"', '"name":"certificate","secret"')
    .replaceAll('"ingress-nginx-admission-patch"', '"patch"')
    .replace('"kind":"IngressClass"', '"kind":"Class"');
  expect(() => editIngress(JSON.parse(text) as ManifestObject[], cluster.ingress!, {} as never)).toThrow(
    [
      'ingress-nginx 1.15.1 is not a manifest that this kit knows; nothing of it is applied:',
      '  there is no Job ingress-nginx-admission-patch',
      '  there is no IngressClass nginx',
      '  the bundle has no image ingress-nginx',
      '  Deployment ingress-nginx-controller has no argument --validating-webhook=:8443',
      '  Deployment ingress-nginx-controller: volume webhook-cert is missing',
    ].join('\n'),
  );
  expect(() => editIngress([], cluster.ingress!, cluster.bundle.images)).toThrow(
    /there is no Namespace\n.*there is no ConfigMap ingress-nginx-controller\n[^]*there is no DaemonSet or Deployment/,
  );
});
