/** Which pairs of nodes to probe, and which of them at the same time. Nodes are numbers: positions in the site file. */

export type Pair = readonly [number, number];

/** A site of at most this many nodes is probed completely: 190 pairs. */
export const EVERY_PAIR_UP_TO_NODES = 20;
/** In a sample each node is paired with its next neighbours on a ring, so it has twice as many partners. */
const RING_NEIGHBOURS = 2;

/** Where a node is: its subnet, and its hypervisor where it is known. */
export interface Place {
  subnet: string;
  host: string | null;
}

export function everyPair(count: number): Pair[] {
  const pairs: Pair[] = [];
  for (let a = 0; a < count; a++) for (let b = a + 1; b < count; b++) pairs.push([a, b]);
  return pairs;
}

/**
 * A sample of pairs that grows with the nodes and not with their square: every node with its neighbours on a ring, and
 * one pair for every two subnets and every two hypervisors, a subnet or hypervisor with itself included.
 */
export function coveringSample(places: readonly Place[]): Pair[] {
  const sample = new Sample();
  for (let node = 0; node < places.length; node++) {
    for (let step = 1; step <= RING_NEIGHBOURS; step++) sample.add(node, (node + step) % places.length);
  }
  cover(sample, (node) => places[node].subnet, places.length);
  cover(sample, (node) => places[node].host, places.length);
  return sample.sorted();
}

class Sample {
  private readonly pairs = new Map<string, Pair>();

  add(a: number, b: number): void {
    if (a === b) return;
    const pair: Pair = a < b ? [a, b] : [b, a];
    this.pairs.set(pair.join(), pair);
  }

  sorted(): Pair[] {
    return [...this.pairs.values()].sort((x, y) => x[0] - y[0] || x[1] - y[1]);
  }
}

function cover(sample: Sample, groupOf: (node: number) => string | null, count: number): void {
  const groups = new Map<string, number[]>();
  for (let node = 0; node < count; node++) {
    const group = groupOf(node);
    if (group === null) continue;
    const members = groups.get(group) ?? [];
    members.push(node);
    groups.set(group, members);
  }
  const named = [...groups];
  const covered = new Set(sample.sorted().map(([a, b]) => groupPair(groupOf(a), groupOf(b))));
  named.forEach(([nameA, a], indexA) => {
    for (let indexB = indexA; indexB < named.length; indexB++) {
      const [nameB, b] = named[indexB];
      if (covered.has(groupPair(nameA, nameB))) continue;
      // Members take turns, so that one node does not carry the pairs of its whole group.
      if (indexA !== indexB) sample.add(a[indexB % a.length], b[indexA % b.length]);
      else if (a.length > 1) sample.add(a[0], a[1]);
    }
  });
}

const groupPair = (a: string | null, b: string | null) => JSON.stringify([a, b].sort());

/**
 * A round for each pair, so that pairs of one round share no node. All pairs of a small site are a tournament, which
 * needs one round fewer than nodes; a sample is coloured greedily, which needs fewer than twice the pairs of a node.
 */
export function assignRounds(pairs: readonly Pair[], count: number): number[] {
  if (pairs.length === (count * (count - 1)) / 2) return pairs.map(([a, b]) => tournamentRound(a, b, count));
  const busy = Array.from({ length: count }, () => new Set<number>());
  return pairs.map(([a, b]) => {
    let round = 0;
    while (busy[a].has(round) || busy[b].has(round)) round++;
    busy[a].add(round);
    busy[b].add(round);
    return round;
  });
}

/**
 * Circle method: an odd number of nodes gets an idle one. The last stands still and the others turn around it, so two of
 * those meet in the round that is their sum, and the last meets each where that one would meet itself.
 */
function tournamentRound(a: number, b: number, count: number): number {
  const turning = count % 2 === 0 ? count - 1 : count;
  if (b === turning) return (2 * a) % turning;
  return (a + b) % turning;
}
