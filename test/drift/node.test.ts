import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { controlPlaneSum, kubeletConfigSum } from '../../components/cluster/nodeScripts';
import { controlPlaneFiles } from '../../components/drift/clusterFiles';
import { parseReading, renderDriftScript } from '../../components/drift/nodeScript';
import type { NodeReading } from '../../components/drift/types';
import { CORE } from '../../components/nodes/prep/core';
import { KERNEL } from '../../components/nodes/prep/kernel';
import { SYSTEM } from '../../components/nodes/prep/system';
import { nodeData } from '../../components/nodes/script';
import type { NodePlan, SitePlan } from '../../components/plan';
import { sha256OfText } from '../../components/bundle/checksum';
import { runScript } from '../../components/ssh/script';
import { SshSession } from '../../components/ssh/session';
import { kvmNode, site } from '../nodes/fixtures';
import { smallCluster } from '../plan/clusterSite';
import { planOf } from '../plan/site';
import { startSshd, type TestSshd } from '../ssh/sshd';

/**
 * The script as it runs on a node, over a real sshd of this machine, on the files of a folder: loopback stands for the NIC.
 * What is there at first was written by the functions of preparation themselves.
 */
const node: NodePlan = {
  ...kvmNode,
  addresses: ['127.0.0.1/8'],
  interface: { ...kvmNode.interface, name: 'lo', mac: null, mtuBytes: 65536, gateways: [], routes: [], driver: null },
  kvm: null,
  sysctls: [
    { key: 'net.ipv4.ip_forward', value: '1', reason: 'a node forwards the packets of its pods' },
    { key: 'net.core.somaxconn', value: '4096', reason: 'given by the site' },
  ],
  modules: [
    { name: 'overlay', reason: 'container file systems' },
    { name: 'vxlan', reason: 'tunnels' },
  ],
  offloads: [],
  dns: { servers: [], search: [] },
  ntpServers: [],
};
const plan = { site: 'oslo', hosts: site.hosts, cluster: null } as unknown as SitePlan;

let sshd: TestSshd;
let session: SshSession;
let root: string;
beforeAll(async () => {
  sshd = await startSshd();
  session = await SshSession.connect(sshd.target);
});
afterAll(async () => {
  session?.end();
  await sshd?.stop();
});
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-drift-'));
  const { status, stderr } = spawnSync('bash', ['-s'], { input: inRoot(PREPARE), encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: expect.not.stringMatching(/error/) });
});
afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

const FOLDERS =
  /(?<![A-Za-z0-9_.-])\/(etc|proc\/sys(?!\/kernel)|proc\/swaps|sys\/module|usr\/local\/s?bin|var\/lib|usr\/lib|run\/sitewright)\b/g;
const inRoot = (script: string) => script.replace(FOLDERS, `${root}$&`);

const PREPARE = `set -u
systemctl() { :; }
CHANGES=0 KERNEL=6.1.0
mkdir -p /etc/sysctl.d /proc/sys/net/ipv4 /proc/sys/net/core /sys/module/overlay /sys/module/vxlan /etc/sitewright
mkdir -p /etc/systemd/system/multi-user.target.wants /usr/local/bin /var/lib/kubelet /var/lib/sitewright/cluster
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 4096 >/proc/sys/net/core/somaxconn
printf 'ID=debian\\nVERSION_ID=12\\n' >/etc/os-release
printf '127.0.0.1 localhost\\n' >/etc/hosts
echo 'Filename Type Size Used Priority' >/proc/swaps
${nodeData(node, { ...site, hosts: site.hosts })}
AUDIT_LOG=/etc/audit.log
${CORE}${KERNEL}${SYSTEM}
printf '{"site": "oslo", "id": "1"}\\n' >"$STAMP_FILE"
write_file "$MODULES_FILE" 0644 "$MODULES_CONTENT"
write_file "$SYSCTL_FILE" 0644 "$SYSCTL_CONTENT"
journald_apply
hosts_apply
`;

const file = (name: string) => path.join(root, name);
const edit = (name: string, change: (text: string) => string) =>
  fs.writeFileSync(file(name), change(fs.readFileSync(file(name), 'utf8')));

async function read(of: SitePlan = plan, one: NodePlan = node): Promise<NodeReading> {
  const before = snapshot();
  const reading = parseReading(await runScript(session, inRoot(renderDriftScript(one, of)), { timeoutSeconds: 120 }));
  // It reads only.
  expect(snapshot()).toEqual(before);
  return {
    ...reading,
    // Packages are those of the machine that runs the tests, and no rules of offloads are planned here.
    differences: reading.differences.filter(({ what }) => !/^package |sitewright-offloads/.test(what)),
  };
}
const told = async (...args: Parameters<typeof read>) =>
  (await read(...args)).differences.map(({ role, what, wanted, found }) =>
    [role, what.replace(root, ''), wanted.replaceAll(root, ''), found.replaceAll(root, '')].join(' | '),
  );

