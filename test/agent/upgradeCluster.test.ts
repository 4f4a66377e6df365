import { upgradeCluster, type UpgradeClusterRequest } from '../../components/agent/upgradeCluster';
import { SshSession, type ExecOptions, type SshTarget } from '../../components/ssh/session';
import { upgrade } from '../cluster/fixtures';

/** The scripts have tests of their own: here it counts which one runs where, and in which order. */

type Answer = { code?: number; stdout?: string; stderr?: string[] };
const OLD = ['kubelet 1.36.0'];
type State = {
  versions?: string[];
  mark?: string;
  member?: boolean;
  initialised?: boolean;
  etcd?: string;
  etcdData?: boolean;
};
const WANTED = '1.36.1';
const ran: string[] = [];
/** Scripts that have begun and not ended, by node: what runs at the same time. */
let working: Set<string>;
let mostWorking: number;

/** What a script is, by its first line and its values. */
function nameOf(host: string, script: string): string {
  const value = (name: string) => new RegExp(`^${name}='(.*)'$`, 'm').exec(script)?.[1];
  const [action, node] = [value('ACTION'), value('NODE')];
  if (action === undefined) return `${host}: runtime`;
  const more = [
    node === host ? '' : ` of ${node}`,
    value('AFTERWARDS') === 'stay' ? ', stays cordoned' : '',
    /^BUSY=\((.+)\)$/m.exec(script)?.[1]?.replace(/^/, ', busy ') ?? '',
  ];
  return `${host}: ${action}${more.join('')}`;
}

function site(states: Record<string, State>, answers: Record<string, Answer> = {}, nodes = Object.keys(states)) {
  const stateOf = (state: State) => {
    const none = { versions: [`kubelet ${WANTED}`], mark: '', member: true, initialised: false };
    return JSON.stringify({ ...none, etcd: '', etcdData: false, ...state });
  };
  const survey = nodes.map((name) => {
    const version = states[name]!.versions?.[0]?.split(' ')[1] ?? WANTED;
    return `${name}\tv${version}\tTrue\t\n`;
  });
  jest.spyOn(SshSession, 'connect').mockImplementation(async ({ host }: SshTarget) => {
    const exec = async (_command: string, opts: ExecOptions) => {
      const name = nameOf(host, String(opts.stdin));
      ran.push(name);
      if (name.endsWith(': prepare')) working.add(host);
      mostWorking = Math.max(mostWorking, working.size);
      await new Promise((next) => setImmediate(next));
      if (name.endsWith(': finish_upgrade')) working.delete(host);
      const usual = name.endsWith(': look') ? stateOf(states[host]!) : name.endsWith(': survey') ? survey.join('') : '';
      const { code = 0, stdout = usual, stderr = [] } = answers[name] ?? {};
      stderr.forEach((line) => opts.onStderrLine?.(line));
      return { code, stdout, stderr: stderr.join('\n') };
    };
    return { exec, end: () => undefined, where: host } as unknown as SshSession;
  });
}

const target = (host: string): SshTarget => ({ host, port: 22, user: 'root', privateKey: 'x', hostKey: 'x' });
const request = (names: string[], maxUnavailable = 1): UpgradeClusterRequest => ({
  kind: 'upgrade-cluster',
  name: 'oslo',
  maxUnavailable,
  nodes: names.map((name) => ({
    target: target(name),
    settings: { ...(name === 'cp1' ? upgrade.cp1 : upgrade.w1), node: name, ...partOf(name) },
  })),
});
const partOf = (name: string) => (/^cp[2-9]/.test(name) ? { part: 'join-control-plane' as const } : {});
const run = (names: string[], maxUnavailable = 1) => upgradeCluster(request(names, maxUnavailable), {});
const after = (mark: string) => ran.slice(ran.indexOf(mark) + 1);

const LEAD = { versions: [...OLD, 'kube-apiserver 1.36.0'], initialised: true };

beforeEach(() => {
  ran.length = 0;
  working = new Set();
  mostWorking = 0;
});
afterEach(() => jest.restoreAllMocks());

