import type { ClusterProbeResult } from '../../components/clusterProbe';
import type { SitePlan } from '../../components/plan';
import type { NodeFacts, PairFacts, ProofFinding, ProofResult } from '../../components/proof/facts';
import type { Audit } from '../cli/drift';
import type { KeptResults } from '../cli/keptResults';
import type { LastRun } from '../cli/lastRun';
import type { Unanswered } from '../cli/verify';

/** What was found out about a site, when, and by which command. */
export interface Dated<T> {
  /** ISO 8601 in UTC. */
  at: string;
  by: 'up' | 'verify' | 'drift';
  found: T;
}

/** What a report is made of, beside the plan: of each kind of result the newest. Null: there is none yet. */
export interface Evidence {
  pairs: Dated<ProofResult<PairFacts>[]> | null;
  nodes: Dated<ProofResult<NodeFacts>[]> | null;
  cluster: Dated<ClusterProbeResult> | null;
  /** What the last `verify` got no answer from. */
  unanswered: Dated<Unanswered[]> | null;
  drift: Dated<Audit> | null;
  /** Version of the cluster that the last `up` came to its end with. */
  kubernetesVersion: string | null;
}

interface Sources {
  up: Pick<LastRun, 'machines' | 'cluster' | 'kubernetesVersion'> | null;
  verify: { at: string; found: KeptResults['verify'] } | null;
  drift: { at: string; found: KeptResults['drift'] } | null;
}

/**
 * A `verify` of a cluster measures no pairs of machines again, so each kind has a time of its own. What concerns machines
 * that the plan does not have any more is left out.
 */
export function gatherEvidence(plan: SitePlan, { up, verify, drift }: Sources): Evidence {
  const known = new Set(plan.nodes.map(({ name }) => name));
  const pairsOf = (results: readonly Result[]) =>
    results.filter(isPair).filter(({ facts }) => known.has(facts.a) && known.has(facts.b));
  const nodesOf = (results: readonly Result[]) => results.filter(isNode).filter(({ facts }) => known.has(facts.node));
  const byUp: Dated<Result[]> | null = up?.machines
    ? { at: up.machines.at, by: 'up', found: up.machines.results }
    : null;
  const byVerify: Dated<Result[]> | null = verify && { at: verify.at, by: 'verify', found: verify.found.results };
  const clusterNow = verify?.found.results.find(isCluster);
  return {
    pairs: newestOf([byUp, byVerify], pairsOf),
    nodes: newestOf([byUp, byVerify], nodesOf),
    cluster: newer(
      up?.cluster ? { at: up.cluster.at, by: 'up', found: up.cluster.result } : null,
      verify && clusterNow ? { at: verify.at, by: 'verify', found: clusterNow } : null,
    ),
    unanswered:
      verify && verify.found.unanswered.length > 0
        ? { at: verify.at, by: 'verify', found: verify.found.unanswered }
        : null,
    drift: drift && { at: drift.at, by: 'drift', found: drift.found },
    kubernetesVersion: up?.kubernetesVersion ?? null,
  };
}

type Result = ProofResult | ClusterProbeResult;

const isPair = (result: Result): result is ProofResult<PairFacts> => result.facts.kind === 'pair';
const isNode = (result: Result): result is ProofResult<NodeFacts> => result.facts.kind === 'node';
const isCluster = (result: Result): result is ClusterProbeResult => result.facts.kind === 'cluster';

function newestOf<T>(sources: (Dated<Result[]> | null)[], pick: (results: Result[]) => T[]): Dated<T[]> | null {
  return sources.reduce<Dated<T[]> | null>((best, source) => {
    const found = source === null ? [] : pick(source.found);
    return found.length === 0 ? best : newer(best, { at: source!.at, by: source!.by, found });
  }, null);
}

/** Times of one length and zone sort as text. */
const newer = <T>(a: Dated<T> | null, b: Dated<T> | null): Dated<T> | null =>
  a === null || (b !== null && b.at > a.at) ? b : a;

/** Everything that a probe had to say, of machines and of the cluster. */
export const findingsOf = ({ pairs, nodes, cluster }: Evidence): ProofFinding[] => [
  ...[...(pairs?.found ?? []), ...(nodes?.found ?? [])].flatMap(({ findings }) => findings),
  ...(cluster?.found.findings ?? []),
];
