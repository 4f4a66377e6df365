import type { SiteSpec } from '../spec/schema';
import { refuseDuplicates, type Findings } from './findings';
import { contains, FAMILY_NAME, parseIp, reservedRole, sameAddress, within, type Ip, type Network } from './ip';
import type { Family, SpecPath } from './types';

/** An L2 segment of the site, parsed. */
export interface Subnet {
  index: number;
  name: string;
  path: SpecPath;
  networks: Network[];
  gateways: Ip[];
  /** As stated: by the subnet, or for the whole underlay. */
  mtuBytes: number;
  mtuSource: string;
}

export interface Route {
  to: Network;
  via: Ip;
  subnet: Subnet | null;
}

/** Parses a network, and says where an address in it was given instead. */
export function refuseHostBits(text: string, path: SpecPath, findings: Findings): Ip {
  const ip = parseIp(text);
  if (ip.value !== ip.network.first) {
    findings.error(path, text, `${text} is an address inside a network: write the network itself, ${ip.network.text}`);
  }
  return ip;
}

/** Parses a list of networks, and refuses host bits and two of one family. */
export function parseNetworks(texts: readonly string[], path: SpecPath, findings: Findings): Network[] {
  const seen = new Set<Family>();
  return texts.map((text, index) => {
    const at = [...path, index];
    const ip = refuseHostBits(text, at, findings);
    if (seen.has(ip.family)) {
      findings.error(at, text, `${text} is a second ${FAMILY_NAME[ip.family]} network: one per family is allowed`);
    }
    seen.add(ip.family);
    return ip.network;
  });
}

export function planSubnets(spec: SiteSpec, findings: Findings): Subnet[] {
  const subnets = spec.underlay.subnets.map((subnet, index): Subnet => {
    const path = ['underlay', 'subnets', index];
    const networks = parseNetworks(subnet.cidrs, [...path, 'cidrs'], findings);
    return {
      index,
      name: subnet.name,
      path,
      networks,
      gateways: planGateways(subnet.gateways, networks, [...path, 'gateways'], findings),
      mtuBytes: subnet.mtu ?? spec.underlay.mtu,
      mtuSource: subnet.mtu === undefined ? 'underlay.mtu' : `underlay.subnets[${subnet.name}].mtu`,
    };
  });
  refuseDuplicates(
    subnets.map((item) => ({ key: item.name, path: [...item.path, 'name'], given: item.name, item })),
    findings,
    (name) => `${name} is the name of another subnet too: give each its own`,
  );
  return subnets;
}

function planGateways(texts: readonly string[], networks: Network[], path: SpecPath, findings: Findings): Ip[] {
  const seen = new Set<Family>();
  return texts.map((text, index) => {
    const ip = parseIp(text);
    const at = [...path, index];
    const network = networks.find((candidate) => contains(candidate, ip));
    if (!network) {
      const allowed = networks.map((candidate) => candidate.text).join(' or ');
      findings.error(at, text, `${text} is outside the subnet: a gateway must lie in ${allowed}`);
    } else {
      const role = reservedRole(network, ip);
      // An IPv6 router really does answer on the anycast address.
      if (role && ip.family === 'ipv4')
        findings.error(at, text, `${text} is ${role} of ${network.text}: no gateway can have it`);
    }
    if (seen.has(ip.family)) {
      findings.error(at, text, `${text} is a second ${FAMILY_NAME[ip.family]} gateway: one per family is allowed`);
    }
    seen.add(ip.family);
    return ip;
  });
}

export function planRoutes(spec: SiteSpec, subnets: Subnet[], findings: Findings): Route[] {
  const routes = spec.underlay.routes.map((route, index): Route => {
    const path = ['underlay', 'routes', index];
    const to = refuseHostBits(route.to, [...path, 'to'], findings);
    const via = parseIp(route.via);
    if (to.family !== via.family) {
      findings.error(
        [...path, 'via'],
        route.via,
        `${route.via} is ${FAMILY_NAME[via.family]} and ${route.to} is ${FAMILY_NAME[to.family]}: both must be of one family`,
      );
    }
    const subnet = subnets.find((candidate) => candidate.networks.some((network) => contains(network, via))) ?? null;
    if (!subnet) {
      findings.error(
        [...path, 'via'],
        route.via,
        `${route.via} is in no subnet of underlay.subnets: a next hop must be reachable without another router`,
      );
    }
    return { to: to.network, via, subnet };
  });
  refuseDuplicates(
    routes.map((item, index) => ({
      key: `${item.subnet?.name ?? item.via.text} ${item.to.text}`,
      path: ['underlay', 'routes', index, 'to'],
      given: item.to.text,
      item,
    })),
    findings,
    (_, first, later) => `${later.to.text} is routed twice: already via ${first.via.text}; keep one`,
  );
  return routes;
}

/**
 * Nodes of several subnets must be able to send to each other. A subnet without a gateway needs a route that covers
 * each of the others.
 */
export function checkReachability(used: Subnet[], routes: Route[], findings: Findings): void {
  if (used.length < 2) return;
  for (const from of used) {
    for (const family of new Set(from.networks.map((network) => network.family))) {
      if (from.gateways.some((gateway) => gateway.family === family)) continue;
      const ways = routes.filter((route) => route.subnet === from).map((route) => route.to);
      const missing = used
        .filter((other) => other !== from)
        .flatMap((other) => other.networks)
        .filter((network) => network.family === family && !ways.some((way) => within(way, network)));
      if (missing.length === 0) continue;
      const shown = missing.slice(0, 3).map((network) => network.text);
      if (missing.length > shown.length) shown.push(`${missing.length - shown.length} more`);
      findings.error(
        [...from.path, 'gateways'],
        undefined,
        `subnet ${from.name} has no ${FAMILY_NAME[family]} way to ${shown.join(', ')}, where other machines are: ` +
          'name its gateway, or add a route to underlay.routes',
      );
    }
  }
}

export const isGateway = (subnet: Subnet, ip: Ip) => subnet.gateways.some((gateway) => sameAddress(gateway, ip));
