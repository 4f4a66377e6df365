import { controlPlane, findingsOf, HOST_KEY, kvmSite, node, planOf, siteOf, subnet } from './site';

/** Findings of a site of virtual machines whose second one and whose other keys are given. */
const withWorker = (worker: object, more: Record<string, unknown> = {}) =>
  findingsOf(kvmSite([controlPlane, { ...node('w1', 1, 12), ...worker }], {}, more));
const withNetwork = (network: object, more: Record<string, unknown> = {}) => withWorker({}, { network, ...more });
const withUnderlay = (underlay: object, more: Record<string, unknown> = {}) =>
  withWorker({}, { underlay: { subnets: [subnet(1)], ...underlay }, ...more });

describe('addresses', () => {
  test('are planned with their subnet, gateways, routes and MAC', () => {
    const plan = planOf(
      kvmSite(
        [controlPlane, node('w1', 1, 12, { mac: '52:54:00:12:34:56' })],
        {},
        {
          underlay: { subnets: [subnet(1)], routes: [{ to: '203.0.113.0/24', via: '192.0.1.254' }] },
          kubernetes: { vip: '192.0.1.10' },
        },
      ),
    );
    expect(plan.address).toEqual({
      families: ['ipv4'],
      subnets: [{ name: 's1', cidrs: ['192.0.1.0/24'], gateways: ['192.0.1.1'], mtuBytes: 1500 }],
      podCidrs: ['10.244.0.0/16'],
      serviceCidrs: ['10.96.0.0/12'],
      vip: '192.0.1.10',
    });
    // The first three bytes of `printf oslo/cp1 | sha256sum`.
    expect(plan.nodes.map((each) => each.interface.mac)).toEqual(['52:54:00:89:44:f1', '52:54:00:12:34:56']);
    expect(plan.nodes[0].interface).toEqual({
      name: null,
      mac: '52:54:00:89:44:f1',
      mtuBytes: 1500,
      gateways: ['192.0.1.1'],
      routes: [{ to: '203.0.113.0/24', via: '192.0.1.254' }],
      podRoutes: [],
      driver: 'virtio_net',
    });
    expect(plan.nodes[1]).toMatchObject({ subnet: 's1', addresses: ['192.0.1.12/24'] });
  });

  test('are IPv4 first in the plan, while the kit connects to the first of the site file', () => {
    const dual = siteOf('dual', 1);
    const machines = dual.machines as { nodes: { addresses: string[] }[] };
    machines.nodes[1].addresses = ['2001:DB8:1:0::12/64', '192.0.1.12/24'];
    const plan = planOf(dual);
    expect(plan.nodes[1].addresses).toEqual(['192.0.1.12/24', '2001:db8:1::12/64']);
    expect(plan.nodes[1].ssh.host).toBe('2001:DB8:1:0::12');
    expect(plan.address.families).toEqual(['ipv4', 'ipv6']);
  });

  test('a machine that is the next hop itself does not get the route', () => {
    const plan = planOf(
      kvmSite(
        [controlPlane, node('w1', 1, 12)],
        {},
        {
          underlay: { subnets: [subnet(1)], routes: [{ to: '203.0.113.0/24', via: '192.0.1.12' }] },
        },
      ),
    );
    expect(plan.nodes.map((each) => each.interface.routes.length)).toEqual([1, 0]);
  });

  test('/etc/hosts has every machine and the names of the site, sorted', () => {
    const plan = planOf(
      kvmSite(
        [node('zed', 1, 100), { ...controlPlane }],
        {},
        {
          nodePrep: {
            hosts: { 'mirror.example': '203.0.113.9', 'api.example': '192.0.1.11', 'a.example': '192.0.1.11' },
          },
        },
      ),
    );
    expect(plan.hosts).toEqual([
      { address: '192.0.1.11', names: ['cp1', 'a.example', 'api.example'] },
      { address: '192.0.1.100', names: ['zed'] },
      { address: '203.0.113.9', names: ['mirror.example'] },
    ]);
  });
});

