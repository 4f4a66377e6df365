import { bracketed } from '../plan/ip';
import type { BgpSession } from './calicoFacts';
import type { ClusterProbeRequest, EtcdFacts, ServiceRule } from './facts';

/** What nodes tell in other programs' own text, as values. */

/** `protocol address:port`, as findings name a virtual server. */
export const serviceKey = (protocol: string, address: string, port: number) =>
  `${protocol} ${bracketed(address)}:${port}`;

/**
 * Virtual servers of /proc/net/ip_vs by `serviceKey`. The kernel writes IPv4 addresses as eight hexadecimal digits and
 * IPv6 ones in full within brackets; real servers follow theirs, each behind an arrow.
 */
export function virtualServers(text: string): Record<string, ServiceRule> {
  const found: Record<string, ServiceRule> = {};
  let current: ServiceRule | undefined;
  for (const line of text.split('\n')) {
    const server = /^(TCP|UDP|SCTP) +(\[[0-9a-fA-F:]+\]|[0-9A-F]{8}):([0-9A-F]{4}) +(\S+)/.exec(line);
    if (server !== null) {
      const [, protocol, address, port, scheduler] = server;
      current = { scheduler, realServers: 0 };
      found[serviceKey(protocol.toLowerCase(), addressOf(address), parseInt(port, 16))] = current;
    } else if (/^ +-> +[^ R]/.test(line) && current !== undefined) {
      current.realServers = (current.realServers ?? 0) + 1;
    }
  }
  return found;
}

function addressOf(text: string): string {
  if (text.startsWith('[')) return canonical(text.slice(1, -1));
  return [0, 2, 4, 6].map((at) => parseInt(text.slice(at, at + 2), 16)).join('.');
}

/** As Node writes an IPv6 address, which is how the plan does. */
const canonical = (address: string) => new URL(`http://[${address}]/`).hostname.slice(1, -1);

/** Rules of nft's own listing that lead to the wanted Services; in these modes no server is told apart. */
export function nftRules(text: string, services: ClusterProbeRequest['services']): Record<string, ServiceRule> {
  const found: Record<string, ServiceRule> = {};
  const lines = text.split('\n');
  for (const { address, port, protocols } of services) {
    for (const protocol of protocols) {
      const nftables = `${address} . ${protocol} . ${port} `;
      // As iptables-nft writes a rule: `ip daddr 10.96.0.1 … tcp dport 443 …`, or the match of its extension.
      const isIptables = (line: string) =>
        line.includes(`daddr ${address} `) && line.includes(protocol) && line.includes(`${port} `);
      if (!lines.some((line) => `${line} `.includes(nftables) || isIptables(`${line} `))) continue;
      found[serviceKey(protocol, address, port)] = { scheduler: null, realServers: null };
    }
  }
  return found;
}

export interface EtcdMetrics {
  hasLeader: boolean;
  databaseBytes: number;
  quotaBytes: number;
  /** Upper bound in seconds and how many took at most that long, ascending; the last bound is Infinity. */
  fsync: { seconds: number; count: number }[];
}

/** Of the text format of Prometheus, those metrics of etcd that the probe judges. */
export function etcdMetrics(text: string): EtcdMetrics {
  const value = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  const bucket = /^etcd_disk_wal_fsync_duration_seconds_bucket\{le="([^"]+)"\} (\S+)$/gm;
  return {
    hasLeader: value('etcd_server_has_leader') === 1,
    databaseBytes: value('etcd_mvcc_db_total_size_in_bytes'),
    quotaBytes: value('etcd_server_quota_backend_bytes'),
    fsync: [...text.matchAll(bucket)].map(([, bound, count]) => ({
      seconds: bound === '+Inf' ? Infinity : Number(bound),
      count: Number(count),
    })),
  };
}

/** So many syncs make a 99th percentile. */
const ENOUGH_SYNCS = 100;

/**
 * What two readings say: of the syncs between them where they are enough, else of all since etcd started. The percentile is
 * that of Prometheus' histogram_quantile: linear within its bucket, and the last bound where it lies above that.
 */
export function etcdFacts(before: EtcdMetrics, after: EtcdMetrics): EtcdFacts {
  const since = after.fsync.map(({ seconds, count }, index) => ({
    seconds,
    count: count - (before.fsync[index]?.count ?? 0),
  }));
  const duringRun = (since.at(-1)?.count ?? 0) >= ENOUGH_SYNCS;
  const buckets = duringRun ? since : after.fsync;
  const { hasLeader, databaseBytes, quotaBytes } = after;
  return {
    ...{ hasLeader, databaseBytes, quotaBytes, duringRun },
    fsyncP99Milliseconds: quantileMilliseconds(buckets, 0.99),
    fsyncCount: buckets.at(-1)?.count ?? 0,
  };
}

function quantileMilliseconds(buckets: EtcdMetrics['fsync'], share: number): number | null {
  const rank = share * (buckets.at(-1)?.count ?? 0);
  if (rank === 0) return null;
  const index = buckets.findIndex(({ count }) => count >= rank);
  const [below, here] = [buckets[index - 1] ?? { seconds: 0, count: 0 }, buckets[index]!];
  if (here.seconds === Infinity) return below.seconds * 1000;
  const within = (rank - below.count) / (here.count - below.count);
  return (below.seconds + (here.seconds - below.seconds) * within) * 1000;
}

/**
 * Sessions in BIRD's answer to `show protocols all`. Each protocol begins with a line of code 1002, and a session has its
 * state, its neighbour and, where there was one, its last error below.
 */
export function bgpSessions(text: string): BgpSession[] {
  return text.split(/^1002-/m).flatMap((part): BgpSession[] => {
    const value = (key: string) => new RegExp(`^ +${key}: +(.+?) *$`, 'm').exec(part)?.[1] ?? null;
    const [address, state] = [value('Neighbor address'), value('BGP state')];
    return address === null || state === null ? [] : [{ address, state, error: value('Last error') }];
  });
}
