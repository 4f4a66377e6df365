import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunOptions } from '../agent/awaitSsh';
import { PROGRAM_FOLDER } from '../plan/clusterPaths';
import { SshError, SshSession, type ExecOptions, type ExecResult } from '../ssh/session';
import type { ClusterNodeEnd, ClusterProbeRequest, NodeObjectFacts, PodFacts, PodMeasurements } from './facts';
import { API_TARGET, type Fence, type FenceFacts } from './fences';
import { asRoot, CREATE, Kubectl } from './kubectl';
import { isAbandoned, thisRun } from './leftovers';
import {
  fenceNamespace,
  fenceObjects,
  NAMESPACE_PREFIX,
  POD_LIMIT_SECONDS,
  PROBE_PORT,
  RUN_LABEL,
  podName,
  probeObjects,
} from './objects';
import { podScript } from './podProgram';
import { POLL_MILLISECONDS, ProbeRun } from './probeRun';
import { familyOf, podStart, type KubeNamespace, type KubePod, type PodStart } from './states';

/** Both ways: enough for the largest segments to settle, and nothing that a network in use would feel. */
const TRANSFER_BYTES = 4 * 1024 * 1024;
const LOOKUPS = 50;
/** Behind policies it is asked whether names resolve at all. */
const FENCED_LOOKUPS = 5;

/** A node that can be asked. */
interface Host {
  end: ClusterNodeEnd;
  session: SshSession;
}

/**
 * The probes between pods: these are made in namespaces of their own on every node, and removed. What answers and what
 * measures is a process of each node in the network of its pod; one measures after the other.
 */
export class PodRun extends ProbeRun {
  private readonly kubectl: Kubectl;
  private readonly hosts: ReadonlyMap<string, Host>;
  private readonly namespace = `${NAMESPACE_PREFIX}${randomBytes(4).toString('hex')}`;
  private readonly inNamespace = ['-n', this.namespace];
  /** Everything that this run makes. */
  private readonly namespaces = [this.namespace];

  constructor(
    request: ClusterProbeRequest,
    opts: RunOptions,
    /** Where kubectl runs. */
    private readonly end: ClusterNodeEnd,
    { kubectl, hosts }: { kubectl: Kubectl; hosts: ReadonlyMap<string, Host> },
  ) {
    super(request, opts);
    this.kubectl = kubectl;
    this.hosts = hosts;
  }

  async run(
    objects: Map<string, NodeObjectFacts>,
    whileTheyRun: () => Promise<void>,
  ): Promise<{ pods: PodFacts[]; fences: FenceFacts[] }> {
    // On a node that is not there a pod would wait for ever; on one that cannot be asked nobody would answer in it.
    const names = this.request.nodes
      .map(({ name }) => name)
      .filter((name) => objects.has(name) && this.hosts.has(name));
    const probed = { ...this.request, nodes: this.request.nodes.filter(({ name }) => names.includes(name)) };
    await this.removeLeftovers();
    try {
      this.progress(`starting ${names.length} pods`);
      const list = { apiVersion: 'v1', kind: 'List', items: probeObjects(probed, this.namespace, thisRun()) };
      await this.kubectl.run([...CREATE, '-f', '-'], { ...this.command(), stdin: JSON.stringify(list) });
      const found = await this.measureAll(probed, names);
      await whileTheyRun();
      return found;
    } finally {
      this.progress('removing the pods');
      await this.removeSurely();
    }
  }

  /** Of runs that are over; those of somebody who verifies the site at the same time stay. */
  private async removeLeftovers(): Promise<void> {
    const all = await this.kubectl.json<{ items: KubeNamespace[] }>(['get', 'ns', '-l', RUN_LABEL], this.command());
    const left = all.items.filter(
      ({ metadata }) => metadata.deletionTimestamp === undefined && isAbandoned(metadata, this.request.limitFactor),
    );
    if (left.length === 0) return;
    this.progress('removing what an earlier run left');
    const names = left.map(({ metadata }) => metadata.name);
    await this.remove(this.kubectl, names, this.opts.signal);
  }

