import * as semver from 'semver';
import type { SiteSpec } from '../spec/schema';

/** Who sets the size of the table of connections of every node, and to what. */

export const CONNTRACK_MAX = 'net.netfilter.nf_conntrack_max';

export interface ConntrackRule {
  perCpu: number;
  least: number;
  /** Null: without an upper bound. */
  most: number | null;
}

const RULE = { perCpu: 32768, least: 131072, most: 1048576 };
/** The first version whose kube-proxy has an upper bound. */
const CAPPED = '1.36.0';

/** `site` is nobody's but the plan's: kube-proxy is told to leave the table alone. */
type Owner = 'site' | 'kube-proxy' | 'nobody';

/** `nobody`: without a cluster of the kit no kube-proxy of the kit runs. */
export function conntrackOwner(spec: SiteSpec): Owner {
  return spec.kubernetes.version === undefined ? 'nobody' : spec.kubeProxy.conntrack;
}

/** What the site takes where it owns the table. */
export const SITE_CONNTRACK: ConntrackRule = RULE;

/** What kube-proxy of a version sets whenever it starts, where it owns the table. */
export const proxyConntrack = (version: string): ConntrackRule => ({
  ...RULE,
  most: semver.gte(version, CAPPED) ? RULE.most : null,
});

export const conntrackMax = ({ perCpu, least, most }: ConntrackRule, cpus: number) =>
  Math.min(Math.max(perCpu * cpus, least), most ?? Infinity);

export const conntrackText = ({ perCpu, least, most }: ConntrackRule) =>
  `${perCpu} a CPU, at least ${least}${most === null ? '' : `, at most ${most}`}`;
