import type { SiteSpec } from '../spec/schema';
import type { Addressing } from './address';
import { usesBpf, usesCalico } from './calicoModes';
import { POD_BRIDGE } from './cniRoutes';
import { byText, type Findings } from './findings';
import { FAMILY_NAME } from './ip';
import { chooseRouting, type RoutingChoice } from './routing';
import type { Subnet } from './subnets';
import type { Encapsulation, Family, MtuPlan, MtuStep, SpecPath } from './types';

interface Overhead {
  bytes: number;
  source: string;
}

/** Bytes that an encapsulation adds to a pod packet, by the family of the pod packet; outer and inner are the same. */
const OVERHEADS: Record<Exclude<Encapsulation, 'none'>, Partial<Record<Family, Overhead>>> = {
  ipip: { ipv4: { bytes: 20, source: 'outer IPv4 20 (RFC 2003)' } },
  vxlan: {
    ipv4: { bytes: 50, source: 'outer IPv4 20 + UDP 8 + VXLAN 8 + inner Ethernet 14 (RFC 7348)' },
    ipv6: { bytes: 70, source: 'outer IPv6 40 + UDP 8 + VXLAN 8 + inner Ethernet 14 (RFC 7348)' },
  },
  wireguard: {
    ipv4: { bytes: 60, source: 'outer IPv4 20 + UDP 8 + WireGuard header 16 and tag 16' },
    ipv6: { bytes: 80, source: 'outer IPv6 40 + UDP 8 + WireGuard header 16 and tag 16' },
  },
};

/** What an outer packet has beside its pod packet; 0 where there is none of that family. */
export const overheadBytes = (encapsulation: Encapsulation, family: Family): number =>
  encapsulation === 'none' ? 0 : (OVERHEADS[encapsulation][family]?.bytes ?? 0);

/** Names that Felix gives its devices. */
const DEVICES: Record<Exclude<Encapsulation, 'none'>, Partial<Record<Family, string>>> = {
  ipip: { ipv4: 'tunl0' },
  vxlan: { ipv4: 'vxlan.calico', ipv6: 'vxlan-v6.calico' },
  wireguard: { ipv4: 'wireguard.cali', ipv6: 'wg-v6.cali' },
};

/** Outer IPv4 20 + GRE 4 (RFC 2784). */
const GRE_BYTES = 24;
/** Least MTU of a link: IPv4 hosts must take 576 (RFC 791), IPv6 links must carry 1280 (RFC 8200). */
const LEAST_MTU_BYTES: Record<Family, number> = { ipv4: 576, ipv6: 1280 };
/** IP header and TCP header without options. */
const TCP_HEADER_BYTES: Record<Family, number> = { ipv4: 40, ipv6: 60 };
/** Largest MTU of vSphere switches and of vmxnet3: more than this is meant for the 64 KB case, not for a network. */
const LARGEST_JUMBO_BYTES = 9000;

interface Layer extends Overhead {
  encapsulation: Exclude<Encapsulation, 'none'>;
  family: Family;
  /** Null: no device of its own. */
  device: string | null;
}

/** MTU that the interface of a machine in this subnet gets: a GRE underlay must be taken off before the first packet. */
export const nicMtuBytes = (spec: SiteSpec, subnet: Subnet) => subnet.mtuBytes - (spec.underlay.gre ? GRE_BYTES : 0);

/** Largest packet between two machines: the smaller of both interfaces and, across subnets, of the path between. */
export function pathMtuBytes(spec: SiteSpec, a: Subnet, b: Subnet): number {
  const ends = Math.min(nicMtuBytes(spec, a), nicMtuBytes(spec, b));
  return a === b ? ends : Math.min(ends, spec.underlay.mtu - (spec.underlay.gre ? GRE_BYTES : 0));
}

