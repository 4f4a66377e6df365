import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { sha256OfFile, sha256OfText } from './checksum';
import { LOCK_FILE, type BundleArtifact, type BundleLock } from './lock';
import { parseLock } from './parse';

export interface Verification {
  /** Null where the lock itself is not what the id says. */
  lock: BundleLock | null;
  /** One line each, by name, with what was expected and what was found. Empty: the bundle is whole. */
  problems: string[];
}

/**
 * Holds a bundle's folder against its id: the lock, every byte of every file, and nothing beside them.
 * Reads the whole bundle: some seconds.
 */
export async function verifyBundle(folder: string, id: string): Promise<Verification> {
  const { lock, problem } = await readLock(folder, id);
  if (lock === null) return { lock, problems: [problem] };
  const known = new Set([LOCK_FILE, ...lock.artifacts.map((artifact) => artifact.path)]);
  const surplus = (await filesBelow(folder)).filter((file) => !known.has(file));
  const problems = surplus.map((file) => `${file} is not in the lock`);
  for (const artifact of lock.artifacts) {
    const problem = await problemOf(path.join(folder, artifact.path), artifact);
    if (problem !== undefined) problems.push(`${artifact.path}${problem}`);
  }
  return { lock, problems };
}

/** The lock of a bundle's folder, or why it is not the one of this id. */
export async function readLock(
  folder: string,
  id: string,
): Promise<{ lock: BundleLock; problem?: undefined } | { lock: null; problem: string }> {
  const text = await fs.readFile(path.join(folder, LOCK_FILE), 'utf8').catch(() => undefined);
  if (text === undefined) return { lock: null, problem: `${LOCK_FILE} is missing` };
  const found = sha256OfText(text);
  if (found !== id) return { lock: null, problem: `${LOCK_FILE}: expected sha256 ${id}, found ${found}` };
  return { lock: parseLock(text, path.join(folder, LOCK_FILE)) };
}

async function problemOf(file: string, expected: BundleArtifact): Promise<string | undefined> {
  const wrongSize = await sizeProblem(file, expected);
  if (wrongSize !== undefined) return wrongSize;
  const sha256 = await sha256OfFile(file);
  return sha256 === expected.sha256 ? undefined : `: expected sha256 ${expected.sha256}, found ${sha256}`;
}

/** What is wrong with a file without reading it: not there, no file, another size. */
export async function sizeProblem(file: string, expected: BundleArtifact): Promise<string | undefined> {
  const stat = await fs.lstat(file).catch(() => undefined);
  if (stat === undefined) return ' is missing';
  if (!stat.isFile()) return ' is not a plain file';
  return stat.size === expected.sizeBytes ? undefined : `: expected ${expected.sizeBytes} bytes, found ${stat.size}`;
}

/** Everything below a folder that is no folder, with slashes, sorted. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await fs.readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort();
}
