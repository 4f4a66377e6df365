import {
  membersOf,
  partedResources,
  refuseLostMembers,
  retainLost,
  unjoinedResources,
  type SiteState,
} from '../../scripts/cli/members';
import { madeFrom, VIRTUAL_MACHINE } from '../../components/machines/vsphere';
import { clusterSite, controlPlanes } from '../plan/clusterSite';
import { node, planOf } from '../plan/site';

type Resource = NonNullable<NonNullable<SiteState['deployment']>['resources']>[number];

const resource = (name: string, more: Partial<Resource> = {}): Resource => ({
  urn: `urn:pulumi:oslo::sitewright::sitewright:site:Site$command:local:Command::${name}`,
  type: 'command:local:Command',
  ...more,
});

/** As `up` leaves the state of the site of `plan()`. */
function state(...more: Resource[]): SiteState {
  const machines = ['cp1', 'cp2', 'cp3', 'w1', 'w2'].flatMap((name, index) => [
    resource(`oslo-machines-${name}-domain`, { inputs: { triggers: plan().nodes[index] ? triggers(index) : [] } }),
    resource(`oslo-${name}-prepare`),
    resource(`oslo-cluster-${name}-runtime`),
    ...(name.startsWith('cp') ? [resource(`oslo-cluster-${name}-control-plane`)] : []),
    ...(name === 'cp1' ? [] : [resource(`oslo-cluster-${name}-join`)]),
  ]);
  return { deployment: { resources: [...machines, ...more] } };
}

const triggers = (index: number) => [
  'hypervisor hv1',
  'pool default',
  `MAC ${plan().nodes[index].interface.mac}`,
  'no etcd disk',
];

const workers = [node('w1', 1, 21), node('w2', 1, 22)];
const plan = (nodes = [...controlPlanes(3), ...workers], more: Parameters<typeof clusterSite>[0] = {}) =>
  planOf(clusterSite({ nodes, ...more }));

const refusal = (found: SiteState, planned = plan()) => {
  try {
    refuseLostMembers(found, planned);
    return null;
  } catch (error) {
    expect((error as { exitCode: number }).exitCode).toBe(2);
    return (error as Error).message;
  }
};
const without = (found: SiteState, ...names: string[]): SiteState => ({
  deployment: { resources: found.deployment!.resources!.filter(({ urn }) => !names.includes(urn.split('::').pop()!)) },
});

const leaving = (name: string) =>
  [...controlPlanes(3), ...workers].map((one) => (one.name === name ? { ...one, state: 'leaving' } : one));

test('members are those who joined and have not left', () => {
  const names = (found: SiteState) => membersOf(found, 'oslo').map(({ name, role }) => `${name} ${role}`);
  expect(names(state()).sort()).toEqual([
    'cp1 control-plane',
    'cp2 control-plane',
    'cp3 control-plane',
    'w1 worker',
    'w2 worker',
  ]);
  expect(
    names({ deployment: { resources: [resource('oslo-cluster-w9-leave'), resource('oslo-cluster-w9-runtime')] } }),
  ).toEqual([]);
  const begun = { type: 'creating', resource: resource('oslo-cluster-w9-join') };
  expect(names({ deployment: { resources: [], pending_operations: [begun] } })).toEqual(['w9 worker']);
});

test('a site as its state has it is not refused, nor is one without any state', () => {
  expect(refusal(state())).toBeNull();
  expect(refusal({})).toBeNull();
});

test('lines of a member that were deleted are refused with what to do, those of one that has left are not', () => {
  const gone = plan([...controlPlanes(3), workers[0]]);
  expect(refusal(state(), gone)).toMatch(
    /^w2 is no longer in the site file, .*state: leaving, then sitewright up oslo.*state: dead\nNothing was changed\.$/,
  );
  const left = without(state(resource('oslo-cluster-w2-leave')), 'oslo-cluster-w2-join');
  expect(refusal(left, gone)).toBeNull();
  // It joins again, and nobody knows how far it came.
  expect(refusal(state(resource('oslo-cluster-w2-leave')), gone)).toMatch(/^w2 is no longer/);
});

test('a dead machine need not leave, but it must have been there', () => {
  const dead = [...controlPlanes(3), workers[0], { ...workers[1], state: 'dead' }];
  expect(refusal(state(), plan(dead))).toBeNull();
  const stranger = plan([...controlPlanes(3), ...workers, node('w9', 1, 29, { state: 'dead' })]);
  expect(refusal(state(), stranger)).toMatch(
    /^w9 is declared dead and the state of oslo has no such machine: delete its lines/,
  );
});

test('another role is refused', () => {
  const nodes = [
    ...controlPlanes(3),
    workers[0],
    { ...workers[1], role: 'control-plane' },
    ...controlPlanes(5).slice(4),
  ];
  expect(refusal(state(), plan(nodes))).toMatch(
    /^w2 is a worker node of the cluster and would become a control-plane one/,
  );
});

test.each<[string, Record<string, unknown>, RegExp]>([
  ['another MAC address', { mac: '52:54:00:00:00:01' }, /MAC 52:54:.* becomes MAC 52:54:00:00:00:01/],
  ['a disk for etcd', { etcdDisk: '8GiB' }, /no etcd disk becomes etcd disk in pool default/],
])('what makes the machine of a member anew is refused: %s', (_, change, message) => {
  const nodes = (more: object = {}) => [
    { ...controlPlanes(3)[0], ...change, ...more },
    ...controlPlanes(3).slice(1),
    ...workers,
  ];
  expect(refusal(state(), plan(nodes()))).toMatch(/^cp1 would be made anew with nothing on it/);
  expect(refusal(state(), plan(nodes()))).toMatch(message);
  const left = without(state(resource('oslo-cluster-cp1-leave')), 'oslo-cluster-cp1-control-plane');
  expect(refusal(left, plan(nodes({ state: 'leaving' })))).toBeNull();
});

