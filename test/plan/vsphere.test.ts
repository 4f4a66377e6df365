import { renderPlan } from '../../components/plan';
import { expectGolden } from './golden';
import { compute, controlPlane, findingsOf, kvmSite, lines, node, planOf, subnet } from './site';

type Keys = Record<string, unknown>;

const placement = (name = 'main', more: Keys = {}) => ({
  name,
  datacenter: 'DC1',
  cluster: `compute-${name}`,
  datastore: 'vsan',
  ...more,
});
const network = (name: string, subnets: string[], more: Keys = {}) => ({
  name,
  portGroup: `pg-${name}`,
  subnets,
  ...more,
});
const settings = (more: Keys = {}): Keys => ({
  server: 'vcenter.example',
  template: { name: 'debian-12' },
  placements: [placement()],
  networks: [network('nodes', ['s1'])],
  ...more,
});
const vsphereSite = (nodes: Keys[], vsphere: Keys = {}, more: Keys = {}) =>
  kvmSite(nodes, { provider: 'vsphere', vsphere: settings(vsphere) }, more);

const worker = node('w1', 1, 12);
const errors = (site: Keys) => findingsOf(site).filter((line) => line.startsWith('error'));
const warnings = (site: Keys) => findingsOf(site).filter((line) => line.startsWith('warning'));

describe('machines on vSphere', () => {
  test('the same site file on another maker: only what the machines are differs', () => {
    const both = [
      { ...controlPlane, hypervisor: 'hv1', placement: 'main' },
      { ...worker, bridge: 'br9' },
    ];
    const onKvm = planOf(kvmSite(both, { vsphere: settings() }));
    const onVsphere = planOf(kvmSite(both, { vsphere: settings(), provider: 'vsphere' }));
    expect(onVsphere.nodes.map(({ vsphere }) => vsphere)).toEqual(
      both.map(() => ({
        placement: 'main',
        network: 'nodes',
        cpus: 2,
        memoryBytes: 4294967296,
        rootDiskBytes: 21474836480,
        etcdDiskBytes: null,
      })),
    );
    expect(onVsphere.machines).toMatchObject({ provider: 'vsphere', kvm: null });
    // Everything but the machines themselves and what their NIC asks for.
    const rest = ({ machines: _, nodes, ...plan }: typeof onKvm) => ({
      ...plan,
      nodes: nodes.map(
        ({ kvm: _1, vsphere: _2, interface: { mac: _3, driver: _4, ...nic }, offloads: _5, ...left }) => ({
          ...left,
          nic,
        }),
      ),
      // One hypervisor is certain, one of a cluster is possible.
      proof: { ...plan.proof, pairs: plan.proof.pairs.map((pair) => ({ ...pair, sameHost: null })) },
    });
    expect(rest(onVsphere)).toEqual(rest(onKvm));
    expect(onVsphere.nodes[0].offloads.map(({ id }) => id)).toEqual(['vmxnet3-lro', 'gro', 'vmxnet3-rings']);
    expect(onKvm.nodes[0].offloads.map(({ id }) => id)).toEqual(['gro']);
  });

  test('VXLAN turns off what vmxnet3 breaks, and ESXi 6.7 one more', () => {
    const vxlan = { network: { cni: 'calico', routing: 'vxlan' } };
    const rules = (vsphere: Keys) =>
      planOf(vsphereSite([controlPlane, worker], vsphere, vxlan)).nodes[0].offloads.map(({ id }) => id);
    expect(rules({})).toEqual(['vmxnet3-lro', 'gro', 'vmxnet3-vxlan', 'vxlan-checksum', 'vmxnet3-rings']);
    expect(rules({ esxi: '6.7' })).toContain('vmxnet3-vxlan-esxi67');
  });

  test('MAC addresses are in the range that vSphere takes as static, each its own', () => {
    const macs = planOf(vsphereSite([controlPlane, worker])).nodes.map(({ interface: { mac } }) => mac);
    for (const mac of macs) expect(mac).toMatch(/^00:50:56:[0-3][0-9a-f]:[0-9a-f]{2}:[0-9a-f]{2}$/);
    expect(new Set(macs).size).toBe(2);
  });

  test('another MAC address and a second one of the same are refused', () => {
    expect(errors(vsphereSite([{ ...controlPlane, mac: '52:54:00:12:34:56' }]))).toEqual([
      expect.stringMatching(/^error machines\.nodes\.0\.mac: .*00:50:56:00:00:00 to 00:50:56:3f:ff:ff/),
    ]);
    const mac = '00:50:56:3f:00:01';
    expect(
      errors(
        vsphereSite([
          { ...controlPlane, mac },
          { ...worker, mac },
        ]),
      ),
    ).toEqual([expect.stringMatching(/^error machines\.nodes\.1\.mac: .* of cp1 too/)]);
  });

  test('a site without its vSphere settings says so', () => {
    expect(errors(kvmSite([controlPlane], { provider: 'vsphere' }))).toEqual([
      'error machines.vsphere: machines.vsphere is missing: provider vsphere needs its server, template, placements and networks',
    ]);
  });
});

