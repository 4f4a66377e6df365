import { findingsOf, node, planOf, siteOf, subnet, clusterNetworks, HOST_KEY } from './site';

type Case = [routing: string, wireguard: boolean, families: 'v4' | 'v6' | 'dual', at1500: number, at9000: number];

/** Written out by hand from the table of the project's networking facts, not computed. */
const TABLE: Case[] = [
  ['bgp', false, 'v4', 1500, 9000],
  ['bgp', false, 'v6', 1500, 9000],
  ['bgp', false, 'dual', 1500, 9000],
  ['ipip', false, 'v4', 1480, 8980],
  ['ipip-cross-subnet', false, 'v4', 1480, 8980],
  ['vxlan', false, 'v4', 1450, 8950],
  ['vxlan', false, 'v6', 1430, 8930],
  ['vxlan', false, 'dual', 1430, 8930],
  ['vxlan-cross-subnet', false, 'v4', 1450, 8950],
  ['vxlan-cross-subnet', false, 'v6', 1430, 8930],
  ['vxlan-cross-subnet', false, 'dual', 1430, 8930],
  ['bgp', true, 'v4', 1440, 8940],
  ['bgp', true, 'v6', 1420, 8920],
  ['bgp', true, 'dual', 1420, 8920],
  ['ipip', true, 'v4', 1440, 8940],
  ['ipip-cross-subnet', true, 'v4', 1440, 8940],
  ['vxlan', true, 'v4', 1440, 8940],
  ['vxlan', true, 'v6', 1420, 8920],
  ['vxlan', true, 'dual', 1420, 8920],
  ['vxlan-cross-subnet', true, 'v4', 1440, 8940],
  ['vxlan-cross-subnet', true, 'v6', 1420, 8920],
  ['vxlan-cross-subnet', true, 'dual', 1420, 8920],
];

const mtuOf = (families: 'v4' | 'v6' | 'dual', network: object, underlayMtu = 1500, subnets = 2) =>
  planOf(siteOf(families, subnets, { network: { ...clusterNetworks(families), ...network } }, underlayMtu)).mtu;

