import type { SiteSpec } from '../spec/schema';
import type { Addressing, NodeAddress } from './address';
import type { KubeDocument } from './clusterTypes';
import type { Findings } from './findings';
import { BITS, FAMILY_NAME, networkNumber, parseIp, type Ip, type Network } from './ip';
import type { Subnet } from './subnets';
import type { Family } from './types';

/**
 * `network.cni: routes`: the CNI project's bridge and host-local plugins on every node, and a route to the pods of each
 * other node. No daemon, no image, nothing around a packet. Every node knows every other, so it is for small sites.
 *
 * Masquerading: packets that leave the pod network get the node's address, because nobody outside has a route to pods;
 * packets between pods keep theirs, or neither policies nor logs could tell pods apart. The bridge plugin's own ipMasq
 * does not make that difference (it knows the pods of its node only, and masquerades pod to pod across nodes), so it is
 * off, and one nftables table of the node does it. kube-proxy masquerades what comes to a Service from elsewhere.
 */

const NODES_AT_MOST = 20;
/** Pods of one node: 254 addresses, and a whole /64, which is what everything in IPv6 expects. */
const NODE_PREFIX: Record<Family, number> = { ipv4: 24, ipv6: 64 };
/** The bridge of every node that its pods are on. */
export const POD_BRIDGE = 'cni0';

/** Whether the kit connects the pods: only where it makes a cluster. */
export const usesRoutes = (spec: SiteSpec) => spec.kubernetes.version !== undefined && spec.network.cni === 'routes';

export interface RoutesPlan {
  /** Per node, in the order of the site file: networks of its pods in the order of network.podCidrs. */
  podCidrs: string[][];
  /** Per node: ways to the pods of all the others. */
  routes: { to: string; via: string }[][];
}

/** Findings first: with an error among them the plan has holes and is not used. */
export function planCniRoutes(spec: SiteSpec, addressing: Addressing, findings: Findings): RoutesPlan {
  const pods = spec.network.podCidrs.map((text) => parseIp(text).network);
  checkPlace(spec, addressing, findings);
  const fits = pods.map((pod, index) => checkSize(spec, pod, index, findings));
  const numbers = addressing.nodes.map(numberOf);
  if (fits.every(Boolean))
    numbers.forEach((number, index) => checkNumber(spec, addressing, pods, number, index, findings));
  if (findings.hasErrors()) return { podCidrs: [], routes: [] };

  const podCidrs = numbers.map((number) => pods.map((pod) => networkNumber(pod, NODE_PREFIX[pod.family], number!)));
  const routes = addressing.nodes.map((node) =>
    addressing.nodes.flatMap((other, index) =>
      other === node
        ? []
        : podCidrs[index].map((to, at) => ({
            to,
            via: other.ips.find((ip) => ip.family === pods[at].family)!.text,
          })),
    ),
  );
  return { podCidrs, routes };
}

/**
 * The pods of a node are numbered by the host part of its address, IPv4 where it has one: the number never moves when
 * other nodes come and go. Null only beside a finding about the address.
 */
function numberOf({ sorted, subnet }: NodeAddress): bigint | null {
  const ip: Ip | undefined = sorted[0];
  return ip && subnet ? ip.value - ip.network.first : null;
}

function checkPlace(spec: SiteSpec, { usedSubnets }: Addressing, findings: Findings): void {
  const { routing, wireguard, cni } = spec.network;
  const refuse = (key: string, given: unknown, message: string) => findings.error(['network', key], given, message);
  if (routing !== 'auto' && routing !== 'bgp') {
    refuse(
      'routing',
      routing,
      `${routing} puts packets into a tunnel, and network.cni routes has none: leave routing out, or set network.cni to calico, ` +
        'which makes it',
    );
  }
  if (wireguard) {
    refuse(
      'wireguard',
      wireguard,
      'network.cni routes sends pod packets as they are: set wireguard to false, or network.cni to calico, which encrypts them',
    );
  }
  if (usedSubnets.length > 1) {
    const names = usedSubnets.map((subnet: Subnet) => subnet.name).join(', ');
    refuse(
      'cni',
      cni,
      `routes needs all machines in one subnet, and they are in ${names}: routers between them would have to know the pods; ` +
        'set network.cni to calico, which makes tunnels',
    );
  }
  const count = spec.machines.nodes.length;
  if (count > NODES_AT_MOST) {
    refuse(
      'cni',
      cni,
      `routes is for at most ${NODES_AT_MOST} machines, and there are ${count}: every machine has a route to every other; ` +
        'set network.cni to calico',
    );
  }
}