  /**
   * The pods are gone when it returns. Their namespaces go by themselves then: for an empty one the controllers of a small or
   * busy cluster can take minutes, and nothing waits for it.
   */
  private async remove(
    kubectl: Kubectl,
    namespaces: readonly string[] = this.namespaces,
    signal?: AbortSignal,
  ): Promise<void> {
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
  private async removeSurely(): Promise<void> {
    try {
      await this.remove(this.kubectl);
    } catch (error) {
      if (!(error instanceof SshError)) throw error;
      const session = await SshSession.connect(this.end.target);
      try {
        await this.remove(new Kubectl(session, (command) => asRoot(this.end.target, command)));
      } finally {
        session.end();
      }
    }
  }

  private async measureAll(
    probed: ClusterProbeRequest,
    names: string[],
  ): Promise<{ pods: PodFacts[]; fences: FenceFacts[] }> {
    const started = await this.answering(this.namespace, await this.awaitPods(this.namespace, names));
    const running = [...started].flatMap(([node, pod]) => ('addresses' in pod ? [{ node, ...pod }] : []));
    const fences = await this.startFences(probed, running);
    const service = await this.kubectl.json<KubeService>(
      ['get', 'service', 'probe', ...this.inNamespace],
      this.command(),
    );
    const facts: PodFacts[] = [];
    for (const [node, pod] of started) {
      if ('error' in pod) {
        facts.push({ node, error: pod.error });
        continue;
      }
      // One after the other: two at once would measure each other.
      this.progress(`measuring from the pod on ${node}`);
      facts.push(await this.measure(node, running, service.spec.clusterIPs, fences));
    }
    const behind: FenceFacts[] = [];
    for (const each of fences) behind.push(await this.measureFence(each, running));
    return { pods: facts, fences: behind };
  }

  /** One pod behind each, on the last node, so that most of what is sent to it comes over the wire. */
  private async startFences(probed: ClusterProbeRequest, running: RunningPod[]): Promise<StartedFence[]> {
    const node = running.at(-1)?.node;
    if (node === undefined) return [];
    const namespaces = this.request.fences.map((fence) => fenceNamespace(this.namespace, fence));
    this.namespaces.push(...namespaces);
    for (const [index, fence] of this.request.fences.entries()) {
      this.progress(`starting a pod behind the policies of ${fence.of}`);
      const items = fenceObjects(probed, fence, { namespace: namespaces[index]!, node, runBy: thisRun() });
      const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
      await this.kubectl.run([...CREATE, '-f', '-'], { ...this.command(), stdin: list });
    }
    const started: StartedFence[] = [];
    for (const [index, fence] of this.request.fences.entries()) {
      const namespace = namespaces[index]!;
      const states = await this.answering(namespace, await this.awaitPods(namespace, [node]));
      started.push({ fence, namespace, node, pod: states.get(node)! });
    }
    return started;
  }

  private async measureFence(
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
      ...{ node, mtuBytes: this.request.podMtuBytes, families: [], others: [], peers: [], zones: [], nameServers: [] },
      service: { addresses: {} },
      names: this.request.names.slice(0, 1),
      lookups: FENCED_LOOKUPS,
      reach: [
        { name: API_TARGET, family: familyOf(api.address), address: api.address, port: api.port },
        ...others.flatMap((other) => targets(`the pod on ${other.node}`, other.addresses)),
      ],
    };
    const answer = await this.askPod(namespace, node, question);
    return 'error' in answer ? { ...known, ...answer } : { ...known, names: answer.names, reach: answer.reach };
  }

