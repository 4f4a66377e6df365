import { renderClusterProbe } from '../../components/clusterProbe';
import { API_TARGET, judgeFences, planFences, type FenceFacts } from '../../components/clusterProbe/fences';
import { judgeCluster } from '../../components/clusterProbe/judge';
import { policySite } from '../network/policySites';
import { planOf } from '../plan/site';
import { facts, request } from './fixtures';

const policy = planOf(policySite()).cluster!.policy!;
const fences = planFences(policy);

test('one of each kind, with the policies of a namespace of the site but for its own list', () => {
  expect(planFences(null)).toEqual([]);
  expect(fences.map(({ name, of, reachesApi }) => [name, of, reachesApi])).toEqual([
    ['ordinary', 'namespace erp', true],
    ['personal', 'namespace patients', false],
    ['everyone', 'namespaces without policies of their own', false],
  ]);
  const names = fences.map(({ policies }) => policies.map(({ metadata }) => (metadata as { name: string }).name));
  expect(names[0]).toContain('sitewright-api-server');
  for (const own of names.slice(0, 2)) {
    expect(own).toEqual(expect.arrayContaining(['sitewright-default-deny', 'sitewright-dns']));
    expect(own.filter((name) => name.includes('egress'))).toEqual([]);
  }
  expect(names[1]).not.toContain('sitewright-api-server');
});

const fenced = (name: FenceFacts['name'], open: string[]): FenceFacts => ({
  ...{ name, node: 'two', names: [] },
  reach: [API_TARGET, 'the pod on two', 'the pod on one'].map((target) => ({
    ...{ name: target, family: 'ipv4', error: open.includes(target) ? null : 'no answer' },
  })),
});
const found = () => {
  const all = facts();
  all.fences = [fenced('ordinary', [API_TARGET]), fenced('personal', []), fenced('everyone', [])];
  for (const { measured } of all.pods.measured) {
    measured.reach = fences.map(({ name }) => ({ name, family: 'ipv4', error: 'no answer' }));
  }
  return all;
};
const judged = (all: ReturnType<typeof found>) =>
  judgeFences(fences, all.fences!, all.pods.measured, 'error').map(({ where, message }) => `${where}: ${message}`);

test('kept apart as planned is no finding', () => expect(judged(found())).toEqual([]));

test('what gets in, what gets out, what is not let out and a pod that did not start are findings', () => {
  const all = found();
  all.pods.measured[0]!.measured.reach[1]!.error = null;
  all.fences![0] = fenced('ordinary', ['the pod on one']);
  all.fences![0].names = [
    {
      ...{ name: 'kubernetes.default', way: 'sequence', count: 5, failed: 5, error: 'Try again', overOneSecond: 5 },
      ...{ p50Milliseconds: 5000, p99Milliseconds: 5000, maxMilliseconds: 5000 },
    },
  ];
  all.fences![2] = { name: 'everyone', node: 'two', error: 'ErrImageNeverPull' };
  expect(judged(all)).toEqual([
    'fenced pod on two: ipv4: does not reach the API server, which policy.baseline for namespace erp allows: no answer',
    'fenced pod on two: ipv4: reaches the pod on one, which policy.baseline for namespace erp denies',
    'fenced pod on two: 5 of 5 look-ups of kubernetes.default failed, and policy.baseline for namespace erp allows DNS: Try again',
    'pod on one: ipv4: reaches a pod that policy.baseline for namespace patients keeps to itself',
    'fenced pod on two: policy.baseline for namespaces without policies of their own cannot be tried: ErrImageNeverPull',
  ]);
  const severity = (warn: string[]) =>
    judgeCluster(all, request({ fences, warn })).map((one) => `${one.probe} ${one.severity}`);
  expect(severity([])).toContain('policy error');
  expect(severity(['policy'])).toContain('policy warn');
});

test('the table says what was kept out and what was reached', () => {
  const words = renderClusterProbe({ facts: found(), findings: [] }, { color: false })
    .split('\n')
    .map((line) => line.trim().replace(/ {2,}/g, ' | '));
  expect(words).toContain('ordinary | two | 2 of 2 | the API server | the pod on two, the pod on one');
  expect(words).toContain('personal | two | 2 of 2 | nothing | the API server, the pod on two, the pod on one');
});