test('a site without a cluster is only asked whether it has one', async () => {
  site({ cp1: { member: false, versions: [] }, w1: { member: false, versions: [] } });
  expect(await run(['cp1', 'w1'])).toEqual({ kind: 'upgrade', moved: [] });
  expect(ran.sort()).toEqual(['cp1: look', 'w1: look']);
});

describe('a first control-plane machine that is no member', () => {
  const NEW = { member: false, versions: [] };
  const begins = (states: Record<string, State>) => {
    site(states);
    return run(Object.keys(states));
  };

  test('does not begin a second cluster beside other control-plane nodes, also with data of its own', async () => {
    for (const etcdData of [false, true]) {
      await expect(begins({ cp1: { ...NEW, etcdData }, cp2: { initialised: true }, cp3: NEW, w1: {} })).rejects.toThrow(
        /^cp1 is no member .* and cp2, w1 are members: .* Put cp2 before it in machines\.nodes: .*\nNothing of the cluster was changed\.$/,
      );
    }
  });

  test('begins no empty cluster under the workers of one whose data are gone', async () => {
    await expect(begins({ cp1: NEW, w1: {}, w2: NEW })).rejects.toThrow(
      /^w1 are members of a cluster whose data are not on cp1.* 'kubeadm reset --force'.*'sitewright etcd restore'/,
    );
    expect(await begins({ cp1: { ...NEW, etcdData: true }, w1: {} })).toEqual({ kind: 'upgrade', moved: [] });
  });
});

test('an older etcd is refused before anything changes, with and without another Kubernetes', async () => {
  for (const versions of [[`kubelet ${WANTED}`], OLD]) {
    ran.length = 0;
    site({ cp1: { initialised: true, versions, etcd: '3.6.8' }, w1: {} });
    await expect(run(['cp1', 'w1'])).rejects.toThrow(
      /^cp1: the bundle source-1\.36\.1 has etcd 3\.6\.5, and 3\.6\.8 runs: .*\nNothing of the cluster was changed\.$/,
    );
    expect(ran.sort()).toEqual(['cp1: look', 'w1: look']);
  }
  site({ cp1: { initialised: true, etcd: '3.6.4' } });
  expect((await run(['cp1'])).moved).toEqual([]);
});

test('where every node runs the version the API is not asked', async () => {
  site({ cp1: { initialised: true }, w1: {}, w2: { member: false, versions: [] } });
  expect((await run(['cp1', 'w1', 'w2'])).moved).toEqual([]);
  expect(ran.sort()).toEqual(['cp1: look', 'w1: look', 'w2: look']);
});

test('the control plane goes first, after a snapshot; each node is let in and the cluster healthy before the next', async () => {
  site({ w1: { versions: OLD }, cp1: LEAD, cp2: { versions: OLD } });
  expect((await run(['w1', 'cp1', 'cp2'])).moved).toEqual(['cp1', 'cp2', 'w1']);
  expect(after('cp1: survey')).toEqual([
    'cp1: prepare',
    'cp1: snapshot',
    'cp1: move',
    'cp1: drain',
    'cp1: runtime',
    'cp1: admit',
    'cp1: finish_upgrade',
    'cp1: gate',
    'cp2: prepare',
    'cp2: move',
    'cp1: drain of cp2',
    'cp2: runtime',
    'cp1: admit of cp2',
    'cp2: finish_upgrade',
    'cp1: gate of cp2',
    'w1: prepare',
    'cp1: drain of w1',
    'w1: move',
    'w1: runtime',
    'cp1: admit of w1',
    'w1: finish_upgrade',
    'cp1: gate of w1',
  ]);
});

