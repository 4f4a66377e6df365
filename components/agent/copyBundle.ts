import { readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { sha256OfFile, sha256OfText } from '../bundle/checksum';
import { LOCK_FILE } from '../bundle/lock';
import { parseLock } from '../bundle/parse';
import { cachedBundles } from '../bundle/store';
import { BUNDLES_DIRECTORY } from '../machines/bundle';
import { FINISH_SCRIPT, RECEIVE_SCRIPT, SURVEY_SCRIPT } from '../machines/bundleCopyScript';
import { runScript } from '../ssh/script';
import type { SshSession, SshTarget } from '../ssh/session';
import type { RunOptions } from './awaitSsh';
import { Arrived, mebibytes, resuming, sizeOf } from './transfer';

/** Copies the bundle to a machine that is not ours, file by file, each checked there before it counts. */
export interface CopyBundleRequest {
  kind: 'copy-bundle';
  /** Name of the machine in messages. */
  name: string;
  target: SshTarget;
  bundleId: string;
  /** Folder of the bundles on the machine. Default: where the kit has them. */
  directory?: string;
}

export interface CopyBundleResult {
  kind: 'bundle-copy';
  name: string;
  /** 0: all of it was there. */
  sentFiles: number;
}

interface BundleFile {
  path: string;
  sha256: string;
}

/** Throws what keeps the copy from being there and whole: a damaged bundle here, no space there, a connection that stays lost. */
export async function copyBundle(request: CopyBundleRequest, opts: RunOptions): Promise<CopyBundleResult> {
  const { name, bundleId, directory = BUNDLES_DIRECTORY } = request;
  const folder = cachedBundles().bundleFolder(bundleId);
  const files = await bundleFiles(folder, bundleId);
  const list = files.map(({ path, sha256 }) => `${sha256}  ${path}\n`).join('');
  let sentFiles = 0;

  const copy = async (session: SshSession): Promise<CopyBundleResult> => {
    const args = [name, directory, bundleId];
    const { complete, missing, freeBytes } = survey(
      await runScript(session, SURVEY_SCRIPT, { ...opts, args, input: list }),
    );
    if (!complete) {
      const toSend = files.filter((file) => missing.has(file.path));
      const bytes = await totalBytes(folder, toSend);
      if (bytes > freeBytes) {
        throw new Error(
          `${name}: ${directory} has ${mebibytes(freeBytes)} free, and the bundle needs ${mebibytes(bytes)} more: make room there`,
        );
      }
      if (toSend.length > 0)
        opts.onProgress?.(`copies the bundle to ${name}: ${toSend.length} files, ${mebibytes(bytes)}`);
      const arrived = new Arrived(`copies the bundle to ${name}`, () => bytes, opts);
      for (const file of toSend) {
        await send(session, args, file, arrived);
        sentFiles += 1;
      }
    }
    await runScript(session, FINISH_SCRIPT, { ...opts, args, input: list });
    return { kind: 'bundle-copy', name, sentFiles };
  };

  const send = async (session: SshSession, args: string[], file: BundleFile, arrived: Arrived) => {
    const local = path.join(folder, file.path);
    const input = arrived.read(local);
    const received = (
      await runScript(session, RECEIVE_SCRIPT, { ...opts, args: [...args, file.path, file.sha256], input })
    ).trim();
    if (received === file.sha256) return;
    const here = await sha256OfFile(local);
    if (here !== file.sha256) throw new Error(damaged(local, here, file.sha256));
    throw new Error(`${name}: ${file.path} arrived with the sha256 ${received} and not ${file.sha256}; run again`);
  };

  return resuming(request.target, opts, copy);
}

/** The lock file first, then what it lists. */
async function bundleFiles(folder: string, bundleId: string): Promise<BundleFile[]> {
  const lockFile = path.join(folder, LOCK_FILE);
  await sizeOf(lockFile);
  const text = await readFile(lockFile, 'utf8');
  const id = sha256OfText(text);
  if (id !== bundleId) throw new Error(damaged(lockFile, id, bundleId));
  const { artifacts } = parseLock(text, lockFile);
  return [{ path: LOCK_FILE, sha256: bundleId }, ...artifacts.map(({ path, sha256 }) => ({ path, sha256 }))];
}

function damaged(file: string, actual: string, expected: string): string {
  return `${file} has the sha256 ${actual} and not ${expected}: it was changed or damaged; build the bundle again`;
}

function survey(stdout: string): { complete: boolean; missing: Set<string>; freeBytes: number } {
  const lines = stdout.split('\n');
  const after = (word: string) => lines.filter((line) => line.startsWith(word)).map((line) => line.slice(word.length));
  return {
    complete: lines.includes('complete'),
    missing: new Set(after('missing ')),
    freeBytes: Number(after('free ')[0] ?? 0),
  };
}

async function totalBytes(folder: string, files: BundleFile[]): Promise<number> {
  let bytes = 0;
  for (const file of files) bytes += await sizeOf(path.join(folder, file.path));
  return bytes;
}
