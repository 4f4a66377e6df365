import type { ProbeName } from '../spec/schema';
import { likelyCause } from './cause';
import type {
  DirectionFacts,
  NodeFacts,
  NodeRequest,
  PairFacts,
  PairRequest,
  PortFacts,
  ProofFinding,
  SizeFacts,
} from './facts';
import { PROBE_PORT } from './sizes';

/** Compares facts with the plan. Pure: the same facts give the same findings. */

type Report = (probe: ProbeName, where: string, message: string) => void;
type Note = (probe: ProbeName, where: string, message: string) => void;

function recorder(warn: string[]): { findings: ProofFinding[]; fail: Report; note: Note } {
  const findings: ProofFinding[] = [];
  return {
    findings,
    fail: (probe, where, message) =>
      findings.push({ probe, severity: warn.includes(probe) ? 'warn' : 'error', where, message }),
    note: (probe, where, message) => findings.push({ probe, severity: 'info', where, message }),
  };
}

const round = (value: number) => Math.round(value * 100) / 100;

export function judgePair(facts: PairFacts, request: Pick<PairRequest, 'thresholds' | 'warn'>): ProofFinding[] {
  const { findings, fail, note } = recorder(request.warn);
  const { thresholds } = request;
  for (const direction of facts.directions) {
    const where = `${direction.from} -> ${direction.to}`;
    const path = `${direction.fromAddress} -> ${direction.toAddress}`;
    judgeUnderlay(direction.underlay, where, path, fail, note);
    judgeTunnel(direction, facts, where, path, fail, note);
    if (direction.tcp?.error) {
      const host = facts.sameHost ? '; both are on one hypervisor: look at LRO on their interfaces' : '';
      fail(
        'tcp-transfer',
        where,
        `${path}: TCP between pods did not finish: ${direction.tcp.error} after ${round(direction.tcp.seconds)} s, ` +
          `${direction.tcp.retransmits ?? 'unknown'} retransmits${host}`,
      );
    }
    if (direction.lossPercent !== null && direction.lossPercent > thresholds.lossPercent) {
      const limit = `allowed: ${thresholds.lossPercent} %`;
      fail('loss', where, `${path}: ${round(direction.lossPercent)} % of small packets are lost, ${limit}`);
    }
    for (const port of direction.ports) judgePort(port, where, path, fail);
  }
  for (const trip of facts.roundTrips) {
    const where = `${facts.a} <-> ${facts.b}`;
    if (trip.answered === 0) continue;
    if (trip.deviationMilliseconds > thresholds.jitterMilliseconds) {
      const measured = `${round(trip.deviationMilliseconds)} ms`;
      fail(
        'jitter',
        where,
        `${trip.family}: the round trip varies by ${measured}, allowed: ${thresholds.jitterMilliseconds} ms`,
      );
    }
    if (facts.bothControlPlane && trip.meanMilliseconds > thresholds.controlPlaneRoundTripMilliseconds) {
      const limit = `allowed between control-plane nodes: ${thresholds.controlPlaneRoundTripMilliseconds} ms`;
      fail('round-trip', where, `${trip.family}: the mean round trip is ${round(trip.meanMilliseconds)} ms, ${limit}`);
    }
  }
  return findings;
}

function judgeUnderlay(size: SizeFacts, where: string, path: string, fail: Report, note: Note): void {
  const wanted = size.wantedBytes;
  if (!size.anyArrived) {
    const hint = `the host is cut off, or a filter drops UDP port ${PROBE_PORT}`;
    fail('underlay-mtu', where, `${path}: no packet of any size arrives; ${hint}`);
  } else if (size.arrived === 0) {
    fail('underlay-mtu', where, `${path}: ${tooLarge(size)}`);
  } else if (size.fragments > 0) {
    fail(
      'underlay-mtu',
      where,
      `${path}: packets of ${wanted} bytes arrive, and ${size.fragments} fragments beside them`,
    );
  }
  const { above } = size;
  if (above?.outcome === 'passed') {
    note(
      'underlay-mtu',
      where,
      `${path}: ${above.sizeBytes} passes too: the path carries more than the planned ${wanted}`,
    );
  } else if (above?.outcome === 'not provable') {
    note(
      'underlay-mtu',
      where,
      `${path}: not provable above ${wanted}: the sender's device refuses (${above.detail ?? ''})`,
    );
  }
}

