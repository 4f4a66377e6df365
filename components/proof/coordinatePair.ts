import { randomBytes, randomInt } from 'node:crypto';
import { overheadBytes } from '../plan/mtu';
import type { Family } from '../plan/types';
import type {
  DirectionFacts,
  NodeEnd,
  PairFacts,
  PairRequest,
  RoundTripFacts,
  SizeFacts,
  TransferFacts,
} from './facts';
import { NodeProbe } from './nodeProbe';
import { provePorts } from './ports';
import { ECHO_PORT, PROBE_PORT, proveAbove, proveSize, type Lane, type Side } from './sizes';
import { tunnelSpecs } from './tunnelSpec';

export interface ProveOptions {
  signal?: AbortSignal;
  onProgress?(step: string): void;
}

const ROUND_TRIP_COUNT = 300;
const ROUND_TRIP_GAP_SECONDS = 0.005;
const TRANSFER_BYTES = 4 * 1024 * 1024;
/** 4 MiB in this time are 1.7 Mbit/s: every LAN is faster, a connection that stalls on lost large packets is not. */
const TRANSFER_LIMIT_SECONDS = 20;

interface Hello {
  device: string;
  mtuBytes: number;
  forwarding: Record<Family, boolean>;
  calico: boolean;
}

/** Measures one pair in both directions. Throws SshError or NodeProbeError where a node cannot be asked. */
export async function coordinatePair(request: PairRequest, opts: ProveOptions = {}): Promise<PairFacts> {
  const { pair } = request;
  const onProgress = opts.onProgress ?? (() => undefined);
  const started: NodeProbe[] = [];
  const start = async (end: NodeEnd) => {
    const probe = await NodeProbe.start(end.name, end.target, opts.signal);
    started.push(probe);
    return probe;
  };
  try {
    onProgress(`probes start on ${pair.a} and ${pair.b}`);
    // Both outcomes are awaited before the first failure counts: a probe that is still starting has to be stopped too.
    const [a, b] = await settled([start(request.a), start(request.b)]);
    const facts: PairFacts = {
      kind: 'pair',
      a: pair.a,
      b: pair.b,
      encapsulation: pair.encapsulation,
      sameHost: pair.sameHost,
      bothControlPlane: request.a.role === 'control-plane' && request.b.role === 'control-plane',
      directions: [],
      roundTrips: [],
    };
    for (const addresses of pair.addresses) {
      const family = await new FamilyProof(request, a as NodeProbe, b as NodeProbe, addresses, opts).run(onProgress);
      facts.directions.push(...family.directions);
      if (family.roundTrips !== null) facts.roundTrips.push(family.roundTrips);
    }
    return facts;
  } finally {
    await Promise.all(started.map((probe) => probe.stop()));
  }
}

/** Waits for all of them; throws what went wrong, each reason once: a cancel reaches both nodes. */
async function settled<T>(work: Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(work);
  const reasons = new Set(
    results.filter((result) => result.status === 'rejected').map(({ reason }) => reason as Error),
  );
  if (reasons.size === 1) throw [...reasons][0];
  if (reasons.size > 1) throw new AggregateError(reasons, [...reasons].map(({ message }) => message).join('\n'));
  return results.map((result) => (result as PromiseFulfilledResult<T>).value);
}

/** All probes of one address family of a pair, in order. */
class FamilyProof {
  private readonly token = randomBytes(8).toString('hex');
  private round = 0;

  constructor(
    private readonly request: PairRequest,
    private readonly a: NodeProbe,
    private readonly b: NodeProbe,
    private readonly addresses: PairRequest['pair']['addresses'][number],
    private readonly opts: ProveOptions,
  ) {}

