import * as k8s from '@pulumi/kubernetes';
import * as pulumi from '@pulumi/pulumi';
import { useCluster } from './harness';

const cluster = useCluster('objects');

type ConfigMapArgs = k8s.types.input.core.v1.ConfigMap;
const configMap =
  (args: ConfigMapArgs, opts: pulumi.CustomResourceOptions = {}) =>
  async () => {
    const map = new k8s.core.v1.ConfigMap('map', args, { provider: cluster.provider(), ...opts });
    return { id: map.id, uid: map.metadata.uid, name: map.metadata.name, data: map.data };
  };

const settings = '/api/v1/namespaces/default/configmaps/settings';

test('create, no-op, update, drift and delete of an object', async () => {
  const program = (data: Record<string, string>) => configMap({ metadata: { name: 'settings' }, data });
  const previewed = await cluster.stack.preview(program({ a: '1' }));
  expect(previewed.changes).toEqual({ create: 3 });
  expect(await cluster.server.find(settings)).toBeUndefined();

  const made = await cluster.stack.up(program({ a: '1', b: '2' }));
  const live = await cluster.server.find(settings);
  expect(live).toMatchObject({ data: { a: '1', b: '2' } });
  expect(made.outputs).toEqual({
    id: 'default/settings',
    uid: live!.metadata.uid,
    name: 'settings',
    data: { a: '1', b: '2' },
  });

  expect((await cluster.stack.up(program({ a: '1', b: '2' }))).changes).toEqual({ same: 3 });
  expect((await cluster.server.find(settings))!.metadata.resourceVersion).toBe(live!.metadata.resourceVersion);

  const edited = await cluster.stack.up(program({ a: '3' }));
  expect(edited.changes).toEqual({ same: 2, update: 1 });
  // The field that the program no longer names goes away.
  expect((await cluster.server.find(settings))!.data).toEqual({ a: '3' });
  expect((await cluster.server.find(settings))!.metadata.uid).toBe(live!.metadata.uid);

  await cluster.server.edit(settings, { data: { a: 'by hand', other: 'not ours' } });
  expect((await cluster.stack.up(program({ a: '3' }))).changes).toEqual({ same: 3 });
  const refreshed = await cluster.stack.refresh();
  expect(refreshed.changes).toMatchObject({ update: 1 });
  const conflict = await cluster.stack.upFails(program({ a: '3' }));
  expect(conflict).toContain('.data.a (kubectl-edit)');
  expect(conflict).toContain('pulumi.com/patchForce');
  expect((await cluster.server.find(settings))!.data).toEqual({ a: 'by hand', other: 'not ours' });

  const forced = configMap({
    metadata: { name: 'settings', annotations: { 'pulumi.com/patchForce': 'true' } },
    data: { a: '3' },
  });
  const preview = await cluster.stack.preview(forced);
  expect(preview.changes).toEqual({ same: 2, update: 1 });
  expect(preview.said).toContain('[diff: ~data,metadata]');
  expect((await cluster.stack.up(forced)).changes).toEqual({ same: 2, update: 1 });
  expect((await cluster.server.find(settings))!.data).toEqual({ a: '3', other: 'not ours' });
  expect((await cluster.stack.refresh()).changes).toEqual({ same: 3 });

  await cluster.server.done('DELETE', settings);
  expect((await cluster.stack.refresh()).changes).toMatchObject({ delete: 1 });
  expect((await cluster.stack.up(program({ a: '3' }))).changes).toEqual({ same: 2, create: 1 });

  await cluster.stack.stack.destroy();
  expect(await cluster.server.find(settings)).toBeUndefined();
});

const maps = '/api/v1/namespaces/default/configmaps';

test('a name that is not given is made, kept, and made again for a replacement', async () => {
  const program = (value: string) => async () => {
    const provider = cluster.provider({ enableConfigMapMutable: false });
    const auto = new k8s.core.v1.ConfigMap('auto', { data: { a: value } }, { provider });
    const named = new k8s.core.v1.ConfigMap('named', { metadata: { name: 'named' }, data: { a: value } }, { provider });
    return { auto: auto.metadata.name, named: named.metadata.uid };
  };
  const first = await cluster.stack.up(program('1'));
  expect(first.outputs.auto).toMatch(/^auto-[0-9a-f]{8}$/);
  expect((await cluster.stack.up(program('1'))).outputs).toEqual(first.outputs);

  const second = await cluster.stack.up(program('2'));
  expect(second.changes).toEqual({ same: 2, replace: 2 });
  expect(second.outputs.auto).toMatch(/^auto-[0-9a-f]{8}$/);
  expect(second.outputs.auto).not.toBe(first.outputs.auto);
  expect(second.outputs.named).not.toBe(first.outputs.named);
  expect(await cluster.server.find(`${maps}/${first.outputs.auto}`)).toBeUndefined();
  expect((await cluster.server.find(`${maps}/named`))!.data).toEqual({ a: '2' });
});

