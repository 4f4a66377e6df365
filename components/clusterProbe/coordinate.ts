import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunOptions } from '../agent/awaitSsh';
import { SshError, SshSession } from '../ssh/session';
import type {
  ClusterFacts,
  ClusterNodeEnd,
  ClusterNodeFacts,
  ClusterProbeRequest,
  EtcdFacts,
  MachineFacts,
  NodeObjectFacts,
  PodFacts,
  PodMeasurements,
} from './facts';
import type { CalicoFacts, CalicoNodeFacts } from './calicoFacts';
import { WIREGUARD_DEVICES } from './calicoJudge';
import { calicoNodeProgram } from './calicoNodeProgram';
import { readCalico } from './calicoRead';
import { API_TARGET, type Fence, type FenceFacts } from './fences';
import { asRoot, CREATE, Kubectl, KubectlError } from './kubectl';
import { ingressFacts, pathFacts, tunnelFacts, type Asker } from './machines';
import { ruleProblems } from './judge';
import { nodeFactsProgram } from './nodeProgram';
import { isAbandoned, thisRun } from './leftovers';
import {
  fenceNamespace,
  fenceObjects,
  NAMESPACE_PREFIX,
  PROBE_COMMAND,
  PROBE_PORT,
  RUN_LABEL,
  podName,
  probeObjects,
} from './objects';
import {
  familyOf,
  nodeObject,
  podStart,
  type KubeNamespace,
  type KubeNode,
  type KubePod,
  type PodStart,
} from './states';
import { tunnelWays, type TunnelWay } from './tunnels';
import { bgpSessions, etcdFacts, etcdMetrics, nftRules, virtualServers, type EtcdMetrics } from './parse';

/** Multiplied by the limit factor. A command of an emulated node that is busy with its pods takes many seconds. */
const LIMITS_SECONDS = {
  command: 60,
  rules: 30,
  start: 120,
  measure: 300,
  remove: 300,
  service: 60,
  connect: 5,
  transfer: 20,
};
const POLL_MILLISECONDS = 2000;
/** Both ways: enough for the largest segments to settle, and nothing that a network in use would feel. */
const TRANSFER_BYTES = 4 * 1024 * 1024;
const LOOKUPS = 50;
/** Behind policies it is asked whether names resolve at all. */
const FENCED_LOOKUPS = 5;
/** Of kubeadm: `listen-metrics-urls` of its etcd, on the node itself only. */
const ETCD_METRICS = 'http://127.0.0.1:2381/metrics';

/** Of calico-node, one for each family. */
const BIRD_SOCKETS = ['/var/run/calico/bird.ctl', '/var/run/calico/bird6.ctl'];

/** No control-plane node could be asked, or the cluster refused what the probes need. */
export class ClusterProbeError extends Error {}

/** Measures a live cluster. What it makes there is removed again, whatever ends it; what it reads costs next to nothing. */
export async function coordinateCluster(request: ClusterProbeRequest, opts: RunOptions = {}): Promise<ClusterFacts> {
  return new Run(request, opts).run();
}

interface Member {
  end: ClusterNodeEnd;
  session?: SshSession;
  error?: string;
}

class Run {
  private readonly limits: typeof LIMITS_SECONDS;
  private readonly namespace = `${NAMESPACE_PREFIX}${randomBytes(4).toString('hex')}`;
  private readonly inNamespace = ['-n', this.namespace];
  /** Everything that this run makes. */
  private readonly namespaces = [this.namespace];

  constructor(
    private readonly request: ClusterProbeRequest,
    private readonly opts: RunOptions,
  ) {
    const scaled = Object.entries(LIMITS_SECONDS).map(([name, seconds]) => [name, seconds * request.limitFactor]);
    this.limits = Object.fromEntries(scaled) as typeof LIMITS_SECONDS;
  }

