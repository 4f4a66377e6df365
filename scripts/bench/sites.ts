import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { cacheDir } from '../../components/cacheDir';
import { makeContext } from '../cli/context';
import { EXIT } from '../cli/errors';
import { runChild } from './child';
import { interleaved, print, seconds, type Case, type Row } from './measure';
import { watchMemory } from './memory';
import { siteOfMachines } from './plan';

/**
 * What a reviewer waits for: many sites that one line of a profile changes, and one large site beside the engine's own
 * preview of it. Every figure is a whole command, in a process of its own. Cold: nothing was rendered before. Warm: the same
 * command once more, which finds every document in the cache.
 */

const COUNTS = [1, 10, 100];
const MACHINES_OF_EACH = 4;
const LARGE = 'large';
const MACHINES_OF_LARGE = 200;
const LIMIT_SECONDS = 900;
const PROFILE = 'bench';

/** What a command took. */
interface Figures {
  seconds: number;
  peakBytes: number;
}

class SitesRepository {
  readonly dir = mkdtempSync(join(tmpdir(), 'sitewright-bench-sites-'));
  private readonly stacks = join(this.dir, 'stacks');
  private readonly passphrase = randomBytes(24).toString('base64url');

  constructor(
    private readonly signal: AbortSignal,
    private readonly kitDir = makeContext({}).kitDir,
  ) {
    cpSync(join(kitDir, 'stacks/profiles'), join(this.stacks, 'profiles'), { recursive: true });
    mkdirSync(join(this.stacks, 'sites'));
  }

  /** Commits sites that all extend one profile, and changes a line of it. */
  write(sites: object[]): void {
    for (const site of sites)
      writeFileSync(
        join(this.stacks, 'sites', `${(site as { name: string }).name}.yaml`),
        stringify({ ...site, extends: PROFILE, backend: { url: `file://${join(this.dir, 'state')}` } }),
      );
    const profile = (swappiness: number) =>
      writeFileSync(
        join(this.stacks, 'profiles', `${PROFILE}.yaml`),
        stringify({
          extends: 'staging',
          machines: { defaults: null },
          nodePrep: { sysctls: { 'vm.swappiness': swappiness } },
        }),
      );
    profile(10);
    this.git('init', '-q', '-b', 'main');
    this.git('add', '--', 'stacks');
    this.git('commit', '-q', '-m', 'sites');
    profile(20);
  }

  /** From now on nothing was rendered. */
  forget(): void {
    rmSync(join(this.dir, 'cache'), { recursive: true, force: true });
  }

  /** A command that reaches nothing, with a cache of its own. */
  offline(...args: string[]): Promise<Figures> {
    return this.run(args, { XDG_CACHE_HOME: join(this.dir, 'cache') });
  }

  /** A command that runs the engine, which is cached as ever. */
  engine(...args: string[]): Promise<Figures> {
    return this.run(args, { XDG_CACHE_HOME: dirname(cacheDir()), PULUMI_CONFIG_PASSPHRASE: this.passphrase });
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  private async run(args: string[], env: Record<string, string>): Promise<Figures> {
    const main = join(this.kitDir, 'bin/scripts/cli/main.js');
    let memory: ReturnType<typeof watchMemory> | undefined;
    let peakBytes = 0;
    const took = await seconds(() =>
      runChild(process.execPath, [main, '--stacks', this.stacks, ...args], {
        ...{ cwd: this.dir, env: { HOME: this.dir, NO_COLOR: '1', ...env } },
        ...{ limitSeconds: LIMIT_SECONDS, signal: this.signal, allowed: [EXIT.ok, EXIT.changes, EXIT.disruptive] },
        onStart: (pid) => (memory = watchMemory(pid)),
      }).finally(() => (peakBytes = memory?.peakBytes() ?? 0)),
    );
    return { seconds: took, peakBytes };
  }

  private git(...args: string[]): void {
    const identity = ['-c', 'user.name=bench', '-c', 'user.email=bench@example.test'];
    execFileSync('git', ['-C', this.dir, ...identity, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
}

/** Seconds of commands, and beside each what memory it took. */
class Commands {
  private readonly cases: Case[] = [];
  private readonly memory = new Map<string, number[]>();

  add(name: string, run: () => Promise<Figures>): void {
    this.memory.set(name, []);
    this.cases.push({
      name,
      run: async () => {
        const figures = await run();
        this.memory.get(name)!.push(figures.peakBytes / 1024 ** 2);
        return figures.seconds;
      },
    });
  }

  async measure(title: string, rounds: number, signal: AbortSignal): Promise<void> {
    const rows = await interleaved(this.cases, rounds, signal);
    print(title, 's', rows);
    const memory = rows.map(({ name }): Row => {
      const sorted = [...this.memory.get(name)!].sort((a, b) => a - b);
      return { name, median: sorted[Math.floor(sorted.length / 2)]!, min: sorted[0]!, max: sorted.at(-1)! };
    });
    print('the most memory of all its processes', 'MiB', memory);
  }
}

async function benchReview(rounds: number, signal: AbortSignal): Promise<void> {
  const repositories: SitesRepository[] = [];
  const commands = new Commands();
  try {
    for (const count of COUNTS) {
      const repository = new SitesRepository(signal);
      repositories.push(repository);
      const names = Array.from({ length: count }, (_, index) => `site${index + 1}`);
      const kubernetes = { version: '1.36.1', endpoint: { host: 'api.example.test' } };
      repository.write(names.map((name) => ({ ...siteOfMachines(MACHINES_OF_EACH, name), kubernetes })));
      const review = () => repository.offline('review', '--base', 'main');
      const what = `${count} site${count === 1 ? '' : 's'}`;
      commands.add(`${what}, cold`, () => {
        repository.forget();
        return review();
      });
      commands.add(`${what}, warm`, review);
    }
    await commands.measure(`review of sites of ${MACHINES_OF_EACH} machines, all changed`, rounds, signal);
  } finally {
    for (const repository of repositories) repository.remove();
  }
}

async function benchLarge(rounds: number, signal: AbortSignal): Promise<void> {
  const repository = new SitesRepository(signal);
  const commands = new Commands();
  try {
    repository.write([siteOfMachines(MACHINES_OF_LARGE, LARGE)]);
    await repository.engine('new', LARGE);
    commands.add("the engine's preview", () => repository.engine('preview', LARGE, '--json'));
    commands.add('render', () => repository.offline('render', LARGE));
    commands.add('diff, cold', () => {
      repository.forget();
      return repository.offline('diff', LARGE, '--from', 'main');
    });
    commands.add('diff, warm', () => repository.offline('diff', LARGE, '--from', 'main'));
    await commands.measure(`a site of ${MACHINES_OF_LARGE} machines, up to their proof`, rounds, signal);
  } finally {
    repository.remove();
  }
}

export async function benchSites(rounds: number, signal: AbortSignal): Promise<void> {
  await benchReview(rounds, signal);
  await benchLarge(rounds, signal);
}
