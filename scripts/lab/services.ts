/** The lab's own servers: libvirtd, DNS and NTP, all inside the lab's namespace and with all their files in the lab's directories. */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { LabLayout } from './layout';
import { namespaceProcesses, processCommand } from './network';
import { LabError, run, waitFor } from './run';

/** The name of the lab's DNS zone; `lab.internal` itself resolves to the lab's gateway. */
export const labDomain = 'lab.internal';

export const libvirtdConfig = [
  'listen_tls = 0',
  'listen_tcp = 0',
  'auth_unix_ro = "none"',
  'auth_unix_rw = "none"',
  'unix_sock_ro_perms = "0700"',
  'unix_sock_rw_perms = "0700"',
  '',
].join('\n');

export const qemuConfig = [
  // The lab is one user's, on one machine: no second user account, no security labels on the image cache.
  'user = "root"',
  'group = "root"',
  'dynamic_ownership = 0',
  'remember_owner = 0',
  'security_driver = "none"',
  // libvirt's own mount namespaces and control groups need a machine that is booted by systemd.
  'namespaces = []',
  'cgroup_controllers = []',
  // virtlogd would be a daemon of the machine, outside the lab.
  'stdio_handler = "file"',
  '',
].join('\n');

/**
 * libvirtd as root has its paths compiled in. A mount namespace puts the lab's directories there, so that a libvirtd of the
 * machine and those of other labs never meet this one; without /run/dbus it also registers nothing with the machine's systemd.
 */
export function libvirtdScript(lab: LabLayout): string {
  const own = `${lab.stateDirectory}/libvirt`;
  const run = lab.runDirectory;
  return [
    'set -e',
    'mount --make-rprivate /',
    'umount -l /sys/fs/cgroup 2>/dev/null || true',
    `mount --bind ${own}/lib /var/lib/libvirt`,
    `mount --bind ${own}/etc /etc/libvirt`,
    'mount -t tmpfs tmpfs /var/log',
    'mount -t tmpfs tmpfs /var/cache',
    'mkdir /var/log/libvirt /var/cache/libvirt',
    `mount --bind ${own}/log /var/log/libvirt`,
    `mount --bind ${own}/cache /var/cache/libvirt`,
    `mount --bind ${run}/libvirt ${run}/slash-run/libvirt`,
    `mount --bind ${run} ${run}/slash-run/sitewright/${lab.name}`,
    `mount --rbind ${run}/slash-run /run`,
    `exec libvirtd --config /etc/libvirt/libvirtd.conf --pid-file ${run}/libvirtd.pid`,
  ].join('\n');
}

export function dnsmasqArguments(lab: LabLayout): string[] {
  return [
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    '--no-resolv',
    '--no-hosts',
    '--user=root',
    `--pid-file=${lab.runDirectory}/dnsmasq.pid`,
    '--bind-interfaces',
    `--listen-address=${lab.servers.ipv4}`,
    `--listen-address=${lab.servers.ipv6}`,
    // The lab has no way out: every other name has the answer that it does not exist, instead of a refusal.
    '--local=/#/',
    `--host-record=${labDomain},${lab.servers.ipv4},${lab.servers.ipv6}`,
    `--addn-hosts=${lab.stateDirectory}/hosts`,
  ];
}

/** The process of a service: the one in the lab's namespace with this text in its command line. */
async function findProcess(lab: LabLayout, text: string): Promise<number | undefined> {
  for (const pid of await namespaceProcesses(lab.namespace)) {
    if ((await processCommand(pid)).includes(text)) return pid;
  }
  return undefined;
}

const marks = {
  libvirtd: (lab: LabLayout) => `--pid-file ${lab.runDirectory}/libvirtd.pid`,
  dnsmasq: (lab: LabLayout) => `--pid-file=${lab.runDirectory}/dnsmasq.pid`,
  ntp: (lab: LabLayout) => `ntpServer.js ${lab.name}`,
};

/** Process ids of the lab's servers; a server that does not run is absent. */
export async function serviceProcesses(lab: LabLayout): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const [service, mark] of Object.entries(marks)) {
    const pid = await findProcess(lab, mark(lab));
    if (pid !== undefined) found[service] = pid;
  }
  return found;
}

