import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import * as https from 'node:https';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { cacheDir } from '../../../components/cacheDir';

/** Where the build of the bundle keeps the programs that it makes from sources. */
const builds = () => path.join(cacheDir(), 'bundle-parts');

/** A program of a component, as the last build of the bundle made it. */
export function program(component: string, name: string): string {
  const found = fs.existsSync(builds())
    ? fs
        .readdirSync(builds())
        .filter((folder) => folder.startsWith(`${component}-`) && !folder.includes('.partial'))
        .map((folder) => path.join(builds(), folder, 'files', name))
        .filter((file) => fs.existsSync(file))
        .sort((a, b) => fs.statSync(b).mtimeMs - fs.statSync(a).mtimeMs)
    : [];
  if (found.length === 0) {
    throw new Error(`${name} is not below ${builds()}: build the bundle from source first (its part ${component})`);
  }
  return found[0];
}

type Json = Record<string, any>; // eslint-disable-line @typescript-eslint/no-explicit-any

/** A real kube-apiserver with an etcd of its own, on loopback, with keys and certificates that nobody will use again. */
export class ApiServer {
  private readonly processes: ChildProcess[] = [];
  readonly dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-apiserver-'));
  private port = 0;
  private etcdPort = 0;

  private constructor(private readonly args: string[]) {}

  /**
   * @param authority signs its certificates, in PEM, and is the one whose clients it lets in. Default: a new one.
   * @param args beside those that it needs here
   */
  static async start(authority?: { certificate: string; privateKey: string }, args: string[] = []): Promise<ApiServer> {
    const server = new ApiServer(args);
    try {
      await server.run(authority);
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  /** Of a member of system:masters. */
  kubeconfig(server = this.url): string {
    const data = (file: string) => fs.readFileSync(path.join(this.dir, file)).toString('base64');
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
      clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': data('ca.crt') } }],
      users: [
        {
          name: 'admin',
          user: { 'client-certificate-data': data('admin.crt'), 'client-key-data': data('admin.key') },
        },
      ],
    });
  }

  private async run(authority?: { certificate: string; privateKey: string }): Promise<void> {
    this.certificates(authority);
    const peerPort = await freePort();
    this.etcdPort = await freePort();
    this.port = await freePort();
    const etcdUrl = `http://127.0.0.1:${this.etcdPort}`;
    this.spawn('etcd', program('etcd', 'etcd'), [
      `--data-dir=${path.join(this.dir, 'etcd')}`,
      '--unsafe-no-fsync',
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
    ]);
    this.startApiServer();
    await this.untilReady();
    // What the first start leaves to be made a moment later: without it a namespace is not there for its first object.
    await until('the namespace default', async () => (await this.find('/api/v1/namespaces/default')) !== undefined);
  }

