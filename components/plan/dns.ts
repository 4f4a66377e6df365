import type { SiteSpec } from '../spec/schema';
import type { Addressing } from './address';
import type { ClusterDnsPlan } from './clusterTypes';
import { byText, type Findings } from './findings';
import { addressNumber, bracketed, contains, parseIp, type Ip } from './ip';
import { wholeSeconds } from './kubeValues';
import { planPodDns } from './podDns';
import type { Family } from './types';

/** DNS of the cluster: CoreDNS behind a Service, and a cache of its own on every node. */

/** kubeadm and kubelet take the tenth address of the Services for DNS. */
const DNS_SERVICE_NUMBER = 10n;
/** Where the cache of a node listens. IPv4: link-local, as upstream; IPv6 wants a scope there, so a unique local one. */
const NODE_LOCAL: Record<Family, string> = { ipv4: '169.254.20.10', ipv6: 'fd53:5157:20::10' };
const NODES_PER_REPLICA = 16;

export function planDns(
  spec: SiteSpec,
  version: string,
  domain: string,
  addressing: Addressing,
  findings: Findings,
): ClusterDnsPlan {
  const services = addressing.plan.serviceCidrs.map((cidr) => addressNumber(parseIp(cidr).network, DNS_SERVICE_NUMBER));
  const upstreams = planUpstreams(spec, addressing, services, findings);
  const cacheSeconds = wholeSeconds(spec.dns.cacheTtl, ['dns', 'cacheTtl'], findings);
  const zones = Object.entries(spec.dns.stubZones)
    .map(([zone, servers]) => ({ zone, servers: servers.map((server) => parseIp(server).text) }))
    .sort((a, b) => byText(a.zone, b.zone));
  refuseClusterZone(spec, domain, findings);
  tellUntested(spec, upstreams, findings);

  const names: Names = { domain, upstreams, zones, cacheSeconds };
  const local = spec.dns.nodeLocal ? NODE_LOCAL[addressing.podFamilies.includes('ipv4') ? 'ipv4' : 'ipv6'] : null;
  const nodes = spec.machines.nodes.filter(({ state }) => state === 'active').length;
  const replicas =
    spec.dns.replicas === 'auto'
      ? Math.max(Math.min(nodes, 2), Math.ceil(nodes / NODES_PER_REPLICA))
      : spec.dns.replicas;
  return {
    serviceAddress: services[0],
    serviceAddresses: services,
    clusterDnsAddresses: [...(local === null ? [] : [local]), services[0]],
    stubZones: zones,
    corefile: corefile(names),
    replicas,
    nodeLocal: local === null ? null : { address: local, corefile: nodeLocalCorefile(names, local, services[0]) },
    pods: planPodDns(spec, version, findings),
  };
}

interface Names {
  domain: string;
  /** Addresses, or the one file that lists them; empty: no name outside the cluster can be resolved. */
  upstreams: string[];
  zones: { zone: string; servers: string[] }[];
  cacheSeconds: number;
}

/** Resolvers by address where they are known: a file of the node can name a stub on the node itself, which is a loop. */
function planUpstreams(spec: SiteSpec, addressing: Addressing, services: string[], findings: Findings): string[] {
  const check = (text: string, path: (string | number)[]) => {
    const ip = parseIp(text);
    const own = [...addressing.plan.podCidrs, ...addressing.plan.serviceCidrs].find((cidr) => inside(cidr, ip));
    if (own === undefined && !Object.values(NODE_LOCAL).includes(ip.text)) return;
    findings.error(
      path,
      text,
      `${text} is the cluster's own (DNS answers on ${services.join(' and ')}): forwarding there is a loop; name a resolver outside it`,
    );
  };
  spec.dns.upstreams.forEach((text, index) => check(text, ['dns', 'upstreams', index]));
  for (const [zone, servers] of Object.entries(spec.dns.stubZones)) {
    servers.forEach((text, index) => check(text, ['dns', 'stubZones', zone, index]));
  }
  const known = spec.dns.upstreams.length > 0 ? spec.dns.upstreams : spec.underlay.dns.servers;
  if (known.length > 0) return known.map((text) => parseIp(text).text);
  // A machine of the kit has the resolvers of the site and no others; CoreDNS does not start with an empty list.
  return spec.machines.provider === 'existing' ? ['/etc/resolv.conf'] : [];
}

const inside = (cidr: string, ip: Ip) => contains(parseIp(cidr).network, ip);

function refuseClusterZone(spec: SiteSpec, domain: string, findings: Findings): void {
  for (const zone of Object.keys(spec.dns.stubZones)) {
    if (zone !== domain && !zone.endsWith(`.${domain}`)) continue;
    findings.error(
      ['dns', 'stubZones', zone],
      spec.dns.stubZones[zone],
      `${zone} belongs to the cluster, which answers for all of ${domain}: leave it out`,
    );
  }
}

/** Whatever pods resolve outside the cluster rests on resolvers that nobody asked before. */
function tellUntested({ checks }: SiteSpec, upstreams: string[], findings: Findings): void {
  if (checks.names.length > 0 || upstreams.length === 0) return;
  findings.warning(
    ['checks', 'names'],
    undefined,
    `no name outside the cluster is looked up from pods, so \`verify\` passes with resolvers that know none (${upstreams.join(', ')}): ` +
      'name one that they must know, such as erp.corp.example',
  );
}

const forward = (servers: string[]) => `    forward . ${servers.join(' ')} {
        max_concurrent 1000
    }`;

function corefile({ domain, upstreams, zones, cacheSeconds }: Names): string {
  return [
    `.:53 {
    errors
    health {
        lameduck 5s
    }
    ready
    kubernetes ${domain} in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus :9153
${upstreams.length === 0 ? '' : `${forward(upstreams)}\n`}    cache ${cacheSeconds} {
        disable success ${domain}
        disable denial ${domain}
    }
    loop
    reload
    loadbalance
}
`,
    ...zones.map(
      ({ zone, servers }) => `${zone}:53 {
    errors
${forward(servers)}
    cache ${cacheSeconds}
    loop
}
`,
    ),
  ].join('');
}

/**
 * It binds its own address and no other: in mode ipvs the address of the Service is on every node already. What the
 * cluster answers is asked by TCP, which needs no conntrack entry per question; other resolvers are asked as the pod
 * asked, because some of them take no TCP.
 */
function nodeLocalCorefile(
  { domain, upstreams, zones, cacheSeconds }: Names,
  address: string,
  service: string,
): string {
  const host = bracketed(address);
  const block = (zone: string, lines: string[]) =>
    `${zone}:53 {\n    errors\n    bind ${address}\n${lines.join('\n')}\n    loop\n    prometheus :9253\n}\n`;
  const toCluster = `    forward . ${service} {
        force_tcp
    }`;
  return [
    block(domain, [
      `    health ${host}:8080`,
      '    reload',
      `    cache {
        success 9984 ${cacheSeconds}
        denial 9984 ${Math.min(5, cacheSeconds)}
    }`,
      toCluster,
    ]),
    ...['in-addr.arpa', 'ip6.arpa'].map((zone) => block(zone, [`    cache ${cacheSeconds}`, toCluster])),
    ...zones.map(({ zone, servers }) => block(zone, [`    cache ${cacheSeconds}`, forward(servers)])),
    ...(upstreams.length === 0 ? [] : [block('.', [`    cache ${cacheSeconds}`, forward(upstreams)])]),
  ].join('');
}
