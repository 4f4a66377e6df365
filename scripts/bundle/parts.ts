import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { sha256OfFile, sha256OfText } from '../../components/bundle/checksum';
import { filesBelow } from '../../components/bundle/verify';
import { cacheDir } from '../../components/cacheDir';
import { isRunning } from '../../components/isRunning';
import { writeAtomically } from '../engine/cache';

export type Log = (line: string) => void;

/**
 * One piece of a bundle that is made as a whole and kept: programs of one Go module, files of distribution packages, a
 * container image. What is kept is found again by what it was made from, so an interrupted build goes on where it was.
 */
export interface Part {
  /** Names its folder in the cache. */
  name: string;
  /** Everything that decides its content. */
  recipe: unknown;
  /** Writes its files into an empty folder; gives facts that are only known now, such as the version of a package. */
  make(folder: string, log: Log): Promise<Record<string, string>>;
}

export interface MadePart {
  /** Absolute. */
  folder: string;
  facts: Record<string, string>;
  /** By path inside the folder. */
  files: Record<string, { sha256: string; sizeBytes: number }>;
}

const RECORD = 'part.json';

/** Takes a part from the cache, or makes it. What changed since it was made is thrown away and made again. */
export async function ensurePart(part: Part, log: Log): Promise<MadePart> {
  const key = sha256OfText(JSON.stringify(part.recipe)).slice(0, 16);
  const parts = path.join(cacheDir(), 'bundle-parts');
  const place = path.join(parts, `${part.name}-${key}`);
  const kept = await readPart(place);
  if (kept !== undefined) return kept;
  await removeAbandoned(parts);
  const partial = `${place}.partial-${process.pid}`;
  const folder = path.join(partial, 'files');
  try {
    await fs.mkdir(folder, { recursive: true });
    const facts = await part.make(folder, log);
    const record: Omit<MadePart, 'folder'> = { facts, files: await recordOf(folder) };
    writeAtomically(path.join(partial, RECORD), `${JSON.stringify(record, null, 2)}\n`);
    await fs.rm(place, { recursive: true, force: true });
    // The rename is what makes it a part: nobody ever sees half of one.
    await fs.rename(partial, place);
    return { folder: path.join(place, 'files'), ...record };
  } finally {
    await fs.rm(partial, { recursive: true, force: true });
  }
}

/** Takes a part out of the cache. */
export const forgetPart = ({ folder }: MadePart) => fs.rm(path.dirname(folder), { recursive: true, force: true });

/** A part whose files are still what was recorded. */
async function readPart(place: string): Promise<MadePart | undefined> {
  const text = await fs.readFile(path.join(place, RECORD), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const record = JSON.parse(text) as Omit<MadePart, 'folder'>;
  const folder = path.join(place, 'files');
  const found = await recordOf(folder).catch(() => undefined);
  return JSON.stringify(found) === JSON.stringify(record.files) ? { folder, ...record } : undefined;
}

async function recordOf(folder: string): Promise<MadePart['files']> {
  const files: MadePart['files'] = {};
  for (const name of await filesBelow(folder)) {
    const file = path.join(folder, name);
    files[name] = { sha256: await sha256OfFile(file), sizeBytes: (await fs.stat(file)).size };
  }
  return files;
}

/** What killed runs left in a folder. A run that is alive keeps its own. */
export async function removeAbandoned(folder: string): Promise<void> {
  for (const entry of await fs.readdir(folder).catch(() => [])) {
    const pid = /\.partial-(\d+)$/.exec(entry)?.[1];
    if (pid === undefined || isRunning(Number(pid))) continue;
    await fs.rm(path.join(folder, entry), { recursive: true, force: true });
  }
}
