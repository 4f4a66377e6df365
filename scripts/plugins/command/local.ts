import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { specialArchiveSig, specialAssetSig, specialSigKey } from '@pulumi/pulumi/runtime/rpc';
import type { Operation } from '../base';
import type { Value, Values } from '../values';
import { globAll } from './glob';
import { failure, logs, runEnvironment, withoutLastLineEnd, type LocalRunInputs, type RunResult } from './inputs';
import { LineReader } from './lines';

/** After a polite request to end, a command that is told to stop has this long before it is killed. */
const killAfterMs = 5000;

/**
 * Runs a command on this machine in the engine's environment. Throws where it cannot be started, ends with another code
 * than 0, or is stopped.
 * @param shownCommand what an error may name; undefined where the command is a secret.
 */
export async function runLocal(
  op: Operation,
  command: string,
  shownCommand: string | undefined,
  inputs: LocalRunInputs,
  previous: Partial<RunResult>,
): Promise<Values> {
  const [program, ...args] = inputs.interpreter?.length ? inputs.interpreter : ['/bin/sh', '-c'];
  const dir = inputs.dir ?? process.cwd();
  if (!fs.statSync(dir, { throwIfNoEntry: false })?.isDirectory()) throw new Error(`dir ${dir} is not a directory`);

  const child = spawn(program, [...args, command], {
    cwd: dir,
    env: { ...process.env, ...runEnvironment(inputs, previous) },
    // A process group of its own, so that stopping it reaches what it started too.
    detached: true,
  });
  const stop = () => {
    signalGroup(child.pid, 'SIGTERM');
    setTimeout(() => {
      signalGroup(child.pid, 'SIGKILL');
      // Something that left the group may still hold the output open; nobody waits for it any more.
      child.stdout.destroy();
      child.stderr.destroy();
    }, killAfterMs).unref();
  };
  op.signal.addEventListener('abort', stop, { once: true });
  const show = (stream: 'stdout' | 'stderr') => (line: string) => {
    if (logs(stream, inputs.logging)) op.log('info', line, { ephemeral: true });
  };
  const stdout = new LineReader(child.stdout, show('stdout'));
  const stderr = new LineReader(child.stderr, show('stderr'));
  // A command may end without reading its input.
  child.stdin.on('error', () => undefined);
  child.stdin.end(inputs.stdin ?? '');

  const how = await new Promise<string | undefined>((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`cannot run ${program}: ${error.message}`)));
    child.once('close', (code, signal) =>
      resolve(signal ? `signal: ${signal}` : code === 0 ? undefined : `exit status ${code}`),
    );
  }).finally(() => op.signal.removeEventListener('abort', stop));

  const result = { stdout: stdout.text(), stderr: stderr.text() };
  if (op.signal.aborted) throw failure(op.signal.reason.message, shownCommand, result, inputs.logging);
  if (how) throw failure(how, shownCommand, result, inputs.logging);
  return {
    stdout: withoutLastLineEnd(result.stdout),
    stderr: withoutLastLineEnd(result.stderr),
    ...collected(dir, inputs),
  };
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The group ended in the meantime.
  }
}

function collected(dir: string, inputs: LocalRunInputs): Values {
  const asset = (name: string): Value => ({ [specialSigKey]: specialAssetSig, path: path.join(dir, name) });
  const assets = (globs: string[]) => Object.fromEntries(globAll(dir, globs).map((name) => [name, asset(name)]));
  return {
    ...(inputs.assetPaths && { assets: assets(inputs.assetPaths) }),
    ...(inputs.archivePaths && {
      archive: { [specialSigKey]: specialArchiveSig, assets: assets(inputs.archivePaths) },
    }),
  };
}
