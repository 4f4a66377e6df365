import type { NodeFacts, PairFacts, ProofResult, SizeFacts } from '../proof/facts';
import type { Family } from '../plan/types';

/**
 * One way between two machines, layer by layer: what the machines carried before there was a cluster, what they carry now,
 * and what pods get of it. Where they differ is where to look.
 */

export interface PathBefore {
  from: string;
  to: string;
  family: Family;
  underlay: LayerSize;
  /** Of the planned size, through a tunnel as the plan has it; null: it was not tried. */
  tunnel: LayerSize | null;
  /** Of TCP through that tunnel; null: not measured. */
  megabytesPerSecond: number | null;
}

/** Sizes of whole IP packets, in bytes. */
export interface LayerSize {
  wantedBytes: number;
  /** Null: nothing passed. */
  largestBytes: number | null;
}

export interface PathFacts {
  from: string;
  to: string;
  family: Family;
  /** Null: it is not known, or this way was not in the sample. */
  before: Omit<PathBefore, 'from' | 'to' | 'family'> | null;
  /** Between the machines themselves; measured only where pods get less than planned. */
  now: LayerSize | null;
}

/** Of the results of a proof, of nodes and pairs, what is below the packets of pods. */
export function pathsBefore(results: ProofResult[]): PathBefore[] {
  // A site that is only rendered has results without anything in them.
  const known = results.map(({ facts }) => facts as PairFacts | NodeFacts | undefined);
  const pairs = known.filter((facts): facts is PairFacts => facts?.kind === 'pair');
  return pairs.flatMap(({ directions }) =>
    directions.map(({ from, to, family, underlay, tunnel, tcp }) => ({
      ...{ from, to, family, underlay: sizeOf(underlay) },
      tunnel: 'skipped' in tunnel ? null : sizeOf(tunnel),
      megabytesPerSecond: tcp === null || tcp.error !== null ? null : tcp.bytes / tcp.seconds / 1e6,
    })),
  );
}

const sizeOf = ({ wantedBytes, largestBytes }: SizeFacts): LayerSize => ({ wantedBytes, largestBytes });

const carries = ({ wantedBytes, largestBytes }: LayerSize) => largestBytes !== null && largestBytes >= wantedBytes;
const said = ({ largestBytes }: LayerSize) => (largestBytes === null ? 'nothing' : `${largestBytes} bytes`);

/** One sentence: which layer does not give what is missing above it. Null: nothing is known of what is below. */
export function faultyLayer({ before, now }: Pick<PathFacts, 'before' | 'now'>): string | null {
  const earlier = before === null ? '' : `, and ${said(before.underlay)} before the cluster was made`;
  if (now !== null && !carries(now)) {
    const verdict =
      before !== null && carries(before.underlay)
        ? 'the network below the machines has changed since'
        : 'the network below the machines is at fault';
    return `the machines carry ${said(now)} now${earlier}: ${verdict}`;
  }
  if (before === null) {
    if (now === null) return null;
    return `the machines carry ${said(now)} now: the fault is above them, in the network of the pods or a policy`;
  }
  const machines =
    now === null ? `the machines carried ${said(before.underlay)}` : `the machines carry ${said(now)} now`;
  if (before.tunnel === null) return `${machines}; a tunnel as planned was not tried before the cluster was made`;
  const tunnel = `a tunnel as planned carried ${said(before.tunnel)} before the cluster was made`;
  return carries(before.tunnel)
    ? `${machines}, and ${tunnel}: the fault is in the network of the pods or a policy`
    : `${machines}, and ${tunnel}: what is between the machines treats the tunnel in another way than their own packets`;
}
