import { etcdFacts, etcdMetrics, nftRules, serviceKey, virtualServers } from '../../components/clusterProbe/parse';

/** As the kernel writes it; the wide columns are counters. */
const IP_VS = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A600001:01BB rr 
  -> C000020B:192B      Masq    1      3          0         
TCP  0A60000A:0035 wrr 
  -> 0AF40C03:0035      Masq    1      0          0         
  -> 0AF40B02:0035      Masq    1      0          0         
UDP  0A60000A:0035 rr 
TCP  [fd00:5157:0096:0000:0000:0000:0000:000a]:0035 rr 
  -> [fd00:5157:0244:000c:0000:0000:0000:0003]:0035      Masq    1      0          0         
`;

test('virtual servers of IPVS by protocol, address and port, with their scheduler and real servers', () => {
  expect(virtualServers(IP_VS)).toEqual({
    'tcp 10.96.0.1:443': { scheduler: 'rr', realServers: 1 },
    'tcp 10.96.0.10:53': { scheduler: 'wrr', realServers: 2 },
    'udp 10.96.0.10:53': { scheduler: 'rr', realServers: 0 },
    'tcp [fd00:5157:96::a]:53': { scheduler: 'rr', realServers: 1 },
  });
});

test('rules of nftables and of iptables that lead to a Service', () => {
  const services = [
    { name: 'kubernetes', address: '10.96.0.1', port: 443, protocols: ['tcp' as const] },
    { name: 'kube-dns', address: '10.96.0.10', port: 53, protocols: ['tcp' as const, 'udp' as const] },
  ];
  const rule = { scheduler: null, realServers: null };
  const nftables = `
\t\t\t     10.96.0.1 . tcp . 443 : goto service-2QRHZV4L-default/kubernetes/tcp/https,
\t\t\t     10.96.0.10 . tcp . 53 : goto service-NWBZK7IH-kube-system/kube-dns/tcp/dns-tcp }`;
  expect(nftRules(nftables, services)).toEqual({ 'tcp 10.96.0.1:443': rule, 'tcp 10.96.0.10:53': rule });
  const iptables = `
\t\tmeta l4proto udp ip daddr 10.96.0.10  udp dport 53 counter packets 0 bytes 0 jump KUBE-SVC-TCOU7JCQXEZGVUNU
\t\tmeta l4proto tcp ip daddr 10.96.0.1  tcp dport 443 counter packets 2 bytes 120 jump KUBE-SVC-NPX46M4PTMTKRN6Y`;
  expect(nftRules(iptables, services)).toEqual({ 'tcp 10.96.0.1:443': rule, 'udp 10.96.0.10:53': rule });
  expect(serviceKey('tcp', 'fd00::a', 53)).toBe('tcp [fd00::a]:53');
});

const metrics = (counts: number[]) => `# HELP etcd_server_has_leader Whether or not a leader exists.
etcd_server_has_leader 1
etcd_mvcc_db_total_size_in_bytes 4.194304e+06
etcd_server_quota_backend_bytes 2.147483648e+09
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} ${counts[0]}
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.002"} ${counts[1]}
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.004"} ${counts[2]}
etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} ${counts[3]}
etcd_disk_wal_fsync_duration_seconds_sum 1.5
`;

describe('metrics of etcd', () => {
  const start = etcdMetrics(metrics([1000, 1000, 1000, 1000]));

  test('the syncs of this run count where they are enough, linear within the bucket', () => {
    // 200 during the run: the 198th lies 98 hundredths into the last 100, which took 2 to 4 ms.
    expect(etcdFacts(start, etcdMetrics(metrics([1000, 1100, 1200, 1200])))).toEqual({
      ...{ hasLeader: true, databaseBytes: 4194304, quotaBytes: 2147483648 },
      ...{ fsyncP99Milliseconds: 3.96, fsyncCount: 200, duringRun: true },
    });
  });

  test('else all since etcd started', () => {
    const facts = etcdFacts(start, etcdMetrics(metrics([1000, 1000, 1000, 1010])));
    expect(facts).toMatchObject({ fsyncCount: 1010, duringRun: false });
    expect(facts.fsyncP99Milliseconds).toBeCloseTo(0.9999, 4);
  });

  test('above the last bound the bound is what is known, and nothing written is no figure', () => {
    expect(etcdFacts(start, etcdMetrics(metrics([1000, 1000, 1000, 1100]))).fsyncP99Milliseconds).toBe(4);
    const empty = etcdMetrics(metrics([0, 0, 0, 0]).replace('has_leader 1', 'has_leader 0'));
    expect(etcdFacts(empty, empty)).toMatchObject({ fsyncP99Milliseconds: null, hasLeader: false });
  });
});