describe('placements', () => {
  const two = [placement('a', { zone: 'east' }), placement('b', { zone: 'west' })];
  const twoSubnets = { underlay: { subnets: [subnet(1), subnet(2)] }, network: { cni: 'calico' } };
  const networks = [network('a', ['s1'], { placements: ['a'] }), network('b', ['s2'], { placements: ['b'] })];

  test('a machine is in the placement that it names or that its zone has, and in its zone', () => {
    const site = vsphereSite(
      [
        { ...controlPlane, placement: 'a' },
        { ...node('w1', 2, 12), zone: 'west' },
      ],
      { placements: two, networks },
      { ...twoSubnets, kubernetes: { version: '1.36.1' } },
    );
    const plan = planOf(site);
    expect(plan.nodes.map(({ vsphere }) => [vsphere!.placement, vsphere!.network])).toEqual([
      ['a', 'a'],
      ['b', 'b'],
    ]);
    expect(JSON.stringify(plan.nodes[0].cluster)).toContain('east');
  });

  test('what does not fit together is told all at once', () => {
    const site = vsphereSite(
      [{ ...controlPlane, placement: 'c' }, { ...worker, placement: 'a', zone: 'west' }, { ...node('w2', 1, 13) }],
      {
        placements: [
          placement('a', { zone: 'east', host: 'esx1', datastoreCluster: 'pod', etcdDatastore: 'nvme' }),
          { name: 'b', datacenter: 'DC1' },
        ],
        caFile: '/ca.pem',
        thumbprint: Array.from({ length: 32 }, () => 'ab').join(':'),
        firmware: 'bios',
        secureBoot: true,
        latencySensitivity: 'high',
      },
    );
    expect(errors(site).map((line) => line.split(':')[0])).toEqual([
      'error machines.nodes.1.zone',
      'error machines.nodes.0.placement',
      'error machines.nodes.2.placement',
      'error machines.vsphere.thumbprint',
      'error machines.vsphere.placements.0.host',
      'error machines.vsphere.placements.0.datastoreCluster',
      'error machines.vsphere.placements.0.etcdDatastore',
      'error machines.vsphere.placements.1.cluster',
      'error machines.vsphere.placements.1.datastore',
      'error machines.vsphere.secureBoot',
      'error machines.vsphere.latencySensitivity',
    ]);
  });

  test('host groups of one cluster are zones: their machines never meet, and a rule keeps them there', () => {
    const rooms = ['1', '2'].map((room) =>
      placement(`r${room}`, { cluster: 'all', hostGroup: `room-${room}`, zone: room }),
    );
    const site = vsphereSite(
      [
        { ...controlPlane, placement: 'r1' },
        { ...worker, placement: 'r1' },
        { ...node('w2', 1, 13), placement: 'r2' },
      ],
      { placements: rooms },
    );
    const { nodes, machines } = planOf(site);
    expect(nodes.map(({ sharesHostWith }) => sharesHostWith)).toEqual([['w1'], ['cp1'], []]);
    expect(machines.vsphere!.hostGroups).toEqual([
      { datacenter: 'DC1', cluster: 'all', hostGroup: 'room-1', machines: ['cp1', 'w1'] },
      { datacenter: 'DC1', cluster: 'all', hostGroup: 'room-2', machines: ['w2'] },
    ]);
    const text = renderPlan(planOf(site), { color: false });
    expect(text).toMatch(/DC1: cluster all, hosts room-1 +│ cp1, w1/);
    expect(text).toMatch(/DC1: cluster all, hosts room-2 +│ w2/);
  });

  test('a host group with a colon, which the provider would lose', () => {
    const home = placement('main', { cluster: 'all', hostGroup: 'room:1' });
    expect(errors(vsphereSite([controlPlane], { placements: [home] }))).toEqual([
      expect.stringMatching(/placements\.0\.hostGroup: .*colon in their names.*: rename the host group/),
    ]);
  });

  test('a host group without its cluster, and a library item on a datastore cluster', () => {
    const alone = { name: 'main', datacenter: 'DC1', host: 'esx1', hostGroup: 'room-1', datastoreCluster: 'pod' };
    const site = vsphereSite([controlPlane], {
      placements: [alone],
      template: { name: 'debian-12', library: 'images' },
    });
    expect(errors(site)).toEqual([
      expect.stringMatching(/placements\.0\.hostGroup: .* host groups are those of a cluster/),
      expect.stringMatching(
        /placements\.0\.datastoreCluster: an item of a content library is deployed to one datastore/,
      ),
    ]);
  });

  test('storage policies: etcd disks have that of the machine where they have none of their own', () => {
    const policies = (more: Keys) => {
      const [planned] = planOf(vsphereSite([controlPlane], { placements: [placement('main', more)] })).machines.vsphere!
        .placements;
      return [planned.storagePolicy, planned.etcdStoragePolicy];
    };
    expect(policies({})).toEqual([null, null]);
    expect(policies({ storagePolicy: 'gold' })).toEqual(['gold', 'gold']);
    expect(policies({ storagePolicy: 'gold', etcdStoragePolicy: 'nvme' })).toEqual(['gold', 'nvme']);
    expect(policies({ etcdStoragePolicy: 'nvme' })).toEqual([null, 'nvme']);
  });

  test('sizes in steps that vSphere has', () => {
    const site = vsphereSite([{ ...controlPlane, memory: '4097MiB', rootDisk: '20000MiB' }]);
    expect(errors(site)).toEqual([
      expect.stringMatching(/nodes\.0\.memory: 4097MiB is no multiple of 4MiB/),
      expect.stringMatching(/nodes\.0\.rootDisk: 20000MiB is no multiple of 1GiB/),
    ]);
  });
});

