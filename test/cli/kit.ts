import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import * as ts from 'typescript';
import { publicKeyOf } from '../../components/secrets/hostKey';
import type { SshTarget } from '../../components/ssh/session';

const ROOT = resolve(__dirname, '../..');

export interface Run {
  code: number;
  stdout: string;
  stderr: string;
}

export interface Started {
  child: ChildProcess;
  /** What it said so far, both streams. */
  said: () => string;
  ended: Promise<Run>;
}

/**
 * A copy of the kit in a folder of its own, compiled from the current sources, with a home, a state and stacks of its
 * own: the real command line as a process, touching nothing of the person who runs the tests.
 */
export class TestKit {
  readonly dir = mkdtempSync(join(tmpdir(), 'sitewright-kit-'));
  readonly home = join(this.dir, 'home');
  readonly stacks = join(this.dir, 'stacks');
  private readonly started: ChildProcess[] = [];

  constructor() {
    mkdirSync(this.home);
    for (const file of ['package.json', 'Pulumi.yaml']) cpSync(join(ROOT, file), join(this.dir, file));
    // What the engine is built from is also the key under which the cache has it.
    cpSync(join(ROOT, 'scripts/engine/pulumi'), join(this.dir, 'scripts/engine/pulumi'), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(this.dir, 'node_modules'));
    cpSync(join(ROOT, 'stacks/profiles'), join(this.stacks, 'profiles'), { recursive: true });
    mkdirSync(join(this.stacks, 'sites'));
    this.borrowCache();
    for (const folder of ['components', 'scripts', 'stacks']) this.compile(folder);
  }

  /**
   * The engine is the one that was set up for the user; its home is not, because plugins there name this copy's files, and
   * neither are results, which the sites of this copy would be added to.
   */
  private borrowCache(): void {
    const shared = join(process.env.XDG_CACHE_HOME ?? join(process.env.HOME ?? '/root', '.cache'), 'sitewright');
    const own = join(this.home, '.cache/sitewright');
    mkdirSync(own, { recursive: true });
    if (!existsSync(shared)) return;
    for (const entry of readdirSync(shared)) {
      if (!['pulumi-home', 'results'].includes(entry)) symlinkSync(join(shared, entry), join(own, entry));
    }
  }

  /** Types are checked elsewhere; this only has to be quick. */
  private compile(folder: string): void {
    for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) this.compile(path);
      else if (path.endsWith('.ts')) {
        const { outputText } = ts.transpileModule(readFileSync(join(ROOT, path), 'utf8'), {
          compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS, esModuleInterop: true },
        });
        const file = join(this.dir, 'bin', path.replace(/\.ts$/, '.js'));
        mkdirSync(dirname(file), { recursive: true });
        writeFileSync(file, outputText);
      }
    }
  }

  /** In place of the real program, which would want machines. */
  useProgram(source: string): void {
    writeFileSync(join(this.dir, 'bin/stacks/program.js'), source);
  }

  /** The machines of a site as `sitewright new --provider existing` writes it, all of them behind one sshd. */
  reachBy(site: string, { port, user, hostKey }: Pick<SshTarget, 'port' | 'user' | 'hostKey'>): void {
    const file = join(this.stacks, 'sites', `${site}.yaml`);
    const text = readFileSync(file, 'utf8')
      .replace(/user: sitewright/, `user: ${user}`)
      .replace(/hostKey: .*/g, `hostKey: ${hostKey}\n        host: 127.0.0.1\n        port: ${port}`);
    writeFileSync(file, text);
  }

  writeSite(site: string, text: string): string {
    const file = join(this.stacks, 'sites', `${site}.yaml`);
    writeFileSync(file, text);
    return file;
  }

  get stateDir(): string {
    return join(this.home, '.local/share/sitewright/state');
  }

  env(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
    const own = Object.entries(process.env).filter(([key]) => !/^(PULUMI|SITEWRIGHT)_/.test(key));
    return {
      ...Object.fromEntries(own),
      HOME: this.home,
      XDG_CACHE_HOME: join(this.home, '.cache'),
      NO_COLOR: '1',
      ...extra,
    };
  }

  private get main(): string {
    return join(this.dir, 'bin/scripts/cli/main.js');
  }

  run(args: string[], env: Record<string, string> = {}): Run {
    const result = spawnSync(process.execPath, [this.main, ...args], {
      cwd: this.dir,
      env: this.env(env),
      encoding: 'utf8',
      timeout: 100_000,
    });
    return { code: result.status ?? -1, stdout: result.stdout, stderr: result.stderr };
  }

  /** The vendor's own command line, as a person runs it in the folder of the kit. */
  pulumi(args: string[], env: Record<string, string> = {}, input = ''): string {
    const find = `require('${this.dir}/bin/scripts/engine/find.js').findEngine(() => {}).then((e) => console.log(e.command))`;
    const command = execFileSync(process.execPath, ['-e', find], { env: this.env(), encoding: 'utf8' }).trim();
    // The engine takes the home folder of `~` from the user database, not from HOME.
    const backend = { PULUMI_BACKEND_URL: `file://${this.stateDir}` };
    const environment = this.env({ ...backend, ...env });
    // A state has megabytes.
    const options = { cwd: this.dir, env: environment, encoding: 'utf8', input, maxBuffer: 2 ** 28 } as const;
    return execFileSync(command, args, options);
  }

  config(site: string, env: Record<string, string>): Record<string, { value: string }> {
    const text = this.pulumi(['config', '--show-secrets', '--json', '-s', site], env);
    return JSON.parse(text) as Record<string, { value: string }>;
  }

  /** Public half of the SSH key that a site uses now. */
  publicKey(site: string, env: Record<string, string>): string {
    return publicKeyOf(this.config(site, env)['sitewright:sshPrivateKey'].value);
  }

  start(args: string[], env: Record<string, string> = {}): Started {
    // In a process group of its own, as a shell starts it: a test can send Ctrl-C to all of it, as a terminal does.
    const child = spawn(process.execPath, [this.main, ...args], { cwd: this.dir, env: this.env(env), detached: true });
    this.started.push(child);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const ended = new Promise<Run>((done) => child.on('close', (code) => done({ code: code ?? -1, stdout, stderr })));
    return { child, said: () => stdout + stderr, ended };
  }

  /** Every file below the stacks and the state, with its content. */
  snapshot(): Record<string, string> {
    return Object.assign({}, snapshot(this.stacks), snapshot(this.stateDir));
  }

  async remove(): Promise<void> {
    for (const child of this.started) if (child.exitCode === null) child.kill('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function snapshot(folder: string): Record<string, string> {
  if (!existsSync(folder)) return {};
  return Object.fromEntries(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((name) => join(folder, name))
      .filter((file) => statSync(file).isFile())
      .map((file) => [file, readFileSync(file, 'utf8')]),
  );
}

/** Waits until `ask` says something; fails with `what` after a minute. */
export async function eventually<T>(what: string, ask: () => T | undefined | false): Promise<T> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const answer = ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > deadline) throw new Error(`not within a minute: ${what}`);
    await new Promise((next) => setTimeout(next, 50));
  }
}