type Refusal = [what: string, actual: () => string[], expected: string];

const at = 'error machines.nodes.1.addresses.0:';
const REFUSALS: Refusal[] = [
  [
    'an address outside every subnet',
    () => withWorker({ addresses: ['192.0.9.12/24'] }),
    `${at} 192.0.9.12/24 is in no subnet: add its network to underlay.subnets, or correct the address`,
  ],
  [
    'another prefix length',
    () => withWorker({ addresses: ['192.0.1.12/25'] }),
    `${at} 192.0.1.12/25 has prefix length 25 and subnet s1 has 24: write 192.0.1.12/24`,
  ],
  [
    'the network address',
    () => withWorker({ addresses: ['192.0.1.0/24'] }),
    `${at} 192.0.1.0/24 is the network address of 192.0.1.0/24: choose another address of 192.0.1.0/24`,
  ],
  [
    'the broadcast address',
    () => withWorker({ addresses: ['192.0.1.255/24'] }),
    `${at} 192.0.1.255/24 is the broadcast address of 192.0.1.0/24: choose another address of 192.0.1.0/24`,
  ],
  [
    'the gateway',
    () => withWorker({ addresses: ['192.0.1.1/24'] }),
    `${at} 192.0.1.1/24 is the gateway of subnet s1: choose another address of 192.0.1.0/24`,
  ],
  [
    'a multicast address',
    () => withWorker({ addresses: ['224.0.0.1/24'] }),
    `${at} 224.0.0.1/24 is a multicast address: a machine needs a unicast address of its subnet`,
  ],
  [
    'an address twice',
    () => withWorker({ addresses: ['192.0.1.11/24'] }),
    `${at} 192.0.1.11 is the address of cp1 too: give each machine its own`,
  ],
  [
    'a name twice',
    () => withWorker({ name: 'cp1', mac: '52:54:00:00:00:01' }),
    'error machines.nodes.1.name: cp1 is the name of another machine too: give each its own',
  ],
  [
    'a MAC twice',
    () =>
      findingsOf(
        kvmSite([{ ...controlPlane, mac: '52:54:00:00:00:01' }, node('w1', 1, 12, { mac: '52:54:00:00:00:01' })]),
      ),
    'error machines.nodes.1.mac: 52:54:00:00:00:01 is the MAC address of cp1 too: set a different `mac`',
  ],
  [
    'a multicast MAC',
    () => withWorker({ mac: '53:54:00:00:00:01' }),
    "error machines.nodes.1.mac: 53:54:00:00:00:01 is a multicast address: the first byte of a machine's MAC address must be even, such as 52",
  ],
  [
    'two addresses of one family',
    () => withWorker({ addresses: ['192.0.1.12/24', '192.0.1.13/24'] }),
    'error machines.nodes.1.addresses.1: 192.0.1.13/24 is a second IPv4 address of w1: one per family is allowed',
  ],
  [
    'a gateway outside its subnet',
    () => withUnderlay({ subnets: [subnet(1, 'v4', { gateways: ['192.0.2.1'] })] }),
    'error underlay.subnets.0.gateways.0: 192.0.2.1 is outside the subnet: a gateway must lie in 192.0.1.0/24',
  ],
  [
    'two gateways of one family',
    () => withUnderlay({ subnets: [subnet(1, 'v4', { gateways: ['192.0.1.1', '192.0.1.2'] })] }),
    'error underlay.subnets.0.gateways.1: 192.0.1.2 is a second IPv4 gateway: one per family is allowed',
  ],
  [
    'a gateway on the broadcast address',
    () => withUnderlay({ subnets: [subnet(1, 'v4', { gateways: ['192.0.1.255'] })] }),
    'error underlay.subnets.0.gateways.0: 192.0.1.255 is the broadcast address of 192.0.1.0/24: no gateway can have it',
  ],
  [
    'a network with host bits',
    () => withNetwork({ podCidrs: ['10.244.0.1/16'] }),
    'error network.podCidrs.0: 10.244.0.1/16 is an address inside a network: write the network itself, 10.244.0.0/16',
  ],
  [
    'two pod networks of one family',
    () => withNetwork({ podCidrs: ['10.244.0.0/16', '10.245.0.0/16'] }),
    'error network.podCidrs.1: 10.245.0.0/16 is a second IPv4 network: one per family is allowed',
  ],
  [
    'pods over services',
    () => withNetwork({ podCidrs: ['10.96.0.0/16'] }),
    'error network.serviceCidrs.0: 10.96.0.0/12 overlaps the pod network (10.96.0.0/16): choose networks that share no address',
  ],
  [
    'pods over a subnet',
    () => withNetwork({ podCidrs: ['192.0.0.0/16'] }),
    'error network.podCidrs.0: 192.0.0.0/16 overlaps subnet s1 (192.0.1.0/24): choose networks that share no address',
  ],
  [
    'services over a subnet',
    () => withNetwork({ serviceCidrs: ['192.0.1.128/25'] }),
    'error network.serviceCidrs.0: 192.0.1.128/25 overlaps subnet s1 (192.0.1.0/24): choose networks that share no address',
  ],
  [
    'a subnet over a subnet',
    () => withUnderlay({ subnets: [subnet(1), { ...subnet(2), cidrs: ['192.0.0.0/22'], gateways: [] }] }),
    'error underlay.subnets.1.cidrs.0: 192.0.0.0/22 overlaps subnet s1 (192.0.1.0/24): choose networks that share no address',
  ],
  [
    'a name of two subnets',
    () => withUnderlay({ subnets: [subnet(1), subnet(2, 'v4', { name: 's1' })] }),
    'error underlay.subnets.1.name: s1 is the name of another subnet too: give each its own',
  ],
  [
    'a service network that is too large',
    () => withNetwork({ serviceCidrs: ['11.0.0.0/11'] }),
    'error network.serviceCidrs.0: 11.0.0.0/11 is too large: Kubernetes allows 20 bits of addresses, so a prefix length of at least 12',
  ],
  [
    'a service network that is too small',
    () => withNetwork({ serviceCidrs: ['10.96.0.0/29'] }),
    'error network.serviceCidrs.0: 10.96.0.0/29 is too small: kubeadm wants at least 10 addresses, so a prefix length of at most 28',
  ],
  [
    'a pod network with too few blocks',
    () => withNetwork({ podCidrs: ['10.244.0.0/26'] }),
    'error network.podCidrs.0: 10.244.0.0/26 is too small: it holds 1 of the /26 blocks and each of the 2 machines needs one, so a prefix length of at most 25',
  ],
  [
    'a route whose next hop is nowhere',
    () => withUnderlay({ routes: [{ to: '203.0.113.0/24', via: '198.51.100.1' }] }),
    'error underlay.routes.0.via: 198.51.100.1 is in no subnet of underlay.subnets: a next hop must be reachable without another router',
  ],
  [
    'a route into the pods',
    () => withUnderlay({ routes: [{ to: '10.244.3.0/24', via: '192.0.1.254' }] }),
    "error underlay.routes.0.to: 10.244.3.0/24 is inside the cluster's own 10.244.0.0/16: a static route there would take its packets away",
  ],
  [
    'a route twice',
    () =>
      withUnderlay({
        routes: [
          { to: '203.0.113.0/24', via: '192.0.1.254' },
          { to: '203.0.113.0/24', via: '192.0.1.253' },
        ],
      }),
    'error underlay.routes.1.to: 203.0.113.0/24 is routed twice: already via 192.0.1.254; keep one',
  ],
  [
    'a resolver among the Services',
    () => withUnderlay({ dns: { servers: ['10.96.0.10'] } }),
    "error underlay.dns.servers.0: 10.96.0.10 is inside the cluster's own 10.96.0.0/12: a resolver must be outside it",
  ],
  [
    'a peer of a family that no machine has',
    () => withWorker({}, { checks: { peers: [{ name: 'win', address: '2001:db8::9' }] } }),
    'error checks.peers.0.address: 2001:db8::9 is IPv6 and the machines have no such address: a peer would be out of reach',
  ],
  [
    'a peer that gets more than an interface sends',
    () => withWorker({}, { checks: { peers: [{ name: 'win', address: '203.0.113.9', mtu: 9000 }] } }),
    'error checks.peers.0.mtu: 9000 is too large: the smallest interface of the machines sends at most 1500; lower it or leave it out',
  ],
  [
    'a machine name in nodePrep.hosts',
    () => withWorker({}, { nodePrep: { hosts: { w1: '203.0.113.9' } } }),
    'error nodePrep.hosts.w1: w1 is a machine of this site: its name already stands for 192.0.1.12; leave it out',
  ],
  [
    'a virtual address that a machine has',
    () => withWorker({}, { kubernetes: { vip: '192.0.1.12' } }),
    'error kubernetes.vip: 192.0.1.12 is the address of w1: a virtual address must be unused',
  ],
  [
    'a virtual address that is the gateway',
    () => withWorker({}, { kubernetes: { vip: '192.0.1.1' } }),
    'error kubernetes.vip: 192.0.1.1 is the gateway of subnet s1: a virtual address must be unused',
  ],
  [
    'a virtual address outside the subnet',
    () => withWorker({}, { kubernetes: { vip: '192.0.2.10' } }),
    'error kubernetes.vip: 192.0.2.10 is outside subnet s1 of the control-plane machines: choose an unused address of 192.0.1.0/24',
  ],
  [
    'a virtual address on the broadcast address',
    () => withWorker({}, { kubernetes: { vip: '192.0.1.255' } }),
    'error kubernetes.vip: 192.0.1.255 is the broadcast address of 192.0.1.0/24: choose an unused address of 192.0.1.0/24',
  ],
  [
    'a virtual address of another family',
    () => withWorker({}, { kubernetes: { vip: '2001:db8::10' } }),
    'error kubernetes.vip: 2001:db8::10 is IPv6 and the machines have no such address: choose one of their family',
  ],
];

