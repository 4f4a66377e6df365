import { renderClusterProbe, type ClusterProbeResult } from '../../components/clusterProbe';
import type { SitePlan } from '../../components/plan';
import type { ProofResult } from '../../components/proof/facts';
import { renderProof } from '../../components/proof/render';
import { paint, table } from './table';

/** What `up` ends with: the nodes, the MTU budget, and what the proofs before and of the cluster measured. */
export function renderOutputs(plan: SitePlan, outputs: Record<string, unknown>, color: boolean): string {
  const nodes = plan.nodes.map((node) => [node.name, node.role, node.addresses.join(', ')]);
  const budget = plan.mtu.steps.map((step) => [step.what, String(step.bytes), String(step.leftBytes), step.source]);
  return [
    paint('Nodes', 'bold', color),
    table(['name', 'role', 'addresses'], nodes, color),
    '',
    paint(`MTU budget (${plan.mtu.routing}: ${plan.mtu.routingReason})`, 'bold', color),
    table(['step', 'bytes', 'left', 'from'], budget, color),
    '',
    ...(!Array.isArray(outputs.proof)
      ? []
      : [paint('Proof', 'bold', color), renderProof(outputs.proof as ProofResult[], { color }), '']),
    ...(outputs.clusterProof === undefined
      ? []
      : [
          paint('Cluster', 'bold', color),
          renderClusterProbe(outputs.clusterProof as ClusterProbeResult, { color }),
          '',
        ]),
  ].join('\n');
}
