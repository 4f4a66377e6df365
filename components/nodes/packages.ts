import type { NodePlan } from '../plan/types';

/** A package of the node's own distribution, and the command that proves it is there. */
export interface NeededPackage {
  command: string;
  name: string;
  /** Why a node needs it, and which nodes do; always when absent. */
  reason: string;
  when?: (node: NodePlan) => boolean;
}

const loads = (module: string) => (node: NodePlan) => node.modules.some(({ name }) => name === module);

const PACKAGES: readonly NeededPackage[] = [
  { command: 'ip', name: 'iproute2', reason: 'addresses and routes' },
  { command: 'modprobe', name: 'kmod', reason: 'kernel modules' },
  { command: 'sysctl', name: 'procps', reason: 'sysctls' },
  { command: 'ethtool', name: 'ethtool', reason: 'offloads and rings' },
  { command: 'ping', name: 'iputils-ping', reason: 'the proof on the wire' },
  { command: 'tcpdump', name: 'tcpdump', reason: 'the proof counts packets at the receiver' },
  { command: 'conntrack', name: 'conntrack', reason: 'kube-proxy clears stale entries with it' },
  { command: 'ipset', name: 'ipset', reason: 'kube-proxy in mode ipvs', when: loads('ip_vs') },
  {
    command: 'nft',
    name: 'nftables',
    reason: 'pods reach what is outside the cluster with the address of their node',
    when: ({ cluster }) => cluster !== null && cluster.cniConfiguration !== null,
  },
  {
    command: 'mkfs.ext4',
    name: 'e2fsprogs',
    reason: 'the file system of etcd',
    when: ({ cluster, role }) => cluster !== null && role === 'control-plane',
  },
  {
    command: 'openssl',
    name: 'openssl',
    reason: 'encrypts snapshots of etcd, and reads what certificates kubelets ask for',
    when: ({ cluster, role }) => cluster !== null && role === 'control-plane',
  },
  {
    command: 'haproxy',
    name: 'haproxy',
    reason: 'leads from the virtual address of the control plane to its API servers',
    when: ({ cluster }) => cluster?.sharesVip === true,
  },
  {
    command: 'keepalived',
    name: 'keepalived',
    reason: 'holds the virtual address of the control plane',
    when: ({ cluster }) => cluster?.sharesVip === true,
  },
  { command: 'wg', name: 'wireguard-tools', reason: 'the proof inside WireGuard', when: loads('wireguard') },
  { command: 'fio', name: 'fio', reason: 'the proof of the etcd disk', when: (node) => node.role === 'control-plane' },
];

/** What must be on a node before anything else: it comes from the image or from the node's distribution. */
export function neededPackages(node: NodePlan): NeededPackage[] {
  return PACKAGES.filter(({ when }) => when === undefined || when(node));
}
