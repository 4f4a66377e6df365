import type { RunOptions } from '../agent/awaitSsh';
import { coordinateCluster } from './coordinate';
import type { ClusterProbeRequest, ClusterProbeResult } from './facts';
import { judgeCluster } from './judge';

export * from './facts';
export { ClusterProbeError } from './coordinate';
export { KubectlError } from './kubectl';
export { renderClusterProbe } from './render';
export { pathsBefore, type PathBefore } from './layers';
export { clusterProbeRequest } from './request';

/** Probes a live cluster. Throws SshError, KubectlError or ClusterProbeError where no answer can be had. */
export async function probeCluster(request: ClusterProbeRequest, opts?: RunOptions): Promise<ClusterProbeResult> {
  const facts = await coordinateCluster(request, opts);
  return { facts, findings: judgeCluster(facts, request) };
}
