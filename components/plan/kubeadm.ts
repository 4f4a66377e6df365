import type { SiteSpec } from '../spec/schema';
import { sizeToBytes } from '../spec/units';
import type { Addressing } from './address';
import type { AdmissionPlugins } from './admissionPlugins';
import {
  ADMISSION_FILE,
  API_SERVER_FOLDER,
  AUDIT_LOG_FOLDER,
  AUDIT_POLICY_FILE,
  CRI_SOCKET,
  ENCRYPTION_FILE,
  ETCD_FOLDER,
  KUBERNETES_CA_FILE,
  STATIC_POD_PATCHES_FOLDER,
} from './clusterPaths';
import type { BundlePlan, ClusterPlan, EndpointPlan, KubeDocument, NodeClusterPlan, Taint } from './clusterTypes';
import { API_PORT } from './endpoint';
import { byText, type Findings } from './findings';
import { parseIp } from './ip';
import { seconds, wholeSeconds } from './kubeValues';
import type { MachinePlan } from './machines';
import { sizeOf } from './machineSize';

/** kubeadm.k8s.io/v1beta4: what every control-plane node shares, and how each node comes into the cluster. */

const API_VERSION = 'kubeadm.k8s.io/v1beta4';

const arg = (name: string, value: string) => ({ name, value });
const namesArg = (name: string, names: string[]) => (names.length === 0 ? [] : [arg(name, names.join(','))]);

const MEBIBYTE = 1024 ** 2;
/** etcd's own default where nobody knows the disk, and the most that it recommends (etcd documentation, system limits). */
const ETCD_QUOTA_BYTES = { unknownDisk: 2048 * MEBIBYTE, most: 8192 * MEBIBYTE };

/** The disk must hold as much again while etcd defragments or takes a snapshot. */
function etcdQuotaBytes(spec: SiteSpec, machines: MachinePlan[], findings: Findings): number {
  const disks = machines.flatMap((machine, index) => {
    const bytes = sizeOf(machine)?.etcdDiskBytes;
    return spec.machines.nodes[index].role === 'control-plane' && bytes ? [bytes] : [];
  });
  const fits = disks.length === 0 ? null : Math.floor(Math.min(...disks) / 2);
  const { quota } = spec.kubernetes.etcd;
  if (quota === 'auto') return Math.min(fits ?? ETCD_QUOTA_BYTES.unknownDisk, ETCD_QUOTA_BYTES.most);
  const bytes = sizeToBytes(quota);
  const most = Math.min(fits ?? ETCD_QUOTA_BYTES.most, ETCD_QUOTA_BYTES.most);
  if (bytes > most) {
    const why =
      fits === most
        ? 'etcd needs as much again on its disk while it defragments'
        : 'etcd recommends no more, whatever the disk';
    findings.error(
      ['kubernetes', 'etcd', 'quota'],
      quota,
      `${quota} is too large: ${why}, so at most ${Math.floor(most / MEBIBYTE)}MiB; leave it out to have it computed`,
    );
  }
  return bytes;
}

export interface EtcdSettings {
  quotaBytes: number;
  /** As Go writes a duration. */
  compaction: string;
}

export function planEtcd(spec: SiteSpec, machines: MachinePlan[], findings: Findings): EtcdSettings {
  const path = ['kubernetes', 'etcd', 'compaction'];
  return {
    quotaBytes: etcdQuotaBytes(spec, machines, findings),
    compaction: seconds(wholeSeconds(spec.kubernetes.etcd.compaction, path, findings)),
  };
}

/** The machines of a lab may be emulated, all on one host. */
const emulated = ({ environment }: SiteSpec) => environment === 'lab';

/**
 * An emulated control plane can stand still for longer than the 10 s in which Kubernetes wants a lease renewed; the
 * controller manager and the scheduler would then end themselves again and again (Kubernetes' own: 15s, 10s, 2s).
 */
