import { renderClusterProbe, type ClusterFacts, type ClusterProbeRequest } from '../../components/clusterProbe';
import { judgeCluster } from '../../components/clusterProbe/judge';
import { facts, ping, request } from './fixtures';

const lines = (found: ClusterFacts, more: Partial<ClusterProbeRequest> = {}) =>
  judgeCluster(found, request(more)).map(
    ({ severity, probe, where, message }) => `${severity} ${probe} ${where}: ${message}`,
  );

/** The first pod of good facts, for a test to spoil. */
function spoiled(spoil: (found: ReturnType<typeof facts>) => void, more?: Partial<ClusterProbeRequest>): string[] {
  const found = facts();
  spoil(found);
  return lines(found, more);
}
const pod = (found: ReturnType<typeof facts>) => found.pods.measured[0]!.measured;

test('a cluster as planned has no findings', () => {
  expect(lines(facts())).toEqual([]);
});

test('nodes that are missing, not Ready, under pressure, cordoned or out of reach', () => {
  expect(
    spoiled(({ nodes: [one, two] }) => {
      one!.object = { ready: false, reasons: ['container runtime is down'], cordoned: false };
      two!.object = null;
      two!.error = 'root@192.0.2.12:22: nobody listens';
    }),
  ).toEqual([
    'error node-ready one: not Ready: container runtime is down; journalctl -u kubelet on it says more',
    'error node-ready two: it is no node of the cluster: `up` makes it one',
    'error node-ready two: cannot be asked: root@192.0.2.12:22: nobody listens',
  ]);
  expect(
    spoiled(({ nodes: [one] }) => {
      one!.object = { ready: true, reasons: ['DiskPressure: kubelet has disk pressure'], cordoned: true };
    }),
  ).toEqual([
    'error node-ready one: DiskPressure: kubelet has disk pressure',
    'info node-ready one: cordoned: no new pod comes to it (kubectl uncordon)',
  ]);
});

test('kube-proxy in another mode, without a rule, without pods, with another scheduler', () => {
  expect(
    spoiled(({ nodes: [one, two] }) => {
      one!.machine!.proxyMode = 'iptables';
      one!.machine!.services = {
        rules: {
          'tcp 10.96.0.1:443': { scheduler: 'sh', realServers: 1 },
          'tcp 10.96.0.10:53': { scheduler: 'rr', realServers: 0 },
        },
      };
      two!.machine!.proxyMode = { error: 'Connection refused' };
      two!.machine!.services = { error: 'the module ip_vs is not loaded' };
    }),
  ).toEqual([
    'error kube-proxy one: runs in mode iptables, planned: ipvs; `up` restarts kube-proxy with the planned one',
    'error kube-proxy one: the Service kubernetes (tcp 10.96.0.1:443) uses the scheduler sh, planned: rr',
    'error kube-proxy one: the Service kube-dns (tcp 10.96.0.10:53) has no pod behind it',
    'error kube-proxy one: has no rule for the Service kube-dns (udp 10.96.0.10:53)',
    'error kube-proxy two: does not answer on 127.0.0.1:10249: Connection refused; kubectl -n kube-system logs ds/kube-proxy says why',
    'error kube-proxy two: the rules of Services cannot be read: the module ip_vs is not loaded',
  ]);
});

test('connection tracking that is not the planned one or almost full', () => {
  const spoil = ({ nodes: [one] }: ClusterFacts) => {
    one!.machine!.conntrackMax = 1000;
    one!.machine!.conntrackCount = 950;
  };
  const full =
    'error conntrack one: the table is almost full (950 of 1000 connections); at its end new connections are dropped';
  expect(spoiled(spoil)).toEqual([
    'error conntrack one: nf_conntrack_max is 1000, planned: 131072: something else on the node sets it; `up` puts it back',
    full,
  ]);
});

test('connection tracking that kube-proxy owns has the size that it gives to so many CPUs', () => {
  const nodes = request().nodes.map((node) => ({ ...node, conntrackMax: null }));
  const kubeProxy = { ...request().kubeProxy, conntrack: { perCpu: 32768, least: 131072, most: 1048576 } };
  const found = (most: number, cpus: number) =>
    spoiled(({ nodes: both }) => both.forEach(({ machine }) => Object.assign(machine!, { conntrackMax: most, cpus })), {
      nodes,
      kubeProxy,
    });
  expect([found(262144, 8), found(131072, 2), found(1048576, 64)]).toEqual([[], [], []]);
  expect(found(131072, 8)[0]).toBe(
    'error conntrack one: nf_conntrack_max is 131072, and kube-proxy sets 262144 for 8 CPUs when it starts: something has set it since, or the CPUs came later; restart kube-proxy there',
  );
});

