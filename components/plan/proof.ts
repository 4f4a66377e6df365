import type { SiteSpec } from '../spec/schema';
import { durationToMilliseconds, percentToNumber } from '../spec/units';
import type { Addressing } from './address';
import type { Findings } from './findings';
import type { CalicoPlan } from './calicoTypes';
import { parseIp } from './ip';
import { nicMtuBytes, pathMtuBytes } from './mtu';
import { assignRounds, coveringSample, EVERY_PAIR_UP_TO_NODES, everyPair, type Place } from './pairs';
import type { Subnet } from './subnets';
import type { AddressPlan, MtuPlan, PairPlan, PortProbe, ProofPlan } from './types';

/** The probes of a site and what they must see. Call only with addresses that have no error. */
export function planProof(
  spec: SiteSpec,
  addressing: Addressing,
  mtu: MtuPlan,
  hypervisors: (string | null)[],
  calico: Pick<CalicoPlan, 'backend' | 'dataplane'> | null,
): ProofPlan {
  const places = addressing.nodes.map((node, index) => ({ subnet: node.subnet as Subnet, host: hypervisors[index] }));
  const { pairs, sample } = planPairs(spec, addressing, mtu, places);
  return {
    pairs,
    sample,
    ports: planPorts(addressing.plan, mtu, calico),
    peers: planPeers(spec, addressing),
    names: [...spec.checks.names],
    dnsServers: spec.underlay.dns.servers.map((server) => parseIp(server).text),
    ntpServers: [...spec.underlay.ntp.servers],
    warn: [...spec.checks.warn],
    thresholds: {
      lossPercent: percentToNumber(spec.checks.loss),
      jitterMilliseconds: durationToMilliseconds(spec.checks.jitter),
      etcdFsyncP99Milliseconds: durationToMilliseconds(spec.checks.etcdFsyncP99),
      controlPlaneRoundTripMilliseconds: durationToMilliseconds(spec.checks.controlPlaneRoundTrip),
      cpuStealPercent: percentToNumber(spec.checks.cpuSteal),
      clockOffsetMilliseconds: durationToMilliseconds(spec.checks.clockOffset),
      lookupMilliseconds: durationToMilliseconds(spec.checks.lookup),
    },
  };
}

function planPairs(
  spec: SiteSpec,
  addressing: Addressing,
  mtu: MtuPlan,
  places: { subnet: Subnet; host: string | null }[],
): { pairs: PairPlan[]; sample: string | null } {
  const count = places.length;
  const complete = count <= EVERY_PAIR_UP_TO_NODES;
  const chosen = complete
    ? everyPair(count)
    : coveringSample(places.map(({ subnet, host }): Place => ({ subnet: subnet.name, host })));
  const rounds = assignRounds(chosen, count);
  const pairs = chosen.map(([a, b], index): PairPlan => {
    const [placeA, placeB] = [places[a], places[b]];
    const sameSubnet = placeA.subnet === placeB.subnet;
    return {
      a: spec.machines.nodes[a].name,
      b: spec.machines.nodes[b].name,
      round: rounds[index],
      sameSubnet,
      sameHost: placeA.host !== null && placeA.host === placeB.host,
      addresses: addressing.plan.families.map((family) => ({
        family,
        a: addressing.nodes[a].sorted.find((ip) => ip.family === family)?.text ?? '',
        b: addressing.nodes[b].sorted.find((ip) => ip.family === family)?.text ?? '',
      })),
      underlayMtuBytes: pathMtuBytes(spec, placeA.subnet, placeB.subnet),
      encapsulation: sameSubnet ? mtu.encapsulation.sameSubnet : mtu.encapsulation.crossSubnet,
      podMtuBytes: mtu.podMtuBytes,
      podFamilies: addressing.podFamilies,
    };
  });
  const all = (count * (count - 1)) / 2;
  return {
    pairs,
    sample: complete
      ? null
      : `${pairs.length} of ${all} pairs, because the site has more than ${EVERY_PAIR_UP_TO_NODES} nodes: every node with ` +
        'its two neighbours on either side in the site file, and at least one pair for every two subnets and every two ' +
        'hypervisors, and within each',
  };
}

/** Ports and protocols between the nodes (networking facts, section 8). */
function planPorts(
  address: AddressPlan,
  mtu: MtuPlan,
  planned: Pick<CalicoPlan, 'backend' | 'dataplane'> | null,
): PortProbe[] {
  // Without Calico there is neither Typha nor BGP.
  const calico = mtu.routing !== 'routes';
  const [ipip, vxlan] = [mtu.routing.startsWith('ipip'), mtu.routing.startsWith('vxlan')];
  // A router, or an advertised address, has nodes speak BGP whatever carries their packets.
  const bgp = planned === null ? calico && !vxlan : planned.backend === 'bird';
  const vxlanOfServices = !vxlan && planned?.dataplane === 'bpf';
  const ports: (PortProbe | false)[] = [
    { protocol: 'tcp', number: 6443, what: 'Kubernetes API', between: 'any-to-control-plane' },
    { protocol: 'tcp', number: 2379, what: 'etcd clients', between: 'control-plane' },
    { protocol: 'tcp', number: 2380, what: 'etcd peers', between: 'control-plane' },
    { protocol: 'tcp', number: 10250, what: 'kubelet', between: 'any' },
    calico && { protocol: 'tcp', number: 5473, what: 'Calico Typha', between: 'any' },
    bgp && { protocol: 'tcp', number: 179, what: 'BGP', between: 'any' },
    ipip && { protocol: 'ip', number: 4, what: 'IP-in-IP', between: 'any' },
    vxlan && { protocol: 'udp', number: 4789, what: 'VXLAN', between: 'any' },
    vxlanOfServices && { protocol: 'udp', number: 4789, what: 'VXLAN of Services, dataplane bpf', between: 'any' },
    mtu.wireguard &&
      mtu.mssBytes.ipv4 !== undefined && { protocol: 'udp', number: 51820, what: 'WireGuard, IPv4', between: 'any' },
    mtu.wireguard &&
      mtu.mssBytes.ipv6 !== undefined && { protocol: 'udp', number: 51821, what: 'WireGuard, IPv6', between: 'any' },
    address.vip !== null && { protocol: 'ip', number: 112, what: 'VRRP', between: 'control-plane' },
  ];
  return ports.filter((port) => port !== false);
}

/** A machine cannot send more than its own interface takes, so that is what a peer without its own figure gets. */
function planPeers(spec: SiteSpec, addressing: Addressing): ProofPlan['peers'] {
  const most = mostToPeers(spec, addressing);
  return spec.checks.peers.map((peer) => {
    const ip = parseIp(peer.address);
    return {
      name: peer.name,
      address: ip.text,
      family: ip.family,
      mtuBytes: peer.mtu ?? Math.min(spec.underlay.mtu, most),
      tcpPort: peer.tcpPort ?? null,
    };
  });
}

const mostToPeers = (spec: SiteSpec, addressing: Addressing) =>
  Math.min(...addressing.usedSubnets.map((subnet) => nicMtuBytes(spec, subnet)));

export function checkPeers(spec: SiteSpec, addressing: Addressing, findings: Findings): void {
  const most = mostToPeers(spec, addressing);
  spec.checks.peers.forEach((peer, index) => {
    if (peer.mtu === undefined || peer.mtu <= most) return;
    findings.error(
      ['checks', 'peers', index, 'mtu'],
      peer.mtu,
      `${peer.mtu} is too large: the smallest interface of the machines sends at most ${most}; lower it or leave it out`,
    );
  });
}
