import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { CLUSTER_CORE } from '../../components/cluster/node/core';
import { ETCD_MEMBER } from '../../components/cluster/node/etcdMember';
import { RESET, TAKE_LEAVE } from '../../components/cluster/node/leave';
import { NODE_OBJECT } from '../../components/cluster/node/nodeObject';
import { CORE } from '../../components/nodes/prep/core';
import { freePort, program as built, until } from '../plugins/kubernetes/apiServer';

/** The scripts of a leave on a folder of their own; kubectl and kubeadm are stand-ins, etcd is real. */
let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'sitewright-leave-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const path = (name: string) => join(folder, name);
const calls = () => (existsSync(path('calls')) ? readFileSync(path('calls'), 'utf8').split('\n').slice(0, -1) : []);
function file(name: string, text = ''): string {
  mkdirSync(dirname(path(name)), { recursive: true });
  writeFileSync(path(name), text);
  return path(name);
}
function program(name: string, body = '') {
  chmodSync(file(`bin/${name}`, `#!/bin/bash\necho "${name} $*" >>${path('calls')}\n${body}\n`), 0o755);
}

function run(library: string, script: string) {
  const local = `${CORE}${CLUSTER_CORE}${library}`.replace(
    /\/(etc\/kubernetes|etc\/systemd|var\/lib|run\/sitewright)\b/g,
    `${folder}$&`,
  );
  const head = `set -u; export LC_ALL=C PATH=${path('bin')}:$PATH; CHANGES=0 LIMIT_SECONDS=3 DRAIN_SECONDS=7
AUDIT_LOG=${path('audit.log')} RUN_DIR=${path('run')} STATE_FOLDER=${path('state')} NODE=cp3 CRI_SOCKET=s UNITS=(vip.service none.service)
ETCD_FOLDER=${path('var/lib/etcd')} LEAVING_ANNOTATION=mark PEER_URLS=(${urls.peer.cp3 ?? ''})\n`;
  mkdirSync(path('run'), { recursive: true });
  return spawnSync('bash', ['-s'], { input: `${head}${local}\n${script}`, encoding: 'utf8' });
}

const urls: { peer: Record<string, string>; client: Record<string, string> } = { peer: {}, client: {} };

describe('a drain', () => {
  const drain = (answers: string) => {
    program('kubectl', `case "$*" in ${answers} esac`);
    return run(`${NODE_OBJECT}${TAKE_LEAVE}`, 'drain_node() { echo "drained in $1"; }; ACTION=drain; main');
  };

  test('marks a Node that the kit cordons', () => {
    expect(drain(`*' -o name') echo node/cp3 ;;`).stdout).toBe('drained in 7\n');
    expect(calls().some((call) => call.includes('annotate node cp3 --overwrite mark=cordoned'))).toBe(true);
  });

  test('leaves the mark out where somebody else has cordoned it', () => {
    drain(`*' -o name') echo node/cp3 ;; *unschedulable*) printf true ;;`);
    expect(calls().some((call) => call.includes('annotate'))).toBe(false);
  });

  test('is over for a Node that is gone, and refused by an API that does not say', () => {
    expect(drain('')).toMatchObject({ status: 0, stdout: '' });
    const { status, stderr } = drain(`*' -o name') echo 'no route to host' >&2; exit 1 ;;`);
    expect(status).toBe(1);
    expect(stderr).toContain('does not say whether it knows cp3');
  });
});

test('a Node that is to stay after all is schedulable again, and any other is left as it is', () => {
  const stays = (annotations: string) => {
    rmSync(path('calls'), { force: true });
    program('kubectl', `[[ $* != *annotations* ]] || echo '${annotations}'`);
    run(NODE_OBJECT, 'stays');
    return calls().map((call) => call.split(' ').slice(5).join(' '));
  };
  expect(stays('{"mark":"cordoned"}').slice(1)).toEqual(['uncordon cp3', 'annotate node cp3 mark-']);
  expect(stays('{"remark":"x"}')).toHaveLength(1);
});

