import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { BundleError } from '../../components/bundle/parse';
import type { Log } from './parts';
import { runProgram } from './program';

/** A version of a component that is not the one of its committed go.mod. */
export interface OtherVersion {
  component: string;
  version: string;
  /** Modules whose version is the component's. */
  modules: string[];
  /** Packages by the name of the program. */
  programs: Record<string, string>;
  /** Where go.mod and go.sum are written. */
  folder: string;
  env: Record<string, string>;
}

const RESOLVE_TIMEOUT_SECONDS = 900;

const runGo = ({ folder, env }: OtherVersion, ...args: string[]) =>
  runProgram('go', args, { cwd: folder, env, timeoutSeconds: RESOLVE_TIMEOUT_SECONDS });

/**
 * `1.36.3.sum` beside a go.mod of 1.36.1: the lines of go.sum that the other patch needs beyond the committed ones. Patches
 * of one minor differ in a few modules, so this pins one without a go.mod of its own.
 */
export const isPatchSum = (name: string) => /^\d+\.\d+\.\d+\.sum$/.test(name);

/** Null where this version has none. */
export const readPatchSum = (folder: string, version: string): Promise<string | null> =>
  fs.readFile(path.join(folder, `${version}.sum`), 'utf8').catch(() => null);

/**
 * Writes the go.mod of another patch of Kubernetes: the committed one with its versions moved. What the patch itself asks
 * for Go adds, and every module has to have its line in the committed checksums.
 */
export async function patchModules(wanted: OtherVersion, pinnedFolder: string, patchSum: string): Promise<void> {
  const { version, modules, folder } = wanted;
  const read = (name: string) => fs.readFile(path.join(pinnedFolder, name), 'utf8');
  const goMod = await read('go.mod');
  const pinned = new RegExp(`^(?:require )?\\s*${modules[0]} v1\\.(\\S+)$`, 'm').exec(goMod)?.[1];
  if (pinned === undefined) throw new BundleError(`${pinnedFolder}/go.mod requires no ${modules[0]}`);
  // Kubernetes 1.36.1 has its libraries as k8s.io/... v0.36.1.
  const versions = new RegExp(`(\\bk8s\\.io/\\S+ v[01]\\.)${pinned.replace(/\./g, '\\.')}(?=\\s)`, 'g');
  const goSum = `${await read('go.sum')}${patchSum}`;
  await fs.mkdir(folder);
  await fs.writeFile(path.join(folder, 'go.mod'), goMod.replace(versions, `$1${version.replace(/^\d+\./, '')}`));
  await fs.writeFile(path.join(folder, 'go.sum'), goSum);
  await runGo(wanted, 'list', '-mod=mod', 'tool');
  const known = new Set(goSum.split('\n'));
  const added = (await fs.readFile(path.join(folder, 'go.sum'), 'utf8')).split('\n').filter((line) => !known.has(line));
  if (added.length > 0) {
    throw new BundleError(
      `${version}.sum in ${pinnedFolder} lacks lines that Go added; check them and add them:\n${added.join('\n')}`,
    );
  }
}

/**
 * Writes a go.mod for a version that is not pinned. Kubernetes's own maps its libraries to folders of its repository; as
 * modules they have the version 0.<minor>.<patch>. Go checks what it fetches with its checksum database.
 */
export async function resolveModules(wanted: OtherVersion, log: Log): Promise<void> {
  const { component, modules, programs, version, folder } = wanted;
  log(`${component} ${version}: this version is not pinned; resolving its modules`);
  await fs.mkdir(folder);
  await fs.writeFile(path.join(folder, 'go.mod'), `module sitewright.dev/bundle/${component}\n\ngo 1.25.0\n`);
  const downloaded = JSON.parse(await runGo(wanted, 'mod', 'download', '-json', `${modules[0]}@v${version}`)) as {
    GoMod: string;
  };
  const staged = [...(await fs.readFile(downloaded.GoMod, 'utf8')).matchAll(/^\t?(\S+) => \.\/staging\//gm)];
  for (const [, library] of staged) {
    await runGo(wanted, 'mod', 'edit', `-replace=${library}=${library}@${version.replace(/^\d+/, 'v0')}`);
  }
  await runGo(wanted, 'get', '-tool', ...Object.values(programs).map((name) => `${name}@v${version}`));
}
