import execa from 'execa';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheDir } from '../../components/cacheDir';
import type { Context } from '../cli/context';
import { badInput, failed } from '../cli/errors';
import { forgetUnused, markUsed } from '../engine/cache';
import { Repository } from './git';

/** A compiled kit that can render. */
export interface Kit {
  version: string;
  /** Program of a worker of it. */
  worker: string;
  /** Of everything that decides what it makes of a site: equal ones render the same. */
  id: string;
}

/** What a document can depend on. */
const CODE = ['package.json', 'package-lock.json', 'tsconfig.json', 'components', 'scripts', 'stacks'];
/** Below stacks/ are sites too, which are no part of the kit. */
const pathspecs = (at: string) => CODE.map((path) => (path === 'stacks' ? `:(glob)${at}stacks/*.ts` : `${at}${path}`));

/** The one that runs. */
export function thisKit({ kitDir, kitVersion }: Pick<Context, 'kitDir' | 'kitVersion'>): Kit {
  return compiledKit(kitDir, kitVersion);
}

function compiledKit(dir: string, version: string): Kit {
  const bin = join(dir, 'bin');
  return { version, worker: join(bin, 'scripts/render/worker.js'), id: idOf(bin, join(dir, 'package-lock.json')) };
}

function idOf(bin: string, lock: string): string {
  const hash = createHash('sha256');
  const add = (file: string) =>
    hash
      .update(`${file.slice(bin.length)}\0`)
      .update(readFileSync(file))
      .update('\0');
  for (const folder of ['components', 'scripts', 'stacks']) {
    const names = readdirSync(join(bin, folder), { recursive: true, encoding: 'utf8' }).sort();
    for (const name of names) if (name.endsWith('.js')) add(join(bin, folder, name));
  }
  if (existsSync(lock)) add(lock);
  return hash.digest('hex');
}

/**
 * The kit of a commit. Where the kit that runs is not in that repository, or its code there is the same, it is the one that
 * runs; otherwise the commit's is compiled in the cache, with the dependencies of its own lock file, whose scripts do not run.
 */
export async function kitAt(context: Context, repository: Repository, commit: string, label: string): Promise<Kit> {
  const own = await Repository.of(context.kitDir);
  if (own === null || own.top !== repository.top) return thisKit(context);
  const path = repository.pathOf(context.kitDir);
  const at = path === '' ? '' : `${path}/`;
  const text = await repository.show(commit, `${at}package.json`);
  const found = text === null ? null : (JSON.parse(text) as { name?: string; version?: string });
  if (found?.name !== 'sitewright' || found.version === undefined) {
    throw badInput(
      `${label} is without the kit (there is no ${at}package.json of sitewright): --same-kit compares its sites as this kit sees them`,
    );
  }
  if (!(await repository.differs(commit, pathspecs(at)))) return thisKit(context);
  if ((await repository.tree(commit, `${at}scripts/render/worker.ts`)) === null) {
    throw badInput(
      `the kit of ${label}, ${found.version}, is older than \`render\`: --same-kit compares its sites as this kit sees them`,
    );
  }
  return compiledKit(await compiled(context, repository, commit, at), found.version);
}

async function compiled(context: Context, repository: Repository, commit: string, at: string): Promise<string> {
  const kits = join(cacheDir(), 'kits');
  const entry = join(kits, `${commit}-node${process.versions.node.split('.')[0]}`);
  const folder = join(entry, at);
  mkdirSync(entry, { recursive: true });
  markUsed(entry);
  // Its dependencies are a link to where another kit may have been, or to what nobody has installed for a while.
  if (['.complete', 'node_modules'].every((name) => existsSync(join(folder, name)))) return folder;
  forgetUnused(kits);
  const fresh = mkdtempSync(join(kits, 'new-'));
  const kit = join(fresh, at);
  try {
    await repository.export(commit, pathspecs(at), fresh);
    symlinkSync(await modules(context, kit), join(kit, 'node_modules'));
    context.say(`step: compiles the kit of ${commit.slice(0, 12)}`);
    await run(kit, process.execPath, [
      'node_modules/typescript/bin/tsc',
      '-p',
      'tsconfig.json',
      '--incremental',
      'false',
    ]);
    cpSync(join(kit, 'package.json'), join(kit, '.complete'));
    rmSync(folder, { recursive: true, force: true });
    renameSync(kit, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return folder;
}

/** The dependencies of a lock file, installed once: those of the kit that runs where it has the same. */
async function modules(context: Context, kit: string): Promise<string> {
  const lock = readFileSync(join(kit, 'package-lock.json'));
  const own = join(context.kitDir, 'package-lock.json');
  if (existsSync(own) && readFileSync(own).equals(lock)) return join(context.kitDir, 'node_modules');
  const name = createHash('sha256')
    .update(lock)
    .update(process.version)
    .update(process.arch)
    .digest('hex')
    .slice(0, 32);
  const folder = join(cacheDir(), 'kit-modules', name);
  if (existsSync(join(folder, 'node_modules'))) {
    markUsed(folder);
    return join(folder, 'node_modules');
  }
  mkdirSync(dirname(folder), { recursive: true });
  forgetUnused(dirname(folder));
  const fresh = mkdtempSync(join(dirname(folder), 'new-'));
  try {
    for (const file of ['package.json', 'package-lock.json']) cpSync(join(kit, file), join(fresh, file));
    context.say('step: installs the dependencies of its lock file, without running their scripts');
    await run(fresh, 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund']);
    renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return join(folder, 'node_modules');
}

async function run(cwd: string, command: string, args: string[]): Promise<void> {
  const { exitCode, all } = await execa(command, args, { cwd, reject: false, all: true });
  if (exitCode === 0) return;
  throw failed(`${command} ${args.join(' ')} failed:\n${(all ?? '').split('\n').slice(-20).join('\n')}`);
}
