import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { cacheDir } from '../cacheDir';
import { sha256OfFile } from './checksum';
import { readLock, sizeProblem, type Verification } from './verify';

/**
 * The bundles of this machine, below one folder:
 *
 *     <id>/             the files of a bundle and its lock
 *     <id>.iso          the same as an ISO image
 *     <id>.iso.sha256   checksum of the image, written after it: an image without it is unfinished
 *     by-name/<name>    the id that was built or downloaded last under this name
 */
export class BundleStore {
  constructor(readonly folder: string) {}

  bundleFolder(id: string): string {
    return path.join(this.folder, id);
  }

  isoPath(id: string): string {
    return path.join(this.folder, `${id}.iso`);
  }

  async idOf(name: string): Promise<string | null> {
    const text = await fs.readFile(path.join(this.folder, 'by-name', name), 'utf8').catch(() => '');
    return isId(text.trim()) ? text.trim() : null;
  }

  /** Every name with its id, sorted by name. */
  async names(): Promise<{ name: string; id: string }[]> {
    const names = await fs.readdir(path.join(this.folder, 'by-name')).catch(() => []);
    const found = await Promise.all(names.sort().map(async (name) => ({ name, id: await this.idOf(name) })));
    return found.flatMap(({ name, id }) => (id === null ? [] : [{ name, id }]));
  }

  /** Ids of everything that is there, sorted. */
  async ids(): Promise<string[]> {
    return (await fs.readdir(this.folder).catch(() => [])).filter(isId).sort();
  }

  /**
   * The bundle of this id, without reading its files: the lock is the id's, and each file and the ISO image is there with its
   * size. Every byte is held against the lock by `verifyBundle` when it is built and by each node before it uses it.
   * @returns null where there is no such bundle
   */
  async find(id: string): Promise<Verification | null> {
    const folder = this.bundleFolder(id);
    const { lock, problem } = await readLock(folder, id);
    if (lock === null) return (await fs.stat(folder).catch(() => null)) && { lock, problems: [problem] };
    const problems: string[] = [];
    for (const artifact of lock.artifacts) {
      const wrong = await sizeProblem(path.join(folder, artifact.path), artifact);
      if (wrong !== undefined) problems.push(`${artifact.path}${wrong}`);
    }
    if ((await this.recordedIso(id)) === null) problems.push(this.isoMissing(id));
    return { lock, problems };
  }

  /** What is wrong with the ISO image of a bundle, every byte of it read; empty where it is as it was written. */
  async isoProblems(id: string): Promise<string[]> {
    const expected = await this.recordedIso(id);
    if (expected === null) return [this.isoMissing(id)];
    const found = await sha256OfFile(this.isoPath(id));
    return found === expected ? [] : [`${id}.iso: expected sha256 ${expected}, found ${found}`];
  }

  /** The checksum of a finished image. */
  async recordedIso(id: string): Promise<string | null> {
    const there = await fs.stat(this.isoPath(id)).catch(() => undefined);
    if (there === undefined) return null;
    return fs.readFile(`${this.isoPath(id)}.sha256`, 'utf8').then(
      (text) => text.trim(),
      () => null,
    );
  }

  private isoMissing(id: string): string {
    return `${id}.iso is missing or unfinished`;
  }
}

/** The bundles of the machine that runs this. */
export const cachedBundles = () => new BundleStore(path.join(cacheDir(), 'bundles'));

const isId = (text: string) => /^[0-9a-f]{64}$/.test(text);