const emulationLeases = () => [
  arg('leader-elect-lease-duration', '60s'),
  arg('leader-elect-renew-deadline', '40s'),
  arg('leader-elect-retry-period', '10s'),
];

/**
 * For the same reason (etcd's own: 100 and 1000); an election takes ten heartbeats, as etcd's tuning guide has it. And with
 * kubeadm's 5s etcd tells the API server every 5 s, for each of its hundred watches, that nothing happened.
 */
const emulationEtcd = () => [
  arg('election-timeout', '5000'),
  arg('heartbeat-interval', '500'),
  arg('watch-progress-notify-interval', '60s'),
];

/**
 * An emulated control plane that starts a network or a node can fail kubelet's checks for minutes; ended and started again
 * by them it only has more to do (seen: the API server fails eight checks while Calico's definitions are taken in).
 */
const EMULATION_LIVENESS_FAILURES = 60;
/**
 * kubeadm's 1 s is two TLS handshakes a second, on both ends. With this and etcd's quieter watches an idle control plane with
 * Calico needed one emulated processor instead of two: the API server 17 % of one instead of 40, kubelet 16 instead of 35, etcd 8
 * instead of 25.
 */
const EMULATION_READINESS_SECONDS = 10;

export const planStaticPodProbes = (spec: SiteSpec): ClusterPlan['staticPodProbes'] =>
  emulated(spec)
    ? { livenessFailures: EMULATION_LIVENESS_FAILURES, readinessPeriodSeconds: EMULATION_READINESS_SECONDS }
    : null;

/** Of documents with which kubeadm writes static pods. */
const staticPodPatches = (spec: SiteSpec) =>
  planStaticPodProbes(spec) === null ? {} : { patches: { directory: STATIC_POD_PATCHES_FOLDER } };

const SNAPSHOT_MIN_SECONDS = 60;

export function planSnapshots({ kubernetes }: SiteSpec, findings: Findings): ClusterPlan['etcdSnapshots'] {
  const { snapshots } = kubernetes.etcd;
  if (snapshots === undefined) return null;
  const { every, keep, directory } = snapshots;
  const path = ['kubernetes', 'etcd', 'snapshots', 'every'];
  const everySeconds = wholeSeconds(every, path, findings);
  if (everySeconds < SNAPSHOT_MIN_SECONDS) findings.error(path, every, `${every} is too often: write 1m or more`);
  return { everySeconds, keep, directory };
}

export interface ClusterConfigurationArgs {
  spec: SiteSpec;
  version: string;
  domain: string;
  endpoint: EndpointPlan;
  bundle: BundlePlan;
  addressing: Addressing;
  etcd: EtcdSettings;
  admission: boolean;
  admissionPlugins: AdmissionPlugins;
}

