import { Address4 } from 'ip-address';
import { CALICO_NAMESPACE } from '../plan/calico';
import type { CalicoBgpPlan } from '../plan/calicoTypes';
import { CONNTRACK_MAX, proxyConntrack } from '../plan/conntrack';
import type { Family, NodePlan, SitePlan } from '../plan/types';
import type { BgpProbe, CalicoProbe } from './calicoFacts';
import type { ClusterNodeEnd, ClusterProbeRequest } from './facts';
import { planFences } from './fences';
import { planIngressProbe } from './ingress';
import type { PathBefore } from './layers';

const familyOf = (address: string): Family => (Address4.isValid(address.split('/')[0]!) ? 'ipv4' : 'ipv6');

/**
 * What of a plan is held against the live cluster. `ends` says how each node is reached; where it is known late, the
 * request is made of the resolved values. `before`: what the proof of the machines gave, where it is known.
 */
export function clusterProbeRequest<End extends Omit<ClusterNodeEnd, 'conntrackMax' | 'addresses'>>(
  plan: SitePlan,
  ends: Map<string, End>,
  limitFactor: number,
  before: PathBefore[],
): ClusterProbeRequest {
  const { cluster, address, mtu, proof } = plan;
  if (cluster === null) throw new Error(`${plan.site} has no cluster`);
  const { kubeProxy, dns, domain, apiServiceAddresses, bundle } = cluster;
  const configuration = kubeProxy.configuration as { metricsBindAddress: string; ipvs: { scheduler?: string } };
  const api = `kubernetes.default.svc.${domain}`;
  return {
    kind: 'probe-cluster',
    nodes: plan.nodes.flatMap(({ name, state, sysctls, addresses }) => {
      // It may be in the cluster still, or not any more.
      if (state === 'leaving') return [];
      const planned = sysctls.find(({ key }) => key === CONNTRACK_MAX);
      const isOwn = kubeProxy.conntrackOwner === 'site' && planned !== undefined;
      return {
        ...ends.get(name)!,
        addresses: addresses.map((address) => address.split('/')[0]!),
        conntrackMax: isOwn ? Number(planned.value) : null,
      };
    }),
    pauseImage: bundle.images.pause,
    podMtuBytes: mtu.podMtuBytes,
    podFamilies: address.podCidrs.map(familyOf),
    serviceFamilies: address.serviceCidrs.map(familyOf),
    kubeProxy: {
      mode: kubeProxy.mode,
      scheduler: configuration.ipvs.scheduler ?? 'rr',
      metricsAddress: configuration.metricsBindAddress,
      conntrack: kubeProxy.conntrackOwner === 'site' ? null : proxyConntrack(cluster.kubernetesVersion),
    },
    services: [
      // The Service of the API has one family only, the first.
      { name: 'kubernetes', address: apiServiceAddresses[0]!, port: 443, protocols: ['tcp'] },
      ...dns.serviceAddresses.map((each) => ({
        ...{ name: 'kube-dns', address: each, port: 53 },
        protocols: ['tcp' as const, 'udp' as const],
      })),
    ],
    names: [api, 'kubernetes.default', ...proof.names],
    zones: dns.stubZones,
    peers: proof.peers,
    nameServers: proof.dnsServers,
    calico: calicoProbe(plan),
    // Whether another network carries policies out is not known.
    fences: cluster.calico === null ? [] : planFences(cluster.policy),
    ingress: planIngressProbe(
      cluster.ingress,
      plan.nodes.filter(({ state }) => state === 'active'),
    ),
    underlayMtuBytes: mtu.underlayMtuBytes,
    before,
    thresholds: {
      etcdFsyncP99Milliseconds: proof.thresholds.etcdFsyncP99Milliseconds,
      lookupMilliseconds: proof.thresholds.lookupMilliseconds,
    },
    warn: proof.warn,
    olderPods: 'error',
    limitFactor,
  };
}

function calicoProbe({ site, cluster, mtu, nodes: all, address }: SitePlan): CalicoProbe | null {
  if (!cluster?.calico) return null;
  const nodes = all.filter(({ state }) => state === 'active');
  const { install, bgp, objects, lateObjects, operator } = cluster.calico;
  const families = address.podCidrs.map(familyOf);
  return {
    site,
    namespace: CALICO_NAMESPACE[install],
    encapsulation: mtu.encapsulation,
    subnets: Object.fromEntries(nodes.map(({ name, subnet }) => [name, subnet])),
    families,
    devices: mtu.devices.filter(({ name }) => name !== 'veth'),
    podMtuBytes: mtu.podMtuBytes,
    bgp: bgp === null ? null : bgpProbe(bgp, nodes, families),
    objects: [...operator, ...objects, ...lateObjects],
  };
}

/** Sessions of the nodes with the route reflectors alone. */
export function reflectorsProbe({ cluster, nodes, address }: SitePlan): BgpProbe | null {
  const bgp = cluster?.calico?.bgp ?? null;
  if (bgp === null || bgp.mesh) return null;
  const active = nodes.filter(({ state }) => state === 'active');
  return { ...bgpProbe(bgp, active, address.podCidrs.map(familyOf)), routers: [] };
}

function bgpProbe({ routeReflectors, peers }: CalicoBgpPlan, nodes: NodePlan[], families: Family[]): BgpProbe {
  const own = ({ addresses }: NodePlan) => addresses.map((address) => address.split('/')[0]!);
  return {
    addresses: Object.fromEntries(
      nodes.map((node) => [node.name, own(node).filter((address) => families.includes(familyOf(address)))]),
    ),
    reflectors: routeReflectors,
    routers: peers.map(({ name, address, nodes: members }) => ({ name, address, nodes: members })),
  };
}
