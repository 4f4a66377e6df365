import { assignment } from '../nodes/bash';
import { AS_ROOT } from '../nodes/prep/asRoot';
import { CERTIFICATES } from '../nodes/prep/certificates';
import { CORE } from '../nodes/prep/core';
import { AUDIT_LOG } from '../nodes/script';
import {
  ADMISSION_FILE,
  API_SERVER_FOLDER,
  AUDIT_LOG_FOLDER,
  AUDIT_POLICY_FILE,
  ENCRYPTION_FILE,
  ETCD_FOLDER,
  ETCD_LABEL,
  INITIALISED_FILE,
  RESTORE_FOLDER,
  STATE_FOLDER,
  STATIC_POD_PATCHES_FOLDER,
} from '../plan/clusterPaths';
import type { ClusterPlan, NodeClusterPlan, Taint } from '../plan/clusterTypes';
import { API_PORT } from '../plan/endpoint';
import { bracketed } from '../plan/ip';
import type { ClusterPki } from '../secrets/pki';
import { encryptionConfiguration, fingerprint, joinDocument, kubeadmDocuments, TOKEN_PLACE, toYaml } from './documents';
import {
  KUBELET_CERTIFICATES_PROGRAM,
  KUBELET_CERTIFICATES_SERVICE,
  KUBELET_CERTIFICATES_TEXT,
  KUBELET_CERTIFICATES_TIMER,
  KUBELET_CERTIFICATES_UNIT,
  KUBELET_NAMES_FILE,
  kubeletNames,
  type Member,
} from './kubeletCertificates';
import { AUTHORITIES, AUTHORITIES_TAKE_OVER } from './node/authorities';
import { STATIC_POD_FILES, CONTROL_PLANE } from './node/controlPlane';
import { CLUSTER_CORE } from './node/core';
import { ENDPOINT } from './node/endpoint';
import { ETCD_DISK } from './node/etcdDisk';
import { ETCD_MEMBER } from './node/etcdMember';
import { INVITE, JOIN } from './node/join';
import { KUBELET_CERTIFICATES } from './node/kubeletCertificates';
import { NODE_OBJECT } from './node/nodeObject';
import { CONTROL_PLANE_UPDATE, KUBELET_UPDATE } from './node/updates';
import { VIP } from './node/vip';
import * as vipFiles from './vipFiles';
import { REPAIR } from './node/repair';
import { SNAPSHOT_TIMER } from './node/snapshotTimer';
import { renderSnapshotScript } from './snapshotScripts';
import { ETCD_MOUNT_DROP_IN, SNAPSHOT_UNIT, snapshotService, snapshotTimer } from './units';

/** One node, and what of the plan makes it a member of its cluster. */
export interface ClusterNodeSettings {
  node: string;
  cluster: ClusterPlan;
  nodeCluster: NodeClusterPlan;
  /** Of each wait of the script. */
  limitSeconds: number;
}

export interface ControlPlaneSettings extends ClusterNodeSettings {
  pki: ClusterPki;
  /** Every node of the cluster. */
  members: Member[];
  /** Addresses of the other control-plane nodes. */
  peers: string[];
  /** Whom scheduled snapshots of etcd are encrypted to: PEM of the site's public key. */
  snapshotKeyPem: string;
  site: string;
  /** Stable path of the disk of etcd; null: etcd is on the root disk. */
  etcdDisk: string | null;
}

/** What of the plan a member is kept by, and nothing more: a request that holds it is made again when this changes. */
export interface MemberSettings {
  node: string;
  part: NodeClusterPlan['part'];
  /** Fingerprint of the KubeletConfiguration of the cluster. */
  kubeletConfigSum: string;
  labels: Record<string, string>;
  /** Beyond what others write; empty for most nodes. */
  annotations: Record<string, string>;
  taints: Taint[];
  /** Whether the kit has made what the node becomes Ready by. */
  waitReady: boolean;
  limitSeconds: number;
}