/** Starts a program in the lab's namespace that outlives this process; its output goes to a log in the lab's directory. */
async function startDetached(lab: LabLayout, service: string, command: string[]): Promise<void> {
  const log = await fs.open(path.join(lab.stateDirectory, `${service}.log`), 'w');
  try {
    const child = spawn('ip', ['netns', 'exec', lab.namespace, ...command], {
      detached: true,
      cwd: '/',
      stdio: ['ignore', log.fd, log.fd],
      env: { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C', HOME: '/root' },
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
  } finally {
    await log.close();
  }
}

async function waitForService(lab: LabLayout, service: string, ready: () => Promise<true | undefined>): Promise<void> {
  await waitFor(`the lab's ${service}`, 60_000, ready).catch(async (error: LabError) => {
    const log = await fs.readFile(path.join(lab.stateDirectory, `${service}.log`), 'utf8').catch(() => '');
    throw new LabError(`${error.message}\n${log.trim().split('\n').slice(-10).join('\n')}`);
  });
}

export async function virsh(lab: LabLayout, ...args: string[]): Promise<string> {
  return (await run('virsh', ['--quiet', '--connect', lab.libvirtUri, ...args])).stdout;
}

async function startLibvirtd(lab: LabLayout): Promise<void> {
  const own = path.join(lab.stateDirectory, 'libvirt');
  for (const directory of ['lib', 'etc', 'log', 'cache'])
    await fs.mkdir(path.join(own, directory), { recursive: true });
  await fs.mkdir(path.join(lab.runDirectory, 'libvirt'), { recursive: true });
  await fs.mkdir(path.join(lab.runDirectory, 'slash-run/libvirt'), { recursive: true });
  await fs.mkdir(path.join(lab.runDirectory, 'slash-run/sitewright', lab.name), { recursive: true });
  await fs.mkdir(lab.poolDirectory, { recursive: true });
  await fs.writeFile(path.join(own, 'etc/libvirtd.conf'), libvirtdConfig);
  await fs.writeFile(path.join(own, 'etc/qemu.conf'), qemuConfig);
  await startDetached(lab, 'libvirtd', ['unshare', '--mount', 'sh', '-c', libvirtdScript(lab)]);
}

async function makePool(lab: LabLayout): Promise<void> {
  const pools = (await virsh(lab, 'pool-list', '--all', '--name')).split('\n').map((line) => line.trim());
  if (!pools.includes('default')) await virsh(lab, 'pool-define-as', 'default', 'dir', '--target', lab.poolDirectory);
  const active = (await virsh(lab, 'pool-list', '--name')).split('\n').map((line) => line.trim());
  if (!active.includes('default')) await virsh(lab, 'pool-start', 'default');
  await virsh(lab, 'pool-autostart', 'default');
}

/** Starts whichever of the lab's servers does not run, and returns when all of them answer. */
export async function startServices(lab: LabLayout): Promise<void> {
  const running = await serviceProcesses(lab);
  if (running.libvirtd === undefined) await startLibvirtd(lab);
  if (running.dnsmasq === undefined) {
    await fs.writeFile(path.join(lab.stateDirectory, 'hosts'), '', { flag: 'a' });
    await startDetached(lab, 'dnsmasq', ['dnsmasq', ...dnsmasqArguments(lab)]);
  }
  if (running.ntp === undefined) {
    await startDetached(lab, 'ntp', [process.execPath, path.join(__dirname, 'ntpServer.js'), lab.name]);
  }
  await waitForService(lab, 'libvirtd', async () => {
    const answer = await run('virsh', ['--quiet', '--connect', lab.libvirtUri, 'uri'], { allowFailure: true });
    return answer.exitCode === 0 ? true : undefined;
  });
  await makePool(lab);
  for (const port of [53, 123]) {
    await waitForService(lab, port === 53 ? 'dnsmasq' : 'ntp', async () => {
      const { stdout } = await run('ip', ['netns', 'exec', lab.namespace, 'ss', '-Hlnu', `sport = :${port}`]);
      return stdout.trim() === '' ? undefined : true;
    });
  }
}
