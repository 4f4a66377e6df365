import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  HEALTH_FILE,
  HEALTH_SCRIPT,
  haproxyConfiguration,
  INTERFACE_PLACE,
  keepalivedConfiguration,
} from '../../components/cluster/vipFiles';
import type { VipPlan } from '../../components/plan/clusterTypes';
import { API_PORT } from '../../components/plan/endpoint';
import { bracketed } from '../../components/plan/ip';
import { program } from '../plugins/kubernetes/apiServer';
import { pki } from './fixtures';

const sh = (...command: string[]) =>
  execFileSync(command[0]!, command.slice(1), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/**
 * Control-plane nodes as network namespaces on one bridge, with the real haproxy, keepalived and kube-apiserver; their
 * etcd is one process beside the bridge, where a client of the cluster is too.
 */
export class VipNetwork {
  /** Not below /tmp: keepalived runs no script from a folder that anybody can write to. */
  private readonly dir = fs.mkdtempSync('/run/sitewright-vip-test-');
  private readonly middle = `swvip${process.pid}-m`;
  private readonly left = new Set<string>();
  private readonly processes = new Map<string, ChildProcess>();

  constructor(private readonly vip: VipPlan) {
    if (process.getuid?.() !== 0) throw new Error('these tests make network namespaces: run them as root');
    fs.chmodSync(this.dir, 0o755);
  }

  private namespace = (node: string) => `swvip${process.pid}-${node}`;
  private file = (name: string) => path.join(this.dir, name);

  start(): void {
    const outside = this.vip.address.includes(':') ? ['2001:db8::1/64', 'nodad'] : ['192.0.2.1/24'];
    sh('ip', 'netns', 'add', this.middle);
    sh('ip', '-n', this.middle, 'link', 'set', 'lo', 'up');
    sh('ip', '-n', this.middle, 'link', 'add', 'br0', 'type', 'bridge');
    sh('ip', '-n', this.middle, 'link', 'set', 'br0', 'up');
    sh('ip', '-n', this.middle, 'addr', 'add', ...outside, 'dev', 'br0');
    for (const { node, address } of this.vip.members) {
      const namespace = this.namespace(node);
      const own = address.includes(':') ? [`${address}/64`, 'nodad'] : [`${address}/24`];
      sh('ip', 'netns', 'add', namespace);
      sh('ip', '-n', namespace, 'link', 'set', 'lo', 'up');
      sh(
        'ip',
        '-n',
        namespace,
        'link',
        'add',
        'eth0',
        'type',
        'veth',
        'peer',
        'name',
        `port-${node}`,
        'netns',
        this.middle,
      );
      sh('ip', '-n', this.middle, 'link', 'set', `port-${node}`, 'master', 'br0', 'up');
      sh('ip', '-n', namespace, 'link', 'set', 'eth0', 'up');
      sh('ip', '-n', namespace, 'addr', 'add', ...own, 'dev', 'eth0');
    }
    this.certificates();
    const client = `http://${bracketed(outside[0]!.split('/')[0]!)}:2379`;
    this.spawn(this.middle, 'etcd', program('etcd', 'etcd'), [
      `--data-dir=${this.file('etcd')}`,
      '--unsafe-no-fsync',
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      '--listen-peer-urls=http://127.0.0.1:2380',
    ]);
  }

  /** haproxy and keepalived, as the control-plane script starts them. */
  startVip(node: string): void {
    this.writeVipFiles(node);
    const keepalived = this.file(`${node}-keepalived.conf`);
    const pid = (name: string) => this.file(`${node}-${name}.pid`);
    this.spawn(this.namespace(node), `haproxy-${node}`, '/usr/sbin/haproxy', [
      ...['-W', '-f', this.file('haproxy.cfg'), '-p', pid('haproxy')],
    ]);
    this.spawn(this.namespace(node), `keepalived-${node}`, '/usr/sbin/keepalived', [
      ...['--dont-fork', '--log-console', '--no-syslog', '--vrrp', `--use-file=${keepalived}`],
      ...[`--pid=${pid('keepalived')}`, `--vrrp_pid=${pid('vrrp')}`],
    ]);
  }

  private writeVipFiles(node: string): void {
    const here = (text: string) =>
      text
        .replaceAll('/etc/kubernetes/pki/ca.crt', this.file('ca.crt'))
        .replaceAll(HEALTH_FILE, this.file('health'))
        .replaceAll(INTERFACE_PLACE, 'eth0');
    const endpoint = { name: 'api.oslo.internal', port: API_PORT, address: this.vip.address, kind: 'vip' as const };
    fs.writeFileSync(this.file('health'), HEALTH_SCRIPT, { mode: 0o755 });
    fs.writeFileSync(this.file('haproxy.cfg'), here(haproxyConfiguration({ endpoint, vip: this.staying() })));
    const keepalived = here(keepalivedConfiguration(node, this.staying(), pki));
    fs.writeFileSync(this.file(`${node}-keepalived.conf`), keepalived, { mode: 0o600 });
  }

  /** As a node that is to leave: keepalived ends in order, and then the others forget it. */
  async stepDown(node: string): Promise<void> {
    await this.end(`keepalived-${node}`, 'SIGTERM');
    await this.end(`haproxy-${node}`, 'SIGTERM');
    this.left.add(node);
    for (const { node: other } of this.staying().members) {
      this.writeVipFiles(other);
      this.processes.get(`keepalived-${other}`)?.kill('SIGHUP');
      this.processes.get(`haproxy-${other}`)?.kill('SIGUSR2');
    }
  }

  private staying = (): VipPlan => ({
    ...this.vip,
    members: this.vip.members.filter(({ node }) => !this.left.has(node)),
  });

  /** On every address, as kubeadm starts it; `shared` is what the plan gives it. */
  startApiServer(node: string, shared = true): void {
    const { address } = this.vip.members.find((member) => member.node === node)!;
    const etcd = this.vip.address.includes(':') ? '[2001:db8::1]' : '192.0.2.1';
    this.spawn(this.namespace(node), `kube-apiserver-${node}`, program('kubernetes', 'kube-apiserver'), [
      `--etcd-servers=http://${etcd}:2379`,
      `--advertise-address=${address}`,
      `--secure-port=${API_PORT}`,
      ...(shared ? ['--permit-port-sharing=true'] : []),
      `--tls-cert-file=${this.file('server.crt')}`,
      `--tls-private-key-file=${this.file('server.key')}`,
      `--client-ca-file=${this.file('ca.crt')}`,
      `--service-account-key-file=${this.file('server.crt')}`,
      `--service-account-signing-key-file=${this.file('server.key')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-cluster-ip-range=${address.includes(':') ? 'fd00:96::/112' : '10.96.0.0/16'}`,
      '--authorization-mode=RBAC',
    ]);
  }

  /** Nodes that have the virtual address. */
  holders(): string[] {
    return this.vip.members
      .map(({ node }) => node)
      .filter((node) => sh('ip', '-n', this.namespace(node), '-o', 'addr').includes(` ${this.vip.address}/`));
  }

  /** What /readyz says on an address, seen from outside of the nodes; the certificate is checked. */
  readyz(address = this.vip.address): string {
    try {
      const url = `https://api.oslo.internal:${API_PORT}/readyz`;
      const resolved = `api.oslo.internal:${API_PORT}:${bracketed(address)}`;
      return sh(
        ...['ip', 'netns', 'exec', this.middle, 'curl', '--silent', '--max-time', '10', '--noproxy', '*'],
        ...['--cacert', this.file('ca.crt'), '--resolve', resolved, url],
      );
    } catch {
      return 'nothing';
    }
  }

  /** Connections that haproxy of a node has led on since it was started. */
  listeners(node: string): string {
    return sh('ip', 'netns', 'exec', this.namespace(node), 'ss', '-Hltnp', `sport = :${API_PORT}`);
  }

  /** The cable of a node. */
  setCable(node: string, state: 'up' | 'down'): void {
    sh('ip', '-n', this.middle, 'link', 'set', `port-${node}`, state);
  }

  /** What is killed has no time to give anything back. */
  kill = (name: string) => this.end(name, 'SIGKILL');

  private async end(name: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.processes.get(name)!;
    this.processes.delete(name);
    const gone = new Promise((resolve) => child.once('exit', resolve));
    if (child.exitCode === null && child.kill(signal)) await gone;
  }

  logs(): string {
    return fs
      .readdirSync(this.dir)
      .filter((name) => name.endsWith('.log'))
      .map((name) => `${name}:\n${fs.readFileSync(this.file(name), 'utf8').slice(-1500)}`)
      .join('\n');
  }

  async stop(): Promise<void> {
    await Promise.all([...this.processes.keys()].map((name) => this.kill(name)));
    for (const namespace of [...this.vip.members.map(({ node }) => this.namespace(node)), this.middle]) {
      try {
        // Children of what was killed: workers of haproxy, the VRRP process of keepalived.
        for (const pid of sh('ip', 'netns', 'pids', namespace).split('\n').filter(Boolean))
          process.kill(Number(pid), 'SIGKILL');
        sh('ip', 'netns', 'del', namespace);
      } catch {
        // Not made yet.
      }
    }
    fs.rmSync(this.dir, { recursive: true, force: true });
  }

  private certificates(): void {
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: this.dir, stdio: 'pipe' });
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    openssl('req', '-x509', ...key, '-subj', '/CN=test-ca', '-keyout', 'ca.key', '-out', 'ca.crt');
    openssl(
      ...['req', '-x509', ...key, '-CA', 'ca.crt', '-CAkey', 'ca.key', '-subj', '/CN=kube-apiserver'],
      ...['-addext', 'subjectAltName=DNS:api.oslo.internal', '-keyout', 'server.key', '-out', 'server.crt'],
    );
  }

  private spawn(namespace: string, name: string, file: string, args: string[]): void {
    const log = fs.openSync(this.file(`${name}.log`), 'a');
    const stdio = ['ignore', log, log] as const;
    this.processes.set(
      name,
      spawn('ip', ['netns', 'exec', namespace, file, ...args], { stdio: [...stdio], cwd: this.dir }),
    );
    fs.closeSync(log);
  }
}
