import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { componentVersion } from '../../components/plan/versions';
import type { ClusterPlan, KubeDocument } from '../../components/plan/clusterTypes';
import { makeContext } from '../cli/context';
import { openSite } from '../cli/site';
import { goPart, type GoComponent } from '../bundle/goParts';
import { ensurePart } from '../bundle/parts';

/**
 * What Services need of a cluster, without machines: a real etcd, API server and kube-proxy on a "node", a client and
 * pods, each a network namespace of this run.
 *
 *     client 198.18.0.2 -- 198.18.0.1 node 198.18.1.1 -- 198.18.1.2 and .3 pods
 */
export const CLIENT = 'client';
export const PODS = 'pods';
export const NODE = 'node';
export const POD_ADDRESSES = ['198.18.1.2', '198.18.1.3'];
const NODE_ADDRESS = '198.18.0.1';
const SERVER = `https://${NODE_ADDRESS}:6443`;
const LIMIT_MILLISECONDS = 180_000;

type Place = typeof CLIENT | typeof PODS | typeof NODE;
export type ProxyMode = ClusterPlan['kubeProxy']['mode'];

export class MiniCluster {
  private readonly dir = mkdtempSync(join(tmpdir(), 'sitewright-bench-cluster-'));
  private readonly processes: ChildProcess[] = [];
  private readonly token = randomBytes(24).toString('hex');
  private proxy: { process: ChildProcess; config: string } | null = null;

  private constructor(
    readonly plan: ClusterPlan,
    private readonly signal: AbortSignal,
    private readonly programs: Record<'kubernetes' | 'etcd' | 'coredns', string>,
  ) {}

