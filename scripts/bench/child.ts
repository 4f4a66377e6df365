import { spawn } from 'node:child_process';

export interface ChildOptions {
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  limitSeconds: number;
  signal: AbortSignal;
  /** Each line of output, with the seconds since the start. */
  onLine?(line: string, seconds: number): void;
  /** Exit codes that are no failure. Default: 0. */
  allowed?: number[];
  /** Called with the process as soon as it is there. */
  onStart?(pid: number): void;
}

/** How much of the output a failure shows. */
const SHOWN_LINES = 30;

/**
 * Runs a program to its end and returns its stdout. Throws with the end of its output when it fails, the signal's reason
 * when that was aborted; at the limit and on abort it is killed with all that it started.
 */
export function runChild(command: string, args: string[], options: ChildOptions): Promise<string> {
  const shown = [command, ...args].join(' ');
  const stop = AbortSignal.any([options.signal, AbortSignal.timeout(options.limitSeconds * 1000)]);
  stop.throwIfAborted();
  const start = process.hrtime.bigint();
  // A process group of its own: a Ctrl-C of the terminal reaches the bench alone, which then ends the whole group.
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  if (child.pid !== undefined) options.onStart?.(child.pid);
  let stdout = '';
  const lines: string[] = [];
  const take = (text: string) => {
    for (const line of text.split('\n').filter((one) => one !== '')) {
      lines.push(line);
      options.onLine?.(line, Number(process.hrtime.bigint() - start) / 1e9);
    }
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    take(text);
  });
  child.stderr.setEncoding('utf8').on('data', take);
  return new Promise((resolve, reject) => {
    const kill = () => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    };
    stop.addEventListener('abort', kill, { once: true });
    child.on('error', reject);
    child.on('close', (code) => {
      stop.removeEventListener('abort', kill);
      if (code !== null && (options.allowed ?? [0]).includes(code)) return resolve(stdout);
      if (options.signal.aborted) return reject(options.signal.reason as Error);
      const why = stop.aborted ? `was stopped after ${options.limitSeconds} s` : `ended with ${code}`;
      reject(new Error([`${shown} ${why}:`, ...lines.slice(-SHOWN_LINES)].join('\n')));
    });
  });
}
