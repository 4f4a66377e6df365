import type { SshSession } from '../../../components/ssh/session';
import type { Operation } from '../base';
import type { Values } from '../values';
import { dial } from './dial';
import {
  failure,
  logs,
  runEnvironment,
  withoutLastLineEnd,
  type ConnectionInputs,
  type RunInputs,
  type RunResult,
} from './inputs';

/**
 * Runs a command on another machine over SSH. Throws where the machine cannot be reached, the command ends with another
 * code than 0, or it is stopped.
 * @param shownCommand what an error may name; undefined where the command is a secret.
 */
export async function runRemote(
  op: Operation,
  command: string,
  shownCommand: string | undefined,
  inputs: RunInputs & { connection: ConnectionInputs },
  previous: Partial<RunResult>,
): Promise<Values> {
  const session = await dial(op, inputs.connection);
  try {
    const env = runEnvironment(inputs, previous);
    await checkEnvironment(op, session, env, Object.keys(inputs.environment ?? {}));
    const show = (stream: 'stdout' | 'stderr') =>
      logs(stream, inputs.logging) ? (line: string) => op.log('info', line, { ephemeral: true }) : undefined;
    const { code, ...output } = await session.exec(command, {
      env,
      stdin: inputs.stdin,
      signal: op.signal,
      onStdoutLine: show('stdout'),
      onStderrLine: show('stderr'),
    });
    if (code !== 0) throw failure(`Process exited with status ${code}`, shownCommand, output, inputs.logging);
    return { stdout: withoutLastLineEnd(output.stdout), stderr: withoutLastLineEnd(output.stderr) };
  } finally {
    session.end();
  }
}

/**
 * sshd drops variables that its AcceptEnv does not name without a word. A variable the program asked for must not get
 * lost like that; the output of the last run is an extra, so its loss is only mentioned.
 */
async function checkEnvironment(
  op: Operation,
  session: SshSession,
  env: Record<string, string>,
  asked: string[],
): Promise<void> {
  const names = Object.keys(env);
  if (names.length === 0) return;
  const seen = await session.exec('env', { env, signal: op.signal });
  const lost = names.filter((name) => !`\n${seen.stdout}`.includes(`\n${name}=`));
  const advice = "name it in AcceptEnv of the machine's sshd_config, or write the command as 'NAME=value command'";
  for (const name of lost) {
    const message = `Unable to set '${name}': ${advice}`;
    if (asked.includes(name)) throw new Error(message);
    op.log('warning', message);
  }
}