export interface JoinSettings extends MemberSettings {
  /** Name and port of the API. */
  endpoint: string;
  /** PEM of the certificate authority of Kubernetes. */
  caCertificate: string;
  /** YAML of the JoinConfiguration, with a place for the token. */
  joinConfiguration: string;
  /** Line of /etc/hosts for the name of the API; empty: a load balancer with a name of its own. */
  endpointHostsLine: string;
  /** Address and port of the node's own API server; null: a worker. */
  localApi: string | null;
}

function memberSettings({ node, cluster, nodeCluster, limitSeconds }: ClusterNodeSettings): MemberSettings {
  const { part, labels, taints } = nodeCluster;
  const annotations = reflectorAnnotations(cluster, node);
  // Calico comes when the API answers, and before anything joins.
  const waitReady = cluster.cni === 'routes' || (cluster.cni === 'calico' && part !== 'init');
  return {
    node,
    part,
    kubeletConfigSum: kubeletConfigSum(cluster),
    labels,
    annotations,
    taints,
    waitReady,
    limitSeconds,
  };
}

/** How calico-node learns that it reflects routes. */
function reflectorAnnotations({ calico }: ClusterPlan, node: string): Record<string, string> {
  const { routeReflectors = [], clusterId = null } = calico?.bgp ?? {};
  if (clusterId === null || !routeReflectors.includes(node)) return {};
  return { 'projectcalico.org/RouteReflectorClusterID': clusterId };
}

/**
 * @param caCertificate PEM of the certificate authority of Kubernetes
 * @param caCertHash of the same, as kubeadm pins it
 */
export function joinSettings(settings: ClusterNodeSettings, caCertificate: string, caCertHash: string): JoinSettings {
  const { cluster, nodeCluster } = settings;
  return {
    ...memberSettings(settings),
    endpoint: `${cluster.endpoint.name}:${cluster.endpoint.port}`,
    caCertificate,
    joinConfiguration: joinDocument(cluster, nodeCluster, caCertHash),
    endpointHostsLine: endpointHostsLine(cluster),
    localApi: nodeCluster.part === 'join-worker' ? null : localApi(nodeCluster),
  };
}

const endpointHostsLine = ({ endpoint: { name, address } }: ClusterPlan) =>
  name === address ? '' : `${address} ${name}`;

export type Values = [name: string, value: string | readonly string[]][];

/** What every script of a node of the cluster begins with. */
export function commonValues({ node, limitSeconds }: Pick<MemberSettings, 'node' | 'limitSeconds'>): Values {
  return [
    ['NODE', node],
    ['STATE_FOLDER', STATE_FOLDER],
    ['LIMIT_SECONDS', String(limitSeconds)],
    ['AUDIT_LOG', AUDIT_LOG],
    ['RUN_DIR', '/run/sitewright'],
  ];
}

/** Of what runs on the node itself. */
export function memberValues({ part, kubeletConfigSum }: Pick<MemberSettings, 'part' | 'kubeletConfigSum'>): Values {
  return [
    ['PART', part],
    ['KUBELET_CONFIG_SUM', kubeletConfigSum],
  ];
}

/** On a Node that the kit has cordoned because it leaves: one that stays after all gets its pods back. */
export const LEAVING_ANNOTATION = 'sitewright.internal/leaving';

/** Of what the first control-plane node does about a Node. */
function nodeObjectValues({ node, labels, annotations, taints, waitReady }: MemberSettings): Values {
  const metadata = { name: node, labels, ...(Object.keys(annotations).length === 0 ? {} : { annotations }) };
  return [
    ['WAIT_READY', waitReady ? 'yes' : 'no'],
    ['KUBELET_CERTIFICATES_PROGRAM', KUBELET_CERTIFICATES_PROGRAM],
    ['LEAVING_ANNOTATION', LEAVING_ANNOTATION],
    // Only what the kit owns: a server-side apply leaves the rest alone.
    ['NODE_MANIFEST', JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata })],
    ['TAINTS', taints.map(({ key, value, effect }) => `${key}${value === undefined ? '' : `=${value}`}:${effect}`)],
  ];
}

function endpointValues(name: string, hostsLine: string): Values {
  return [
    ['ENDPOINT_NAME', name],
    ['ENDPOINT_HOSTS_LINE', hostsLine],
  ];
}

