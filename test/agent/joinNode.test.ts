import { joinNode } from '../../components/agent/joinNode';
import { joinSettings } from '../../components/cluster/nodeScripts';
import { SshSession, type ExecOptions, type SshTarget } from '../../components/ssh/session';
import { cluster, pki, workerNode } from '../cluster/fixtures';

/** The scripts have tests of their own: here it counts which one runs where, and what becomes of the token. */
const TOKEN = 'abcdef.0123456789abcdef';
type Answer = { code?: number; stdout?: string; stderr?: string[] };
const ran: string[] = [];
/** Machines that do not answer, and control-plane nodes that are not in the cluster yet. */
let unreachable: string[] = [];
let strangers: string[] = [];

/** What a script is, by its first line and its values. */
function nameOf(host: string, script: string): string {
  const action = /^ACTION='(.*)'$/m.exec(script)?.[1];
  const token = /^TOKEN='(.*)'$/m.exec(script)?.[1];
  return `${host}: ${action ?? (token === '' ? 'look' : `join with ${token}`)}`;
}

function answers(table: Record<string, Answer>) {
  jest.spyOn(SshSession, 'connect').mockImplementation(async ({ host }: SshTarget) => {
    if (unreachable.includes(host)) throw new Error(`${host} does not answer`);
    const exec = async (command: string, opts: ExecOptions) => {
      if (command.startsWith('test -e')) return { code: strangers.includes(host) ? 1 : 0, stdout: '', stderr: '' };
      expect(command).toBe('exec bash -s');
      const name = nameOf(host, String(opts.stdin));
      ran.push(name);
      const { code = 0, stdout = '', stderr = [] } = table[name] ?? {};
      stderr.forEach((line) => opts.onStderrLine?.(line));
      return { code, stdout, stderr: stderr.join('\n') };
    };
    return { exec, end: () => ran.push(`${host}: end`) } as unknown as SshSession;
  });
}

const target = (host: string): SshTarget => ({ host, port: 22, user: 'root', privateKey: 'x', hostKey: 'x' });
const request = {
  kind: 'join-node' as const,
  name: 'w1',
  target: target('w1'),
  controlPlanes: ['cp1', 'cp2', 'cp3'].map(target),
  settings: joinSettings(
    { node: 'w1', cluster, nodeCluster: workerNode, limitSeconds: 1 },
    pki.ca.certificate,
    'sha256:00',
  ),
};
const steps: string[] = [];
const join = () => joinNode(request, { onProgress: (step) => steps.push(step) });

beforeEach(() => {
  ran.length = 0;
  [unreachable, strangers] = [[], []];
  steps.length = 0;
});
afterEach(() => jest.restoreAllMocks());

test('a stranger joins with a token of its own, which is gone afterwards', async () => {
  answers({
    'w1: look': { stdout: '{"membership": "stranger"}\n' },
    'cp1: invite': { stdout: `${TOKEN}\n` },
    [`w1: join with ${TOKEN}`]: { stderr: ['step: kubeadm join', 'noise'] },
  });
  expect(await join()).toEqual({ kind: 'join', name: 'w1' });
  expect(ran).toEqual([
    'w1: look',
    'cp1: invite',
    `w1: join with ${TOKEN}`,
    'cp1: dismiss',
    'cp1: admit',
    'cp1: end',
    'w1: end',
  ]);
  expect(steps).toEqual(['w1: kubeadm join']);
});

test('a control-plane node whose etcd has lost its data is told to who lets it in', async () => {
  const invitations: string[] = [];
  for (const etcd of ['empty', 'kept']) {
    answers({ 'w1: look': { stdout: `{"membership": "stranger", "etcd": "${etcd}"}\n` } });
    const connect = jest.mocked(SshSession.connect).getMockImplementation()!;
    jest.spyOn(SshSession, 'connect').mockImplementation(async (...args) => {
      const session = await connect(...args);
      const exec = session.exec.bind(session);
      session.exec = (command, opts) => {
        const lost = /^LOST_MEMBER='(.*)'$/m.exec(String(opts?.stdin))?.[1];
        if (/^ACTION='invite'$/m.test(String(opts?.stdin))) invitations.push(`${etcd}: ${lost}`);
        return exec(command, opts);
      };
      return session;
    });
    await join();
    jest.restoreAllMocks();
  }
  expect(invitations).toEqual(['empty: w1', 'kept: ']);
});

test('for a member no token is made', async () => {
  answers({ 'w1: look': { stdout: '{"membership": "member"}\n' } });
  await join();
  expect(ran).toEqual(['w1: look', 'cp1: admit', 'cp1: end', 'w1: end']);
});

test('a join that fails leaves no token, and says what the node said', async () => {
  answers({
    'w1: look': { stdout: '{"membership": "stranger"}\n' },
    'cp1: invite': { stdout: `${TOKEN}\n` },
    [`w1: join with ${TOKEN}`]: { code: 1, stderr: ['step: kubeadm join', 'error: kubeadm join failed'] },
  });
  await expect(join()).rejects.toThrow('w1: error: kubeadm join failed');
  expect(ran.slice(3)).toEqual(['cp1: dismiss', 'cp1: end', 'w1: end']);
});

test('a token that cannot be deleted, because the control plane is gone, does not hide why the join failed', async () => {
  answers({
    'w1: look': { stdout: '{"membership": "stranger"}\n' },
    'cp1: invite': { stdout: `${TOKEN}\n` },
    [`w1: join with ${TOKEN}`]: { code: 1, stderr: ['error: the API is gone'] },
    'cp1: dismiss': { code: 255 },
  });
  await expect(join()).rejects.toThrow('error: the API is gone');
});

test('any control-plane node that is in the cluster can let a node in', async () => {
  [unreachable, strangers] = [['cp1'], ['cp2']];
  answers({ 'w1: look': { stdout: '{"membership": "stranger"}\n' }, 'cp3: invite': { stdout: `${TOKEN}\n` } });
  await join();
  expect(ran).toContain('cp3: invite');
  expect(ran).toContain('cp2: end');
  expect(ran.filter((each) => each.startsWith('cp1'))).toEqual([]);
  expect(steps).toEqual([
    'w1: cp1 does not answer; asking the next one',
    'w1: cp2 is not in the cluster yet; asking the next one',
  ]);
});

test('without one, every one of them is told', async () => {
  [unreachable, strangers] = [['cp1', 'cp3'], ['cp2']];
  answers({});
  await expect(join()).rejects.toThrow(
    'w1: no control-plane node can let it in:\n  cp1 does not answer\n  cp2 is not in the cluster yet\n  cp3 does not answer',
  );
});