test('etcd without a leader, near its quota, on a slow disk; a warning where the site says so', () => {
  const spoil = ({ nodes: [one] }: ClusterFacts) => {
    one!.etcd = {
      ...{ hasLeader: false, databaseBytes: 1_900_000_000, quotaBytes: 2_000_000_000 },
      ...{ fsyncP99Milliseconds: 31.26, fsyncCount: 5000, duringRun: false },
    };
  };
  expect(spoiled(spoil, { warn: ['etcd-disk'] })).toEqual([
    'error etcd one: this member of etcd has no leader: a majority of members is away',
    'error etcd one: the database has 95 % of its quota of 2000000000 bytes; at its quota etcd refuses writes: defragment or raise it',
    "warn etcd-disk one: etcd's fsync takes 31.3 ms (p99 of 5000 since etcd started), allowed: 10 ms: its disk is too slow",
  ]);
  expect(
    spoiled(({ nodes: [one] }) => {
      one!.etcd = { error: 'Connection refused' };
    }),
  ).toEqual(['error etcd one: etcd does not tell its metrics: Connection refused']);
});

test('packets between pods that are too large for the path, do not pass, or pass above the plan', () => {
  expect(
    spoiled((found) => {
      const [size] = pod(found).sizes;
      Object.assign(size!, { full: ping(1500, 0), largestBytes: 1450 });
      pod(found).sizes.push(
        { ...size!, family: 'ipv6', largestBytes: null },
        { ...size!, family: 'ipv6', full: ping(1500, 5), largestBytes: 1500, above: ping(1501, 1) },
      );
      pod(found).deviceMtuBytes = 9000;
    }),
  ).toEqual([
    'error pod-mtu one: the device of a new pod has an MTU of 9000, planned: 1500; pods have the MTU of their start: `up`, then restart the pods',
    'error pod-mtu one -> two: ipv4: 1500 does not pass from pod to pod, 1450 does: something between them adds 50 bytes, as VXLAN does',
    'error pod-mtu one -> two: ipv6: no packet gets from pod to pod: a route, a filter or ip_forward is missing',
    'error pod-mtu one -> two: ipv6: 1501 passes from pod to pod: larger packets than planned leave a pod',
  ]);
});

test('a zone whose servers a pod does not reach; one that has no such name is reached', () => {
  const zones = [{ zone: 'corp.example', servers: ['192.0.2.53', '192.0.2.54'] }];
  const found = (...answers: { error: string | null; answer?: 'NXDOMAIN' }[]) =>
    spoiled(
      (all) => {
        pod(all).zones = answers.map((answer) => ({ zone: 'corp.example', ...answer }));
      },
      { zones },
    );
  expect(found({ error: null, answer: 'NXDOMAIN' })).toEqual([]);
  expect(found({ error: 'SERVFAIL' })).toEqual([
    'error pod-dns one: the zone corp.example is not reached: SERVFAIL; look at its servers (dns.stubZones: 192.0.2.53, 192.0.2.54) and at the way to them',
  ]);
  const all = facts();
  pod(all).zones = [{ zone: 'corp.example', error: null, answer: 'NXDOMAIN', milliseconds: 2 }];
  expect(renderClusterProbe({ facts: all, findings: [] }, { color: false })).toMatch(
    /one +corp\.example +NXDOMAIN +2\.0 ms/,
  );
});