/** What the API server of the node announces. */
const localApi = ({ nodeIps }: NodeClusterPlan) => `${bracketed(Object.values(nodeIps)[0]!)}:${API_PORT}`;

/** Empty values where the node has no share of a virtual address. */
function vipValues(node: string, { endpoint, vip }: ClusterPlan, pki: ClusterPki): Values {
  const common: Values = [
    ['VIP_FOLDER', vipFiles.VIP_FOLDER],
    ['HAPROXY_UNIT', vipFiles.HAPROXY_UNIT],
    ['KEEPALIVED_UNIT', vipFiles.KEEPALIVED_UNIT],
    ['VIP_ADDRESS', vip?.address ?? ''],
  ];
  if (vip === null) return common;
  return [
    ...common,
    ['VIP_URL_HOST', bracketed(vip.address)],
    ['VIP_NODE_ADDRESS', vip.members.find((member) => member.node === node)!.address],
    ['API_PORT', String(endpoint.port)],
    ['INTERFACE_PLACE', vipFiles.INTERFACE_PLACE],
    ['VIP_HEALTH', vipFiles.HEALTH_SCRIPT],
    ['HAPROXY_CONFIG', vipFiles.haproxyConfiguration({ endpoint, vip })],
    ['KEEPALIVED_CONFIG', vipFiles.keepalivedConfiguration(node, vip, pki)],
    ['HAPROXY_SERVICE', vipFiles.HAPROXY_SERVICE],
    ['KEEPALIVED_SERVICE', vipFiles.KEEPALIVED_SERVICE],
  ];
}

/** What the static pods are made of besides the documents of kubeadm. */
export interface StaticPodFiles {
  /** YAML. */
  auditPolicy: string;
  /** YAML; empty: the file is not there. */
  admissionConfiguration: string;
  /** Patches of kubeadm's static pods, by path. JSON. */
  patches: [path: string, content: string][];
}

export const staticPodFiles = (plan: ClusterPlan): StaticPodFiles => ({
  auditPolicy: toYaml(plan.auditPolicy),
  admissionConfiguration: plan.admissionConfiguration === null ? '' : toYaml(plan.admissionConfiguration),
  patches: staticPodPatches(plan),
});

function staticPodPatches({ staticPodProbes }: ClusterPlan): StaticPodFiles['patches'] {
  if (staticPodProbes === null) return [];
  const livenessProbe = { failureThreshold: staticPodProbes.livenessFailures };
  const readinessProbe = { periodSeconds: staticPodProbes.readinessPeriodSeconds };
  return STATIC_PODS.map((name) => {
    // kubeadm gives this one no readiness probe, and a period alone is none.
    const probes = name === 'kube-controller-manager' ? { livenessProbe } : { livenessProbe, readinessProbe };
    return [
      `${STATIC_POD_PATCHES_FOLDER}/${name}+strategic.json`,
      JSON.stringify({ spec: { containers: [{ name, ...probes }] } }),
    ];
  });
}

const STATIC_PODS = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'etcd'];

/** What a control plane was made of: another one is taken over where it runs. */
export const controlPlaneSum = ({ kubeadm, staticPodProbes }: ClusterPlan) =>
  fingerprint(kubeadm.clusterConfiguration, staticPodProbes);

export const kubeletConfigSum = ({ kubeadm }: ClusterPlan) => fingerprint(kubeadm.kubeletConfiguration);

export const staticPodFileValues = (files: StaticPodFiles | null): Values => {
  const { auditPolicy, admissionConfiguration, patches } = files ?? NO_FILES;
  return [
    ['AUDIT_POLICY_FILE', AUDIT_POLICY_FILE],
    ['AUDIT_POLICY', auditPolicy],
    ['ADMISSION_FILE', ADMISSION_FILE],
    ['ADMISSION_CONFIG', admissionConfiguration],
    ['PATCH_FILES', patches.map(([path]) => path)],
    ['PATCHES', patches.map(([, content]) => content)],
  ];
};

/** Of a worker. */
const NO_FILES: StaticPodFiles = { auditPolicy: '', admissionConfiguration: '', patches: [] };

