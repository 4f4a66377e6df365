import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { BUNDLE } from '../../components/cluster/node/bundle';
import { CLUSTER_CORE } from '../../components/cluster/node/core';
import { DRAIN } from '../../components/cluster/node/drain';
import { NODE_OBJECT } from '../../components/cluster/node/nodeObject';
import { RUNTIME } from '../../components/cluster/node/runtime';
import { KUBELET_UPDATE } from '../../components/cluster/node/updates';
import { ETCD_MEMBER } from '../../components/cluster/node/etcdMember';
import { UPGRADE_LEAD, UPGRADE_NODE } from '../../components/cluster/node/upgrade';
import { CORE } from '../../components/nodes/prep/core';

/** The functions of an upgrade, on files of a folder of their own and with stand-ins for the programs of a node. */
let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'sitewright-upgrade-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const path = (name: string) => join(folder, name);
const calls = () => (existsSync(path('calls')) ? readFileSync(path('calls'), 'utf8').split('\n').slice(0, -1) : []);
function file(name: string, text: string): string {
  mkdirSync(dirname(path(name)), { recursive: true });
  writeFileSync(path(name), text);
  return path(name);
}
/** A program that notes how it was called. */
function program(name: string, body = '') {
  chmodSync(file(`bin/${name}`, `#!/bin/bash\necho "${name} $*" >>${path('calls')}\n${body}\n`), 0o755);
}
const MARK = 'var/lib/sitewright/cluster/upgrading';
const node = `${BUNDLE}${KUBELET_UPDATE}static_pod_files() { :; }\n${UPGRADE_NODE}`;
const lead = `${NODE_OBJECT}${DRAIN}${ETCD_MEMBER}${UPGRADE_LEAD}`;

function run(library: string, script: string) {
  const local = `${CORE}${CLUSTER_CORE}${library}`.replace(/\/(etc\/kubernetes|var\/lib)\b/g, `${folder}$&`);
  const head = `set -u; export LC_ALL=C PATH=${path('bin')}:$PATH; CHANGES=0 LIMIT_SECONDS=0
AUDIT_LOG=${path('audit.log')} RUN_DIR=${path('run')} STATE_FOLDER=${path('var/lib/sitewright/cluster')} NODE=w1
PROGRAM_FOLDER=${path('bin')} ETCD_FOLDER=${path('var/lib/etcd')} ETCD_LABEL=sitewright-etcd KUBERNETES_VERSION=1.36.3 AFTERWARDS=uncordon PROGRAMS=() IMAGES=() KUBELET_CONFIG_SUM=planned
UPGRADE_CONFIG=upgrade KUBEADM_FILE=${path('kubeadm.yaml')} KUBEADM_CONFIG=cluster SNAPSHOT_FOLDER=${path('snapshots')}\n`;
  mkdirSync(path('var/lib/sitewright/cluster'), { recursive: true });
  return spawnSync('bash', ['-s'], { input: `${head}${local}\n${script}`, encoding: 'utf8' });
}

describe('what a node says of itself', () => {
  const look = () => JSON.parse(run(node, 'look').stdout) as unknown;

  test('is nothing on a machine without a cluster', () => {
    expect(look()).toEqual({ member: false, initialised: false, mark: '', versions: [], etcd: '', etcdData: false });
  });

  test('is every program and static pod of Kubernetes, and whether a run left it on its way', () => {
    program('kubelet', 'echo "Kubernetes v1.36.1"');
    file('etc/kubernetes/kubelet.conf', 'x');
    file('var/lib/kubelet/config.yaml', 'x');
    file('var/lib/sitewright/cluster/initialised', '1.36.1\n');
    file(MARK, '1.36.3 stay');
    file('etc/kubernetes/manifests/etcd.yaml', '    image: repo/etcd:3.6.8-0\n');
    file('etc/kubernetes/manifests/kube-apiserver.yaml', '    image: repo:5000/kube-apiserver:v1.36.3\n    x: y\n');
    expect(look()).toEqual({
      member: true,
      initialised: true,
      mark: '1.36.3 stay',
      versions: ['kubelet 1.36.1', 'kube-apiserver 1.36.3'],
      etcd: '3.6.8',
      etcdData: false,
    });
  });

  test('is whether it has data of an etcd, or a disk with the label of one', () => {
    program('blkid', 'echo /dev/vdc');
    expect(look()).toMatchObject({ etcdData: true });
    expect(calls()).toEqual(['blkid -L sitewright-etcd']);
    program('blkid', 'exit 2');
    expect(look()).toMatchObject({ etcdData: false });
    mkdirSync(path('var/lib/etcd/member'), { recursive: true });
    expect(look()).toMatchObject({ etcdData: true });
  });
});

