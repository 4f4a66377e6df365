import { clusterSite, controlPlanes, smallCluster } from './clusterSite';
import { controlPlane, findingsOf, kvmSite, node, planOf, siteOf } from './site';

/** Control-plane machines cp1, cp2, … of these states. */
const members = (...states: string[]) =>
  controlPlanes(states.length).map((one, index) => ({ ...one, state: states[index] }));
const workers = [node('w1', 1, 21), node('w2', 1, 22, { state: 'leaving' }), node('w3', 1, 23, { state: 'dead' })];
const withMembers = (...states: string[]) =>
  clusterSite({ nodes: [...members(...states), ...workers], kubernetes: { vip: '192.0.1.10' } });
const errors = (...states: string[]) => findingsOf(withMembers(...states)).filter((line) => line.startsWith('error'));

const A = 'active';
const L = 'leaving';
const D = 'dead';

test('one that leaves is out of the virtual address before it is out of etcd', () => {
  const { cluster, nodes } = planOf(withMembers(L, A, A));
  expect(cluster!.vip!.members.map(({ node: name }) => name)).toEqual(['cp2', 'cp3']);
  expect(nodes.filter((one) => one.cluster!.sharesVip).map(({ name }) => name)).toEqual(['cp2', 'cp3']);
});

describe('control-plane machines may leave', () => {
  test.each([
    ['one of three', [A, A, L]],
    ['the first of three', [L, A, A]],
    ['the last but one', [A, L]],
    ['two of five', [A, L, L, A, A]],
    ['one that another takes the place of', [A, A, A, L]],
    ['a dead one of three', [A, D, A]],
    ['a dead one that another takes the place of', [A, D, A, A]],
    ['a dead one and a leaving one of five', [A, A, A, L, D]],
  ])('%s', (_, states) => expect(errors(...states)).toEqual([]));

  test.each<[string, string[], RegExp]>([
    [
      'two of three',
      [A, L, L],
      /nodes\.2\.state: 1 of the 3 .* would stay, and etcd needs a majority of 2 .* one leave at a time/,
    ],
    ['the only one', [L], /nodes\.0\.state: cp1 is the only control-plane machine.*destroy/],
    ['all', [L, L, L], /none of the 3 control-plane machines .* stays/],
    ['a dead one of two', [A, D], /nodes\.1\.state: 1 of the 2 .*are dead.*restore etcd/],
    ['two dead ones of three', [A, D, D], /2 of the 3 .*are dead.*restore etcd/],
    ['a dead and a leaving one of three', [A, L, D], /nodes\.2\.state: 1 of the 3 .* would stay/],
  ])('not: %s', (_, states, message) => expect(errors(...states)).toContainEqual(expect.stringMatching(message)));

  test('two that stay are only a step on the way', () => {
    expect(errors(A, A)).toEqual([
      expect.stringMatching(/2 control-plane machines: .* 1, 3 or 5.*lines of one that has left go in the edit/),
    ]);
  });
});

test('a leaving machine is kept, and counts neither for the first of the cluster nor for a place for pods', () => {
  const plan = planOf(clusterSite({ nodes: [...members(L, A, A), node('w1', 1, 21, { state: L })] }));
  expect(plan.nodes.map(({ name, state, cluster }) => [name, state, cluster!.part])).toEqual([
    ['cp1', 'leaving', 'join-control-plane'],
    ['cp2', 'active', 'init'],
    ['cp3', 'active', 'join-control-plane'],
    ['w1', 'leaving', 'join-worker'],
  ]);
  expect(plan.proof.pairs).toHaveLength(6);
  // No other worker stays, so pods run beside the control plane.
  expect(plan.nodes.map(({ cluster }) => cluster!.taints)).toEqual([[], [], [], []]);
});

test('pods of DNS are planned for the nodes that stay', () => {
  const replicas = (state: string) =>
    planOf(smallCluster({ nodes: [...controlPlanes(1), node('w1', 1, 21, { state })] })).cluster!.dns.replicas;
  expect([replicas(A), replicas(L), replicas(D)]).toEqual([2, 1, 1]);
});

test('of a dead machine the plan holds what is left to know, and nothing else names it', () => {
  const plan = planOf(withMembers(D, A, A));
  expect(plan.dead.map(({ name, role, hypervisor }) => [name, role, hypervisor])).toEqual([
    ['cp1', 'control-plane', 'hv1'],
    ['w3', 'worker', 'hv1'],
  ]);
  expect(plan.nodes.map(({ name }) => name)).toEqual(['cp2', 'cp3', 'w1', 'w2']);
  const { dead, ...rest } = plan;
  expect(dead).toHaveLength(2);
  expect(JSON.stringify(rest)).not.toMatch(/"cp1"|"w3"|192\.0\.1\.(11|23)/);
});

test('findings about the living are at their own lines, whoever is dead before them', () => {
  const nodes = [{ ...controlPlanes(1)[0], name: 'lost', state: D }, ...controlPlanes(3), node('w1', 9, 21)];
  expect(findingsOf(clusterSite({ nodes }))).toContainEqual(
    expect.stringMatching(/^error machines\.nodes\.4\.addresses\.0: .* is in no subnet/),
  );
});

test('a machine that takes the place of a dead one needs another name', () => {
  const nodes = [...controlPlanes(3), node('w1', 1, 21), node('w1', 1, 22, { state: D })];
  expect(findingsOf(clusterSite({ nodes }))).toEqual([
    expect.stringMatching(/^error machines\.nodes\.4\.state: w1 is dead and there is another machine of that name/),
  ]);
});

test('nothing but dead machines is no site', () => {
  expect(findingsOf(clusterSite({ nodes: members(D) }))).toEqual([expect.stringMatching(/only control-plane machine/)]);
});

test('machines of no cluster leave none', () => {
  const site = siteOf('v4', 1) as { machines: { nodes: Record<string, unknown>[] } };
  site.machines.nodes[1].state = L;
  expect(findingsOf(site as never)).toEqual([
    expect.stringMatching(/^error machines\.nodes\.1\.state: n2 is in no cluster/),
  ]);
});

test('keys of a cluster are told where there is none, and no default is', () => {
  const keys = {
    kubernetes: { podSecurity: 'baseline', vip: '192.0.1.10' },
    kubeProxy: { mode: 'nftables', strictARP: false },
    dns: { replicas: 3 },
    artifacts: { from: 'source' },
  };
  const site = kvmSite([controlPlane, node('w1', 1, 21, { labels: { a: 'b' } })], {}, keys);
  const told = findingsOf(site).filter((line) => line.includes('has no effect'));
  expect(told.map((line) => line.split(':')[0])).toEqual([
    'warning kubernetes.podSecurity',
    'warning kubeProxy.strictARP',
    'warning dns.replicas',
    'warning artifacts.from',
    'warning machines.nodes.1.labels',
  ]);
  expect(findingsOf(kvmSite([controlPlane]))).toEqual([]);
  const planned = { ...keys, kubernetes: { ...keys.kubernetes, version: '1.36.1' } };
  expect(findingsOf(kvmSite([controlPlane], {}, planned)).filter((line) => line.includes('no effect'))).toEqual([]);
});
