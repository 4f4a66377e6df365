import { likelyCause } from '../proof/cause';
import type { ProofFinding } from '../proof/facts';
import { conntrackMax } from '../plan/conntrack';
import type { ProbeName } from '../spec/schema';
import type {
  ClusterFacts,
  ClusterNodeFacts,
  ClusterProbeRequest,
  EtcdFacts,
  MachineFacts,
  NameFacts,
  PodFacts,
  PodMeasurements,
  PodServiceFacts,
  PodSizeFacts,
  ServiceTransferFacts,
  TcpFacts,
} from './facts';
import { judgeCalico, judgeLinks } from './calicoJudge';
import { judgeFences } from './fences';
import { judgeIngress } from './ingress';
import { faultyLayer, type PathFacts } from './layers';
import { serviceKey } from './parse';

/** Compares the facts of a live cluster with its plan. Pure: the same facts give the same findings. */

type Judged = Omit<ClusterProbeRequest, 'kind' | 'nodes' | 'limitFactor'> & {
  nodes: Pick<ClusterProbeRequest['nodes'][number], 'name' | 'conntrackMax'>[];
};

/** etcd raises NOSPACE at its quota and refuses every write from then on; a fifth is left to act in. */
const ETCD_QUOTA_SHARE = 0.8;
/** At the maximum the kernel drops new connections. */
const CONNTRACK_SHARE = 0.9;
/** TCP's own header, IP's, and the options that every segment may carry: time stamps, 12 bytes (RFC 7323). */
const SEGMENT_HEADERS = { ipv4: 40, ipv6: 60 };
const SEGMENT_OPTIONS_BYTES = 12;

const round = (value: number) => Math.round(value * 10) / 10;
const percent = (value: number) => `${Math.round(value * 100)} %`;

class Report {
  readonly findings: ProofFinding[] = [];

  constructor(private readonly warn: string[]) {}

  fail(probe: ProbeName, where: string, message: string): void {
    this.findings.push({ probe, severity: this.warn.includes(probe) ? 'warn' : 'error', where, message });
  }

  note(probe: ProbeName, where: string, message: string): void {
    this.findings.push({ probe, severity: 'info', where, message });
  }
}

export function judgeCluster(facts: ClusterFacts, request: Judged): ProofFinding[] {
  const report = new Report(request.warn);
  const severity = (probe: ProbeName) => (request.warn.includes(probe) ? 'warn' : 'error');
  for (const node of facts.nodes) judgeNode(node, request, report);
  if (facts.calico !== null && request.calico !== null) {
    const calico = severity('calico');
    report.findings.push(...judgeCalico(facts.calico, request.calico, calico));
    report.findings.push(...judgeLinks(facts.calico, request.calico, calico === 'warn' ? calico : request.olderPods));
  }
  if (facts.ingress && request.ingress !== null) {
    report.findings.push(...judgeIngress(facts.ingress, request.ingress, severity('ingress')));
  }
  const nodes = facts.pods.measured.filter(({ measured }) => measured !== undefined).map(({ node }) => node);
  for (const pod of facts.pods.measured) judgePod(pod, { nodes, paths: facts.paths ?? [] }, request, report);
  report.findings.push(...judgeFences(request.fences, facts.fences ?? [], facts.pods.measured, severity('policy')));
  return report.findings;
}

function judgeNode(node: ClusterNodeFacts, request: Judged, report: Report): void {
  const where = node.node;
  if (node.object === null) {
    report.fail('node-ready', where, 'it is no node of the cluster: `up` makes it one');
  } else {
    if (!node.object.ready) {
      report.fail(
        'node-ready',
        where,
        `not Ready: ${node.object.reasons.join('; ')}; journalctl -u kubelet on it says more`,
      );
    } else if (node.object.reasons.length > 0) {
      report.fail('node-ready', where, node.object.reasons.join('; '));
    }
    if (node.object.cordoned) report.note('node-ready', where, 'cordoned: no new pod comes to it (kubectl uncordon)');
  }
  if (node.error !== undefined) report.fail('node-ready', where, `cannot be asked: ${node.error}`);
  if (node.machine !== undefined) judgeMachine(where, node.machine, request, report);
  if (node.etcd !== undefined) judgeEtcd(where, node.etcd, request, report);
}

