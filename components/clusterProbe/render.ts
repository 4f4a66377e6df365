import { findingLines, table, verdict } from '../proof/render';
import type { BgpSession, CalicoFacts } from './calicoFacts';
import type { FenceFacts } from './fences';
import type { IngressAsk } from './ingress';
import type { LayerSize, PathFacts } from './layers';
import type { ClusterNodeFacts, ClusterProbeResult, NameFacts, PodMeasurements, TcpFacts } from './facts';

/** Tables of a probed cluster for a terminal; without colour plain ASCII and the same in a log. */
export function renderClusterProbe({ facts, findings }: ClusterProbeResult, opts: { color: boolean }): string {
  const parts = [
    table(
      ['node', 'role', 'ready', 'kube-proxy', 'Services', 'conntrack', 'etcd', 'etcd fsync p99'],
      facts.nodes.map(nodeRow),
    ),
  ];
  if (facts.calico !== null) parts.push(calicoTable(facts.calico));
  const measured = facts.pods.measured.flatMap(({ node, measured }) =>
    measured === undefined ? [] : [{ node, measured }],
  );
  if (measured.length > 0) {
    parts.push(
      table(['pod on', 'to', 'family', 'packets', 'one byte more'], measured.flatMap(sizeRows)),
      table(
        ['pod on', 'Service', 'pods reached', 'slowest connect', 'both ways', 'segments', 'path MTU', 'repeated'],
        measured.flatMap(serviceRows),
      ),
      table(
        ['pod on', 'name', 'lookups', 'p50', 'p99', 'max', 'over 1 s', 'failed'],
        measured.flatMap(({ node, measured }) => measured.names.map((name) => nameRow(node, name))),
      ),
    );
    const zones = measured.flatMap(zoneRows);
    if (zones.length > 0) parts.push(table(['pod on', 'zone', 'answer', 'took'], zones));
    if (facts.paths?.some(({ before }) => before !== null)) {
      parts.push(
        table(
          [
            'from',
            'to',
            'family',
            'machines before',
            'tunnel before',
            'machines now',
            'pods now',
            'TCP before',
            'TCP now',
          ],
          facts.paths.map((path) => pathRow(path, measured)),
        ),
      );
    }
    const fences = facts.fences ?? [];
    if (fences.length > 0) {
      parts.push(
        table(
          ['policies', 'pod on', 'kept out', 'reaches', 'does not reach'],
          fences.map((fence) => fenceRow(fence, measured)),
        ),
      );
    }
    const peers = measured.flatMap(peerRows);
    if (peers.length > 0) parts.push(table(['pod on', 'peer', 'packets', 'TCP'], peers));
  }
  if (facts.ingress && facts.ingress.asks.length > 0) {
    parts.push(table(['from', 'ingress on', 'port 80', 'port 443'], facts.ingress.asks.map(ingressRow)));
  }
  const summary = `the cluster passed (${facts.nodes.length} nodes, ${measured.length} pods)`;
  return `${[...parts, ...findingLines(findings, opts), verdict(findings, summary, opts)].join('\n')}\n`;
}

const milliseconds = (value: number | null) => (value === null ? '-' : `${value.toFixed(1)} ms`);

function nodeRow({ node, role, object, machine, etcd }: ClusterNodeFacts): string[] {
  const services = machine?.services;
  const known = etcd !== undefined && !('error' in etcd) ? etcd : null;
  return [
    node,
    role,
    object === null ? 'unknown' : object.ready ? 'yes' : 'no',
    typeof machine?.proxyMode === 'string' ? machine.proxyMode : '-',
    services === undefined || 'error' in services ? '-' : `${Object.keys(services.rules).length}`,
    machine === undefined ? '-' : `${machine.conntrackCount} of ${machine.conntrackMax}`,
    known === null
      ? '-'
      : `${known.hasLeader ? 'leader known' : 'no leader'}, ${Math.round(known.databaseBytes / 2 ** 20)} of ${Math.round(known.quotaBytes / 2 ** 20)} MiB`,
    milliseconds(known?.fsyncP99Milliseconds ?? null),
  ];
}

function calicoTable({ agents, nodes, blocks }: CalicoFacts): string {
  return table(
    ['node', 'calico-node', 'devices', 'MTU of links (node / pod)', 'blocks', 'BGP sessions', 'WireGuard peers'],
    Object.entries(nodes).map(([node, found]) => {
      const agent = agents[node] === undefined ? 'absent' : agents[node] === null ? 'ready' : 'not ready';
      const own = `${blocks.filter((block) => block.node === node).length}`;
      if ('error' in found) return [node, agent, '-', '-', own, '-', '-'];
      const links = new Set(found.links.map(({ mtuBytes, podMtuBytes }) => `${mtuBytes} / ${podMtuBytes ?? '-'}`));
      return [
        node,
        agent,
        Object.entries(found.devices)
          .map(([name, mtuBytes]) => `${name} ${mtuBytes}`)
          .join(', ') || '-',
        [...links].join(', ') || '-',
        own,
        sessions(found.bgpSessions),
        found.wireguardPeers === null ? '-' : `${found.wireguardPeers.length}`,
      ];
    }),
  );
}

