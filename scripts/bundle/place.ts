import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { sha256OfFile, sha256OfText } from '../../components/bundle/checksum';
import { LOCK_FILE, type Bundle, type BundleLock } from '../../components/bundle/lock';
import { lockText } from '../../components/bundle/parse';
import { cachedBundles } from '../../components/bundle/store';
import { verifyBundle } from '../../components/bundle/verify';
import { writeAtomically } from '../engine/cache';
import { removeAbandoned, type Log } from './parts';
import { runProgram } from './program';

export interface PlacedBundle extends Bundle {
  /** Absolute. */
  folder: string;
  isoPath: string;
  /** Of everything in the lock. */
  sizeBytes: number;
  /** Whether it had been there, whole, before. */
  kept: boolean;
}

/**
 * Puts the files of a lock together as a bundle of this machine: its folder, its ISO image, its name. What is there and
 * whole stays; what was changed is made again.
 * @param fileOf where the file of an artifact lies now; its checksum is the lock's
 */
export async function placeBundle(lock: BundleLock, fileOf: (path: string) => string, log: Log): Promise<PlacedBundle> {
  const store = cachedBundles();
  const text = lockText(lock);
  const id = sha256OfText(text);
  const folder = store.bundleFolder(id);
  await fs.mkdir(store.folder, { recursive: true });
  await removeAbandoned(store.folder);

  const found = await verifyBundle(folder, id);
  const kept = found.problems.length === 0;
  if (!kept) {
    if (found.lock !== null) log(`bundle ${lock.name} was changed and is put together again: ${found.problems[0]}`);
    await putTogether(lock, text, id, fileOf, folder);
  }
  await ensureIso(folder, store.isoPath(id), log);
  writeAtomically(path.join(store.folder, 'by-name', lock.name), `${id}\n`);
  const sizeBytes = lock.artifacts.reduce((sum, artifact) => sum + artifact.sizeBytes, 0);
  return { id, lock, folder, isoPath: store.isoPath(id), sizeBytes, kept };
}

async function putTogether(
  lock: BundleLock,
  text: string,
  id: string,
  fileOf: (path: string) => string,
  folder: string,
): Promise<void> {
  const partial = `${folder}.partial-${process.pid}`;
  try {
    for (const artifact of lock.artifacts) {
      const target = path.join(partial, artifact.path);
      await fs.mkdir(path.dirname(target), { recursive: true });
      // A file of its own, not a second name of the cache's: a change to one must not reach the other.
      await fs.copyFile(fileOf(artifact.path), target, fs.constants.COPYFILE_FICLONE);
      await fs.chmod(target, artifact.kind === 'binary' || artifact.kind === 'cni-plugin' ? 0o755 : 0o644);
    }
    await fs.writeFile(path.join(partial, LOCK_FILE), text);
    const { problems } = await verifyBundle(partial, id);
    if (problems.length > 0) throw new Error(`bundle ${lock.name} changed while it was put together: ${problems[0]}`);
    await fs.rm(folder, { recursive: true, force: true });
    await fs.rename(partial, folder);
  } finally {
    await fs.rm(partial, { recursive: true, force: true });
  }
}

const ISO_TIMEOUT_SECONDS = 900;
/** A day after the beginning of Unix time: before it in some time zone, ISO 9660 could not say it. */
const ISO_EPOCH_SECONDS = '86400';

/** The bundle as a disk: label SITEWRIGHT, Rock Ridge for its names and modes. The same files give the same image. */
async function ensureIso(folder: string, isoPath: string, log: Log): Promise<void> {
  const recorded = await fs.readFile(`${isoPath}.sha256`, 'utf8').catch(() => '');
  const there = await fs.access(isoPath).then(
    () => true,
    () => false,
  );
  if (there && recorded.trim() === (await sha256OfFile(isoPath))) return;
  log('writing the bundle as an ISO image');
  await fs.rm(`${isoPath}.sha256`, { force: true });
  const partial = `${isoPath}.partial-${process.pid}`;
  try {
    await runProgram(
      'xorriso',
      [
        ...['-as', 'mkisofs', '-quiet', '-r', '-V', 'SITEWRIGHT'],
        ...['--set_all_file_dates', `=${ISO_EPOCH_SECONDS}`, '-o', partial, folder],
      ],
      // The time stamps of the image itself, and its identifiers.
      { env: { SOURCE_DATE_EPOCH: ISO_EPOCH_SECONDS, TZ: 'UTC' }, timeoutSeconds: ISO_TIMEOUT_SECONDS },
    );
    const sha256 = await sha256OfFile(partial);
    await fs.rename(partial, isoPath);
    writeAtomically(`${isoPath}.sha256`, `${sha256}\n`);
  } finally {
    await fs.rm(partial, { force: true });
  }
}