describe('the mark of a node', () => {
  test('is there before anything else is done, and goes when the cluster has seen the node', () => {
    const { stderr } = run(`${node}programs_apply() { false || refuse 'no room'; }\n`, 'prepare');
    expect(stderr).toContain('no room');
    expect(readFileSync(path(MARK), 'utf8')).toBe('1.36.3 uncordon');
    run(`${node}kubelet_healthy() { :; }\n`, 'finish_upgrade');
    expect(existsSync(path(MARK))).toBe(false);
  });

  test('lets the programs of its version in, and of no other', () => {
    program('kubelet', 'echo "Kubernetes v1.36.1"');
    file('etc/kubernetes/kubelet.conf', 'x');
    const refused = () => run(RUNTIME, 'refuse_other_version').stderr;
    expect(refused()).toContain('this node runs Kubernetes 1.36.1 and the site file says 1.36.3');
    file(MARK, '1.36.2 uncordon');
    expect(refused()).toContain('this node runs Kubernetes 1.36.1');
    file(MARK, '1.36.3 uncordon');
    expect(refused()).toBe('');
  });
});

describe('kubeadm', () => {
  beforeEach(() => {
    program(
      'kubeadm',
      `cp ${path('kubeadm.yaml')} ${path('seen')} 2>/dev/null; echo new >${path('var/lib/kubelet/config.yaml')}`,
    );
    file('var/lib/kubelet/config.yaml', 'old\n');
  });
  const moved = (part: string) => {
    run(node, `PART=${part}; move`);
    return calls().map((call) => call.replaceAll(folder, ''));
  };
  const CONFIG = '/var/lib/sitewright/cluster/upgrade.yaml';

  test('moves the first control-plane node with the configuration of the new version', () => {
    expect(moved('init')).toEqual([
      'kubeadm init phase upload-config all --config /kubeadm.yaml',
      `kubeadm upgrade apply --yes --config ${CONFIG}`,
    ]);
    expect(readFileSync(path('seen'), 'utf8')).toBe('cluster');
  });

  test.each(['join-control-plane', 'join-worker'])('moves a node of part %s', (part) => {
    expect(moved(part)).toEqual([`kubeadm upgrade node --config ${CONFIG}`]);
  });

  test('has written the configuration of kubelet as planned: it is not written again', () => {
    file('var/lib/sitewright/cluster/kubelet-config', 'of before');
    moved('join-worker');
    run(`${node}restart_kubelet() { :; }\n`, 'kubelet_config_update');
    expect(calls()).toHaveLength(1);
  });
});

describe('a snapshot', () => {
  beforeEach(() => {
    program('etcdutl');
    file('etc/kubernetes/manifests/etcd.yaml', '    - --listen-client-urls=https://127.0.0.1:2379\n');
  });
  const taken = () => (existsSync(path('snapshots')) ? readdirSync(path('snapshots')).sort() : []);

  test('is checked before it has its name, and nobody else may read it; three are kept', () => {
    program('etcdctl', `touch "\${@: -1}"`);
    for (const day of ['01', '02', '03']) file(`snapshots/202601${day}T000000Z-before-1.36.0.db`, day);
    expect(run(lead, `snapshot; stat -c %a ${path('snapshots')}/*1.36.3.db`).stdout).toBe('600\n');
    expect(taken()).toEqual([
      '20260102T000000Z-before-1.36.0.db',
      '20260103T000000Z-before-1.36.0.db',
      expect.stringMatching(/^2.*-before-1\.36\.3\.db$/),
    ]);
    expect(calls()[1]).toMatch(/^etcdutl snapshot status .*\.partial$/);
  });

  test('that etcd does not give stops the upgrade, and none of the others goes', () => {
    program('etcdctl', 'exit 1');
    file('snapshots/20260101T000000Z-before-1.36.0.db', '');
    const { status, stderr } = run(lead, 'snapshot');
    expect(status).toBe(1);
    expect(stderr).toContain('Nothing was upgraded');
    expect(taken()).toEqual(['20260101T000000Z-before-1.36.0.db']);
  });
});

