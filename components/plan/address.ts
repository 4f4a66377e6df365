import { createHash } from 'node:crypto';
import type { NodeSpec, SiteSpec } from '../spec/schema';
import { checkClusterFamilies, checkClusterSizes, checkOverlaps, checkReachedAddresses } from './clusterNetworks';
import { refuseDuplicates, type Findings } from './findings';
import {
  byAddress,
  contains,
  FAMILIES,
  FAMILY_NAME,
  parseIp,
  reservedRole,
  sameAddress,
  unusableKind,
  type Ip,
  type Network,
} from './ip';
import {
  checkReachability,
  isGateway,
  parseNetworks,
  planRoutes,
  planSubnets,
  type Route,
  type Subnet,
} from './subnets';
import type { AddressPlan, Family, SpecPath } from './types';

/** A machine's place in the underlay. */
export interface NodeAddress {
  /** In the order of the site file: the first is where the kit connects to. */
  ips: Ip[];
  /** IPv4 first. */
  sorted: Ip[];
  /** Null only beside a finding. */
  subnet: Subnet | null;
  mac: string | null;
}

/** Everything about addresses that the other concerns need, usable as far as it goes even beside findings. */
export interface Addressing {
  plan: AddressPlan;
  podFamilies: Family[];
  nodes: NodeAddress[];
  /** Subnets that have machines, in the order of the site file. */
  usedSubnets: Subnet[];
  routes: Route[];
}

export function planAddresses(spec: SiteSpec, findings: Findings): Addressing {
  const subnets = planSubnets(spec, findings);
  const routes = planRoutes(spec, subnets, findings);
  const find = subnetFinder(subnets);
  const nodes = spec.machines.nodes.map((node, index) => planNode(spec, node, index, find, findings));
  const homes = new Set(nodes.map((node) => node.subnet));
  const usedSubnets = subnets.filter((subnet) => homes.has(subnet));
  const families = FAMILIES.filter((family) => nodes[0].ips.some((ip) => ip.family === family));

  refuseDuplicateNodes(spec, nodes, findings);
  checkNodeFamilies(spec, nodes, families, findings);
  checkReachability(usedSubnets, routes, findings);

  const pods = parseNetworks(spec.network.podCidrs, ['network', 'podCidrs'], findings);
  const services = parseNetworks(spec.network.serviceCidrs, ['network', 'serviceCidrs'], findings);
  checkClusterFamilies(spec, pods, services, families, findings);
  checkClusterSizes(spec, pods, services, findings);
  checkOverlaps(spec, subnets, pods, services, routes, findings);
  checkReachedAddresses(spec, pods, services, families, findings);
  checkVip(spec, nodes, families, findings);

  return {
    plan: {
      families,
      subnets: subnets.map((subnet) => ({
        name: subnet.name,
        cidrs: subnet.networks.map((network) => network.text),
        gateways: subnet.gateways.map((gateway) => gateway.text),
        mtuBytes: subnet.mtuBytes,
      })),
      podCidrs: pods.map((network) => network.text),
      serviceCidrs: services.map((network) => network.text),
      vip: spec.kubernetes.vip === undefined ? null : parseIp(spec.kubernetes.vip).text,
    },
    podFamilies: FAMILIES.filter((family) => pods.some((network) => network.family === family)),
    nodes,
    usedSubnets,
    routes,
  };
}

/** Looks a network up by its text first: a site of many nodes and subnets must not compare each with each. */
function subnetFinder(subnets: Subnet[]): (ip: Ip) => Subnet | null {
  const byNetwork = new Map(subnets.flatMap((subnet) => subnet.networks.map((network) => [network.text, subnet])));
  return (ip) =>
    byNetwork.get(ip.network.text) ??
    subnets.find((subnet) => subnet.networks.some((network) => contains(network, ip))) ??
    null;
}

/**
 * The maker's own prefix and three bytes of the SHA-256 of site and machine: the same at every run, on every computer.
 * vSphere takes 00:50:56:00:00:00 to 00:50:56:3f:ff:ff as static addresses. Null: the machine has one already.
 */
