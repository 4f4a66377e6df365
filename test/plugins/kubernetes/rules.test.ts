import { driftedInputs, importedInputs } from '../../../scripts/plugins/kubernetes/drift';
import { explained, fieldManagerOf, takeOver } from '../../../scripts/plugins/kubernetes/fieldManager';
import { ApiError } from '../../../scripts/plugins/kubernetes/client';
import { settingsOf, type Settings } from '../../../scripts/plugins/kubernetes/configuration';
import { redacted, withSecretMarks } from '../../../scripts/plugins/kubernetes/objects';
import { podProblems } from '../../../scripts/plugins/kubernetes/pods';
import { needsNewObject } from '../../../scripts/plugins/kubernetes/replaces';
import { isBuiltInNamespaced, parseToken } from '../../../scripts/plugins/kubernetes/token';
import { isSecret, secret, type Values } from '../../../scripts/plugins/values';

test('tokens', () => {
  const of = (token: string) => parseToken(`kubernetes:${token}`);
  expect(of('core/v1:ConfigMap')).toEqual({ group: '', version: 'v1', kind: 'ConfigMap', isPatch: false });
  expect(of('v1:ConfigMap')).toEqual(of('core/v1:ConfigMap'));
  const role = { group: 'rbac.authorization.k8s.io', version: 'v1', kind: 'ClusterRole', isPatch: true };
  expect(of('rbac.authorization.k8s.io/v1:ClusterRolePatch')).toEqual(role);
  expect(of('example.com/v1beta1:AllowList').kind).toBe('AllowList');
  for (const token of ['core/v1:PodList', 'helm.sh/v4:Chart', 'yaml/v2:ConfigFile', 'kustomize/v2:Directory', 'x:Y']) {
    expect(() => of(token)).toThrow(token);
  }
  expect(isBuiltInNamespaced(of('core/v1:Namespace'))).toBe(false);
  expect(isBuiltInNamespaced(of('apps/v1:DaemonSet'))).toBe(true);
  expect(isBuiltInNamespaced(of('gateway.networking.k8s.io/v1:Gateway'))).toBeUndefined();
});

const settings = (more: Partial<Settings> = {}) => ({ ...settingsOf({}), ...more });
test.each<[string, string, Values, Partial<Settings>, boolean]>([
  ['core/v1:ConfigMap', 'metadata.name', {}, {}, true],
  ['core/v1:ConfigMap', 'metadata.labels.name', {}, {}, false],
  ['core/v1:ConfigMap', 'apiVersion', {}, {}, false],
  ['core/v1:ConfigMap', 'data["a.conf"]', {}, {}, true],
  ['core/v1:ConfigMap', 'data', {}, { enableConfigMapMutable: true }, false],
  ['core/v1:ConfigMap', 'data.a', { immutable: true }, { enableConfigMapMutable: true }, true],
  ['core/v1:ConfigMap', 'immutable', { immutable: true }, {}, false],
  ['core/v1:ConfigMap', 'immutable', {}, {}, true],
  ['core/v1:Secret', 'stringData', {}, { enableConfigMapMutable: true }, true],
  ['core/v1:Secret', 'stringData', {}, { enableSecretMutable: true }, false],
  ['core/v1:Secret', 'type', {}, { enableSecretMutable: true }, true],
  ['apps/v1:Deployment', 'spec.selector.matchLabels.app', {}, {}, true],
  ['apps/v1:Deployment', 'spec.template.spec.containers[0].image', {}, {}, false],
  ['apps/v1:DaemonSetPatch', 'spec.selector', {}, {}, false],
  ['apps/v1:DaemonSetPatch', 'metadata.namespace', {}, {}, true],
  ['batch/v1:Job', 'spec.template.spec.containers[0].image', {}, {}, true],
  ['core/v1:Service', 'spec.clusterIP', {}, {}, true],
  ['core/v1:Service', 'spec.clusterIPs[0]', {}, {}, false],
  ['storage.k8s.io/v1:StorageClass', 'provisioner', {}, {}, true],
  ['core/v1:Pod', 'spec.containers[0].image', {}, {}, false],
  ['core/v1:Pod', 'spec.containers[0].imagePullPolicy', {}, {}, true],
  ['core/v1:PersistentVolume', 'spec.capacity.storage', {}, {}, false],
  ['core/v1:PersistentVolume', 'spec.hostPath.path', {}, {}, true],
])('%s: a change of %s with %j and %j needs a new object: %s', (token, path, inputs, more, expected) => {
  expect(needsNewObject(parseToken(`kubernetes:${token}`), path, inputs, settings(more))).toBe(expected);
});

