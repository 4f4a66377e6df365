import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { AUTHORITIES } from '../../components/cluster/node/authorities';
import { BUNDLE } from '../../components/cluster/node/bundle';
import { CNI_DEVICES } from '../../components/cluster/node/cniDevices';
import { CONTROL_PLANE } from '../../components/cluster/node/controlPlane';
import { CLUSTER_CORE } from '../../components/cluster/node/core';
import { DRAIN } from '../../components/cluster/node/drain';
import { ENDPOINT } from '../../components/cluster/node/endpoint';
import { ETCD_DISK } from '../../components/cluster/node/etcdDisk';
import { ETCD_MEMBER } from '../../components/cluster/node/etcdMember';
import { INVITE, JOIN } from '../../components/cluster/node/join';
import { NODE_OBJECT } from '../../components/cluster/node/nodeObject';
import { REGISTRIES } from '../../components/cluster/node/registries';
import { CONTROL_PLANE_UPDATE, KUBELET_UPDATE } from '../../components/cluster/node/updates';
import { CERTIFICATES } from '../../components/nodes/prep/certificates';
import { VIP } from '../../components/cluster/node/vip';
import { CORE } from '../../components/nodes/prep/core';

/** The functions of the scripts, on files of a folder of their own and with stand-ins for the programs of a node. */
let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'sitewright-cluster-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const path = (name: string) => join(folder, name);
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
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

function run(library: string, script: string): { stdout: string; stderr: string; status: number | null } {
  const local = `${CORE}${CLUSTER_CORE}${library}`.replace(
    /\/(etc\/(kubernetes|systemd|fstab|hosts)|var\/lib)\b/g,
    `${folder}$&`,
  );
  const head = `set -u; export LC_ALL=C PATH=${path('bin')}:$PATH; CHANGES=0 LIMIT_SECONDS=0
AUDIT_LOG=${path('audit.log')} RUN_DIR=${path('run')} STATE_FOLDER=${path('state')} NODE=w1\n`;
  mkdirSync(path('state'), { recursive: true });
  return spawnSync('bash', ['-s'], { input: `${head}${local}\n${script}`, encoding: 'utf8' });
}

test('a secret is 0600, and neither the audit log nor the progress shows it', () => {
  const { stderr, stdout } = run(
    '',
    `write_secret ${path('a/key')} geheim; write_secret ${path('a/key')} geheim; stat -c %a ${path('a/key')}; echo $CHANGES`,
  );
  expect(stdout).toBe('600\n1\n');
  expect(readFileSync(path('audit.log'), 'utf8') + stderr).not.toContain('geheim');
});

test("devices of the pods' network are out of the machine's own configuration, while there is such a network", () => {
  program('systemctl', '[ "$3" = systemd-networkd.service ]');
  program('networkctl');
  const own = path('etc/systemd/network/05-sitewright-pods.network');
  const names = "CNI_DEVICE_NAMES='cali* vxlan.calico'";
  const first = run(CNI_DEVICES, `${names}; cni_devices_apply; cni_devices_apply; echo $CHANGES "\${PROBLEMS[@]}"`);
  expect(first.stdout.trim()).toMatch(/^[1-9]\d*$/);
  expect(readFileSync(own, 'utf8')).toContain('[Match]\nName=cali* vxlan.calico\n\n[Link]\nUnmanaged=yes\n');
  expect(calls().filter((call) => call === 'networkctl reload')).toHaveLength(1);

  const { stdout } = run(CNI_DEVICES, `CNI_DEVICE_NAMES=; cni_devices_apply; cni_devices_apply; echo $CHANGES`);
  expect(stdout).toBe('1\n');
  expect(existsSync(own)).toBe(false);
  expect(calls().filter((call) => call === 'networkctl reload')).toHaveLength(2);
});