  async run(
    onProgress: (step: string) => void,
  ): Promise<{ directions: DirectionFacts[]; roundTrips: RoundTripFacts | null }> {
    const { pair } = this.request;
    const { family } = this.addresses;
    const { signal } = this.opts;
    const specs = tunnelSpecs(family, pair.encapsulation, this.addresses, pair.podMtuBytes, randomInt(0x10000));
    const [sideA, sideB] = await Promise.all([
      this.side(this.a, this.addresses.a, specs.a.pod),
      this.side(this.b, this.addresses.b, specs.b.pod),
    ]);
    const lanes: [Lane, Lane] = [this.lane(sideA.side, sideB.side), this.lane(sideB.side, sideA.side)];
    const names = [`${pair.a} -> ${pair.b}`, `${pair.b} -> ${pair.a}`];

    onProgress(`${family}: packets of ${pair.underlayMtuBytes} bytes, both directions`);
    await Promise.all(
      lanes.map(({ from, to }) =>
        from.probe.call(
          'capture',
          { family, address: from.address, port: PROBE_PORT, token: this.token, peer: to.address },
          signal,
        ),
      ),
    );
    const underlay = await this.both(lanes, (lane) =>
      proveSize(lane, 'underlay', pair.underlayMtuBytes, lane.from.mtuBytes),
    );
    const directions = lanes.map((lane, index): DirectionFacts => ({
      from: lane.from.probe.node,
      to: lane.to.probe.node,
      family,
      fromAddress: lane.from.address,
      toAddress: lane.to.address,
      underlay: underlay[index] as SizeFacts,
      tunnel: { skipped: 'the underlay does not carry its own MTU' },
      tcp: null,
      lossPercent: null,
      ports: [],
    }));
    if (!underlay.some((size) => size.anyArrived)) return { directions, roundTrips: null };

    const reason = underlay.every((size) => size.arrived > 0) ? this.noTunnel([sideA.hello, sideB.hello]) : null;
    const tunnels = underlay.every((size) => size.arrived > 0) && reason === null;
    if (reason !== null) for (const direction of directions) direction.tunnel = { skipped: reason };
    if (tunnels) {
      onProgress(`${family}: packets of ${pair.podMtuBytes} bytes between pods (${pair.encapsulation})`);
      await Promise.all([this.tunnel(this.a, specs.a), this.tunnel(this.b, specs.b)]);
      const sizes = await this.both(lanes, (lane) => proveSize(lane, 'tunnel', pair.podMtuBytes, pair.podMtuBytes));
      sizes.forEach((size, index) => ((directions[index] as DirectionFacts).tunnel = size));
    }
    if (underlay.every((size) => size.arrived > 0)) await this.above(lanes, directions, tunnels, onProgress);
    if (tunnels) {
      for (const [index, lane] of lanes.entries()) {
        const direction = directions[index] as DirectionFacts;
        if (!('arrived' in direction.tunnel) || !direction.tunnel.anyArrived) continue;
        onProgress(`${family}: TCP between pods, ${names[index]}`);
        const args = {
          family,
          target: lane.to.pod,
          port: PROBE_PORT,
          bytes: TRANSFER_BYTES,
          seconds: TRANSFER_LIMIT_SECONDS,
        };
        direction.tcp = await lane.from.probe.call<TransferFacts>('tcp', args, signal);
      }
      await Promise.all([this.a, this.b].map((probe) => probe.call('tunnel_remove', { family }, signal)));
    }
    onProgress(`${family}: ${ROUND_TRIP_COUNT} round trips`);
    const roundTrips = await this.roundTrips(lanes[0], directions as [DirectionFacts, DirectionFacts]);
    onProgress(`${family}: ports and protocols`);
    const ports = await this.both(lanes, (lane) => provePorts(lane, this.request));
    ports.forEach((found, index) => ((directions[index] as DirectionFacts).ports = found));
    return { directions, roundTrips };
  }

  private both<T>(lanes: [Lane, Lane], work: (lane: Lane) => Promise<T>): Promise<T[]> {
    return settled(lanes.map(work));
  }

  private async side(probe: NodeProbe, address: string, pod: string): Promise<{ side: Side; hello: Hello }> {
    const hello = await probe.call<Hello>('hello', { address }, this.opts.signal);
    const { device, mtuBytes, calico: runsCalico } = hello;
    return { side: { probe, address, pod, device, mtuBytes, runsCalico }, hello };
  }

  private lane(from: Side, to: Side): Lane {
    const nextRound = () => ++this.round;
    return { family: this.addresses.family, from, to, token: this.token, nextRound, signal: this.opts.signal };
  }