function snapshot(): Record<string, string> {
  const names = fs.readdirSync(root, { recursive: true, encoding: 'utf8' });
  return Object.fromEntries(
    names.map((name) => {
      const { mtimeMs, mode } = fs.lstatSync(file(name));
      return [name, `${mtimeMs} ${mode}`];
    }),
  );
}

test('what preparation wrote is as planned', async () => {
  expect(await told()).toEqual([]);
  expect(await read()).toMatchObject({ kernel: os.release(), proxyMode: null });
});

test.each<[string, () => void, string[]]>([
  [
    'a sysctl that was set by hand',
    () => fs.writeFileSync(file('proc/sys/net/ipv4/ip_forward'), '0\n'),
    ['prepare | sysctl net.ipv4.ip_forward | 1 | 0'],
  ],
  [
    'a module that was unloaded',
    () => fs.rmdirSync(file('sys/module/vxlan')),
    ['prepare | module vxlan | loaded | not loaded'],
  ],
  [
    'a file that somebody edited',
    () => edit('etc/sysctl.d/k8s-net.conf', (text) => text.replace('somaxconn = 4096', 'somaxconn = 128')),
    [
      'prepare | /etc/sysctl.d/k8s-net.conf | net.core.somaxconn = 4096 | ',
      'prepare | /etc/sysctl.d/k8s-net.conf |  | net.core.somaxconn = 128',
    ],
  ],
  [
    'a comment that somebody took away',
    () => edit('etc/modules-load.d/k8s-net.conf', (text) => text.replace('# tunnels\n', '')),
    ['prepare | /etc/modules-load.d/k8s-net.conf | as planned | other comments or another order'],
  ],
  [
    'a later file that wins at the next start',
    () => fs.writeFileSync(file('etc/sysctl.d/zz.conf'), 'net.core.somaxconn = 1\n'),
    ['prepare | sysctl net.core.somaxconn | 4096 after a restart | 1'],
  ],
  [
    'a file that is gone',
    () => fs.rmSync(file('etc/systemd/journald.conf.d/90-sitewright.conf')),
    [
      'prepare | /etc/systemd/journald.conf.d/90-sitewright.conf | the file | no such file',
      'prepare | journal SystemMaxUse | 524288000 | ',
    ],
  ],
  [
    'a name in /etc/hosts',
    () => edit('etc/hosts', (text) => text.replace('192.0.2.12 node-b', '192.0.2.99 node-b')),
    ['prepare | /etc/hosts | 192.0.2.12 node-b | ', 'prepare | /etc/hosts |  | 192.0.2.99 node-b'],
  ],
  [
    'swap that came back',
    () => {
      fs.writeFileSync(file('proc/swaps'), 'Filename Type Size Used Priority\n/dev/sdb1 partition 1 0 -2\n');
      fs.writeFileSync(file('etc/fstab'), '/dev/sdb1 none swap sw 0 0\n');
    },
    ['prepare | /etc/fstab |  | /dev/sdb1 none swap sw 0 0', 'prepare | swap | off | /dev/sdb1'],
  ],
  [
    'the stamp of another site',
    () => edit('etc/sitewright/stamp.json', (text) => text.replace('oslo', 'bergen')),
    ['prepare | /etc/sitewright/stamp.json | site oslo | site bergen'],
  ],
])('%s', async (_title, change, expected) => {
  change();
  expect(await told()).toEqual(expected);
});

test('an MTU and an address that the interface has not', async () => {
  const other = {
    ...node,
    addresses: ['127.0.0.1/8', '192.0.2.77/24'],
    interface: { ...node.interface, mtuBytes: 9000 },
  };
  expect(await told(plan, other)).toEqual([
    'prepare | lo mtu | 9000 | 65536',
    'prepare | lo address | 192.0.2.77/24 | nothing',
  ]);
});

test('an interface that is not there', async () => {
  const other = { ...node, interface: { ...node.interface, name: 'ens999' } };
  expect(await told(plan, other)).toEqual([
    'prepare | network interface | there is no network interface ens999: correct the name of the interface in the site file | ',
  ]);
});