test('workers go as many at a time as may be, and those under way count for no gate', async () => {
  const workers = ['w1', 'w2', 'w3', 'w4'];
  site({ cp1: { initialised: true }, ...Object.fromEntries(workers.map((name) => [name, { versions: OLD }])) });
  expect((await run(['cp1', ...workers], 2)).moved.sort()).toEqual(workers);
  expect(mostWorking).toBe(2);
  expect(ran).not.toContain('cp1: snapshot');
  expect(ran.filter((name) => /gate of .*, busy 'w/.test(name)).length).toBeGreaterThan(0);
});

test('a failure says who is done and who is not, and no further node begins', async () => {
  site(
    { cp1: LEAD, w1: { versions: OLD }, w2: { versions: OLD } },
    { 'cp1: drain of w1': { code: 1, stderr: ['problem: pod shop/web-0', 'error: w1 could not be drained'] } },
  );
  await expect(run(['cp1', 'w1', 'w2'])).rejects.toThrow(
    'w1: problem: pod shop/web-0\nerror: w1 could not be drained\n' +
      `The upgrade to ${WANTED} stopped: cp1 run it, w1, w2 not yet. The next 'up' goes on with w1`,
  );
  expect(ran.at(-1)).toBe('cp1: drain of w1');
});

test('a worker that fails keeps others from beginning, and one under way is brought to its end', async () => {
  const workers = ['w1', 'w2', 'w3'];
  site(
    { cp1: { initialised: true }, ...Object.fromEntries(workers.map((name) => [name, { versions: OLD }])) },
    { 'w1: prepare': { code: 1, stderr: ['error: no room'] } },
  );
  await expect(run(['cp1', ...workers], 2)).rejects.toThrow(/w1: error: no room\n.*cp1, w2 run it, w1, w3 not yet/);
  expect(ran).toContain('w2: finish_upgrade');
  expect(ran).not.toContain('w3: prepare');
});

describe('a node that an earlier run left', () => {
  test('drained and with the old programs goes the whole way, and stays cordoned where it was', async () => {
    site({ cp1: { initialised: true }, w1: { versions: OLD, mark: `${WANTED} stay` } });
    await run(['cp1', 'w1']);
    expect(after('cp1: survey')).toEqual([
      'w1: prepare, stays cordoned',
      'cp1: drain of w1, stays cordoned',
      'w1: move, stays cordoned',
      'w1: runtime',
      'cp1: admit of w1, stays cordoned',
      'w1: finish_upgrade, stays cordoned',
      'cp1: gate of w1, stays cordoned',
    ]);
  });

  test('with the new programs is not drained again', async () => {
    site({ cp1: { initialised: true }, w1: { mark: `${WANTED} uncordon` } });
    expect((await run(['cp1', 'w1'])).moved).toEqual(['w1']);
    expect(ran).not.toContain('cp1: drain of w1');
    expect(ran).toContain('cp1: admit of w1');
  });
});

test.each([
  ['a way back', '1.36.3', /^w1: kubelet: kubernetes\.version 1\.36\.1 is older than the 1\.36\.3 that runs/],
  ['two minors', '1.34.9', /^w1: kubelet: kubernetes\.version 1\.36\.1 is more than one minor away/],
])('%s is refused before anything changes', async (_, version, message) => {
  site({ cp1: LEAD, w1: { versions: [`kubelet ${version}`] } });
  await expect(run(['cp1', 'w1'])).rejects.toThrow(message);
  expect(ran).toEqual(['cp1: look', 'w1: look']);
});

test('a node that is not Ready is refused, all of them at once', async () => {
  const sick = { stdout: 'cp1\tv1.36.0\tTrue\t\nw1\tv1.36.0\tUnknown\t\n' };
  site({ cp1: LEAD, w1: { versions: OLD }, w2: { versions: OLD } }, { 'cp1: survey': sick });
  await expect(run(['cp1', 'w1', 'w2'])).rejects.toThrow(
    /^w1 is not Ready.*\nw2 is not Ready.*\nNothing of the cluster/,
  );
  expect(ran.at(-1)).toBe('cp1: survey');
});

test('the pods of the only node stay where they are', async () => {
  site({ cp1: LEAD });
  expect((await run(['cp1'])).moved).toEqual(['cp1']);
  expect(ran).not.toContain('cp1: drain');
});