export function planMtu(spec: SiteSpec, addressing: Addressing, findings: Findings): MtuPlan {
  const choice = chooseRouting(spec, addressing, findings);
  const routes = choice.routing === 'routes';
  const wireguard = spec.network.wireguard && !routes;
  const layers = [
    ...enabledLayers(choice, wireguard, addressing.podFamilies),
    ...(usesBpf(spec) ? bpfLayers(addressing.podFamilies) : []),
  ];
  const smallest = smallestUnderlay(spec, addressing);
  const steps = new Steps();
  steps.start(smallest.what, smallest.bytes, smallest.source);
  if (spec.underlay.gre) {
    steps.takeOff('GRE underlay', GRE_BYTES, 'underlay.gre: outer IPv4 20 + GRE 4 (RFC 2784)');
  }
  const underlayBytes = steps.leftBytes;
  const largest = layers.reduce<Layer | null>((most, layer) => (layer.bytes > (most?.bytes ?? 0) ? layer : most), null);
  const overheadBytes = largest?.bytes ?? 0;
  steps.takeOff(...overheadStep(choice, largest, layers));
  const computedBytes = steps.leftBytes;
  checkLeast(spec, addressing, smallest, computedBytes, findings);

  const stated = spec.network.podMtu;
  if (stated !== 'auto') {
    checkStated(stated, computedBytes, underlayBytes, overheadBytes, largest, choice, addressing.podFamilies, findings);
    steps.takeOff('pod MTU stated by the site', computedBytes - stated, 'network.podMtu');
  }
  const podMtuBytes = steps.leftBytes;
  // A tunnel device keeps its own budget: only the pods' veth must fit through the tightest of them. Calico's operator
  // has one number for all.
  const ofOperator = usesCalico(spec) && spec.network.calico.install === 'operator';
  return {
    routing: choice.routing,
    routingReason: choice.reason,
    wireguard,
    encapsulation: choice.encapsulation,
    steps: steps.all,
    underlayMtuBytes: underlayBytes,
    overheadBytes,
    podMtuBytes,
    devices: [
      ...layers.flatMap(({ device, bytes }) =>
        device === null ? [] : [{ name: device, mtuBytes: ofOperator ? podMtuBytes : underlayBytes - bytes }],
      ),
      ...(routes ? [{ name: POD_BRIDGE, mtuBytes: podMtuBytes }] : []),
      { name: 'veth', mtuBytes: podMtuBytes },
    ].sort((a, b) => byText(a.name, b.name)),
    mssBytes: Object.fromEntries(
      addressing.podFamilies.map((family) => [family, podMtuBytes - TCP_HEADER_BYTES[family]]),
    ),
  };
}

function enabledLayers(choice: RoutingChoice, wireguard: boolean, podFamilies: Family[]): Layer[] {
  const enabled = [...(choice.tunnel ? [choice.tunnel] : []), ...(wireguard ? (['wireguard'] as const) : [])];
  return enabled.flatMap((encapsulation) =>
    podFamilies.flatMap((family) => {
      const overhead = OVERHEADS[encapsulation][family];
      const device = DEVICES[encapsulation][family];
      return overhead && device ? [{ ...overhead, encapsulation, family, device }] : [];
    }),
  );
}

/** Programs forward what comes for a Service to the node of its pod in VXLAN, whatever the routing is. */
const bpfLayers = (podFamilies: Family[]): Layer[] =>
  podFamilies.map((family) => ({
    bytes: OVERHEADS.vxlan[family]!.bytes,
    source: `network.calico.dataplane bpf: ${OVERHEADS.vxlan[family]!.source}`,
    encapsulation: 'vxlan',
    family,
    device: null,
  }));

interface Smallest {
  bytes: number;
  what: string;
  source: string;
  path: SpecPath;
}

/** The smallest MTU on any path between two machines; the first one in the site file where several are equal. */
function smallestUnderlay(spec: SiteSpec, addressing: Addressing): Smallest {
  const underlay = { bytes: spec.underlay.mtu, source: 'underlay.mtu', path: ['underlay', 'mtu'] };
  const candidates = addressing.usedSubnets.map((subnet): Smallest => {
    const own = subnet.mtuSource !== 'underlay.mtu';
    return {
      bytes: subnet.mtuBytes,
      what: `underlay: subnet ${subnet.name}`,
      source: subnet.mtuSource,
      path: own ? [...subnet.path, 'mtu'] : underlay.path,
    };
  });
  if (candidates.length !== 1) candidates.push({ ...underlay, what: 'underlay: path between subnets' });
  return candidates.reduce((least, candidate) => (candidate.bytes < least.bytes ? candidate : least));
}

