/** Running other programs: one way, with the output kept, a time limit, and an error that says what was run. */
import { spawn } from 'node:child_process';

export interface RunOptions {
  /** Text given on standard input. Default: none, standard input is closed. */
  input?: string;
  /** Milliseconds after which the program is killed and the run fails. Default 60 s. */
  timeoutMilliseconds?: number;
  /** Added to this process's environment. */
  env?: Record<string, string>;
  /** true: a non-zero exit is returned instead of thrown. */
  allowFailure?: boolean;
}

export interface RunResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** A mistake or a lack the user can do something about: shown as a message without a stack trace. */
export class LabError extends Error {
  constructor(
    message: string,
    readonly exitCode: 1 | 2 = 1,
  ) {
    super(message);
    this.name = 'LabError';
  }
}

/** Debian keeps ip, nft and dnsmasq in sbin, which is not in every root's PATH. */
const toolPath = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`;

export async function run(command: string, args: string[], options: RunOptions = {}): Promise<RunResult> {
  const timeoutMilliseconds = options.timeoutMilliseconds ?? 60_000;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, LC_ALL: 'C', ...options.env, PATH: toolPath },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, timeoutMilliseconds);
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
    // A program that exits without reading its input breaks the pipe; its exit code tells the story.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(
        new LabError(`cannot run ${command}: ${error.message}; install what is missing with scripts/lab/packages.sh`),
      );
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const exitCode = code ?? 128;
      if (exitCode === 0 || (options.allowFailure === true && !timedOut)) {
        resolve({ exitCode, stdout, stderr });
        return;
      }
      const reason = timedOut
        ? `took longer than ${timeoutMilliseconds / 1000} s`
        : signal
          ? `was killed by ${signal}`
          : `exited with ${exitCode}`;
      const output = (stderr.trim() || stdout.trim()).split('\n').slice(-15).join('\n');
      reject(new LabError(`${[command, ...args].join(' ')} ${reason}${output === '' ? '' : `:\n${output}`}`));
    });
  });
}

/** Asks until the answer is something, or fails with what was waited for once the limit has passed. */
export async function waitFor<T>(
  what: string,
  limitMilliseconds: number,
  ask: () => Promise<T | undefined>,
  intervalMilliseconds = 100,
): Promise<T> {
  const deadline = Date.now() + limitMilliseconds;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) throw new LabError(`${what}: not there after ${limitMilliseconds / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, intervalMilliseconds));
  }
}