describe('the name of the API in /etc/hosts', () => {
  const own = '# BEGIN sitewright\n192.0.2.12 w1\n# END sitewright\n';
  const block = (address: string) => `# BEGIN sitewright api\n${address} api.oslo.internal\n# END sitewright api\n`;
  const hostsAfter = (before: string, line = '192.0.2.10 api.oslo.internal', resolves = true) => {
    file('etc/hosts', before);
    program('getent', resolves ? '' : 'exit 2');
    const { stderr, stdout } = run(
      ENDPOINT,
      `ENDPOINT_NAME=api.oslo.internal ENDPOINT_HOSTS_LINE='${line}'; endpoint_apply; endpoint_apply; echo $CHANGES`,
    );
    return { hosts: readFileSync(path('etc/hosts'), 'utf8'), stderr, changes: Number(stdout) };
  };

  test.each([
    ['is added', `127.0.0.1 localhost\n${own}`],
    ['is moved', `127.0.0.1 localhost\n${block('192.0.2.11')}${own}`],
    ['is moved from where somebody put it', `127.0.0.1 localhost\n${own}${block('192.0.2.11')}`],
    ['is made whole', `127.0.0.1 localhost\n# BEGIN sitewright api\n192.0.2.11 api.oslo.internal\n${own}`],
  ])('%s before the block of node preparation, once', (_, before) => {
    const { hosts, stderr, changes } = hostsAfter(before);
    expect(hosts).toBe(`127.0.0.1 localhost\n${block('192.0.2.10')}${own}`);
    expect(stderr).toContain('step: api.oslo.internal in ');
    expect(changes).toBeGreaterThan(0);
  });

  test('is left alone when it is there, and goes where a load balancer has a name of its own', () => {
    const right = `127.0.0.1 localhost\n${block('192.0.2.10')}${own}`;
    expect(hostsAfter(right)).toEqual({ hosts: right, stderr: '', changes: 0 });
    expect(hostsAfter(right, '').hosts).toBe(`127.0.0.1 localhost\n${own}`);
    expect(hostsAfter(right, '', false).stderr).toContain('api.oslo.internal, the name of the API, does not resolve');
    expect(hostsAfter('127.0.0.1 localhost').hosts).toBe(`127.0.0.1 localhost\n${block('192.0.2.10')}`);
  });
});

describe('kubeadm', () => {
  test("its phases are progress, and its last words are a failure's", () => {
    program('kubeadm', 'echo "[certs] Using the CA"; echo "error: no" >&2; exit 3');
    const { stderr, stdout } = run('', 'run_kubeadm init; echo "code $?"');
    expect(stdout).toBe('code 3\n');
    expect(stderr).toContain('step: kubeadm: [certs] Using the CA\n');
    expect(stderr).toContain('  error: no\n');
  });

  test('it ends well without other words', () => {
    program('kubeadm', 'echo fine');
    expect(run('', 'run_kubeadm init; echo "code $?"')).toMatchObject({ stdout: 'code 0\n', stderr: '' });
  });

  test('it is not cut when nobody listens any more', () => {
    program('kubeadm', `for i in 1 2 3; do echo "[x] $i"; sleep 0.1; done; echo whole >${path('done')}`);
    const script = `set -u; AUDIT_LOG=${path('audit.log')} CHANGES=0 PATH=${path('bin')}:$PATH\n${CORE}${CLUSTER_CORE}\nrun_kubeadm init; echo over >${path('over')}`;
    spawnSync(
      'bash',
      ['-c', `bash ${file('script', script)} 2>&1 | true; while ! [ -e ${path('over')} ]; do sleep 0.05; done`],
      {
        timeout: 20_000,
      },
    );
    expect([existsSync(path('done')), existsSync(path('over'))]).toEqual([true, true]);
  });
});

describe('programs of the bundle', () => {
  const apply = (sum: string) =>
    run(
      BUNDLE,
      `BUNDLE_ID=${sha256('lock')} BUNDLE_FOLDER=${path('bundle')} PROGRAMS=("${sum} bin/kubelet ${path('opt/kubelet')}"); programs_apply; is_pending kubelet && echo pending; echo $CHANGES`,
    );
  beforeEach(() => file('bundle/bundle.lock.json', 'lock'));

  test('come once, as a whole, and kubelet takes a new one over', () => {
    file('bundle/bin/kubelet', 'program');
    expect(apply(sha256('program')).stdout).toBe('pending\n1\n');
    expect(readFileSync(path('opt/kubelet'), 'utf8')).toBe('program');
    rmSync(path('bundle'), { recursive: true });
    expect(apply(sha256('program')).stdout).toBe('pending\n0\n');
  });

  test('another content than the lock names is refused and never gets to its place', () => {
    file('bundle/bin/kubelet', 'pr0gram');
    const { status, stderr } = apply(sha256('program'));
    expect(status).toBe(1);
    expect(stderr).toMatch(/error: bin\/kubelet of the bundle has the sha256 .*, and its lock says/);
    expect(existsSync(path('opt/kubelet'))).toBe(false);
  });

  test('another bundle is refused', () => {
    file('bundle/bundle.lock.json', 'other');
    const { status, stderr } = apply(sha256('program'));
    expect(status).toBe(1);
    expect(stderr).toContain(`holds the bundle ${sha256('other')}, and ${sha256('lock')} is planned`);
  });
});