test('drift is what is no longer as it was answered, among the fields of the inputs only', () => {
  const inputs = {
    apiVersion: 'v1',
    kind: 'X',
    metadata: { name: 'a', labels: { mine: '1', gone: '1' } },
    spec: { cpu: '1000m', containers: [{ name: 'a', image: 'x' }], args: ['1'], hidden: secret('s') },
  };
  const recorded = {
    ...inputs,
    metadata: { name: 'a', labels: { mine: '1', gone: '1' }, uid: 'u' },
    spec: { cpu: '1', containers: [{ name: 'a', image: 'x', pull: 'Always' }], args: ['1'], hidden: 's', other: 1 },
  };
  expect(driftedInputs(inputs, recorded, recorded)).toEqual(inputs);
  const live: Values = {
    ...recorded,
    metadata: { name: 'a', labels: { mine: '2', theirs: '1' }, uid: 'u' },
    spec: {
      cpu: '1',
      containers: [{ name: 'sidecar' }, { name: 'a', image: 'y', pull: 'Never' }],
      args: ['1', '2'],
      hidden: 't',
      other: 2,
    },
  };
  expect(driftedInputs(inputs, recorded, live)).toEqual({
    ...inputs,
    metadata: { name: 'a', labels: { mine: '2' } },
    spec: { cpu: '1000m', containers: [{ name: 'a', image: 'y' }], args: ['1', '2'], hidden: secret('t') },
  });
});

test('the text of a Secret drifts as its data does', () => {
  const inputs = { kind: 'Secret', stringData: secret({ a: 'one', b: 'two' }) };
  const data = (a: string, b?: string) => ({
    kind: 'Secret',
    data: Object.fromEntries(
      Object.entries({ a, b }).flatMap(([k, v]) => (v ? [[k, Buffer.from(v).toString('base64')]] : [])),
    ),
  });
  expect(driftedInputs(inputs, data('one', 'two'), data('one', 'two'))).toEqual(inputs);
  const drifted = driftedInputs(inputs, data('one', 'two'), data('changed'));
  expect(drifted).toEqual({ kind: 'Secret', stringData: secret({ a: 'changed' }) });
});

test('an import takes everything but what only the server sets', () => {
  const metadata = {
    name: 'a',
    uid: 'u',
    managedFields: [],
    annotations: { 'deployment.kubernetes.io/revision': '1' },
  };
  const live = { apiVersion: 'v1', kind: 'X', metadata, spec: { a: 1 }, status: {} };
  expect(importedInputs(live)).toEqual({ apiVersion: 'v1', kind: 'X', metadata: { name: 'a' }, spec: { a: 1 } });
});

test('a field manager is the same for the same resource, and one that is recorded or asked for stays', () => {
  const urn = 'urn:pulumi:a::b::kubernetes:core/v1:ConfigMap::c';
  expect(fieldManagerOf(urn, {}, undefined)).toMatch(/^pulumi-kubernetes-[0-9a-f]{8}$/);
  expect(fieldManagerOf(urn, {}, undefined)).toBe(fieldManagerOf(urn, {}, {}));
  expect(fieldManagerOf(`${urn}2`, {}, undefined)).not.toBe(fieldManagerOf(urn, {}, undefined));
  expect(fieldManagerOf(urn, {}, { __fieldManager: 'pulumi-kubernetes-12345678' })).toBe('pulumi-kubernetes-12345678');
  const asked = { metadata: { annotations: { 'pulumi.com/patchFieldManager': 'mine' } } };
  expect(fieldManagerOf(urn, asked, { __fieldManager: 'x' })).toBe('mine');
});

