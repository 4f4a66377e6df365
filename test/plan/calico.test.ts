import { poolProblems } from '../../components/plan/calicoPoolChange';
import type { CalicoPool } from '../../components/plan/calicoTypes';
import { clusterSite } from './clusterSite';
import { findingsOf, node, planOf, siteOf, HOST_KEY } from './site';

const ipvs = { kubeProxy: { mode: 'ipvs' } };
const calicoSite = (calico: object, network: object = {}, more: Record<string, unknown> = {}) =>
  clusterSite({ network: { cni: 'calico', routing: 'bgp', calico, ...network }, more: { ...ipvs, ...more } });
const planned = (...args: Parameters<typeof calicoSite>) => planOf(calicoSite(...args)).cluster!.calico!;

/** Findings about Calico alone. */
const refused = (...args: Parameters<typeof calicoSite>) =>
  findingsOf(calicoSite(...args)).filter((line) => line.includes(' network.'));

describe('MTU of the devices', () => {
  /** networking facts, section 1: by mode and family; underlays of 1500 and of 9000 bytes. */
  const TABLE: [
    routing: string,
    wireguard: boolean,
    families: 'v4' | 'v6' | 'dual',
    devices: Record<string, number>,
  ][] = [
    ['bgp', false, 'v4', { veth: 1500 }],
    ['bgp', false, 'v6', { veth: 1500 }],
    ['bgp', false, 'dual', { veth: 1500 }],
    ['ipip', false, 'v4', { veth: 1480, ipip: 1480 }],
    ['ipip-cross-subnet', false, 'v4', { veth: 1480, ipip: 1480 }],
    ['vxlan', false, 'v4', { veth: 1450, vxlan: 1450 }],
    ['vxlan', false, 'v6', { veth: 1430, vxlanV6: 1430 }],
    ['vxlan', false, 'dual', { veth: 1430, vxlan: 1450, vxlanV6: 1430 }],
    ['vxlan-cross-subnet', false, 'v4', { veth: 1450, vxlan: 1450 }],
    ['vxlan-cross-subnet', false, 'v6', { veth: 1430, vxlanV6: 1430 }],
    ['vxlan-cross-subnet', false, 'dual', { veth: 1430, vxlan: 1450, vxlanV6: 1430 }],
    ['bgp', true, 'v4', { veth: 1440, wireguard: 1440 }],
    ['bgp', true, 'v6', { veth: 1420, wireguardV6: 1420 }],
    ['bgp', true, 'dual', { veth: 1420, wireguard: 1440, wireguardV6: 1420 }],
    ['ipip', true, 'v4', { veth: 1440, ipip: 1480, wireguard: 1440 }],
    ['ipip-cross-subnet', true, 'v4', { veth: 1440, ipip: 1480, wireguard: 1440 }],
    ['vxlan', true, 'v4', { veth: 1440, vxlan: 1450, wireguard: 1440 }],
    ['vxlan', true, 'v6', { veth: 1420, vxlanV6: 1430, wireguardV6: 1420 }],
    ['vxlan-cross-subnet', true, 'v4', { veth: 1440, vxlan: 1450, wireguard: 1440 }],
    ['vxlan-cross-subnet', true, 'v6', { veth: 1420, vxlanV6: 1430, wireguardV6: 1420 }],
    [
      'vxlan-cross-subnet',
      true,
      'dual',
      { veth: 1420, vxlan: 1450, vxlanV6: 1430, wireguard: 1440, wireguardV6: 1420 },
    ],
    ['vxlan', true, 'dual', { veth: 1420, vxlan: 1450, vxlanV6: 1430, wireguard: 1440, wireguardV6: 1420 }],
  ];
  const NONE = { ipip: null, vxlan: null, vxlanV6: null, wireguard: null, wireguardV6: null };
  const mtuOf = (
    routing: string,
    wireguard: boolean,
    families: 'v4' | 'v6' | 'dual',
    mtu: number,
    calico = {},
    mode = 'ipvs',
  ) => {
    const site = siteOf(families, 2, { kubernetes: { version: '1.36.1' }, kubeProxy: { mode } }, mtu);
    Object.assign(site.network as object, { cni: 'calico', routing, wireguard, calico });
    return planOf(site).cluster!.calico!.mtuBytes;
  };

  test.each(TABLE)('%s, WireGuard %s, %s', (routing, wireguard, families, devices) => {
    const raised = Object.fromEntries(Object.entries(devices).map(([name, bytes]) => [name, bytes + 7500]));
    expect(mtuOf(routing, wireguard, families, 1500)).toEqual({ ...NONE, ...devices });
    expect(mtuOf(routing, wireguard, families, 9000)).toEqual({ ...NONE, ...raised });
  });

  test('bpf takes 50 bytes for Services, or 70, without a device of its own', () => {
    const bpf = { dataplane: 'bpf' };
    expect(mtuOf('bgp', false, 'v4', 1500, bpf, 'iptables')).toEqual({ ...NONE, veth: 1450 });
    expect(mtuOf('bgp', false, 'dual', 9000, bpf, 'iptables')).toEqual({ ...NONE, veth: 8930 });
    expect(mtuOf('ipip', false, 'v4', 1500, bpf, 'iptables')).toEqual({ ...NONE, veth: 1450, ipip: 1480 });
  });

  test('the operator has one number for every device: the least', () => {
    expect(mtuOf('vxlan', true, 'v4', 1500, { install: 'operator' })).toEqual({
      ...{ ...NONE, veth: 1440, vxlan: 1440, wireguard: 1440 },
    });
  });
});

