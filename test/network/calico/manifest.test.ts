import { editManifest } from '../../../components/network/calico/manifest';
import { inStages, parseManifest, type ManifestObject } from '../../../components/network/manifest';
import type { CalicoPlan, ClusterPlan } from '../../../components/plan';
import { calicoImages } from '../../../components/plan/calicoVersions';
import { changes } from './changes';
import { expectGolden } from './golden';
import { planOfMode, TOLERATIONS, type Mode } from './modes';
import { releaseText } from './release';

const BASE: Mode = {
  ...{ routing: 'vxlan', wireguard: false, dataplane: 'iptables', install: 'manifest', families: 'v4' },
  ...{ topology: 'plain', version: '3.32.1', from: 'upstream' },
};

function clusterOf(mode: Partial<Mode>, calico?: object, network?: object): ClusterPlan {
  const { cluster, errors } = planOfMode({ ...BASE, ...mode }, calico, network);
  if (cluster === null) throw new Error(errors.join('\n'));
  return cluster;
}

function read(cluster: ClusterPlan, edits = cluster.calico!.manifest!): ManifestObject[] {
  return parseManifest(edits.file, releaseText(cluster.bundle, edits.file));
}

const settings = ({ calico, bundle }: ClusterPlan, limitFactor = 1) => ({
  edits: calico!.manifest!,
  images: bundle.images,
  limitFactor,
});

const MODES: [title: string, mode: Partial<Mode>, calico?: object, network?: object][] = [
  ['bgp', { routing: 'bgp' }],
  ['ipip', { routing: 'ipip' }],
  ['ipip-cross-subnet', { routing: 'ipip-cross-subnet' }],
  ['vxlan', {}],
  ['vxlan-cross-subnet, both families', { routing: 'vxlan-cross-subnet', families: 'dual' }],
  ['vxlan and WireGuard, both families', { wireguard: true, families: 'dual' }],
  ['bgp, IPv6 alone', { routing: 'bgp', families: 'v6' }],
  ['ipip of 3.28.5', { routing: 'ipip', version: '3.28.5' }],
  ['vxlan from source', { version: '3.28.5', from: 'source' }],
  ['bgp, dataplane nftables', { routing: 'bgp', dataplane: 'nftables' }],
  ['bgp, dataplane bpf', { routing: 'bgp', dataplane: 'bpf' }],
  ['bgp and tcp_mtu_probing of pods', { routing: 'bgp' }, {}, { podMtuProbing: true }],
  ['bgp with Typha', { routing: 'bgp' }, { typha: 1 }],
  ['bgp and tolerations', { routing: 'bgp' }, { tolerations: TOLERATIONS }],
];

test('what each mode changes in the release manifest', () => {
  const sections = MODES.map(([title, mode, ...more]) => {
    const cluster = clusterOf(mode, ...more);
    const before = read(cluster);
    return `# ${title}\n${changes(before, editManifest(before, settings(cluster))).join('\n')}\n`;
  });
  expectGolden('changes.txt', sections.join('\n'));
});

test('another MTU of pods makes those of calico-node anew, which hand it to the CNI plugin of their node', () => {
  const cluster = clusterOf({ routing: 'bgp' });
  const edits = cluster.calico!.manifest!;
  const edited = (vethMtu: string) =>
    editManifest(read(cluster), {
      ...settings(cluster),
      edits: { ...edits, config: { ...edits.config, veth_mtu: vethMtu } },
    });
  expect(changes(edited('1500'), edited('9000'))).toEqual([
    'ConfigMap calico-config data.veth_mtu: "1500" -> "9000"',
    expect.stringMatching(/^DaemonSet calico-node spec\.template\.metadata\.annotations/),
  ]);
});

test('with Typha: its replicas and resources, and calico-node told of it', () => {
  const cluster = clusterOf({ routing: 'bgp' });
  const edits: CalicoPlan['manifest'] = {
    ...cluster.calico!.manifest!,
    file: 'calico-typha.yaml',
    typhaReplicas: 3,
    config: { ...cluster.calico!.manifest!.config, typha_service_name: 'calico-typha' },
    resources: {
      node: { limits: { memory: '1Gi' } },
      typha: { requests: { cpu: '200m', memory: '128Mi' }, limits: { memory: '512Mi' } },
    },
  };
  const before = read(cluster, edits);
  const after = editManifest(before, { ...settings(cluster), edits });
  const changed = changes(before, after).filter((line) => !line.includes('imagePullPolicy'));
  expect(changed.filter((line) => line.includes('typha'))).toEqual([
    'Deployment calico-typha spec.replicas: 1 -> 3',
    'Deployment calico-typha spec.template.spec.containers[calico-typha].resources.limits.memory: nothing -> "512Mi"',
    'Deployment calico-typha spec.template.spec.containers[calico-typha].resources.requests.cpu: nothing -> "200m"',
    'Deployment calico-typha spec.template.spec.containers[calico-typha].resources.requests.memory: nothing -> "128Mi"',
  ]);
  // The 250m of CPU that the release asks for stay.
  expect(changed.filter((line) => line.includes('resources') && line.includes('calico-node'))).toEqual([
    'DaemonSet calico-node spec.template.spec.containers[calico-node].resources.limits.memory: nothing -> "1Gi"',
  ]);
});

