import type { ProofFinding } from '../proof/facts';
import type { Encapsulation, Family } from '../plan/types';
import type { BgpProbe, BgpSession, CalicoFacts, CalicoLink, CalicoNodeFacts, CalicoProbe } from './calicoFacts';

/** Compares what was found of Calico with its plan. Pure: the same facts give the same findings. */

/** Devices by what they wrap packets into; without an entry packets leave by the card of the node. */
const TUNNEL_DEVICES: Record<Exclude<Encapsulation, 'none'>, Record<Family, string>> = {
  ipip: { ipv4: 'tunl0', ipv6: 'tunl0' },
  vxlan: { ipv4: 'vxlan.calico', ipv6: 'vxlan-v6.calico' },
  wireguard: { ipv4: 'wireguard.cali', ipv6: 'wg-v6.cali' },
};
export const WIREGUARD_DEVICES = Object.values(TUNNEL_DEVICES.wireguard);
const TUNNELS = Object.values(TUNNEL_DEVICES).flatMap((byFamily) => Object.values(byFamily));
const REPAIR = '`sitewright refresh` and then `up` put it back';

export function judgeCalico(facts: CalicoFacts, plan: CalicoProbe, severity: ProofFinding['severity']): ProofFinding[] {
  const findings: ProofFinding[] = [];
  const fail = (where: string, message: string) => void findings.push({ probe: 'calico', severity, where, message });

  for (const [name, differences] of Object.entries(facts.objects)) {
    if (differences === null) fail('cluster', `${name} is gone: ${REPAIR}`);
    else if (differences.length > 0) fail('cluster', `${name} is not as planned: ${differences.join('; ')}: ${REPAIR}`);
  }
  const nodes = Object.keys(plan.subnets);
  for (const node of nodes) {
    const problem = facts.agents[node];
    if (problem === undefined)
      fail(node, `calico-node does not run on it: kubectl -n ${plan.namespace} describe ds/calico-node`);
    else if (problem !== null) fail(node, `calico-node is not ready: ${problem}`);
    const found = facts.nodes[node];
    if (found === undefined) continue;
    if ('error' in found) fail(node, `its network cannot be read: ${found.error}`);
    else for (const message of nodeProblems(node, found, facts, plan)) fail(node, message);
  }
  return findings;
}

/** Whether both ends of a pod's link have the planned MTU. A network namespace that is gone says nothing. */
export const isAsPlanned = ({ mtuBytes, podMtuBytes }: CalicoLink, planned: number) =>
  mtuBytes === planned && (podMtuBytes ?? mtuBytes) === planned;

/** Links of pods that run, which have the MTU of their start: one finding for each node, with what its pods have. */
export function judgeLinks(
  { nodes }: Pick<CalicoFacts, 'nodes'>,
  { site, podMtuBytes: planned }: Pick<CalicoProbe, 'site' | 'podMtuBytes'>,
  severity: ProofFinding['severity'],
): ProofFinding[] {
  return Object.entries(nodes).flatMap(([where, found]): ProofFinding[] => {
    const old = 'links' in found ? found.links.filter((link) => !isAsPlanned(link, planned)) : [];
    if (old.length === 0) return [];
    const byMtu = new Map<string, string[]>();
    for (const { device, mtuBytes, podMtuBytes, pod } of old) {
      const ends = `${mtuBytes} on the node and ${podMtuBytes ?? 'unknown'} in the pod`;
      byMtu.set(ends, [...(byMtu.get(ends) ?? []), pod ?? `nobody's ${device}`]);
    }
    const who = [...byMtu].map(([ends, pods]) => `${ends}: ${pods.sort().join(', ')}`).join('; ');
    const have = old.length === 1 ? '1 pod has' : `${old.length} pods have`;
    const message = `${have} another MTU than the planned ${planned}: ${who}: \`sitewright rollout mtu ${site}\` makes them anew`;
    return [{ probe: 'calico', severity, where, message }];
  });
}

/** By the addresses that a node is to have a session with, who that is. */
function neighbours(node: string, { addresses, reflectors, routers }: BgpProbe): Map<string, string> {
  const reflects = (name: string) => reflectors.length === 0 || reflectors.includes(name);
  const others = Object.keys(addresses).filter((name) => name !== node && (reflects(name) || reflects(node)));
  return new Map([
    ...others.flatMap((name) => addresses[name].map((address) => [address, name] as const)),
    ...routers.filter(({ nodes }) => nodes.includes(node)).map(({ name, address }) => [address, name] as const),
  ]);
}

/** Sessions that the node is to have and has not. */
export function* bgpProblems(node: string, sessions: BgpSession[] | null, bgp: BgpProbe): Generator<string> {
  const planned = neighbours(node, bgp);
  if (sessions === null) {
    if (planned.size > 0) yield `no BIRD runs on it, planned: ${planned.size} BGP sessions`;
    return;
  }
  for (const [address, name] of planned) {
    const found = sessions.filter((session) => session.address === address);
    if (found.some(({ state }) => state === 'Established')) continue;
    const who = name === address ? name : `${name} (${address})`;
    if (found.length === 0) yield `BIRD has no session with ${who}`;
    else {
      const why = found[0].error === null ? '' : ` (${found[0].error})`;
      yield `the BGP session with ${who} is ${found[0].state}${why}: look at TCP 179 between them, the AS numbers and the password`;
    }
  }
}

function* nodeProblems(
  node: string,
  found: CalicoNodeFacts,
  { blocks }: CalicoFacts,
  plan: CalicoProbe,
): Generator<string> {
  for (const { name, mtuBytes } of plan.devices) {
    const has = found.devices[name];
    if (has === undefined) yield `has no device ${name}`;
    else if (has !== mtuBytes) yield `${name} has an MTU of ${has}, planned: ${mtuBytes}`;
  }
  for (const block of blocks) {
    if (block.node === node || !(block.node in plan.subnets)) continue;
    yield* routeProblems(node, block, found, plan);
  }
  if (plan.bgp !== null) yield* bgpProblems(node, found.bgpSessions, plan.bgp);
  const others = Object.keys(plan.subnets).length - 1;
  if (plan.encapsulation.sameSubnet !== 'wireguard' || others === 0) return;
  const peers = found.wireguardPeers ?? [];
  if (peers.length < others * plan.families.length)
    yield `knows ${peers.length} WireGuard peers, planned: ${others} for each family`;
  // How long ago says how long nobody had anything to say: pods are measured one after another, and the first ones wait.
  const silent = peers.filter((seconds) => seconds === null).length;
  if (silent > 0)
    yield `${silent} of ${peers.length} WireGuard peers made no handshake: look at UDP 51820 and 51821 between the nodes`;
}

function* routeProblems(
  node: string,
  block: CalicoFacts['blocks'][number],
  { routes }: CalicoNodeFacts,
  { encapsulation, subnets }: CalicoProbe,
): Generator<string> {
  const kind = subnets[node] === subnets[block.node] ? encapsulation.sameSubnet : encapsulation.crossSubnet;
  const planned = kind === 'none' ? null : TUNNEL_DEVICES[kind][block.cidr.includes(':') ? 'ipv6' : 'ipv4'];
  const devices = routes.filter(({ cidr }) => cidr === block.cidr).map(({ device }) => device);
  const what = `${block.cidr} (pods of ${block.node})`;
  if (devices.length === 0) yield `has no route to ${what}`;
  else if (planned === null ? devices.some((name) => TUNNELS.includes(name)) : !devices.includes(planned)) {
    yield `reaches ${what} by ${devices.join(' and ')}, planned: ${planned ?? 'its own card'}`;
  }
}
