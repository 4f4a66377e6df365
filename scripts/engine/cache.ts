import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { cacheDir } from '../../components/cacheDir';

const dayMs = 24 * 60 * 60 * 1000;

/**
 * Remembers for a day that something outside could not be reached, so that each run does not wait for it again.
 * Removing the file tries again at once.
 */
export class FailureMemory {
  private readonly file: string;

  constructor(what: string) {
    this.file = path.join(cacheDir(), 'unreachable', what);
  }

  /** Why it failed less than a day ago; undefined where it is worth a try. */
  recent(): string | undefined {
    const stat = fs.statSync(this.file, { throwIfNoEntry: false });
    return stat && Date.now() - stat.mtimeMs < dayMs ? fs.readFileSync(this.file, 'utf8') : undefined;
  }

  remember(reason: string): void {
    fs.mkdirSync(path.dirname(this.file), { recursive: true });
    fs.writeFileSync(this.file, reason);
  }
}

/** SHA-256 in hexadecimal, read in pieces: an engine has 100 MB. */
export function sha256OfFile(file: string): string {
  const hash = createHash('sha256');
  const piece = Buffer.alloc(1024 * 1024);
  const fd = fs.openSync(file, 'r');
  try {
    for (let length; (length = fs.readSync(fd, piece)) > 0;) hash.update(piece.subarray(0, length));
  } finally {
    fs.closeSync(fd);
  }
  return hash.digest('hex');
}

/** Writes beside the target and renames: a reader sees the old file or the new one, also after a kill. */
export function writeAtomically(file: string, content: string | Buffer, mode = 0o644): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}.tmp`;
  fs.writeFileSync(temporary, content, { mode });
  fs.renameSync(temporary, file);
}

/** Nobody looks at a pull request for longer. */
const UNUSED_DAYS = 30;

/** Says that an entry of the cache was used now. */
export function markUsed(entry: string): void {
  const now = new Date();
  fs.utimesSync(entry, now, now);
}

/** Removes the entries of a folder of the cache that nobody has used for 30 days; they are made again when they are needed. */
export function forgetUnused(folder: string): void {
  const oldest = Date.now() - UNUSED_DAYS * dayMs;
  for (const name of fs.readdirSync(folder)) {
    const entry = path.join(folder, name);
    // Another run may have been faster.
    const used = fs.lstatSync(entry, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
    if (used < oldest) fs.rmSync(entry, { recursive: true, force: true });
  }
}