describe('images of the bundle', () => {
  const apply = () =>
    run(
      BUNDLE,
      `BUNDLE_ID=${sha256('lock')} BUNDLE_FOLDER=${path('bundle')} IMAGES=("${sha256('tar')} images/pause.tar repo/pause:1"); images_apply`,
    );
  const imports = () => calls().filter((call) => call.includes(' import '));
  beforeEach(() => {
    file('bundle/bundle.lock.json', 'lock');
    file('bundle/images/pause.tar', 'tar');
    program(
      'ctr',
      `case "$*" in *ls) cat ${path('images')} 2>/dev/null ;; *import*) cp ${path('after')} ${path('images')} ;; esac`,
    );
    file('after', 'REF TYPE DIGEST\nrepo/pause:1 type sha256:aa 1MiB\n');
  });

  test('are imported once', () => {
    expect(apply().status).toBe(0);
    expect(apply().status).toBe(0);
    expect(imports()).toHaveLength(1);
  });

  test('come again when they are gone, or others under the same name', () => {
    apply();
    rmSync(path('images'));
    apply();
    file('images', 'REF TYPE DIGEST\nrepo/pause:1 type sha256:bb 1MiB\n');
    apply();
    expect(imports()).toHaveLength(3);
  });

  test('a file that holds another image is refused', () => {
    file('after', 'REF TYPE DIGEST\nrepo/other:1 type sha256:aa 1MiB\n');
    expect(apply().stderr).toContain('error: images/pause.tar of the bundle holds no image repo/pause:1');
  });
});

describe('disk of etcd', () => {
  /** A file stands for the disk; what blkid says of it is given. */
  function apply(content: Buffer, { code = 2, says = '' } = {}) {
    writeFileSync(path('disk'), content);
    program('blkid', `echo "${says}"; exit ${code}`);
    for (const name of ['mkfs.ext4', 'systemctl', 'mountpoint', 'chmod']) program(name);
    program('findmnt', `echo ${path('disk')}`);
    file('etc/fstab', 'LABEL=root / ext4 defaults 0 1\n');
    mkdirSync(path('var/lib/etcd'), { recursive: true });
    const library = ETCD_DISK.replace('[ -b "$ETCD_DISK" ]', '[ -e "$ETCD_DISK" ]');
    return run(
      library,
      `ETCD_DISK=${path('disk')} ETCD_FOLDER=${path('var/lib/etcd')} ETCD_LABEL=sitewright-etcd ETCD_MOUNT_DROP_IN=x; etcd_disk_apply`,
    );
  }
  const formatted = () => calls().some((call) => call.startsWith('mkfs'));
  const blank = Buffer.alloc(4 * 1024 ** 2);
  const used = Buffer.from(`${'\0'.repeat(600)}data`);

  test('a blank one gets its file system, and is mounted at every start', () => {
    const { status, stderr } = apply(blank);
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(formatted()).toBe(true);
    expect(readFileSync(path('etc/fstab'), 'utf8')).toBe(
      `LABEL=root / ext4 defaults 0 1\n${path('disk')} ${path('var/lib/etcd')} ext4 noatime,nofail,x-systemd.growfs 0 2\n`,
    );
  });

  test('its own file system is left as it is', () => {
    expect(apply(used, { code: 0, says: 'LABEL=sitewright-etcd\nTYPE=ext4' }).status).toBe(0);
    expect(formatted()).toBe(false);
  });

  test.each([
    ['no signature, and data', { code: 2 }, 'is not blank either'],
    ["somebody else's file system", { code: 0, says: 'LABEL=backup\nTYPE=xfs' }, "holds xfs labelled 'backup'"],
    ['signatures that contradict each other', { code: 8 }, 'blkid cannot say what is on'],
  ])('%s: refused', (_, answer, message) => {
    const { status, stderr } = apply(used, answer);
    expect(status).toBe(1);
    expect(stderr).toContain(message);
    expect(formatted()).toBe(false);
  });

  test('formatting that was cut off is done again', () => {
    file('var/lib/sitewright/formatting-etcd-disk', '');
    expect(apply(used).status).toBe(0);
    expect(formatted()).toBe(true);
    expect(existsSync(path('var/lib/sitewright/formatting-etcd-disk'))).toBe(false);
  });

  test('data of an etcd on the root disk is not hidden', () => {
    mkdirSync(path('var/lib/etcd/member'), { recursive: true });
    expect(apply(blank).stderr).toContain('holds the data of an etcd');
    expect(formatted()).toBe(false);
  });
});

