import type { KubeDocument } from '../plan/clusterTypes';
import type { ProofFinding } from '../proof/facts';
import type { PolicyPlan } from '../plan/policyTypes';
import type { NameFacts, PodFacts, ReachFacts } from './facts';

/**
 * The baseline of policies, tried with packets: a pod behind the very policies of a namespace of the site, in a namespace of
 * its own, so that nothing of the site's is touched. What it must reach and what must not reach it are both tried.
 */

export interface Fence {
  /** `ordinary` and `personal`: the policies of a namespace with such data; `everyone`: a namespace that has none itself. */
  name: 'ordinary' | 'personal' | 'everyone';
  /** Whose policies these are, as findings name it. */
  of: string;
  /** Of that namespace, without those that its `egress` list makes: they may well let a probe pass. */
  policies: KubeDocument[];
  /** Whether the API server is to be reached from it. */
  reachesApi: boolean;
}

export interface FenceFacts {
  name: Fence['name'];
  /** Node that the pod was on. */
  node: string;
  /** Why the pod did not start or could not be asked; nothing was tried from it then. */
  error?: string;
  names?: NameFacts[];
  reach?: ReachFacts[];
}

/** What a fenced pod calls the API server in what it reaches; everything else is a pod. */
export const API_TARGET = 'the API server';

/** One of each kind is enough: all namespaces of a kind have the same policies but for their list. */
export function planFences(policy: PolicyPlan | null): Fence[] {
  if (policy === null) return [];
  const kinds = [
    ['ordinary', policy.namespaces.find(({ personal }) => !personal)],
    ['personal', policy.namespaces.find(({ personal }) => personal)],
  ] as const;
  const fences = kinds.flatMap(([name, namespace]): Fence[] => {
    if (namespace === undefined) return [];
    const policies = namespace.policies.filter(
      ({ metadata }) => !/-egress-\d+$/.test((metadata as { name: string }).name),
    );
    return [{ name, of: `namespace ${namespace.name}`, policies, reachesApi: name === 'ordinary' }];
  });
  if (policy.objects.some(({ kind }) => kind === 'GlobalNetworkPolicy')) {
    fences.push({ name: 'everyone', of: 'namespaces without policies of their own', policies: [], reachesApi: false });
  }
  return fences;
}

/** `pods`: what the pods without any fence measured. */
export function judgeFences(
  fences: Fence[],
  facts: FenceFacts[],
  pods: PodFacts[],
  severity: ProofFinding['severity'],
): ProofFinding[] {
  const findings: ProofFinding[] = [];
  const fail = (where: string, message: string) => void findings.push({ probe: 'policy', severity, where, message });
  for (const fence of fences) {
    const { name, of, reachesApi } = fence;
    const rules = `policy.baseline for ${of}`;
    const tried = pods.flatMap(({ node, measured }) =>
      (measured?.reach ?? []).filter((one) => one.name === name).map((one) => ({ node, ...one })),
    );
    for (const { node, family, error } of tried) {
      if (error === null) fail(`pod on ${node}`, `${family}: reaches a pod that ${rules} keeps to itself`);
    }
    const found = facts.find((one) => one.name === name);
    if (found === undefined) continue;
    const where = `fenced pod on ${found.node}`;
    if (found.error !== undefined) {
      fail(where, `${rules} cannot be tried: ${found.error}`);
      continue;
    }
    for (const { name: target, family, error } of found.reach ?? []) {
      const allowed = target === API_TARGET && reachesApi;
      if (allowed && error !== null)
        fail(where, `${family}: does not reach ${target}, which ${rules} allows: ${error}`);
      if (!allowed && error === null) fail(where, `${family}: reaches ${target}, which ${rules} denies`);
    }
    for (const { name: asked, failed, count, error } of (found.names ?? []).filter((one) => one.failed > 0)) {
      fail(where, `${failed} of ${count} look-ups of ${asked} failed, and ${rules} allows DNS: ${error ?? ''}`);
    }
  }
  return findings;
}