/** What an init or join that was cut off leaves behind. kubeadm's preflight refuses it; its phases take it as it is. */
const LEFTOVERS = [
  'DirAvailable--var-lib-etcd',
  ...[6443, 10259, 10257, 10250, 2379, 2380].map((port) => `Port-${port}`),
  ...STATIC_PODS.map((pod) => `FileAvailable--etc-kubernetes-manifests-${pod}.yaml`),
];
/** Of scripts that run `kubeadm init` or `kubeadm join`. */
const takenUpValues = (): Values => [['TAKEN_UP', `--ignore-preflight-errors=${LEFTOVERS.join(',')}`]];

/** What kubeadm was given on a control-plane node. */
export const KUBEADM_FILE = `${API_SERVER_FOLDER}/kubeadm.yaml`;

/** Data first, then the same functions for every node, and their run as the last line. */
export function render(title: string, values: Values, libraries: string[]): string {
  return [
    `# ${title} Made by sitewright.\n${AS_ROOT}`,
    values.map(([name, value]) => assignment(name, value)).join(''),
    CORE,
    CLUSTER_CORE,
    ...libraries,
    'main </dev/null\n',
  ].join('\n');
}

/**
 * The script of a control-plane node: its disk of etcd, its files, and on the first one the cluster. Holds the keys of the
 * cluster: it goes to its node by stdin and nowhere else.
 */
export function renderControlPlaneScript(settings: ControlPlaneSettings): string {
  const { node, cluster, nodeCluster, pki, members, etcdDisk } = settings;
  const { clusterConfiguration } = cluster.kubeadm;
  const { apiServer, networking } = clusterConfiguration as {
    apiServer?: { certSANs?: unknown };
    networking?: unknown;
  };
  const values: Values = [
    ...commonValues(settings),
    ...memberValues(memberSettings(settings)),
    ...nodeObjectValues(memberSettings(settings)),
    ...endpointValues(cluster.endpoint.name, endpointHostsLine(cluster)),
    ...vipValues(node, cluster, pki),
    ['LOCAL_API', localApi(nodeCluster)],
    ['PEER_APIS', settings.peers.map((address) => `${bracketed(address)}:${API_PORT}`)],
    ['INITIALISED', INITIALISED_FILE],
    ...takenUpValues(),
    ['KUBERNETES_VERSION', cluster.kubernetesVersion],
    ['ETCD_DISK', etcdDisk ?? ''],
    ['ETCD_FOLDER', ETCD_FOLDER],
    ['ETCD_LABEL', ETCD_LABEL],
    ['ETCD_MOUNT_DROP_IN', ETCD_MOUNT_DROP_IN],
    ['CA_CERTIFICATE', pki.ca.certificate],
    ['CA_KEY', pki.ca.privateKey],
    ['ETCD_CA_CERTIFICATE', pki.etcdCa.certificate],
    ['ETCD_CA_KEY', pki.etcdCa.privateKey],
    ['FRONT_PROXY_CA_CERTIFICATE', pki.frontProxyCa.certificate],
    ['FRONT_PROXY_CA_KEY', pki.frontProxyCa.privateKey],
    ['SERVICE_ACCOUNT_PUBLIC_KEY', pki.serviceAccount.publicKey],
    ['SERVICE_ACCOUNT_KEY', pki.serviceAccount.privateKey],
    ['ENCRYPTION_FILE', ENCRYPTION_FILE],
    ['ENCRYPTION_CONFIG', encryptionConfiguration(pki.encryptionKeys)],
    ...staticPodFileValues(staticPodFiles(cluster)),
    ['AUDIT_LOG_FOLDER', AUDIT_LOG_FOLDER],
    ['KUBELET_NAMES_FILE', KUBELET_NAMES_FILE],
    ['KUBELET_NAMES', kubeletNames(members)],
    ['KUBELET_CERTIFICATES_TEXT', KUBELET_CERTIFICATES_TEXT],
    ['KUBELET_CERTIFICATES_UNIT', KUBELET_CERTIFICATES_UNIT],
    ['KUBELET_CERTIFICATES_SERVICE', KUBELET_CERTIFICATES_SERVICE],
    ['KUBELET_CERTIFICATES_TIMER', KUBELET_CERTIFICATES_TIMER],
    ['SITE', settings.site],
    ...snapshotValues(settings),
    ['RESTORE_FOLDER', RESTORE_FOLDER],
    ['KUBEADM_FILE', KUBEADM_FILE],
    ['KUBEADM_CONFIG', kubeadmDocuments(cluster, nodeCluster)],
    ['CONTROL_PLANE_SUM', controlPlaneSum(cluster)],
    // What decides the names in the certificate of the API server.
    ['SERVING_CERTIFICATE_SUM', fingerprint(apiServer?.certSANs, networking, cluster.endpoint)],
  ];
  return render(`Makes ${node} a node of the control plane.`, values, [
    ETCD_DISK,
    CERTIFICATES,
    KUBELET_CERTIFICATES,
    ENDPOINT,
    VIP,
    NODE_OBJECT,
    KUBELET_UPDATE,
    CONTROL_PLANE_UPDATE,
    STATIC_POD_FILES,
    SNAPSHOT_TIMER,
    REPAIR,
    AUTHORITIES,
    AUTHORITIES_TAKE_OVER,
    CONTROL_PLANE,
  ]);
}