function overheadStep(choice: RoutingChoice, largest: Layer | null, layers: Layer[]): [string, number, string] {
  if (!largest)
    return ['no encapsulation', 0, choice.routing === 'routes' ? 'network.cni routes' : `routing ${choice.routing}`];
  const label = (layer: Layer) => `${layer.encapsulation}, ${FAMILY_NAME[layer.family]} pods`;
  const others = layers.filter((layer) => layer !== largest).map((layer) => `${label(layer)} ${layer.bytes}`);
  const largestOf = others.length === 0 ? '' : `; the largest counts, not the sum: ${others.join(', ')}`;
  return [label(largest), largest.bytes, largest.source + largestOf];
}

function checkLeast(
  spec: SiteSpec,
  addressing: Addressing,
  smallest: Smallest,
  computedBytes: number,
  findings: Findings,
): void {
  const nodesNeed = addressing.plan.families.includes('ipv6') ? LEAST_MTU_BYTES.ipv6 : LEAST_MTU_BYTES.ipv4;
  const podsNeed = addressing.podFamilies.includes('ipv6') ? LEAST_MTU_BYTES.ipv6 : LEAST_MTU_BYTES.ipv4;
  const left = smallest.bytes - (spec.underlay.gre ? GRE_BYTES : 0);
  const family = (bytes: number) => (bytes === LEAST_MTU_BYTES.ipv6 ? 'IPv6' : 'IPv4');
  if (left < nodesNeed) {
    findings.error(
      smallest.path,
      smallest.bytes,
      `${smallest.bytes} is too small: it leaves the machines ${left} bytes and ${family(nodesNeed)} needs at least ${nodesNeed}`,
    );
  } else if (computedBytes < podsNeed) {
    findings.error(
      smallest.path,
      smallest.bytes,
      `${smallest.bytes} is too small: it leaves the pods ${computedBytes} bytes and ${family(podsNeed)} needs at least ${podsNeed}; ` +
        `raise it to ${smallest.bytes + podsNeed - computedBytes} or use a routing that adds less`,
    );
  }
}

function checkStated(
  stated: number,
  computedBytes: number,
  underlayBytes: number,
  overheadBytes: number,
  largest: Layer | null,
  choice: RoutingChoice,
  podFamilies: Family[],
  findings: Findings,
): void {
  const path = ['network', 'podMtu'];
  if (stated > computedBytes) {
    const what = largest?.encapsulation ?? choice.routing;
    const needs = overheadBytes === 0 ? 'nothing' : String(overheadBytes);
    const jumbo =
      stated > LARGEST_JUMBO_BYTES
        ? '. The 64 KB frames that machines of one host exchange are TCP segments left unsplit or merged by LRO, and no pod MTU ' +
          'cures them: node preparation turns LRO off on every NIC that forwards and leaves GRO, GSO and TSO on'
        : '';
    findings.error(
      path,
      stated,
      `${stated} is too large: ${what} needs ${needs} of the ${underlayBytes}-byte underlay, so at most ${computedBytes}; ` +
        `leave it out to have it computed${jumbo}`,
    );
  }
  for (const family of podFamilies) {
    if (stated >= LEAST_MTU_BYTES[family]) continue;
    findings.error(
      path,
      stated,
      `${stated} is too small: ${FAMILY_NAME[family]} needs at least ${LEAST_MTU_BYTES[family]}; leave it out to have ${computedBytes} computed`,
    );
  }
}

/** The budget, line by line. */
class Steps {
  readonly all: MtuStep[] = [];
  leftBytes = 0;

  start(what: string, bytes: number, source: string): void {
    this.leftBytes = bytes;
    this.all.push({ what, bytes, leftBytes: bytes, source });
  }

  takeOff(what: string, bytes: number, source: string): void {
    this.leftBytes -= bytes;
    // 0 - bytes and not -bytes: a negative zero is written as 0 and compared as another value.
    this.all.push({ what, bytes: 0 - bytes, leftBytes: this.leftBytes, source });
  }
}