describe('pools', () => {
  const pool = (name: string, cidr: string, more = {}) => ({ name, cidr, ...more });

  test('none stated: one for each pod network', () => {
    expect(planned({})).toMatchObject({
      pools: [{ name: 'default-ipv4-ippool', cidr: '10.244.0.0/16', blockSize: 26, nodeSelector: 'all()' }],
    });
  });

  test('outside the pod networks, overlapping, twice', () => {
    const pools = [pool('a', '10.1.0.0/16'), pool('b', '10.244.0.0/17'), pool('b', '10.244.64.0/18')];
    expect(refused({ pools })).toEqual([
      'error network.calico.pools.0.cidr: 10.1.0.0/16 is outside network.podCidrs: choose a network inside 10.244.0.0/16',
      'error network.calico.pools.2.name: b is the name of another pool too: give each its own',
      'error network.calico.pools.2.cidr: 10.244.64.0/18 overlaps pool b (10.244.0.0/17): choose networks that share no address',
    ]);
  });

  test('a block for every machine, of a length that Calico takes', () => {
    expect(refused({ pools: [pool('a', '10.244.0.0/25')] })).toEqual([
      'error network.calico.pools.0.cidr: 10.244.0.0/25 holds 2 blocks of /26 and each of its 5 machines needs one: use a blockSize of at least 28, or a larger network',
    ]);
    expect(refused({ pools: [pool('a', '10.244.0.0/25', { blockSize: 28 })] })).toEqual([]);
    expect(refused({ pools: [pool('a', '10.244.0.0/16', { blockSize: 122 })] })).toEqual([
      'error network.calico.pools.0.blockSize: 122 is no block size of IPv4: choose 20 to 32, or leave it out for 26',
    ]);
  });

  test('a zone that has machines; machines that have a pool', () => {
    expect(refused({ pools: [pool('a', '10.244.0.0/17', { zone: 'rack1' })] })).toEqual([
      'error network.calico.pools: pods on cp1, cp2, cp3, w2 would get no IPv4 address: add a pool for the zone of these machines, or one without a zone, that is not disabled',
    ]);
    expect(refused({ pools: [pool('a', '10.244.0.0/17'), pool('b', '10.244.128.0/17', { zone: 'rack9' })] })).toEqual([
      'error network.calico.pools.1.zone: no machine is in zone rack9, and the zones of the machines are rack1: use one of them or leave zone out',
    ]);
  });

  test('a disabled pool gives no addresses: somebody else must, and it needs no room for machines', () => {
    const small = pool('a', '10.244.0.0/26', { disabled: true, zone: 'rack9' });
    expect(refused({ pools: [small, pool('b', '10.244.128.0/17')] })).toEqual([]);
    expect(refused({ pools: [small] })).toEqual([
      'error network.calico.pools: pods on cp1, cp2, cp3, w1, w2 would get no IPv4 address: add a pool for the zone of these machines, or one without a zone, that is not disabled',
    ]);
    const { operator } = planned({ install: 'operator', pools: [small, pool('b', '10.244.128.0/17')] });
    expect(operator[0].spec).toMatchObject({
      calicoNetwork: { ipPools: [{ name: 'a', disableNewAllocations: true }, { name: 'b' }] },
    });
  });

  test('what cannot be changed is refused with the way to get there', () => {
    const before: CalicoPool[] = planned({ pools: [pool('a', '10.244.0.0/17')] }).pools;
    expect(poolProblems(before, before)).toEqual([]);
    expect(poolProblems(before, [{ ...before[0], natOutgoing: false }])).toEqual([]);
    expect(poolProblems(before, [{ ...before[0], cidr: '10.244.0.0/18', blockSize: 28 }])).toEqual([
      expect.stringMatching(
        /^pool a: cidr 10\.244\.0\.0\/17 to 10\.244\.0\.0\/18 and blockSize 26 to 28 cannot be changed\. In two edits:/,
      ),
    ]);
  });
});

