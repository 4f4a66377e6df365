import type { ClusterFacts, ClusterProbeRequest, PodMeasurements } from '../../components/clusterProbe';
import type { PingFacts } from '../../components/proof/facts';

export const target = { host: '192.0.2.11', port: 22, user: 'root', privateKey: 'key', hostKey: 'ssh-ed25519 AAAA' };

export const request = (more: Partial<ClusterProbeRequest> = {}): ClusterProbeRequest => ({
  kind: 'probe-cluster',
  nodes: [
    { name: 'one', role: 'control-plane', target, addresses: ['192.0.2.11'], conntrackMax: 131072 },
    { name: 'two', role: 'worker', target, addresses: ['192.0.2.12'], conntrackMax: 131072 },
  ],
  pauseImage: 'bundle.sitewright.internal/pause:3.10.2',
  podMtuBytes: 1500,
  podFamilies: ['ipv4'],
  serviceFamilies: ['ipv4'],
  kubeProxy: { mode: 'ipvs', scheduler: 'rr', metricsAddress: '127.0.0.1:10249', conntrack: null },
  services: [
    { name: 'kubernetes', address: '10.96.0.1', port: 443, protocols: ['tcp'] },
    { name: 'kube-dns', address: '10.96.0.10', port: 53, protocols: ['tcp', 'udp'] },
  ],
  names: ['kubernetes.default'],
  zones: [],
  peers: [{ name: 'erp', address: '192.0.2.200', family: 'ipv4', mtuBytes: 1500, tcpPort: 443 }],
  nameServers: ['192.0.2.53'],
  calico: null,
  fences: [],
  ingress: null,
  underlayMtuBytes: 1500,
  before: [],
  thresholds: { etcdFsyncP99Milliseconds: 10, lookupMilliseconds: 1000 },
  warn: [],
  olderPods: 'error',
  limitFactor: 1,
  ...more,
});

export const ping = (sizeBytes: number, answered: number, refused: string | null = null): PingFacts => ({
  ...{ sizeBytes, sent: 5, answered, refused, milliseconds: answered > 0 ? 1 : null },
});

/** Everything as planned. */
export const measurements = (other: string): PodMeasurements => ({
  deviceMtuBytes: 1500,
  sizes: [{ node: other, family: 'ipv4', full: ping(1500, 5), above: ping(1501, 0, 'EMSGSIZE'), largestBytes: 1500 }],
  services: [
    {
      family: 'ipv4',
      address: '10.96.7.7',
      reached: { one: 8, two: 8 },
      failed: {},
      slowestMilliseconds: 3,
      transfer: {
        ...{ node: other, bytes: 4194304, seconds: 0.5, error: null },
        up: { pathMtuBytes: 1500, segmentBytes: 1448, segments: 2900, retransmits: 0 },
        down: { pathMtuBytes: 1500, segmentBytes: 1448, segments: 2900, retransmits: 0 },
      },
    },
  ],
  names: (['sequence', 'parallel'] as const).map((way) => ({
    ...{ name: 'kubernetes.default', way, count: 50, failed: 0, error: null, overOneSecond: 0 },
    ...{ p50Milliseconds: 1, p99Milliseconds: 4, maxMilliseconds: 5 },
  })),
  peers: [
    {
      name: 'erp',
      full: ping(1500, 3),
      small: ping(100, 3),
      largestBytes: 1500,
      tcp: { error: null, milliseconds: 1 },
    },
  ],
  nameServers: [{ address: '192.0.2.53', error: null, milliseconds: 1 }],
  reach: [],
});

export function facts(): ClusterFacts & { pods: { measured: { node: string; measured: PodMeasurements }[] } } {
  const rules = {
    'tcp 10.96.0.1:443': { scheduler: 'rr', realServers: 1 },
    'tcp 10.96.0.10:53': { scheduler: 'rr', realServers: 2 },
    'udp 10.96.0.10:53': { scheduler: 'rr', realServers: 2 },
  };
  const object = () => ({ ready: true, reasons: [], cordoned: false });
  const machine = () => ({
    ...{ proxyMode: 'ipvs', services: { rules: structuredClone(rules) } },
    ...{ conntrackMax: 131072, conntrackCount: 300, cpus: 8 },
  });
  return {
    kind: 'cluster',
    calico: null,
    nodes: [
      {
        ...{ node: 'one', role: 'control-plane', object: object(), machine: machine() },
        etcd: {
          ...{ hasLeader: true, databaseBytes: 4 * 2 ** 20, quotaBytes: 2 ** 31 },
          ...{ fsyncP99Milliseconds: 4, fsyncCount: 200, duringRun: true },
        },
      },
      { node: 'two', role: 'worker', object: object(), machine: machine() },
    ],
    pods: {
      measured: [
        { node: 'one', measured: measurements('two') },
        { node: 'two', measured: measurements('one') },
      ],
    },
  };
}
