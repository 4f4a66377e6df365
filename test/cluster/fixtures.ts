import type { Bundle, BundleArtifact } from '../../components/bundle/lock';
import {
  joinSettings,
  type ClusterNodeSettings,
  type ControlPlaneSettings,
} from '../../components/cluster/nodeScripts';
import type { RuntimeSettings } from '../../components/cluster/runtimeScript';
import { upgradeSettings } from '../../components/cluster/upgradeScripts';
import type { ClusterPlan, NodeClusterPlan } from '../../components/plan/clusterTypes';
import { snapshotKey } from '../../components/secrets/etcdSnapshot';
import type { ClusterPki } from '../../components/secrets/pki';

/** A small cluster, with values that are easy to tell apart rather than complete documents. */
const repository = 'bundle.example.internal';

export const cluster: ClusterPlan = {
  kubernetesVersion: '1.36.1',
  domain: 'cluster.local',
  endpoint: { name: 'api.oslo.internal', port: 6443, address: '192.0.2.11', kind: 'node' },
  vip: null,
  apiServiceAddresses: ['10.96.0.1'],
  bundle: {
    from: 'source',
    name: 'source-1.36.1',
    components: [
      { name: 'etcd', version: '3.6.5' },
      { name: 'kubernetes', version: '1.36.1' },
    ],
    imageRepository: repository,
    images: {
      'kube-apiserver': `${repository}/kube-apiserver:v1.36.1`,
      'kube-controller-manager': `${repository}/kube-controller-manager:v1.36.1`,
      'kube-scheduler': `${repository}/kube-scheduler:v1.36.1`,
      'kube-proxy': `${repository}/kube-proxy:v1.36.1`,
      etcd: `${repository}/etcd:3.6.5`,
      coredns: `${repository}/coredns:v1.14.7`,
      pause: `${repository}/pause:3.10.2`,
    },
    manifests: [],
    packages: [],
  },
  kubeadm: {
    clusterConfiguration: {
      apiVersion: 'kubeadm.k8s.io/v1beta4',
      kind: 'ClusterConfiguration',
      kubernetesVersion: 'v1.36.1',
      controlPlaneEndpoint: 'api.oslo.internal:6443',
      apiServer: { certSANs: ['api.oslo.internal'] },
    },
    kubeletConfiguration: {
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      cgroupDriver: 'systemd',
    },
    upgradeConfiguration: {
      apiVersion: 'kubeadm.k8s.io/v1beta4',
      kind: 'UpgradeConfiguration',
      apply: { kubernetesVersion: 'v1.36.1' },
    },
  },
  supportedUntil: '2027-06-28',
  upgrade: { maxUnavailable: 1 },
  etcdSnapshots: { everySeconds: 21_600, keep: 8, directory: '/mnt/backup' },
  auditPolicy: { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules: [{ level: 'Metadata' }] },
  admissionConfiguration: { apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AdmissionConfiguration', plugins: [] },
  staticPodProbes: null,
  containerd: { version: '1.6.20', configVersion: 2, toml: 'version = 2\n\nroot = "/var/lib/containerd"\n' },
  registries: [],
  kubeProxy: { mode: 'ipvs', configuration: {}, conntrackOwner: 'site' },
  dns: {
    serviceAddress: '10.96.0.10',
    serviceAddresses: ['10.96.0.10'],
    clusterDnsAddresses: ['169.254.20.10', '10.96.0.10'],
    stubZones: [],
    corefile: '.:53 {}\n',
    replicas: 2,
    pods: null,
    nodeLocal: null,
  },
  drainLimitSeconds: 600,
  cni: 'routes',
  calico: null,
  ingress: null,
  policy: null,
  podMasquerade: { file: '/etc/sitewright/pod-masquerade.nft', ruleset: 'table inet sitewright_pods {\n}\n' },
};

const artifact = (index: number, path: string, extra: Partial<BundleArtifact>): BundleArtifact => ({
  path,
  kind: 'binary',
  component: 'kubernetes',
  version: '1.36.1',
  source: 'a module',
  sha256: index.toString(16).padStart(2, '0').repeat(32),
  sizeBytes: 1000,
  licence: 'Apache-2.0',
  ...extra,
});

const programs = ['kubeadm', 'kubelet', 'kubectl', 'crictl', 'containerd', 'containerd-shim-runc-v2', 'ctr', 'runc'];
const plugins = ['bridge', 'host-local', 'loopback', 'portmap'];

export const bundle: Bundle = {
  id: 'b1'.repeat(32),
  lock: {
    schemaVersion: 1,
    name: 'source-1.36.1',
    from: 'source',
    artifacts: [
      ...programs.map((name, index) => artifact(index + 1, `bin/${name}`, {})),
      ...plugins.map((name, index) => artifact(index + 32, `cni/${name}`, { kind: 'cni-plugin' })),
      ...Object.entries(cluster.bundle.images).map(([name, reference], index) =>
        artifact(index + 64, `images/${name}.tar`, { kind: 'image', reference }),
      ),
    ],
  },
};

export const controlPlaneNode: NodeClusterPlan = {
  part: 'init',
  registration: {
    apiVersion: 'kubeadm.k8s.io/v1beta4',
    kind: 'InitConfiguration',
    localAPIEndpoint: { advertiseAddress: '192.0.2.11', bindPort: 6443 },
    nodeRegistration: { name: 'cp1', criSocket: 'unix:///run/containerd/containerd.sock' },
  },
  podCidrs: ['10.244.11.0/24'],
  cniConfiguration: { cniVersion: '1.0.0', name: 'sitewright', plugins: [{ type: 'bridge', bridge: 'cni0' }] },
  labels: {},
  taints: [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }],
  sharesVip: false,
  nodeIps: { ipv4: '192.0.2.11' },
};