  private startApiServer(): void {
    const file = (name: string) => path.join(this.dir, name);
    this.spawn('kube-apiserver', program('kubernetes', 'kube-apiserver'), [
      `--etcd-servers=http://127.0.0.1:${this.etcdPort}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${this.port}`,
      `--tls-cert-file=${file('server.crt')}`,
      `--tls-private-key-file=${file('server.key')}`,
      `--client-ca-file=${file('ca.crt')}`,
      `--service-account-key-file=${file('server.crt')}`,
      `--service-account-signing-key-file=${file('server.key')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      '--service-cluster-ip-range=10.96.0.0/16',
      '--authorization-mode=RBAC',
      // As kubeadm sets it.
      '--allow-privileged=true',
      // Without its controller nobody would give a pod its token, and no pod runs here.
      '--disable-admission-plugins=ServiceAccount',
      ...this.args,
    ]);
  }

  /** The controllers of kube-controller-manager: without them nothing is rolled out and no namespace goes away. */
  startControllers(): void {
    fs.writeFileSync(path.join(this.dir, 'kubeconfig'), this.kubeconfig(), { mode: 0o600 });
    this.spawn('kube-controller-manager', program('kubernetes', 'kube-controller-manager'), [
      `--kubeconfig=${path.join(this.dir, 'kubeconfig')}`,
      '--leader-elect=false',
      '--secure-port=0',
      // Nodes of tests have no kubelet that would report again.
      '--node-monitor-grace-period=24h',
      '--concurrent-gc-syncs=2',
      '--cluster-signing-cert-file=ca.crt',
      '--cluster-signing-key-file=ca.key',
    ]);
  }

  private untilReady(): Promise<void> {
    return until('the API server', async () => {
      const failed = this.processes.find((child) => child.exitCode !== null);
      if (failed) throw new Error(`${failed.spawnfile} ended; see its log:\n${this.logs()}`);
      return (await this.raw('GET', '/readyz').catch(() => ({ status: 0 }))).status === 200;
    });
  }

  logs(): string {
    return fs
      .readdirSync(this.dir)
      .filter((name) => name.endsWith('.log'))
      .map((name) => `${name}:\n${fs.readFileSync(path.join(this.dir, name), 'utf8').slice(-2000)}`)
      .join('\n');
  }

  private certificates(authority?: { certificate: string; privateKey: string }): void {
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: this.dir, stdio: 'pipe' });
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    if (authority === undefined) {
      openssl('req', '-x509', ...key, '-subj', '/CN=test-ca', '-keyout', 'ca.key', '-out', 'ca.crt');
    } else {
      fs.writeFileSync(path.join(this.dir, 'ca.key'), authority.privateKey, { mode: 0o600 });
      fs.writeFileSync(path.join(this.dir, 'ca.crt'), authority.certificate);
    }
    const signed = ['-CA', 'ca.crt', '-CAkey', 'ca.key'];
    const names = 'subjectAltName=IP:127.0.0.1,DNS:kubernetes.default.svc';
    for (const [name, subject, extra] of [
      ['server', '/CN=kube-apiserver', ['-addext', names]],
      ['admin', '/O=system:masters/CN=admin', ['-addext', 'extendedKeyUsage=clientAuth']],
    ] as const) {
      openssl(
        ...['req', '-x509', ...key, ...signed, '-subj', subject, ...extra],
        ...['-keyout', `${name}.key`, '-out', `${name}.crt`],
      );
    }
  }

  private spawn(name: string, file: string, args: string[]): void {
    const log = fs.openSync(path.join(this.dir, `${name}.log`), 'a');
    this.processes.push(spawn(file, args, { stdio: ['ignore', log, log], cwd: this.dir }));
    fs.closeSync(log);
  }

  /** Ends the API server; etcd keeps what there is. */
  async pause(): Promise<void> {
    const index = this.processes.findIndex((child) => child.spawnfile.endsWith('kube-apiserver'));
    const [child] = this.processes.splice(index, 1);
    await ended(child);
  }

  async resume(): Promise<void> {
    this.startApiServer();
    await this.untilReady();
  }

  async stop(): Promise<void> {
    await Promise.all(this.processes.map(ended));
    fs.rmSync(this.dir, { recursive: true, force: true });
  }

  /** The object at a path; undefined where there is none. */
  async find(target: string): Promise<Json | undefined> {
    const { status, body } = await this.raw('GET', target);
    return status === 200 ? body : undefined;
  }

  /** A merge patch as `kubectl edit` would send it. */
  async edit(target: string, patch: Json, manager = 'kubectl-edit'): Promise<Json> {
    return this.done('PATCH', `${target}?fieldManager=${manager}`, patch, 'application/merge-patch+json');
  }

  async done(method: string, target: string, body?: Json, type?: string): Promise<Json> {
    const answer = await this.raw(method, target, body, type);
    if (answer.status >= 300) throw new Error(`${method} ${target}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  private raw(method: string, target: string, body?: Json, type = 'application/json') {
    const read = (name: string) => fs.readFileSync(path.join(this.dir, name));
    const tls = { ca: read('ca.crt'), cert: read('admin.crt'), key: read('admin.key') };
    return new Promise<{ status: number; body: Json }>((resolve, reject) => {
      const request = https.request(this.url + target, { method, ...tls, agent: false }, (response) => {
        let text = '';
        response.on('data', (data) => (text += data));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: text.startsWith('{') ? JSON.parse(text) : { text } }),
        );
      });
      request.on('error', reject);
      const text = body && JSON.stringify(body);
      // Of a DELETE, Node would otherwise send a body that has no end.
      if (text) request.setHeader('Content-Length', Buffer.byteLength(text)).setHeader('Content-Type', type);
      request.end(text);
    });
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const limit = Date.now() + 120_000;
  while (!(await condition())) {
    if (Date.now() > limit) throw new Error(`${what}: not there after 120 s`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
