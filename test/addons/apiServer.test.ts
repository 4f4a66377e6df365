import * as pulumi from '@pulumi/pulumi';
import { Addons } from '../../components/addons/addons';
import type { ClusterPlan } from '../../components/plan/clusterTypes';
import { removeCompiledPlugins, TestStack } from '../plugins/engine';
import { ApiServer, until } from '../plugins/kubernetes/apiServer';
import { FakeKubelet } from '../plugins/kubernetes/fakeKubelet';
import { clusterPlan, withScheduler } from './fixtures';

/** The objects of the cluster on a real API server with the controllers of Kubernetes, put there by the real engine. */

const system = '/namespaces/kube-system';

/* eslint-disable @typescript-eslint/no-explicit-any */
let server: ApiServer;
let stack: TestStack;
let kubelet: FakeKubelet;
beforeAll(async () => {
  [server, stack] = await Promise.all([ApiServer.start(), TestStack.make('addons')]);
  server.startControllers();
  kubelet = new FakeKubelet(server, 'kube-system', ['n1']);
});
afterAll(async () => {
  await kubelet?.stop();
  await stack?.remove();
  await server?.stop();
  removeCompiledPlugins();
});

/** What the site would register for this plan; the API server here has one family of addresses. */
const program =
  (plan: ClusterPlan = clusterPlan) =>
  async () => {
    const cluster = new pulumi.ComponentResource('test:index:Cluster', 'cluster');
    new Addons('oslo-addons', {
      plan: { ...plan, dns: { ...plan.dns, serviceAddresses: ['10.96.0.10'] } },
      machines: [],
      controlPlane: 'cp1',
      prepared: [],
      bundleFolder: '/no/bundle',
      ingressKey: null,
      kubeconfig: pulumi.output(server.kubeconfig()),
      stateId: pulumi.output('4b1d2c3e-0000-4000-8000-5a5a5a5a5a5a'),
      cluster,
      after: [cluster],
      limitFactor: 0.3,
    });
  };

const withDns = (dns: Partial<ClusterPlan['dns']>): ClusterPlan => ({
  ...clusterPlan,
  dns: { ...clusterPlan.dns, ...dns },
});

test('made; the next up changes nothing; every change is an edit in place of what it is about', async () => {
  const made = await stack.up(program());
  // The objects, the provider, the components and the stack.
  expect(made.changes).toEqual({ create: 15 + 1 + 6 + 1 });
  expect((await server.find(`/api/v1${system}/services/kube-dns`))!.spec.clusterIPs).toEqual(['10.96.0.10']);
  const again = await stack.up(program());
  expect(again.changes).toEqual({ same: 23 });

  const daemonSet = `/apis/apps/v1${system}/daemonsets/kube-proxy`;
  const before = (await server.find(daemonSet))!;
  const scheduler = await stack.up(program(withScheduler('wlc')));
  expect(scheduler.changes).toEqual({ same: 21, update: 2 });
  const after = (await server.find(daemonSet))!;
  expect(after.metadata.uid).toBe(before.metadata.uid);
  expect(after.spec.template.metadata.annotations).not.toEqual(before.spec.template.metadata.annotations);

  const pods = `/api/v1${system}/pods?labelSelector=k8s-app%3Dkube-dns`;
  const podsBefore = (await server.find(pods))!.items.map((pod: any) => pod.metadata.uid).sort();
  const corefile = '.:53 {\n    errors\n}\n';
  expect((await stack.up(program(withDns({ corefile })))).changes).toEqual({ same: 20, update: 3 });
  expect((await server.find(`/api/v1${system}/configmaps/coredns`))!.data).toEqual({ Corefile: corefile });
  expect((await server.find(pods))!.items.map((pod: any) => pod.metadata.uid).sort()).toEqual(podsBefore);
});

test('what somebody changed by hand is put back by the next change', async () => {
  const path = `/apis/apps/v1${system}/deployments/coredns`;
  await server.edit(path, { spec: { replicas: 5 } });
  await stack.refresh();
  await stack.up(program());
  expect((await server.find(path))!.spec.replicas).toBe(2);
});

describe('new pods', () => {
  const pod = (spec: object) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'one' },
    spec: { containers: [{ name: 'one', image: 'one' }], ...spec },
  });
  const dnsConfigOf = async (namespace: string, spec: object = {}) =>
    (await server.done('POST', `/api/v1/namespaces/${namespace}/pods?dryRun=All`, pod(spec))).spec.dnsConfig;
  const planned = clusterPlan.dns.pods!.config;

  beforeAll(async () => {
    for (const [name, labels] of Object.entries({ chosen: { dns: 'site' }, other: {} }))
      await server.done('POST', '/api/v1/namespaces', {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name, labels },
      });
    await server.edit('/api/v1/namespaces/kube-system', { metadata: { labels: { dns: 'site' } } });
    // The API server reads policies a moment after they are made.
    await until('the policy', async () => (await dnsConfigOf('chosen')) !== undefined);
  });

  test('of a chosen namespace have the settings', async () => {
    expect(await dnsConfigOf('chosen')).toEqual(planned);
    expect(await dnsConfigOf('chosen', { dnsPolicy: 'ClusterFirst' })).toEqual(planned);
  });

  test.each([
    ['a dnsConfig of its own', { dnsConfig: { options: [{ name: 'ndots', value: '5' }] } }],
    ['an empty dnsConfig', { dnsConfig: {} }],
    ['another policy', { dnsPolicy: 'Default' }],
    ['the network of its node', { hostNetwork: true }],
  ])('with %s keep what they have', async (_, spec) => {
    expect(await dnsConfigOf('chosen', spec)).toEqual('dnsConfig' in spec ? spec.dnsConfig : undefined);
  });

  test.each(['other', 'kube-system'])('of %s are left alone', async (namespace) => {
    expect(await dnsConfigOf(namespace)).toBeUndefined();
  });
});

test('switched off, the cache and the settings go, and nothing else', async () => {
  const { changes } = await stack.up(program(withDns({ nodeLocal: null, pods: null })));
  expect(changes).toEqual({ same: 17, delete: 6 });
  expect(await server.find(`/apis/apps/v1${system}/daemonsets/node-local-dns`)).toBeUndefined();
});

test('what a lost state has made is taken over', async () => {
  const daemonSet = `/apis/apps/v1${system}/daemonsets/kube-proxy`;
  const { uid } = (await server.find(daemonSet))!.metadata;
  const other = await TestStack.make('other');
  try {
    await other.up(program(withScheduler('sh')));
    expect((await server.find(daemonSet))!.metadata.uid).toBe(uid);
  } finally {
    await other.remove();
  }
});

test('the objects go with the cluster and are not deleted one by one', async () => {
  await stack.stack.destroy();
  expect(await server.find(`/apis/apps/v1${system}/daemonsets/kube-proxy`)).toBeDefined();
});
