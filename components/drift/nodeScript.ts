import { RESOLVER_STATE } from '../cluster/node/resolver';
import { controlPlaneSum, kubeletConfigSum } from '../cluster/nodeScripts';
import { assignment } from '../nodes/bash';
import { AS_ROOT } from '../nodes/prep/asRoot';
import { nodeData, PREPARATION, SURROUNDINGS } from '../nodes/script';
import { PROGRAM_FOLDER, STATE_FOLDER } from '../plan/clusterPaths';
import type { ClusterPlan } from '../plan/clusterTypes';
import type { NodePlan, SitePlan } from '../plan/types';
import { controlPlaneFiles, runtimeFiles } from './clusterFiles';
import { DRIFT_MAIN } from './nodeProgram';
import { READ_ONLY } from './readOnly';
import type { DriftRole, NodeReading } from './types';

/** Which resource of a node keeps its part of the cluster. */
const clusterRole = ({ cluster }: NodePlan): DriftRole => (cluster?.part === 'init' ? 'control-plane' : 'join');

/**
 * The script that reads back what preparation and the programs of Kubernetes have set on one node, and changes nothing:
 * preparation's own functions, with those that write put out of work. It goes to `bash -s`; stdout is a `NodeReading`.
 */
export function renderDriftScript(node: NodePlan, { site, hosts, cluster }: SitePlan): string {
  return [
    `# Compares ${node.name} of site ${site} with its plan. Reads only. Made by sitewright.\n${AS_ROOT}${SURROUNDINGS}`,
    nodeData(node, { site, stampId: '', hosts }),
    clusterData(node, cluster),
    ...PREPARATION,
    RESOLVER_STATE,
    READ_ONLY,
    DRIFT_MAIN,
    'main </dev/null\n',
  ].join('\n');
}

function clusterData(node: NodePlan, cluster: ClusterPlan | null): string {
  const part = node.cluster;
  const files = cluster === null || part === null ? [] : runtimeFiles(cluster, part);
  const ofControlPlane = cluster === null || part === null ? [] : controlPlaneFiles(cluster, part);
  const controlPlane = part !== null && part.part !== 'join-worker';
  const configuration = cluster?.kubeProxy.configuration as { metricsBindAddress?: string } | undefined;
  const values: [string, string | readonly string[]][] = [
    ['KUBERNETES_VERSION', cluster?.kubernetesVersion ?? ''],
    ['CONTAINERD_VERSION', cluster?.containerd.version ?? ''],
    ['CLUSTER_FILES', files.map(([path]) => path)],
    ['CLUSTER_CONTENTS', files.map(([, content]) => content)],
    ['CONTROL_PLANE_FILES', ofControlPlane.map(([path]) => path)],
    ['CONTROL_PLANE_CONTENTS', ofControlPlane.map(([, content]) => content)],
    ['CLUSTER_ROLE', clusterRole(node)],
    ['KUBELET_CONFIG_SUM', cluster === null ? '' : kubeletConfigSum(cluster)],
    ['CONTROL_PLANE_SUM', cluster !== null && controlPlane ? controlPlaneSum(cluster) : ''],
    ['PROXY_METRICS', configuration?.metricsBindAddress ?? ''],
    ['PROGRAM_FOLDER', PROGRAM_FOLDER],
    ['STATE_FOLDER', STATE_FOLDER],
  ];
  return values.map(([name, value]) => assignment(name, value)).join('');
}

/** @throws where a login script of the node wrote to stdout as well. */
export function parseReading(stdout: string): NodeReading {
  try {
    return JSON.parse(stdout) as NodeReading;
  } catch {
    throw new Error(
      'the answer is not JSON: shell start-up files must write nothing to stdout of a session that is not interactive',
    );
  }
}
