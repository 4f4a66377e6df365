import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { deriveHostKey } from '../../components/secrets/hostKey';
import { makeContext } from '../../scripts/cli/context';
import { isRunning } from '../../components/isRunning';
import { openStack } from '../../scripts/cli/secrets';
import { openSite } from '../../scripts/cli/site';
import { labCopy, machinesOnlyLab } from '../../scripts/lab/labSite';

/** Labs of their own for the end-to-end tests: site, state, namespace and machines share nothing with a user's lab. */

export const KIT = resolve(__dirname, '../..');
export const NODES = { lab1: '192.0.2.11', lab2: '192.0.2.12' } as const;
export type NodeName = keyof typeof NODES;
/** With the machine that some stories add. */
export const ALL_NODES = { ...NODES, lab3: '192.0.2.13' } as const;
export type AnyNodeName = keyof typeof ALL_NODES;

export interface Result {
  code: number | null;
  stdout: string;
  stderr: string;
  /** stdout and stderr in the order they came. */
  output: string;
}

/** A process whose output is kept and shown, so that the log of a run tells where the time went. */
export class Running {
  readonly result: Result = { code: null, stdout: '', stderr: '', output: '' };
  readonly done: Promise<Result>;
  private readonly child: ChildProcess;

  constructor(command: string, args: string[], env: NodeJS.ProcessEnv = {}, input?: string) {
    const words = [command.replace(/^.*\//, ''), ...args].join(' ');
    // The end of a long one is what is done on a machine.
    const shown = words.length <= 110 ? words : `${words.slice(0, 40)} ... ${words.slice(-65)}`;
    this.child = spawn(command, args, { cwd: KIT, env: { ...process.env, NO_COLOR: '1', ...env } });
    // A program that reads nothing may be gone before its input is closed.
    this.child.stdin!.on('error', () => undefined).end(input ?? '');
    for (const name of ['stdout', 'stderr'] as const) {
      this.child[name]!.setEncoding('utf8').on('data', (text: string) => {
        this.result[name] += text;
        this.result.output += text;
      });
    }
    const start = process.hrtime.bigint();
    this.done = new Promise((done, fail) => {
      this.child.on('error', fail);
      this.child.on('close', (code) => {
        this.result.code = code;
        const seconds = Number(process.hrtime.bigint() - start) / 1e9;
        // Looks that take no time would bury the rest.
        if (seconds >= 2) process.stderr.write(`    ${shown}: exit ${code} after ${seconds.toFixed(0)} s\n`);
        done(this.result);
      });
    });
  }

  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** What a crash of the machine does to a run: the process and all that it started are gone at once. */
  async killTree(): Promise<void> {
    const pids = descendants(this.child.pid!);
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself.
      }
    }
    await this.done;
    await until('all killed processes are gone', 60, () => pids.every((pid) => !isRunning(pid)));
  }
}

