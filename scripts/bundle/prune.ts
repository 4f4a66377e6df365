import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { isRunning } from '../../components/isRunning';
import { readLock } from '../../components/bundle/verify';
import type { BundleStore } from '../../components/bundle/store';
import { removeAbandoned } from './parts';

/** A bundle of this machine that no site names. */
export interface UnusedBundle {
  id: string;
  /** Null where its lock is gone or was changed. */
  name: string | null;
  /** What it takes of the disk, its ISO image included. */
  sizeBytes: number;
}

/** What is in the store beside the bundles of `keep`, sorted by name and id. A bundle that is being made now is left out. */
export async function unusedBundles(store: BundleStore, keep: ReadonlySet<string>): Promise<UnusedBundle[]> {
  const entries = (await fs.readdir(store.folder).catch(() => [])).flatMap((entry) => {
    // A folder, the image of one, or what a build is writing of either.
    const [, id, rest] = /^([0-9a-f]{64})(|\.iso|\.iso\.sha256|(?:\.iso)?\.partial-\d+)$/.exec(entry) ?? [];
    return id === undefined || keep.has(id)
      ? []
      : [{ entry, id, writer: /\d+$/.exec(rest!.split('partial-')[1] ?? '') }];
  });
  const inTheMaking = new Set(
    entries.flatMap(({ id, writer }) => (writer && isRunning(Number(writer[0])) ? [id] : [])),
  );
  const ids = [...new Set(entries.map(({ id }) => id))].filter((id) => !inTheMaking.has(id));
  const found = await Promise.all(
    ids.map(async (id) => ({
      id,
      name: (await readLock(store.bundleFolder(id), id).catch(() => ({ lock: null }))).lock?.name ?? null,
      sizeBytes: await diskBytes(
        entries.filter((one) => one.id === id).map(({ entry }) => path.join(store.folder, entry)),
      ),
    })),
  );
  return found.sort((a, b) => ((a.name ?? '') + a.id < (b.name ?? '') + b.id ? -1 : 1));
}

/** Removes a bundle. Cut off at any point, what is left of it is unfinished to everybody, and the next run removes it. */
export async function removeBundle(store: BundleStore, id: string): Promise<void> {
  for (const { name, id: named } of await store.names()) {
    if (named === id) await fs.rm(path.join(store.folder, 'by-name', name));
  }
  await fs.rm(`${store.isoPath(id)}.sha256`, { force: true });
  await fs.rm(store.isoPath(id), { force: true });
  const folder = store.bundleFolder(id);
  const leaving = `${folder}.partial-${process.pid}`;
  // As a whole: a folder with some of its files would be a damaged bundle.
  await fs.rename(folder, leaving).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  await fs.rm(leaving, { recursive: true, force: true });
  await removeAbandoned(store.folder);
}

async function diskBytes(places: string[]): Promise<number> {
  let bytes = 0;
  for (const place of places) {
    const stat = await fs.lstat(place).catch(() => null);
    if (stat === null) continue;
    bytes += stat.blocks * 512;
    if (!stat.isDirectory()) continue;
    for (const below of await fs.readdir(place, { recursive: true })) {
      bytes += ((await fs.lstat(path.join(place, below)).catch(() => null))?.blocks ?? 0) * 512;
    }
  }
  return bytes;
}