function snapshotValues({ site, node, cluster, snapshotKeyPem }: ControlPlaneSettings): Values {
  const file = '/usr/local/sbin/sitewright-etcd-snapshot';
  const planned = cluster.etcdSnapshots;
  const folder = planned === null ? null : { path: planned.directory, keep: planned.keep };
  return [
    ['SNAPSHOT_UNIT', SNAPSHOT_UNIT],
    ['SNAPSHOT_FOLDER', planned?.directory ?? ''],
    ['SNAPSHOT_SCRIPT_FILE', file],
    [
      'SNAPSHOT_SCRIPT',
      folder === null
        ? ''
        : `#!/bin/bash\n${renderSnapshotScript({ site, node, publicKeyPem: snapshotKeyPem, folder })}`,
    ],
    ['SNAPSHOT_SERVICE', planned === null ? '' : snapshotService(file)],
    ['SNAPSHOT_TIMER', planned === null ? '' : snapshotTimer(planned.everySeconds)],
  ];
}

/** The script of a node that joins; without a token it says whether the node is a member, and keeps a member up to date. */
export function renderJoinScript(settings: JoinSettings, token: string | null): string {
  const { node, endpoint, joinConfiguration } = settings;
  const values: Values = [
    ...commonValues(settings),
    ...memberValues(settings),
    ['ENDPOINT', endpoint],
    ...endpointValues(endpoint.slice(0, endpoint.lastIndexOf(':')), settings.endpointHostsLine),
    ['INITIALISED', INITIALISED_FILE],
    ...takenUpValues(),
    ['CA_CERTIFICATE', settings.caCertificate],
    ['JOIN_CONFIG', joinConfiguration],
    ['TOKEN_PLACE', TOKEN_PLACE],
    ['TOKEN', token ?? ''],
    ...(settings.localApi === null ? [] : [['LOCAL_API', settings.localApi] as [string, string]]),
  ];
  return render(`Joins ${node} to its cluster.`, values, [
    ENDPOINT,
    KUBELET_UPDATE,
    ...(settings.localApi === null ? [] : [CONTROL_PLANE_UPDATE]),
    CERTIFICATES,
    AUTHORITIES,
    JOIN,
  ]);
}

/** Whether the etcd of a node that joins has data; that of a worker counts as `kept`. */
export type EtcdState = 'empty' | 'kept';

/** The script that a control-plane node runs for a node that joins; `invite` prints the token. */
export function renderInviteScript(
  settings: MemberSettings,
  action: 'invite' | 'admit' | 'dismiss',
  etcd: EtcdState = 'kept',
): string {
  const values: Values = [
    ...commonValues(settings),
    ...nodeObjectValues(settings),
    ['TOKEN_DESCRIPTION', `sitewright: join of ${settings.node}`],
    ['ACTION', action],
    ['LOST_MEMBER', etcd === 'empty' ? settings.node : ''],
  ];
  return render(`Lets ${settings.node} join: ${action}.`, values, [NODE_OBJECT, ETCD_MEMBER, INVITE]);
}