export function planClusterConfiguration(args: ClusterConfigurationArgs): KubeDocument {
  const { spec, version, domain, endpoint, bundle, addressing, etcd, admission, admissionPlugins } = args;
  const { podCidrs, serviceCidrs } = addressing.plan;
  return {
    apiVersion: API_VERSION,
    kind: 'ClusterConfiguration',
    clusterName: spec.name,
    kubernetesVersion: `v${version}`,
    controlPlaneEndpoint: `${endpoint.name}:${endpoint.port}`,
    // As the authorities have it. With RSA 2048, kubeadm's default, every connection of a component costs a signature that takes
    // twenty times as long (Go 1.26: 1.4 ms against 0.07 ms).
    encryptionAlgorithm: 'ECDSA-P256',
    imageRepository: bundle.imageRepository,
    networking: { dnsDomain: domain, podSubnet: podCidrs.join(','), serviceSubnet: serviceCidrs.join(',') },
    apiServer: {
      certSANs: certSans(spec, endpoint, addressing),
      extraArgs: [
        ...(admission ? [arg('admission-control-config-file', ADMISSION_FILE)] : []),
        arg('audit-log-maxage', '30'),
        arg('audit-log-maxbackup', '5'),
        arg('audit-log-maxsize', '100'),
        arg('audit-log-path', `${AUDIT_LOG_FOLDER}/audit.log`),
        arg('audit-policy-file', AUDIT_POLICY_FILE),
        ...namesArg('disable-admission-plugins', admissionPlugins.disable),
        ...namesArg('enable-admission-plugins', admissionPlugins.enable),
        arg('encryption-provider-config', ENCRYPTION_FILE),
        arg('etcd-compaction-interval', etcd.compaction),
        // Without it the API server sends what exec and port-forward carry to whoever answers at a node's address.
        arg('kubelet-certificate-authority', KUBERNETES_CA_FILE),
        // haproxy has the same port on the virtual address. From the first day on, so that one control-plane node becomes
        // three without a restart of its API server.
        ...(endpoint.kind === 'external' ? [] : [arg('permit-port-sharing', 'true')]),
      ],
      extraVolumes: [
        { ...volume('audit-log', AUDIT_LOG_FOLDER), readOnly: false },
        { ...volume('sitewright', API_SERVER_FOLDER), readOnly: true },
      ],
    },
    controllerManager: {
      extraArgs: [
        // With `routes` the plan gives every node its networks; two who number them would not agree.
        ...(spec.network.cni === 'routes' ? [arg('allocate-node-cidrs', 'false')] : []),
        ...(emulated(spec) ? emulationLeases() : []),
      ],
    },
    scheduler: { extraArgs: emulated(spec) ? emulationLeases() : [] },
    etcd: {
      local: {
        dataDir: ETCD_FOLDER,
        imageTag: bundle.images.etcd.slice(bundle.images.etcd.lastIndexOf(':') + 1),
        extraArgs: [
          arg('auto-compaction-mode', 'periodic'),
          arg('auto-compaction-retention', etcd.compaction),
          ...(emulated(spec) ? emulationEtcd() : []),
          arg('quota-backend-bytes', String(etcd.quotaBytes)),
        ],
      },
    },
    // The kit owns both as objects of its own; kubeadm must bring neither back when it upgrades.
    dns: { disabled: true },
    proxy: { disabled: true },
  };
}

const volume = (name: string, folder: string) => ({
  name,
  hostPath: folder,
  mountPath: folder,
  pathType: 'DirectoryOrCreate',
});

/** kubeadm adds the name and address of the node that signs, the endpoint and the Service; the rest is for its peers. */
function certSans(spec: SiteSpec, endpoint: EndpointPlan, addressing: Addressing): string[] {
  const controlPlane = addressing.nodes.flatMap((node, index) =>
    spec.machines.nodes[index].role === 'control-plane'
      ? [spec.machines.nodes[index].name, ...node.ips.map((ip) => ip.text)]
      : [],
  );
  const stated = spec.kubernetes.certSans.map((name) => (name.includes(':') ? parseIp(name).text : name));
  return [...new Set([endpoint.name, endpoint.address, ...controlPlane, 'localhost', '127.0.0.1', ...stated])].sort(
    byText,
  );
}

/** Waits of kubeadm under software emulation, where a control plane needs minutes to answer (kubeadm's own: 4m, 1m, 2m, 5m). */
const EMULATION_TIMEOUTS = {
  controlPlaneComponentHealthCheck: '15m0s',
  discovery: '15m0s',
  etcdAPICall: '10m0s',
  kubeletHealthCheck: '10m0s',
  kubernetesAPICall: '5m0s',
  tlsBootstrap: '15m0s',
  upgradeManifests: '15m0s',
};

/**
 * What is no obstacle to an upgrade. CoreDNS and its Corefile are the kit's own, in versions that kubeadm does not know how to
 * migrate and does not have to.
 */
