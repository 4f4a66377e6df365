import { proveNode, provePair } from '../proof/prove';
import type { NodeRequest, PairRequest, ProofResult } from '../proof/facts';
import type { SshTarget } from '../ssh/session';
import { awaitSsh, type AwaitSshResult } from './awaitSsh';

/** Waits until a machine lets us in, under the host key that it must have. */
export interface AwaitSshRequest {
  kind: 'await-ssh';
  name: string;
  target: SshTarget;
  limitSeconds: number;
}

export type AgentRequest = AwaitSshRequest | PairRequest | NodeRequest;
export type AgentResult = AwaitSshResult | ProofResult;

export interface RunOptions {
  signal?: AbortSignal;
  /** One step that began, in words; no line end. */
  onProgress?(step: string): void;
}

/**
 * Runs one request in this process. Proofs resolve with their findings whether or not they passed; whatever keeps an
 * answer from being had (a machine that cannot be reached, a host key that differs) is thrown.
 */
export async function runRequest(request: AgentRequest, opts: RunOptions = {}): Promise<AgentResult> {
  switch (request.kind) {
    case 'await-ssh':
      return awaitSsh(request, opts);
    case 'prove-pair':
      return provePair(request, opts);
    case 'prove-node':
      return proveNode(request, opts);
    default:
      throw new Error(`unknown kind of request: ${String((request as { kind?: unknown }).kind)}`);
  }
}