  /** The programs of the lab's bundle; what is not in the cache is built first. */
  static async start(signal: AbortSignal): Promise<MiniCluster> {
    const plan = openSite(makeContext({}), 'lab').plan.cluster!;
    const folder = async (component: GoComponent) =>
      (await ensurePart(await goPart(component, componentVersion(plan.bundle, component)), () => undefined)).folder;
    const [kubernetes, etcd, coredns] = [await folder('kubernetes'), await folder('etcd'), await folder('coredns')];
    const cluster = new MiniCluster(plan, signal, { kubernetes, etcd, coredns });
    try {
      cluster.makeNetwork();
      await cluster.startApi();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  program(component: 'kubernetes' | 'etcd' | 'coredns', name: string): string {
    return join(this.programs[component], name);
  }

  /** `ip netns exec` puts the files below /etc/netns/<name> over those of /etc. */
  namespace(place: Place): string {
    return `swb-${place}-${process.pid}`;
  }

  file(name: string, text: string): string {
    writeFileSync(join(this.dir, name), text, { mode: 0o600 });
    return join(this.dir, name);
  }

  /** Runs a program to its end and returns its stdout. */
  run(place: Place, command: string[], input = ''): string {
    this.signal.throwIfAborted();
    const args = ['netns', 'exec', this.namespace(place), ...command];
    return execFileSync('ip', args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
  }

  /** Starts a program that runs until `stop`, or until it is ended by the one who started it. */
  spawn(place: Place, name: string, command: string[]): ChildProcess {
    const log = openSync(join(this.dir, `${name}.log`), 'a');
    const args = ['netns', 'exec', this.namespace(place), ...command];
    const child = spawn('ip', args, { stdio: ['ignore', log, log], cwd: this.dir });
    closeSync(log);
    this.processes.push(child);
    return child;
  }

  kubectl(args: string[], input = ''): string {
    return this.run(NODE, [this.program('kubernetes', 'kubectl'), `--kubeconfig=${this.kubeconfig}`, ...args], input);
  }

  create(items: KubeDocument[]): void {
    this.kubectl(['create', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  }

  get kubeconfig(): string {
    return join(this.dir, 'kubeconfig');
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    const end = Date.now() + LIMIT_MILLISECONDS;
    for (;;) {
      this.signal.throwIfAborted();
      try {
        if (condition()) return;
      } catch (error) {
        // A question that nobody answers yet.
        if (Date.now() > end) throw new Error(`${what}: not there\n${this.logs()}`, { cause: error });
      }
      const ended = this.processes.find(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null);
      if (Date.now() > end || ended !== undefined) throw new Error(`${what}: not there\n${this.logs()}`);
      await sleep(200);
    }
  }

  /** kube-proxy as the lab's plan configures it, in a mode; the rules of another mode are gone before. */
  async startProxy(mode: ProxyMode): Promise<void> {
    const configuration = {
      ...this.plan.kubeProxy.configuration,
      mode,
      clientConnection: { kubeconfig: this.kubeconfig },
    };
    const config = this.file('kube-proxy.yaml', stringify(configuration));
    const program = this.program('kubernetes', 'kube-proxy');
    const child = this.spawn(NODE, 'kube-proxy', [program, `--config=${config}`, '--hostname-override=node']);
    this.proxy = { process: child, config };
  }

  async stopProxy(): Promise<void> {
    if (this.proxy === null) return;
    await this.end(this.proxy.process);
    this.proxy = null;
    try {
      this.run(NODE, [this.program('kubernetes', 'kube-proxy'), '--cleanup']);
    } catch {
      this.signal.throwIfAborted();
      // Its exit code also counts the modes that this machine lacks.
    }
  }

  async end(child: ChildProcess): Promise<void> {
    const index = this.processes.indexOf(child);
    if (index >= 0) this.processes.splice(index, 1);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.processes].map((child) => this.end(child)));
    for (const place of [CLIENT, PODS, NODE] as const) {
      try {
        execFileSync('ip', ['netns', 'del', this.namespace(place)], { stdio: 'ignore' });
      } catch {
        // It was never made.
      }
      rmSync(join('/etc/netns', this.namespace(place)), { recursive: true, force: true });
    }
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** What the client's resolver is from the next program on. */
  resolvers(address: string, domain: string): void {
    const folder = join('/etc/netns', this.namespace(CLIENT));
    mkdirSync(folder, { recursive: true });
    // As kubelet writes it for a pod of the namespace default.
    const search = ['default.svc', 'svc'].map((part) => `${part}.${domain}`);
    const text = `nameserver ${address}\nsearch ${[...search, domain].join(' ')}\noptions ndots:5\n`;
    writeFileSync(join(folder, 'resolv.conf'), text);
  }

  private logs(): string {
    const names = ['etcd', 'kube-apiserver', 'kube-proxy', 'coredns', 'cache'];
    const tail = (name: string) => {
      try {
        return `${name}: ${readFileSync(join(this.dir, `${name}.log`), 'utf8')
          .trim()
          .split('\n')
          .slice(-3)
          .join('\n')}`;
      } catch {
        return `${name}: not started`;
      }
    };
    return names.map(tail).join('\n');
  }

  private makeNetwork(): void {
    const ip = (...args: string[]) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    for (const place of [CLIENT, PODS, NODE] as const) {
      ip('netns', 'add', this.namespace(place));
      ip('-n', this.namespace(place), 'link', 'set', 'lo', 'up');
    }
    const node = this.namespace(NODE);
    for (const [index, place] of [CLIENT, PODS].entries()) {
      const there = this.namespace(place as Place);
      const device = `to-${place}`;
      ip(...['-n', node, 'link', 'add', device, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', there]);
      ip('-n', node, 'address', 'add', `198.18.${index}.1/24`, 'dev', device);
      ip('-n', node, 'link', 'set', device, 'up');
      for (const address of place === CLIENT ? ['198.18.0.2'] : POD_ADDRESSES) {
        ip('-n', there, 'address', 'add', `${address}/24`, 'dev', 'eth0');
      }
      ip('-n', there, 'link', 'set', 'eth0', 'up');
      ip('-n', there, 'route', 'add', 'default', 'via', `198.18.${index}.1`);
    }
    // The node's own connections to a Service need a route before a rule can lead them elsewhere.
    ip('-n', node, 'route', 'add', 'default', 'via', '198.18.0.2');
    // Resolvers of the site: nobody is there, and nobody waits for them.
    ip('-n', node, 'route', 'add', 'unreachable', '192.0.2.0/24');
    this.run(NODE, ['sysctl', '-q', '-w', 'net.ipv4.ip_forward=1']);
  }

  private async startApi(): Promise<void> {
    const etcd = 'http://127.0.0.1:2379';
    this.spawn(NODE, 'etcd', [
      this.program('etcd', 'etcd'),
      ...[`--data-dir=${join(this.dir, 'etcd')}`, '--unsafe-no-fsync'],
      ...[
        `--listen-client-urls=${etcd}`,
        `--advertise-client-urls=${etcd}`,
        '--listen-peer-urls=http://127.0.0.1:2380',
      ],
    ]);
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const key = this.file('sa.key', privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
    // Nobody else is in the namespace: a token and a certificate of its own are enough.
    const tokens = this.file('tokens.csv', `${this.token},bench,bench,system:masters\n`);
    this.file('kubeconfig', JSON.stringify(kubeconfigOf(this.token)));
    this.spawn(NODE, 'kube-apiserver', [
      this.program('kubernetes', 'kube-apiserver'),
      ...[`--etcd-servers=${etcd}`, `--bind-address=${NODE_ADDRESS}`, '--endpoint-reconciler-type=none'],
      ...[`--cert-dir=${join(this.dir, 'certificates')}`, `--token-auth-file=${tokens}`, '--authorization-mode=RBAC'],
      ...[`--service-account-key-file=${key}`, `--service-account-signing-key-file=${key}`],
      ...['--service-account-issuer=https://kubernetes.default.svc', '--service-cluster-ip-range=10.96.0.0/12'],
    ]);
    await this.until('the API server', () => this.kubectl(['get', '--raw', '/readyz']) === 'ok');
    await this.until('its namespace', () => this.kubectl(['get', 'namespace', 'default', '-o', 'name']) !== '');
    const addresses = [{ type: 'InternalIP', address: NODE_ADDRESS }];
    this.create([{ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node' }, status: { addresses } }]);
  }
}

const kubeconfigOf = (token: string) => ({
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'bench',
  contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
  clusters: [{ name: 'bench', cluster: { server: SERVER, 'insecure-skip-tls-verify': true } }],
  users: [{ name: 'bench', user: { token } }],
});

/** A Service with pods behind it that the bench itself serves. */
export function serviceOf(
  name: string,
  address: string,
  ports: { name: string; port: number; protocol: 'TCP' | 'UDP'; targetPort: number }[],
  pods: string[],
  labels: Record<string, string> = {},
): KubeDocument[] {
  const metadata = { name, labels };
  return [
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { clusterIP: address, ports } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, labels: { ...labels, 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: ports.map(({ name: port, protocol, targetPort }) => ({ name: port, port: targetPort, protocol })),
      endpoints: pods.map((pod) => ({ addresses: [pod], conditions: { ready: true } })),
    },
  ];
}

/** Modes whose kernel parts and programs this machine has. */
export function availableModes(): { mode: ProxyMode; missing: string | null }[] {
  const works = (command: string, ...args: string[]) => {
    try {
      execFileSync(command, args, { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  const hasIpvs = works('test', '-e', '/proc/net/ip_vs') || works('modprobe', 'ip_vs');
  const ipvs = !hasIpvs ? 'the kernel has no ip_vs' : works('ipset', 'version') ? null : 'ipset is not installed';
  return [
    { mode: 'iptables', missing: works('iptables', '--version') ? null : 'iptables is not installed' },
    { mode: 'nftables', missing: null },
    { mode: 'ipvs', missing: ipvs },
  ];
}
