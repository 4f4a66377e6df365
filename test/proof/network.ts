import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { SshTarget } from '../../components/ssh/session';
import { newKey } from '../ssh/keys';

/**
 * Two nodes as network namespaces, each with an SSH server and a /run of its own, and a bridge between them in a third
 * one, where faults are made. The tests log in over links of their own, so that a fault never hits the log-in.
 */
export interface TestNetwork {
  a: TestNode;
  b: TestNode;
  /** Namespace with the bridge. */
  middle: string;
  /** Rules of an nftables chain on the bridge's forward hook; replaces the ones before. */
  fault(...rules: string[]): void;
  /** Runs a command in a namespace. */
  run(namespace: string, ...command: string[]): string;
  stop(): Promise<void>;
}

export interface TestNode {
  namespace: string;
  target: SshTarget;
  address: string;
  address6: string;
  /** Everything that a probe could leave behind: devices with their MTUs, addresses, routes, run directories. */
  inventory(): string;
}

function sh(...command: string[]): string {
  return execFileSync(command[0] as string, command.slice(1), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Networks of one process exist one after another; those of others have other numbers. */
export async function startNetwork(opts: { overlay?: boolean } = {}): Promise<TestNetwork> {
  if (process.getuid?.() !== 0) throw new Error('these tests make network namespaces: run them as root');
  const number = process.pid % 256;
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-proof-'));
  const middle = `swtest${number}-m`;
  const far = opts.overlay ? `swtest${number}-n` : middle;
  const namespaces = [`swtest${number}-a`, `swtest${number}-b`, middle, ...(far === middle ? [] : [far])];
  const servers: ChildProcess[] = [];
  const run = (namespace: string, ...command: string[]) => sh('ip', 'netns', 'exec', namespace, ...command);

  const stop = async () => {
    await Promise.all(
      servers.map((server) => {
        const gone = new Promise((resolve) => server.once('exit', resolve));
        return server.exitCode === null && server.kill() ? gone : undefined;
      }),
    );
    for (const namespace of namespaces) {
      try {
        // Sessions that a killed test left keep a namespace alive without its name.
        for (const pid of sh('ip', 'netns', 'pids', namespace).split('\n').filter(Boolean))
          process.kill(Number(pid), 'SIGKILL');
        sh('ip', 'netns', 'del', namespace);
      } catch {
        // Not made yet, or gone already.
      }
    }
    for (const side of ['a', 'b']) {
      try {
        sh('ip', 'link', 'del', `swtest${number}${side}`);
      } catch {
        // It went with its namespace.
      }
    }
    fs.rmSync(dir, { recursive: true, force: true });
  };

  try {
    for (const namespace of namespaces) {
      sh('ip', 'netns', 'add', namespace);
      sh('ip', '-n', namespace, 'link', 'set', 'lo', 'up');
    }
    for (const namespace of new Set([middle, far])) {
      sh('ip', '-n', namespace, 'link', 'add', 'br0', 'type', 'bridge');
      sh('ip', '-n', namespace, 'link', 'set', 'br0', 'up');
    }
    if (far !== middle) joinByVxlan(middle, far);
    const hostKey = newKey();
    const userKey = newKey();
    const node = async (side: 'a' | 'b', index: number, bridge: string): Promise<TestNode> => {
      const namespace = `swtest${number}-${side}`;
      sh('ip', '-n', namespace, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', `port-${side}`, 'netns', bridge);
      sh('ip', '-n', bridge, 'link', 'set', `port-${side}`, 'master', 'br0', 'up');
      sh('ip', '-n', namespace, 'link', 'set', 'eth0', 'up');
      sh('ip', '-n', namespace, 'addr', 'add', `192.0.2.1${index}/24`, 'dev', 'eth0');
      sh('ip', '-n', namespace, 'addr', 'add', `2001:db8::1${index}/64`, 'dev', 'eth0', 'nodad');
      sh('ip', 'link', 'add', `swtest${number}${side}`, 'type', 'veth', 'peer', 'name', 'mgmt', 'netns', namespace);
      const base = index * 4;
      sh('ip', 'addr', 'add', `100.127.${number}.${base + 1}/30`, 'dev', `swtest${number}${side}`);
      sh('ip', 'link', 'set', `swtest${number}${side}`, 'up');
      sh('ip', '-n', namespace, 'addr', 'add', `100.127.${number}.${base + 2}/30`, 'dev', 'mgmt');
      sh('ip', '-n', namespace, 'link', 'set', 'mgmt', 'up');
      const host = `100.127.${number}.${base + 2}`;
      servers.push(await startServer(dir, namespace, host, hostKey.privateKey, userKey.publicKey));
      const inventory = () => {
        const inRun = sh('nsenter', '-t', String(servers[index - 1]?.pid), '-m', 'ls', '/run');
        const parts = [['link'], ['addr'], ['route'], ['-6', 'route']].map((what) =>
          sh('ip', '-n', namespace, '-o', ...what, 'show'),
        );
        // Counters and lifetimes move by themselves.
        return [inRun, ...parts].join('\n').replace(/expires \S+| tentative/g, '');
      };
      return {
        namespace,
        target: { host, port: 22, user: 'root', privateKey: userKey.privateKey, hostKey: hostKey.publicKey },
        address: `192.0.2.1${index}`,
        address6: `2001:db8::1${index}`,
        inventory,
      };
    };
    const a = await node('a', 1, middle);
    const b = await node('b', 2, far);
    const fault = (...rules: string[]) => {
      const text = [
        'table bridge fault',
        'delete table bridge fault',
        'table bridge fault { chain forward { type filter hook forward priority 0;',
        ...rules,
        '}',
        '}',
      ];
      execFileSync('ip', ['netns', 'exec', middle, 'nft', '-f', '-'], { input: text.join('\n') });
    };
    return { a, b, middle, fault, run, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The underlay of the nodes is itself an overlay: their bridges are joined by a VXLAN that never fragments. */
function joinByVxlan(middle: string, far: string): void {
  sh('ip', '-n', middle, 'link', 'add', 'wire', 'type', 'veth', 'peer', 'name', 'wire', 'netns', far);
  const ends: [string, string, string][] = [
    [middle, '203.0.113.1', '203.0.113.2'],
    [far, '203.0.113.2', '203.0.113.1'],
  ];
  for (const [namespace, local, remote] of ends) {
    sh('ip', '-n', namespace, 'addr', 'add', `${local}/24`, 'dev', 'wire');
    sh('ip', '-n', namespace, 'link', 'set', 'wire', 'up');
    const vxlan = ['type', 'vxlan', 'id', '7', 'local', local, 'remote', remote, 'dstport', '8472', 'df', 'set'];
    sh('ip', '-n', namespace, 'link', 'add', 'overlay', ...vxlan);
    sh('ip', '-n', namespace, 'link', 'set', 'overlay', 'mtu', '1500', 'master', 'br0', 'up');
  }
}

async function startServer(
  dir: string,
  namespace: string,
  address: string,
  hostKey: string,
  userKey: string,
): Promise<ChildProcess> {
  const write = (name: string, text: string) => {
    const file = path.join(dir, `${namespace}-${name}`);
    fs.writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const config = write(
    'sshd_config',
    [
      `ListenAddress ${address}`,
      `HostKey ${write('host', hostKey)}`,
      `AuthorizedKeysFile ${write('authorized', `${userKey}\n`)}`,
      `PidFile ${path.join(dir, `${namespace}-pid`)}`,
      'StrictModes no',
      'UsePAM no',
      'PermitRootLogin yes',
      '',
    ].join('\n'),
  );
  // What the log-in shell of the user who runs the tests does at its start is none of the tests' business.
  const quiet = 'for file in ~/.bashrc ~/.profile; do [ ! -e $file ] || mount --bind /dev/null $file; done';
  const script = `mount -t tmpfs tmpfs /run && mkdir /run/sshd && ${quiet} && exec /usr/sbin/sshd -D -e -f ${config}`;
  const child = spawn('ip', ['netns', 'exec', namespace, 'unshare', '-m', 'sh', '-c', script], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr?.on('data', (data) => {
      log += data;
      if (log.includes('Server listening')) resolve();
    });
    child.once('exit', (code) => reject(new Error(`sshd ended with ${code}: ${log}`)));
  });
  return child;
}