describe('membership', () => {
  const ask = (answer: string, code: number, token = '') => {
    file('etc/kubernetes/kubelet.conf', 'x');
    file('var/lib/kubelet/config.yaml', 'x');
    program('kubectl', `echo '${answer}' >&2; exit ${code}`);
    program('systemctl', 'exit 3');
    return run(
      `${KUBELET_UPDATE}${JOIN}`,
      `PART=join-worker ENDPOINT=api:6443 TOKEN='${token}'; membership; echo $MEMBERSHIP`,
    );
  };

  test('a control-plane node whose join did not end is a stranger, although its Node is there', () => {
    const look = () => {
      file('etc/kubernetes/kubelet.conf', 'x');
      file('var/lib/kubelet/config.yaml', 'x');
      program('kubectl', 'echo node/w1');
      return run(JOIN, `PART=join-control-plane INITIALISED=${path('mark')} TOKEN=''; membership; echo $MEMBERSHIP`);
    };
    expect(look().stdout).toBe('stranger\n');
    file('mark', 'joined');
    expect(look().stdout).toBe('member\n');
  });

  test('a machine without credentials is a stranger, and nobody is asked', () => {
    program('kubectl');
    const { stdout } = run(JOIN, `PART=join-worker TOKEN=''; membership; echo $MEMBERSHIP`);
    expect({ stdout, calls: calls() }).toEqual({ stdout: 'stranger\n', calls: [] });
  });

  test.each([
    ['node/w1', 0, 'member\n'],
    ['Error from server (NotFound): nodes "w1" not found', 1, 'stranger\n'],
    ['error: You must be logged in to the server (Unauthorized)', 1, 'stranger\n'],
  ])('%s', (answer, code, membership) => expect(ask(answer, code).stdout).toBe(membership));

  test('an API that does not answer is no reason to join again', () => {
    const { status, stderr } = ask('Unable to connect to the server: dial tcp: connection refused', 1, 'a.b');
    expect(status).toBe(1);
    expect(stderr).toContain('does not answer it: Unable to connect');
  });
});

test('only the tokens of the join of this node are deleted, by their id', () => {
  program(
    'kubeadm',
    `[ "$2" != list ] || printf '%s\\n' 'aaaaaa.0123456789abcdef sitewright: join of w1' 'bbbbbb.0123456789abcdef of a person' 'cccccc.0123456789abcdef sitewright: join of w11'`,
  );
  run(`${NODE_OBJECT}${INVITE}`, `TOKEN_DESCRIPTION='sitewright: join of w1'; dismiss`);
  expect(calls().filter((call) => call.includes('delete'))).toEqual(['kubeadm token delete aaaaaa']);
});

test('the member of a machine that was made anew leaves etcd before the machine joins, and no other', () => {
  program(
    'etcdctl',
    `[[ $* != *'member list'* ]] || printf '%s\\n' 'a1, started, cp1, https://192.0.2.11:2380, x, false' 'a2, started, w1, https://192.0.2.12:2380, x, false'`,
  );
  mkdirSync(path('etc/kubernetes/manifests'), { recursive: true });
  writeFileSync(path('etc/kubernetes/manifests/etcd.yaml'), '    - --listen-client-urls=https://127.0.0.1:2379\n');
  const removed = (lost: string) => {
    run(`${NODE_OBJECT}${ETCD_MEMBER}${INVITE}`, `LOST_MEMBER='${lost}'; remove_lost_member`);
    return calls().flatMap((call) => /member remove .*/.exec(call) ?? []);
  };
  expect(removed('')).toEqual([]);
  expect(removed('w1')).toEqual(['member remove a2']);
});

