import { narrow, nextSizes } from './cause';
import type { ProveOptions } from './coordinatePair';
import type { NodeFacts, NodeRequest, PingFacts } from './facts';
import { NodeProbe } from './nodeProbe';

/** 22 MB as etcd's recommendation has it, or as much as this time allows: a disk that is just good enough makes 1000 syncs. */
const DISK_LIMIT_SECONDS = 10;
const SEARCH_WAYS = 16;
const SMALLEST_BYTES = 100;
/** The shortest of some tries bounds how much of the clocks' distance the way to the node can explain. */
const CLOCK_TRIES = 4;

type MachineAnswer = Omit<NodeFacts, 'kind' | 'node' | 'role' | 'peers' | 'engineClock'> & {
  peers: {
    name: string;
    small: PingFacts;
    full: PingFacts;
    tcp: { error: string | null; milliseconds?: number } | null;
  }[];
};

/** Measures one node. Throws SshError or NodeProbeError where it cannot be asked. */
export async function coordinateNode(request: NodeRequest, opts: ProveOptions = {}): Promise<NodeFacts> {
  const { node } = request;
  const { signal } = opts;
  const withDisk = node.role === 'control-plane' && request.withoutDisk !== true;
  const onProgress = opts.onProgress ?? (() => undefined);
  onProgress(`probe starts on ${node.name}`);
  const probe = await NodeProbe.start(node.name, node.target, signal);
  try {
    const engineClock = await clockDistance(probe, signal);
    onProgress(`${node.name}: ${withDisk ? 'etcd disk, ' : ''}CPU steal, names, time, addresses, peers`);
    const found = await probe.call<MachineAnswer>(
      'machine',
      {
        etcd: withDisk ? { device: node.etcdDisk } : null,
        addresses: node.addresses,
        dnsServers: request.dnsServers,
        ntpServers: request.ntpServers,
        peers: request.peers,
        diskSeconds: DISK_LIMIT_SECONDS,
      },
      signal,
    );
    const peers: NodeFacts['peers'] = [];
    for (const [index, peer] of request.peers.entries()) {
      const answer = found.peers[index];
      if (answer === undefined) continue;
      peers.push({
        name: peer.name,
        address: peer.address,
        wantedBytes: peer.mtuBytes,
        small: answer.small,
        full: answer.full,
        largestBytes: await largestToPeer(probe, peer, answer, signal),
        tcp: peer.tcpPort === null || answer.tcp === null ? null : { port: peer.tcpPort, ...answer.tcp },
      });
    }
    return { kind: 'node', node: node.name, role: node.role, ...found, peers, engineClock };
  } finally {
    await probe.stop();
  }
}

async function clockDistance(probe: NodeProbe, signal?: AbortSignal): Promise<NodeFacts['engineClock']> {
  let best: NodeFacts['engineClock'] | undefined;
  for (let index = 0; index < CLOCK_TRIES; index++) {
    const before = Date.now();
    const { secondsSinceEpoch } = await probe.call<{ secondsSinceEpoch: number }>('clock', {}, signal);
    const after = Date.now();
    const uncertaintyMilliseconds = (after - before) / 2;
    if (best === undefined || uncertaintyMilliseconds < best.uncertaintyMilliseconds) {
      best = { offsetMilliseconds: secondsSinceEpoch * 1000 - (before + after) / 2, uncertaintyMilliseconds };
    }
  }
  return best as NodeFacts['engineClock'];
}

/** A peer is not ours: nothing counts there, so its answers of the same size are the proof. */
async function largestToPeer(
  probe: NodeProbe,
  peer: NodeRequest['peers'][number],
  answer: { small: PingFacts; full: PingFacts },
  signal?: AbortSignal,
): Promise<number | null> {
  if (answer.full.answered > 0) return peer.mtuBytes;
  if (answer.small.answered === 0) return null;
  let bounds = { passesBytes: SMALLEST_BYTES, failsBytes: peer.mtuBytes };
  for (let sizes = nextSizes(SMALLEST_BYTES, peer.mtuBytes, SEARCH_WAYS); sizes.length > 0;) {
    const args = { family: peer.family, address: peer.address, sizes };
    const pings = await probe.call<PingFacts[]>('peer_sizes', args, signal);
    const arrived = new Set(pings.filter(({ answered }) => answered > 0).map(({ sizeBytes }) => sizeBytes));
    bounds = narrow(bounds, sizes, arrived);
    sizes = nextSizes(bounds.passesBytes, bounds.failsBytes, SEARCH_WAYS);
  }
  return bounds.passesBytes;
}
