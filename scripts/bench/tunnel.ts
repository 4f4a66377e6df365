import { computePlan } from '../../components/plan';
import { siteSchema } from '../../components/spec';
import { interleaved, print, type Case } from './measure';
import { siteOfMachines } from './plan';
import { KINDS, PATH_MTU_BYTES, TwoNodes, type Kind } from './twoNodes';

/**
 * The problem that this kit exists for, in figures: bytes and round trips between pods of two nodes, for each encapsulation,
 * with the computed MTU, with the MTU of the path itself (which no tunnel leaves to its packets), and with one that somebody
 * has lowered until it worked. The path carries 1,500 bytes and says nothing about what it drops.
 */

/** The least that IPv6 allows, and what people go down to. */
const LOWERED_MTU_BYTES = 1280;
export const LIMIT_SECONDS = 10;
const TRANSFER_BYTES = 8 * 1024 * 1024;
const ROUND_TRIPS = 1000;
/** More than one packet, as answers of most programs are. */
const MESSAGE_BYTES = 4096;

const SINK_PORT = 7777;
const ECHO_PORT = 7778;

/** Tells after each 64 KiB how much has come; sends every message back. */
const SERVE = `
import socket, threading
def each(port, serve):
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(('0.0.0.0', port))
    made.listen(16)
    while True:
        threading.Thread(target=serve, args=(made.accept()[0],), daemon=True).start()
def sink(one):
    came = 0
    while True:
        data = one.recv(65536)
        if not data: return one.close()
        if (came + len(data)) // 65536 > came // 65536: one.sendall(b'.' * ((came + len(data)) // 65536 - came // 65536))
        came += len(data)
def echo(one):
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        data = one.recv(65536)
        if not data: return one.close()
        one.sendall(data)
threading.Thread(target=each, args=(${SINK_PORT}, sink), daemon=True).start()
each(${ECHO_PORT}, echo)
`;

/** Arguments: address. Prints MB/s of what had arrived when all of it had, or when the time was over. */
const SEND = `
import select, socket, sys, time
made = socket.create_connection((sys.argv[1], ${SINK_PORT}), ${LIMIT_SECONDS})
made.setblocking(False)
left, arrived, begin = ${TRANSFER_BYTES}, 0, time.perf_counter()
while arrived < ${TRANSFER_BYTES} and time.perf_counter() - begin < ${LIMIT_SECONDS}:
    readable, writable, _ = select.select([made], [made] if left else [], [], 0.1)
    if writable: left -= made.send(bytes(min(left, 262144)))
    if readable: arrived += 65536 * len(made.recv(4096))
print(arrived / 1e6 / (time.perf_counter() - begin))
`;

/** Arguments: address. Prints the slowest of a hundred in milliseconds; a message that is not back in time ends it. */
const ASK = `
import socket, sys, time
made = socket.create_connection((sys.argv[1], ${ECHO_PORT}), ${LIMIT_SECONDS})
made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
times, message = [], bytes(${MESSAGE_BYTES})
for _ in range(${ROUND_TRIPS}):
    begin, back = time.perf_counter(), 0
    try:
        made.sendall(message)
        while back < len(message): back += len(made.recv(65536))
    except TimeoutError:
        print(${LIMIT_SECONDS * 1000})
        sys.exit()
    times.append((time.perf_counter() - begin) * 1000)
print(sorted(times)[len(times) * 99 // 100])
`;

const ROUTING: Record<Kind, object> = {
  none: { routing: 'bgp' },
  ipip: { routing: 'ipip' },
  vxlan: { routing: 'vxlan' },
  wireguard: { routing: 'bgp', wireguard: true },
};

/** What the kit gives pods of a site whose path is the bench's. */
function computedMtuBytes(kind: Kind): number {
  const site = siteOfMachines(3);
  const network = { ...site.network, cni: 'calico', ...ROUTING[kind] };
  const kubernetes = { version: '1.36.1', endpoint: { host: 'api.example.test' } };
  const underlay = { ...site.underlay, mtu: PATH_MTU_BYTES };
  const { plan, findings } = computePlan(siteSchema.parse({ ...site, underlay, network, kubernetes }), '0.1.0');
  if (plan === null) throw new Error(findings.map(({ message }) => message).join('\n'));
  return plan.mtu.podMtuBytes;
}

export async function benchTunnel(rounds: number, signal: AbortSignal): Promise<void> {
  const nodes = new TwoNodes(signal);
  try {
    nodes.build();
    nodes.spawnInPod('b', ['python3', '-c', SERVE]);
    const bytes: Case[] = [];
    const roundTrips: Case[] = [];
    for (const kind of KINDS) {
      const missing = nodes.missing(kind);
      if (missing !== null) {
        console.error(`tunnel: ${kind} is not measured here: ${missing}`);
        continue;
      }
      const computed = computedMtuBytes(kind);
      const mtus: [string, number][] = [
        ['computed', computed],
        ...(kind === 'none' ? [] : ([['wrong', PATH_MTU_BYTES]] as [string, number][])),
        ['lowered', LOWERED_MTU_BYTES],
      ];
      for (const [what, mtuBytes] of mtus) {
        const name = `${kind === 'none' ? 'no tunnel' : kind}, pod MTU ${mtuBytes} (${what})`;
        const between = async (program: string) => {
          nodes.connect(kind, mtuBytes);
          return Number(await nodes.runInPod('a', ['python3', '-c', program, nodes.podAddress('b')]));
        };
        bytes.push({ name, run: () => between(SEND) });
        roundTrips.push({ name, run: () => between(ASK) });
      }
    }
    await nodes.untilAnswers(['python3', '-c', ASK, nodes.podAddress('b')]);
    const limits = `ICMP filtered, at most ${LIMIT_SECONDS} s`;
    const sent = await interleaved(bytes, rounds, signal);
    print(`${TRANSFER_BYTES / 1024 / 1024} MiB between pods of two nodes; ${limits}`, 'MB/s', sent);
    const asked = await interleaved(roundTrips, rounds, signal);
    print(`${MESSAGE_BYTES} bytes there and back, the slowest of a hundred; ${limits}`, 'ms', asked);
    console.log(
      'Nodes and pods are namespaces of one kernel: it is the CPU that limits them, and no network card is there.',
    );
  } finally {
    await nodes.remove();
  }
}
