import type { EngineEvent } from '@pulumi/pulumi/automation';
import { previewDiff } from '../../scripts/review/previewDiff';
import { clusterSite } from '../plan/clusterSite';
import { planOf } from '../plan/site';

/** Events of the engine in the words of a site; whole previews are in impact.test.ts. */

const kvm = planOf(clusterSite());
const existing = { ...kvm, machines: { ...kvm.machines, provider: 'existing' as const } };
const { site } = kvm;

interface Given {
  name: string;
  op: string;
  type?: string;
  before?: object;
  after?: object;
  paths?: string[];
}

function event({ name, op, type = 'command:remote:Command', before, after, paths = [] }: Given): EngineEvent {
  const side = (inputs: object | undefined) => (inputs === undefined ? undefined : { custom: true, inputs });
  const metadata = {
    ...{ op, type, urn: `urn:pulumi:${site}::sitewright::sitewright:site:Site$${type}::${name}` },
    ...{ old: side(before), new: side(after), diffs: [] },
    detailedDiff: Object.fromEntries(paths.map((path) => [path, { diffKind: 'update', inputDiff: true }])),
  };
  return { resourcePreEvent: { metadata } } as unknown as EngineEvent;
}

const same = event({ name: `${site}-identity`, op: 'same', before: {}, after: {} });
const effects = (given: Given[], { plan = kvm, runs = null as string | null } = {}) =>
  previewDiff([same, ...given.map(event)], { plan, runs, redact: (text) => text.replaceAll('hidden', '[secret]') })
    .effects;

const deployment = (image: string) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { namespace: 'kube-system', name: 'coredns' },
  spec: { template: { spec: { containers: [{ image }] } } },
});

test('an object whose pods are made anew, with the field that differs', () => {
  const given = {
    ...{ name: `${site}-dns-deployment`, op: 'update', type: 'kubernetes:apps/v1:Deployment' },
    ...{ before: deployment('a:1'), after: deployment('a:2'), paths: ['spec.template.spec.containers[0].image'] },
  };
  expect(effects([given])).toEqual([
    {
      ...{
        machines: [],
        what: 'Deployment kube-system/coredns',
        change: 'changed',
        impact: 'restart',
        sameLines: true,
      },
      why: 'its pods are made anew, a few at a time',
      lines: ['  spec.template.spec.containers[0].image:', '- a:1', '+ a:2'],
    },
  ]);
});

test('objects that come and go', () => {
  const type = 'kubernetes:core/v1:ConfigMap';
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } };
  expect(
    effects([
      { name: 'one', op: 'create', type, after: object },
      { name: 'two', op: 'delete', type, before: { ...object, metadata: { name: 'b' } } },
    ]).map(({ what, change, impact }) => [what, change, impact]),
  ).toEqual([
    ['ConfigMap a', 'new', 'in place'],
    ['ConfigMap b', 'gone', 'deletion'],
  ]);
});

test('values of the engine that are secret, or that hold one, are not shown', () => {
  const [found] = effects([
    {
      ...{ name: `${site}-w1-prepare`, op: 'update', paths: ['stdin', 'environment.A', 'environment.B', 'delete'] },
      before: { stdin: '[secret]', environment: { A: 'x', B: '[secret]' }, delete: 'first\nof hidden' },
      after: { stdin: '[secret]', environment: { A: 'y', B: 'z' }, delete: 'first\nof another' },
    },
  ]);
  expect(found!.lines).toEqual([
    ...['  delete:', '  first', '- of [secret]', '+ of another'],
    ...['  environment.A:', '- x', '+ y', '~ environment.B: [secret]', '~ stdin: [secret]'],
  ]);
});

describe('what an update is', () => {
  const update = (name: string, paths: string[], options = {}) =>
    effects([{ name: `${site}-${name}`, op: 'update', before: {}, after: {}, paths }], options)[0];

  test.each([
    ['machines-w1-domain', ['stdin'], 'restart'],
    ['machines-w1-domain', ['connection.host', 'delete'], 'in place'],
    ['cluster-w1-runtime', ['stdin'], 'restart'],
    ['w1-prepare', ['stdin'], 'in place'],
  ])('%s by %j: %s', (name, paths, impact) => {
    expect(update(name, paths)).toMatchObject({ machines: ['w1'], change: 'changed', impact });
  });

  test.each([
    [['memory'], { memory: 8192 }, 'in place'],
    [['memory'], { memory: 2048 }, 'restart'],
    [['efiSecureBootEnabled'], { efiSecureBootEnabled: true }, 'restart'],
    [['networkInterfaces[0].networkId'], {}, 'in place'],
  ])('of a machine of a vCenter by %j: as diff says it', (paths, after, impact) => {
    const before = { memory: 4096, memoryHotAddEnabled: true };
    const name = `${site}-machines-w1-domain`;
    const type = 'vsphere:index/virtualMachine:VirtualMachine';
    const [found] = effects([{ name, op: 'update', type, before, after: { ...before, ...after }, paths }]);
    expect(found).toMatchObject({ machines: ['w1'], impact });
  });

  test('of what moves the machines to another version: disruptive where another one runs', () => {
    expect(update('cluster-upgrade', ['create'])).toMatchObject({ impact: 'in place' });
    expect(update('cluster-upgrade', ['stdin'], { runs: kvm.cluster!.kubernetesVersion })).toMatchObject({
      impact: 'in place',
    });
    expect(update('cluster-upgrade', ['stdin'], { runs: '1.35.0' })).toMatchObject({ impact: 'disruptive' });
  });
});

describe('machines', () => {
  const of = (op: string, name: string) =>
    [`machines-${name}-ssh`, `${name}-prepare`, `proof-node-${name}`].map((own) => ({
      ...{ name: `${site}-${own}`, op },
      [op === 'create' ? 'after' : 'before']: { delete: 'x' },
    }));

  test('one that is there already comes and goes as a whole', () => {
    const told = (given: Given[]) =>
      effects(given, { plan: existing }).map(({ machines, what, change, impact }) => [machines, what, change, impact]);
    expect(told(of('create', 'w1'))).toEqual([[['w1'], 'machine', 'new', 'in place']]);
    // It is in no plan any more.
    expect(told(of('delete', 'w9'))).toEqual([[['w9'], 'machine', 'gone', 'deletion']]);
  });

  test('one that is made anew is a replacement, whatever else of it changes', () => {
    const given = [
      { name: `${site}-machines-w1-domain`, op: 'delete-replaced', before: { triggers: ['a'] } },
      { name: `${site}-machines-w1-domain`, op: 'replace', before: { triggers: ['a'] }, after: { triggers: ['b'] } },
      {
        name: `${site}-machines-w1-domain`,
        op: 'create-replacement',
        after: { triggers: ['b'] },
        paths: ['triggers[0]'],
      },
      { name: `${site}-w1-prepare`, op: 'update', before: {}, after: {}, paths: ['stdin'] },
    ];
    expect(effects(given)).toEqual([
      expect.objectContaining({
        ...{ machines: ['w1'], what: 'machine', change: 'changed', impact: 'replacement' },
        lines: ['  triggers[0]:', '- a', '+ b'],
      }),
    ]);
  });
});