  /** Until every pod is ready, or the limit; what a pod waits for is its error then. */
  private async awaitPods(namespace: string, names: string[]): Promise<Map<string, PodStart>> {
    const end = Date.now() + this.limits.start * 1000;
    for (;;) {
      const { items } = await this.kubectl.json<{ items: KubePod[] }>(['get', 'pods', '-n', namespace], this.command());
      const states = new Map(
        names.map((name) => [name, podStart(items.find(({ metadata }) => metadata.name === podName(name)))]),
      );
      const waiting = [...states].filter(([, state]) => !('addresses' in state));
      if (waiting.length === 0 || Date.now() > end || waiting.every(([, state]) => 'final' in state)) return states;
      this.progress(`waiting for the pods on ${waiting.map(([name]) => name).join(', ')}`);
      await sleep(POLL_MILLISECONDS, undefined, { signal: this.opts.signal });
    }
  }

  /** The same, with somebody in each pod who answers, or why not. */
  private async answering(namespace: string, pods: Map<string, PodStart>): Promise<Map<string, PodStart>> {
    const started = [...pods].map(async ([node, pod]): Promise<[string, PodStart]> => {
      const error = 'addresses' in pod ? await this.serve(namespace, node) : null;
      return [node, error === null ? pod : { error: `nobody answers in it: ${error}` }];
    });
    return new Map(await Promise.all(started));
  }

  /** Resolves when it listens, or with why it does not. It ends with the pod. */
  private serve(namespace: string, node: string): Promise<string | null> {
    const { podFamilies: families, limitFactor } = this.request;
    const seconds = POD_LIMIT_SECONDS * limitFactor;
    return new Promise((resolve, reject) => {
      const question = { part: 'serve', node, port: PROBE_PORT, families, seconds };
      const onStdoutLine = (line: string) => void (line === 'listening' && resolve(null));
      this.inPod(namespace, node, question, { timeoutSeconds: seconds, onStdoutLine }).then(
        ({ stderr }) => resolve(lastLine(stderr)),
        (error) => (error instanceof SshError ? resolve(error.message) : reject(error)),
      );
    });
  }

  /** Runs the program of the pods on a node, for its pod of a namespace. */
  private inPod(namespace: string, node: string, question: object, opts: ExecOptions): Promise<ExecResult> {
    const { end, session } = this.hosts.get(node)!;
    const crictl = { crictl: `${PROGRAM_FOLDER}/crictl`, crictlSeconds: this.limits.command };
    const stdin = podScript({ ...crictl, namespace, pod: podName(node), ...question });
    return session.exec(asRoot(end.target, 'python3 -u -'), { ...opts, stdin, signal: this.opts.signal });
  }

  private async measure(
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
      peers: request.peers,
      bytes: TRANSFER_BYTES,
      transferSeconds: limits.transfer,
      zones: request.zones.map(({ zone }) => zone),
      nameServers: request.nameServers,
      reach: fences.flatMap(({ fence, pod }) => ('addresses' in pod ? targets(fence.name, pod.addresses) : [])),
    };
    const answer = await this.askPod(this.namespace, node, question);
    return 'error' in answer ? { node, ...answer } : { node, measured: answer };
  }

  private async askPod(
    namespace: string,
    node: string,
    question: object,
  ): Promise<PodMeasurements | { error: string }> {
    try {
      const { code, stdout, stderr } = await this.inPod(
        namespace,
        node,
        { ...question, part: 'measure' },
        {
          timeoutSeconds: this.limits.measure,
          onStderrLine: (line) => line.startsWith('step: ') && this.progress(`${node}: ${line.slice('step: '.length)}`),
        },
      );
      if (code !== 0) return { error: `its probe failed: ${lastLine(stderr)}` };
      return JSON.parse(stdout) as PodMeasurements;
    } catch (error) {
      if (!(error instanceof SshError)) throw error;
      return { error: `its probe failed: ${error.message}` };
    }
  }
}

const lastLine = (text: string) => text.trim().split('\n').pop() || 'it ended without a word';

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
