import { findingLines, table, verdict } from '../proof/render';
import type { CalicoFacts } from './calicoFacts';
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
  const pods = 'measured' in facts.pods ? facts.pods.measured : [];
  const measured = pods.flatMap(({ node, measured }) => (measured === undefined ? [] : [{ node, measured }]));
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
    const peers = measured.flatMap(peerRows);
    if (peers.length > 0) parts.push(table(['pod on', 'peer', 'packets', 'TCP'], peers));
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
    ['node', 'calico-node', 'devices', 'MTU of links (node / pod)', 'blocks', 'WireGuard peers'],
    Object.entries(nodes).map(([node, found]) => {
      const agent = agents[node] === undefined ? 'absent' : agents[node] === null ? 'ready' : 'not ready';
      const own = `${blocks.filter((block) => block.node === node).length}`;
      if ('error' in found) return [node, agent, '-', '-', own, '-'];
      const links = new Set(found.links.map(({ mtuBytes, podMtuBytes }) => `${mtuBytes} / ${podMtuBytes ?? '-'}`));
      return [
        node,
        agent,
        Object.entries(found.devices)
          .map(([name, mtuBytes]) => `${name} ${mtuBytes}`)
          .join(', ') || '-',
        [...links].join(', ') || '-',
        own,
        found.wireguardPeers === null ? '-' : `${found.wireguardPeers.length}`,
      ];
    }),
  );
}

interface Measured {
  node: string;
  measured: PodMeasurements;
}

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
    `${name.count} ${name.way === 'parallel' ? 'at once' : 'in a row'}`,
    milliseconds(name.p50Milliseconds),
    milliseconds(name.p99Milliseconds),
    milliseconds(name.maxMilliseconds),
    `${name.overOneSecond}`,
    `${name.failed}`,
  ];
}

const peerRows = ({ node, measured }: Measured) =>
  measured.peers.map(({ name, full, largestBytes, tcp }) => [
    node,
    name,
    largestBytes === null ? 'no answer' : `${largestBytes} of ${full.sizeBytes}`,
    tcp === null ? '-' : (tcp.error ?? milliseconds(tcp.milliseconds ?? null)),
  ]);
