import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { connectWhenReady, SshDroppedError, type SshSession, type SshTarget } from '../ssh/session';
import type { RunOptions } from './awaitSsh';

/** A machine that is being restarted, or a line that is down, has this long to come back during a transfer. */
const RECONNECT_LIMIT_SECONDS = 300;
/** A line that drops more often needs somebody to look at it; the next run goes on all the same. */
const DROPS_ALLOWED = 10;
const PROGRESS_EVERY_SECONDS = 10;

/** What has arrived at the far side so far, over all tries. */
export class Arrived {
  bytes = 0;
  private nextLineMs = Date.now() + PROGRESS_EVERY_SECONDS * 1000;

  constructor(
    private readonly what: string,
    private readonly totalBytes: () => number,
    private readonly opts: RunOptions,
  ) {}

  /** A file from an offset on, counted while it is sent. */
  read(file: string, offset = 0): Readable {
    const counted = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        this.bytes += chunk.length;
        this.tell();
        done(null, chunk);
      },
    });
    pipeline(createReadStream(file, { start: offset }), counted).catch(() => undefined);
    return counted;
  }

  private tell(): void {
    if (Date.now() < this.nextLineMs) return;
    this.nextLineMs = Date.now() + PROGRESS_EVERY_SECONDS * 1000;
    this.opts.onProgress?.(`${this.what}: ${mebibytes(this.bytes)} of ${mebibytes(this.totalBytes())}`);
  }
}

export function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2)} MiB`;
}

/**
 * Runs `work` over a session, and again over a new one when the connection drops. `work` asks the far side what it has and
 * goes on from there.
 */
export async function resuming<T>(
  target: SshTarget,
  opts: RunOptions,
  work: (session: SshSession) => Promise<T>,
): Promise<T> {
  for (let drops = 0; ; drops += 1) {
    const session = await connectWhenReady(target, {
      limitSeconds: RECONNECT_LIMIT_SECONDS,
      signal: opts.signal,
      onProgress: (line) => opts.onProgress?.(line),
    });
    try {
      return await work(session);
    } catch (error) {
      if (!(error instanceof SshDroppedError) || drops === DROPS_ALLOWED) throw error;
      opts.onProgress?.(`${error.message}; goes on over a new connection`);
    } finally {
      session.end();
    }
  }
}

/** Throws where the file is not there, with what to do about it. */
export async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch {
    throw new Error(`the bundle is not in the cache of this machine: ${file} is not there; build the bundle again`);
  }
}
