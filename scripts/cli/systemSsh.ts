import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SshTarget } from '../../components/ssh/session';
import { badInput } from './errors';

const JUMP = 'sitewright-jump';

/**
 * Logs in with the OpenSSH of this machine, on its terminal; returns the exit code. The private key goes by a pipe into
 * an agent of this one connection and is never on a disk; the agent ends with the connection, however that ends.
 * @param node name of the machine, as the terminal and messages about its host key have it.
 * @param terminal give the command a terminal over there, which a shell has anyway.
 */
export async function runSsh(
  node: string,
  target: SshTarget,
  command: string[],
  { terminal = false } = {},
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'sitewright-ssh-'));
  try {
    const { jump } = target;
    const hosts = [{ name: node, target }, ...(jump === undefined ? [] : [{ name: JUMP, target: jump }])];
    writeFileSync(
      join(folder, 'known_hosts'),
      hosts.map(({ name, target: { hostKey } }) => `${name} ${hostKey.split(' ', 2).join(' ')}\n`).join(''),
    );
    writeFileSync(join(folder, 'config'), sshConfig(folder, hosts));
    return await runWithKey(target.privateKey, [
      '-F',
      join(folder, 'config'),
      ...(terminal ? ['-t'] : []),
      node,
      ...end(command),
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const end = (command: string[]) => (command.length === 0 ? [] : ['--', ...command]);

/** Everything is said here: with -F neither the user's configuration nor the machine's is read, for the jump host too. */
export function sshConfig(folder: string, hosts: { name: string; target: SshTarget }[]): string {
  const blocks = hosts.flatMap(({ name, target: { host, port, user, jump } }) => [
    `Host ${name}`,
    `  HostName ${host}`,
    `  Port ${port}`,
    `  User ${user}`,
    `  HostKeyAlias ${name}`,
    ...(jump === undefined ? [] : [`  ProxyJump ${JUMP}`]),
  ]);
  return [
    ...blocks,
    'Host *',
    `  UserKnownHostsFile ${folder}/known_hosts`,
    '  GlobalKnownHostsFile /dev/null',
    '  StrictHostKeyChecking yes',
    '  HostKeyAlgorithms ssh-ed25519',
    '  UpdateHostKeys no',
    '  IdentityFile none',
    '  PreferredAuthentications publickey',
    '  ConnectTimeout 30',
    '',
  ].join('\n');
}

/** Descriptor of the pipe with the key: the first that is not one of the terminal's. */
const KEY_FD = 3;
const ADD_KEY_AND_LOG_IN = `ssh-add -q - <&${KEY_FD} && exec ssh "$@" ${KEY_FD}<&-`;

function runWithKey(privateKey: string, args: string[]): Promise<number> {
  const child = spawn('ssh-agent', ['sh', '-c', ADD_KEY_AND_LOG_IN, 'ssh', ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
  });
  // Ctrl-C is for the far side; the terminal gives it to ssh, which ends or passes it on.
  const ignore = () => undefined;
  process.on('SIGINT', ignore);
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  const pipe = child.stdio[KEY_FD] as NodeJS.WritableStream;
  // A login that ends before it reads the key breaks the pipe; its exit code tells.
  pipe.on('error', ignore);
  // OpenSSH wants the line end that storing the key has taken away.
  pipe.end(`${privateKey.trim()}\n`);
  return new Promise((resolve, reject) => {
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'ENOENT' ? badInput('ssh-agent is missing: install OpenSSH (openssh-client)') : error),
    );
    // Not `close`: the agent has the pipe as well, and takes up to ten seconds to notice that the login is over.
    child.on('exit', (code) => resolve(code ?? 255));
  });
}
