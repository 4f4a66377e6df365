import { spawn } from 'node:child_process';
import type { PulumiCommand } from '@pulumi/pulumi/automation';

export interface EngineResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** The engine ended with an error; `stderr` is what it said. */
export class EngineError extends Error {
  constructor(readonly result: EngineResult) {
    super(result.stderr.trim() || result.stdout.trim() || `the engine ended with exit code ${result.code}`);
    this.name = 'EngineError';
  }
}

export interface EngineCall {
  executable: string;
  args: string[];
  cwd: string;
  env: Record<string, string>;
  /** Text for standard input: secrets go in here, never as arguments. Default: none. */
  input?: string;
  onStdout?: (text: string) => void;
  onStderr?: (text: string) => void;
  /** Asks the engine to stop; every abort is one interrupt. */
  signal?: AbortSignal;
}

/**
 * Runs the engine's command line in a process group of its own. In ours a Ctrl-C of the terminal would reach it
 * beside the interrupt that we send, and the second one makes it stop at once, leaving its lock behind.
 */
export function callEngine(call: EngineCall): Promise<EngineResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(call.executable, call.args, {
      cwd: call.cwd,
      env: { ...process.env, ...call.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    const interrupt = () => child.kill('SIGINT');
    call.signal?.addEventListener('abort', interrupt);
    // Ours is the only process that would tell it to stop, should we end before it.
    process.once('exit', interrupt);

    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      call.onStdout?.(text);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      call.onStderr?.(text);
    });
    // An engine that fails before it reads its input breaks the pipe; its exit code tells the story.
    child.stdin.on('error', () => undefined);
    child.stdin.end(call.input ?? '');
    const done = () => {
      call.signal?.removeEventListener('abort', interrupt);
      process.removeListener('exit', interrupt);
    };
    child.on('error', (error) => {
      done();
      reject(new EngineError({ code: -1, stdout, stderr: `cannot run ${call.executable}: ${error.message}` }));
    });
    child.on('close', (code) => {
      done();
      const result = { code: code ?? -1, stdout, stderr };
      if (result.code === 0) resolve(result);
      else reject(new EngineError(result));
    });
  });
}

/**
 * The Automation API starts the engine in our process group and knows no standard input. `run` is the one method it
 * starts it with; test/cli/stack.test.ts fails when an update of the SDK changes that.
 */
export function inOwnProcessGroup(command: PulumiCommand): PulumiCommand {
  const run = async (
    args: string[],
    cwd: string,
    env: Record<string, string>,
    onStdout?: (text: string) => void,
    onStderr?: (text: string) => void,
    signal?: AbortSignal,
  ): Promise<EngineResult> =>
    callEngine({
      executable: command.command,
      args: args.includes('--non-interactive') ? args : [...args, '--non-interactive'],
      cwd,
      env: { ...env, PULUMI_AUTOMATION_API: 'true' },
      onStdout,
      onStderr,
      signal,
    });
  return Object.assign(Object.create(Object.getPrototypeOf(command) as object) as PulumiCommand, command, { run });
}
