/** A lab from nothing to ready and back: up, status, inventory, down. Every one may be repeated after an interruption. */
import * as fs from 'node:fs/promises';
import { AcceleratorFacts, detectAccelerator } from './accelerator';
import { ensureImage, LabImage } from './image';
import { labLayout, LabLayout, LabTopology, mtuRangeBytes } from './layout';
import { makeNetwork, namespaceExists, namespaceProcesses, processCommand } from './network';
import { LabError, run, waitFor } from './run';
import { serviceProcesses, startServices, virsh } from './services';

/** What `up` was asked for and found out; kept in the lab's directory. */
export interface LabConfig {
  topology: LabTopology;
  mtuBytes: number;
  image: LabImage;
  accelerator: AcceleratorFacts;
}

export interface LabStatus extends LabConfig {
  name: string;
  /** true: network and all servers are there. */
  ready: boolean;
  namespace: string;
  middleNamespace: string;
  libvirtUri: string;
  poolDirectory: string;
  subnets: LabLayout['subnets'];
  servers: LabLayout['servers'];
  /** Process ids by name. */
  services: Record<string, number>;
}

export interface UpOptions {
  /** Default `flat`. */
  topology?: LabTopology;
  /** MTU of the lab's bridges and of the path between them, in bytes. Default 1500; another one is applied to a running lab. */
  mtuBytes?: number;
  progress?: (step: string) => void;
}

function needRoot(what: string): void {
  if (process.platform !== 'linux') throw new LabError('the lab needs Linux with network namespaces and QEMU', 2);
  if (process.getuid?.() !== 0) throw new LabError(`${what} needs root: run it with sudo`, 2);
}

/** Two runs on one lab would undo each other's work. The lock is the process itself, so a killed one holds nothing. */
async function withLock<T>(lab: LabLayout, work: () => Promise<T>): Promise<T> {
  await fs.mkdir('/run/sitewright', { recursive: true });
  const mine = `${process.pid} ${await processStart(process.pid)}`;
  for (let attempt = 0; ; attempt += 1) {
    try {
      await fs.writeFile(lab.lockFile, mine, { flag: 'wx' });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const [pid, start] = (await fs.readFile(lab.lockFile, 'utf8').catch(() => '')).split(' ');
      if (pid && start && (await processStart(Number(pid))) === start) {
        throw new LabError(`lab ${lab.name}: process ${pid} is working on it; wait for it to end`);
      }
      if (attempt > 5) throw new LabError(`lab ${lab.name}: cannot take the lock ${lab.lockFile}; remove it by hand`);
      await fs.rm(lab.lockFile, { force: true });
    }
  }
  try {
    return await work();
  } finally {
    await fs.rm(lab.lockFile, { force: true });
  }
}

/** When a process started (clock ticks since boot): with the id, it tells a process from a later one with the same id. */
async function processStart(pid: number): Promise<string> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

async function readConfig(lab: LabLayout): Promise<LabConfig | undefined> {
  const text = await fs.readFile(lab.configFile, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as LabConfig);
}

/** Brings a lab up or completes it, and returns its status. Some seconds with a cached image, minutes without. */
export async function up(name: string, options: UpOptions = {}): Promise<LabStatus> {
  needRoot('a lab');
  const lab = labLayout(name, options.topology);
  const progress = options.progress ?? (() => undefined);
  const mtuBytes = options.mtuBytes ?? 1500;
  if (!Number.isInteger(mtuBytes) || mtuBytes < mtuRangeBytes.min || mtuBytes > mtuRangeBytes.max) {
    throw new LabError(`MTU ${mtuBytes}: allowed are ${mtuRangeBytes.min} to ${mtuRangeBytes.max} bytes`, 2);
  }
  return withLock(lab, async () => {
    const before = await readConfig(lab);
    if (before !== undefined && before.topology !== lab.topology) {
      throw new LabError(
        `lab ${name} is ${before.topology}, ${lab.topology} was asked for: take it down first (./scripts/down lab)`,
        2,
      );
    }
    const image = await ensureImage(progress);
    progress('accelerator: booting a test guest, if this machine was not tested before');
    const accelerator = await detectAccelerator(image.kernel.path);
    await fs.mkdir(lab.runDirectory, { recursive: true });
    await fs.mkdir(lab.stateDirectory, { recursive: true });
    const config: LabConfig = { topology: lab.topology, mtuBytes, image, accelerator };
    await fs.writeFile(`${lab.configFile}.new`, JSON.stringify(config, undefined, 2) + '\n');
    await fs.rename(`${lab.configFile}.new`, lab.configFile);
    progress('network: namespaces, bridges, the path between them');
    await makeNetwork(lab, mtuBytes);
    progress('servers: libvirtd, DNS, NTP');
    await startServices(lab);
    return describe(lab, config);
  });
}

async function describe(lab: LabLayout, config: LabConfig): Promise<LabStatus> {
  const services = await serviceProcesses(lab);
  const networks = (await namespaceExists(lab.namespace)) && (await namespaceExists(lab.middleNamespace));
  return {
    name: lab.name,
    ready: networks && ['libvirtd', 'dnsmasq', 'ntp'].every((service) => service in services),
    ...config,
    namespace: lab.namespace,
    middleNamespace: lab.middleNamespace,
    libvirtUri: lab.libvirtUri,
    poolDirectory: lab.poolDirectory,
    subnets: lab.subnets,
    servers: lab.servers,
    services,
  };
}

/** What a lab of this machine was brought up with; undefined where there is none. */
export function labConfig(name: string): Promise<LabConfig | undefined> {
  return readConfig(labLayout(name));
}