  async run(): Promise<ClusterFacts> {
    const members = await Promise.all(this.request.nodes.map((end) => this.connect(end)));
    try {
      this.opts.signal?.throwIfAborted();
      const first = members.find(({ end, session }) => end.role === 'control-plane' && session !== undefined);
      if (first?.session === undefined) {
        const reasons = members.flatMap(({ end, error }) => (error === undefined ? [] : [`${end.name}: ${error}`]));
        throw new ClusterProbeError(`no control-plane node can be asked:\n${reasons.join('\n')}`);
      }
      const kubectl = new Kubectl(first.session, (command) => asRoot(first.end.target, command));
      this.progress('nodes');
      const objects = await this.nodeObjects(kubectl);
      const nodes = await Promise.all(members.map((member) => this.settledNode(member, objects)));
      const before = await this.etcd(members);
      const names = members.flatMap(({ end, session }) => (session === undefined ? [] : [end.name]));
      let calico: CalicoFacts | null = null;
      const { pods, fences } = await this.pods(first, kubectl, objects, async () => {
        calico = await this.calico(kubectl, members);
      });
      const ask = (name: string) => this.asker(members, name);
      const paths = 'measured' in pods ? await pathFacts(this.request, pods.measured, ask) : [];
      const tunnels = 'skipped' in pods ? await tunnelFacts(this.request, this.tunnelWays(calico), ask) : [];
      const ingress = await ingressFacts(this.request.ingress, kubectl, { names, ask, command: this.command() });
      const after = await this.etcd(members);
      for (const node of nodes) {
        const [earlier, later] = [before.get(node.node), after.get(node.node)];
        if (earlier !== undefined && later !== undefined) node.etcd = betweenReadings(earlier, later);
      }
      return { kind: 'cluster', nodes, pods, calico, paths, fences, tunnels, ingress };
    } finally {
      for (const { session } of members) session?.end();
    }
  }

  private tunnelWays(found: CalicoFacts | null): TunnelWay[] {
    const { calico, nodes } = this.request;
    if (calico === null || found === null) return [];
    return tunnelWays(calico, found.nodes, Object.fromEntries(nodes.map(({ name, addresses }) => [name, addresses])));
  }

  private progress(step: string): void {
    this.opts.onProgress?.(step);
  }

  private async connect(end: ClusterNodeEnd): Promise<Member> {
    try {
      return { end, session: await SshSession.connect(end.target, { signal: this.opts.signal }) };
    } catch (error) {
      if (error instanceof SshError) return { end, error: error.message };
      throw error;
    }
  }

  private async nodeObjects(kubectl: Kubectl): Promise<Map<string, NodeObjectFacts>> {
    const { items } = await kubectl.json<{ items: KubeNode[] }>(['get', 'nodes'], this.command());
    return new Map(items.map((node) => [node.metadata.name, nodeObject(node)]));
  }

  /**
   * kube-proxy that has just started or changed is healthy before it has written the rules of both families, and what
   * pods measure without them says nothing of the cluster.
   */
  private async settledNode(member: Member, objects: Map<string, NodeObjectFacts>): Promise<ClusterNodeFacts> {
    const until = Date.now() + this.limits.rules * 1000;
    for (;;) {
      const facts = await this.node(member, objects);
      const problems = facts.machine === undefined ? [] : ruleProblems(facts.machine.services, this.request);
      if (problems.length === 0 || Date.now() > until) return facts;
      this.progress(`${member.end.name}: kube-proxy ${problems[0]}`);
      await sleep(POLL_MILLISECONDS, undefined, { signal: this.opts.signal });
    }
  }

  private async node(
    { end, session, error }: Member,
    objects: Map<string, NodeObjectFacts>,
  ): Promise<ClusterNodeFacts> {
    const known = { node: end.name, role: end.role, object: objects.get(end.name) ?? null };
    if (session === undefined) return { ...known, error };
    const { kubeProxy, podFamilies, services } = this.request;
    try {
      const raw = await this.ask<RawMachine>(
        { end, session },
        {
          part: 'machine',
          mode: kubeProxy.mode,
          metricsAddress: kubeProxy.metricsAddress,
          families: podFamilies,
          addresses: services.map(({ address }) => address),
        },
      );
      return { ...known, machine: machineFacts(raw, this.request) };
    } catch (problem) {
      if (problem instanceof SshError || problem instanceof ClusterProbeError)
        return { ...known, error: problem.message };
      throw problem;
    }
  }

  private async etcd(members: Member[]): Promise<Map<string, EtcdMetrics | { error: string }>> {
    const readings = new Map<string, EtcdMetrics | { error: string }>();
    for (const { end, session } of members) {
      if (end.role !== 'control-plane' || session === undefined) continue;
      const answer = await this.ask<Fetched>({ end, session }, { part: 'etcd', url: ETCD_METRICS });
      readings.set(end.name, 'error' in answer ? answer : etcdMetrics(answer.text));
    }
    return readings;
  }

