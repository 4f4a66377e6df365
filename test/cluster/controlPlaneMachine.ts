import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { parse } from 'yaml';
import { expiryOf } from '../../components/secrets/pki';
import { program, until } from '../plugins/kubernetes/apiServer';
import { startSshd, type TestSshd } from '../ssh/sshd';
import type { ClusterPki } from '../../components/secrets/pki';
import type { NamedTarget } from '../../scripts/cli/targets';

/**
 * A control-plane machine without a machine: folders, addresses and processes of its own in namespaces, with a real etcd
 * and API server of manifests that the real kubeadm writes. In the place of kubelet, containerd and systemd are stand-ins:
 * what is in the folder of manifests runs, and what leaves it ends. As kubelet does, its stand-in ends at its start where
 * the certificate of kubelet.conf has expired.
 */

const PODS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'];
const BOUND = { etc: '/etc', lib: '/var/lib', log: '/var/log', bin: '/usr/local/bin' };
/** Where a site has it. */
export const KUBEADM_FILE = '/etc/kubernetes/sitewright/kubeadm.yaml';
const POLL_MILLISECONDS = 100;

interface Running {
  child: ChildProcess;
  manifest: string;
}

export class ControlPlaneMachine {
  readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-control-plane-'));
  private readonly pods = new Map<string, Running>();
  private readonly holder: ChildProcess;
  private timer: NodeJS.Timeout | undefined;
  private sshd: TestSshd | undefined;
  private started = 0;
  private kubeletRuns = true;

  private constructor(
    readonly name: string,
    readonly address: string,
    encryption: string,
    pki: ClusterPki | undefined,
  ) {
    fs.cpSync('/etc', this.at('etc'), { recursive: true, filter: (file) => !file.startsWith('/etc/kubernetes') });
    for (const folder of ['lib/etcd', 'log', 'bin', 'pods', 'stop', 'etc/kubernetes/sitewright']) {
      fs.mkdirSync(this.at(folder), { recursive: true });
    }
    fs.writeFileSync(this.at('etc/kubernetes/sitewright/encryption.yaml'), encryption);
    if (pki !== undefined) this.authorities(pki);
    this.programs();
    this.holder = spawn('unshare', ['--mount', '--net', '--propagation', 'private', 'sleep', 'infinity']);
  }

  /** @param pki the authorities that kubeadm is to find. Default: it makes its own. */
  static async start(
    name: string,
    address: string,
    encryption: string,
    pki?: ClusterPki,
  ): Promise<ControlPlaneMachine> {
    const machine = new ControlPlaneMachine(name, address, encryption, pki);
    try {
      await machine.run();
    } catch (error) {
      await machine.stop();
      throw error;
    }
    return machine;
  }

  at(name: string): string {
    return path.join(this.folder, name);
  }

  get host(): NamedTarget {
    return { name: this.name, target: this.sshd!.target };
  }