function judgeMachine(where: string, machine: MachineFacts, request: Judged, report: Report): void {
  const { kubeProxy } = request;
  const { proxyMode, conntrackMax: most, conntrackCount } = machine;
  if (typeof proxyMode !== 'string') {
    const hint = 'kubectl -n kube-system logs ds/kube-proxy says why';
    report.fail('kube-proxy', where, `does not answer on ${kubeProxy.metricsAddress}: ${proxyMode.error}; ${hint}`);
  } else if (proxyMode !== kubeProxy.mode) {
    const advice = '`up` restarts kube-proxy with the planned one';
    report.fail('kube-proxy', where, `runs in mode ${proxyMode}, planned: ${kubeProxy.mode}; ${advice}`);
  }
  for (const each of ruleProblems(machine.services, request)) report.fail('kube-proxy', where, each);

  const problem = conntrackProblem(where, machine, request);
  if (problem !== null) report.fail('conntrack', where, `nf_conntrack_max is ${most}, ${problem}`);
  if (conntrackCount > CONNTRACK_SHARE * most) {
    const share = `${conntrackCount} of ${most} connections`;
    report.fail('conntrack', where, `the table is almost full (${share}); at its end new connections are dropped`);
  }
}

function conntrackProblem(where: string, machine: MachineFacts, { kubeProxy, nodes }: Judged): string | null {
  const { conntrackMax: found, cpus } = machine;
  const planned = nodes.find(({ name }) => name === where)?.conntrackMax ?? null;
  if (planned !== null) {
    return found === planned ? null : `planned: ${planned}: something else on the node sets it; \`up\` puts it back`;
  }
  if (kubeProxy.conntrack === null || cpus === undefined) return null;
  const wanted = conntrackMax(kubeProxy.conntrack, cpus);
  const why = 'something has set it since, or the CPUs came later';
  return found === wanted
    ? null
    : `and kube-proxy sets ${wanted} for ${cpus} CPUs when it starts: ${why}; restart kube-proxy there`;
}

/** What is wrong with the rules that kube-proxy has made on a node. */
export function ruleProblems(
  found: MachineFacts['services'],
  { kubeProxy, services }: Pick<Judged, 'kubeProxy' | 'services'>,
): string[] {
  if ('error' in found) return [`the rules of Services cannot be read: ${found.error}`];
  return services.flatMap(({ name, address, port, protocols }) =>
    protocols.flatMap((protocol) => {
      const key = serviceKey(protocol, address, port);
      const rule = found.rules[key];
      if (rule === undefined) return [`has no rule for the Service ${name} (${key})`];
      if (rule.realServers === 0) return [`the Service ${name} (${key}) has no pod behind it`];
      if (rule.scheduler === null || rule.scheduler === kubeProxy.scheduler) return [];
      return [`the Service ${name} (${key}) uses the scheduler ${rule.scheduler}, planned: ${kubeProxy.scheduler}`];
    }),
  );
}

function judgeEtcd(where: string, etcd: EtcdFacts | { error: string }, request: Judged, report: Report): void {
  if ('error' in etcd) {
    report.fail('etcd', where, `etcd does not tell its metrics: ${etcd.error}`);
    return;
  }
  if (!etcd.hasLeader) report.fail('etcd', where, 'this member of etcd has no leader: a majority of members is away');
  if (etcd.databaseBytes > ETCD_QUOTA_SHARE * etcd.quotaBytes) {
    const share = `${percent(etcd.databaseBytes / etcd.quotaBytes)} of its quota of ${etcd.quotaBytes} bytes`;
    report.fail('etcd', where, `the database has ${share}; at its quota etcd refuses writes: defragment or raise it`);
  }
  const limit = request.thresholds.etcdFsyncP99Milliseconds;
  if (etcd.fsyncP99Milliseconds !== null && etcd.fsyncP99Milliseconds > limit) {
    const since = etcd.duringRun ? 'during this run' : 'since etcd started';
    const measured = `${round(etcd.fsyncP99Milliseconds)} ms (p99 of ${etcd.fsyncCount} ${since})`;
    report.fail('etcd-disk', where, `etcd's fsync takes ${measured}, allowed: ${limit} ms: its disk is too slow`);
  }
}