describe('the pod MTU', () => {
  test.each(TABLE)('%s, wireguard %s, %s: %d and %d', (routing, wireguard, families, at1500, at9000) => {
    expect(mtuOf(families, { routing, wireguard }, 1500).podMtuBytes).toBe(at1500);
    expect(mtuOf(families, { routing, wireguard }, 9000).podMtuBytes).toBe(at9000);
  });

  test('has each step of the budget with its source', () => {
    expect(mtuOf('dual', { routing: 'vxlan' }).steps).toEqual([
      { what: 'underlay: subnet s1', bytes: 1500, leftBytes: 1500, source: 'underlay.mtu' },
      {
        what: 'vxlan, IPv6 pods',
        bytes: -70,
        leftBytes: 1430,
        source:
          'outer IPv6 40 + UDP 8 + VXLAN 8 + inner Ethernet 14 (RFC 7348); the largest counts, not the sum: vxlan, IPv4 pods 50',
      },
    ]);
    expect(mtuOf('v4', { routing: 'bgp' }).steps[1]).toEqual({
      what: 'no encapsulation',
      bytes: 0,
      leftBytes: 1500,
      source: 'routing bgp',
    });
  });

  test('gives every device its own MTU, and the veth the smallest', () => {
    expect(mtuOf('dual', { routing: 'vxlan', wireguard: true }).devices).toEqual([
      { name: 'veth', mtuBytes: 1420 },
      { name: 'vxlan-v6.calico', mtuBytes: 1430 },
      { name: 'vxlan.calico', mtuBytes: 1450 },
      { name: 'wg-v6.cali', mtuBytes: 1420 },
      { name: 'wireguard.cali', mtuBytes: 1440 },
    ]);
    expect(mtuOf('v4', { routing: 'ipip', wireguard: true }).devices).toEqual([
      { name: 'tunl0', mtuBytes: 1480 },
      { name: 'veth', mtuBytes: 1440 },
      { name: 'wireguard.cali', mtuBytes: 1440 },
    ]);
    expect(mtuOf('v4', { routing: 'bgp' }).devices).toEqual([{ name: 'veth', mtuBytes: 1500 }]);
  });

  test('tells the largest TCP segment by family', () => {
    expect(mtuOf('dual', { routing: 'vxlan' }).mssBytes).toEqual({ ipv4: 1390, ipv6: 1370 });
    expect(mtuOf('v4', { routing: 'ipip' }).mssBytes).toEqual({ ipv4: 1440 });
  });

  test('takes a GRE underlay off first, from the interfaces too', () => {
    const site = siteOf('v4', 1, { network: { routing: 'ipip' } });
    const plan = planOf({ ...site, underlay: { gre: true, subnets: [subnet(1)] } });
    expect(plan.mtu).toMatchObject({ underlayMtuBytes: 1476, overheadBytes: 20, podMtuBytes: 1456 });
    expect(plan.mtu.steps.map((step) => [step.bytes, step.leftBytes])).toEqual([
      [1500, 1500],
      [-24, 1476],
      [-20, 1456],
    ]);
    expect(plan.nodes.map((each) => each.interface.mtuBytes)).toEqual([1476, 1476]);
    expect(plan.proof.pairs[0].underlayMtuBytes).toBe(1476);
  });

  test('comes from the smallest underlay, while each pair has its own', () => {
    const nodes = [
      node('n1', 1, 11, { role: 'control-plane', ssh: { hostKey: HOST_KEY } }),
      node('n2', 1, 12, { ssh: { hostKey: HOST_KEY } }),
      node('n3', 2, 11, { ssh: { hostKey: HOST_KEY } }),
      node('n4', 3, 11, { ssh: { hostKey: HOST_KEY } }),
    ];
    const subnets = [subnet(1, 'v4', { mtu: 9000 }), subnet(2, 'v4', { mtu: 9000 }), subnet(3, 'v4', { mtu: 1400 })];
    const plan = planOf(
      siteOf('v4', 1, { underlay: { mtu: 1500, subnets }, machines: { provider: 'existing', nodes } }),
    );
    expect(plan.mtu).toMatchObject({ routing: 'ipip-cross-subnet', underlayMtuBytes: 1400, podMtuBytes: 1380 });
    expect(plan.mtu.steps[0]).toEqual({
      what: 'underlay: subnet s3',
      bytes: 1400,
      leftBytes: 1400,
      source: 'underlay.subnets[s3].mtu',
    });
    expect(plan.proof.pairs.map((pair) => [pair.a, pair.b, pair.underlayMtuBytes, pair.encapsulation])).toEqual([
      ['n1', 'n2', 9000, 'none'],
      ['n1', 'n3', 1500, 'ipip'],
      ['n1', 'n4', 1400, 'ipip'],
      ['n2', 'n3', 1500, 'ipip'],
      ['n2', 'n4', 1400, 'ipip'],
      ['n3', 'n4', 1400, 'ipip'],
    ]);
  });

  test('ignores the MTU of a subnet without machines', () => {
    const site = siteOf('v4', 1);
    const plan = planOf({ ...site, underlay: { subnets: [subnet(1), subnet(7, 'v4', { mtu: 600 })] } });
    expect(plan.mtu.podMtuBytes).toBe(1500);
  });

  test('may be lower than what fits, down to what the family needs', () => {
    const mtu = mtuOf('v4', { routing: 'ipip', podMtu: 1400 });
    expect(mtu.podMtuBytes).toBe(1400);
    expect(mtu.steps[2]).toEqual({
      what: 'pod MTU stated by the site',
      bytes: -80,
      leftBytes: 1400,
      source: 'network.podMtu',
    });
    expect(mtu.devices).toEqual([
      { name: 'tunl0', mtuBytes: 1480 },
      { name: 'veth', mtuBytes: 1400 },
    ]);
    expect(mtuOf('v4', { routing: 'ipip', podMtu: 1480 }).podMtuBytes).toBe(1480);
    expect(mtuOf('v6', { routing: 'vxlan', podMtu: 1280 }).podMtuBytes).toBe(1280);
  });
});

describe('the routing', () => {
  test('auto is bgp on one subnet and a cross-subnet tunnel otherwise, and says why', () => {
    expect(mtuOf('v4', {}, 1500, 1)).toMatchObject({
      routing: 'bgp',
      routingReason: 'auto: all machines share one subnet, so pod packets need no tunnel',
      encapsulation: { sameSubnet: 'none', crossSubnet: 'none' },
    });
    const several = 'auto: the machines are in 2 subnets, and routers between them do not know pod addresses';
    expect(mtuOf('v4', {})).toMatchObject({
      routing: 'ipip-cross-subnet',
      routingReason: `${several}; ipip because it takes the fewest bytes`,
      encapsulation: { sameSubnet: 'none', crossSubnet: 'ipip' },
    });
    expect(mtuOf('dual', {})).toMatchObject({
      routing: 'vxlan-cross-subnet',
      routingReason: `${several}; vxlan because ipip carries no IPv6`,
    });
    const blocked = siteOf('v4', 2, { underlay: { protocol4: 'blocked', subnets: [subnet(1), subnet(2)] } });
    expect(planOf(blocked).mtu).toMatchObject({
      routing: 'vxlan-cross-subnet',
      routingReason: `${several}; vxlan because underlay.protocol4 is blocked`,
    });
  });

  test('wireguard replaces the tunnel between all nodes', () => {
    expect(mtuOf('v4', { routing: 'ipip-cross-subnet', wireguard: true }).encapsulation).toEqual({
      sameSubnet: 'wireguard',
      crossSubnet: 'wireguard',
    });
    expect(mtuOf('v4', { routing: 'vxlan' }).encapsulation).toEqual({ sameSubnet: 'vxlan', crossSubnet: 'vxlan' });
  });
});

