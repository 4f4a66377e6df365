import { coordinateNode } from './coordinateNode';
import { coordinatePair, type ProveOptions } from './coordinatePair';
import type { NodeFacts, NodeRequest, PairFacts, PairRequest, ProofResult } from './facts';
import { judgeNode, judgePair } from './judge';

export async function provePair(request: PairRequest, opts?: ProveOptions): Promise<ProofResult<PairFacts>> {
  const facts = await coordinatePair(request, opts);
  return { facts, findings: judgePair(facts, request) };
}

export async function proveNode(request: NodeRequest, opts?: ProveOptions): Promise<ProofResult<NodeFacts>> {
  const facts = await coordinateNode(request, opts);
  return { facts, findings: judgeNode(facts, request) };
}
