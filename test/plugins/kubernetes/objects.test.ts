import * as k8s from '@pulumi/kubernetes';
import * as pulumi from '@pulumi/pulumi';
import { removeCompiledPlugins, TestStack } from '../engine';
import { ApiServer } from './apiServer';

jest.setTimeout(180_000);

let server: ApiServer;
let stack: TestStack;
beforeAll(async () => {
  [server, stack] = await Promise.all([ApiServer.start(), TestStack.make('objects')]);
  // Without its controller, what is deleted in the foreground would wait for ever.
  server.startControllers();
});
afterEach(() => stack?.stack.destroy());
afterAll(async () => {
  await stack?.remove();
  await server?.stop();
  removeCompiledPlugins();
});

const provider = (args: Partial<k8s.ProviderArgs> = {}) =>
  new k8s.Provider('cluster', {
    kubeconfig: server.kubeconfig(),
    clusterIdentifier: 'test',
    enableConfigMapMutable: true,
    enableSecretMutable: true,
    ...args,
  });

type ConfigMapArgs = k8s.types.input.core.v1.ConfigMap;
const configMap =
  (args: ConfigMapArgs, opts: pulumi.CustomResourceOptions = {}) =>
  async () => {
    const map = new k8s.core.v1.ConfigMap('map', args, { provider: provider(), ...opts });
    return { id: map.id, uid: map.metadata.uid, name: map.metadata.name, data: map.data };
  };

const settings = '/api/v1/namespaces/default/configmaps/settings';

test('create, no-op, update, drift and delete of an object', async () => {
  const program = (data: Record<string, string>) => configMap({ metadata: { name: 'settings' }, data });
  const previewed = await stack.preview(program({ a: '1' }));
  expect(previewed.changes).toEqual({ create: 3 });
  expect(await server.find(settings)).toBeUndefined();

  const made = await stack.up(program({ a: '1', b: '2' }));
  const live = await server.find(settings);
  expect(live).toMatchObject({ data: { a: '1', b: '2' } });
  expect(made.outputs).toEqual({
    id: 'default/settings',
    uid: live!.metadata.uid,
    name: 'settings',
    data: { a: '1', b: '2' },
  });

  expect((await stack.up(program({ a: '1', b: '2' }))).changes).toEqual({ same: 3 });
  expect((await server.find(settings))!.metadata.resourceVersion).toBe(live!.metadata.resourceVersion);

  const edited = await stack.up(program({ a: '3' }));
  expect(edited.changes).toEqual({ same: 2, update: 1 });
  // The field that the program no longer names goes away.
  expect((await server.find(settings))!.data).toEqual({ a: '3' });
  expect((await server.find(settings))!.metadata.uid).toBe(live!.metadata.uid);

  await server.edit(settings, { data: { a: 'by hand', other: 'not ours' } });
  expect((await stack.up(program({ a: '3' }))).changes).toEqual({ same: 3 });
  const refreshed = await stack.refresh();
  expect(refreshed.changes).toMatchObject({ update: 1 });
  const conflict = await stack.upFails(program({ a: '3' }));
  expect(conflict).toContain('.data.a (kubectl-edit)');
  expect(conflict).toContain('pulumi.com/patchForce');
  expect((await server.find(settings))!.data).toEqual({ a: 'by hand', other: 'not ours' });

  const forced = configMap({
    metadata: { name: 'settings', annotations: { 'pulumi.com/patchForce': 'true' } },
    data: { a: '3' },
  });
  const preview = await stack.preview(forced);
  expect(preview.changes).toEqual({ same: 2, update: 1 });
  expect(preview.said).toContain('[diff: ~data,metadata]');
  expect((await stack.up(forced)).changes).toEqual({ same: 2, update: 1 });
  expect((await server.find(settings))!.data).toEqual({ a: '3', other: 'not ours' });
  expect((await stack.refresh()).changes).toEqual({ same: 3 });

  await server.done('DELETE', settings);
  expect((await stack.refresh()).changes).toMatchObject({ delete: 1 });
  expect((await stack.up(program({ a: '3' }))).changes).toEqual({ same: 2, create: 1 });

  await stack.stack.destroy();
  expect(await server.find(settings)).toBeUndefined();
});