describe('taints', () => {
  const apply = (taints: string) =>
    run(NODE_OBJECT, `TAINTS=(${taints}); taints_apply; printf '%s\\n' "\${PROBLEMS[@]}"`);
  const taintCalls = () => calls().map((call) => call.replace(/^.* taint node/, 'taint node'));

  test('what left the plan goes, what others set stays', () => {
    program('kubectl');
    apply("'a=b:NoSchedule' 'c:NoExecute'");
    apply("'c:NoExecute'");
    expect(taintCalls()).toEqual([
      'taint node w1 --overwrite a=b:NoSchedule c:NoExecute',
      'taint node w1 --overwrite c:NoExecute',
      'taint node w1 a:NoSchedule-',
    ]);
  });
});

describe('static pods of a control plane that lives', () => {
  const manifest = (name: string) => `etc/kubernetes/manifests/${name}.yaml`;
  const pod = (...args: string[]) => ['spec:', ...args.map((arg) => `    - --${arg}`), ''].join('\n');
  const names = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'];
  const members = [
    'initial-cluster=cp1=https://192.0.2.11:2380,w1=https://192.0.2.12:2380',
    'initial-cluster-state=existing',
  ];

  /** kubeadm writes what is planned, and kubelet starts a pod anew as soon as its manifest is another one. */
  function update(planned: Record<string, string>) {
    for (const name of names) file(`planned/${name}.yaml`, planned[name] ?? pod('v=1'));
    program('kubeadm', `[[ $* != *--dry-run* ]] || cp ${path('planned')}/*.yaml "$KUBEADM_INIT_DRYRUN_DIR"`);
    program(
      'kubectl',
      `for word; do case $word in *-w1) name=\${word%-w1} ;; *config*hash*) sum=yes ;; *Ready*) echo -n True ;; esac; done
[ -z "\${sum-}" ] || sha256sum <"${path('etc/kubernetes/manifests')}/$name.yaml" | cut -c1-32`,
    );
    calls().length = 0;
    return run(
      `${KUBELET_UPDATE}${CONTROL_PLANE_UPDATE}`,
      `api_answers() { :; }; LIMIT_SECONDS=20 LOCAL_API=192.0.2.12:6443 KUBEADM_FILE=x KUBELET_CONFIG_SUM=k SERVING_CERTIFICATE_SUM=s CONTROL_PLANE_SUM=c
printf 'k x' >"$STATE_FOLDER/kubelet-config"; printf s >"$STATE_FOLDER/serving-certificate"
control_plane_update; echo $CHANGES`,
    );
  }
  const now = (name: string) => readFileSync(path(manifest(name)), 'utf8');

  test('are replaced one by one, and those that are as planned are not touched', () => {
    for (const name of names) file(manifest(name), pod('v=1'));
    const { stderr, status } = update({ 'kube-apiserver': pod('v=2') });
    expect({ status, lines: readFileSync(path('audit.log'), 'utf8').match(/manifests.*/g) }).toEqual({
      status: 0,
      lines: ['manifests/kube-apiserver.yaml: another configuration -> as planned'],
    });
    expect(now('kube-apiserver')).toBe(pod('v=2'));
    expect(stderr).toContain('step: the control plane takes over its changed configuration\n');
    // Remembered: the next run has nothing to do.
    expect(update({ 'kube-apiserver': pod('v=2') }).stdout).toBe('0\n');
  });

  test('an etcd keeps the members that its join named, whatever kubeadm would begin with', () => {
    for (const name of names) file(manifest(name), pod('v=1'));
    file(manifest('etcd'), pod('a=1', ...members, 'quota=1'));
    const { status } = update({ etcd: pod('a=1', 'initial-cluster=w1=https://192.0.2.12:2380', 'quota=2') });
    expect(status).toBe(0);
    expect(now('etcd')).toBe(pod('a=1', ...members, 'quota=2'));
  });
});

