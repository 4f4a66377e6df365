import { probeCluster, type ClusterProbeRequest, type ClusterProbeResult } from '../clusterProbe';
import { awaitReflectors, type AwaitReflectorsRequest, type AwaitReflectorsResult } from '../clusterProbe/reflectors';
import { proveNode, provePair } from '../proof/prove';
import type { NodeRequest, PairRequest, ProofResult } from '../proof/facts';
import { awaitSsh, type AwaitSshRequest, type AwaitSshResult, type RunOptions } from './awaitSsh';
import { clearSeed, type ClearSeedRequest, type ClearSeedResult } from './clearSeed';
import { copyBundle, type CopyBundleRequest, type CopyBundleResult } from './copyBundle';
import { joinNode, type JoinNodeRequest, type JoinNodeResult } from './joinNode';
import { leaveNode, type LeaveNodeRequest, type LeaveNodeResult } from './leaveNode';
import { upgradeCluster, type UpgradeClusterRequest, type UpgradeClusterResult } from './upgradeCluster';
import { placeBundleImage, type PlaceBundleImageRequest, type PlaceBundleImageResult } from './placeBundleImage';

export type AgentRequest =
  | AwaitReflectorsRequest
  | AwaitSshRequest
  | ClearSeedRequest
  | CopyBundleRequest
  | PlaceBundleImageRequest
  | PairRequest
  | NodeRequest
  | JoinNodeRequest
  | LeaveNodeRequest
  | UpgradeClusterRequest
  | ClusterProbeRequest;
export type AgentResult =
  | AwaitReflectorsResult
  | AwaitSshResult
  | ClearSeedResult
  | CopyBundleResult
  | PlaceBundleImageResult
  | ProofResult
  | JoinNodeResult
  | LeaveNodeResult
  | UpgradeClusterResult
  | ClusterProbeResult;

/**
 * Runs one request in this process. Proofs resolve with their findings whether or not they passed; whatever keeps an
 * answer from being had (a machine that cannot be reached, a host key that differs) is thrown.
 */
export async function runRequest(request: AgentRequest, opts: RunOptions = {}): Promise<AgentResult> {
  switch (request.kind) {
    case 'await-ssh':
      return awaitSsh(request, opts);
    case 'clear-seed':
      return clearSeed(request, opts);
    case 'copy-bundle':
      return copyBundle(request, opts);
    case 'place-bundle-image':
      return placeBundleImage(request, opts);
    case 'prove-pair':
      return provePair(request, opts);
    case 'prove-node':
      return proveNode(request, opts);
    case 'join-node':
      return joinNode(request, opts);
    case 'leave-node':
      return leaveNode(request, opts);
    case 'upgrade-cluster':
      return upgradeCluster(request, opts);
    case 'await-reflectors':
      return awaitReflectors(request, opts);
    case 'probe-cluster':
      return probeCluster(request, opts);
    default:
      throw new Error(`unknown kind of request: ${String((request as { kind?: unknown }).kind)}`);
  }
}
