import type { SiteSpec } from '../spec/schema';
import { contains, overlaps, parseIp, type Network } from './ip';
import { domainName } from './machines';
import type { SitePlan, SpecPath } from './types';

/**
 * What must hold between sites, beside what each one's own plan checks. Sites are joined where they name a network in
 * `joined`; others may have the same addresses. Names of sites need no check: each is the name of its file.
 */

export interface FleetSite {
  spec: SiteSpec;
  plan: SitePlan;
}

/** One of the two places that a finding is about. */
export interface FleetPlace {
  site: string;
  path: SpecPath;
  /** Absent where the kit chose the value. */
  given?: unknown;
  /** With its value: `the pod network 10.244.0.0/16`. */
  what: string;
}

/** Reads as `<later.what> <relation> <first.what> of <first.site>, <reason>: <advice>`, and the other way round. */
export interface FleetFinding {
  severity: 'error' | 'warning';
  /** In the order in which the sites were given. */
  places: [first: FleetPlace, later: FleetPlace];
  relation: 'overlaps' | 'is also';
  /** What makes it matter. */
  reason: string;
  advice: string;
}

/**
 * Compares sites with each other. Of many that have the same, each is told against the first only: two lines of a hundred
 * sites are enough to know what to do, and five thousand are not.
 */
export function checkFleet(sites: readonly FleetSite[]): FleetFinding[] {
  const groups = joinedGroups(sites);
  const found = [
    ...groups.flatMap(({ name, members }) => checkNetworks(name, members)),
    ...checkUnique([
      ...groups.flatMap(({ name, members }) => members.flatMap((site) => claimsOfJoined(name, site))),
      ...sites.flatMap(claimsOfHypervisors),
    ]),
  ];
  // Two sites may be joined twice, or share a hypervisor and a segment.
  const seen = new Set<string>();
  return found.filter(({ places, relation }) => {
    const key = JSON.stringify([relation, ...places.map(({ site, path, what }) => [site, path, what])]);
    return !seen.has(key) && seen.add(key);
  });
}

interface Group {
  name: string;
  members: FleetSite[];
}

function joinedGroups(sites: readonly FleetSite[]): Group[] {
  const groups = new Map<string, FleetSite[]>();
  for (const site of sites) {
    for (const name of new Set(site.spec.joined)) groups.set(name, [...(groups.get(name) ?? []), site]);
  }
  return [...groups].map(([name, members]) => ({ name, members })).filter(({ members }) => members.length > 1);
}

const joinedBy = (group: string) => `and both sites are joined by ${group}`;

/** Everything that a network of a site is compared with. */
interface Item {
  kind: 'underlay' | 'pods' | 'services';
  network: Network;
  place: FleetPlace;
}

function networksOf({ spec, plan }: FleetSite): Item[] {
  const item = (kind: Item['kind'], text: string, what: string, path: SpecPath, given: unknown): Item => ({
    kind,
    network: parseIp(text).network,
    place: { site: plan.site, path, ...(given === undefined ? {} : { given }), what: `${what} ${text}` },
  });
  return [
    ...plan.address.subnets.flatMap(({ name, cidrs }, index) =>
      cidrs.map((text, at) =>
        item('underlay', text, `subnet ${name}`, ['underlay', 'subnets', index, 'cidrs', at], text),
      ),
    ),
    ...plan.address.podCidrs.map((text, at) =>
      item('pods', text, 'the pod network', ['network', 'podCidrs', at], spec.network.podCidrs[at]),
    ),
    ...plan.address.serviceCidrs.map((text, at) =>
      item('services', text, 'the service network', ['network', 'serviceCidrs', at], spec.network.serviceCidrs[at]),
    ),
  ];
}

