import type { SiteSpec } from '../spec/schema';
import type { Addressing } from './address';
import { noBirdReason } from './calicoModes';
import { usesRoutes } from './cniRoutes';
import type { Findings } from './findings';
import type { Encapsulation, MtuPlan, Routing } from './types';

export interface RoutingChoice {
  routing: Routing;
  reason: string;
  encapsulation: MtuPlan['encapsulation'];
  /** Tunnel that the routing itself uses, where it uses one. */
  tunnel: 'ipip' | 'vxlan' | null;
}

/** How pod packets travel: what the site asks for, checked, or what fits the underlay, with the reason. */
export function chooseRouting(spec: SiteSpec, addressing: Addressing, findings: Findings): RoutingChoice {
  if (usesRoutes(spec)) {
    // What does not go with it is refused where the routes are planned.
    return {
      routing: 'routes',
      reason: 'network.cni routes: every machine has a route to the pods of each other, and nothing wraps a packet',
      tunnel: null,
      encapsulation: { sameSubnet: 'none', crossSubnet: 'none' },
    };
  }
  const { routing, reason } =
    spec.network.routing === 'auto'
      ? automatic(spec, addressing)
      : { routing: spec.network.routing, reason: 'stated in network.routing' };
  const tunnel = tunnelOf(routing);
  if (spec.network.routing !== 'auto') checkStated(spec, routing, tunnel, addressing, findings);
  const perTunnel: Encapsulation = tunnel ?? 'none';
  return {
    routing,
    reason,
    tunnel,
    // WireGuard takes the place of the tunnel between nodes that have it, and every node of a site has it.
    encapsulation: spec.network.wireguard
      ? { sameSubnet: 'wireguard', crossSubnet: 'wireguard' }
      : { sameSubnet: routing.endsWith('-cross-subnet') ? 'none' : perTunnel, crossSubnet: perTunnel },
  };
}

function tunnelOf(routing: Routing): RoutingChoice['tunnel'] {
  if (routing.startsWith('ipip')) return 'ipip';
  if (routing.startsWith('vxlan')) return 'vxlan';
  return null;
}

function automatic(spec: SiteSpec, addressing: Addressing): { routing: Routing; reason: string } {
  const { usedSubnets, podFamilies } = addressing;
  const noBird = noBirdReason(spec);
  if (noBird !== null) {
    return { routing: 'vxlan-cross-subnet', reason: `auto: ${noBird}, and vxlan needs none` };
  }
  if (usedSubnets.length <= 1) {
    return { routing: 'bgp', reason: 'auto: all machines share one subnet, so pod packets need no tunnel' };
  }
  const several = `auto: the machines are in ${usedSubnets.length} subnets, and routers between them do not know pod addresses`;
  if (podFamilies.includes('ipv6')) {
    return { routing: 'vxlan-cross-subnet', reason: `${several}; vxlan because ipip carries no IPv6` };
  }
  if (spec.underlay.protocol4 === 'blocked') {
    return { routing: 'vxlan-cross-subnet', reason: `${several}; vxlan because underlay.protocol4 is blocked` };
  }
  return { routing: 'ipip-cross-subnet', reason: `${several}; ipip because it takes the fewest bytes` };
}

function checkStated(
  spec: SiteSpec,
  routing: Routing,
  tunnel: RoutingChoice['tunnel'],
  addressing: Addressing,
  findings: Findings,
): void {
  const path = ['network', 'routing'];
  const instead = routing.replace('ipip', 'vxlan');
  if (tunnel === 'ipip' && addressing.podFamilies.includes('ipv6')) {
    findings.error(
      path,
      routing,
      `${routing} cannot carry IPv6 and network.podCidrs has an IPv6 network: use ${instead} or bgp, or leave it out to have it chosen`,
    );
  }
  if (tunnel === 'ipip' && spec.underlay.protocol4 === 'blocked') {
    findings.error(
      path,
      routing,
      `${routing} needs IP protocol 4 between the machines and underlay.protocol4 is blocked: use ${instead} (UDP 4789), or leave it out to have it chosen`,
    );
  }
  if (routing === 'bgp' && addressing.usedSubnets.length > 1) {
    findings.warning(
      path,
      routing,
      `bgp adds no tunnel and the machines are in ${addressing.usedSubnets.length} subnets: every router between them ` +
        'must learn the pod networks by BGP; otherwise leave it out to have a cross-subnet tunnel chosen',
    );
  }
}