  /** While the probes' pods run, so that there are links of pods on every node. */
  private async calico(kubectl: Kubectl, members: Member[]): Promise<CalicoFacts | null> {
    const { calico } = this.request;
    if (calico === null) return null;
    this.progress('Calico');
    const known = await readCalico(kubectl, calico.objects, this.command());
    const devices = calico.devices.map(({ name }) => name);
    const question = { devices, wireguard: WIREGUARD_DEVICES, birds: calico.bgp === null ? [] : BIRD_SOCKETS };
    const nodes = await Promise.all(
      members.map(async ({ end, session, error }): Promise<[string, CalicoFacts['nodes'][string]]> => {
        if (session === undefined) return [end.name, { error: error ?? 'it cannot be reached' }];
        const { birds, ...facts } = await this.ask<RawCalicoNode>({ end, session }, question, calicoNodeProgram);
        return [end.name, { ...facts, bgpSessions: birds === null ? null : bgpSessions(birds) }];
      }),
    );
    return { ...known, nodes: Object.fromEntries(nodes) };
  }

  private async ask<T>(
    { end, session }: Required<Pick<Member, 'end' | 'session'>>,
    question: object,
    program = nodeFactsProgram,
  ): Promise<T> {
    const command = asRoot(end.target, `python3 - '${JSON.stringify(question)}'`);
    const { code, stdout, stderr } = await session.exec(command, { ...this.command(), stdin: program });
    if (code !== 0) throw new ClusterProbeError(`${end.name}: ${stderr.trim().split('\n').pop() ?? ''}`);
    return JSON.parse(stdout) as T;
  }

  /** Null where the machine cannot be reached. */
  private asker(members: Member[], name: string): Asker | null {
    const member = members.find(({ end }) => end.name === name);
    if (member?.session === undefined) return null;
    const { end, session } = member;
    return <T>(what: string, question: object) => {
      this.progress(`${name}: ${what}`);
      return this.ask<T>({ end, session }, question);
    };
  }

  private async pods(
    first: Member,
    kubectl: Kubectl,
    objects: Map<string, NodeObjectFacts>,
    whileTheyRun: () => Promise<void>,
  ): Promise<{ pods: ClusterFacts['pods']; fences: FenceFacts[] }> {
    if (this.request.toolboxImage === null) {
      await whileTheyRun();
      return { pods: { skipped: 'the bundle of this site has no toolbox image' }, fences: [] };
    }
    // On a node that is not there a pod would wait for ever.
    const names = this.request.nodes.map(({ name }) => name).filter((name) => objects.has(name));
    const probed = { ...this.request, nodes: this.request.nodes.filter(({ name }) => names.includes(name)) };
    await this.removeLeftovers(kubectl);
    try {
      this.progress(`starting ${names.length} pods`);
      const list = { apiVersion: 'v1', kind: 'List', items: probeObjects(probed, this.namespace, thisRun()) };
      await kubectl.run([...CREATE, '-f', '-'], { ...this.command(), stdin: JSON.stringify(list) });
      const found = await this.measureAll(kubectl, probed, names);
      await whileTheyRun();
      return { pods: { measured: found.pods }, fences: found.fences };
    } finally {
      this.progress('removing the pods');
      await this.removeSurely(first, kubectl);
    }
  }

  /** Of runs that are over; those of somebody who verifies the site at the same time stay. */
  private async removeLeftovers(kubectl: Kubectl): Promise<void> {
    const all = await kubectl.json<{ items: KubeNamespace[] }>(['get', 'ns', '-l', RUN_LABEL], this.command());
    const left = all.items.filter(
      ({ metadata }) => metadata.deletionTimestamp === undefined && isAbandoned(metadata, this.request.limitFactor),
    );
    if (left.length === 0) return;
    this.progress('removing what an earlier run left');
    const names = left.map(({ metadata }) => metadata.name);
    await this.remove(kubectl, names, this.opts.signal);
  }

  /**
   * The pods are gone when it returns. Their namespaces go by themselves then: for an empty one the controllers of a small or
   * busy cluster can take minutes, and nothing waits for it.
   */
  private async remove(kubectl: Kubectl, namespaces = this.namespaces, signal?: AbortSignal): Promise<void> {
    const seconds = Math.round(this.limits.remove);
    try {
      for (const namespace of namespaces) {
        const pods = ['delete', 'pods', '--all', '-n', namespace, `--timeout=${seconds}s`];
        await kubectl.run(pods, { timeoutSeconds: seconds + this.limits.command, signal });
      }
    } finally {
      const args = ['delete', 'namespace', ...namespaces, '--ignore-not-found', '--wait=false'];
      await kubectl.run(args, { timeoutSeconds: this.limits.command, signal });
    }
  }

