import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import type { SshTarget } from '../../components/ssh/session';
import { newKey } from './keys';

const sshdPath = '/usr/sbin/sshd';

export interface TestSshd {
  /** Complete and right: log in with this. */
  target: SshTarget;
  /** What sshd itself logged: connections, accepted keys. */
  log(): string;
  stop(): Promise<void>;
}

export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface TestSshdOptions {
  /** Network namespace that it listens in. Default: the one of the tests. */
  namespace?: string;
  /** Default: loopback, and a free port. */
  address?: string;
  port?: number;
  /** Default: a new one. */
  hostKey?: { privateKey: string; publicKey: string };
  /** What commands find in their environment. */
  environment?: Record<string, string>;
  /** Lines of sshd_config. */
  config?: string[];
  /** Another key that logs in, beside the one of `target`. */
  authorizedKey?: string;
}

/** Starts an OpenSSH server of its own for the user who runs the tests; it reads no configuration of the machine. */
export async function startSshd(options: TestSshdOptions = {}): Promise<TestSshd> {
  if (!fs.existsSync(sshdPath)) {
    throw new Error(`${sshdPath} is missing; these tests need it: apt-get install openssh-server`);
  }
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-sshd-'));
  const hostKey = options.hostKey ?? newKey();
  const userKey = newKey();
  const address = options.address ?? '127.0.0.1';
  const port = options.port ?? (await freePort());
  const authorized = [userKey.publicKey, options.authorizedKey ?? ''];
  const write = (name: string, text: string) => {
    fs.writeFileSync(path.join(dir, name), text, { mode: 0o600 });
    return path.join(dir, name);
  };
  const config = write(
    'sshd_config',
    [
      `Port ${port}`,
      `ListenAddress ${address}`,
      `HostKey ${write('host', hostKey.privateKey)}`,
      `AuthorizedKeysFile ${write('authorized', `${authorized.join('\n')}\n`)}`,
      `PidFile ${path.join(dir, 'pid')}`,
      'StrictModes no',
      'UsePAM no',
      'PermitRootLogin yes',
      'PasswordAuthentication no',
      'Subsystem sftp internal-sftp',
      // The start-up files of whoever runs the tests play no part.
      ['SetEnv', ...Object.entries({ HOME: dir, ...options.environment }).map((pair) => pair.join('='))].join(' '),
      ...(options.config ?? []),
      '',
    ].join('\n'),
  );
  // The directory for privilege separation is made by the service unit where there is one; in a container nobody does.
  if (process.getuid?.() === 0) fs.mkdirSync('/run/sshd', { recursive: true });
  // `ip netns exec` becomes the program that it starts: the process to stop is the server either way.
  const inNamespace = options.namespace === undefined ? [] : ['ip', 'netns', 'exec', options.namespace];
  const [program, ...args] = [...inNamespace, sshdPath, '-D', '-e', '-f', config];
  const child = spawn(program!, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr.on('data', (data) => {
      log += data;
      if (log.includes('Server listening')) resolve();
    });
    child.once('exit', (code) => reject(new Error(`sshd ended with ${code}: ${log}`)));
  });
  return {
    target: {
      host: address,
      port,
      user: os.userInfo().username,
      privateKey: userKey.privateKey,
      hostKey: hostKey.publicKey,
    },
    log: () => log,
    stop: async () => {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      if (child.kill()) await gone;
      fs.rmSync(dir, { recursive: true, force: true });
    },
  };
}
