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

/**
 * A server that cannot go on where a download was, has another content now, or has nothing left to send: from the beginning
 * then. One that is busy or does not let in says nothing about what has arrived, which stays.
 */
const UNUSABLE = /exit code (33|36)\b|returned error: 416\b/;
const REFUSED = /exit code 22\b/;

/** A server answered, and not with what it was asked for. */
export class HttpError extends BundleError {
  constructor(
    message: string,
    readonly status: number,
    /** Of its answer, as they were sent. */
    readonly headers: string,
  ) {
    super(message);
  }
}

/**
 * Downloads a file with curl, which honours HTTPS_PROXY, NO_PROXY, ~/.netrc and the machine's certificates. What an
 * interrupted download left beside the target, as `<target>.part`, is gone on with where the server still has the same.
 * @throws BundleError with the URL and what the server said, HttpError where it said it by a status
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
  const headersFile = `${part}.headers`;
  const fetch = async () => {
    const shown = setInterval(() => void tell(url, part, log), PROGRESS_INTERVAL_MILLISECONDS);
    try {
      const lines = ['fail', 'location', 'netrc-optional', 'continue-at = -', `output = ${quoted(part)}`, ...PATIENCE];
      const validator = await validatorOf(part);
      const headers = [...(options.headers ?? []), ...(validator === null ? [] : [`If-Range: ${validator}`])];
      await curl([
        ...lines,
        ...headers.map((line) => `header = ${quoted(line)}`),
        ...[`dump-header = ${quoted(headersFile)}`, `url = ${quoted(from)}`],
      ]);
    } finally {
      clearInterval(shown);
    }
  };
  try {
    await fetch().catch(async (error: Error) => {
      if (!UNUSABLE.test(error.message) || !(await fs.stat(part).catch(() => undefined))) throw error;
      await forget(part);
      return fetch();
    });
  } catch (error) {
    const { message } = error as Error;
    const said = `${url} could not be downloaded${from === url ? '' : ' from the mirror'}: ${message.split('\n').pop()!}`;
    if (!REFUSED.test(message)) throw new BundleError(said);
    const { status, headers } = lastAnswer(await fs.readFile(headersFile, 'utf8'));
    throw new HttpError(said, status, headers);
  }
  await fs.rename(part, target);
  await forget(part);
}

const validatorFile = (part: string) => `${part}.validator`;

/**
 * What the server called the content that a part is of, or null: it did not, or there is no part. An answer that brought
 * nothing leaves it as it was.
 */
async function validatorOf(part: string): Promise<string | null> {
  if (!(await fs.stat(part).catch(() => undefined))) return null;
  const { status, headers } = lastAnswer(await fs.readFile(`${part}.headers`, 'utf8').catch(() => ''));
  const header = (name: string) => new RegExp(`^${name}: *(.*?)\\s*$`, 'im').exec(headers)?.[1];
  const tag = header('etag');
  // A weak one promises no bytes.
  const found = [200, 206].includes(status) ? (tag?.startsWith('"') ? tag : header('last-modified')) : undefined;
  if (found === undefined) return fs.readFile(validatorFile(part), 'utf8').catch(() => null);
  await fs.writeFile(validatorFile(part), found);
  return found;
}

async function forget(part: string): Promise<void> {
  for (const file of [part, `${part}.headers`, validatorFile(part)]) await fs.rm(file, { force: true });
}

/** Of those that redirects and proxies gave before it, none counts. */
function lastAnswer(text: string): { status: number; headers: string } {
  const headers = text
    .trim()
    .split(/\r?\n\r?\n/)
    .pop()!;
  return { status: Number(/^HTTP\/\S+ (\d+)/.exec(headers)?.[1]), headers };
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

async function tell(url: string, part: string, log: Log): Promise<void> {
  const { size } = await fs.stat(part).catch(() => ({ size: 0 }));
  log(`downloading ${url}: ${Math.round(size / 1e6)} MB`);
}
