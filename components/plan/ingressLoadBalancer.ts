import { isIP } from 'node:net';
import * as semver from 'semver';
import type { SiteSpec } from '../spec/schema';
import { calicoObject } from './calicoBgp';
import { usesCalico } from './calicoModes';
import type { BundlePlan, KubeDocument } from './clusterTypes';
import type { Findings } from './findings';
import { BITS, contains, FAMILY_NAME, parseIp } from './ip';
import { componentVersion, hasComponent } from './versions';

/** One address of the site for the ingress controller: Calico gives it to the Service and tells its BGP peers. */

export interface LoadBalancerPlan {
  /** A pool of the one address, which no other Service gets unless it asks for it. */
  pool: KubeDocument;
  service(of: { namespace: string; labels: Record<string, string> }): KubeDocument;
}

/** From this version on Calico gives Services their addresses. */
const CALICO_FROM = '3.30.0';
const POOL = 'sitewright-ingress';

export function planLoadBalancer(
  spec: SiteSpec,
  { address }: NonNullable<SiteSpec['ingress']>,
  bundle: BundlePlan,
  findings: Findings,
): LoadBalancerPlan | null {
  const path = ['ingress', 'expose'];
  const hostNetwork = 'or set ingress.expose to host-network';
  if (!usesCalico(spec)) {
    findings.error(
      path,
      'load-balancer',
      `load-balancer needs Calico, which gives the address and tells routers of it: set network.cni to calico, ${hostNetwork}`,
    );
    return null;
  }
  const version = hasComponent(bundle, 'calico') ? componentVersion(bundle, 'calico') : null;
  if (version !== null && semver.lt(version, CALICO_FROM)) {
    findings.error(
      path,
      'load-balancer',
      `Calico ${version} gives Services no addresses: use Calico ${CALICO_FROM} or later, ${hostNetwork}`,
    );
  }
  const { loadBalancerCidrs } = spec.network.calico.bgp.advertise;
  const ip = address !== undefined && isIP(address) !== 0 ? parseIp(address) : null;
  if (ip === null || !loadBalancerCidrs.some((cidr) => contains(parseIp(cidr).network, ip))) {
    const known = loadBalancerCidrs.length === 0 ? 'which is empty' : loadBalancerCidrs.join(', ');
    findings.error(
      ['ingress', 'address'],
      address,
      `load-balancer needs an address that routers are told of: one inside network.calico.bgp.advertise.loadBalancerCidrs (${known})`,
    );
    return null;
  }
  if (spec.network.serviceCidrs.every((cidr) => parseIp(cidr).family !== ip.family)) {
    findings.error(
      ['ingress', 'address'],
      address,
      `${ip.text} is ${FAMILY_NAME[ip.family]}, and network.serviceCidrs has no network of that family: add one, or take another address`,
    );
  }
  return {
    pool: calicoObject('IPPool', POOL, {
      cidr: `${ip.text}/${BITS[ip.family]}`,
      blockSize: BITS[ip.family],
      ipipMode: 'Never',
      vxlanMode: 'Never',
      natOutgoing: false,
      nodeSelector: 'all()',
      allowedUses: ['LoadBalancer'],
      assignmentMode: 'Manual',
    }),
    service: ({ namespace, labels }) => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name: 'ingress-controller',
        namespace,
        annotations: { 'projectcalico.org/loadBalancerIPs': JSON.stringify([ip.text]) },
      },
      spec: {
        type: 'LoadBalancer',
        // Only machines with a pod are told of, and NGINX sees the client's own address.
        externalTrafficPolicy: 'Local',
        // Nobody comes by the ports of nodes.
        allocateLoadBalancerNodePorts: false,
        ipFamilyPolicy: 'SingleStack',
        ipFamilies: [ip.family === 'ipv4' ? 'IPv4' : 'IPv6'],
        selector: labels,
        ports: [80, 443].map((port) => ({
          name: port === 80 ? 'http' : 'https',
          port,
          targetPort: port,
          protocol: 'TCP',
        })),
      },
    }),
  };
}