describe('BGP', () => {
  const peer = (more: object = {}) => ({ name: 'tor', address: '192.0.1.1', asNumber: 64601, ...more });
  const bgp = (more: object) => refused({ bgp: more });

  test('AS numbers that no router may have', () => {
    expect(bgp({ asNumber: 65535, peers: [peer({ asNumber: 23456 })] })).toEqual([
      'error network.calico.bgp.asNumber: 65535 is reserved and no AS number of a router: private ones are 64512 to 65534 and 4200000000 to 4294967294',
      'error network.calico.bgp.peers.0.asNumber: 23456 is AS_TRANS and no AS number of a router: private ones are 64512 to 65534 and 4200000000 to 4294967294',
    ]);
    expect(() => findingsOf(calicoSite({ bgp: { asNumber: 0 } }))).toThrow(/asNumber/);
    expect(() => findingsOf(calicoSite({ bgp: { asNumber: 4294967296 } }))).toThrow(/asNumber/);
  });

  test('a router that nobody reaches, or nobody speaks to', () => {
    expect(bgp({ peers: [peer({ address: '198.51.100.1' })] })).toEqual([
      "error network.calico.bgp.peers.0.address: 198.51.100.1 is in no subnet of every machine, so none of these machines reaches tor: use the router's address in their subnet",
    ]);
    expect(
      bgp({
        peers: [
          peer({ zone: 'rack9' }),
          peer({ name: 'b', node: 'w9' }),
          peer({ name: 'c', node: 'w1', zone: 'rack1' }),
        ],
      }),
    ).toEqual([
      'error network.calico.bgp.peers.0.zone: no machine is in zone rack9: nobody would speak to tor',
      'error network.calico.bgp.peers.1.node: no machine is named w9: nobody would speak to b',
      'error network.calico.bgp.peers.2.zone: c has a node and a zone: leave one of them out',
    ]);
  });

  test('a filter that does not exist, and addresses of the cluster as those of load balancers', () => {
    expect(bgp({ peers: [peer({ filters: ['no'] })], advertise: { loadBalancerCidrs: ['10.244.9.0/24'] } })).toEqual([
      'error network.calico.bgp.peers.0.filters: there is no no in network.calico.bgp.filters: add it there or take it out here',
      "error network.calico.bgp.advertise.loadBalancerCidrs.0: 10.244.9.0/24 overlaps network.podCidrs (10.244.0.0/16): these addresses belong to Services from outside the cluster's own networks",
    ]);
  });

  test('a password has no place in the site file', () => {
    expect(() => findingsOf(calicoSite({ bgp: { peers: [peer({ password: 'hunter2' })] } }))).toThrow(/password/);
  });

  test('switched off, it takes what needs it along', () => {
    expect(refused({ bgp: { mode: 'off', peers: [peer()] } })).toEqual([
      'error network.calico.bgp.mode: routing bgp and network.calico.bgp.peers needs BGP, and network.calico.bgp.mode is off: use routing vxlan or vxlan-cross-subnet and leave the rest out, or leave network.calico.bgp.mode out',
    ]);
    expect(planned({ bgp: { mode: 'off' } }, { routing: 'auto' })).toMatchObject({ backend: 'vxlan', bgp: null });
  });

  test('VXLAN does without, unless a router is to learn addresses', () => {
    expect(planned({}, { routing: 'vxlan' })).toMatchObject({ backend: 'vxlan', bgp: null });
    expect(planned({ bgp: { peers: [peer()] } }, { routing: 'vxlan' })).toMatchObject({
      backend: 'bird',
      bgp: { mesh: true },
    });
  });

  test('more than 100 machines need reflectors; one alone is warned about', () => {
    const many = (count: number, reflectors: number, states: Record<string, string> = {}) => {
      const nodes = Array.from({ length: count }, (_, index) =>
        node(`n${index + 1}`, 1, index + 11, {
          role: index === 0 ? 'control-plane' : 'worker',
          ssh: { hostKey: HOST_KEY },
          labels: index > 0 && index <= reflectors ? { 'route-reflector': 'true' } : {},
          state: states[`n${index + 1}`] ?? 'active',
        }),
      );
      const site = siteOf('v4', 1, {
        machines: { provider: 'existing', nodes },
        kubernetes: { version: '1.36.1' },
        ...ipvs,
      });
      Object.assign(site.network as object, { cni: 'calico', routing: 'bgp' });
      return site;
    };
    const about = (count: number, reflectors: number) =>
      findingsOf(many(count, reflectors)).filter((line) => line.includes('routeReflectorLabel'));
    expect(about(100, 0)).toEqual([]);
    expect(about(101, 0)).toEqual([
      'error network.calico.bgp.routeReflectorLabel: 101 machines would keep 5050 BGP sessions with each other, and at most 100 machines may: give at least 2 of them the label route-reflector (machines.nodes[].labels), so that these reflect the routes',
    ]);
    expect(about(101, 1)).toEqual([
      'warning network.calico.bgp.routeReflectorLabel: n2 is the only machine with the label route-reflector: without it no node learns a route; label a second one in another zone',
    ]);
    expect(planOf(many(101, 2)).cluster!.calico!.bgp).toMatchObject({ mesh: false, clusterId: '244.0.0.1' });

    // Those that leave, or are dead, reflect for nobody.
    const reflecting = (states: Record<string, string>) => planOf(many(9, 3, states)).cluster!.calico!.bgp;
    expect(reflecting({ n2: 'leaving', n3: 'dead' })).toMatchObject({ mesh: false, routeReflectors: ['n4'] });
    expect(reflecting({ n2: 'dead', n3: 'dead', n4: 'dead' })).toMatchObject({ mesh: true, routeReflectors: [] });
    const last = (count: number) =>
      findingsOf(many(count, 2, { n2: 'leaving', n3: 'leaving' })).filter((line) => line.startsWith('error'));
    const why = 'reflects routes, and no machine with the label route-reflector stays: give it to at least 2 that do';
    const mesh = ', or first take the label off every machine and run up, so that each speaks to every other';
    expect(last(9)).toEqual([
      `error machines.nodes.1.state: n2 ${why}${mesh}`,
      `error machines.nodes.2.state: n3 ${why}${mesh}`,
    ]);
    expect(last(110)[0]).toBe(`error machines.nodes.1.state: n2 ${why}`);
  });
});

