import { createInterface } from 'node:readline';
import execa from 'execa';
import { BundleError } from '../../components/bundle/parse';

export interface ProgramOptions {
  cwd?: string;
  /** Added to this process's environment. */
  env?: Record<string, string>;
  /** Text given on standard input, for what must not be seen in a list of processes. Default: none. */
  input?: string;
  timeoutSeconds: number;
  /** Each line of either stream, as it arrives. */
  onLine?(line: string): void;
}

/** Debian keeps some programs in sbin, which is not in every user's PATH. */
const PATH = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`;

/**
 * Runs a program to its end and gives its standard output without the last newline. It ends when this process does.
 * @throws BundleError with what was run and the last lines it said
 */
export async function runProgram(program: string, args: string[], options: ProgramOptions): Promise<string> {
  const { timeoutSeconds, onLine, cwd, env, input } = options;
  const child = execa(program, args, {
    cwd,
    env: { LC_ALL: 'C', ...env, PATH },
    ...(input === undefined ? { stdin: 'ignore' } : { input }),
    timeout: timeoutSeconds * 1000,
    all: true,
    maxBuffer: 256 * 1024 * 1024,
  });
  if (onLine) for (const input of [child.stdout!, child.stderr!]) createInterface({ input }).on('line', onLine);
  try {
    return (await child).stdout;
  } catch (error) {
    const failure = error as execa.ExecaError & { code?: string };
    if (failure.code === 'ENOENT') {
      throw new BundleError(
        `${program} is needed to build a bundle and was not found; install the package that has it`,
      );
    }
    const how = failure.timedOut ? `not finished within ${timeoutSeconds} s` : failure.shortMessage;
    const said = (failure.all ?? '').trim().split('\n').slice(-15).join('\n');
    throw new BundleError(`${program}: ${how}\n${said}`.trimEnd());
  }
}