describe('networks', () => {
  const jumbo = (mtu: number, more: Keys = {}) => ({ underlay: { mtu, subnets: [subnet(1)], ...more } });

  test('an address outside what the port groups of its placement carry', () => {
    const site = vsphereSite(
      [controlPlane],
      { networks: [network('nodes', ['s2'])] },
      { underlay: { subnets: [subnet(1), subnet(2)] } },
    );
    expect(errors(site)).toEqual([
      'error machines.nodes.0.addresses: 192.0.1.11/24 is in subnet s1, and no port group of placement main carries it ' +
        '(pg-nodes carries s2): correct the address or the placement, or add the subnet to machines.vsphere.networks',
    ]);
  });

  test('several port groups for one machine, and names that are not there', () => {
    const site = vsphereSite([controlPlane], {
      networks: [network('one', ['s1']), network('two', ['s1', 's9'], { placements: ['main', 'nowhere'] })],
    });
    expect(errors(site)).toEqual([
      expect.stringMatching(/nodes\.0\.addresses: .*several port groups of placement main carry it/),
      expect.stringMatching(/networks\.1\.subnets\.1: s9 is not in underlay\.subnets: choose one of s1/),
      expect.stringMatching(/networks\.1\.placements\.1: nowhere is not in machines\.vsphere\.placements/),
    ]);
  });

  test('an MTU above that of the switch is refused, above 9000 whatever the switch', () => {
    expect(errors(vsphereSite([controlPlane], {}, jumbo(9000)))).toEqual([
      'error underlay.mtu: 9000 is too large for subnet s1: its machines would have an MTU of 9000 and the switch of port group pg-nodes ' +
        'carries 1500; raise the switch and then switchMtu of network nodes, or lower it to 1500',
    ]);
    const most = { networks: [network('nodes', ['s1'], { switchMtu: 9000 })] };
    expect(errors(vsphereSite([controlPlane], most, jumbo(9100)))).toEqual([
      expect.stringMatching(/underlay\.mtu: 9100 .* vSphere switches and vmxnet3 carry at most 9000$/),
    ]);
    expect(findingsOf(vsphereSite([controlPlane], most, jumbo(9000)))).toEqual([]);
    // GRE is taken off before the machines get their MTU.
    expect(errors(vsphereSite([controlPlane], {}, jumbo(1524, { gre: true })))).toEqual([]);
  });

  test('an MTU below that of the switch is a warning', () => {
    const site = vsphereSite([controlPlane], { networks: [network('nodes', ['s1'], { switchMtu: 9000 })] });
    expect(warnings(site)).toEqual([expect.stringMatching(/underlay\.mtu: .* 1500 and the switch .* 9000.*6\.7 U2/)]);
  });

  test('machines of one port group have one MTU', () => {
    const site = vsphereSite(
      [controlPlane, node('w1', 2, 12)],
      { networks: [network('all', ['s1', 's2'], { switchMtu: 9000 })] },
      { underlay: { mtu: 9000, subnets: [subnet(1), subnet(2, 'v4', { mtu: 1500 })] }, network: { cni: 'calico' } },
    );
    expect(errors(site)).toEqual([
      expect.stringMatching(
        /subnets\.1\.mtu: the machines of subnets s1 and s2 share port group pg-all .* 9000 and 1500/,
      ),
    ]);
  });
});