describe('the gate between nodes', () => {
  const gate = (answers: { nodes?: string; proxies?: string; dns?: string }, busy = '') => {
    const { nodes = 'cp1 True\\nw1 True\\n', proxies = '2 2\\n', dns = '\\n' } = answers;
    program(
      'kubectl',
      `case "$*" in *'get nodes'*) printf '${nodes}' ;; *daemonset*) printf '${proxies}' ;; *deployment*) printf '${dns}' ;; esac`,
    );
    const { status, stderr } = run(lead, `MEMBERS=(cp1 w1) BUSY=(${busy}); gate`);
    return {
      status,
      said: stderr
        .split('\n')
        .at(-2)
        ?.replace(/^.*after w1: /, ''),
    };
  };
  const stopped = (why: string) => ({ status: 1, said: `${why}; the upgrade stops here` });

  test('opens when every node is Ready and Services and DNS work', () => expect(gate({}).status).toBe(0));
  test.each([
    ['not Ready', { nodes: 'cp1 True\\nw1 False\\n' }],
    ['gone', { nodes: 'cp1 True\\n' }],
  ])('stays shut while a node is %s, unless it is the next one', (_, answers) => {
    expect(gate(answers)).toEqual(stopped('not Ready: w1'));
    expect(gate(answers, 'w1').status).toBe(0);
  });
  test.each([
    ['kube-proxy', { proxies: '1 2\\n' }],
    ['CoreDNS', { dns: '1\\n' }],
  ])('stays shut while %s is not ready', (_, answers) => {
    expect(gate(answers)).toEqual(stopped('pods of kube-proxy or CoreDNS in kube-system are not ready'));
    expect(gate(answers, 'w1').status).toBe(0);
  });
  test('opens where somebody else brings both', () => expect(gate({ proxies: '', dns: '' }).status).toBe(0));
});

describe('a node is let in', () => {
  const admit = (version: string, afterwards: string) => {
    program(
      'kubectl',
      `case "$*" in *kubeletVersion}) printf ${version} ;; *unschedulable*) printf true ;; *Ready*status*) printf True ;; esac`,
    );
    const { status } = run(lead, `AFTERWARDS=${afterwards}; admit`);
    return { status, uncordoned: calls().some((call) => call.includes(' uncordon w1')) };
  };
  test('when it is Ready with the version', () => {
    expect(admit('v1.36.3', 'uncordon')).toEqual({ status: 0, uncordoned: true });
  });
  test('and stays cordoned where somebody else has done that', () => {
    expect(admit('v1.36.3', 'stay')).toEqual({ status: 0, uncordoned: false });
  });
  test('and not while the old kubelet answers', () => {
    expect(admit('v1.36.1', 'uncordon')).toEqual({ status: 1, uncordoned: false });
  });
});

test('images of an earlier bundle may be removed, those of this one stay pinned', () => {
  program('ctr');
  const stamp = (sum: string, reference: string) => file(`var/lib/sitewright/images/${sum}`, `${reference} sha256:aa`);
  stamp('01', 'repo/kube-proxy:v1');
  stamp('02', 'repo/pause:3');
  stamp('03', 'repo/kube-proxy:v2');
  run(
    BUNDLE,
    `IMAGES=('03 images/kube-proxy.tar repo/kube-proxy:v2' '04 images/pause.tar repo/pause:3'); images_release`,
  );
  expect(calls()).toEqual(['ctr -n k8s.io images label repo/kube-proxy:v1 io.cri-containerd.pinned=']);
  expect(readdirSync(path('var/lib/sitewright/images'))).toEqual(['03']);
});
