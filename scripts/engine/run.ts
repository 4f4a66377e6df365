import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  timeoutSeconds: number;
  /** Each line of either stream, as it arrives. */
  onLine?(line: string): void;
}

/** Runs a program to its end and gives its standard output; throws with the last lines it said where it fails. */
export function run(program: string, args: string[], opts: RunOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: opts.cwd, env: opts.env, stdio: ['ignore', 'pipe', 'pipe'] });
    let overdue = false;
    const timer = setTimeout(() => {
      overdue = true;
      child.kill();
    }, opts.timeoutSeconds * 1000);
    let stdout = '';
    const lastLines: string[] = [];
    child.stdout.on('data', (data) => (stdout += data));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        lastLines.push(line);
        if (lastLines.length > 10) lastLines.shift();
        opts.onLine?.(line);
      });
    }
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      if (code === 0) return resolve(stdout);
      const how = overdue ? `not finished within ${opts.timeoutSeconds} s` : `exit code ${code}`;
      reject(new Error(`${program} ${args.join(' ')}: ${how}\n${lastLines.join('\n')}`));
    });
  });
}