/** "1500 does not pass, 1450 does: …", or that it is the sender's own device. */
function tooLarge(size: SizeFacts): string {
  const { wantedBytes, largestBytes, deviceMtuBytes, refused } = size;
  if (refused !== null && deviceMtuBytes < wantedBytes) {
    return `${wantedBytes} does not leave the sender: its own device has an MTU of ${deviceMtuBytes}`;
  }
  if (largestBytes === null) return `${wantedBytes} does not pass`;
  return `${wantedBytes} does not pass, ${largestBytes} does: ${likelyCause(wantedBytes, largestBytes)}`;
}

const WIRE: Record<PairFacts['encapsulation'], string> = {
  none: 'plain packets with pod addresses',
  ipip: 'IP-in-IP (protocol 4)',
  vxlan: 'VXLAN (UDP 4789)',
  wireguard: 'WireGuard (UDP 51820, IPv6 51821)',
};

function judgeTunnel(
  direction: DirectionFacts,
  facts: PairFacts,
  where: string,
  path: string,
  fail: Report,
  note: Note,
) {
  const { tunnel } = direction;
  if ('skipped' in tunnel) {
    // What the underlay's own failure explains needs no second finding; a node that does not forward is one of its own.
    if (tunnel.skipped.includes(' is 0 on '))
      fail('tunnel-mtu', where, `${path}: pods cannot be reached: ${tunnel.skipped}`);
    else if (direction.underlay.arrived > 0) note('tunnel-mtu', where, `${path}: not tried: ${tunnel.skipped}`);
    return;
  }
  if (!tunnel.anyArrived) {
    const drop =
      facts.encapsulation === 'none' ? 'a filter or a port security rule drops' : 'a filter on the way drops';
    fail('tunnel-mtu', where, `${path}: nothing arrives between pods: ${drop} ${WIRE[facts.encapsulation]}`);
  } else if (tunnel.arrived === 0) {
    fail('tunnel-mtu', where, `${path}: between pods (${facts.encapsulation}): ${tooLarge(tunnel)}`);
  } else if (tunnel.fragments > 0) {
    fail(
      'tunnel-mtu',
      where,
      `${path}: packets of ${tunnel.wantedBytes} bytes between pods arrive in fragments only: ${tunnel.fragments} outer fragments captured ` +
        `(counters: ${tunnel.counters.created} made by the sender, ${tunnel.counters.received} seen by the receiver)`,
    );
  } else if (tunnel.above?.outcome === 'passed') {
    const size = tunnel.above.sizeBytes;
    note(
      'tunnel-mtu',
      where,
      `${path}: ${size} passes between pods too: there is room above the planned ${tunnel.wantedBytes}`,
    );
  }
}

function judgePort(port: PortFacts, where: string, path: string, fail: Report): void {
  if (port.outcome === 'reachable') return;
  const name = port.protocol === 'ip' ? `IP protocol ${port.number}` : `${port.protocol.toUpperCase()} ${port.number}`;
  const said: Record<Exclude<PortFacts['outcome'], 'reachable'>, string> = {
    refused: 'is refused by the receiver',
    silent: 'does not arrive: a filter on the way or on the receiver drops it',
    'filtered by the receiver': "arrives, but the receiver's own filter drops it",
    'not sent': 'cannot be sent',
  };
  const detail = port.detail === null ? '' : ` (${port.detail})`;
  fail('ports', where, `${path}: ${name} (${port.what}) ${said[port.outcome]}${detail}`);
}

