import type { SiteSpec } from '../spec/schema';
import type { Addressing } from './address';
import { usesCalico } from './calicoModes';
import { CONNTRACK_MAX, conntrackMax, conntrackOwner, SITE_CONNTRACK } from './conntrack';
import type { Findings } from './findings';
import { checkOverrides, normalizeKey } from './sysctlRules';
import type { ModulePlan, MtuPlan, NeededVersion, SysctlPlan } from './types';

/**
 * Kernel modules of every node, in load order. The node loads them before it applies any sysctl: the nf_conntrack and
 * bridge keys do not exist before.
 */
export function planModules(spec: SiteSpec, mtu: MtuPlan): ModulePlan[] {
  const modules = new Map<string, string>();
  const add = (name: string, reason: string) => {
    if (!modules.has(name)) modules.set(name, reason);
  };
  add('overlay', 'containerd layers images with it');
  add('br_netfilter', 'bridged pod traffic passes the Service rules');
  add('nf_conntrack', 'Services and network policy track connections; its sysctls exist only when it is loaded');
  if (spec.kubeProxy.mode === 'ipvs') {
    const { scheduler } = spec.kubeProxy;
    for (const name of ['ip_vs', 'ip_vs_rr', 'ip_vs_wrr', 'ip_vs_sh']) {
      add(name, 'kube-proxy in mode ipvs exits without it');
    }
    add(`ip_vs_${scheduler}`, `kubeProxy.scheduler is ${scheduler}`);
  }
  if (spec.kubeProxy.mode === 'nftables') {
    add('nf_tables', 'kube-proxy in mode nftables needs it, from kernel 5.13 on');
  }
  if (mtu.routing.startsWith('ipip')) add('ipip', `routing ${mtu.routing} uses tunl0`);
  if (mtu.routing.startsWith('vxlan')) add('vxlan', `routing ${mtu.routing} uses vxlan.calico`);
  if (mtu.wireguard) add('wireguard', 'network.wireguard encrypts pod traffic between nodes');
  for (const name of spec.nodePrep.modules) add(name, 'stated in nodePrep.modules');
  return [...modules].map(([name, reason]) => ({ name, reason }));
}

/**
 * What kernel and nft must be at least (networking facts, sections 4 and 5): kube-proxy and Calico would only fail on the
 * node, when the cluster is there already.
 */
export function planNeededVersions(spec: SiteSpec): NeededVersion[] {
  const { dataplane } = spec.network.calico;
  const calico = (what: NeededVersion['what'], atLeast: string): NeededVersion => ({
    ...{ what, atLeast },
    by: dataplane === 'nftables' ? "Calico's nftables dataplane (network.calico.dataplane)" : 'Calico (network.cni)',
  });
  return [
    ...(spec.kubeProxy.mode === 'nftables'
      ? [{ what: 'kernel' as const, atLeast: '5.13', by: 'kube-proxy in mode nftables (kubeProxy.mode)' }]
      : []),
    ...(!usesCalico(spec)
      ? []
      : dataplane === 'nftables'
        ? [calico('kernel', '5.13'), calico('nft', '1.0.1')]
        : [calico('kernel', '5.10')]),
  ];
}

/**
 * Sysctls of every node, in the order in which they are applied. Forwarding comes first: switching it resets other
 * keys of the interfaces (kernel documentation, ip-sysctl). Those that only the site states come last.
 */
export function planSysctls(spec: SiteSpec, addressing: Addressing, cpus: number | null): SysctlPlan[] {
  const ipv6 = addressing.podFamilies.includes('ipv6');
  const conntrack = planConntrack(spec, cpus);
  const sysctls = new Map(baseline(ipv6, conntrack).map((sysctl) => [sysctl.key, sysctl]));
  for (const [given, value] of Object.entries(spec.nodePrep.sysctls)) {
    const key = normalizeKey(given);
    const planned = sysctls.get(key);
    const reason = planned ? `stated in nodePrep.sysctls instead of ${planned.value}` : 'stated in nodePrep.sysctls';
    sysctls.set(key, { key, value: String(value).trim(), reason });
  }
  return [...sysctls.values()];
}

