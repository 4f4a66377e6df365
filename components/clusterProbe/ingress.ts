import type { IngressPlan } from '../plan/ingressTypes';
import type { NodePlan } from '../plan/types';
import type { ProofFinding } from '../proof/facts';

/** The ingress controller from outside its pods: what it answers to a host that nobody has, and what Ingresses report. */

export interface IngressProbe {
  className: string;
  /** Where it answers: every machine with a pod of it, or one address in front of all of them (node null). */
  targets: { node: string | null; addresses: string[] }[];
  /** What Ingresses are to report, one of them at least. */
  reported: string[];
}

export interface IngressFacts {
  asks: IngressAsk[];
  /** Of Ingresses of the class: `namespace/name`, and the addresses and names that it reports. */
  ingresses: { name: string; reported: string[] }[];
}

export interface IngressAsk {
  /** The machine that asked. */
  from: string;
  node: string | null;
  address: string;
  /** HTTP status on port 80 for a host that no Ingress has; null: no answer. */
  status: number | null;
  /** Of port 80, and of a connection to port 443. */
  error: string | null;
  tlsError: string | null;
}

/** Both controllers answer so where no Ingress has the host. */
const NOT_FOUND = 404;

export function planIngressProbe(plan: IngressPlan | null, nodes: NodePlan[]): IngressProbe | null {
  if (plan === null) return null;
  const own = (name: string) =>
    (nodes.find((node) => node.name === name)?.addresses ?? []).map((address) => address.split('/')[0]!);
  const active = plan.nodes.filter((name) => nodes.some((node) => node.name === name));
  const hostNetwork = plan.expose === 'host-network';
  return {
    className: plan.className,
    targets: hostNetwork
      ? active.map((node) => ({ node, addresses: own(node) }))
      : [{ node: null, addresses: plan.address === null ? [] : [plan.address] }],
    reported: plan.address === null ? active.flatMap(own) : [plan.address],
  };
}

/** Who asks each target: another machine than the one that is asked, where there is one. */
export function ingressQuestions(
  { targets }: IngressProbe,
  nodes: string[],
): { from: string; asks: { node: string | null; address: string }[] }[] {
  const byNode = new Map<string, { node: string | null; address: string }[]>();
  targets.forEach(({ node, addresses }, index) => {
    const others = nodes.filter((name) => name !== node);
    const from = (others.length > 0 ? others : nodes)[index % Math.max(others.length, 1)];
    if (from === undefined) return;
    const asks = addresses.map((address) => ({ node, address }));
    byNode.set(from, [...(byNode.get(from) ?? []), ...asks]);
  });
  return [...byNode].map(([from, asks]) => ({ from, asks }));
}

export function judgeIngress(
  facts: IngressFacts,
  plan: IngressProbe,
  severity: ProofFinding['severity'],
): ProofFinding[] {
  const findings: ProofFinding[] = [];
  const fail = (where: string, message: string) => void findings.push({ probe: 'ingress', severity, where, message });
  for (const { from, node, address, status, error, tlsError } of facts.asks) {
    const where = `${from} -> ${node ?? address}`;
    const hint = 'look at the pods of the ingress controller and at filters on the way';
    if (status === null) fail(where, `${address}:80 does not answer: ${error ?? ''}; ${hint}`);
    else if (status !== NOT_FOUND) {
      fail(
        where,
        `${address}:80 answers ${status} for a host that no Ingress has, expected: ${NOT_FOUND}; something else may listen there`,
      );
    }
    if (tlsError !== null) fail(where, `${address}:443 takes no connection: ${tlsError}; ${hint}`);
  }
  for (const { name, reported } of facts.ingresses) {
    if (reported.some((address) => plan.reported.includes(address))) continue;
    const given = reported.length === 0 ? 'no address' : reported.join(', ');
    fail(name, `reports ${given}, planned: ${plan.reported.join(' or ')}; the log of the ingress controller says why`);
  }
  return findings;
}