export function judgeNode(facts: NodeFacts, request: Pick<NodeRequest, 'thresholds' | 'warn'>): ProofFinding[] {
  const { findings, fail, note } = recorder(request.warn);
  const { thresholds } = request;
  const where = facts.node;
  for (const { address, owners } of facts.addresses) {
    if (owners.length > 0) fail('duplicate-address', where, `${address} is also used by ${owners.join(', ')}`);
  }
  for (const { server, error } of facts.dns) {
    if (error !== null) fail('dns', where, `DNS server ${server}: ${error}`);
  }
  for (const { server, error, offsetMilliseconds } of facts.ntp) {
    if (error !== null) {
      fail('ntp', where, `NTP server ${server}: ${error}`);
    } else if (Math.abs(offsetMilliseconds ?? 0) > thresholds.clockOffsetMilliseconds) {
      const measured = `the clock differs from ${server} by ${Math.round(offsetMilliseconds ?? 0)} ms`;
      fail('clock', where, `${measured}, allowed: ${thresholds.clockOffsetMilliseconds} ms`);
    }
  }
  // Without time servers of the site the machine that runs the engine is the one clock that all nodes can be held to.
  const { offsetMilliseconds, uncertaintyMilliseconds } = facts.engineClock;
  const certain = Math.abs(offsetMilliseconds) - uncertaintyMilliseconds;
  if (facts.ntp.length === 0 && certain > thresholds.clockOffsetMilliseconds) {
    const measured = `the clock differs from this machine's by ${Math.round(offsetMilliseconds)} ms`;
    fail('clock', where, `${measured}, allowed: ${thresholds.clockOffsetMilliseconds} ms; set underlay.ntp.servers`);
  }
  if (facts.steal.percent > thresholds.cpuStealPercent) {
    const advice = 'the hypervisor is overcommitted';
    fail(
      'cpu-steal',
      where,
      `${round(facts.steal.percent)} % of CPU time is stolen, allowed: ${thresholds.cpuStealPercent} %: ${advice}`,
    );
  }
  const { etcd } = facts;
  if (etcd?.error !== undefined) fail('etcd-disk', where, `the etcd disk cannot be measured: ${etcd.error}`);
  else if (etcd?.skipped !== undefined) note('etcd-disk', where, `the etcd disk was not measured: ${etcd.skipped}`);
  else if (etcd?.p99Milliseconds !== undefined && etcd.p99Milliseconds > thresholds.etcdFsyncP99Milliseconds) {
    const limit = `allowed: ${thresholds.etcdFsyncP99Milliseconds} ms`;
    fail(
      'etcd-disk',
      where,
      `fdatasync on ${etcd.target ?? ''} takes ${round(etcd.p99Milliseconds)} ms (p99 of ${etcd.count ?? 0}), ${limit}`,
    );
  }
  for (const peer of facts.peers) judgePeer(peer, where, fail, note);
  return findings;
}

function judgePeer(peer: NodeFacts['peers'][number], where: string, fail: Report, note: Note): void {
  const name = `${peer.name} (${peer.address})`;
  if (peer.tcp?.error) fail('peers', where, `${name}: TCP ${peer.tcp.port}: ${peer.tcp.error}`);
  if (peer.largestBytes === null) {
    // Windows answers no echo by default: with an open TCP port the peer is there, and only its MTU stays unknown.
    const open = peer.tcp !== null && peer.tcp.error === null;
    if (open) note('peers', where, `${name}: answers no echo request: the packet size on the way to it is not proved`);
    else fail('peers', where, `${name}: answers no echo request`);
  } else if (peer.largestBytes < peer.wantedBytes) {
    const cause = likelyCause(peer.wantedBytes, peer.largestBytes);
    fail('peers', where, `${name}: ${peer.wantedBytes} does not pass, ${peer.largestBytes} does: ${cause}`);
  }
}
