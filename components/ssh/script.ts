import { Readable, type Writable } from 'node:stream';
import { quote } from '../nodes/bash';
import type { SshSession } from './session';

/** A script on another machine did not end well. The message is what it said: never its text or its input. */
export class ScriptError extends Error {
  readonly exitCode = 1;
}

export interface ScriptOptions {
  /** Stands before every step and before what a failure said; left out where the script names its machine itself. */
  name?: string;
  /** `$1` and so on of the script. */
  args?: string[];
  /** Standard input of the script. The script itself is then an argument that everybody on the machine can read: no secrets in it. */
  input?: string | Readable;
  /** Follows the script on its own standard input, where its last line reads it: what is secret is in no argument, also where the script becomes root. */
  payload?: Readable;
  /** Takes the script's stdout as it comes, and is not ended; what is resolved with is then empty. */
  output?: Writable;
  timeoutSeconds?: number;
  signal?: AbortSignal;
  /** One step that began, in words; no line end. */
  onProgress?(step: string): void;
}

const STEP = 'step: ';
/** Enough for what kubeadm and a script say of a failure. */
const LINES_KEPT = 60;

/**
 * Runs a bash script; resolves with its stdout. Its lines `step: …` on stderr are progress, and the rest of stderr is what a
 * failure is told by (ScriptError). Throws as SshSession.exec does where the connection or the time limit ends it.
 */
export async function runScript(session: SshSession, script: string, opts: ScriptOptions = {}): Promise<string> {
  const before = opts.name === undefined ? '' : `${opts.name}: `;
  const args = (opts.args ?? []).map(quote);
  const words =
    opts.input === undefined
      ? ['exec bash -s', ...(args.length === 0 ? [] : ['--', ...args])]
      : ['exec bash -c', quote(script), 'sitewright', ...args];
  const said: string[] = [];
  const { code, stdout } = await session.exec(words.join(' '), {
    stdin: opts.payload === undefined ? (opts.input ?? script) : Readable.from(followed(script, opts.payload)),
    stdout: opts.output,
    timeoutSeconds: opts.timeoutSeconds,
    signal: opts.signal,
    onStderrLine: (line) => {
      if (line.startsWith(STEP)) opts.onProgress?.(before + line.slice(STEP.length));
      else if (line.trim() !== '' && said.push(line) > LINES_KEPT) said.shift();
    },
  });
  if (code === 0) return stdout;
  if (said.length === 0) throw new ScriptError(`${opts.name ?? session.where}: a script ended with exit code ${code}`);
  throw new ScriptError(before + said.join('\n'));
}

async function* followed(script: string, payload: Readable): AsyncGenerator<Buffer> {
  yield Buffer.from(script);
  for await (const chunk of payload) yield chunk as Buffer;
}