const refused = (families: 'v4' | 'v6' | 'dual', network: object, underlay: object = {}, subnets = 1) => {
  const site = siteOf(families, subnets, { network: { ...clusterNetworks(families), ...network } });
  return findingsOf({ ...site, underlay: { ...(site.underlay as object), ...underlay } });
};

describe('what cannot work is refused', () => {
  test('a pod MTU above the budget', () => {
    expect(refused('v4', { routing: 'ipip', podMtu: 1500 })).toEqual([
      'error network.podMtu: 1500 is too large: ipip needs 20 of the 1500-byte underlay, so at most 1480; leave it out to have it computed',
    ]);
    expect(refused('v4', { routing: 'ipip', podMtu: 1481 })[0]).toContain('1481 is too large');
    expect(refused('v4', { routing: 'bgp', podMtu: 1501 })).toEqual([
      'error network.podMtu: 1501 is too large: bgp needs nothing of the 1500-byte underlay, so at most 1500; leave it out to have it computed',
    ]);
    expect(refused('v4', { routing: 'vxlan', podMtu: 9000 }, { mtu: 9000 })).toEqual([
      'error network.podMtu: 9000 is too large: vxlan needs 50 of the 9000-byte underlay, so at most 8950; leave it out to have it computed',
    ]);
  });

  test('the 64 KB pod MTU of a well-known article, with the cure', () => {
    expect(refused('v4', { routing: 'ipip', podMtu: 65404 })).toEqual([
      'error network.podMtu: 65404 is too large: ipip needs 20 of the 1500-byte underlay, so at most 1480; leave it out to ' +
        'have it computed. The 64 KB frames that machines of one host exchange are TCP segments left unsplit or merged by LRO, ' +
        'and no pod MTU cures them: node preparation turns LRO off on every NIC that forwards and leaves GRO, GSO and TSO on',
    ]);
  });

  test('a pod MTU below what the family needs', () => {
    expect(refused('dual', { routing: 'vxlan', podMtu: 1279 })).toEqual([
      'error network.podMtu: 1279 is too small: IPv6 needs at least 1280; leave it out to have 1430 computed',
    ]);
    expect(() => refused('v4', { podMtu: 575 })).toThrow(/podMtu/);
  });

  test('an underlay that leaves too little', () => {
    expect(refused('v6', { routing: 'vxlan' }, { mtu: 1300 })).toEqual([
      'error underlay.mtu: 1300 is too small: it leaves the pods 1230 bytes and IPv6 needs at least 1280; raise it to 1350 or use a routing that adds less',
    ]);
    expect(refused('v4', { routing: 'ipip' }, { mtu: 576 })).toEqual([
      'error underlay.mtu: 576 is too small: it leaves the pods 556 bytes and IPv4 needs at least 576; raise it to 596 or use a routing that adds less',
    ]);
    expect(refused('v6', { routing: 'bgp' }, { subnets: [subnet(1, 'v6', { mtu: 1279 })] })).toEqual([
      'error underlay.subnets.0.mtu: 1279 is too small: it leaves the machines 1279 bytes and IPv6 needs at least 1280',
    ]);
  });

  test('ipip where it cannot pass', () => {
    expect(refused('dual', { routing: 'ipip-cross-subnet' })).toEqual([
      'error network.routing: ipip-cross-subnet cannot carry IPv6 and network.podCidrs has an IPv6 network: use vxlan-cross-subnet or bgp, or leave it out to have it chosen',
    ]);
    expect(refused('v4', { routing: 'ipip' }, { protocol4: 'blocked' })).toEqual([
      'error network.routing: ipip needs IP protocol 4 between the machines and underlay.protocol4 is blocked: use vxlan (UDP 4789), or leave it out to have it chosen',
    ]);
  });

  test('bgp across subnets is a warning: only the site knows its routers', () => {
    expect(refused('v4', { routing: 'bgp' }, {}, 2)).toEqual([
      'warning network.routing: bgp adds no tunnel and the machines are in 2 subnets: every router between them must learn the pod networks by BGP; otherwise leave it out to have a cross-subnet tunnel chosen',
    ]);
  });
});