function descendants(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))) {
    try {
      const parent = Number(/^PPid:\s+([0-9]+)$/m.exec(readFileSync(`/proc/${entry}/status`, 'utf8'))![1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
    } catch {
      // It ended while we looked.
    }
  }
  const found = [root];
  for (let index = 0; index < found.length; index++) found.push(...(children.get(found[index]!) ?? []));
  return found;
}

export async function run(
  command: string,
  args: string[],
  env: NodeJS.ProcessEnv = {},
  input?: string,
): Promise<Result> {
  return new Running(command, args, env, input).done;
}

/** Fails with everything that the command said. */
export function expectExit(result: Result, code: number): void {
  if (result.code !== code) throw new Error(`exit ${result.code} instead of ${code}:\n${result.output}`);
}

export async function until(
  what: string,
  limitSeconds: number,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + limitSeconds * 1000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${limitSeconds} s`);
    await new Promise((next) => setTimeout(next, 200));
  }
}

/** A site file whose pods and Services have their first family alone. */
export const ipv4Only = (text: string): string =>
  text
    .replace(/podCidrs: \[([^,\]]*),[^\]]*\]/, 'podCidrs: [$1]')
    .replace(/serviceCidrs: \[([^,\]]*),[^\]]*\]/, 'serviceCidrs: [$1]');

export class Lab {
  readonly folder = mkdtempSync(join(tmpdir(), 'sitewright-e2e-'));
  readonly stacksDir = join(this.folder, 'stacks');
  readonly siteFile: string;
  private readonly env = { SITEWRIGHT_STACKS_DIR: this.stacksDir };

  /** The committed lab site under another name, with its state in this run's folder: its machines, or its cluster too. */
  constructor(
    readonly site: string,
    { cluster = false } = {},
  ) {
    this.siteFile = join(this.stacksDir, 'sites', `${site}.yaml`);
    cpSync(join(KIT, 'stacks/profiles'), join(this.stacksDir, 'profiles'), { recursive: true });
    mkdirSync(join(this.stacksDir, 'sites'));
    const committed = readFileSync(join(KIT, 'stacks/sites/lab.yaml'), 'utf8');
    const copy = cluster ? labCopy : machinesOnlyLab;
    writeFileSync(this.siteFile, copy(committed, site, `file://${join(this.folder, 'state')}`));
  }

  read(): string {
    return readFileSync(this.siteFile, 'utf8');
  }

  /** The state as the engine's own command line exports it. */
  async exportState(): Promise<string> {
    const context = makeContext({ stacks: this.stacksDir });
    const { stack } = await openStack(context, openSite(context, this.site).plan);
    return stack.exportState();
  }

  edit(change: (text: string) => string): void {
    const before = readFileSync(this.siteFile, 'utf8');
    const after = change(before);
    if (after === before) throw new Error('the edit changed nothing');
    writeFileSync(this.siteFile, after);
  }

  host(...args: string[]): Promise<Result> {
    return run(process.execPath, ['bin/scripts/lab/host.js', ...args]);
  }

  async inventory(): Promise<unknown> {
    const result = await this.host('inventory', '--name', this.site);
    return JSON.parse(result.stdout);
  }

  async virsh(...args: string[]): Promise<string> {
    return (await this.host('exec', '--name', this.site, '--', 'virsh', ...args)).stdout;
  }

  /** UUIDs by name. */
  async domains(): Promise<Record<string, string>> {
    // virsh has them by the order in which they were started.
    const listed = (await this.virsh('list', '--all', '--name')).split('\n');
    const names = listed.filter((name) => name !== '').sort();
    const entries = await Promise.all(
      names.map(async (name) => [name, (await this.virsh('domuuid', name)).trim()] as const),
    );
    return Object.fromEntries(entries);
  }

  async volumes(): Promise<string[]> {
    const lines = (await this.virsh('vol-list', 'default')).split('\n').slice(2);
    return lines
      .map((line) => line.trim().split(/\s+/)[0]!)
      .filter((name) => name !== '')
      .sort();
  }

  start(...args: string[]): Running {
    return new Running(process.execPath, ['bin/scripts/cli/main.js', ...args], this.env);
  }

  sitewright(...args: string[]): Promise<Result> {
    return this.start(...args).done;
  }

  /** The command of the README, as a user types it. */
  up(): Promise<Result> {
    return run('./scripts/up', [this.site], this.env);
  }

  down(): Promise<Result> {
    return run('./scripts/down', [this.site], this.env);
  }

  /** Plain ssh, not the kit's own session: what it prints is what is there. */
  async ssh(node: AnyNodeName, command: string, hostKey: 'pinned' | 'any' = 'pinned'): Promise<string> {
    const key = join(this.folder, 'key');
    const known = join(this.folder, 'known_hosts');
    if (!existsSync(key)) await this.takeKeys(key, known);
    const result = await this.host(
      ...[
        'exec',
        '--name',
        this.site,
        '--',
        'ssh',
        '-i',
        key,
        '-o',
        `UserKnownHostsFile=${hostKey === 'pinned' ? known : '/dev/null'}`,
      ],
      ...[
        '-o',
        `StrictHostKeyChecking=${hostKey === 'pinned' ? 'yes' : 'no'}`,
        '-o',
        'BatchMode=yes',
        '-o',
        'ConnectTimeout=30',
        // A machine that is gone never says so: without questions of its own ssh would wait for it for ever.
        '-o',
        'ServerAliveInterval=15',
      ],
      // The programs of an administrator are not on the path of a user who is not root.
      ...[`sitewright@${ALL_NODES[node]}`, `PATH=$PATH:/usr/sbin:/sbin; ${command}`],
    );
    if (result.code !== 0) throw new Error(`ssh ${node} ${command}: exit ${result.code}\n${result.stderr}`);
    return result.stdout.trim();
  }

  private async takeKeys(key: string, known: string): Promise<void> {
    const context = makeContext({ stacks: this.stacksDir });
    const { config } = await openStack(context, openSite(context, this.site).plan);
    // The engine stores a value without its last newline, and ssh wants it.
    writeFileSync(key, `${config['sitewright:sshPrivateKey']!.value.trimEnd()}\n`, { mode: 0o600 });
    const seed = config['sitewright:hostKeySeed']!.value;
    const lines = Object.entries(ALL_NODES).map(
      ([name, address]) => `${address} ${deriveHostKey(seed, name).publicKey}`,
    );
    writeFileSync(known, `${lines.join('\n')}\n`);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