describe('a node of a cluster', () => {
  const planned = planOf(smallCluster());
  const cluster = planned.cluster!;
  const member: NodePlan = { ...node, cluster: { ...planned.nodes[0].cluster!, cniConfiguration: null } };
  const bare = { ...plan, cluster: { ...cluster, podMasquerade: null } } as SitePlan;
  let server: http.Server;
  let metrics: string;

  beforeAll(async () => {
    server = http.createServer((request, response) => response.end(request.url === '/proxyMode' ? 'nftables' : ''));
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    metrics = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => new Promise((done) => server.close(done)));

  const at = (metricsBindAddress: string): SitePlan => ({
    ...bare,
    cluster: { ...bare.cluster!, kubeProxy: { ...cluster.kubeProxy, configuration: { metricsBindAddress } } },
  });

  function remember(name: string, planSum: string, ...files: [string, string][]): void {
    for (const [one, text] of files) {
      fs.mkdirSync(path.dirname(file(one)), { recursive: true });
      fs.writeFileSync(file(one), text);
    }
    const sum = sha256OfText(files.map(([, text]) => text).join(''));
    fs.writeFileSync(file(`var/lib/sitewright/cluster/${name}`), `${planSum} ${sum}`);
  }

  beforeEach(() => {
    const program = (name: string, says: string) =>
      fs.writeFileSync(file(`usr/local/bin/${name}`), `#!/bin/bash\necho '${says}'\n`, { mode: 0o755 });
    program('kubelet', `Kubernetes v${cluster.kubernetesVersion}`);
    program('kubeadm', `v${cluster.kubernetesVersion}`);
    program('containerd', `containerd github.com/containerd/containerd v${cluster.containerd.version} abc`);
    const manifests = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'];
    remember('kubelet-config', kubeletConfigSum(cluster), [
      'var/lib/kubelet/config.yaml',
      `resolvConf: ${resolver()}\n`,
    ]);
    remember(
      'control-plane',
      controlPlaneSum(cluster),
      ...manifests.map((name): [string, string] => [`etc/kubernetes/manifests/${name}.yaml`, `kind: ${name}\n`]),
    );
    fs.writeFileSync(file('etc/kubernetes/kubelet.conf'), '');
    for (const [name, text] of controlPlaneFiles(cluster, member.cluster!)) {
      fs.mkdirSync(path.dirname(file(name)), { recursive: true });
      fs.writeFileSync(file(name), inRoot(text));
    }
  });

  /** What kubeadm would have chosen on the machine that runs the tests. */
  const resolved = spawnSync('systemctl', ['--quiet', 'is-active', 'systemd-resolved.service']).status === 0;
  const resolver = () => (resolved ? '/run/systemd/resolve/resolv.conf' : inRoot('/etc/resolv.conf'));

  /** What stays to be said where no systemd runs and only the small files are planned. */
  const ofCluster = async () => {
    const { differences } = await read(at(metrics), member);
    return differences
      .filter(({ what }) => !what.startsWith('unit ') && !what.includes('/etc/systemd/system/'))
      .filter(({ what }) => !/\/etc\/(containerd\/config.toml|crictl.yaml)$/.test(what))
      .map(({ role, what, wanted, found }) => `${role} | ${what.replace(root, '')} | ${wanted} | ${found}`);
  };

  test('as it was left', async () => {
    expect(await ofCluster()).toEqual([]);
    expect(await read(at(metrics), member)).toMatchObject({ proxyMode: 'nftables' });
    expect(await read(at('127.0.0.1:1'), member)).toMatchObject({ proxyMode: null });
  });

  test('programs of another version, files that were edited, and an edit of the site that is not applied', async () => {
    fs.writeFileSync(file('usr/local/bin/kubelet'), '#!/bin/bash\necho Kubernetes v1.35.2\n');
    fs.rmSync(file('usr/local/bin/containerd'));
    edit('var/lib/kubelet/config.yaml', (text) => `${text}b: 2\n`);
    edit('etc/kubernetes/manifests/etcd.yaml', (text) => `${text}x: 1\n`);
    edit('etc/kubernetes/sitewright/audit-policy.yaml', (text) => text.replace('kind: Policy', 'kind: Other'));
    edit('var/lib/sitewright/cluster/control-plane', (text) => text.replace(/^\S+/, 'earlier'));
    expect(await ofCluster()).toEqual([
      'runtime | version of kubelet | 1.36.1 | 1.35.2',
      `runtime | version of containerd | ${cluster.containerd.version} | `,
      'control-plane | /etc/kubernetes/sitewright/audit-policy.yaml | kind: Policy | ',
      'control-plane | /etc/kubernetes/sitewright/audit-policy.yaml |  | kind: Other',
      'control-plane | /var/lib/kubelet/config.yaml | as kubeadm wrote it | edited since',
      'control-plane | static pods of the control plane | as planned | of an earlier plan',
      'control-plane | static pods of the control plane | as kubeadm wrote it | edited since',
    ]);
  });

  test('pods that get their resolvers of another file', async () => {
    edit('var/lib/kubelet/config.yaml', () => 'resolvConf: /other\n');
    expect(await ofCluster()).toEqual([
      'control-plane | /var/lib/kubelet/config.yaml | as kubeadm wrote it | edited since',
      `control-plane | resolvConf of kubelet | ${resolver()} | /other`,
    ]);
  });

  test('files of the runtime and units that nobody started', async () => {
    const { differences } = await read(at(metrics), member);
    expect(differences.map(({ role, what }) => `${role} ${what.replace(root, '')}`)).toEqual(
      expect.arrayContaining([
        'runtime /etc/containerd/config.toml',
        'runtime /etc/systemd/system/kubelet.service.d/10-kubeadm.conf',
        'runtime unit containerd',
        'runtime unit kubelet',
      ]),
    );
  });
});
