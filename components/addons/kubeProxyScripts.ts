import { Address4, Address6 } from 'ip-address';
import type { KubeProxyPlan } from '../plan/clusterTypes';

/**
 * Shell scripts that run inside the kube-proxy image. What its makers put there beside kube-proxy and the programs of the
 * modes (iptables, ip6tables, ipset, nft) differs: the scripts need a plain shell and nothing else, not even grep.
 */

export const KUBE_PROXY = '/usr/local/bin/kube-proxy';

/** Port of the Service default/kubernetes. */
const API_SERVICE_PORT = 443;
/** kube-proxy's own default where the configuration names no scheduler. */
const DEFAULT_SCHEDULER = 'rr';

/** has PATTERN: whether a line of stdin matches it. */
const HAS = 'has() { while IFS= read -r line; do case $line in $1) return 0 ;; esac; done; return 1; }';

/** True while rules of the other of the two modes are on the node that share iptables and therefore stay. */
const FOREIGN_RULES: Partial<Record<KubeProxyPlan['mode'], string>> = {
  // Chains of endpoints: mode ipvs makes none.
  ipvs: `{ iptables-save -t nat; ip6tables-save -t nat; } 2>/dev/null | has ':KUBE-SEP-*'`,
  iptables: `[ -e /sys/class/net/kube-ipvs0 ]`,
};

/**
 * Removes the rules of the mode that the node had before; null where nothing has to run.
 *
 * kube-proxy itself removes the rules of nftables when it starts in another mode, and those of the others when it starts
 * in mode nftables; between ipvs and iptables it leaves them. Its `--cleanup` removes the rules of every mode, the wanted
 * ones too, so it runs only where rules of the other mode are really there: a restart in the same mode must not cut
 * connections. What is on the node decides, and no record of the last mode, which a reboot or a restored disk makes wrong.
 */
export function cleanupScript(mode: KubeProxyPlan['mode']): string | null {
  const foreign = FOREIGN_RULES[mode];
  if (foreign === undefined) return null;
  return [
    HAS,
    `foreign() { ${foreign}; }`,
    'foreign || exit 0',
    'echo "step: removing the rules of the mode before"',
    // Its exit code also counts what does not matter here, such as a missing family; what is left on the node decides.
    `${KUBE_PROXY} --cleanup`,
    'if foreign; then echo "rules of the mode before are still there"; exit 1; fi',
    '',
  ].join('\n');
}

/**
 * Succeeds once the node has the rule of the Service default/kubernetes, in the form of this mode and, in mode ipvs, with
 * the planned scheduler: a rolling update does not go on to the next node before.
 * @param apiServiceAddress address of that Service, which has one family only.
 */
export function rulesScript(plan: KubeProxyPlan, apiServiceAddress: string): string {
  return `${HAS}\n${lookup(plan, apiServiceAddress)}\n`;
}

function lookup(plan: KubeProxyPlan, address: string): string {
  const isIpv6 = address.includes(':');
  switch (plan.mode) {
    case 'ipvs':
      return `has '${virtualServer(address, schedulerOf(plan))} *' </proc/net/ip_vs`;
    case 'nftables':
      return `nft list map ${isIpv6 ? 'ip6' : 'ip'} kube-proxy service-ips | has '*${address} . tcp . ${API_SERVICE_PORT} :*'`;
    case 'iptables': {
      const network = `${address}/${isIpv6 ? 128 : 32}`;
      return `${isIpv6 ? 'ip6tables' : 'iptables'}-save -t nat | has '-A KUBE-SERVICES -d ${network} *-j KUBE-SVC-*'`;
    }
  }
}

/** The beginning of a line of /proc/net/ip_vs: upper-case hexadecimal for IPv4, all eight groups for IPv6. */
function virtualServer(address: string, scheduler: string): string {
  const text = address.includes(':')
    ? `\\[${new Address6(address).canonicalForm()}]`
    : new Address4(address).toHex().replace(/:/g, '').toUpperCase();
  const port = API_SERVICE_PORT.toString(16).toUpperCase().padStart(4, '0');
  return `TCP  ${text}:${port} ${scheduler}`;
}

function schedulerOf({ configuration }: KubeProxyPlan): string {
  const ipvs = configuration.ipvs as { scheduler?: string } | undefined;
  return ipvs?.scheduler || DEFAULT_SCHEDULER;
}