test('Typha: none below 50 machines, fewer than machines, and the operator has its own number', () => {
  expect(planned({}).typha).toBeNull();
  expect(planned({ typha: 4 })).toMatchObject({ typha: { replicas: 4 }, manifest: { file: 'calico-typha.yaml' } });
  expect(refused({ typha: 5 })).toEqual([
    'error network.calico.typha: 5 is too many: each runs on a node of its own, and a rollout needs a free one, so at most 4',
  ]);
  expect(refused({ typha: 2, install: 'operator' })).toEqual([
    'error network.calico.typha: the operator sets the number of Typhas by itself: leave it out',
  ]);
  expect(planned({ install: 'operator' }).typha).toEqual({ replicas: 3 });
});

test('dataplanes and the modes of kube-proxy that go with them', () => {
  const mode = (dataplane: string, kubeProxy: string) =>
    refused({ dataplane }, {}, { kubeProxy: { mode: kubeProxy } }).map((line) => line.split(' ')[0]);
  expect(mode('iptables', 'ipvs')).toEqual([]);
  expect(mode('iptables', 'nftables')).toEqual(['error']);
  expect(mode('nftables', 'nftables')).toEqual([]);
  expect(mode('nftables', 'ipvs')).toEqual(['error']);
  expect(mode('bpf', 'iptables')).toEqual(['warning']);
  expect(mode('bpf', 'ipvs')).toEqual(['error', 'warning']);
});

