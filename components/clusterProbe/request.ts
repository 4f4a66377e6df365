import { Address4 } from 'ip-address';
import type { Family, SitePlan } from '../plan/types';
import type { CalicoProbe } from './calicoFacts';
import type { ClusterNodeEnd, ClusterProbeRequest } from './facts';

const CONNTRACK_MAX = 'net.netfilter.nf_conntrack_max';

const familyOf = (address: string): Family => (Address4.isValid(address.split('/')[0]!) ? 'ipv4' : 'ipv6');

/**
 * What of a plan is held against the live cluster. `ends` says how each node is reached; where it is known late, the
 * request is made of the resolved values.
 */
export function clusterProbeRequest<End extends Omit<ClusterNodeEnd, 'conntrackMax'>>(
  plan: SitePlan,
  ends: Map<string, End>,
  limitFactor: number,
): ClusterProbeRequest {
  const { cluster, address, mtu, proof } = plan;
  if (cluster === null) throw new Error(`${plan.site} has no cluster`);
  const { kubeProxy, dns, domain, apiServiceAddresses, bundle } = cluster;
  const configuration = kubeProxy.configuration as { metricsBindAddress: string; ipvs: { scheduler?: string } };
  const api = `kubernetes.default.svc.${domain}`;
  return {
    kind: 'probe-cluster',
    nodes: plan.nodes.flatMap(({ name, state, sysctls }) => {
      // It may be in the cluster still, or not any more.
      if (state === 'leaving') return [];
      const planned = sysctls.find(({ key }) => key === CONNTRACK_MAX);
      const isOwn = kubeProxy.conntrackOwner === 'site' && planned !== undefined;
      return { ...ends.get(name)!, conntrackMax: isOwn ? Number(planned.value) : null };
    }),
    toolboxImage: bundle.images.toolbox ?? null,
    podMtuBytes: mtu.podMtuBytes,
    podFamilies: address.podCidrs.map(familyOf),
    serviceFamilies: address.serviceCidrs.map(familyOf),
    kubeProxy: {
      mode: kubeProxy.mode,
      scheduler: configuration.ipvs.scheduler ?? 'rr',
      metricsAddress: configuration.metricsBindAddress,
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
    peers: proof.peers,
    calico: calicoProbe(plan),
    thresholds: {
      etcdFsyncP99Milliseconds: proof.thresholds.etcdFsyncP99Milliseconds,
      lookupMilliseconds: proof.thresholds.lookupMilliseconds,
    },
    warn: proof.warn,
    limitFactor,
  };
}

function calicoProbe({ cluster, mtu, nodes, address }: SitePlan): CalicoProbe | null {
  if (!cluster?.calico) return null;
  const { objects, lateObjects, operator } = cluster.calico;
  return {
    encapsulation: mtu.encapsulation,
    subnets: Object.fromEntries(nodes.map(({ name, subnet }) => [name, subnet])),
    families: address.podCidrs.map(familyOf),
    devices: mtu.devices.filter(({ name }) => name !== 'veth'),
    podMtuBytes: mtu.podMtuBytes,
    objects: [...operator, ...objects, ...lateObjects],
  };
}
