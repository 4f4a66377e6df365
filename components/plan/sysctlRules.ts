import type { SiteSpec } from '../spec/schema';
import { CONNTRACK_MAX, conntrackOwner } from './conntrack';
import type { Findings } from './findings';
import type { SpecPath } from './types';

/** What a site may not do to a sysctl, and why. */
interface Rule {
  keys: RegExp;
  /** When the rule holds; absent: always. */
  when?: (context: { mode: SiteSpec['kubeProxy']['mode']; ipv6: boolean }) => boolean;
  allowed: (value: string) => boolean;
  /** Follows "… is refused: ". Ends with what to do. */
  why: string;
}

const only =
  (...values: string[]) =>
  (value: string) =>
    values.includes(value);

const RULES: readonly Rule[] = [
  {
    keys: /^net\.ipv4\.(ip_forward|conf\.(all|default)\.forwarding)$/,
    allowed: only('1'),
    why: 'without forwarding no packet reaches a pod of this node; leave it out, 1 is set',
  },
  {
    keys: /^net\.ipv6\.conf\.(all|default)\.forwarding$/,
    when: ({ ipv6 }) => ipv6,
    allowed: only('1'),
    why: 'without forwarding no IPv6 packet reaches a pod of this node; leave it out, 1 is set',
  },
  {
    keys: /^net\.ipv6\.conf\.(all|default)\.disable_ipv6$/,
    when: ({ ipv6 }) => ipv6,
    allowed: only('0'),
    why: 'network.podCidrs has an IPv6 network; leave it out, or take the IPv6 network out',
  },
  {
    keys: /^net\.bridge\.bridge-nf-call-iptables$/,
    allowed: only('1'),
    why: 'bridged pods would bypass Services and network policy, and kubeadm refuses the node; leave it out, 1 is set',
  },
  {
    keys: /^net\.bridge\.bridge-nf-call-ip6tables$/,
    when: ({ ipv6 }) => ipv6,
    allowed: only('1'),
    why: 'bridged pods would bypass Services and network policy, and kubeadm refuses the node; leave it out, 1 is set',
  },
  {
    keys: /^net\.ipv4\.conf\.all\.rp_filter$/,
    allowed: only('0', '1'),
    why:
      'Felix accepts 0 or 1: with 2 (loose) on `all` no interface can be strict and pods can use addresses that are not ' +
      'theirs; leave it out and set 2 on the interface that needs it, such as net.ipv4.conf.ens192.rp_filter',
  },
  {
    keys: /^net\.ipv4\.ip_no_pmtu_disc$/,
    allowed: only('0'),
    why: 'path MTU discovery must stay on for connections that leave the site; leave it out, 0 is the default',
  },
  {
    keys: /^net\.ipv4\.vs\.conn_reuse_mode$/,
    allowed: () => false,
    why: 'kube-proxy chooses it by the kernel (a wrong value delays reused connections by a second); leave it out',
  },
  {
    keys: /^net\.ipv4\.vs\.(conntrack|expire_nodest_conn|expire_quiescent_template)$/,
    when: ({ mode }) => mode === 'ipvs',
    allowed: only('1'),
    why: 'kube-proxy in mode ipvs sets it to 1 whenever it starts; leave it out',
  },
];

/**
 * The dotted form of a sysctl key. As in sysctl.d: where the first separator is a slash, dots are part of a name
 * (`net/ipv4/conf/eth0.100/forwarding`), and the dotted form swaps the two.
 */
export function normalizeKey(key: string): string {
  if (key.search(/[./]/) !== key.indexOf('/')) return key;
  return key.replace(/[./]/g, (separator) => (separator === '/' ? '.' : '/'));
}

/** Refuses overrides that break what the cluster needs, and those that the node could not read back. */
export function checkOverrides(spec: SiteSpec, ipv6: boolean, findings: Findings): void {
  const context = { mode: spec.kubeProxy.mode, ipv6 };
  const seen = new Map<string, string>();
  for (const [given, number] of Object.entries(spec.nodePrep.sysctls)) {
    const path: SpecPath = ['nodePrep', 'sysctls', given];
    const key = normalizeKey(given);
    const value = String(number).trim();
    const earlier = seen.get(key);
    if (earlier !== undefined) {
      findings.error(path, number, `${given} and ${earlier} are the same key: keep one`);
    }
    seen.set(key, given);
    if (key.includes('*')) {
      findings.error(path, number, `${given} is a pattern: every value is read back after it is set, so name each key`);
      continue;
    }
    if (value === '' || /[\r\n]/.test(value)) {
      findings.error(path, number, `${given} needs a value of one line`);
      continue;
    }
    for (const rule of RULES) {
      if (!rule.keys.test(key) || (rule.when && !rule.when(context)) || rule.allowed(value)) continue;
      findings.error(path, number, `${key} = ${value} is refused: ${rule.why}`);
    }
    if (key === CONNTRACK_MAX) checkConntrack(spec, path, { number, value }, findings);
  }
}

function checkConntrack(
  spec: SiteSpec,
  path: SpecPath,
  { number, value }: { number: unknown; value: string },
  findings: Findings,
): void {
  switch (conntrackOwner(spec)) {
    case 'site':
      if (!/^[1-9][0-9]{0,9}$/.test(value)) findings.error(path, number, `${value} is not a number of connections`);
      return;
    case 'kube-proxy':
      findings.error(
        path,
        number,
        `${CONNTRACK_MAX} = ${value} is refused: kube-proxy sets it whenever it starts (kubeProxy.conntrack), and both would ` +
          'take turns; leave it out, or set kubeProxy.conntrack to site',
      );
      return;
    case 'nobody':
      findings.warning(path, number, `${value} holds until kube-proxy starts: it then sets max(32768 x cores, 131072)`);
  }
}