describe('refused', () => {
  test.each(REFUSALS)('%s', (_, actual, expected) => expect(actual()).toEqual([expected]));

  test('a virtual address across subnets, with the reason', () => {
    const nodes = [1, 2, 3].map((number) => node(`cp${number}`, number, 11, { role: 'control-plane' }));
    const underlay = { subnets: [subnet(1), subnet(2), subnet(3)] };
    expect(findingsOf(kvmSite(nodes, {}, { underlay, kubernetes: { vip: '192.0.1.10' } }))).toContain(
      'error kubernetes.vip: 192.0.1.10 cannot move between subnets: the control-plane machines are in s1 and s2 and s3, ' +
        'and a virtual address is announced by ARP, neighbour discovery and VRRP, which no router passes on; put them in ' +
        'one subnet, or leave it out',
    );
  });

  test('subnets that cannot reach each other', () => {
    const subnets = [subnet(1, 'v4', { gateways: [] }), subnet(2)];
    const nodes = [controlPlane, node('w1', 2, 11)];
    expect(findingsOf(kvmSite(nodes, {}, { underlay: { subnets } }))).toEqual([
      'error underlay.subnets.0.gateways: subnet s1 has no IPv4 way to 192.0.2.0/24, where other machines are: name its gateway, or add a route to underlay.routes',
    ]);
    const routes = [{ to: '192.0.0.0/16', via: '192.0.1.254' }];
    expect(findingsOf(kvmSite(nodes, {}, { underlay: { subnets, routes } }))).toEqual([]);
  });

  test('families that do not fit together', () => {
    const site = siteOf('dual', 1, { network: {} });
    (site.machines as { nodes: object[] }).nodes.push({
      name: 'n3',
      role: 'worker',
      addresses: ['192.0.1.13/24'],
      ssh: { hostKey: HOST_KEY },
    });
    expect(findingsOf(site)).toEqual([
      'error machines.nodes.2.addresses: n3 has IPv4 and n1 has IPv4 and IPv6: every machine needs the same families',
    ]);
    expect(findingsOf(siteOf('v6', 1, { network: {} }))).toEqual([
      'error network.podCidrs.0: 10.244.0.0/16 is IPv4 and the machines have no IPv4 address: give every machine one, or set network.podCidrs to IPv6 networks only',
      'error network.serviceCidrs.0: 10.96.0.0/12 is IPv4 and the machines have no IPv4 address: give every machine one, or set network.serviceCidrs to IPv6 networks only',
    ]);
    expect(findingsOf(siteOf('dual', 1, { network: { podCidrs: ['10.244.0.0/16', 'fd00:10:244::/56'] } }))).toEqual([
      'error network.serviceCidrs: network.serviceCidrs has IPv4 and network.podCidrs has IPv4, IPv6: both need the same families in the same order, the first is the primary one',
    ]);
  });

  test('large IPv6 networks, by the same rules', () => {
    const network = { podCidrs: ['fd00:10:244::/122'], serviceCidrs: ['fd00:10:96::/107'] };
    expect(findingsOf(siteOf('v6', 1, { network }))).toEqual([
      'error network.podCidrs.0: fd00:10:244::/122 is too small: it holds 1 of the /122 blocks and each of the 2 machines needs one, so a prefix length of at most 121',
      'error network.serviceCidrs.0: fd00:10:96::/107 is too large: Kubernetes allows 20 bits of addresses, so a prefix length of at least 108',
    ]);
    const overlap = { podCidrs: ['2001:db8::/32'], serviceCidrs: ['fd00:10:96::/112'] };
    expect(findingsOf(siteOf('v6', 1, { network: overlap }))).toEqual([
      'error network.podCidrs.0: 2001:db8::/32 overlaps subnet s1 (2001:db8:1::/64): choose networks that share no address',
    ]);
  });

  test('every overlap of networks that lie in each other', () => {
    const network = { podCidrs: ['192.0.1.128/25'], serviceCidrs: ['192.0.0.0/16'] };
    expect(withNetwork(network)).toEqual([
      'error network.serviceCidrs.0: 192.0.0.0/16 overlaps subnet s1 (192.0.1.0/24): choose networks that share no address',
      'error network.serviceCidrs.0: 192.0.0.0/16 overlaps the pod network (192.0.1.128/25): choose networks that share no address',
      'error network.podCidrs.0: 192.0.1.128/25 overlaps subnet s1 (192.0.1.0/24): choose networks that share no address',
    ]);
  });

  test('all problems come at once', () => {
    const found = withWorker(
      { addresses: ['192.0.1.11/24'], mac: '53:54:00:00:00:01' },
      { kit: '^9.0.0', network: { podCidrs: ['10.96.0.0/16'], podMtu: 1501 }, kubernetes: { vip: '192.0.1.1' } },
    );
    expect(found.map((line) => line.split(':')[0])).toEqual([
      'error kit',
      'error machines.nodes.1.mac',
      'error machines.nodes.1.addresses.0',
      'error network.serviceCidrs.0',
      'error kubernetes.vip',
      'error network.podMtu',
    ]);
    expect(found[0]).toBe(
      'error kit: ^9.0.0 does not allow this kit, which is 0.1.0: use a kit that it allows, or review `sitewright plan oslo` with this one and set kit to ^0.1.0',
    );
  });
});
