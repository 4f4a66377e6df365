import { sizeOf } from './machineSize';
import { renderCluster } from './renderCluster';
import { sharedHosts } from './renderHosts';
import { table, type Cell } from './renderTable';
import type { NodePlan, SitePlan } from './types';

const BYTES_PER_GIB = 1024 ** 3;
/** ICMP and IP headers around the payload of `ping -s`, by family. */
const PING_HEADER_BYTES = { ipv4: 28, ipv6: 48 } as const;

/** Tables of a plan for a terminal; without colour the text is the same on every terminal. */
export function renderPlan(plan: SitePlan, options: { color: boolean }): string {
  const title = (text: string) => (options.color ? `\u001b[1m${text}\u001b[22m` : text);
  const section = (heading: string, ...parts: string[]) => [title(heading), ...parts].join('\n');
  const sections = [
    section(`Site ${plan.site} (${plan.environment}), kit ${plan.kitVersion}`, addresses(plan)),
    section(
      `Nodes (${plan.nodes.length})`,
      nodes(plan.nodes),
      ...(plan.machines.vsphere === null ? [] : [MADE_ANEW]),
      ...dead(plan),
    ),
    section(`MTU: ${plan.mtu.podMtuBytes} bytes for pods`, ...budget(plan)),
    ...grouped(
      plan.nodes.filter(({ neededVersions }) => neededVersions.length > 0),
      (node) => node.neededVersions,
      (names, versions) =>
        section(
          `Needed versions (${names})`,
          table(
            ['What', 'At least', 'Needed by'],
            versions.map(({ what, atLeast, by }) => [what, atLeast, by]),
            [10, 10, 97],
          ),
        ),
    ),
    ...grouped(
      plan.nodes,
      (node) => node.modules,
      (names, modules) =>
        section(
          `Kernel modules (${names})`,
          table(
            ['Module', 'Why'],
            modules.map((module) => [module.name, module.reason]),
            [22, 96],
          ),
        ),
    ),
    ...grouped(
      plan.nodes,
      (node) => node.sysctls,
      (names, sysctls) =>
        section(
          `Sysctls (${names})`,
          table(
            ['Key', 'Value', 'Why'],
            sysctls.map((sysctl) => [sysctl.key, sysctl.value, sysctl.reason]),
            [50, 10, 57],
          ),
        ),
    ),
    ...grouped(
      plan.nodes,
      (node) => node.offloads,
      (names, rules) => section(`Offloads (${names})`, offloads(rules)),
    ),
    section('Nodes that share a host', sharedHosts(plan)),
    section('Proof on the wire', ...proof(plan)),
    section('Cluster', ...renderCluster(plan)),
  ];
  return `${sections.join('\n\n')}\n`;
}

/** One part for every group of nodes that have the same, which is one part for all nodes as a rule. */
function grouped<T>(nodes: NodePlan[], select: (node: NodePlan) => T, render: (names: string, value: T) => string) {
  const groups = new Map<string, { names: string[]; value: T }>();
  for (const node of nodes) {
    const value = select(node);
    const key = JSON.stringify(value);
    const group = groups.get(key) ?? { names: [], value };
    group.names.push(node.name);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ names, value }) =>
    render(names.length === nodes.length ? 'every node' : names.join(', '), value),
  );
}

function addresses({ address }: SitePlan): string {
  const rows: Cell[][] = address.subnets.map((subnet) => [
    `subnet ${subnet.name}`,
    `${subnet.cidrs.join(', ')}, MTU ${subnet.mtuBytes}`,
    subnet.gateways.length === 0 ? 'no gateway' : `gateway ${subnet.gateways.join(', ')}`,
  ]);
  rows.push(['pods', address.podCidrs.join(', '), ''], ['services', address.serviceCidrs.join(', '), '']);
  rows.push(['virtual address', address.vip ?? 'none', '']);
  return table(['Network', 'Addresses', ''], rows);
}

/** What `replaceTrigger` of its machines holds. */
const MADE_ANEW =
  'A machine is made anew when its datacenter, its MAC address or the firmware changes, and when an etcd disk comes or goes.';

function nodes(list: NodePlan[]): string {
  const size = (node: NodePlan) => {
    const machine = sizeOf(node);
    if (machine === null) return 'existing';
    const where = node.kvm?.hypervisor ?? node.vsphere?.placement;
    return `${where}: ${machine.cpus} CPU, ${Number((machine.memoryBytes / BYTES_PER_GIB).toFixed(2))} GiB`;
  };
  return table(
    ['Name', 'Role', 'Subnet', 'Addresses', 'NIC MTU', 'Machine'],
    list.map((node) => [
      node.name,
      node.state === 'active' ? node.role : `${node.role}, ${node.state}`,
      node.subnet,
      node.addresses.join(', '),
      node.interface.mtuBytes,
      size(node),
    ]),
  );
}