function checkSize(spec: SiteSpec, pod: Network, index: number, findings: Findings): boolean {
  const prefix = NODE_PREFIX[pod.family];
  if (pod.prefix <= prefix) return true;
  findings.error(
    ['network', 'podCidrs', index],
    spec.network.podCidrs[index],
    `${pod.text} is too small: with network.cni routes the pods of each machine get a /${prefix} of it, so a prefix length ` +
      `of at most ${prefix - 8} for 256 machines`,
  );
  return false;
}

function checkNumber(
  spec: SiteSpec,
  addressing: Addressing,
  pods: Network[],
  number: bigint | null,
  index: number,
  findings: Findings,
): void {
  if (number === null) return;
  const tight = pods.find((pod) => number >= 1n << BigInt(NODE_PREFIX[pod.family] - pod.prefix));
  if (!tight) return;
  const { name, addresses } = spec.machines.nodes[index];
  const prefix = NODE_PREFIX[tight.family];
  const bits = number.toString(2).length;
  const instead =
    bits <= prefix && prefix - bits > 0 && bits < BITS[tight.family] / 2
      ? `give the pods a prefix length of at most ${prefix - bits}, or give ${name} a lower address`
      : `give ${name} a lower address`;
  const at = addresses.findIndex((text) => parseIp(text).text === addressing.nodes[index].sorted[0].text);
  findings.error(
    ['machines', 'nodes', index, 'addresses', at],
    addresses[at],
    `${addresses[at]} is host ${number} of its subnet, and with network.cni routes the pods of ${name} get /${prefix} number ` +
      `${number} of ${tight.text}, which holds ${1n << BigInt(prefix - tight.prefix)} of them (${FAMILY_NAME[tight.family]}): ${instead}`,
  );
}

/** CNI configuration of one node. */
export function cniConfiguration(podCidrs: string[], podMtuBytes: number): KubeDocument {
  return {
    // What every containerd from 1.6 on reads.
    cniVersion: '1.0.0',
    name: 'sitewright',
    plugins: [
      {
        type: 'bridge',
        bridge: POD_BRIDGE,
        mtu: podMtuBytes,
        isGateway: true,
        isDefaultGateway: true,
        // A pod that is behind its own Service must get its packets back.
        hairpinMode: true,
        ipMasq: false,
        ipam: { type: 'host-local', ranges: podCidrs.map((subnet) => [{ subnet }]) },
      },
      // hostPort of pods.
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
}

/** File of the ruleset on every node, loaded at boot before kubelet starts. */
export const MASQUERADE_FILE = '/etc/sitewright/pod-masquerade.nft';

const MASQUERADE_WHY = 'pods reach what is outside the cluster with the address of their node';
const CLAMP_WHY = 'TCP segments fit the route';
/** A table of the kit's own: what Calico and kube-proxy do to theirs leaves it alone (networking facts, section 1). */
const CLAMP = `  chain forward {
    type filter hook forward priority mangle; policy accept;
    tcp flags syn tcp option maxseg size set rt mtu
  }
`;

/** The table is made before it is deleted, because nft refuses to delete one that is not there: one load is one change. */
export function podRuleset({ masquerade, mssClamp }: { masquerade: string[]; mssClamp: boolean }): string {
  const rules = masquerade.map((cidr) => {
    const family = cidr.includes(':') ? 'ip6' : 'ip';
    const multicast = family === 'ip' ? '224.0.0.0/4' : 'ff00::/8';
    return `    ${family} saddr ${cidr} ${family} daddr != { ${cidr}, ${multicast} } masquerade\n`;
  });
  const postrouting = `  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
${rules.join('')}  }
`;
  return `# Made by sitewright: ${[...(rules.length > 0 ? [MASQUERADE_WHY] : []), ...(mssClamp ? [CLAMP_WHY] : [])].join('; ')}.
table inet sitewright_pods
delete table inet sitewright_pods
table inet sitewright_pods {
${rules.length > 0 ? postrouting : ''}${mssClamp ? CLAMP : ''}}
`;
}
