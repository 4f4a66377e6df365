import { checkFleet, type FleetFinding } from '../../components/plan';
import { siteSchema } from '../../components/spec/schema';
import { clusterSite, controlPlanes, smallCluster } from './clusterSite';
import { clusterNetworks, kvmSite, node, planOf, siteOf } from './site';

type Site = Record<string, unknown>;

const told = ({ severity, places, relation }: FleetFinding) => {
  const [first, later] = places;
  return `${severity} ${later.site} ${later.path.join('.')}: ${later.what} ${relation} ${first.what} of ${first.site}`;
};
const check = (...sites: Site[]) =>
  checkFleet(sites.map((site) => ({ spec: siteSchema.parse(site), plan: planOf(site) }))).map(told);

/** An existing site on subnets of its own, whose cluster networks are its own too. */
function apart(name: string, number: number, more: Site = {}): Site {
  const nodes = [1, 2].map((index) => ({
    ...node(`n${index}`, number, 10 + index, index === 1 ? { role: 'control-plane' } : {}),
    ssh: { hostKey: `ssh-ed25519 ${'A'.repeat(68)}` },
  }));
  return {
    ...siteOf('v4', 1),
    name,
    joined: ['wan'],
    underlay: { subnets: [{ name: 'servers', cidrs: [`192.0.${number}.0/24`] }] },
    machines: { provider: 'existing', nodes },
    network: { podCidrs: [`10.${number}.0.0/16`], serviceCidrs: [`172.${16 + number}.0.0/16`] },
    ...more,
  };
}

test('sites that are not joined may have the same networks', () => {
  const same = siteOf('dual', 1, { network: clusterNetworks('dual') });
  expect(check(same, { ...same, name: 'bergen' })).toEqual([]);
  expect(check({ ...same, joined: ['a'] }, { ...same, name: 'bergen', joined: ['b'] })).toEqual([]);
});

test('joined sites with networks of their own have no findings', () => {
  expect(check(apart('oslo', 1), apart('bergen', 2), apart('narvik', 3))).toEqual([]);
});

test.each<[string, Site, string]>([
  [
    'pods over pods',
    { network: { podCidrs: ['10.1.128.0/17'], serviceCidrs: ['172.18.0.0/16'] } },
    'error bergen network.podCidrs.0: the pod network 10.1.128.0/17 overlaps the pod network 10.1.0.0/16 of oslo',
  ],
  [
    'pods over the machines',
    { network: { podCidrs: ['192.0.0.0/23'], serviceCidrs: ['172.18.0.0/16'] } },
    'error bergen network.podCidrs.0: the pod network 192.0.0.0/23 overlaps subnet servers 192.0.1.0/24 of oslo',
  ],
  [
    'Services over pods',
    { network: { podCidrs: ['10.2.0.0/16'], serviceCidrs: ['10.1.0.0/16'] } },
    'error bergen network.serviceCidrs.0: the service network 10.1.0.0/16 overlaps the pod network 10.1.0.0/16 of oslo',
  ],
  [
    'Services over Services, which stay inside their cluster',
    { network: { podCidrs: ['10.2.0.0/16'], serviceCidrs: ['172.17.0.0/16'] } },
    'warning bergen network.serviceCidrs.0: the service network 172.17.0.0/16 overlaps the service network 172.17.0.0/16 of oslo',
  ],
])('joined: %s', (_title, more, expected) => {
  expect(check(apart('oslo', 1), apart('bergen', 2, more))).toEqual([expected]);
});

test('one subnet may hold two clusters, and each address only one machine', () => {
  const shared = apart('bergen', 1, { network: { podCidrs: ['10.2.0.0/16'], serviceCidrs: ['172.18.0.0/16'] } });
  const { nodes } = shared.machines as { nodes: Site[] };
  const moved = nodes.map((one, index) => ({ ...one, addresses: [`192.0.1.${50 + index}/24`] }));
  expect(check(apart('oslo', 1), { ...shared, machines: { provider: 'existing', nodes: moved } })).toEqual([]);
  moved[1].addresses = ['192.0.1.11/24'];
  expect(check(apart('oslo', 1), { ...shared, machines: { provider: 'existing', nodes: moved } })).toEqual([
    'error bergen machines.nodes.1.addresses: the address 192.0.1.11 of n2 is also the address 192.0.1.11 of n1 of oslo',
  ]);
  const narrower = { subnets: [{ name: 'part', cidrs: ['192.0.1.0/25'] }] };
  const narrow = moved.map((one, index) => ({ ...one, addresses: [`192.0.1.${50 + index}/25`] }));
  expect(
    check(apart('oslo', 1), { ...shared, underlay: narrower, machines: { provider: 'existing', nodes: narrow } }),
  ).toEqual([
    'error bergen underlay.subnets.0.cidrs.0: subnet part 192.0.1.0/25 overlaps subnet servers 192.0.1.0/24 of oslo',
  ]);
});