  /** As root on the machine; throws with what the command said. */
  sh(script: string): string {
    const { status, stdout, stderr } = spawnSync('nsenter', this.inside('bash', '-c', script), { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${script}: exit ${status}\n${stdout}${stderr}`);
    return stdout.trim();
  }

  kubectl(words: string, user = 'admin'): string {
    return this.sh(`kubectl --kubeconfig /etc/kubernetes/${user}.conf ${words}`);
  }

  authorities({ ca, etcdCa, frontProxyCa }: ClusterPki): void {
    for (const [name, { certificate, privateKey }] of Object.entries({
      ca,
      'etcd/ca': etcdCa,
      'front-proxy-ca': frontProxyCa,
    })) {
      const file = this.at(`etc/kubernetes/pki/${name}`);
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(`${file}.crt`, certificate);
      fs.writeFileSync(`${file}.key`, privateKey, { mode: 0o600 });
    }
  }

  private inside(...command: string[]): string[] {
    return ['--target', String(this.holder.pid), '--mount', '--net', '--', ...command];
  }

  private programs(): void {
    const real = { etcd: ['etcd', 'etcdctl', 'etcdutl'], kubernetes: ['kube-apiserver', 'kubeadm', 'kubectl'] };
    for (const [component, names] of Object.entries(real)) {
      for (const name of names) fs.symlinkSync(program(component, name), this.at(`bin/${name}`));
    }
    const standIn = (name: string, text: string) =>
      fs.writeFileSync(this.at(`bin/${name}`), `#!/bin/bash\n${text}\n`, { mode: 0o755 });
    standIn(
      'systemctl',
      `echo "$*" >>'${this.at('systemctl.log')}'
case $* in 'start kubelet.service' | 'restart kubelet.service') : >'${this.at('start-kubelet')}' ;; esac`,
    );
    // crictl ps --quiet --state running --name ^NAME$, crictl inspect --output go-template --template T ID, crictl stop --timeout SECONDS ID
    standIn(
      'crictl',
      `case $1 in
ps) name=\${6#^}; cat '${this.at('pods')}/'"\${name%?}" 2>/dev/null || true ;;
inspect) date -u -r '${this.at('pods')}/'"\${6%-*}" +%FT%TZ ;;
stop) : >'${this.at('stop')}/'"$4"; while grep -qx "$4" '${this.at('pods')}'/*; do sleep 0.1; done ;;
esac`,
    );
  }

  private async run(): Promise<void> {
    await until('the namespaces', () => {
      const own = (kind: string) => fs.readlinkSync(`/proc/${this.holder.pid}/ns/${kind}`);
      return ['mnt', 'net'].every((kind) => own(kind) !== fs.readlinkSync(`/proc/self/ns/${kind}`));
    });
    for (const [folder, target] of Object.entries(BOUND)) this.sh(`mount --bind '${this.at(folder)}' ${target}`);
    this.sh(`mount -t tmpfs tmpfs /run && mkdir /run/sitewright && ip link set lo up`);
    this.sh(`ip address add ${this.address}/24 dev lo`);
    this.sshd = await startSshd({
      config: [`ForceCommand nsenter ${this.inside().join(' ')} bash -c "$SSH_ORIGINAL_COMMAND"`],
    });
    fs.writeFileSync(
      this.at(KUBEADM_FILE.slice(1)),
      JSON.stringify(this.initConfiguration()) + '\n---\n' + JSON.stringify(this.clusterConfiguration()),
    );
    for (const phase of ['certs all', 'kubeconfig all', 'etcd local', 'control-plane all']) {
      this.sh(`kubeadm init phase ${phase} --config ${KUBEADM_FILE}`);
    }
    this.timer = setInterval(() => this.poll(), POLL_MILLISECONDS);
    await until('the API', () => {
      try {
        return this.kubectl('get --raw /readyz', 'super-admin') === 'ok';
      } catch {
        return false;
      }
    });
    this.kubectl(
      'create clusterrolebinding kubeadm:cluster-admins --clusterrole cluster-admin --group kubeadm:cluster-admins',
      'super-admin',
    );
    this.registerNode();
  }

  /** What kubelet would do. */
  registerNode(): void {
    const ready = '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}';
    this.sh(
      `echo '{"apiVersion":"v1","kind":"Node","metadata":{"name":"${this.name}"}}' | kubectl --kubeconfig /etc/kubernetes/admin.conf apply -f -`,
    );
    this.kubectl(`patch node ${this.name} --subresource=status --type=merge -p '${ready}'`);
  }

  private initConfiguration() {
    return {
      apiVersion: 'kubeadm.k8s.io/v1beta4',
      kind: 'InitConfiguration',
      localAPIEndpoint: { advertiseAddress: this.address, bindPort: 6443 },
      nodeRegistration: { name: this.name, criSocket: 'unix:///run/containerd/containerd.sock' },
    };
  }

  private clusterConfiguration() {
    const file = '/etc/kubernetes/sitewright/encryption.yaml';
    return {
      apiVersion: 'kubeadm.k8s.io/v1beta4',
      kind: 'ClusterConfiguration',
      kubernetesVersion: 'v1.36.1',
      encryptionAlgorithm: 'ECDSA-P256',
      apiServer: { extraArgs: [{ name: 'encryption-provider-config', value: file }] },
    };
  }

  /** As a loss of power: all that runs is gone. The machine starts again, and kubelet with it. */
  async restart(): Promise<void> {
    this.kubeletRuns = false;
    for (const { child } of this.pods.values()) child.kill('SIGKILL');
    await until('its processes have ended', () => this.pods.size === 0);
    this.sh('systemctl start kubelet.service');
    await until('kubelet has tried', () => !fs.existsSync(this.at('start-kubelet')));
  }

  /** What kubelet asks at its start (isClientConfigStillValid of its bootstrap). */
  private kubeletMayStart(): boolean {
    const { users } = parse(fs.readFileSync(this.at('etc/kubernetes/kubelet.conf'), 'utf8')) as {
      users: { user: { 'client-certificate'?: string; 'client-certificate-data'?: string } }[];
    };
    const { 'client-certificate': file, 'client-certificate-data': data = '' } = users[0]!.user;
    const pem = file === undefined ? Buffer.from(data, 'base64').toString() : this.sh(`cat ${file}`);
    return expiryOf(pem) > new Date();
  }

  private poll(): void {
    if (fs.existsSync(this.at('start-kubelet'))) {
      this.kubeletRuns ||= this.kubeletMayStart();
      fs.rmSync(this.at('start-kubelet'));
    }
    if (!this.kubeletRuns) return;
    for (const name of PODS) {
      const file = this.at(`etc/kubernetes/manifests/${name}.yaml`);
      const manifest = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
      const running = this.pods.get(name);
      const id = fs.existsSync(this.at(`pods/${name}`)) ? fs.readFileSync(this.at(`pods/${name}`), 'utf8').trim() : '';
      if (running === undefined) {
        if (manifest !== '') this.startPod(name, manifest);
      } else if (running.manifest !== manifest || fs.existsSync(this.at(`stop/${id}`))) {
        running.child.kill('SIGTERM');
      }
    }
  }

  private startPod(name: string, manifest: string): void {
    const pod = parse(manifest) as { spec?: { containers: { command: string[] }[] } };
    // kubelet leaves alone what is no pod.
    if (pod.spec === undefined) return;
    const [command, ...args] = pod.spec.containers[0]!.command;
    // The controllers would only be in the way: nothing here is rolled out.
    const words = name.startsWith('kube-api') || name === 'etcd' ? [command!, ...args] : ['sleep', 'infinity'];
    const log = fs.openSync(this.at(`${name}.log`), 'a');
    // nsenter becomes the program.
    const child = spawn('nsenter', this.inside(...words), { stdio: ['ignore', log, log] });
    fs.closeSync(log);
    this.pods.set(name, { child, manifest });
    this.started += 1;
    fs.writeFileSync(this.at(`pods/${name}`), `${name}-${this.started}\n`);
    child.on('exit', () => {
      fs.rmSync(this.at(`pods/${name}`), { force: true });
      this.pods.delete(name);
    });
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    for (const { child } of this.pods.values()) child.kill('SIGKILL');
    await until('its processes have ended', () => this.pods.size === 0);
    await this.sshd?.stop();
    const gone = new Promise((resolve) => this.holder.once('exit', resolve));
    this.holder.kill('SIGKILL');
    await gone;
    execFileSync('rm', ['-rf', this.folder]);
  }
}
