import type { PortProbe } from '../plan/types';
import type { PairRequest, PortFacts } from './facts';
import { PROBE_PORT, type Lane } from './sizes';

const CONNECT_LIMIT_SECONDS = 5;
const ARRIVAL_LIMIT_SECONDS = 3;
/** IP-in-IP exists for IPv4 only (RFC 2003). */
const IP_IN_IP = 4;
const TUNNEL_PORTS = [4789, 51820, 51821];

/** Felix lets in at these only what comes from a host that it knows, and a new one is not known yet. */
const isTunnel = ({ protocol, number }: Pick<PortProbe, 'protocol' | 'number'>) =>
  protocol === 'ip' ? number === IP_IN_IP : protocol === 'udp' && TUNNEL_PORTS.includes(number);

interface Tried {
  answer: string;
  milliseconds?: number;
}

/** Ports that a packet from a node of one role to a node of another has to reach. */
export function portsFor(ports: PortProbe[], from: string, to: string): PortProbe[] {
  return ports.filter(({ between }) => {
    if (between === 'any') return true;
    if (between === 'any-to-control-plane') return to === 'control-plane';
    return from === 'control-plane' && to === 'control-plane';
  });
}

export async function provePorts(lane: Lane, request: PairRequest): Promise<PortFacts[]> {
  const { family, from, to, token, signal } = lane;
  const role = (node: string) => (request.a.name === node ? request.a.role : request.b.role);
  const wanted = portsFor(request.ports, role(from.probe.node), role(to.probe.node)).filter(
    (port) => !(port.protocol === 'ip' && port.number === IP_IN_IP && family === 'ipv6'),
  );
  if (wanted.length === 0) return [];
  const ports = wanted.map(({ protocol, number }) => ({ protocol, number }));
  const round = lane.nextRound();
  const states = await to.probe.call<string[]>('listen', { family, address: to.address, ports, token }, signal);
  const tried = await from.probe.call<Tried[]>(
    'try_ports',
    {
      family,
      source: from.address,
      target: to.address,
      ports,
      fencePort: PROBE_PORT,
      token,
      round,
      seconds: CONNECT_LIMIT_SECONDS,
    },
    signal,
  );
  const seen = await to.probe.call<{ arrived: number[]; heard: number[] }>(
    'heard',
    { family, round, seconds: ARRIVAL_LIMIT_SECONDS },
    signal,
  );
  return wanted.map(({ protocol, number, what }, index) => ({
    protocol,
    number,
    what,
    ...portOutcome(
      protocol,
      to.runsCalico && isTunnel({ protocol, number }) ? 'in use' : (states[index] ?? ''),
      tried[index] ?? { answer: 'not tried' },
      {
        arrived: seen.arrived.includes(index),
        heard: seen.heard.includes(index),
      },
    ),
  }));
}

/** What the three views of one port (the sender's, the capture's and the listener's) say together. */
export function portOutcome(
  protocol: PortProbe['protocol'],
  state: string,
  tried: Tried,
  seen: { arrived: boolean; heard: boolean },
): Pick<PortFacts, 'outcome' | 'detail'> {
  const detail = state === 'listening' || state === 'in use' ? null : `no listener on the receiver: ${state}`;
  if (protocol === 'tcp') {
    if (tried.answer === 'open') return { outcome: 'reachable', detail };
    if (tried.answer === 'refused' || tried.answer === 'silent') return { outcome: tried.answer, detail };
    return { outcome: 'not sent', detail: tried.answer };
  }
  if (tried.answer !== 'sent') return { outcome: 'not sent', detail: tried.answer };
  if (!seen.arrived) return { outcome: 'silent', detail };
  // Nobody of ours can hear on a port that a service has: its packets arriving at the node is what can be said.
  if (!seen.heard && state === 'listening') return { outcome: 'filtered by the receiver', detail };
  return { outcome: 'reachable', detail };
}
