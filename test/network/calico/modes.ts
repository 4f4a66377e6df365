import { compute, lines, node, subnet, byFamily, clusterNetworks, HOST_KEY } from '../../plan/site';
import type { ClusterPlan } from '../../../components/plan';

/** Everything that decides which objects Calico gets. */
export interface Mode {
  routing: 'bgp' | 'ipip' | 'ipip-cross-subnet' | 'vxlan' | 'vxlan-cross-subnet';
  wireguard: boolean;
  dataplane: 'iptables' | 'nftables' | 'bpf';
  install: 'manifest' | 'operator';
  families: 'v4' | 'v6' | 'dual';
  topology: 'plain' | 'routers' | 'reflectors';
  version: '3.32.1' | '3.28.5';
  from: 'upstream' | 'source';
}

const AXES: { [Key in keyof Mode]: readonly Mode[Key][] } = {
  routing: ['bgp', 'ipip', 'ipip-cross-subnet', 'vxlan', 'vxlan-cross-subnet'],
  wireguard: [false, true],
  dataplane: ['iptables', 'nftables', 'bpf'],
  install: ['manifest', 'operator'],
  families: ['v4', 'v6', 'dual'],
  topology: ['plain', 'routers', 'reflectors'],
  version: ['3.32.1', '3.28.5'],
  from: ['upstream', 'source'],
};

/** Every combination, the impossible ones too. */
export const MODES: Mode[] = Object.entries(AXES).reduce<object[]>(
  (all, [key, values]) =>
    all.flatMap((mode) => (values as readonly unknown[]).map((value) => ({ ...mode, [key]: value }))),
  [{}],
) as Mode[];

export const nameOf = (mode: Mode) => Object.values(mode).map(String).join(' ');

const kubeProxyFor = { iptables: 'ipvs', nftables: 'nftables', bpf: 'iptables' } as const;

const RESOURCES = { cpu: '200m', memory: '128MiB', memoryLimit: '512MiB' };

export const TOLERATIONS = [{ key: 'dedicated', value: 'network', effect: 'NoSchedule' }, { operator: 'Exists' }];

/** Pods on their way from one pool to another. */
const moving = (families: Mode['families']) =>
  byFamily<object>(
    families,
    [
      { name: 'old', cidr: '10.244.0.0/17', disabled: true },
      { name: 'new', cidr: '10.244.128.0/17', blockSize: 28 },
    ],
    [{ name: 'v6', cidr: 'fd00:10:244::/64' }],
  );

/** Two racks with a machine each, and a second control-plane machine's worth of everything that the mode needs. */
export function siteOfMode(mode: Mode): Record<string, unknown> {
  const { families, topology } = mode;
  const machine = (name: string, rack: number, host: number, more: object) =>
    node(name, rack, host, {
      addresses: byFamily(families, [`192.0.${rack}.${host}/24`], [`2001:db8:${rack}::${host}/64`]),
      ssh: { hostKey: HOST_KEY },
      zone: `rack${rack}`,
      labels: topology === 'reflectors' ? { 'route-reflector': 'true' } : {},
      ...more,
    });
  const router = (rack: number) => byFamily(families, [`192.0.${rack}.1`], [`2001:db8:${rack}::1`])[0];
  const bgp =
    topology === 'routers'
      ? {
          peers: [1, 2].map((rack) => ({
            name: `tor-rack${rack}`,
            address: router(rack),
            asNumber: 64600 + rack,
            zone: `rack${rack}`,
            passwordFrom: `rack${rack}`,
            filters: ['pods'],
            gracefulRestart: '60s',
          })),
          filters: [
            {
              name: 'pods',
              import: [{ cidr: byFamily(families, ['0.0.0.0/0'], ['::/0'])[0], match: 'Equal', action: 'Accept' }],
              export: clusterNetworks(families).podCidrs.map((cidr) => ({ cidr, action: 'Accept' })),
            },
          ],
          advertise: {
            serviceIps: true,
            loadBalancerCidrs: byFamily(families, ['203.0.113.0/24'], ['2001:db8:ff::/64']),
          },
        }
      : {};
  return {
    name: 'oslo',
    kit: '^0.1.0',
    environment: 'staging',
    underlay: { subnets: [subnet(1, families), subnet(2, families)] },
    machines: {
      provider: 'existing',
      nodes: [machine('cp1', 1, 11, { role: 'control-plane' }), machine('w1', 2, 12, {})],
    },
    kubernetes: { version: '1.36.1' },
    kubeProxy: { mode: kubeProxyFor[mode.dataplane] },
    artifacts: { from: mode.from },
    network: {
      ...clusterNetworks(families),
      cni: 'calico',
      routing: mode.routing,
      wireguard: mode.wireguard,
      calico: {
        ...{ version: mode.version, install: mode.install, dataplane: mode.dataplane, bgp },
        ...(mode.install === 'operator'
          ? { apiServer: true, tolerations: TOLERATIONS, resources: { typha: RESOURCES, node: RESOURCES } }
          : {}),
        ...(topology === 'reflectors' ? { pools: moving(families) } : {}),
      },
    },
  };
}

/** @param calico more keys of network.calico @param network more keys of network */
export function planOfMode(
  mode: Mode,
  calico: object = {},
  network: object = {},
): { cluster: ClusterPlan | null; errors: string[] } {
  const site = siteOfMode(mode) as { network: { calico: object } };
  Object.assign(site.network, network);
  Object.assign(site.network.calico, calico);
  const { plan, findings } = compute(site);
  return { cluster: plan?.cluster ?? null, errors: lines(findings.filter(({ severity }) => severity === 'error')) };
}

/** Why a combination cannot work, told apart from the code that refuses it. */
export function impossible(mode: Mode): string[] {
  const { routing, families, from, version, install, dataplane, topology } = mode;
  const ipip = routing.startsWith('ipip');
  const bgp = routing === 'bgp' || ipip || topology !== 'plain';
  return [
    ...(ipip && families !== 'v4' ? ['IP-in-IP carries no IPv6'] : []),
    ...(from === 'source' && bgp ? ['a source bundle has no BIRD'] : []),
    ...(from === 'source' && dataplane === 'bpf' ? ['a source bundle has no eBPF programs'] : []),
    ...(from === 'source' && install === 'operator' ? ['the operator is not built from source'] : []),
    ...(from === 'source' && version === '3.32.1' ? ['the Go module is 3.28.5'] : []),
    ...(version === '3.28.5' && install === 'operator' ? ['no operator is known for 3.28.5'] : []),
    ...(version === '3.28.5' && dataplane === 'nftables' ? ['nftables came with 3.29'] : []),
  ];
}