  /** Also after a cancel, and where the connection was lost: over a new one then. */
  private async removeSurely({ end }: Member, kubectl: Kubectl): Promise<void> {
    try {
      await this.remove(kubectl);
    } catch (error) {
      if (!(error instanceof SshError)) throw error;
      const session = await SshSession.connect(end.target);
      try {
        await this.remove(new Kubectl(session, (command) => asRoot(end.target, command)));
      } finally {
        session.end();
      }
    }
  }

  private async measureAll(
    kubectl: Kubectl,
    probed: ClusterProbeRequest,
    names: string[],
  ): Promise<{ pods: PodFacts[]; fences: FenceFacts[] }> {
    const started = await this.awaitPods(kubectl, this.namespace, names);
    const running = [...started].flatMap(([node, pod]) => ('addresses' in pod ? [{ node, ...pod }] : []));
    const fences = await this.startFences(kubectl, probed, running);
    const service = await kubectl.json<KubeService>(['get', 'service', 'probe', ...this.inNamespace], this.command());
    const facts: PodFacts[] = [];
    for (const [node, pod] of started) {
      if ('error' in pod) {
        facts.push({ node, error: pod.error });
        continue;
      }
      // One after the other: two at once would measure each other.
      this.progress(`measuring from the pod on ${node}`);
      facts.push(await this.measure(kubectl, node, running, service.spec.clusterIPs, fences));
    }
    const behind: FenceFacts[] = [];
    for (const each of fences) behind.push(await this.measureFence(kubectl, each, running));
    return { pods: facts, fences: behind };
  }

  /** One pod behind each, on the last node, so that most of what is sent to it comes over the wire. */
  private async startFences(
    kubectl: Kubectl,
    probed: ClusterProbeRequest,
    running: RunningPod[],
  ): Promise<StartedFence[]> {
    const node = running.at(-1)?.node;
    if (node === undefined) return [];
    const namespaces = this.request.fences.map((fence) => fenceNamespace(this.namespace, fence));
    this.namespaces.push(...namespaces);
    for (const [index, fence] of this.request.fences.entries()) {
      this.progress(`starting a pod behind the policies of ${fence.of}`);
      const items = fenceObjects(probed, fence, { namespace: namespaces[index]!, node, runBy: thisRun() });
      const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
      await kubectl.run([...CREATE, '-f', '-'], { ...this.command(), stdin: list });
    }
    const started: StartedFence[] = [];
    for (const [index, fence] of this.request.fences.entries()) {
      const namespace = namespaces[index]!;
      const states = await this.awaitPods(kubectl, namespace, [node]);
      started.push({ fence, namespace, node, pod: states.get(node)! });
    }
    return started;
  }

  private async measureFence(
    kubectl: Kubectl,
    { fence, namespace, node, pod }: StartedFence,
    running: RunningPod[],
  ): Promise<FenceFacts> {
    const known = { name: fence.name, node };
    if ('error' in pod) return { ...known, error: pod.error };
    this.progress(`measuring behind the policies of ${fence.of}`);
    const api = this.request.services.find(({ name }) => name === 'kubernetes')!;
    // Two are enough: the pod of the same node, and one that is reached over the wire.
    const others = [running.at(-1)!, ...running.slice(0, -1).slice(0, 1)];
    const question = {
      ...{ node, mtuBytes: this.request.podMtuBytes, families: [], others: [], peers: [], nameServers: [] },
      service: { addresses: {} },
      names: this.request.names.slice(0, 1),
      lookups: FENCED_LOOKUPS,
      reach: [
        { name: API_TARGET, family: familyOf(api.address), address: api.address, port: api.port },
        ...others.flatMap((other) => targets(`the pod on ${other.node}`, other.addresses)),
      ],
    };
    const answer = await this.askPod(kubectl, namespace, node, question);
    return 'error' in answer ? { ...known, ...answer } : { ...known, names: answer.names, reach: answer.reach };
  }