describe('virtual addresses on one network', () => {
  const cluster = (name: string, first: number, changes: object, pods: number) =>
    ({
      ...clusterSite({
        nodes: controlPlanes(3).map((one, index) => ({ ...one, addresses: [`192.0.1.${first + index}/24`] })),
        kubernetes: changes,
        network: { podCidrs: [`10.${pods}.0.0/16`], serviceCidrs: [`172.${16 + pods}.0.0/16`] },
      }),
      name,
      joined: ['wan'],
    }) as Site;

  test('have numbers of their own', () => {
    const oslo = cluster('oslo', 11, { vip: '192.0.1.10', vrid: 7 }, 1);
    expect(check(oslo, cluster('bergen', 21, { vip: '192.0.1.20', vrid: 8 }, 2))).toEqual([]);
    expect(check(oslo, cluster('bergen', 21, { vip: '192.0.1.20', vrid: 7 }, 2))).toEqual([
      'error bergen kubernetes.vrid: VRID 7 is also VRID 7 of oslo',
    ]);
  });

  test('are nobody else’s', () => {
    const oslo = cluster('oslo', 11, { vip: '192.0.1.21', vrid: 7 }, 1);
    expect(check(oslo, cluster('bergen', 21, { vip: '192.0.1.20', vrid: 8 }, 2))).toEqual([
      'error bergen machines.nodes.0.addresses: the address 192.0.1.21 of cp1 is also the virtual address 192.0.1.21 of oslo',
    ]);
  });
});

test('AS numbers of joined sites differ where routes leave them', () => {
  const bgp = (name: string, number: number, asNumber: number, peers: object[]) =>
    ({
      ...smallCluster({
        nodes: controlPlanes(1).map((one) => ({ ...one, addresses: [`192.0.1.${10 + number}/24`] })),
        more: { kubeProxy: { mode: 'iptables' } },
        network: {
          ...{ cni: 'calico', routing: 'bgp', podCidrs: [`10.${number}.0.0/16`] },
          ...{ serviceCidrs: [`172.${16 + number}.0.0/16`], calico: { bgp: { asNumber, peers } } },
        },
      }),
      name,
      joined: ['wan'],
    }) as Site;
  const router = [{ name: 'tor', address: '192.0.1.1', asNumber: 64601 }];
  const oslo = bgp('oslo', 1, 64512, router);
  expect(check(oslo, bgp('bergen', 2, 64513, router))).toEqual([]);
  expect(check(oslo, bgp('bergen', 2, 64512, []))).toEqual([]);
  expect(check(oslo, bgp('bergen', 2, 64512, router))).toEqual([
    'error bergen network.calico.bgp.asNumber: AS number 64512 is also AS number 64512 of oslo',
  ]);
});

describe('a hypervisor of two sites', () => {
  const hypervisor = { host: 'hv.acme.example', hostKey: `ssh-ed25519 ${'A'.repeat(68)}` };
  const guest = (name: string, machine: string, more: object = {}, host: object = hypervisor) =>
    ({
      ...kvmSite([node(machine, 1, 11, { role: 'control-plane', ...more })], {
        kvm: {
          hypervisors: [{ name: 'hv', connection: host }],
          image: { path: '/image.qcow2', sha256: 'a'.repeat(64) },
          network: { bridge: 'br0' },
        },
      }),
      name,
    }) as Site;

  test('has one domain of each name, also where the dash is elsewhere', () => {
    expect(check(guest('a', 'b-c'), guest('a-b', 'c'))).toEqual([
      'error a-b machines.nodes.0.name: the libvirt domain a-b-c of c is also the libvirt domain a-b-c of b-c of a',
    ]);
    expect(check(guest('a', 'b-c'), guest('a-b', 'c', {}, { ...hypervisor, host: 'other.example' }))).toEqual([]);
  });

  test('has one NIC of each MAC address on a bridge', () => {
    const mac = { mac: '52:54:00:00:00:01' };
    expect(check(guest('oslo', 'cp1', mac), guest('bergen', 'cp1', mac))).toEqual([
      'error bergen machines.nodes.0.mac: the MAC address 52:54:00:00:00:01 of cp1 is also the MAC address 52:54:00:00:00:01 of cp1 of oslo',
    ]);
    expect(check(guest('oslo', 'cp1', mac), guest('bergen', 'cp1', { ...mac, bridge: 'br1' }))).toEqual([]);
  });
});

test('of many with the same network each is told once, also when joined twice', () => {
  const sites = ['a', 'b', 'c', 'd'].map((name, index) =>
    apart(name, index + 1, {
      joined: ['wan', 'backup'],
      network: { podCidrs: ['10.9.0.0/16'], serviceCidrs: [`172.${20 + index}.0.0/16`] },
    }),
  );
  expect(check(...sites)).toEqual(
    ['b', 'c', 'd'].map(
      (name) =>
        `error ${name} network.podCidrs.0: the pod network 10.9.0.0/16 overlaps the pod network 10.9.0.0/16 of a`,
    ),
  );
});

test('places count the dead machines of the site file', () => {
  const dead = { ...controlPlanes(1)[0], name: 'old', role: 'worker', state: 'dead' };
  const alive = (name: string, pods: number) => ({
    ...smallCluster({
      nodes: [dead, ...controlPlanes(1), node('w1', 1, 21)].map((one) => ({ ...one, mac: undefined })),
      network: { podCidrs: [`10.${pods}.0.0/16`], serviceCidrs: [`172.${16 + pods}.0.0/16`] },
    }),
    name,
    joined: ['wan'],
  });
  expect(check(alive('oslo', 1), alive('bergen', 2))).toEqual(
    expect.arrayContaining([
      'error bergen machines.nodes.1.addresses: the address 192.0.1.11 of cp1 is also the address 192.0.1.11 of cp1 of oslo',
    ]),
  );
});
