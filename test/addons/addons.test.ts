import { smallCluster } from '../plan/clusterSite';
import { planOf } from '../plan/site';
import { clusterPlan, KUBECONFIG, named, recordAddons } from './fixtures';

const kubernetes = (type: string) => type.startsWith('kubernetes:');

test.each([true, false])('what is registered, preview: %s', async (preview) => {
  const resources = await recordAddons(clusterPlan, { preview });
  expect(resources.map(({ name, type, parent }) => `${name} ${type} < ${parent}`).sort()).toEqual([
    'oslo-addons sitewright:addons:Addons < null',
    'oslo-addons-dns sitewright:addons:ClusterDns < oslo-addons',
    'oslo-addons-dns-account kubernetes:core/v1:ServiceAccount < oslo-addons-dns',
    'oslo-addons-dns-binding kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding < oslo-addons-dns',
    'oslo-addons-dns-budget kubernetes:policy/v1:PodDisruptionBudget < oslo-addons-dns',
    'oslo-addons-dns-corefile kubernetes:core/v1:ConfigMap < oslo-addons-dns',
    'oslo-addons-dns-deployment kubernetes:apps/v1:Deployment < oslo-addons-dns',
    'oslo-addons-dns-role kubernetes:rbac.authorization.k8s.io/v1:ClusterRole < oslo-addons-dns',
    'oslo-addons-dns-service kubernetes:core/v1:Service < oslo-addons-dns',
    'oslo-addons-kube-proxy sitewright:addons:KubeProxy < oslo-addons',
    'oslo-addons-kube-proxy-account kubernetes:core/v1:ServiceAccount < oslo-addons-kube-proxy',
    'oslo-addons-kube-proxy-binding kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding < oslo-addons-kube-proxy',
    'oslo-addons-kube-proxy-configuration kubernetes:core/v1:ConfigMap < oslo-addons-kube-proxy',
    'oslo-addons-kube-proxy-daemonset kubernetes:apps/v1:DaemonSet < oslo-addons-kube-proxy',
    'oslo-addons-node-local-dns sitewright:addons:NodeLocalDns < oslo-addons',
    'oslo-addons-node-local-dns-corefile kubernetes:core/v1:ConfigMap < oslo-addons-node-local-dns',
    'oslo-addons-node-local-dns-daemonset kubernetes:apps/v1:DaemonSet < oslo-addons-node-local-dns',
    'oslo-addons-node-local-dns-device-cp1 command:remote:Command < oslo-addons-node-local-dns',
    'oslo-addons-node-local-dns-device-w1 command:remote:Command < oslo-addons-node-local-dns',
    'oslo-addons-pod-dns sitewright:addons:PodDns < oslo-addons',
    'oslo-addons-pod-dns-binding kubernetes:admissionregistration.k8s.io/v1:MutatingAdmissionPolicyBinding < oslo-addons-pod-dns',
    'oslo-addons-pod-dns-policy kubernetes:admissionregistration.k8s.io/v1:MutatingAdmissionPolicy < oslo-addons-pod-dns',
    'oslo-addons-provider pulumi:providers:kubernetes < oslo-addons',
  ]);
});

test('the provider comes after the cluster, knows it by the state and keeps its secret', async () => {
  const provider = named(await recordAddons(clusterPlan), 'provider');
  expect(provider.dependencies).toEqual(['cluster']);
  expect(provider.secretInputs).toEqual(['kubeconfig']);
  expect(provider.inputs).toMatchObject({
    kubeconfig: KUBECONFIG,
    clusterIdentifier: '4b1d2c3e-0000-4000-8000-5a5a5a5a5a5a',
    enableConfigMapMutable: 'true',
    enableSecretMutable: 'true',
    upsertExistingObjects: 'true',
    enablePatchForce: 'true',
  });
});

test('every object goes through that provider, has a name of its own and goes with the cluster', async () => {
  const objects = (await recordAddons(clusterPlan)).filter(({ type }) => kubernetes(type));
  expect(objects).toHaveLength(15);
  for (const { name, provider, deletedWith, inputs } of objects) {
    expect({ name, provider, deletedWith }).toEqual({ name, provider: 'oslo-addons-provider', deletedWith: 'cluster' });
    expect((inputs.metadata as { name: string }).name).toMatch(/^[a-z]/);
  }
});

test('pods use images of the bundle and never fetch one', async () => {
  const pods = (await recordAddons(clusterPlan))
    .filter(({ type }) => /:(DaemonSet|Deployment)$/.test(type))
    // eslint-disable-next-line @typescript-eslint/no-explicit-any
    .map(({ inputs }) => (inputs as any).spec.template.spec);
  const containers = pods.flatMap(({ containers, initContainers = [] }) => [...containers, ...initContainers]);
  expect(containers.map(({ name, image, imagePullPolicy }) => [name, image, imagePullPolicy]).sort()).toEqual([
    ['cache', clusterPlan.bundle.images.coredns, 'Never'],
    ['coredns', clusterPlan.bundle.images.coredns, 'Never'],
    ['kube-proxy', clusterPlan.bundle.images['kube-proxy'], 'Never'],
    ['old-rules', clusterPlan.bundle.images['kube-proxy'], 'Never'],
  ]);
  // A pod of the host network that asked the cluster's DNS would need what it helps to bring up.
  expect(pods.map(({ dnsPolicy }) => dnsPolicy)).toEqual(['Default', 'Default', 'Default']);
});

test('calico-node follows the mode of kube-proxy after kube-proxy has it, from a control-plane machine', async () => {
  const calico = planOf(smallCluster({ network: { cni: 'calico' }, more: { kubeProxy: { mode: 'ipvs' } } })).cluster!;
  const script = named(await recordAddons({ ...clusterPlan, calico: calico.calico }), 'calico-follows-proxy');
  expect(script.dependencies).toContain('oslo-addons-kube-proxy-daemonset');
  expect(script.deletedWith).toBe('cp1-domain');
  expect(script.inputs.stdin).toContain("PROXY_MODE='ipvs'");
});
