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
} from './facts';
import type { CalicoFacts, CalicoNodeFacts } from './calicoFacts';
import { isAsPlanned, WIREGUARD_DEVICES } from './calicoJudge';
import { BIRD_SOCKETS, calicoNodeProgram } from './calicoNodeProgram';
import { podsByLink, readCalico } from './calicoRead';
import { asRoot, Kubectl } from './kubectl';
import { ingressFacts, pathFacts, type Asker } from './machines';
import { ruleProblems } from './judge';
import { nodeFactsProgram } from './nodeProgram';
import { PodRun } from './podRun';
import { POLL_MILLISECONDS, ProbeRun } from './probeRun';
import { nodeObject, type KubeNode } from './states';
import { bgpSessions, etcdFacts, etcdMetrics, nftRules, virtualServers, type EtcdMetrics } from './parse';

/** Of kubeadm: `listen-metrics-urls` of its etcd, on the node itself only. */
const ETCD_METRICS = 'http://127.0.0.1:2381/metrics';

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

class Run extends ProbeRun {
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
      const around = async () => {
        calico = await this.calico(kubectl, members);
      };
      const hosts = new Map(
        members.flatMap(({ end, session }) => (session === undefined ? [] : [[end.name, { end, session }]])),
      );
      const { pods, fences } = await new PodRun(this.request, this.opts, first.end, { kubectl, hosts }).run(
        objects,
        around,
      );
      const ask = (name: string) => this.asker(members, name);
      const paths = await pathFacts(this.request, pods, ask);
      const ingress = await ingressFacts(this.request.ingress, kubectl, { names, ask, command: this.command() });
      const after = await this.etcd(members);
      for (const node of nodes) {
        const [earlier, later] = [before.get(node.node), after.get(node.node)];
        if (earlier !== undefined && later !== undefined) node.etcd = betweenReadings(earlier, later);
      }
      return { kind: 'cluster', nodes, pods: { measured: pods }, calico, paths, fences, ingress };
    } finally {
      for (const { session } of members) session?.end();
    }
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
    await this.namePods(kubectl, nodes, calico.podMtuBytes);
    return { ...known, nodes: Object.fromEntries(nodes) };
  }

  /** Those whose link is not as planned. */
  private async namePods(kubectl: Kubectl, nodes: [string, CalicoFacts['nodes'][string]][], planned: number) {
    const links = nodes.flatMap(([, found]) => ('links' in found ? found.links : []));
    const old = links.filter((link) => !isAsPlanned(link, planned));
    if (old.length === 0) return;
    const pods = await podsByLink(kubectl, this.command());
    for (const link of old) link.pod = pods.get(link.device);
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
}

type RawCalicoNode = Omit<CalicoNodeFacts, 'bgpSessions'> & { birds: string | null };
type Fetched = { text: string } | { error: string };
interface RawMachine {
  proxyMode: Fetched;
  services: Fetched;
  conntrackMax: number;
  conntrackCount: number;
  cpus: number;
}

function machineFacts(raw: RawMachine, { kubeProxy, services }: ClusterProbeRequest): MachineFacts {
  const { proxyMode, services: rules, conntrackMax, conntrackCount, cpus } = raw;
  const parse = (text: string) => (kubeProxy.mode === 'ipvs' ? virtualServers(text) : nftRules(text, services));
  return {
    proxyMode: 'error' in proxyMode ? proxyMode : proxyMode.text.trim(),
    services: 'error' in rules ? rules : { rules: parse(rules.text) },
    conntrackMax,
    conntrackCount,
    cpus,
  };
}

function betweenReadings(
  before: EtcdMetrics | { error: string },
  after: EtcdMetrics | { error: string },
): EtcdFacts | { error: string } {
  if ('error' in after) return after;
  return etcdFacts('error' in before ? after : before, after);
}