function checkNetworks(group: string, members: FleetSite[]): FleetFinding[] {
  const items = members.flatMap(networksOf);
  const order = new Map(items.map((item, index) => [item, index]));
  /** By the later one: the first that it overlaps, for errors and warnings apart. */
  const earliest = new Map<string, { first: Item; later: Item; severity: FleetFinding['severity'] }>();
  for (const { outer, inner } of overlaps(items)) {
    if (outer.place.site === inner.place.site || isOneSegment(outer, inner)) continue;
    const [first, later] = order.get(outer)! < order.get(inner)! ? [outer, inner] : [inner, outer];
    // An address of a Service stays inside its cluster, so two clusters may have the same; until one announces them.
    const severity = first.kind === 'services' && later.kind === 'services' ? 'warning' : 'error';
    const key = `${order.get(later)} ${severity}`;
    const known = earliest.get(key);
    if (known === undefined || order.get(first)! < order.get(known.first)!) {
      earliest.set(key, { first, later, severity });
    }
  }
  return [...earliest.values()]
    .sort((a, b) => order.get(a.later)! - order.get(b.later)!)
    .map(({ first, later, severity }) => ({
      severity,
      places: [first.place, later.place],
      relation: 'overlaps',
      reason: joinedBy(group),
      advice:
        severity === 'warning'
          ? 'nothing of one reaches Services of the other by their addresses; choose networks that share no address before a site announces them'
          : 'choose networks that share no address',
    }));
}

/** Two clusters on one subnet: each machine has an address of its own, which is checked apart. */
const isOneSegment = (a: Item, b: Item) =>
  a.kind === 'underlay' && b.kind === 'underlay' && a.network.text === b.network.text;

/** A value that only one site may have, within a scope such as a joined network or a hypervisor. */
interface Claim {
  scope: string;
  value: string;
  place: FleetPlace;
  reason: string;
  advice: string;
}

function checkUnique(claims: readonly Claim[]): FleetFinding[] {
  const firsts = new Map<string, Claim>();
  return claims.flatMap((later): FleetFinding[] => {
    const key = `${later.scope}\n${later.value}`;
    const first = firsts.get(key);
    if (first === undefined) firsts.set(key, later);
    if (first === undefined || first.place.site === later.place.site) return [];
    const { reason, advice } = later;
    return [{ severity: 'error', places: [first.place, later.place], relation: 'is also', reason, advice }];
  });
}

function claimsOfJoined(group: string, { spec, plan }: FleetSite): Claim[] {
  const { site } = plan;
  const reason = joinedBy(group);
  const machinePath = machinePaths(spec);
  const addresses = plan.nodes.flatMap(({ name, addresses }): Claim[] =>
    addresses.map((address) => ({
      scope: `address in ${group}`,
      value: parseIp(address).text,
      place: {
        site,
        path: machinePath(name, 'addresses'),
        given: address,
        what: `the address ${parseIp(address).text} of ${name}`,
      },
      reason,
      advice: 'give each its own',
    })),
  );
  return [
    ...addresses,
    ...claimsOfVip(group, { spec, plan }),
    ...plan.nodes.flatMap((node) =>
      macClaim(`${group}, ${node.subnet} ${subnetText(plan, node.subnet)}`, { spec, plan }, node, reason),
    ),
    ...claimsOfBgp(group, { spec, plan }),
  ];
}

const subnetText = (plan: SitePlan, name: string) =>
  plan.address.subnets.find((subnet) => subnet.name === name)?.cidrs.join(' ') ?? '';