describe('the configuration of kubelet', () => {
  const update = (sum: string) => {
    const library = KUBELET_UPDATE.replace(/kubelet_healthy\(\) \{/, 'kubelet_healthy() { return 0;');
    return run(library, `KUBELET_CONFIG_SUM=${sum}; kubelet_config_update`);
  };
  const restarts = () => calls().filter((call) => call === 'systemctl restart kubelet.service').length;
  beforeEach(() => {
    program('systemctl', '[[ $* != *systemd-resolved* ]] || exit 3');
    program('kubeadm', `echo "$2 $4" >${path('var/lib/kubelet/config.yaml')}`);
    file('var/lib/kubelet/config.yaml', 'as joined');
  });

  test('is taken over when it is planned otherwise or edited by hand, and at no other time', () => {
    update('one');
    update('one');
    expect(restarts()).toBe(0);
    update('two');
    expect(restarts()).toBe(1);
    expect(calls()).toContain('kubeadm upgrade node phase kubelet-config');
    update('two');
    expect(restarts()).toBe(1);
    file('var/lib/kubelet/config.yaml', 'by hand');
    update('two');
    expect(restarts()).toBe(2);
  });

  test('is written again where pods would get the stub of systemd-resolved, or the file of one that is gone', () => {
    const own = '/run/systemd/resolve/resolv.conf';
    const found = () =>
      run(KUBELET_UPDATE, 'if resolver_differs; then echo "$RESOLVER, not $RESOLVER_PLANNED"; fi').stdout;
    file('var/lib/kubelet/config.yaml', `resolvConf: ${own}\n`);
    expect(found()).toBe(`${own}, not /etc/resolv.conf\n`);
    program('systemctl');
    expect(found()).toBe('');
    update('one');
    expect(restarts()).toBe(0);

    // Somebody turns systemd-resolved on: what kubeadm once chose is remembered as right.
    program('systemctl', '[[ $* != *systemd-resolved* ]] || exit 3');
    file('var/lib/kubelet/config.yaml', 'rotateCertificates: true\n');
    rmSync(path('state/kubelet-config'));
    update('one');
    program('systemctl');
    program('kubeadm', `echo 'resolvConf: ${own}' >${path('var/lib/kubelet/config.yaml')}`);
    expect(found()).toBe(`/etc/resolv.conf, not ${own}\n`);
    update('one');
    expect(restarts()).toBe(1);
    expect(found()).toBe('');
    update('one');
    expect(restarts()).toBe(1);
  });

  test('that kubeadm does not give another resolver is told', () => {
    program('systemctl');
    const library = KUBELET_UPDATE.replace(/kubelet_healthy\(\) \{/, 'kubelet_healthy() { return 0;');
    const { stdout } = run(library, `KUBELET_CONFIG_SUM=one; kubelet_config_update; echo "\${PROBLEMS[@]}"`);
    expect(stdout).toMatch(
      /^resolvConf in .*: wanted \/run\/systemd\/resolve\/resolv\.conf, found \/etc\/resolv\.conf: /,
    );
  });
});

describe('a drain', () => {
  const HELD = `error when evicting pods/"web-0" -n "shop" (will retry after 5s): Cannot evict pod as it would violate the pod's disruption budget.`;
  /** kubectl that says this of the drain, and has these answers for the rest. */
  const drain = (lines: string[], code = 0, podIsThere = true) => {
    file('said', `${lines.join('\n')}\n`);
    program(
      'kubectl',
      `case "$*" in
  *' drain '*) cat ${path('said')}; exit ${code} ;;
  *' get pod '*) ${podIsThere ? 'printf w1' : ':'} ;;
  *poddisruptionbudgets*) printf 'web 0\\nfree 1\\nnew \\n' ;;
esac`,
    );
    return run(DRAIN, 'drain_node 30; echo drained');
  };

  test('cordons first and tells what it evicts, each once', () => {
    const { stdout, stderr } = drain(['node/w1 cordoned', 'evicting pod shop/a', HELD, 'evicting pod shop/a', HELD]);
    expect(stdout).toBe('drained\n');
    expect(stderr.match(/evicting shop\/a/g)).toHaveLength(1);
    expect(stderr.match(/waiting for a PodDisruptionBudget that holds shop\/web-0/g)).toHaveLength(1);
    const words = calls().map((call) => call.replace(/^.* 60s /, ''));
    expect(words.slice(1, 3)).toEqual([
      'cordon w1',
      'drain w1 --ignore-daemonsets --delete-emptydir-data --timeout 30s',
    ]);
  });

  test('that a budget holds up names the pod and the budget', () => {
    const { status, stderr } = drain([HELD, 'error: unable to drain node "w1"'], 1);
    expect(status).toBe(1);
    expect(stderr).toContain('problem: pod shop/web-0: wanted evicted, found still there');
    expect(stderr).toContain('PodDisruptionBudget (shop/web, shop/new)');
    expect(stderr).toContain('error: w1 could not be drained within 30 seconds');
  });

  test('that fails for another reason shows the words of kubectl and accuses no budget', () => {
    const lone = 'error: cannot delete Pods that declare no controller (use --force to override): shop/lone';
    const { status, stderr } = drain([HELD, lone], 1, false);
    expect(status).toBe(1);
    expect(stderr).toContain(`  ${lone}`);
    expect(stderr).not.toContain('problem:');
  });
});

describe('registries', () => {
  const apply = (values: string, script = 'registries_apply; echo "$CHANGES"') =>
    run(
      REGISTRIES,
      `REGISTRY_FOLDER=${path('certs.d')} REGISTRY_LOGINS_FILE=${path('logins/config.json')}\n${values}\n${script}`,
    );
  const planned = (hosts: string, ca: string, logins: string) =>
    `REGISTRY_FOLDERS=(${path('certs.d/r.example')}); REGISTRY_HOSTS=('${hosts}'); REGISTRY_AUTHORITIES=('${ca}'); REGISTRY_LOGINS='${logins}'`;
  const HOSTS = '# Made by sitewright.\nserver = "https://r.example"\n';

  test('are written once, the log-in for root alone', () => {
    const values = planned(HOSTS, 'PEM\n', '{"auths": "geheim"}');
    expect(apply(values, 'registries_apply; registries_apply; echo "$CHANGES"').stdout).toBe('3\n');
    expect(readFileSync(path('certs.d/r.example/hosts.toml'), 'utf8')).toBe(HOSTS);
    expect(statSync(path('logins/config.json')).mode & 0o777).toBe(0o600);
    expect(readFileSync(path('audit.log'), 'utf8')).not.toContain('geheim');
  });

  test('that left the plan go, and those of somebody else stay', () => {
    apply(planned(HOSTS, 'PEM\n', 'login'));
    file('certs.d/theirs/hosts.toml', 'server = "https://theirs"\n');
    apply('REGISTRY_FOLDERS=(); REGISTRY_HOSTS=(); REGISTRY_AUTHORITIES=(); REGISTRY_LOGINS=');
    expect(existsSync(path('certs.d/r.example'))).toBe(false);
    expect(existsSync(path('logins/config.json'))).toBe(false);
    expect(existsSync(path('certs.d/theirs/hosts.toml'))).toBe(true);
  });
});

describe('the clock of a control-plane machine', () => {
  const certificate = spawnSync(
    'openssl',
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /dev/null -subj /CN=ca -days 2'.split(
      ' ',
    ),
    { encoding: 'utf8' },
  ).stdout;
  const check = (now: number) =>
    run(
      CERTIFICATES + AUTHORITIES,
      `CA_CERTIFICATE='${certificate}'\nprintf() { if [ "$2" = now ]; then now=${now}; else builtin printf "$@"; fi; }\nrefuse_wrong_clock && echo fine`,
    );

  test('is refused outside of the time in which the authority is valid, with both', () => {
    const now = Math.floor(Date.now() / 1000);
    expect(check(now).stdout).toBe('fine\n');
    for (const wrong of [0, now - 86_400, now + 3 * 86_400]) {
      const { status, stderr } = check(wrong);
      expect(status).toBe(1);
      expect(stderr).toMatch(
        /^error: the clock of this machine says .*Z, and the certificate authority .* from .*Z to /,
      );
    }
  });
});

describe('beside an API server that lives', () => {
  const openssl = (...args: string[]) => spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' }).stdout;
  const request = (name: string, ...more: string[]) =>
    openssl(
      ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2'.split(' '),
      ...['-subj', `/CN=${name}`, '-keyout', `${name}.key`, ...more],
    );
  /** The address of the server is $PEER; it ends with the script. */
  const SERVER = `exec 5< <(cd "$FOLDER" && exec openssl s_server -accept 127.0.0.1:0 -cert api.crt -key api.key -www 2>&1)
SERVER=$!
trap 'kill $SERVER' EXIT
while read -r word PEER <&5 && [ "$word" != ACCEPT ]; do :; done
`;
  const begins = (authority: string, values = `PART=init INITIALISED=${path('nothing')}`) =>
    run(
      CONTROL_PLANE,
      `FOLDER=${folder}; ${SERVER}CA_CERTIFICATE='${authority}' ${values}; PEER_APIS=("[::1]:1" "$PEER"); refuse_second_cluster && echo begins`,
    );

  test('kubeadm init is refused where the certificate of that one is of this cluster', () => {
    const [own, another] = [request('ca', '-out', 'ca.crt'), request('another')];
    expect(another).toMatch(/BEGIN CERTIFICATE/);
    request('api', '-CA', 'ca.crt', '-CAkey', 'ca.key', '-out', 'api.crt');
    const authority = readFileSync(path('ca.crt'), 'utf8');
    expect(own).toBe('');
    expect(begins(authority).stderr).toMatch(
      /^error: the API of this cluster answers on 127\.0\.0\.1:\d+, .* second cluster here\. Nothing was changed: put /,
    );
    expect(begins(another).stdout).toBe('begins\n');
    expect(begins(authority, `PART=init INITIALISED=${path('ca.crt')}`).stdout).toBe('begins\n');
    expect(begins(authority, `PART=join-control-plane INITIALISED=${path('nothing')}`).stdout).toBe('begins\n');
  });

  test('a virtual address that answers is of a peer only with a certificate of this cluster for it', () => {
    program('ping');
    mkdirSync(path('etc/kubernetes/pki'), { recursive: true });
    request('ca', '-out', 'etc/kubernetes/pki/ca.crt');
    request('stranger', '-out', 'stranger.crt');
    const outcome = (address: string, authority: string, key: string) => {
      const names = ['-addext', `subjectAltName=IP:${address}`];
      request('api', '-CA', authority, '-CAkey', key, ...names, '-out', 'api.crt');
      const values = 'VIP_ADDRESS=127.0.0.1 VIP_URL_HOST=127.0.0.1 API_PORT=${PEER##*:}';
      const { stdout, stderr } = run(VIP, `FOLDER=${folder}; ${SERVER}${values}; refuse_used_vip && echo peer`);
      return stdout === 'peer\n' ? 'peer' : stderr;
    };
    expect(outcome('127.0.0.1', 'etc/kubernetes/pki/ca.crt', 'ca.key')).toBe('peer');
    const refusal = /^error: 127\.0\.0\.1, the virtual address of the control plane, is somebody else's: /m;
    expect(outcome('192.0.2.1', 'etc/kubernetes/pki/ca.crt', 'ca.key')).toMatch(refusal);
    expect(outcome('127.0.0.1', 'stranger.crt', 'stranger.key')).toMatch(refusal);
  });
});

test('the API server must reach kubelet by its certificate before the node counts', () => {
  program('kubectl', `[ -e ${path('approved')} ] && echo ok`);
  program('approve', `touch ${path('approved')}; [ ! -e ${path('broken')} ]`);
  const reach = `KUBELET_CERTIFICATES_PROGRAM=${path('bin/approve')}; wait_kubelet_reached && echo reached`;
  expect(run(NODE_OBJECT, reach).stdout).toBe('reached\n');
  expect(calls()).toEqual(['approve ', expect.stringContaining('get --raw /api/v1/nodes/w1/proxy/healthz')]);
  file('broken', '');
  const { status, stderr } = run(NODE_OBJECT, reach);
  expect(status).toBe(1);
  expect(stderr).toContain('error: the API server does not reach kubelet of w1');
});