test('all members are told at once, and a version that was taken out of the file too', () => {
  expect(refusal(state(), plan([...controlPlanes(3)]))!.split('\n')).toHaveLength(3);
  const none = { ...plan(), cluster: null };
  expect(refusal(state(), none)).toMatch(
    /^kubernetes\.version is gone from the site file, and cp1, .*sitewright destroy oslo/,
  );
  expect(refusal({ deployment: { resources: [resource('oslo-machines-cp1-domain')] } }, none)).toBeNull();
});

test('the protection of a machine ends when its node has left, and no sooner', () => {
  const guarded = (found: SiteState) => {
    for (const one of found.deployment!.resources!) one.protect = one.urn.endsWith('-domain');
    return partedResources(found, plan(leaving('cp3'))).map((urn) => urn.split('::').pop());
  };
  expect(guarded(state())).toEqual([]);
  expect(guarded(state(resource('oslo-cluster-cp3-leave')))).toEqual([]);
  const left = without(
    state(resource('oslo-cluster-cp3-leave')),
    'oslo-cluster-cp3-join',
    'oslo-cluster-cp3-control-plane',
  );
  expect(guarded(left)).toEqual(['oslo-machines-cp3-domain']);
});

test('the protection of a worker ends where an up that failed made its machine and not its membership', () => {
  const guarded = (found: SiteState) => {
    for (const one of found.deployment!.resources!) one.protect = one.urn.endsWith('-domain');
    return found;
  };
  const released = (before: SiteState, after: SiteState) =>
    unjoinedResources(before, guarded(after), plan()).map((urn) => urn.split('::').pop());
  const failed = () =>
    without(state(), 'oslo-cluster-cp3-control-plane', 'oslo-cluster-cp3-join', 'oslo-cluster-w1-join');
  // What failed on a control-plane machine may have made it a member of etcd.
  expect(released({}, failed())).toEqual(['oslo-machines-w1-domain']);
  expect(released(failed(), failed())).toEqual(['oslo-machines-w1-domain']);
  expect(released(guarded(failed()), failed())).toEqual([]);
  expect(released({}, state())).toEqual([]);
});

test('what would be undone on a lost machine over SSH is only forgotten', () => {
  const undone = { inputs: { delete: 'x' } };
  const names = [
    'oslo-w2-prepare',
    'oslo-w1-prepare',
    'oslo-cluster-w2-runtime',
    'oslo-addons-dns-device-w2',
    'oslo-addons-dns-device-aw2',
  ];
  const found: SiteState = {
    deployment: { resources: names.map((name) => resource(name, { ...undone, protect: true })) },
  };
  const dead = { site: 'oslo', dead: [{ name: 'w2' }] } as never;
  expect(retainLost(found, dead)).toBe(true);
  const kept = found.deployment!.resources!.filter(
    ({ retainOnDelete, protect }) => retainOnDelete === true && !protect,
  );
  expect(kept.map(({ urn }) => urn.split('::').pop())).toEqual([names[0], names[2], names[3]]);
  expect(retainLost(found, dead)).toBe(false);
});

test('a machine that is no member yet cannot come first, where it would begin a cluster of its own', () => {
  const fresh = { ...controlPlanes(4)[3], name: 'cp4' };
  const [cp1, cp2] = controlPlanes(2);
  const nodes = (...list: Record<string, unknown>[]) => plan([...list, ...workers]);
  expect(refusal(state(), nodes(fresh, ...controlPlanes(3).slice(0, 2)))).toMatch(
    /cp4 would begin a second cluster.* keep cp1 active/s,
  );
  const two = without(
    state(),
    'oslo-cluster-cp2-control-plane',
    'oslo-cluster-cp2-join',
    'oslo-cluster-cp3-control-plane',
    'oslo-cluster-cp3-join',
  );
  expect(refusal(two, nodes({ ...cp1, state: 'leaving' }, cp2))).toMatch(/cp2 would begin a second cluster/);
  expect(refusal(state(), plan(leaving('cp1')))).toBeNull();
});

describe('machines on vSphere', () => {
  const vsphere = (more: object = {}) => ({
    provider: 'vsphere',
    vsphere: {
      server: 'vcenter.example',
      template: { name: 'debian-12' },
      placements: [{ name: 'main', datacenter: 'DC1', cluster: 'compute', datastore: 'vsan' }],
      networks: [{ name: 'nodes', portGroup: 'k8s', subnets: ['s1'] }],
      ...more,
    },
  });
  const planned = (more: object = {}) => plan([...controlPlanes(3), ...workers], { machines: vsphere(more) });
  const made = (type = VIRTUAL_MACHINE): SiteState => {
    const { vsphere: settings } = planned().machines;
    const found = state();
    for (const one of found.deployment!.resources!) {
      const node = planned().nodes.find(({ name }) => one.urn.endsWith(`::oslo-machines-${name}-domain`));
      if (node === undefined) continue;
      one.type = type;
      one.inputs = { replaceTrigger: madeFrom(node, settings!).join('; ') };
    }
    return found;
  };

  test('stay where nothing that they are made from changes', () => expect(refusal(made(), planned())).toBeNull());

  test('are not made anew under a member', () => {
    expect(refusal(made(), planned({ firmware: 'bios' }))).toMatch(
      /^cp1 would be made anew with nothing on it \(firmware efi becomes firmware bios\)/,
    );
  });

  test('do not take the place of those of another maker', () => {
    expect(refusal(made('command:local:Command'), planned())).toMatch(/machines\.provider is vsphere now/);
  });
});