function claimsOfVip(group: string, { spec, plan }: FleetSite): Claim[] {
  const { vip: address } = plan.address;
  if (address === null) return [];
  const { site } = plan;
  const shared: Claim = {
    scope: `address in ${group}`,
    value: address,
    place: { site, path: ['kubernetes', 'vip'], given: address, what: `the virtual address ${address}` },
    reason: joinedBy(group),
    advice: 'give each its own',
  };
  const vrid = plan.cluster?.vip?.vrid;
  const segment = plan.address.subnets
    .flatMap(({ cidrs }) => cidrs.map((cidr) => parseIp(cidr).network))
    .find((network) => contains(network, parseIp(address)));
  if (vrid === undefined || segment === undefined) return [shared];
  return [
    shared,
    {
      // VRRP counts each family apart (RFC 9568), and a segment has one family.
      scope: `VRID in ${group} on ${segment.text}`,
      value: String(vrid),
      place: {
        site,
        path: ['kubernetes', 'vrid'],
        ...(spec.kubernetes.vrid === undefined ? {} : { given: vrid }),
        what: `VRID ${vrid}`,
      },
      reason: `and both virtual addresses are on ${segment.text} of ${group}`,
      advice: 'set kubernetes.vrid of one of them to a number that nobody else has there',
    },
  ];
}

/** A router drops routes with its own AS number on their way, so two sites with one number never learn of each other. */
function claimsOfBgp(group: string, { plan }: FleetSite): Claim[] {
  const bgp = plan.cluster?.calico?.bgp ?? null;
  // Without a router as a peer no route leaves the site.
  if (bgp === null || bgp.peers.length === 0) return [];
  return [
    {
      scope: `AS number in ${group}`,
      value: String(bgp.asNumber),
      place: {
        site: plan.site,
        path: ['network', 'calico', 'bgp', 'asNumber'],
        given: bgp.asNumber,
        what: `AS number ${bgp.asNumber}`,
      },
      reason: `${joinedBy(group)}, where routers drop routes that come back to their own number`,
      advice: 'give each site its own, of 64512 to 65534 or 4200000000 to 4294967294',
    },
  ];
}

/** libvirt's domains and the segment of a bridge belong to the host, whoever made them. */
function claimsOfHypervisors({ spec, plan }: FleetSite): Claim[] {
  const machinePath = machinePaths(spec);
  return plan.nodes.flatMap((node): Claim[] => {
    const hypervisor = plan.machines.kvm?.hypervisors.find(({ name }) => name === node.kvm?.hypervisor);
    if (hypervisor === undefined || node.kvm === null) return [];
    const { connection, uri } = hypervisor;
    const host = connection === 'local' ? 'this machine' : `${connection.host}:${connection.port}`;
    const domain = domainName(plan.site, node.name);
    const attached = 'bridge' in node.kvm.attach ? node.kvm.attach.bridge : node.kvm.attach.libvirtNetwork;
    return [
      {
        scope: `domain of ${uri} on ${host}`,
        value: domain,
        place: {
          site: plan.site,
          path: machinePath(node.name, 'name'),
          given: node.name,
          what: `the libvirt domain ${domain} of ${node.name}`,
        },
        reason: `and both are on ${uri} of ${host}`,
        advice: 'give one of the machines another name',
      },
      ...macClaim(
        `${attached} of ${uri} on ${host}`,
        { spec, plan },
        node,
        `and both are on ${attached} of ${uri} on ${host}`,
      ),
    ];
  });
}

function macClaim(
  segment: string,
  { spec, plan }: FleetSite,
  { name, interface: { mac } }: SitePlan['nodes'][number],
  reason: string,
): Claim[] {
  if (mac === null) return [];
  const given = spec.machines.nodes.find((node) => node.name === name)?.mac;
  return [
    {
      scope: `MAC on ${segment}`,
      value: mac,
      place: {
        site: plan.site,
        path: machinePaths(spec)(name, 'mac'),
        ...(given === undefined ? {} : { given }),
        what: `the MAC address ${mac} of ${name}`,
      },
      reason,
      advice: 'set a different `mac` for one of them',
    },
  ];
}

/** Places count every machine of the site file, the dead ones too. */
const machinePaths =
  ({ machines }: SiteSpec) =>
  (name: string, key: string): SpecPath => [
    'machines',
    'nodes',
    machines.nodes.findIndex((node) => node.name === name && node.state !== 'dead'),
    key,
  ];