const UPGRADE_IGNORED = ['CoreDNSMigration', 'CoreDNSUnsupportedPlugins'];
/** kubeadm gives the Job that it tries a cluster with 60 s, whatever the time limits are; an emulated node needs longer. */
const EMULATION_UPGRADE_IGNORED = ['CreateJob'];

export type KubeadmTimeouts = Partial<Record<keyof SiteSpec['kubernetes']['timeouts'], string>>;

/** As Go writes durations; one that is missing is kubeadm's own. */
export function planTimeouts(spec: SiteSpec, findings: Findings): KubeadmTimeouts {
  const planned: KubeadmTimeouts = emulated(spec) ? { ...EMULATION_TIMEOUTS } : {};
  for (const [key, text] of Object.entries(spec.kubernetes.timeouts)) {
    const path = ['kubernetes', 'timeouts', key];
    const limitSeconds = wholeSeconds(text, path, findings);
    if (limitSeconds === 0) findings.error(path, text, `${text} is no time to wait: write 1s or more`);
    planned[key as keyof KubeadmTimeouts] = seconds(limitSeconds);
  }
  return planned;
}

const timeoutsOf = (timeouts: KubeadmTimeouts) => (Object.keys(timeouts).length === 0 ? {} : { timeouts });

/** UpgradeConfiguration for every node: `apply` counts on the first control-plane node, `node` on the others. */
export function planUpgradeConfiguration(spec: SiteSpec, version: string, timeouts: KubeadmTimeouts): KubeDocument {
  const ignorePreflightErrors = [...UPGRADE_IGNORED, ...(emulated(spec) ? EMULATION_UPGRADE_IGNORED : [])];
  const common = { ignorePreflightErrors, imagePullPolicy: 'Never', ...staticPodPatches(spec) };
  return {
    apiVersion: API_VERSION,
    kind: 'UpgradeConfiguration',
    apply: { kubernetesVersion: `v${version}`, ...common },
    node: common,
    ...timeoutsOf(timeouts),
  };
}

export interface RegistrationArgs {
  spec: SiteSpec;
  index: number;
  part: NodeClusterPlan['part'];
  nodeIps: NodeClusterPlan['nodeIps'];
  taints: Taint[];
  timeouts: KubeadmTimeouts;
}

/** InitConfiguration of the first control-plane node, JoinConfiguration without `discovery` of the others. */
export function planRegistration({ spec, index, part, nodeIps, taints, timeouts }: RegistrationArgs): KubeDocument {
  const ips = Object.values(nodeIps);
  const common = {
    nodeRegistration: {
      name: spec.machines.nodes[index].name,
      criSocket: CRI_SOCKET,
      // Every image is in the bundle: a missing one is an error to be seen, not a reason to ask a registry.
      imagePullPolicy: 'Never',
      kubeletExtraArgs: [arg('node-ip', ips.join(','))],
      taints,
      // kubeadm takes the port for used where haproxy has it on the virtual address; the API server shares it.
      ...(part !== 'join-worker' && spec.kubernetes.vip !== undefined
        ? { ignorePreflightErrors: [`Port-${API_PORT}`] }
        : {}),
    },
    ...timeoutsOf(timeouts),
  };
  const localAPIEndpoint = { advertiseAddress: ips[0], bindPort: API_PORT };
  switch (part) {
    case 'init':
      return {
        apiVersion: API_VERSION,
        kind: 'InitConfiguration',
        localAPIEndpoint,
        ...common,
        ...staticPodPatches(spec),
        skipPhases: ['addon/coredns', 'addon/kube-proxy'],
      };
    case 'join-control-plane':
      return {
        apiVersion: API_VERSION,
        kind: 'JoinConfiguration',
        controlPlane: { localAPIEndpoint },
        ...common,
        ...staticPodPatches(spec),
      };
    case 'join-worker':
      return { apiVersion: API_VERSION, kind: 'JoinConfiguration', ...common };
  }
}
