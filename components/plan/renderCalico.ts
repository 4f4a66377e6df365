import type { CalicoPlan } from './calicoTypes';
import { names, table } from './renderTable';

/** Calico in a plan: who tells routes, the devices with their MTU, the pools, and the sessions to routers. */
export function renderCalico(plan: CalicoPlan): string[] {
  const { pools, bgp } = plan;
  const poolRows = pools.map((pool) => [
    pool.name,
    pool.cidr,
    `/${pool.blockSize}`,
    encapsulation(pool),
    pool.natOutgoing ? 'yes' : 'no',
    pool.disabled ? 'none gets an address: disabled' : pool.nodeSelector,
  ]);
  const peerRows = (bgp?.peers ?? []).map((peer) => [
    peer.name,
    peer.address,
    peer.asNumber,
    names(peer.nodes),
    peer.passwordFrom === null ? 'none' : `secret ${peer.passwordFrom}`,
  ]);
  return [
    table(['Calico', ''], summary(plan), [22, 96]),
    table(['Pool', 'Network', 'Blocks', 'Encapsulation', 'NAT outgoing', 'Nodes'], poolRows),
    ...(peerRows.length === 0 ? [] : [table(['BGP peer', 'Address', 'AS', 'Nodes', 'Password'], peerRows)]),
  ];
}

function summary({ backend, bgp, typha, mtuBytes, apiServer, lateObjects }: CalicoPlan): [string, string][] {
  const devices = {
    'veth of pods': mtuBytes.veth,
    tunl0: mtuBytes.ipip,
    'vxlan.calico': mtuBytes.vxlan,
    'vxlan-v6.calico': mtuBytes.vxlanV6,
    'wireguard.cali': mtuBytes.wireguard,
    'wg-v6.cali': mtuBytes.wireguardV6,
  };
  const made = Object.entries(devices).flatMap(([name, bytes]) => (bytes === null ? [] : [`${name} ${bytes}`]));
  const mesh =
    bgp === null
      ? 'none: Felix knows the routes from the API'
      : `AS ${bgp.asNumber}, ${bgp.mesh ? 'every node with every other' : `reflected by ${names(bgp.routeReflectors)}`}`;
  return [
    ['BGP', lateObjects.length === 0 ? mesh : `${mesh}; the mesh ends once every node has its sessions with them`],
    ['routes by', backend === 'bird' ? 'BIRD' : 'Felix'],
    ['MTU in bytes', made.join(', ')],
    ['Typha', typha === null ? 'none' : `${typha.replicas} pods`],
    ['API server', `${apiServer.host}:${apiServer.port}, without a Service in between`],
  ];
}

function encapsulation({ ipip, vxlan }: CalicoPlan['pools'][number]): string {
  const how = (mode: string) => (mode === 'CrossSubnet' ? ' between subnets' : '');
  if (ipip !== 'Never') return `IP-in-IP${how(ipip)}`;
  return vxlan === 'Never' ? 'none' : `VXLAN${how(vxlan)}`;
}