function dead({ dead: lost }: SitePlan): string[] {
  if (lost.length === 0) return [];
  return [`Dead, only taken out of the cluster: ${lost.map(({ name, role }) => `${name} (${role})`).join(', ')}.`];
}

function budget({ mtu }: SitePlan): string[] {
  const steps = mtu.steps.map((step) => [step.what, step.bytes, step.leftBytes, step.source]);
  const mss = Object.entries(mtu.mssBytes).map(([family, bytes]) => `${bytes} (${family})`);
  return [
    `Routing ${mtu.routing}: ${mtu.routingReason}. Largest TCP segment of a pod: ${mss.join(', ')} bytes.`,
    table(['Step', 'Bytes', 'Left', 'Source'], steps, [34, 8, 8, 67]),
    table(
      ['Device', 'MTU'],
      mtu.devices.map((device) => [device.name, device.mtuBytes]),
    ),
  ];
}

function offloads(rules: NodePlan['offloads']): string {
  const kernel = ({ min, max }: NodePlan['offloads'][number]['kernel']) =>
    [min ? `>= ${min}` : '', max ? `<= ${max}` : ''].filter(Boolean).join(', ') || 'any';
  return table(
    ['Device', 'Driver', 'Kernel', 'Setting', 'Why'],
    rules.map((rule) => [
      rule.device,
      rule.driver ?? 'any',
      kernel(rule.kernel),
      [
        ...rule.features.map((feature) => `${feature.name} ${feature.value}`),
        ...rule.rings.map((ring) => `ring ${ring.name} ${ring.entries}`),
      ].join('\n'),
      rule.reason,
    ]),
    [14, 10, 8, 36, 49],
  );
}

const count = (number: number, what: string) => `${number} ${what}${number === 1 ? '' : 's'}`;

function proof({ proof: planned, address, cluster }: SitePlan): string[] {
  const rounds = new Set(planned.pairs.map((pair) => pair.round)).size;
  const kinds = new Map<string, { pairs: number; cells: Cell[] }>();
  for (const pair of planned.pairs) {
    const payload = address.families.map((family) => pair.underlayMtuBytes - PING_HEADER_BYTES[family]).join(', ');
    const cells = [pair.underlayMtuBytes, payload, pair.encapsulation, pair.podMtuBytes];
    const kind = kinds.get(cells.join()) ?? { pairs: 0, cells };
    kind.pairs++;
    kinds.set(cells.join(), kind);
  }
  const { thresholds } = planned;
  const parts = [
    `${count(planned.pairs.length, 'pair')}, both directions, in ${count(rounds, 'round')}: ${planned.sample ?? 'every pair'}.`,
    table(
      ['Pairs', 'Underlay bytes', 'ping -s', 'Tunnel', 'Bytes through it'],
      [...kinds.values()].map(({ pairs, cells }) => [pairs, ...cells]),
    ),
    table(
      ['Protocol', 'Number', 'What', 'Between'],
      planned.ports.map((port) => [port.protocol, port.number, port.what, port.between]),
    ),
  ];
  if (planned.peers.length > 0) {
    parts.push(
      table(
        ['Peer', 'Address', 'Bytes', 'TCP port'],
        planned.peers.map((peer) => [peer.name, peer.address, peer.mtuBytes, peer.tcpPort ?? 'none']),
      ),
    );
  }
  parts.push(
    table(
      ['At most', ''],
      [
        ['loss', `${thresholds.lossPercent} %`],
        ['jitter', `${thresholds.jitterMilliseconds} ms`],
        ['etcd fdatasync, 99th percentile', `${thresholds.etcdFsyncP99Milliseconds} ms`],
        ['round trip between control planes', `${thresholds.controlPlaneRoundTripMilliseconds} ms`],
        ['CPU steal', `${thresholds.cpuStealPercent} %`],
        ['clock offset', `${thresholds.clockOffsetMilliseconds} ms`],
        ...(cluster === null ? [] : [['look-up of a name from a pod', `${thresholds.lookupMilliseconds} ms`]]),
      ],
    ),
  );
  if (planned.warn.length > 0) parts.push(`A warning only: ${planned.warn.join(', ')}.`);
  return parts;
}
