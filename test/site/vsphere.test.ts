import { renderPlan, type SitePlan } from '../../components';
import { removeStacksFolders } from '../spec/stacksFolder';
import { planOf, recordSite, type Edit, type RecordedSite } from './sites';

afterAll(removeStacksFolders);

/** The lab on a vCenter: nothing but its machines is said in another way. */
const onVsphere: Edit[] = [
  [['machines', 'provider'], 'vsphere'],
  [
    ['machines', 'vsphere'],
    {
      server: 'vcenter.example',
      template: { name: 'debian-12' },
      placements: [{ name: 'main', datacenter: 'DC1', cluster: 'compute', datastore: 'vsan' }],
      networks: [{ name: 'nodes', portGroup: 'k8s-nodes', subnets: ['lab'] }],
    },
  ],
];

/** Without the machines, what their NIC asks for, and what is known of their hosts. */
function afterTheMachines({ machines: _, nodes, proof, ...plan }: SitePlan) {
  return {
    ...plan,
    nodes: nodes.map(({ kvm: _1, vsphere: _2, offloads: _3, interface: nic, ...node }) => ({
      ...node,
      interface: { ...nic, mac: null, driver: null },
    })),
    proof: { ...proof, pairs: proof.pairs.map((pair) => ({ ...pair, sameHost: null })) },
  };
}

test('the plan of the lab on KVM and on vSphere: they differ in the machines only', () => {
  const [kvm, vsphere] = [planOf('lab'), planOf('lab', ...onVsphere)];
  expect(afterTheMachines(vsphere)).toEqual(afterTheMachines(kvm));
  expect(vsphere.nodes.map(({ interface: { driver } }) => driver)).toEqual(['vmxnet3', 'vmxnet3']);
  // Both have two disks of the same size, whoever makes them.
  const sizes = ({ nodes }: SitePlan) =>
    nodes.map(({ kvm: a, vsphere: b }) => {
      const { cpus, memoryBytes, rootDiskBytes, etcdDiskBytes } = (a ?? b)!;
      return { cpus, memoryBytes, rootDiskBytes, etcdDiskBytes };
    });
  expect(sizes(vsphere)).toEqual(sizes(kvm));
});

describe.each([true, false])('the whole lab, preview: %s', (preview) => {
  const isOfMachines = (name: string) => name.startsWith('lab-machines');
  const rest = ({ resources }: RecordedSite) =>
    resources
      .filter(({ name }) => !isOfMachines(name))
      .map(({ name, type, parent, dependencies, deletedWith }) => ({ name, type, parent, dependencies, deletedWith }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));

  test('after the machines the same resources, in the same order, on the same machines', async () => {
    const kvm = await recordSite(planOf('lab'), { preview });
    const vsphere = await recordSite(planOf('lab', ...onVsphere), { preview });
    expect(rest(vsphere)).toEqual(rest(kvm));
    expect(rest(kvm).length).toBeGreaterThan(20);
    const made = vsphere.resources.filter(({ name, custom }) => custom && isOfMachines(name)).map(({ name }) => name);
    expect(made.sort()).toEqual([
      'lab-machines-lab1-domain',
      'lab-machines-lab1-seed',
      'lab-machines-lab1-ssh',
      'lab-machines-lab2-domain',
      'lab-machines-lab2-seed',
      'lab-machines-lab2-ssh',
      'lab-machines-main-bundle-b1b1b1b1',
      'lab-machines-vcenter',
    ]);
  });
});

describe('the worked example', () => {
  const machinesOnly: Edit = [['kubernetes', 'version'], null];

  test('is explained by its plan: what can meet on one host, and what that means', () => {
    const text = renderPlan(planOf('vsphere-example'), { color: false });
    expect(text).toMatch(/DC1: cluster compute-a +│ cp1, cp2, cp3, worker1, worker2/);
    expect(text).toMatch(/DC1: cluster compute-b +│ worker3, worker4/);
    expect(text).toContain('cp1, cp2, cp3 are kept apart in DC1, cluster compute-a: a rule that must hold.');
    expect(text).toContain('8 of 21 pairs can be on one host');
    expect(text).toContain('TCP segments of up to 64 KB arrive unsplit');
    expect(text).toMatch(/tx-udp_tnl-segmentation off/);
    expect(text).toContain('MTU: 8950 bytes for pods');
  });

  test.each([true, false])('registers exactly its machines, preview: %s', async (preview) => {
    const { resources } = await recordSite(planOf('vsphere-example', machinesOnly), { preview });
    const group = 'vsphere-example-machines';
    const machines = ['cp1', 'cp2', 'cp3', 'worker1', 'worker2', 'worker3', 'worker4'];
    const rows = resources
      .filter(({ name }) => name.startsWith(group))
      .map(({ name, type, protect }) => `${name} ${type}${protect ? ' protected' : ''}`);
    expect(rows.sort()).toEqual(
      [
        `${group} sitewright:machines:VsphereMachines`,
        `${group}-vcenter pulumi:providers:vsphere`,
        `${group}-apart-DC1-compute-a vsphere:index/computeClusterVmAntiAffinityRule:ComputeClusterVmAntiAffinityRule`,
        ...machines.flatMap((name) => [
          `${group}-${name} sitewright:machines:VsphereMachine`,
          `${group}-${name}-domain vsphere:index/virtualMachine:VirtualMachine${name.startsWith('cp') ? ' protected' : ''}`,
          `${group}-${name}-seed command:local:Command`,
          `${group}-${name}-ssh command:local:Command`,
        ]),
      ].sort(),
    );
  });
});