function judgePod(
  pod: PodFacts,
  { nodes, paths }: { nodes: string[]; paths: PathFacts[] },
  request: Judged,
  report: Report,
): void {
  const { node, measured } = pod;
  if (measured === undefined) {
    report.fail('pod-start', node, `no pod can be probed there: ${pod.error ?? ''}`);
    return;
  }
  if (measured.deviceMtuBytes !== request.podMtuBytes) {
    const advice = 'pods have the MTU of their start: `up`, then restart the pods';
    const given = `${measured.deviceMtuBytes}, planned: ${request.podMtuBytes}`;
    report.fail('pod-mtu', node, `the device of a new pod has an MTU of ${given}; ${advice}`);
  }
  for (const size of measured.sizes) judgeSize(node, size, paths, request, report);
  for (const { address, error } of measured.nameServers) {
    if (error === null) continue;
    const hint =
      'pods do not get out of the cluster, or no answer finds its way back: look at natOutgoing and at filters';
    report.fail('egress', node, `the name server ${address} does not answer a pod: ${error}; ${hint}`);
  }
  for (const service of measured.services) judgeService(node, service, nodes, request, report);
  for (const name of measured.names) judgeName(node, name, request.thresholds.lookupMilliseconds, report);
  for (const { zone, error } of measured.zones ?? []) {
    if (error === null) continue;
    const servers = request.zones.find((one) => one.zone === zone)?.servers.join(', ') ?? '';
    const hint = `look at its servers (dns.stubZones: ${servers}) and at the way to them`;
    report.fail('pod-dns', node, `the zone ${zone} is not reached: ${error}; ${hint}`);
  }
  judgePeers(node, measured, request, report);
}

function judgeSize(
  from: string,
  size: PodSizeFacts,
  paths: PathFacts[],
  { podMtuBytes }: Judged,
  report: Report,
): void {
  const where = `${from} -> ${size.node}`;
  const { family, full, above, largestBytes } = size;
  const path = paths.find((one) => one.from === from && one.to === size.node && one.family === family);
  const layer = path === undefined ? null : faultyLayer(path);
  const below = layer === null ? '' : `; ${layer}`;
  if (largestBytes === null) {
    report.fail(
      'pod-mtu',
      where,
      `${family}: no packet gets from pod to pod: a route, a filter or ip_forward is missing${below}`,
    );
  } else if (full.answered === 0) {
    const cause =
      full.refused === null ? likelyCause(podMtuBytes, largestBytes) : `the sender refuses (${full.refused})`;
    report.fail(
      'pod-mtu',
      where,
      `${family}: ${podMtuBytes} does not pass from pod to pod, ${largestBytes} does: ${cause}${below}`,
    );
  }
  if (above.answered > 0) {
    const what = 'larger packets than planned leave a pod';
    report.fail('pod-mtu', where, `${family}: ${above.sizeBytes} passes from pod to pod: ${what}`);
  }
}

/** Schedulers that send one client to one and the same pod. */
const STICKY = ['sh', 'mh', 'dh'];

