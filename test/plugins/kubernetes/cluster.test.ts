import * as k8s from '@pulumi/kubernetes';
import { local } from '@pulumi/command';
import * as pulumi from '@pulumi/pulumi';
import { useCluster } from './harness';

const cluster = useCluster('cluster');

const group = 'test.sitewright.internal';
const definition = (opts: pulumi.CustomResourceOptions) =>
  new k8s.apiextensions.v1.CustomResourceDefinition(
    'tunnels',
    {
      metadata: { name: `tunnels.${group}` },
      spec: {
        group,
        scope: 'Namespaced',
        names: { kind: 'Tunnel', plural: 'tunnels', singular: 'tunnel' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: { spec: { type: 'object', x_kubernetes_preserve_unknown_fields: true } },
              },
            },
          },
        ],
      },
    },
    opts,
  );

test('a definition is served before it is done, and its objects are objects as any others', async () => {
  const program = (mtu: number) => async () => {
    const opts = { provider: cluster.provider() };
    const crd = definition(opts);
    const tunnel = new k8s.apiextensions.CustomResource(
      'tunnel',
      { apiVersion: `${group}/v1`, kind: 'Tunnel', metadata: { name: 'a' }, spec: { mtu } },
      { ...opts, dependsOn: [crd] },
    );
    return { id: tunnel.id, spec: (tunnel as unknown as { spec: pulumi.Output<unknown> }).spec };
  };
  const preview = await cluster.stack.preview(program(1450));
  expect(preview.changes).toEqual({ create: 4 });
  const made = await cluster.stack.up(program(1450));
  expect(made.outputs).toEqual({ id: 'default/a', spec: { mtu: 1450 } });
  expect((await cluster.stack.up(program(1450))).changes).toEqual({ same: 4 });
  const edited = await cluster.stack.up(program(1400));
  expect(edited.changes).toEqual({ same: 3, update: 1 });
  expect(edited.outputs.spec).toEqual({ mtu: 1400 });
  expect((await cluster.stack.refresh()).changes).toEqual({ same: 4 });
});

test('the data of a Secret is in no state, event or message, and reaches the cluster whole', async () => {
  const planted = 'PLANTED-4c1e';
  const encoded = Buffer.from(planted).toString('base64');
  const hidden = (text: string) => {
    expect(text).not.toContain(planted);
    expect(text).not.toContain(encoded);
  };
  const program = (value: string) => async () => {
    const args = { metadata: { name: 'token' }, stringData: { token: value } };
    const provider = cluster.provider();
    const made = new k8s.core.v1.Secret('token', args, { provider });
    const marked = { metadata: { name: 'marked' }, data: { plain: 'seen', hidden: pulumi.secret(planted) } };
    new k8s.core.v1.ConfigMap('marked', marked, { provider });
    return { id: made.id };
  };
  const made = await cluster.stack.up(program(planted));
  hidden(made.said);
  hidden(cluster.stack.state());
  expect(cluster.stack.state()).toContain('seen');
  const path = '/api/v1/namespaces/default/secrets/token';
  expect((await cluster.server.find(path))!.data.token).toBe(encoded);

  const edited = await cluster.stack.up(program(`${planted}-2`));
  expect(edited.changes).toEqual({ same: 3, update: 1 });
  hidden(edited.said);
  hidden(cluster.stack.state());

  // The drift of a value that the program gave as text is found in what the server made of it.
  await cluster.server.edit(path, { data: { token: Buffer.from('by hand').toString('base64') } });
  const refreshed = await cluster.stack.refresh();
  expect(refreshed.changes).toMatchObject({ update: 1 });
  hidden(refreshed.said);

  const said = await cluster.stack.upFails(async () => {
    const args = { metadata: { name: 'bad' }, data: { 'not base64': planted } };
    new k8s.core.v1.Secret('bad', args, { provider: cluster.provider() });
  });
  hidden(said);
  expect(said).toContain('Secret');
  // The credentials of the provider itself.
  expect(cluster.stack.state()).not.toContain('client-key-data');
});

test('an API server that cannot be reached: previewed from the program, refused with advice, forgotten when told to', async () => {
  const nowhere = (args: Partial<k8s.ProviderArgs> = {}) =>
    cluster.provider({ kubeconfig: cluster.server.kubeconfig('https://127.0.0.1:1'), ...args });
  const program = (provider: () => k8s.Provider, data: string) => async () => {
    const map = new k8s.core.v1.ConfigMap(
      'map',
      { metadata: { name: 'map' }, data: { data } },
      { provider: provider() },
    );
    return { data: map.data };
  };
  const preview = await cluster.stack.preview(program(nowhere, '1'));
  expect(preview.changes).toEqual({ create: 3 });
  expect(preview.said).toContain('previewed from the program alone');
  const said = await cluster.stack.upFails(program(nowhere, '1'));
  expect(said).toContain('https://127.0.0.1:1 cannot be reached (ECONNREFUSED)');
  expect(said).toContain('Check that kube-apiserver runs');

  // With one identifier, another kubeconfig is another way to the same cluster: nothing is replaced.
  await cluster.stack.up(program(() => cluster.provider(), '1'));
  const moved = await cluster.stack.preview(program(nowhere, '2'));
  expect(moved.changes).toEqual({ same: 1, update: 2 });
  const other = await cluster.stack.preview(program(() => cluster.provider({ clusterIdentifier: 'other' }), '1'));
  expect(other.changes).toEqual({ same: 1, replace: 2 });

  await cluster.stack.up(program(() => cluster.provider({ deleteUnreachable: true }), '1'));
  await cluster.server.pause();
  const refreshed = await cluster.stack.refresh();
  expect(refreshed.said).toContain('forgotten (deleteUnreachable)');
  await cluster.server.resume();
});

test('a kubeconfig that is known only later makes nothing anew', async () => {
  const program = (word: string) => async () => {
    const made = new local.Command('made', { create: 'echo "$KUBECONFIG_TEXT"', environment: { word } });
    const kubeconfig = made.stdout.apply(() => cluster.server.kubeconfig());
    const provider = cluster.provider({ kubeconfig });
    new k8s.core.v1.ConfigMap('map', { metadata: { name: 'map' } }, { provider });
  };
  expect((await cluster.stack.preview(program('1'))).changes).toEqual({ create: 4 });
  expect((await cluster.stack.up(program('1'))).changes).toEqual({ create: 4 });
  // The command runs again, so its output is unknown, and with it the kubeconfig.
  const { changes } = await cluster.stack.preview(program('2'));
  expect(changes).not.toHaveProperty('replace');
  expect((await cluster.stack.up(program('2'))).changes).toEqual({ same: 3, update: 1 });
});

test('what this plugin does not do is refused with the reason', async () => {
  const refused = async (program: (provider: k8s.Provider) => void, reason: string) =>
    expect(await cluster.stack.upFails(async () => program(cluster.provider()))).toContain(reason);
  await refused(
    (provider) => void new k8s.helm.v3.Release('release', { chart: 'x' }, { provider }),
    'Helm charts and releases are not supported by this plugin',
  );
  await refused(
    (provider) => void new k8s.core.v1.ConfigMapList('list', { items: [] }, { provider }),
    'a list is no object of its own',
  );
});
