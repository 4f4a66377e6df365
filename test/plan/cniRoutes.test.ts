import { clusterSite, controlPlanes, smallCluster, type ClusterSiteChanges } from './clusterSite';
import { findingsOf, node, planOf, subnet } from './site';

const findings = (changes: ClusterSiteChanges) => findingsOf(clusterSite(changes));
/** The underlay with one segment more than the machines of the site need. */
const wide = { underlay: { subnets: [{ name: 'lan', cidrs: ['172.20.0.0/16'] }] } };
const machine = (name: string, address: string, more = {}) => ({
  name,
  role: 'worker',
  addresses: [`${address}/16`],
  ...more,
});
const first = machine('cp1', '172.20.0.11', { role: 'control-plane' });

describe('network.cni routes', () => {
  const plan = planOf(smallCluster());

  test('each node has the network of its own number, and ways to all the others', () => {
    expect(plan.nodes.map(({ cluster }) => cluster!.podCidrs)).toEqual([['10.244.11.0/24'], ['10.244.21.0/24']]);
    expect(plan.nodes[0].interface).toMatchObject({
      routes: [],
      podRoutes: [{ to: '10.244.21.0/24', via: '192.0.1.21' }],
    });
    expect(plan.nodes[1].interface.podRoutes).toEqual([{ to: '10.244.11.0/24', via: '192.0.1.11' }]);
  });

  test('a number never moves when other nodes come and go', () => {
    const more = planOf(smallCluster({ nodes: [node('w0', 1, 31), ...controlPlanes(1), node('w1', 1, 21)] }));
    const before = new Map(plan.nodes.map(({ name, cluster }) => [name, cluster!.podCidrs]));
    for (const { name, cluster } of more.nodes) {
      if (before.has(name)) expect(cluster!.podCidrs).toEqual(before.get(name));
      expect(new Set(more.nodes.map((each) => each.cluster!.podCidrs[0])).size).toBe(3);
    }
  });

  test('nothing wraps a packet: pods have the MTU of the underlay, and no word is of Calico', () => {
    expect(plan.mtu).toMatchObject({
      routing: 'routes',
      podMtuBytes: 1500,
      overheadBytes: 0,
      encapsulation: { sameSubnet: 'none', crossSubnet: 'none' },
      devices: [
        { name: 'cni0', mtuBytes: 1500 },
        { name: 'veth', mtuBytes: 1500 },
      ],
    });
    const { mtu, proof } = plan;
    expect(JSON.stringify([mtu, proof, plan.nodes.map(({ modules }) => modules)])).not.toMatch(
      /calico|felix|typha|bgp/i,
    );
    expect(plan.nodes[0].modules.map(({ name }) => name)).toEqual([
      'overlay',
      'br_netfilter',
      'nf_conntrack',
      'nf_tables',
    ]);
    expect(plan.proof.ports.map(({ number }) => number)).toEqual([6443, 2379, 2380, 10250]);
  });

  test('the bridge has the planned MTU and masquerades nothing: pods must be told apart on other nodes', () => {
    const stated = planOf(smallCluster({ network: { podMtu: 1400 } }));
    expect(stated.nodes[0].cluster!.cniConfiguration).toMatchObject({
      plugins: [{ type: 'bridge', mtu: 1400, ipMasq: false, hairpinMode: true }, { type: 'portmap' }],
    });
  });

  test('one rule for each family masquerades what leaves the pods', () => {
    const { ruleset } = plan.cluster!.podMasquerade!;
    expect(ruleset).toContain('ip saddr 10.244.0.0/16 ip daddr != { 10.244.0.0/16, 224.0.0.0/4 } masquerade\n');
    expect(ruleset).not.toContain('ip6 ');
  });

  test('the controller manager numbers no networks, because the plan does', () => {
    const allocates = (cni: string) =>
      JSON.stringify(planOf(smallCluster({ network: { cni } })).cluster!.kubeadm.clusterConfiguration);
    expect(allocates('routes')).toContain('{"name":"allocate-node-cidrs","value":"false"}');
    expect(allocates('none')).not.toContain('allocate-node-cidrs');
  });
});

test('network.cni none leaves the pods to somebody else', () => {
  const { cluster, nodes, mtu } = planOf(smallCluster({ network: { cni: 'none', routing: 'vxlan' } }));
  expect(cluster).toMatchObject({ cni: 'none', podMasquerade: null });
  expect(nodes[0].cluster).toMatchObject({ podCidrs: [], cniConfiguration: null });
  expect(nodes[0].interface.podRoutes).toEqual([]);
  expect(mtu).toMatchObject({ routing: 'vxlan', podMtuBytes: 1450 });
});

describe('routes are refused', () => {
  test('with a tunnel, or with encryption', () => {
    expect(findings({ network: { routing: 'ipip', wireguard: true } })).toEqual([
      'error network.routing: ipip puts packets into a tunnel, and network.cni routes has none: leave routing out, or set network.cni to calico, which makes it',
      'error network.wireguard: network.cni routes sends pod packets as they are: set wireguard to false, or network.cni to calico, which encrypts them',
    ]);
    expect(findings({ network: { routing: 'bgp' } })).toEqual([]);
  });

  test('across subnets', () => {
    const nodes = [...controlPlanes(3), node('w1', 2, 21)];
    expect(findings({ nodes, more: { underlay: { subnets: [subnet(1), subnet(2)] } } })).toEqual([
      'error network.cni: routes needs all machines in one subnet, and they are in s1, s2: routers between them would have to know the pods; set network.cni to calico, which makes tunnels',
    ]);
  });

  test('for more than 20 machines', () => {
    const workers = (count: number) => Array.from({ length: count }, (_, index) => node(`w${index}`, 1, 30 + index));
    expect(findings({ nodes: [...controlPlanes(3), ...workers(17)] })).toEqual([]);
    expect(findings({ nodes: [...controlPlanes(3), ...workers(18)] })).toEqual([
      'error network.cni: routes is for at most 20 machines, and there are 21: every machine has a route to every other; set network.cni to calico',
    ]);
  });

  test('with pod networks that are too small', () => {
    expect(findings({ network: { podCidrs: ['10.244.0.0/25'] } })).toEqual([
      'error network.podCidrs.0: 10.244.0.0/25 is too small: with network.cni routes the pods of each machine get a /24 of it, so a prefix length of at most 16 for 256 machines',
    ]);
  });

  test('with a machine whose number does not fit', () => {
    const small = smallCluster({
      nodes: [...controlPlanes(1), node('w1', 1, 21)],
      network: { podCidrs: ['10.244.0.0/20'] },
    });
    expect(findingsOf(small)).toEqual([
      'error machines.nodes.1.addresses.0: 192.0.1.21/24 is host 21 of its subnet, and with network.cni routes the pods of w1 get /24 number 21 of 10.244.0.0/20, which holds 16 of them (IPv4): give the pods a prefix length of at most 19, or give w1 a lower address',
    ]);
    const far = smallCluster({ nodes: [first, machine('w1', '172.20.255.1')], more: wide });
    expect(findingsOf(far)).toEqual([
      'error machines.nodes.1.addresses.0: 172.20.255.1/16 is host 65281 of its subnet, and with network.cni routes the pods of w1 get /24 number 65281 of 10.244.0.0/16, which holds 256 of them (IPv4): give w1 a lower address',
    ]);
  });
});