function judgeService(node: string, service: PodServiceFacts, nodes: string[], request: Judged, report: Report): void {
  const { address, reached, failed, transfer } = service;
  const where = node;
  for (const [reason, count] of Object.entries(failed)) {
    report.fail('service', where, `${address}: ${count} connections through a Service failed: ${reason}`);
  }
  const missing = nodes.filter((name) => reached[name] === undefined);
  const isSticky = request.kubeProxy.mode === 'ipvs' && STICKY.includes(request.kubeProxy.scheduler);
  if (missing.length > 0 && isSticky) {
    const why = `the scheduler ${request.kubeProxy.scheduler} keeps a client with one pod`;
    report.note('service', where, `${address}: the pods on ${missing.join(', ')} were not reached: ${why}`);
  } else if (missing.length > 0) {
    const tries = Object.values(reached).reduce((sum, count) => sum + count, 0);
    const given = `the pods on ${missing.join(', ')} were never reached in ${tries} connections through a Service`;
    report.fail('service', where, `${address}: ${given}`);
  }
  if (transfer !== null) judgeTransfer(`${node} -> ${transfer.node}`, service, transfer, request, report);
}

function judgeTransfer(
  where: string,
  { family, address }: PodServiceFacts,
  transfer: ServiceTransferFacts,
  { podMtuBytes }: Judged,
  report: Report,
): void {
  if (transfer.error !== null) {
    const what = `${transfer.bytes} bytes each way through a Service did not finish`;
    const hint = 'small packets pass and large ones do not: look at the MTU and at LRO of the nodes';
    report.fail('service', where, `${address}: ${what}: ${transfer.error} after ${round(transfer.seconds)} s; ${hint}`);
    return;
  }
  const smallest = podMtuBytes - SEGMENT_HEADERS[family] - SEGMENT_OPTIONS_BYTES;
  const directions: [string, TcpFacts | undefined][] = [
    ['to the pod', transfer.up],
    ['back', transfer.down],
  ];
  for (const [direction, tcp] of directions) {
    if (tcp === undefined || (tcp.pathMtuBytes === podMtuBytes && tcp.segmentBytes >= smallest)) continue;
    const given = `segments of ${tcp.segmentBytes} bytes on a path MTU of ${tcp.pathMtuBytes}`;
    report.fail('service', where, `${address}: ${direction} only ${given}, planned: ${smallest} on ${podMtuBytes}`);
  }
}

function judgeName(where: string, name: NameFacts, limitMilliseconds: number, report: Report): void {
  const how = name.way === 'parallel' ? `${name.count} ten at once` : `${name.count} in a row`;
  if (name.failed > 0) {
    report.fail('pod-dns', where, `${name.name}: ${name.failed} of ${how} failed: ${name.error ?? ''}`);
  }
  if (name.maxMilliseconds > limitMilliseconds) {
    const slowest = `the slowest ${Math.round(name.maxMilliseconds)} ms, allowed: ${limitMilliseconds} ms`;
    const hint = 'a lost question is asked again after 5 s: look at the node-local cache and at conntrack -S';
    report.fail('pod-dns', where, `${name.name}: ${name.overOneSecond} of ${how} took over 1 s, ${slowest}; ${hint}`);
  }
}

function judgePeers(node: string, { peers }: PodMeasurements, request: Judged, report: Report): void {
  for (const peer of peers) {
    const planned = request.peers.find(({ name }) => name === peer.name);
    if (planned === undefined) continue;
    const where = `pod on ${node}`;
    const name = `${peer.name} (${planned.address})`;
    // Packets larger than the pod's own device never leave it.
    const wanted = Math.min(planned.mtuBytes, request.podMtuBytes);
    if (peer.tcp?.error) report.fail('peers', where, `${name}: TCP ${planned.tcpPort ?? ''}: ${peer.tcp.error}`);
    if (peer.largestBytes === null) {
      const isOpen = peer.tcp !== null && peer.tcp.error === null;
      const unknown = 'answers no echo request: the packet size on the way to it is not proved';
      if (isOpen) report.note('peers', where, `${name}: ${unknown}`);
      else report.fail('peers', where, `${name}: answers no echo request`);
    } else if (peer.largestBytes < wanted) {
      const cause = likelyCause(wanted, peer.largestBytes);
      report.fail('peers', where, `${name}: ${wanted} does not pass, ${peer.largestBytes} does: ${cause}`);
    }
  }
}