const sessions = (all: BgpSession[] | null) =>
  all === null ? '-' : `${all.filter(({ state }) => state === 'Established').length} of ${all.length}`;

interface Measured {
  node: string;
  measured: PodMeasurements;
}

const layer = (size: LayerSize | null | undefined) => {
  if (!size) return '-';
  const { wantedBytes, largestBytes } = size;
  if (largestBytes === null) return 'nothing';
  return largestBytes >= wantedBytes ? `${wantedBytes} ok` : `${largestBytes} of ${wantedBytes}`;
};

const speed = (megabytesPerSecond: number | null) =>
  megabytesPerSecond === null ? '-' : `${megabytesPerSecond.toFixed(1)} MB/s`;

/** One way between two machines from below to above, so that a difference says in which layer it is. */
function pathRow({ from, to, family, before, now }: PathFacts, measured: Measured[]): string[] {
  const own = measured.find(({ node }) => node === from)?.measured;
  const size = own?.sizes.find((one) => one.node === to && one.family === family);
  const transfer = own?.services.find((one) => one.family === family)?.transfer ?? null;
  const isThere = transfer !== null && transfer.node === to && transfer.error === null;
  return [
    from,
    to,
    family,
    layer(before?.underlay),
    layer(before?.tunnel),
    layer(now),
    size === undefined ? '-' : layer({ wantedBytes: size.full.sizeBytes, largestBytes: size.largestBytes }),
    speed(before?.megabytesPerSecond ?? null),
    speed(isThere ? (2 * transfer.bytes) / transfer.seconds / 1e6 : null),
  ];
}

function fenceRow({ name, node, error, reach = [] }: FenceFacts, measured: Measured[]): string[] {
  const tried = measured.flatMap((one) => one.measured.reach.filter((target) => target.name === name));
  const kept = tried.filter((target) => target.error !== null).length;
  const names = (reached: boolean) => [
    ...new Set(reach.filter((target) => (target.error === null) === reached).map((target) => target.name)),
  ];
  return [
    name,
    node,
    tried.length === 0 ? '-' : `${kept} of ${tried.length}`,
    error ?? (names(true).join(', ') || 'nothing'),
    names(false).join(', ') || '-',
  ];
}

const ingressRow = ({ from, node, address, status, error, tlsError }: IngressAsk) => [
  from,
  node === null ? address : `${node} (${address})`,
  status === null ? (error ?? '-') : `HTTP ${status}`,
  tlsError ?? 'open',
];

const sizeRows = ({ node, measured }: Measured) =>
  measured.sizes.map(({ node: other, family, full, above, largestBytes }) => [
    node,
    other,
    family,
    full.answered > 0
      ? `${full.sizeBytes} ok`
      : largestBytes === null
        ? 'nothing passes'
        : `${largestBytes} of ${full.sizeBytes}`,
    above.answered > 0 ? 'passes' : above.refused === null ? 'lost' : 'refused',
  ]);

const serviceRows = ({ node, measured }: Measured) =>
  measured.services.map(({ address, reached, slowestMilliseconds, transfer }) => {
    const both = (value: (tcp: TcpFacts) => number) =>
      transfer?.up && transfer.down ? `${value(transfer.up)} / ${value(transfer.down)}` : '-';
    return [
      node,
      address,
      Object.entries(reached)
        .map(([name, count]) => `${name} ${count}`)
        .join(', ') || 'none',
      milliseconds(slowestMilliseconds),
      transfer === null
        ? '-'
        : (transfer.error ??
          `${((2 * transfer.bytes) / transfer.seconds / 1e6).toFixed(1)} MB/s to and from ${transfer.node}`),
      both(({ segmentBytes }) => segmentBytes),
      both(({ pathMtuBytes }) => pathMtuBytes),
      both(({ retransmits }) => retransmits),
    ];
  });

function nameRow(node: string, name: NameFacts): string[] {
  return [
    node,
    name.name,
    `${name.count} ${name.way === 'parallel' ? 'ten at once' : 'in a row'}`,
    milliseconds(name.p50Milliseconds),
    milliseconds(name.p99Milliseconds),
    milliseconds(name.maxMilliseconds),
    `${name.overOneSecond}`,
    `${name.failed}`,
  ];
}

const zoneRows = ({ node, measured }: Measured) =>
  (measured.zones ?? []).map(({ zone, error, answer, milliseconds: took }) => [
    node,
    zone,
    error ?? answer ?? '-',
    milliseconds(took ?? null),
  ]);

const peerRows = ({ node, measured }: Measured) =>
  measured.peers.map(({ name, full, largestBytes, tcp }) => [
    node,
    name,
    largestBytes === null ? 'no answer' : `${largestBytes} of ${full.sizeBytes}`,
    tcp === null ? '-' : (tcp.error ?? milliseconds(tcp.milliseconds ?? null)),
  ]);
