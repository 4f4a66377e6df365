import { leaveNode, type LeaveNodeRequest } from '../../components/agent/leaveNode';
import { SshSession, type ExecOptions, type SshTarget } from '../../components/ssh/session';

/** The scripts have tests of their own: here it counts which one runs where, in which order, and what stops the rest. */
const ran: string[] = [];

function nameOf(host: string, script: string): string {
  return `${host}: ${/^ACTION='(.*)'$/m.exec(script)?.[1] ?? 'reset'}`;
}

/** Hosts of `gone` do not answer; a script of `failing` ends with its error. */
function hosts({ gone = [] as string[], failing = '' } = {}) {
  jest.spyOn(SshSession, 'connect').mockImplementation(async ({ host }: SshTarget) => {
    if (gone.includes(host)) throw new Error(`${host} does not answer`);
    const exec = async (_: string, opts: ExecOptions) => {
      const name = nameOf(host, String(opts.stdin));
      ran.push(name);
      if (name === failing) opts.onStderrLine?.('error: held by a PodDisruptionBudget (shop/web)');
      return { code: name === failing ? 1 : 0, stdout: '', stderr: '' };
    };
    return { exec, end: () => ran.push(`${host}: end`) } as unknown as SshSession;
  });
}

const target = (host: string): SshTarget => ({ host, port: 22, user: 'root', privateKey: 'x', hostKey: 'x' });
const leave = (over: Partial<LeaveNodeRequest> = {}) =>
  leaveNode(
    {
      kind: 'leave-node',
      name: 'n1',
      target: target('n1'),
      isControlPlane: false,
      controlPlanes: ['cp1', 'cp2'].map((name) => ({ name, target: target(name) })),
      settings: { node: 'n1', addresses: ['192.0.2.19'], drainLimitSeconds: 1, limitSeconds: 1 },
      ...over,
    },
    {},
  );

beforeEach(() => {
  ran.length = 0;
});
afterEach(() => jest.restoreAllMocks());

test('a worker gives up its pods, then its place, then its Node', async () => {
  hosts();
  expect(await leave()).toEqual({ kind: 'leave', name: 'n1' });
  expect(ran).toEqual(['cp1: drain', 'n1: reset', 'cp1: forget', 'cp1: end', 'n1: end']);
});

test('etcd goes on without a member before its data goes', async () => {
  hosts();
  await leave({ isControlPlane: true });
  expect(ran.slice(0, 4)).toEqual(['cp1: drain', 'cp1: remove-member', 'n1: reset', 'cp1: forget']);
});

test('with a lost machine nobody speaks', async () => {
  hosts({ gone: ['n1'] });
  await leave({ target: null, isControlPlane: true });
  expect(ran).toEqual(['cp1: remove-member', 'cp1: forget', 'cp1: end']);
});

test('a pod that is held stops all of it', async () => {
  hosts({ failing: 'cp1: drain' });
  await expect(leave({ isControlPlane: true })).rejects.toThrow('n1: error: held by a PodDisruptionBudget (shop/web)');
  expect(ran).toEqual(['cp1: drain', 'cp1: end', 'n1: end']);
});

test('a machine that does not answer cannot leave: nothing begins, and the way out is told', async () => {
  hosts({ gone: ['n1'] });
  await expect(leave()).rejects.toThrow(/^n1 does not answer\n.*write state: dead$/);
  expect(ran).toEqual([]);
});

test('any control-plane node that answers will do, and without one all of them are told', async () => {
  hosts({ gone: ['cp1'] });
  await leave();
  expect(ran[0]).toBe('cp2: drain');
  hosts({ gone: ['cp1', 'cp2'] });
  await expect(leave()).rejects.toThrow('can be reached\ncp1 does not answer\ncp2 does not answer');
});
