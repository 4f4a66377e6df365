import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { sha256OfText } from '../../components/bundle/checksum';
import { BundleError } from '../../components/bundle/parse';
import { cacheDir } from '../../components/cacheDir';
import type { Log } from './parts';
import { runProgram } from './program';

/**
 * Where files are taken from in place of their own servers: a folder or a URL, below which a file has the place
 * `<host>/<path>` of its own URL. Null: from their own servers.
 */
export type Mirror = string | null;

const isUrl = (text: string) => /^https?:\/\//.test(text);

/** Where a file is looked for. */
export function mirrored(url: string, mirror: Mirror): string {
  return mirror === null ? url : `${mirror.replace(/\/+$/, '')}/${url.replace(/^https?:\/\//, '')}`;
}

/** Downloads that were interrupted are gone on with here; what is complete is a part. */
export const downloadsFolder = (url: string) =>
  path.join(cacheDir(), 'bundle-downloads', sha256OfText(url).slice(0, 16));

const LIMIT_SECONDS = 3600;
const PROGRESS_INTERVAL_MILLISECONDS = 5000;
/** Slower than 1 kB/s for a minute is a connection that has died. */
const PATIENCE = ['speed-limit = 1000', 'speed-time = 60', 'connect-timeout = 30', 'retry = 3'];

/** A server that cannot go on where a download was, or has nothing left to send: from the beginning then. */
const REFUSED = /exit code (22|33|36)\b/;

/**
 * Downloads a file with curl, which honours HTTPS_PROXY, NO_PROXY, ~/.netrc and the machine's certificates. What an
 * interrupted download left beside the target, as `<target>.part`, is gone on with.
 * @throws BundleError with the URL and what the server said
 */
export async function download(
  url: string,
  target: string,
  log: Log,
  options: { mirror?: Mirror; headers?: string[] } = {},
): Promise<void> {
  const from = mirrored(url, options.mirror ?? null);
  await fs.mkdir(path.dirname(target), { recursive: true });
  if (!isUrl(from)) {
    await fs.copyFile(from, target).catch((error: NodeJS.ErrnoException) => {
      throw new BundleError(
        `${url} was looked for in the mirror: ${error.code === 'ENOENT' ? 'no file' : error.code} ${from}`,
      );
    });
    return;
  }
  const part = `${target}.part`;
  const fetch = async () => {
    const shown = setInterval(() => void tell(url, part, log), PROGRESS_INTERVAL_MILLISECONDS);
    try {
      const lines = ['fail', 'location', 'netrc-optional', 'continue-at = -', `output = ${quoted(part)}`, ...PATIENCE];
      await curl([
        ...lines,
        ...(options.headers ?? []).map((line) => `header = ${quoted(line)}`),
        `url = ${quoted(from)}`,
      ]);
    } finally {
      clearInterval(shown);
    }
  };
  try {
    await fetch().catch(async (error: Error) => {
      if (!REFUSED.test(error.message) || !(await fs.stat(part).catch(() => undefined))) throw error;
      await fs.rm(part);
      return fetch();
    });
  } catch (error) {
    throw new BundleError(`${url} could not be downloaded${from === url ? '' : ' from the mirror'}: ${reason(error)}`);
  }
  await fs.rename(part, target);
}

/** The text of a small file. */
export async function downloadText(url: string, folder: string, log: Log, mirror: Mirror): Promise<string> {
  const target = path.join(folder, 'text');
  await download(url, target, log, { mirror });
  const text = await fs.readFile(target, 'utf8');
  await fs.rm(target);
  return text;
}

/** Runs curl with a configuration on standard input: a URL or a header can carry a password. */
export function curl(config: string[]): Promise<string> {
  const input = ['silent', 'show-error', ...config, ''].join('\n');
  return runProgram('curl', ['--config', '-'], { input, timeoutSeconds: LIMIT_SECONDS });
}

export const quoted = (value: string) => `"${value.replace(/(["\\])/g, '\\$1')}"`;

const reason = (error: unknown) => (error as Error).message.split('\n').pop()!;

async function tell(url: string, part: string, log: Log): Promise<void> {
  const { size } = await fs.stat(part).catch(() => ({ size: 0 }));
  log(`downloading ${url}: ${Math.round(size / 1e6)} MB`);
}