/** The layout of a lab as it was brought up. */
export async function existingLayout(name: string): Promise<LabLayout> {
  return labLayout(name, (await readConfig(labLayout(name)))?.topology);
}

/** undefined: there is no such lab. */
export async function status(name: string): Promise<LabStatus | undefined> {
  const lab = await existingLayout(name);
  const config = await readConfig(lab);
  return config === undefined ? undefined : describe(lab, config);
}

/** Everything that exists of a lab. All lists are empty after `down`. */
export interface LabInventory {
  domains: string[];
  /** `pool/volume` */
  volumes: string[];
  namespaces: string[];
  /** `pid command line`, the line cut after 160 characters. */
  processes: string[];
  mounts: string[];
  files: string[];
}

export async function inventory(name: string): Promise<LabInventory> {
  const lab = await existingLayout(name);
  const namespaces: string[] = [];
  for (const namespace of [lab.namespace, lab.middleNamespace]) {
    if (await namespaceExists(namespace)) namespaces.push(namespace);
  }
  const processes: string[] = [];
  for (const pid of await labProcesses(lab)) processes.push(`${pid} ${(await processCommand(pid)).slice(0, 160)}`);
  const { domains, volumes } = await libvirtInventory(lab);
  const files: string[] = [];
  for (const directory of [lab.runDirectory, lab.stateDirectory]) {
    const entries = await fs.readdir(directory, { recursive: true }).catch(() => undefined);
    if (entries !== undefined) files.push(directory, ...entries.map((entry) => `${directory}/${entry}`));
  }
  return { domains, volumes, namespaces, processes, mounts: await labMounts(lab), files: files.sort() };
}

async function libvirtInventory(lab: LabLayout): Promise<{ domains: string[]; volumes: string[] }> {
  const services = await serviceProcesses(lab);
  if (services.libvirtd === undefined) return { domains: [], volumes: [] };
  const lines = (text: string) =>
    text
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean);
  const volumes: string[] = [];
  for (const pool of lines(await virsh(lab, 'pool-list', '--name'))) {
    await virsh(lab, 'pool-refresh', pool);
    for (const line of lines(await virsh(lab, 'vol-list', pool))) volumes.push(`${pool}/${line.split(/\s+/)[0]}`);
  }
  return { domains: lines(await virsh(lab, 'list', '--all', '--name')).sort(), volumes: volumes.sort() };
}

/** Mount points of a lab in this mount namespace; those of its libvirtd vanish with libvirtd. */
async function labMounts(lab: LabLayout): Promise<string[]> {
  const mounts = (await fs.readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '');
  const own = [lab.runDirectory, lab.stateDirectory];
  const namespaces = [lab.namespace, lab.middleNamespace].map((namespace) => `/run/netns/${namespace}`);
  return mounts.filter(
    (mount) =>
      namespaces.includes(mount) || own.some((directory) => mount === directory || mount.startsWith(`${directory}/`)),
  );
}

/** Everything that runs inside the lab, without this process and those that started it. */
async function labProcesses(lab: LabLayout): Promise<number[]> {
  const own = new Set<number>();
  for (let pid = process.pid; pid > 1 && !own.has(pid);) {
    own.add(pid);
    const stat = await fs.readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    pid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0);
  }
  const pids: number[] = [];
  for (const namespace of [lab.namespace, lab.middleNamespace]) pids.push(...(await namespaceProcesses(namespace)));
  return [...new Set(pids)].filter((pid) => !own.has(pid));
}

async function endProcesses(lab: LabLayout): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const pid of await labProcesses(lab)) {
      try {
        process.kill(pid, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
    const limitMilliseconds = signal === 'SIGTERM' ? 5_000 : 30_000;
    const gone = await waitFor('end of the lab', limitMilliseconds, async () =>
      (await labProcesses(lab)).length === 0 ? true : undefined,
    ).catch(() => false);
    if (gone) return;
  }
  throw new LabError(`lab ${lab.name}: processes that do not end: ${(await labProcesses(lab)).join(', ')}`);
}

/**
 * Removes everything a lab made, whatever state it is in; the image cache stays. Nothing there is no error.
 * Guests are switched off, not shut down: their disks go too.
 */
export async function down(name: string, progress: (step: string) => void = () => undefined): Promise<void> {
  needRoot('taking a lab down');
  const lab = await existingLayout(name);
  await withLock(lab, async () => {
    // Guests, libvirtd and servers all live in the namespaces, so this needs neither a working libvirtd nor a list.
    progress('ending guests and servers');
    await endProcesses(lab);
    progress('removing namespaces, mounts and files');
    for (const mount of (await labMounts(lab)).sort().reverse()) {
      if (!mount.startsWith('/run/netns/')) await run('umount', ['--lazy', mount]);
    }
    for (const namespace of [lab.middleNamespace, lab.namespace]) {
      if (await namespaceExists(namespace)) await run('ip', ['netns', 'del', namespace]);
    }
    await fs.rm(lab.runDirectory, { recursive: true, force: true });
    // The configuration goes last: until then a `down` that is interrupted knows what it takes down.
    for (const entry of await fs.readdir(lab.stateDirectory).catch(() => [])) {
      if (`${lab.stateDirectory}/${entry}` !== lab.configFile) {
        await fs.rm(`${lab.stateDirectory}/${entry}`, { recursive: true, force: true });
      }
    }
    await fs.rm(lab.stateDirectory, { recursive: true, force: true });
  });
  // Shared by all labs, and nobody's once the last has gone; "not empty" is the answer that another is there.
  for (const directory of ['/run/sitewright', '/var/lib/sitewright']) await fs.rmdir(directory).catch(() => undefined);
}