test('sysctls of pods: not by the operator, and not without Calico', () => {
  expect(refused({ install: 'operator' }, { podMtuProbing: true })).toEqual([
    expect.stringMatching(
      /^error network\.podMtuProbing: Calico's operator lets pods have net\.ipv4\.tcp_keepalive_\*/,
    ),
  ]);
  expect(refused({}, { cni: 'none', podMtuProbing: true })).toEqual([
    'error network.podMtuProbing: network.cni none cannot set sysctls of pods: set it to false, or network.cni to calico',
  ]);
});

test('resources of its own pods, as either install takes them; the API server of Calico by the operator alone', () => {
  const resources = { typha: { cpu: '200m', memory: '128MiB' }, node: { memoryLimit: '1GiB' } };
  expect(planned({ resources, typha: 3 }).manifest!.resources).toEqual({
    node: { limits: { memory: '1Gi' } },
    typha: { requests: { cpu: '200m', memory: '128Mi' } },
  });
  expect(planned({ resources }).manifest!.resources.typha).toBeNull();
  expect(planned({}).manifest!.resources).toEqual({ node: null, typha: null });
  const container = (name: string, given: object) => ({
    spec: { template: { spec: { containers: [{ name, resources: given }] } } },
  });
  const { operator } = planned({ resources, install: 'operator', apiServer: true });
  expect(operator).toMatchObject([
    {
      kind: 'Installation',
      spec: {
        calicoNodeDaemonSet: container('calico-node', { limits: { memory: '1Gi' } }),
        typhaDeployment: container('calico-typha', { requests: { cpu: '200m', memory: '128Mi' } }),
      },
    },
    { apiVersion: 'operator.tigera.io/v1', kind: 'APIServer', metadata: { name: 'default' } },
  ]);
  const { bundle } = planOf(calicoSite({ install: 'operator', apiServer: true })).cluster!;
  expect(bundle.images['calico-apiserver']).toBe('quay.io/calico/apiserver:v3.32.1');
  expect(bundle.name).toMatch(/-operator-apiserver$/);
  expect(refused({ apiServer: true, resources: { node: { memory: '1GiB', memoryLimit: '512MiB' } } })).toEqual([
    'error network.calico.apiServer: only the operator installs the API server of Calico: set network.calico.install to operator, or leave it out',
    'error network.calico.resources.node.memoryLimit: 512MiB is less than the 1GiB that every pod asks for (memory beside it): raise it',
  ]);
});

test('tolerations of its own pods, as either install takes them; a warning where no machine would take them', () => {
  const tolerations = [{ key: 'dedicated', value: 'gpu', effect: 'NoSchedule' }, { operator: 'Exists' }];
  const stated = [{ key: 'dedicated', operator: 'Equal', value: 'gpu', effect: 'NoSchedule' }, { operator: 'Exists' }];
  expect(planned({ tolerations }).manifest!.tolerations).toEqual(stated);
  expect(planned({ tolerations, install: 'operator' }).operator[0].spec).toMatchObject({
    controlPlaneTolerations: stated,
  });
  expect(planned({ install: 'operator' }).operator[0].spec).not.toHaveProperty('controlPlaneTolerations');
  expect(refused({ tolerations: [{ value: 'gpu' }, { operator: 'Exists', key: 'a', value: 'b' }] })).toEqual([
    'error network.calico.tolerations.0.key: without a key every taint is meant: set operator to Exists, or name a key',
    'error network.calico.tolerations.1.value: Exists takes any value: leave value out, or operator',
  ]);

  const tainted = (calico: object) =>
    findingsOf(
      clusterSite({
        nodes: [
          node('cp1', 1, 11, { role: 'control-plane', taints: [{ key: 'dedicated', effect: 'NoExecute' }] }),
          node('w1', 1, 21, { taints: [{ key: 'dedicated', value: 'gpu', effect: 'NoSchedule' }] }),
        ],
        network: { cni: 'calico', routing: 'bgp', calico },
        more: ipvs,
      }),
    ).filter((line) => line.includes('network.calico.tolerations'));
  expect(tainted({})).toEqual([
    expect.stringMatching(/^warning .*: every machine has a taint that calico-kube-controllers does not tolerate/),
  ]);
  expect(tainted({ tolerations: [{ key: 'dedicated' }] })).toEqual([]);
  expect(tainted({ tolerations: [{ key: 'dedicated', value: 'other' }] })).toHaveLength(1);
  expect(tainted({ tolerations: [{ key: 'dedicated', operator: 'Exists', effect: 'NoSchedule' }] })).toEqual([]);
});