export function checkSysctls(spec: SiteSpec, addressing: Addressing, findings: Findings): void {
  checkOverrides(spec, addressing.podFamilies.includes('ipv6'), findings);
}

/**
 * kube-proxy sets the table when it starts, and a value of ours would lower it on a large machine with every preparation
 * until the next start: what kube-proxy owns is none of ours.
 */
function planConntrack(spec: SiteSpec, cpus: number | null): SysctlPlan[] {
  switch (conntrackOwner(spec)) {
    case 'site':
      return ownConntrack(spec, cpus);
    case 'kube-proxy':
      return [];
    case 'nobody':
      return [
        {
          key: CONNTRACK_MAX,
          value: String(SITE_CONNTRACK.least),
          reason:
            'a full table drops packets; kube-proxy raises it to max(32768 x cores, 131072) when it starts, so more than ' +
            '4 cores mean more',
        },
      ];
  }
}

function ownConntrack(spec: SiteSpec, cpus: number | null): SysctlPlan[] {
  const computed = conntrackMax(SITE_CONNTRACK, cpus ?? 0);
  const stated = Object.entries(spec.nodePrep.sysctls).find(([key]) => normalizeKey(key) === CONNTRACK_MAX);
  const most = Number(stated?.[1] ?? computed);
  return [
    {
      key: CONNTRACK_MAX,
      value: String(computed),
      reason:
        'a full table drops packets; the site owns it (kubeProxy.conntrack), so kube-proxy leaves it alone: 32768 a CPU, at ' +
        `least 131072${cpus === null ? '; only the machine knows its CPUs, so state more for a large one' : ''}`,
    },
    {
      key: 'net.netfilter.nf_conntrack_buckets',
      // The kernel rounds up to whole pages of 512 pointers, and the node reads back what is planned.
      value: String(Math.ceil(most / 4 / 512) * 512),
      reason: 'a quarter of nf_conntrack_max, as kube-proxy would size the hash table',
    },
  ];
}

function baseline(ipv6: boolean, conntrack: SysctlPlan[]): SysctlPlan[] {
  const forwarding: SysctlPlan[] = [
    { key: 'net.ipv4.ip_forward', value: '1', reason: 'a node forwards between its pods and the underlay' },
  ];
  const forwardingIpv6: SysctlPlan[] = [
    {
      key: 'net.ipv6.conf.all.forwarding',
      value: '1',
      reason: 'a node forwards IPv6 between its pods and the underlay',
    },
    {
      key: 'net.ipv6.conf.default.accept_ra',
      value: '0',
      reason:
        'addresses and gateways are static: pod and tunnel interfaces that appear later must not take a default route ' +
        'from a router advertisement; with forwarding on, the others ignore advertisements by themselves',
    },
  ];
  const bridge = (key: string): SysctlPlan => ({
    key,
    value: '1',
    reason: 'pods on a bridge of the node pass the Service and policy rules too',
  });
  return [
    ...forwarding,
    ...(ipv6 ? forwardingIpv6 : []),
    {
      key: 'net.ipv4.conf.all.rp_filter',
      value: '1',
      reason:
        "strict: with systemd's default of 2 (loose) no interface can be strict, because the kernel takes the larger of " +
        'both, and pods could use addresses that are not theirs; Felix accepts 0 or 1',
    },
    { key: 'net.ipv4.conf.default.rp_filter', value: '1', reason: 'pod interfaces that appear later start strict' },
    bridge('net.bridge.bridge-nf-call-iptables'),
    ...(ipv6 ? [bridge('net.bridge.bridge-nf-call-ip6tables')] : []),
    ...conntrack,
    {
      key: 'net.netfilter.nf_conntrack_tcp_timeout_time_wait',
      value: '30',
      reason: 'short connections leave the table after 30 s instead of 120 s',
    },
    {
      key: 'net.core.netdev_max_backlog',
      value: '5000',
      reason: 'bursts wait instead of being dropped; the default of 1000 is short for a virtual NIC',
    },
  ];
}
