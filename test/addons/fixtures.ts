import * as pulumi from '@pulumi/pulumi';
import { Addons } from '../../components/addons/addons';
import type { Machine } from '../../components/machines/machine';
import type { ClusterPlan } from '../../components/plan/clusterTypes';
import { recordProgram, type RecordedResource } from '../support/recordingMonitor';

export const clusterPlan: ClusterPlan = {
  kubernetesVersion: '1.36.1',
  domain: 'cluster.local',
  endpoint: { name: 'api.oslo.internal', port: 6443, address: '192.0.2.11', kind: 'node' },
  vip: null,
  apiServiceAddresses: ['10.96.0.1', 'fd00:96::1'],
  bundle: {
    from: 'source',
    name: 'source-1.36.1',
    components: [],
    imageRepository: 'bundle.example',
    images: {
      'kube-apiserver': 'bundle.example/kube-apiserver:v1.36.1',
      'kube-controller-manager': 'bundle.example/kube-controller-manager:v1.36.1',
      'kube-scheduler': 'bundle.example/kube-scheduler:v1.36.1',
      'kube-proxy': 'bundle.example/kube-proxy:v1.36.1',
      etcd: 'bundle.example/etcd:3.6.5',
      coredns: 'bundle.example/coredns:v1.14.7',
      pause: 'bundle.example/pause:3.10.2',
    },
    manifests: [],
    packages: [],
  },
  kubeadm: { clusterConfiguration: {}, kubeletConfiguration: {}, upgradeConfiguration: {} },
  supportedUntil: '2027-06-28',
  upgrade: { maxUnavailable: 1 },
  etcdSnapshots: null,
  auditPolicy: {},
  admissionConfiguration: null,
  staticPodProbes: null,
  containerd: { version: '1.6.20', configVersion: 2, toml: '' },
  registries: [],
  kubeProxy: {
    mode: 'ipvs',
    conntrackOwner: 'site',
    configuration: {
      apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
      kind: 'KubeProxyConfiguration',
      mode: 'ipvs',
      clientConnection: { kubeconfig: '/var/lib/kube-proxy/kubeconfig.conf' },
      ipvs: { scheduler: 'rr', strictARP: true },
    },
  },
  dns: {
    serviceAddress: '10.96.0.10',
    serviceAddresses: ['10.96.0.10', 'fd00:96::a'],
    clusterDnsAddresses: ['169.254.20.10', '10.96.0.10'],
    stubZones: [],
    corefile: '.:53 {\n    ready\n}\n',
    replicas: 2,
    nodeLocal: { address: '169.254.20.10', corefile: '.:53 {\n    bind 169.254.20.10\n}\n' },
    pods: {
      config: {
        options: [{ name: 'ndots', value: '2' }, { name: 'single-request-reopen' }],
        searches: ['corp.example'],
      },
      namespaceLabels: { dns: 'site' },
    },
  },
  drainLimitSeconds: 600,
  cni: 'routes',
  calico: null,
  ingress: null,
  policy: null,
  podMasquerade: null,
};

/** The cluster with another scheduler of ipvs. */
export function withScheduler(scheduler: string): ClusterPlan {
  const { kubeProxy } = clusterPlan;
  return {
    ...clusterPlan,
    kubeProxy: { ...kubeProxy, configuration: { ...kubeProxy.configuration, ipvs: { scheduler, strictARP: true } } },
  };
}

/** Stands for a resource of another component: a dependency on a component is one on its children. */
class Marker extends pulumi.CustomResource {}

export const KUBECONFIG = 'a kubeconfig with a private key';

/** What the add-ons of a site with two machines register; `cp1` is a machine of the kit, `w1` is not. */
export async function recordAddons(plan: ClusterPlan, { preview = false } = {}): Promise<RecordedResource[]> {
  return recordProgram(
    () => {
      const marker = (name: string) => new Marker('test:index:Marker', name);
      const cluster = marker('cluster');
      const machines = ['cp1', 'w1'].map((name): Machine => {
        const ready = marker(`${name}-ssh`);
        return {
          name,
          role: name === 'cp1' ? 'control-plane' : 'worker',
          addresses: ['192.0.2.11/24'],
          nicDriver: null,
          disks: { root: null, etcd: null },
          connection: {
            host: '192.0.2.11',
            port: 22,
            user: 'sitewright',
            privateKey: pulumi.secret('a private key'),
            hostKey: 'ssh-ed25519 AAAA',
          },
          bundle: null,
          bundleReady: ready,
          ready,
          owner: name === 'cp1' ? marker(`${name}-domain`) : null,
          incarnation: `uuid of ${name}`,
        };
      });
      new Addons('oslo-addons', {
        plan,
        machines,
        controlPlane: 'cp1',
        prepared: [],
        bundleFolder: '/no/bundle',
        ingressKey: null,
        kubeconfig: pulumi.output(KUBECONFIG),
        stateId: pulumi.output('4b1d2c3e-0000-4000-8000-5a5a5a5a5a5a'),
        cluster,
        after: [cluster],
        limitFactor: 2,
      });
    },
    { preview },
  ).then((all) => all.filter(({ name }) => name.startsWith('oslo-addons')));
}

/** Resource by what follows the name of the add-ons. */
export const named = (resources: RecordedResource[], role: string): RecordedResource => {
  const found = resources.find(({ name }) => name === `oslo-addons-${role}`);
  if (found === undefined) throw new Error(`there is no oslo-addons-${role}`);
  return found;
};
