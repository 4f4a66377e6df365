import { ETCD_FOLDER, ETCD_LABEL, PROGRAM_FOLDER } from '../plan/clusterPaths';
import type { BundlePlan, NodeClusterPlan } from '../plan/clusterTypes';
import { kubeadmDocuments, toYaml } from './documents';
import { BUNDLE } from './node/bundle';
import { STATIC_POD_FILES } from './node/controlPlane';
import { DRAIN } from './node/drain';
import { ETCD_MEMBER } from './node/etcdMember';
import { NODE_OBJECT } from './node/nodeObject';
import { KUBELET_UPDATE } from './node/updates';
import { UPGRADE_LEAD, UPGRADE_NODE } from './node/upgrade';
import {
  kubeletConfigSum,
  staticPodFiles,
  staticPodFileValues,
  commonValues,
  KUBEADM_FILE,
  memberValues,
  render,
  type StaticPodFiles,
  type ClusterNodeSettings,
  type Values,
} from './nodeScripts';
import { bundleValues, renderRuntimeScript, type RuntimeSettings } from './runtimeScript';

/** What one node needs to move to the planned version of Kubernetes. Plain data, without a secret: it is part of a request. */
export interface UpgradeNodeSettings {
  node: string;
  part: NodeClusterPlan['part'];
  version: string;
  /** What the bundle holds. */
  holds: Pick<BundlePlan, 'name' | 'components'>;
  /** Of each wait. */
  limitSeconds: number;
  /** For the pods of the node to go. */
  drainLimitSeconds: number;
  kubeletConfigSum: string;
  /** Where the bundle is and what is taken from it before the node is drained. */
  bundle: Values;
  /** YAML of the UpgradeConfiguration. */
  upgradeConfiguration: string;
  /** YAML for kubeadm on the first control-plane node; empty on the others. */
  kubeadmDocuments: string;
  /** Null on workers. */
  files: StaticPodFiles | null;
  /** Brings the programs of the version, kubelet among them. */
  runtimeScript: string;
}

/** What moves a node before it is drained: kubelet and the runtime come with the runtime script, when its pods are gone. */
const EARLY_PROGRAMS = ['kubeadm', 'etcdctl', 'etcdutl'].map((name) => `${PROGRAM_FOLDER}/${name}`);

export function upgradeSettings(
  { node, cluster, nodeCluster, limitSeconds }: ClusterNodeSettings,
  runtime: RuntimeSettings,
  drainLimitSeconds: number,
): UpgradeNodeSettings {
  const { part } = nodeCluster;
  const { upgradeConfiguration } = cluster.kubeadm;
  const bundle = bundleValues(runtime).map(([name, value]): Values[number] => [
    name,
    name === 'PROGRAMS' ? (value as string[]).filter((entry) => EARLY_PROGRAMS.includes(entry.split(' ')[2]!)) : value,
  ]);
  return {
    node,
    part,
    version: cluster.kubernetesVersion,
    holds: { name: cluster.bundle.name, components: cluster.bundle.components },
    limitSeconds,
    drainLimitSeconds,
    kubeletConfigSum: kubeletConfigSum(cluster),
    bundle,
    upgradeConfiguration: toYaml(upgradeConfiguration),
    kubeadmDocuments: part === 'init' ? kubeadmDocuments(cluster, nodeCluster) : '',
    files: part === 'join-worker' ? null : staticPodFiles(cluster),
    runtimeScript: renderRuntimeScript(runtime),
  };
}

export type NodeAction = 'look' | 'prepare' | 'move' | 'finish_upgrade';
/** What becomes of the node when it is done: one that somebody else has cordoned stays so. */
export type Afterwards = 'uncordon' | 'stay';

export function renderUpgradeNodeScript(
  settings: UpgradeNodeSettings,
  action: NodeAction,
  afterwards: Afterwards = 'uncordon',
): string {
  const { node, version } = settings;
  const values: Values = [
    ...commonValues(settings),
    ...memberValues(settings),
    ['ACTION', action],
    ['AFTERWARDS', afterwards],
    ['KUBERNETES_VERSION', version],
    ['PROGRAM_FOLDER', PROGRAM_FOLDER],
    ['ETCD_FOLDER', ETCD_FOLDER],
    ['ETCD_LABEL', ETCD_LABEL],
    ...settings.bundle,
    ['UPGRADE_CONFIG', settings.upgradeConfiguration],
    ...staticPodFileValues(settings.files),
    ['KUBEADM_FILE', KUBEADM_FILE],
    ['KUBEADM_CONFIG', settings.kubeadmDocuments],
  ];
  return render(`Moves ${node} to Kubernetes ${version}: ${action}.`, values, [
    BUNDLE,
    KUBELET_UPDATE,
    STATIC_POD_FILES,
    UPGRADE_NODE,
  ]);
}

/** On the first control-plane node, 0700: snapshots of etcd from before each upgrade, the newest three. */
const SNAPSHOT_FOLDER = '/var/lib/sitewright/etcd-snapshots';

export type LeadAction = 'survey' | 'snapshot' | 'drain' | 'admit' | 'gate';

export interface LeadArgs {
  /** The first control-plane node, which runs it. */
  lead: UpgradeNodeSettings;
  action: LeadAction;
  /** The node that it is about. Default: the first control-plane node itself. */
  node?: string;
  /** Default: uncordon. */
  afterwards?: Afterwards;
  /** Every node that has to be Ready. Default: none. */
  members?: readonly string[];
  /** Nodes that are being moved just now. Default: none. */
  busy?: readonly string[];
}

export function renderUpgradeLeadScript(args: LeadArgs): string {
  const { lead, action, node = lead.node, afterwards = 'uncordon', members = [], busy = [] } = args;
  const values: Values = [
    ...commonValues({ ...lead, node }),
    ['ACTION', action],
    ['AFTERWARDS', afterwards],
    ['KUBERNETES_VERSION', lead.version],
    ['DRAIN_LIMIT_SECONDS', String(lead.drainLimitSeconds)],
    ['SNAPSHOT_FOLDER', SNAPSHOT_FOLDER],
    ['MEMBERS', members],
    ['BUSY', busy],
  ];
  return render(`Upgrade to Kubernetes ${lead.version}: ${action} of ${node}.`, values, [
    NODE_OBJECT,
    DRAIN,
    ETCD_MEMBER,
    UPGRADE_LEAD,
  ]);
}
