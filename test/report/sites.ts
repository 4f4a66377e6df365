import { computePlan, type SitePlan } from '../../components/plan';
import type { ClusterProbeResult, PodMeasurements } from '../../components/clusterProbe';
import type { DirectionFacts, NodeFacts, PairFacts, ProofResult, SizeFacts } from '../../components/proof/facts';
import { siteSchema } from '../../components/spec/schema';
import { gatherEvidence, type Evidence } from '../../scripts/report/evidence';
import { HOST_KEY, KIT } from '../plan/site';

/** Sites of any size in three racks, and made-up results for them: always the same. */

const RACKS = 3;

export const nodeName = (index: number) =>
  index < 3 ? `cp${index + 1}` : `worker-${String(index - 2).padStart(3, '0')}`;

export function planOf(count: number, more: Record<string, unknown> = {}, nameOf = nodeName): SitePlan {
  const nodes = Array.from({ length: count }, (_, index) => {
    // A virtual address does not leave its rack, so neither does the control plane.
    const rack = index < 3 ? 1 : ((index - 2) % RACKS) + 1;
    return {
      name: nameOf(index),
      role: index < 3 ? 'control-plane' : 'worker',
      zone: `rack${rack}`,
      hypervisor: `hv${rack}${(index % 4) + 1}`,
      addresses: [`192.0.${rack}.${10 + index}/24`],
    };
  });
  const racks = Array.from({ length: RACKS }, (_, index) => index + 1);
  const site = {
    name: 'oslo',
    kit: '^0.1.0',
    environment: 'staging',
    underlay: {
      subnets: racks.map((rack) => ({
        ...{ name: `rack${rack}`, cidrs: [`192.0.${rack}.0/24`], gateways: [`192.0.${rack}.1`] },
      })),
      dns: { servers: ['192.0.1.2', '192.0.1.3'] },
    },
    machines: {
      provider: 'kvm',
      defaults: { cpus: 2, memory: '4GiB', rootDisk: '20GiB' },
      kvm: {
        hypervisors: racks.flatMap((rack) =>
          [1, 2, 3, 4].map((number) => ({
            name: `hv${rack}${number}`,
            connection: { host: `hv${rack}${number}.acme.example`, hostKey: HOST_KEY },
          })),
        ),
        image: { path: '/images/debian.qcow2', sha256: 'a'.repeat(64) },
        network: { bridge: 'br0' },
      },
      nodes,
    },
    network: { cni: 'calico', routing: 'vxlan', podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16'] },
    kubernetes: { version: '1.36.1', vip: '192.0.1.250' },
    checks: {
      names: ['erp.acme.example'],
      peers: [{ name: 'erp', address: '198.51.100.7', tcpPort: 1433 }],
    },
    ...more,
  };
  const { plan, findings } = computePlan(siteSchema.parse(site), KIT);
  if (plan === null) throw new Error(findings.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n'));
  return plan;
}

const ping = (sizeBytes: number, answered: number) => ({
  ...{ sizeBytes, sent: 5, answered, refused: null, milliseconds: answered > 0 ? 1 : null },
});

const size = (wantedBytes: number, largestBytes: number | null): SizeFacts => ({
  ...{ wantedBytes, largestBytes, sent: 5, arrived: largestBytes === wantedBytes ? 5 : 0, fragments: 0 },
  ...{ counters: { created: 0, received: 0 }, anyArrived: largestBytes !== null, refused: null },
  ...{ deviceMtuBytes: wantedBytes, above: null },
});

/** `isCut` says on which directions a device with an MTU of 1400 lies. */
export function pairResults(plan: SitePlan, isCut = (_from: string, _to: string) => false): ProofResult<PairFacts>[] {
  return plan.proof.pairs.map((pair) => {
    const ways: [string, string][] = [
      [pair.a, pair.b],
      [pair.b, pair.a],
    ];
    const directions = ways.map(([from, to]): DirectionFacts => {
      const largest = isCut(from, to) ? 1400 : pair.underlayMtuBytes;
      return {
        ...{ from, to, family: 'ipv4', fromAddress: '192.0.1.1', toAddress: '192.0.1.2' },
        underlay: size(pair.underlayMtuBytes, largest),
        tunnel: size(pair.podMtuBytes, largest === 1400 ? 1350 : pair.podMtuBytes),
        ...{ tcp: null, lossPercent: 0, ports: [] },
      };
    });
    return {
      facts: {
        ...{ kind: 'pair', a: pair.a, b: pair.b, encapsulation: pair.encapsulation, sameHost: pair.sameHost },
        ...{ bothControlPlane: false, directions, roundTrips: [] },
      },
      findings: directions
        .filter(({ underlay }) => underlay.arrived === 0)
        .map(({ from, to }) => ({
          ...{ probe: 'underlay-mtu', severity: 'error', where: `${from} -> ${to}` },
          message: '192.0.1.1 -> 192.0.1.2: 1500 does not pass, 1400 does: a device between them has an MTU of 1400',
        })),
    } satisfies ProofResult<PairFacts>;
  });
}

export const nodeResults = (plan: SitePlan): ProofResult<NodeFacts>[] =>
  plan.nodes.map(({ name, role, addresses }, index) => ({
    facts: {
      ...{ kind: 'node', node: name, role, addresses: addresses.map((address) => ({ address, owners: [] })) },
      dns: plan.proof.dnsServers.map((server) => ({ server, error: null, milliseconds: 0.4 + (index % 7) / 10 })),
      ...{ ntp: [], peers: [], steal: { percent: 0, windowSeconds: 1 } },
      etcd:
        role === 'control-plane'
          ? { tool: 'fio', target: '/dev/vdb', count: 2000, p99Milliseconds: 2 + index * 6 }
          : null,
      engineClock: { offsetMilliseconds: 1, uncertaintyMilliseconds: 1 },
    },
    findings: [],
  }));

export function clusterResult(plan: SitePlan, isCut = (_from: string, _to: string) => false): ClusterProbeResult {
  const podBytes = plan.mtu.podMtuBytes;
  const names = ['kubernetes.default.svc.cluster.local', ...plan.proof.names];
  return {
    facts: {
      ...{ kind: 'cluster', calico: null },
      nodes: plan.nodes.map(({ name, role }, index) => ({
        ...{ node: name, role, object: { ready: true, reasons: [], cordoned: false } },
        ...(role === 'worker'
          ? {}
          : {
              etcd: {
                ...{ hasLeader: true, databaseBytes: 4 * 2 ** 20, quotaBytes: 2 ** 31 },
                ...{ fsyncP99Milliseconds: 3 + index * 5, fsyncCount: 200, duringRun: true },
              },
            }),
      })),
      pods: {
        measured: plan.nodes.map(({ name }, index) => ({
          node: name,
          measured: {
            deviceMtuBytes: podBytes,
            sizes: plan.nodes
              .filter((other) => other.name !== name)
              .map((other) => {
                const largestBytes = isCut(name, other.name) ? 1350 : podBytes;
                const full = ping(podBytes, largestBytes === podBytes ? 5 : 0);
                return { node: other.name, family: 'ipv4', full, above: ping(podBytes + 1, 0), largestBytes };
              }),
            ...{ services: [], peers: [], nameServers: [], reach: [] },
            names: names.flatMap((lookedUp) =>
              (['sequence', 'parallel'] as const).map((way) => ({
                ...{ name: lookedUp, way, count: 50, failed: 0, error: null, overOneSecond: 0 },
                p50Milliseconds: 0.3 + (index % 5) / 10,
                p99Milliseconds: 4 + (index % 9),
                maxMilliseconds: way === 'parallel' ? 30 + index : 9 + (index % 9),
              })),
            ),
          } satisfies PodMeasurements,
        })),
      },
    },
    findings: plan.nodes.flatMap(({ name }) =>
      plan.nodes
        .filter((other) => isCut(name, other.name))
        .map((other) => ({
          ...{ probe: 'pod-mtu', severity: 'error', where: `${name} -> ${other.name}` },
          message: 'ipv4: 1450 does not pass from pod to pod, 1350 does: a device between them has an MTU of 1400',
        })),
    ),
  };
}

export const NEVER: Evidence = {
  ...{ pairs: null, nodes: null, cluster: null, unanswered: null, drift: null, kubernetesVersion: null },
};

/** Everything was measured; between the last machine of the last rack and the first one large packets are lost; somebody changed a machine. */
export function evidenceOf(plan: SitePlan): Evidence {
  const last = plan.nodes.filter(({ subnet }) => subnet === `rack${RACKS}`).pop()!.name;
  const isCut = (from: string, to: string) => [from, to].includes(last) && [from, to].includes('cp1');
  return gatherEvidence(plan, {
    up: {
      machines: { at: '2026-11-20T10:00:00.000Z', results: [...pairResults(plan, isCut), ...nodeResults(plan)] },
      cluster: { at: '2026-11-20T10:20:00.000Z', result: clusterResult(plan) },
      kubernetesVersion: '1.36.1',
    },
    verify: {
      at: '2026-11-21T08:30:00.000Z',
      found: { results: [clusterResult(plan, isCut)], unanswered: [{ where: 'cp2', message: 'Connection refused' }] },
    },
    drift: {
      at: '2026-11-21T09:00:00.000Z',
      found: {
        differences: [
          { where: 'cp1', role: 'prepare', what: 'sysctl net.ipv4.ip_forward', wanted: '1', found: '0', why: '' },
        ],
        unanswered: [],
      },
    },
  });
}

export const TODAY = '2026-11-21';