  /** Until every pod is ready, or the limit; what a pod waits for is its error then. */
  private async awaitPods(kubectl: Kubectl, namespace: string, names: string[]): Promise<Map<string, PodStart>> {
    const end = Date.now() + this.limits.start * 1000;
    for (;;) {
      const { items } = await kubectl.json<{ items: KubePod[] }>(['get', 'pods', '-n', namespace], this.command());
      const states = new Map(
        names.map((name) => [name, podStart(items.find(({ metadata }) => metadata.name === podName(name)))]),
      );
      const waiting = [...states].filter(([, state]) => !('addresses' in state));
      if (waiting.length === 0 || Date.now() > end || waiting.every(([, state]) => 'final' in state)) return states;
      this.progress(`waiting for the pods on ${waiting.map(([name]) => name).join(', ')}`);
      await sleep(POLL_MILLISECONDS, undefined, { signal: this.opts.signal });
    }
  }

  private async measure(
    kubectl: Kubectl,
    node: string,
    running: RunningPod[],
    clusterIps: string[],
    fences: StartedFence[],
  ): Promise<PodFacts> {
    const { request, limits } = this;
    // Of every pod a share of the connections, whichever way the scheduler deals them: with this many tries chance misses
    // one pod in a thousand runs.
    const tries = Math.ceil(running.length * (Math.log(running.length) + 7));
    const question = {
      node,
      mtuBytes: request.podMtuBytes,
      families: request.podFamilies,
      others: running.filter((pod) => pod.node !== node),
      service: {
        addresses: Object.fromEntries(clusterIps.map((address) => [familyOf(address), address])),
        ...{ port: PROBE_PORT, pods: running.length, tries, seconds: limits.service, connectSeconds: limits.connect },
      },
      names: request.names,
      lookups: LOOKUPS,
      // The pod's Python reads no null.
      peers: request.peers.map((peer) => ({ ...peer, tcpPort: peer.tcpPort ?? 0 })),
      bytes: TRANSFER_BYTES,
      transferSeconds: limits.transfer,
      nameServers: request.nameServers,
      reach: fences.flatMap(({ fence, pod }) => ('addresses' in pod ? targets(fence.name, pod.addresses) : [])),
    };
    const answer = await this.askPod(kubectl, this.namespace, node, question);
    return 'error' in answer ? { node, ...answer } : { node, measured: answer };
  }

  private async askPod(
    kubectl: Kubectl,
    namespace: string,
    node: string,
    question: object,
  ): Promise<PodMeasurements | { error: string }> {
    try {
      const args = ['exec', '-i', '-n', namespace, podName(node), '--', ...PROBE_COMMAND, 'measure'];
      const answer = await kubectl.run(args, {
        stdin: JSON.stringify(question),
        timeoutSeconds: this.limits.measure,
        signal: this.opts.signal,
        onStderrLine: (line) => line.startsWith('step: ') && this.progress(`${node}: ${line.slice('step: '.length)}`),
      });
      return JSON.parse(answer) as PodMeasurements;
    } catch (error) {
      if (!(error instanceof KubectlError)) throw error;
      return { error: `its probe failed: ${error.message.split('\n').pop() ?? ''}` };
    }
  }

  private command() {
    return { timeoutSeconds: this.limits.command, signal: this.opts.signal };
  }
}

/** Addresses of a probe's pod, as what another one is to try to connect to. */
const targets = (name: string, addresses: Record<string, string>) =>
  Object.entries(addresses).map(([family, address]) => ({ name, family, address, port: PROBE_PORT }));

interface RunningPod {
  node: string;
  addresses: Record<string, string>;
}

interface StartedFence {
  fence: Fence;
  namespace: string;
  node: string;
  pod: PodStart;
}

interface KubeService {
  spec: { clusterIPs: string[] };
}

type RawCalicoNode = Omit<CalicoNodeFacts, 'bgpSessions'> & { birds: string | null };
type Fetched = { text: string } | { error: string };
interface RawMachine {
  proxyMode: Fetched;
  services: Fetched;
  conntrackMax: number;
  conntrackCount: number;
}

function machineFacts(raw: RawMachine, { kubeProxy, services }: ClusterProbeRequest): MachineFacts {
  const { proxyMode, services: rules, conntrackMax, conntrackCount } = raw;
  const parse = (text: string) => (kubeProxy.mode === 'ipvs' ? virtualServers(text) : nftRules(text, services));
  return {
    proxyMode: 'error' in proxyMode ? proxyMode : proxyMode.text.trim(),
    services: 'error' in rules ? rules : { rules: parse(rules.text) },
    conntrackMax,
    conntrackCount,
  };
}

function betweenReadings(
  before: EtcdMetrics | { error: string },
  after: EtcdMetrics | { error: string },
): EtcdFacts | { error: string } {
  if ('error' in after) return after;
  return etcdFacts('error' in before ? after : before, after);
}
