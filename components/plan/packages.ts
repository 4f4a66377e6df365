import type { SiteSpec } from '../spec/schema';
import type { BundlePlan } from './clusterTypes';
import { byText, refuseDuplicateNames, type Findings } from './findings';
import type { NodePlan } from './types';

/** A package of a node's own distribution, and the command that proves it is there. */
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
  { command: 'python3', name: 'python3', reason: 'the programs of the proof and of verify' },
  { command: 'tcpdump', name: 'tcpdump', reason: 'the proof counts packets at the receiver' },
  { command: 'conntrack', name: 'conntrack', reason: 'kube-proxy clears stale entries with it' },
  {
    command: 'iperf3',
    name: 'iperf3',
    reason: 'measures what pods get, for `sitewright debug`',
    when: ({ cluster }) => cluster !== null,
  },
  { command: 'ipset', name: 'ipset', reason: 'kube-proxy in mode ipvs', when: loads('ip_vs') },
  {
    command: 'nft',
    name: 'nftables',
    reason: "rules of the kit's own for pods and for the DNS cache of the node; verify reads those of Services with it",
    when: ({ cluster }) => cluster !== null,
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

/** A clock that is set, where a machine has no chrony. */
const TIME_SERVICE = 'systemd-timesyncd';

/** What must be on a node before anything else: it comes from the image, from the bundle or from the node's distribution. */
export function neededPackages(node: NodePlan): NeededPackage[] {
  return PACKAGES.filter(({ when }) => when === undefined || when(node));
}

/** Names of what a node may be given, with its time service, sorted. */
export function packageNames(node: NodePlan): string[] {
  const names = neededPackages(node).map(({ name }) => name);
  return (node.ntpServers.length === 0 ? names : [...names, TIME_SERVICE]).sort(byText);
}

/**
 * The packages that a bundle holds beside the programs of the cluster. They are those of every role and mode: sites with
 * one list of distributions share a lock, whatever their machines do.
 */
export function planPackages(spec: SiteSpec, findings: Findings): BundlePlan['packages'] {
  const { from, packages } = spec.artifacts;
  if (from === 'source' && packages.length > 0) {
    findings.error(
      ['artifacts', 'packages'],
      packages.map(({ name }) => name),
      'a bundle from source holds no packages of distributions: leave it out, or set artifacts.from to upstream',
    );
    return [];
  }
  refuseDuplicateNames(packages, ['artifacts', 'packages'], findings);
  const names = [...PACKAGES.map(({ name }) => name), TIME_SERVICE].sort(byText);
  return packages
    .map(({ name: distribution, archive, securityArchive }) => ({ distribution, archive, securityArchive, names }))
    .sort((a, b) => byText(a.distribution, b.distribution));
}