describe('the members of a real etcd', () => {
  const NAMES = ['cp1', 'cp2', 'cp3'];
  const processes: Record<string, ChildProcess> = {};
  let data: string;
  const etcdctl = (...words: string[]) =>
    execFileSync(built('etcd', 'etcdctl'), ['--endpoints', urls.client.cp1!, ...words], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  const done = (...words: string[]) => {
    try {
      etcdctl(...words);
      return true;
    } catch {
      return false;
    }
  };
  const members = () =>
    etcdctl('member', 'list')
      .trim()
      .split('\n')
      .map((line) => line.split(', ')[2])
      .sort();

  beforeAll(async () => {
    data = mkdtempSync(join(tmpdir(), 'sitewright-leave-etcd-'));
    for (const name of [...NAMES, 'cp4']) {
      urls.peer[name] = `http://127.0.0.1:${await freePort()}`;
      urls.client[name] = `http://127.0.0.1:${await freePort()}`;
    }
    for (const name of NAMES) start(name);
    await until('etcd', () => done('endpoint', 'health'));
  });
  beforeEach(() => {
    file('etc/kubernetes/manifests/etcd.yaml', `    - --listen-client-urls=${urls.client.cp1}\n`);
  });
  afterAll(() => {
    for (const child of Object.values(processes)) child.kill('SIGKILL');
    rmSync(data, { recursive: true, force: true });
    urls.peer = {};
  });

  function start(name: string): void {
    const initial = NAMES.map((one) => `${one}=${urls.peer[one]}`).join(',');
    processes[name] = spawn(
      built('etcd', 'etcd'),
      [
        ...['--name', name, '--data-dir', join(data, name), '--unsafe-no-fsync', '--initial-cluster', initial],
        ...['--initial-advertise-peer-urls', urls.peer[name]!, '--listen-peer-urls', urls.peer[name]!],
        ...['--advertise-client-urls', urls.client[name]!, '--listen-client-urls', urls.client[name]!],
      ],
      { stdio: 'ignore' },
    );
  }

  /** As on cp1; the address and the certificates of a node are those of the test. */
  const removeMember = (peers = urls.peer.cp3!) => {
    program('etcdctl', `exec ${built('etcd', 'etcdctl')} --endpoints ${urls.client.cp1} "\${@:13}"`);
    return run(`${ETCD_MEMBER}${TAKE_LEAVE}`, `LIMIT_SECONDS=120; PEER_URLS=(${peers}); ACTION=remove-member; main`);
  };

  test('one that is dead goes, and is gone for good', () => {
    processes.cp3!.kill('SIGKILL');
    const { status, stderr } = removeMember();
    expect({ status, stderr }).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('etcd goes on without cp3'),
    });
    expect(members()).toEqual(['cp1', 'cp2']);
    const again = removeMember();
    expect({ status: again.status, stderr: again.stderr }).toEqual({ status: 0, stderr: 'step: nothing to change\n' });
  });

  test('one that never started is known by its place', async () => {
    // etcd takes no member in for some seconds after it lost one.
    await until('etcd takes a member in', () =>
      done('member', 'add', 'cp3', '--learner', '--peer-urls', urls.peer.cp4!),
    );
    expect(members()).toEqual(['', 'cp1', 'cp2']);
    expect(removeMember(urls.peer.cp4!).status).toBe(0);
    expect(members()).toEqual(['cp1', 'cp2']);
  });

  test('etcd that has lost its majority is refused with its own words', () => {
    processes.cp2!.kill('SIGKILL');
    program(
      'etcdctl',
      `exec ${built('etcd', 'etcdctl')} --endpoints ${urls.client.cp1} "\${@:13}" --command-timeout 1s`,
    );
    const { status, stderr } = run(`${ETCD_MEMBER}${TAKE_LEAVE}`, 'NODE=cp2; ACTION=remove-member; main');
    expect(status).toBe(1);
    expect(stderr).toMatch(/error: etcd .*(not answer|not let cp2 go): .*Error: /s);
  });
});

describe('the node itself', () => {
  beforeEach(() =>
    program('kubeadm', `rm -rf ${path('etc/kubernetes/manifests')} ${path('var/lib/kubelet/config.yaml')}`),
  );
  const reset = () => run(RESET.replace('lock "$LIMIT_SECONDS"', ':'), 'main');

  test('has nothing left to register with; what others installed stays', () => {
    for (const name of ['kubelet.conf', 'admin.conf', 'manifests/etcd.yaml', 'pki/ca.key'])
      file(`etc/kubernetes/${name}`);
    file('var/lib/kubelet/config.yaml');
    file('etc/systemd/system/vip.service');
    program('systemctl');
    file('var/lib/etcd/member/snap/db');
    file('var/lib/etcd/lost+found/x');
    file('state/initialised');
    const { status, stderr } = reset();
    expect({ status, stderr }).toMatchObject({ status: 0 });
    for (const name of ['etc/kubernetes', 'var/lib/etcd/member', 'var/lib/kubelet/config.yaml', 'state'])
      expect([name, existsSync(path(name))]).toEqual([name, false]);
    expect(existsSync(path('var/lib/etcd/lost+found/x'))).toBe(true);
    expect(calls()).toEqual([
      'systemctl --quiet disable --now vip.service',
      'kubeadm reset --force --cri-socket s --skip-phases remove-etcd-member',
    ]);
  });

  test('once more finds nothing to do', () => {
    expect(reset()).toMatchObject({ status: 0, stderr: 'step: nothing to change\n' });
    expect(calls()).toEqual([]);
  });

  test('a reset that fails keeps the mark of the cluster, and begins again', () => {
    program('kubeadm', 'echo no >&2; exit 1');
    file('etc/kubernetes/kubelet.conf');
    file('state/initialised');
    expect(reset().stderr).toContain('kubeadm reset failed');
    expect(existsSync(path('state/initialised'))).toBe(true);
  });
});