describe('machines that can meet on one host', () => {
  const three = [
    controlPlane,
    node('cp2', 1, 13, { role: 'control-plane' }),
    node('cp3', 1, 14, { role: 'control-plane' }),
  ];

  test('are those of one cluster, without the ones that a rule must keep apart', () => {
    const sharing = (antiAffinity: string) =>
      planOf(vsphereSite([...three, worker], { antiAffinity })).nodes.map(({ sharesHostWith }) => sharesHostWith);
    expect(sharing('preferred')).toEqual([
      ['cp2', 'cp3', 'w1'],
      ['cp1', 'cp3', 'w1'],
      ['cp1', 'cp2', 'w1'],
      ['cp1', 'cp2', 'cp3'],
    ]);
    expect(sharing('required')).toEqual([['w1'], ['w1'], ['w1'], ['cp1', 'cp2', 'cp3']]);
    expect(planOf(vsphereSite(three, { antiAffinity: 'off' })).machines.vsphere!.antiAffinity).toEqual([]);
  });

  test('on one host for certain: the proof knows it, and several control planes there are a warning', () => {
    const placements = [{ name: 'main', datacenter: 'DC1', host: 'esx1', datastore: 'local' }];
    const site = vsphereSite(three, { placements });
    expect(planOf(site).proof.pairs.every(({ sameHost }) => sameHost)).toBe(true);
    expect(lines(compute(site).findings)).toEqual([
      expect.stringMatching(
        /^warning machines\.nodes\.1\.placement: cp1, cp2 are control-plane machines on one host, esx1/,
      ),
    ]);
    expect(planOf(site).machines.vsphere!.antiAffinity).toEqual([]);
  });

  test('as tables', () => {
    const text = renderPlan(planOf(vsphereSite([...three, worker], { antiAffinity: 'required' })), { color: false });
    expectGolden('vsphere.txt', text);
  });
});