test('probes of slow machines wait longer', () => {
  const cluster = clusterOf({});
  const before = read(cluster);
  const once = editManifest(before, settings(cluster));
  expect(changes(once, editManifest(before, settings(cluster, 3)))).toEqual([
    'DaemonSet calico-node spec.template.spec.containers[calico-node].livenessProbe.initialDelaySeconds: 10 -> 30',
    'DaemonSet calico-node spec.template.spec.containers[calico-node].livenessProbe.periodSeconds: 10 -> 30',
    'DaemonSet calico-node spec.template.spec.containers[calico-node].livenessProbe.timeoutSeconds: 10 -> 30',
    'DaemonSet calico-node spec.template.spec.containers[calico-node].readinessProbe.periodSeconds: 10 -> 30',
    'DaemonSet calico-node spec.template.spec.containers[calico-node].readinessProbe.timeoutSeconds: 10 -> 30',
  ]);
});

test('every place that a newer manifest lacks is named, and nothing comes back', () => {
  const cluster = clusterOf({});
  const objects = read(cluster);
  const text = JSON.stringify(objects)
    .replace('"veth_mtu"', '"vethMtu"')
    .replace('"FELIX_VXLANMTU"', '"FELIX_VXLAN_MTU"')
    .replace('-bird-ready', '-bgp-ready')
    .replace('\\"type\\": \\"calico\\"', '\\"type\\": \\"other\\"');
  expect(() => editManifest(JSON.parse(text) as ManifestObject[], settings(cluster))).toThrow(
    [
      'calico.yaml is not a manifest that this kit knows; nothing of it is applied:',
      '  ConfigMap calico-config has no veth_mtu',
      '  ConfigMap calico-config: cni_network_config does not begin with the plugin calico',
      '  DaemonSet calico-node: container calico-node has no variable FELIX_VXLANMTU',
      '  DaemonSet calico-node: readinessProbe has no command with -bird-ready',
    ].join('\n'),
  );
  expect(() =>
    editManifest(
      objects.filter(({ kind }) => kind !== 'DaemonSet'),
      settings(cluster),
    ),
  ).toThrow(/there is no DaemonSet calico-node/);
});

test('an image that the bundle does not have is named', () => {
  const cluster = clusterOf({});
  const images = { ...cluster.bundle.images };
  delete images['calico-cni'];
  expect(() => editManifest(read(cluster), { ...settings(cluster), images })).toThrow(
    /DaemonSet calico-node: container install-cni wants quay\.io\/calico\/cni:v3\.32\.1, and the bundle has no image calico-cni/,
  );
});

test('one image for all programs, as from 3.33 on', () => {
  const cluster = clusterOf({});
  const one = calicoImages('3.33.0', 'one', 'upstream', { operator: null, apiServer: false });
  expect(one).toEqual({ calico: 'quay.io/calico/calico:v3.33.0' });
  const objects = JSON.parse(
    JSON.stringify(read(cluster)).replace(/quay\.io\/calico\/[a-z-]+:v3\.32\.1/g, 'quay.io/calico/calico:v3.33.0'),
  ) as ManifestObject[];
  const { 'kube-proxy': proxy, ...rest } = cluster.bundle.images;
  const edited = editManifest(objects, { ...settings(cluster), images: { ...rest, 'kube-proxy': proxy, ...one } });
  const used = [...JSON.stringify(edited).matchAll(/"image":"([^"]+)"/g)].map(([, reference]) => reference);
  expect([...new Set(used)]).toEqual(['quay.io/calico/calico:v3.33.0']);
});

test('what is given stays as it is, and kinds come before what is of them', () => {
  const cluster = clusterOf({});
  const before = read(cluster);
  const copy = structuredClone(before);
  const { kinds, basis, workloads } = inStages(editManifest(before, settings(cluster)));
  expect(before).toEqual(copy);
  expect(new Set(kinds.map(({ kind }) => kind))).toEqual(new Set(['CustomResourceDefinition']));
  expect(workloads.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
    'DaemonSet calico-node',
    'Deployment calico-kube-controllers',
  ]);
  expect(kinds.length + basis.length + workloads.length).toBe(before.length);
});