test('an object that exists is left alone, but one of a run that was cut off is carried on with', async () => {
  await cluster.server.done('POST', maps, { metadata: { name: 'theirs' }, data: { a: 'theirs' } });
  const program = configMap({ metadata: { name: 'theirs' }, data: { b: 'ours' } });
  const said = await cluster.stack.upFails(program);
  expect(said).toContain('ConfigMap default/theirs exists already');
  expect(said).toContain('default/theirs\\"');
  expect((await cluster.server.find(`${maps}/theirs`))!.data).toEqual({ a: 'theirs' });
  await cluster.server.done('DELETE', `${maps}/theirs`);

  const made = await cluster.stack.up(program);
  const exported = await cluster.stack.stack.exportStack();
  const isMap = (resource: { type: string }) => resource.type === 'kubernetes:core/v1:ConfigMap';
  exported.deployment.resources = exported.deployment.resources.filter(
    (resource: { type: string }) => !isMap(resource),
  );
  await cluster.stack.stack.importStack(exported);
  const again = await cluster.stack.up(program);
  expect(again.changes).toEqual({ same: 2, create: 1 });
  expect(again.outputs.uid).toBe(made.outputs.uid);
});

test('a patch owns its fields of an object that somebody else made, and gives them back', async () => {
  await cluster.server.done('POST', maps, { metadata: { name: 'shared' }, data: { a: 'theirs' } });
  const program = (value: string) => async () => {
    const args = { metadata: { name: 'shared' }, data: { b: value } };
    new k8s.core.v1.ConfigMapPatch('patch', args, { provider: cluster.provider() });
  };
  await cluster.stack.up(program('1'));
  expect((await cluster.server.find(`${maps}/shared`))!.data).toEqual({ a: 'theirs', b: '1' });
  expect((await cluster.stack.up(program('2'))).changes).toEqual({ same: 2, update: 1 });
  expect((await cluster.server.find(`${maps}/shared`))!.data).toEqual({ a: 'theirs', b: '2' });
  await cluster.stack.stack.destroy();
  expect((await cluster.server.find(`${maps}/shared`))!.data).toEqual({ a: 'theirs' });
});

test('import and get take what is there; what the official plugin made goes on without a conflict', async () => {
  await cluster.server.done('POST', `${maps}?fieldManager=pulumi-kubernetes`, {
    metadata: { name: 'imported' },
    data: { a: '1' },
  });
  const args = { metadata: { name: 'imported' }, data: { a: '1' } };
  const imported = await cluster.stack.up(configMap(args, { import: 'default/imported' }));
  expect(imported.changes).toEqual({ create: 2, import: 1 });
  expect((await cluster.stack.up(configMap({ ...args, data: { a: '2' } }))).changes).toEqual({ same: 2, update: 1 });
  const got = await cluster.stack.up(async () => {
    const map = k8s.core.v1.ConfigMap.get('got', 'default/imported', { provider: cluster.provider() });
    return { data: map.data };
  });
  expect(got.outputs.data).toEqual({ a: '2' });
});

test('everything that is wrong with the inputs is said at once, and nothing is made', async () => {
  const said = await cluster.stack.upFails(async () => {
    const annotations = { 'pulumi.com/timeoutSeconds': '5m', 'pulumi.com/waitFor': 'condition=Ready' };
    const metadata = { name: 'a', namespace: 'b', annotations };
    new k8s.core.v1.Namespace('a', { metadata }, { provider: cluster.provider() });
  });
  expect(said).toContain('a Namespace belongs to no namespace');
  expect(said).toContain('must be a number of seconds');
  expect(said).toContain('conditions of your own are not supported');
  expect(await cluster.server.find('/api/v1/namespaces/a')).toBeUndefined();
});

test('the API server judges the preview: a field that it does not know is an error, what is deprecated a warning', async () => {
  const service = (spec: object) => async () =>
    void new k8s.core.v1.Service('service', { spec }, { provider: cluster.provider() });
  const wrong = cluster.stack.preview(service({ ports: [{ port: 80 }], colour: 'red' }));
  await expect(wrong).rejects.toThrow('.spec.colour: field not declared in schema');

  const deprecated = async () =>
    void new k8s.core.v1.Endpoints('old', { subsets: [] }, { provider: cluster.provider() });
  expect((await cluster.stack.preview(deprecated)).said).toContain('v1 Endpoints is deprecated');
});