  /** Why pod packets cannot be tried; null where they can. Asked when the underlay carries its own MTU. */
  private noTunnel(hellos: Hello[]): string | null {
    const { pair } = this.request;
    const { family } = this.addresses;
    if (!pair.podFamilies.includes(family)) return `the pods have no ${family} addresses`;
    if (pair.encapsulation !== 'none') {
      // Felix drops what comes from a host that is no member yet, its WireGuard has the port, and IP-in-IP between two
      // members would be taken from their pods.
      const members = [pair.a, pair.b].filter((_, index) => hellos[index]?.calico);
      if (members.length === 0) return null;
      const outer = pair.podMtuBytes + overheadBytes(pair.encapsulation, family);
      return (
        `Calico runs on ${members.join(' and ')} already, and no second tunnel is opened beside its own: the wire carries the ` +
        `${outer} bytes that ${pair.encapsulation} makes of ${pair.podMtuBytes}, and pods are measured through it in the cluster`
      );
    }
    if (!pair.sameSubnet) return 'the routers between the subnets learn pod networks only from the cluster (BGP)';
    const closed = [pair.a, pair.b].filter((_, index) => !hellos[index]?.forwarding[family]);
    const key = family === 'ipv4' ? 'net.ipv4.ip_forward' : 'net.ipv6.conf.all.forwarding';
    return closed.length === 0 ? null : `${key} is 0 on ${closed.join(' and ')}`;
  }

  private async tunnel(probe: NodeProbe, spec: ReturnType<typeof tunnelSpecs>['a']): Promise<void> {
    await probe.call('tunnel', { family: spec.family, spec, token: this.token, port: PROBE_PORT }, this.opts.signal);
  }

  /** One byte more, on the wire and in the tunnel, while the nodes' devices are raised by that byte. */
  private async above(
    lanes: [Lane, Lane],
    directions: DirectionFacts[],
    tunnels: boolean,
    onProgress: (step: string) => void,
  ) {
    const { pair } = this.request;
    const { family } = this.addresses;
    const { signal } = this.opts;
    onProgress(`${family}: one byte more than that`);
    const raised: { side: Side; before: number; refused: string | null }[] = [];
    try {
      for (const { from: side } of lanes) {
        // A device that carries more than the path's MTU anyway (a jumbo node on a path of 1500) needs no raise.
        const bytes = Math.max(pair.underlayMtuBytes + 1, side.mtuBytes);
        const answer = await side.probe.call<{ refused: string | null; before: number }>(
          'nic_raise',
          { device: side.device, bytes },
          signal,
        );
        raised.push({ side, ...answer });
      }
      await this.both(lanes, async (lane) => {
        const direction = directions[lanes.indexOf(lane)] as DirectionFacts;
        const refused = raised.find(({ side }) => side === lane.from)?.refused ?? null;
        direction.underlay.above = await proveAbove(lane, 'underlay', pair.underlayMtuBytes + 1, refused);
      });
      if (!tunnels) return;
      const setTunnel = (mtuBytes: number) =>
        Promise.all([this.a, this.b].map((probe) => probe.call('tunnel_mtu', { family, mtuBytes }, signal)));
      await setTunnel(pair.podMtuBytes + 1);
      await this.both(lanes, async (lane) => {
        const { tunnel } = directions[lanes.indexOf(lane)] as DirectionFacts;
        // Where nothing arrives at all, one byte more teaches nothing.
        if ('arrived' in tunnel && tunnel.anyArrived)
          tunnel.above = await proveAbove(lane, 'tunnel', pair.podMtuBytes + 1, null);
      });
      await setTunnel(pair.podMtuBytes);
    } finally {
      for (const { side, before } of raised) {
        // Not under the signal: what was raised goes back, and the guardian does it where this cannot.
        await side.probe.call('nic_restore', { device: side.device, bytes: before }).catch(() => undefined);
      }
    }
  }

  private async roundTrips(lane: Lane, [there, back]: [DirectionFacts, DirectionFacts]): Promise<RoundTripFacts> {
    const { family, from, to, token } = lane;
    const { signal } = this.opts;
    await to.probe.call('echo', { family, address: to.address, port: ECHO_PORT, token }, signal);
    const args = { family, source: from.address, target: to.address, port: ECHO_PORT, token };
    const timing = { count: ROUND_TRIP_COUNT, gapSeconds: ROUND_TRIP_GAP_SECONDS };
    const found = await from.probe.call<Omit<RoundTripFacts, 'family'>>('round_trips', { ...args, ...timing }, signal);
    const { received } = await to.probe.call<{ received: number }>('echo_seen', { family }, signal);
    there.lossPercent = (100 * (found.sent - received)) / found.sent;
    back.lossPercent = received === 0 ? 100 : (100 * (received - found.answered)) / received;
    return { family, ...found };
  }
}