/** One of three that share a virtual address. */
export const vipCluster: ClusterPlan = {
  ...cluster,
  endpoint: { ...cluster.endpoint, address: '192.0.2.10', kind: 'vip' },
  vip: {
    address: '192.0.2.10',
    vrid: 77,
    members: ['cp1', 'cp2', 'cp3'].map((name, index) => ({ node: name, address: `192.0.2.${11 + index}` })),
    advertSeconds: 1,
    checkSeconds: 2,
  },
};

export const secondControlPlaneNode: NodeClusterPlan = {
  ...controlPlaneNode,
  part: 'join-control-plane',
  registration: {
    apiVersion: 'kubeadm.k8s.io/v1beta4',
    kind: 'JoinConfiguration',
    controlPlane: { localAPIEndpoint: { advertiseAddress: '192.0.2.12', bindPort: 6443 } },
    nodeRegistration: { name: 'cp2', criSocket: 'unix:///run/containerd/containerd.sock' },
  },
  sharesVip: true,
  nodeIps: { ipv4: '192.0.2.12' },
};

export const workerNode: NodeClusterPlan = {
  ...controlPlaneNode,
  part: 'join-worker',
  registration: {
    apiVersion: 'kubeadm.k8s.io/v1beta4',
    kind: 'JoinConfiguration',
    nodeRegistration: { name: 'w1', criSocket: 'unix:///run/containerd/containerd.sock' },
  },
  labels: { 'topology.kubernetes.io/zone': 'room-1' },
  taints: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }],
};

const credential = (name: string) => ({
  certificate: `-----BEGIN CERTIFICATE-----\n${name}\n-----END CERTIFICATE-----\n`,
  privateKey: `-----BEGIN PRIVATE KEY-----\nkey of ${name}\n-----END PRIVATE KEY-----\n`,
});

export const pki: ClusterPki = {
  ca: credential('ca'),
  etcdCa: credential('etcd-ca'),
  frontProxyCa: credential('front-proxy-ca'),
  serviceAccount: { publicKey: 'public key\n', privateKey: 'private key of service accounts\n' },
  admin: credential('admin'),
  encryptionKeys: [{ name: 'key1', secret: Buffer.from('a key of thirty-two bytes, here.').toString('base64') }],
};

const node: ClusterNodeSettings = { node: 'cp1', cluster, nodeCluster: controlPlaneNode, limitSeconds: 900 };
export const controlPlane: ControlPlaneSettings = {
  ...node,
  site: 'oslo',
  cluster: vipCluster,
  nodeCluster: { ...controlPlaneNode, sharesVip: true },
  pki,
  snapshotKeyPem: snapshotKey(Buffer.alloc(32, 7).toString('base64')).publicKeyPem,
  members: [
    { name: 'cp1', addresses: ['192.0.2.11'] },
    { name: 'w1', addresses: ['192.0.2.21', '2001:db8::21'] },
  ],
  peers: ['192.0.2.12', '192.0.2.13'],
  etcdDisk: '/dev/disk/by-id/virtio-etcd',
};
const caHash = `sha256:${'ca'.repeat(32)}`;
export const worker = joinSettings({ ...node, node: 'w1', nodeCluster: workerNode }, pki.ca.certificate, caHash);
export const secondControlPlane = joinSettings(
  { ...node, node: 'cp2', cluster: vipCluster, nodeCluster: secondControlPlaneNode },
  pki.ca.certificate,
  caHash,
);
export const runtime: RuntimeSettings = {
  node: 'cp1',
  cluster,
  part: 'init',
  cniConfiguration: controlPlaneNode.cniConfiguration,
  bundle,
  registryLogins: '',
  bundlePlace: { device: '/dev/disk/by-id/virtio-bundle' },
  limitSeconds: 900,
};

/** Both nodes on their way to the version of the cluster. */
export const upgrade = {
  cp1: upgradeSettings(node, runtime, 600),
  w1: upgradeSettings(
    { ...node, node: 'w1', nodeCluster: workerNode },
    { ...runtime, node: 'w1', part: 'join-worker', cniConfiguration: workerNode.cniConfiguration },
    600,
  ),
};