export function defaultMac(provider: SiteSpec['machines']['provider'], site: string, machine: string): string | null {
  if (provider === 'existing') return null;
  const [first, ...others] = createHash('sha256').update(`${site}/${machine}`).digest().subarray(0, 3);
  const bytes =
    provider === 'vsphere' ? [0x00, 0x50, 0x56, first & 0x3f, ...others] : [0x52, 0x54, 0x00, first, ...others];
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

function planNode(
  spec: SiteSpec,
  node: NodeSpec,
  index: number,
  find: (ip: Ip) => Subnet | null,
  findings: Findings,
): NodeAddress {
  const path = ['machines', 'nodes', index, 'addresses'];
  const ips = node.addresses.map(parseIp);
  const homes = ips.map((ip, at) => checkHome(ip, node.addresses[at], find(ip), [...path, at], findings));
  const subnet = homes[0];
  const stray = homes.findIndex((home) => home !== null && subnet !== null && home !== subnet);
  if (stray > 0) {
    findings.error(
      [...path, stray],
      node.addresses[stray],
      `${node.addresses[stray]} is in subnet ${homes[stray]?.name} and ${node.addresses[0]} in ${subnet?.name}: ` +
        'the addresses of a machine are on one interface, so they must be in one subnet',
    );
  }
  const seen = new Set<Family>();
  ips.forEach((ip, at) => {
    if (seen.has(ip.family)) {
      findings.error(
        [...path, at],
        node.addresses[at],
        `${node.addresses[at]} is a second ${FAMILY_NAME[ip.family]} address of ${node.name}: one per family is allowed`,
      );
    }
    seen.add(ip.family);
  });
  const mac = node.mac ?? defaultMac(spec.machines.provider, spec.name, node.name);
  if (mac !== null && Number.parseInt(mac.slice(0, 2), 16) % 2 === 1) {
    findings.error(
      ['machines', 'nodes', index, 'mac'],
      mac,
      `${mac} is a multicast address: the first byte of a machine's MAC address must be even, such as 52`,
    );
  }
  return { ips, sorted: [...ips].sort(byAddress), subnet, mac };
}

function checkHome(ip: Ip, given: string, home: Subnet | null, path: SpecPath, findings: Findings): Subnet | null {
  const kind = unusableKind(ip);
  if (kind) {
    findings.error(path, given, `${given} is ${kind}: a machine needs a unicast address of its subnet`);
    return null;
  }
  if (!home) {
    findings.error(
      path,
      given,
      `${given} is in no subnet: add its network to underlay.subnets, or correct the address`,
    );
    return null;
  }
  const network = home.networks.find((candidate) => contains(candidate, ip)) as Network;
  const role = reservedRole(network, ip);
  if (ip.prefix !== network.prefix) {
    findings.error(
      path,
      given,
      `${given} has prefix length ${ip.prefix} and subnet ${home.name} has ${network.prefix}: write ${ip.text}/${network.prefix}`,
    );
  } else if (role) {
    findings.error(path, given, `${given} is ${role} of ${network.text}: choose another address of ${network.text}`);
  }
  if (isGateway(home, ip)) {
    findings.error(
      path,
      given,
      `${given} is the gateway of subnet ${home.name}: choose another address of ${network.text}`,
    );
  }
  return home;
}

function refuseDuplicateNodes(spec: SiteSpec, nodes: NodeAddress[], findings: Findings): void {
  const at = (index: number, ...rest: (string | number)[]) => ['machines', 'nodes', index, ...rest];
  const specs = spec.machines.nodes;
  refuseDuplicates(
    specs.map((item, index) => ({ key: item.name, path: at(index, 'name'), given: item.name, item })),
    findings,
    (name) => `${name} is the name of another machine too: give each its own`,
  );
  refuseDuplicates(
    nodes.flatMap((node, index) =>
      node.ips.map((ip, position) => ({
        key: ip.text,
        path: at(index, 'addresses', position),
        given: specs[index].addresses[position],
        item: specs[index].name,
      })),
    ),
    findings,
    (address, first) => `${address} is the address of ${first} too: give each machine its own`,
  );
  refuseDuplicates(
    nodes.flatMap((node, index) =>
      node.mac === null
        ? []
        : [{ key: node.mac, path: at(index, 'mac'), given: specs[index].mac, item: specs[index].name }],
    ),
    findings,
    (mac, first) => `${mac} is the MAC address of ${first} too: set a different \`mac\``,
  );
}

function checkNodeFamilies(spec: SiteSpec, nodes: NodeAddress[], families: Family[], findings: Findings): void {
  const names = (list: readonly Family[]) => list.map((family) => FAMILY_NAME[family]).join(' and ');
  nodes.forEach((node, index) => {
    const own = FAMILIES.filter((family) => node.ips.some((ip) => ip.family === family));
    if (own.join() === families.join()) return;
    const { name } = spec.machines.nodes[index];
    findings.error(
      ['machines', 'nodes', index, 'addresses'],
      spec.machines.nodes[index].addresses,
      `${name} has ${names(own)} and ${spec.machines.nodes[0].name} has ${names(families)}: every machine needs the same families`,
    );
  });
}

function checkVip(spec: SiteSpec, nodes: NodeAddress[], families: Family[], findings: Findings): void {
  const given = spec.kubernetes.vip;
  if (given === undefined) return;
  const path = ['kubernetes', 'vip'];
  const vip = parseIp(given);
  const refuse = (message: string) => findings.error(path, given, message);
  if (!families.includes(vip.family)) {
    return refuse(
      `${given} is ${FAMILY_NAME[vip.family]} and the machines have no such address: choose one of their family`,
    );
  }
  const taken = nodes.findIndex((node) => node.ips.some((ip) => sameAddress(ip, vip)));
  if (taken >= 0) {
    return refuse(`${given} is the address of ${spec.machines.nodes[taken].name}: a virtual address must be unused`);
  }
  const homes = new Set(
    nodes.filter((_, index) => spec.machines.nodes[index].role === 'control-plane').map((node) => node.subnet),
  );
  if (homes.size === 0 || homes.has(null)) return;
  const [home, ...others] = [...homes] as Subnet[];
  if (others.length > 0) {
    const names = [home, ...others].map((subnet) => subnet.name).join(' and ');
    return refuse(
      `${given} cannot move between subnets: the control-plane machines are in ${names}, and a virtual address is ` +
        'announced by ARP, neighbour discovery and VRRP, which no router passes on; put them in one subnet, or leave it out',
    );
  }
  const network = home.networks.find((candidate) => contains(candidate, vip));
  if (!network) {
    const allowed = home.networks.map((candidate) => candidate.text).join(' or ');
    return refuse(
      `${given} is outside subnet ${home.name} of the control-plane machines: choose an unused address of ${allowed}`,
    );
  }
  if (isGateway(home, vip))
    return refuse(`${given} is the gateway of subnet ${home.name}: a virtual address must be unused`);
  const role = reservedRole(network, vip);
  if (role) refuse(`${given} is ${role} of ${network.text}: choose an unused address of ${network.text}`);
}