test('fields that the official plugin made an object with go to the manager that applies from now on', () => {
  const entry = (manager: string, operation: string, fields: Values, more: Values = {}) => ({
    manager,
    operation,
    fieldsV1: { 'f:data': fields },
    ...more,
  });
  const status = entry('pulumi-kubernetes', 'Update', { 'f:s': {} }, { subresource: 'status' });
  const theirs = entry('kubectl-edit', 'Update', { 'f:c': {} });
  const live = {
    metadata: {
      resourceVersion: '7',
      managedFields: [
        entry('m', 'Apply', { 'f:a': {} }),
        entry('pulumi-kubernetes', 'Update', { 'f:b': {} }),
        theirs,
        status,
      ],
    },
  };
  const merged = entry('m', 'Apply', { 'f:a': {}, 'f:b': {} });
  expect(takeOver(live, 'm')).toEqual([
    { op: 'test', path: '/metadata/resourceVersion', value: '7' },
    { op: 'replace', path: '/metadata/managedFields', value: [theirs, status, merged] },
  ]);
  expect(takeOver({ metadata: { managedFields: [theirs, status] } }, 'm')).toBeUndefined();
});

test('a conflict names the fields and their managers', () => {
  const causes = [
    { reason: 'FieldManagerConflict', message: 'conflict with "hpa" using apps/v1', field: '.spec.replicas' },
  ];
  const object = { kind: 'Deployment', metadata: { name: 'web', namespace: 'apps' } };
  const error = explained(new ApiError('Apply failed', 409, 'Conflict', causes), object) as Error;
  expect(error.message).toMatch(/^Deployment apps\/web was not changed.*\.spec\.replicas \(hpa\)/);
  const other = new ApiError('the object has been modified', 409, 'Conflict');
  expect(explained(other, object)).toBe(other);
});

test('marks go with the values, and a Secret is secret without any', () => {
  const marked = withSecretMarks(
    { kind: 'X', list: [{ a: 1 }, { a: 2 }], map: { a: 'x', b: 'y' } },
    { list: [{ a: 1 }, { a: secret(2) }], map: { a: secret('x') } },
  ) as { list: Values[]; map: Values };
  expect([marked.list[0].a, marked.list[1].a].map(isSecret)).toEqual([false, true]);
  expect([marked.map.a, marked.map.b].map(isSecret)).toEqual([true, false]);
  const applied = 'kubectl.kubernetes.io/last-applied-configuration';
  const object = {
    apiVersion: 'v1',
    kind: 'Secret',
    data: { a: 'eA==' },
    metadata: { annotations: { [applied]: '{}' } },
  };
  const whole = withSecretMarks(object, {}) as { data: Values; metadata: { annotations: Values } };
  expect([whole.data, whole.metadata.annotations[applied]].map(isSecret)).toEqual([true, true]);
});

test('a message shows nothing of what is marked', () => {
  const inputs = { apiVersion: 'v1', kind: 'Secret', stringData: { a: 'PLANTED', b: 'x' }, spec: secret('MARKED') };
  expect(redacted('bad "PLANTED" and MARKED in Secret', inputs)).toBe('bad "[secret]" and [secret] in Secret');
});

test('what keeps pods from being ready, in few words', () => {
  const pod = (name: string, status: Values) => ({ metadata: { name }, status });
  const waiting = (reason: string) => ({ containerStatuses: [{ name: 'c', state: { waiting: { reason } } }] });
  const unscheduled = { conditions: [{ type: 'PodScheduled', status: 'False', message: 'no node fits' }] };
  const pods = [
    pod('a', waiting('ImagePullBackOff')),
    pod('b', waiting('ContainerCreating')),
    pod('c', unscheduled),
    pod('d', { phase: 'Running', conditions: [] }),
    pod('e', { containerStatuses: [{ name: 'c', state: { terminated: { exitCode: 2 } } }] }),
  ];
  expect(podProblems(pods)).toEqual([
    'pod a: c: ImagePullBackOff',
    'pod c: no node fits',
    'pod d: runs, but is not ready yet',
    'and 1 more',
  ]);
});