describe('a Service', () => {
  test('whose pods are not all reached, or which fails', () => {
    const spoil = (found: ReturnType<typeof facts>) => {
      Object.assign(pod(found).services[0]!, { reached: { one: 16 }, failed: { 'no answer': 2 }, transfer: null });
    };
    const failed = 'error service one: 10.96.7.7: 2 connections through a Service failed: no answer';
    expect(spoiled(spoil)).toEqual([
      failed,
      'error service one: 10.96.7.7: the pods on two were never reached in 16 connections through a Service',
    ]);
    // A scheduler that keeps a client with one pod is no fault.
    const sticky = spoiled(spoil, { kubeProxy: { ...request().kubeProxy, scheduler: 'sh' } });
    expect(sticky).toContain(
      'info service one: 10.96.7.7: the pods on two were not reached: the scheduler sh keeps a client with one pod',
    );
    expect(sticky.filter((line) => line.startsWith('error service'))).toEqual([failed]);
  });

  test('through which large segments do not pass, or only smaller ones', () => {
    expect(
      spoiled((found) => {
        const { transfer } = pod(found).services[0]!;
        transfer!.down = { pathMtuBytes: 1450, segmentBytes: 1398, segments: 3000, retransmits: 1 };
        const [second] = found.pods.measured[1]!.measured.services;
        Object.assign(second!.transfer!, { error: 'no answer', seconds: 20 });
      }),
    ).toEqual([
      'error service one -> two: 10.96.7.7: back only segments of 1398 bytes on a path MTU of 1450, planned: 1448 on 1500',
      'error service two -> one: 10.96.7.7: 4194304 bytes each way through a Service did not finish: no answer after 20 s; ' +
        'small packets pass and large ones do not: look at the MTU and at LRO of the nodes',
    ]);
  });
});

test('names that fail or take over a second', () => {
  expect(
    spoiled((found) => {
      Object.assign(pod(found).names[1]!, { overOneSecond: 3, maxMilliseconds: 5004.4 });
      Object.assign(pod(found).names[0]!, { failed: 50, error: 'Name or service not known' });
    }),
  ).toEqual([
    'error pod-dns one: kubernetes.default: 50 of 50 in a row failed: Name or service not known',
    'error pod-dns one: kubernetes.default: 3 of 50 ten at once took over 1 s, the slowest 5004 ms, allowed: 1000 ms; a lost question is asked again after 5 s: look at the node-local cache and at conntrack -S',
  ]);
});

test('peers from pods: a closed port, a smaller path, no answer; never more than the device of a pod takes', () => {
  const spoil = (largestBytes: number | null, error: string | null) =>
    spoiled((found) => {
      Object.assign(pod(found).peers[0]!, { largestBytes, tcp: { error } });
    });
  expect(spoil(1400, 'Connection refused')).toEqual([
    'error peers pod on one: erp (192.0.2.200): TCP 443: Connection refused',
    expect.stringMatching(/^error peers pod on one: erp \(192\.0\.2\.200\): 1500 does not pass, 1400 does: /),
  ]);
  expect(spoil(null, null)).toEqual([
    'info peers pod on one: erp (192.0.2.200): answers no echo request: the packet size on the way to it is not proved',
  ]);
  expect(spoil(null, 'no answer')).toHaveLength(2);
  const overlay = { podMtuBytes: 1450 };
  const onSmallerPods = spoiled((found) => void (pod(found).peers[0]!.largestBytes = 1450), overlay);
  expect(onSmallerPods.filter((line) => line.includes('peers'))).toEqual([]);
});

test('a pod that does not start', () => {
  expect(
    spoiled((found) => {
      (found.pods.measured as unknown[])[1] = { node: 'two', error: 'ErrImageNeverPull' };
      pod(found).services[0]!.reached = { one: 16 };
      pod(found).services[0]!.transfer = null;
    }),
  ).toEqual(['error pod-start two: no pod can be probed there: ErrImageNeverPull']);
});

test('a pod that gets no answer from a name server outside', () => {
  expect(
    spoiled((found) => {
      pod(found).nameServers = [{ address: '192.0.2.53', error: 'no answer' }];
    }),
  ).toEqual([
    expect.stringMatching(/^error egress one: the name server 192\.0\.2\.53 does not answer a pod: no answer; /),
  ]);
});

test('the tables, plain', () => {
  const text = renderClusterProbe({ facts: facts(), findings: [] }, { color: false });
  const words = text.split('\n').map((line) => line.trim().replace(/ {2,}/g, ' | '));
  expect(words).toContain(
    'one | control-plane | yes | ipvs | 3 | 300 of 131072 | leader known, 4 of 2048 MiB | 4.0 ms',
  );
  expect(words).toContain('one | two | ipv4 | 1500 ok | refused');
  expect(words).toContain(
    'one | 10.96.7.7 | one 8, two 8 | 3.0 ms | 16.8 MB/s to and from two | 1448 / 1448 | 1500 / 1500 | 0 / 0',
  );
  expect(words).toContain('two | kubernetes.default | 50 ten at once | 1.0 ms | 4.0 ms | 5.0 ms | 0 | 0');
  expect(words).toContain('the cluster passed (2 nodes, 2 pods)');
});
