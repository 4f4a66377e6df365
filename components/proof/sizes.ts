import type { Family } from '../plan/types';
import { narrow, nextSizes } from './cause';
import type { AboveFact, SizeFacts } from './facts';
import type { NodeProbe } from './nodeProbe';

/**
 * UDP and TCP port of the probe's own packets, between the nodes and between the temporary pods. Unassigned by IANA; a
 * filter between the nodes that lets only known ports through has to let it through too, for both protocols.
 */
export const PROBE_PORT = 48620;
/** Answers of the round-trip probe. */
export const ECHO_PORT = 48621;

/** Of each size; one of them is enough, so that a little random loss does not pass for a smaller MTU. */
const COPIES = 5;
const SEARCH_WAYS = 32;
/** Every path of the kit carries more: the smallest IPv4 MTU that a host must accept is 576, IPv6 has 1280. */
const SMALLEST_BYTES = 100;
/** A device can lose its link for a few seconds when its MTU is set, and a bridge then learns anew. */
const LINK_LIMIT_MILLISECONDS = 10_000;
/** Fences arrive with the packets before them; this is for a path that is slow or lost all three. */
const FENCE_LIMIT_SECONDS = 3;

export interface Side {
  probe: NodeProbe;
  address: string;
  /** Device of the address, as found on the node. */
  device: string;
  mtuBytes: number;
  /** A member of a living cluster with Calico, which has the tunnels' ports and rules for what comes there. */
  runsCalico: boolean;
  pod: string;
}

export interface Lane {
  family: Family;
  from: Side;
  to: Side;
  /** Marks the packets of this pair: a capture counts no other's. */
  token: string;
  nextRound(): number;
  signal?: AbortSignal;
}

export type Level = 'underlay' | 'tunnel';

interface Round {
  fence: boolean;
  sizes: Map<number, number>;
  fragments: number;
  counters: { created: number; received: number };
  refused: Record<string, string>;
}

/** One round: sends the sizes, waits for the fence at the receiver, returns how many of each arrived. */
async function sendRound(lane: Lane, level: Level, sizes: number[], copies = COPIES): Promise<Round> {
  const { family, from, to, token, signal } = lane;
  const round = lane.nextRound();
  const [source, target] = level === 'tunnel' ? [from.pod, to.pod] : [from.address, to.address];
  const sent = await from.probe.call<{ refused: Record<string, string>; created: number }>(
    'send',
    { level, family, source, target, port: PROBE_PORT, token, round, sizes, copies },
    signal,
  );
  const {
    fence,
    fragments,
    received,
    sizes: found,
  } = await to.probe.call<{
    fence: boolean;
    fragments: number;
    received: number;
    sizes: Record<string, { count: number }>;
  }>('collect', { level, family, round, seconds: FENCE_LIMIT_SECONDS }, signal);
  const counts = Object.entries(found).map(([size, entry]) => [Number(size), entry.count] as const);
  const counters = { created: sent.created, received };
  return { fence, fragments, counters, sizes: new Map(counts), refused: sent.refused };
}

/** Repeats a round until anything arrives at all, or the time is over. */
async function sendUntilHeard(lane: Lane, level: Level, sizes: number[]): Promise<Round> {
  const deadline = Date.now() + LINK_LIMIT_MILLISECONDS;
  for (;;) {
    const round = await sendRound(lane, level, sizes);
    if (round.fence || round.sizes.size > 0 || Date.now() > deadline) return round;
  }
}

/** Measures one direction at the wanted size, and searches the largest that passes where it does not. */
export async function proveSize(
  lane: Lane,
  level: Level,
  wantedBytes: number,
  deviceMtuBytes: number,
): Promise<SizeFacts> {
  const round = await sendUntilHeard(lane, level, [wantedBytes]);
  const arrived = round.sizes.get(wantedBytes) ?? 0;
  const anyArrived = round.fence || arrived > 0;
  let largestBytes: number | null = arrived > 0 ? wantedBytes : null;
  if (arrived === 0 && anyArrived) {
    let bounds = { passesBytes: SMALLEST_BYTES, failsBytes: wantedBytes };
    for (let sizes = nextSizes(SMALLEST_BYTES, wantedBytes, SEARCH_WAYS); sizes.length > 0;) {
      const { sizes: seen } = await sendRound(lane, level, sizes);
      bounds = narrow(bounds, sizes, new Set(seen.keys()));
      sizes = nextSizes(bounds.passesBytes, bounds.failsBytes, SEARCH_WAYS);
    }
    largestBytes = bounds.passesBytes;
  }
  return {
    wantedBytes,
    sent: COPIES,
    arrived,
    fragments: round.fragments,
    counters: round.counters,
    anyArrived,
    refused: round.refused[String(wantedBytes)] ?? null,
    deviceMtuBytes,
    largestBytes,
    above: null,
  };
}

/** One byte more than wanted; the caller has raised the devices, so that a refusal is the path's and not the sender's. */
export async function proveAbove(
  lane: Lane,
  level: Level,
  sizeBytes: number,
  refusedRaise: string | null,
): Promise<AboveFact> {
  if (level === 'underlay' && refusedRaise !== null) {
    return { sizeBytes, outcome: 'not provable', detail: refusedRaise };
  }
  const round = await sendUntilHeard(lane, level, [sizeBytes]);
  const refused = round.refused[String(sizeBytes)];
  if (refused !== undefined) return { sizeBytes, outcome: 'refused', detail: refused };
  if (round.fragments > 0) return { sizeBytes, outcome: 'fragmented', detail: null };
  return { sizeBytes, outcome: (round.sizes.get(sizeBytes) ?? 0) > 0 ? 'passed' : 'lost', detail: null };
}
