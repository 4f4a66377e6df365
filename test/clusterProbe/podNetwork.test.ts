import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import type { PodMeasurements } from '../../components/clusterProbe';
import { podScript } from '../../components/clusterProbe/podProgram';
import { toolsLine } from '../../scripts/cli/debugTools';
import { program, until } from '../plugins/kubernetes/apiServer';

/** Pods of the real containerd, with the pause image of the source bundle alone; the node is a network namespace. */

const NAMESPACE = 'sitewright-verify-0a1b2c3d';
const PORT = 8080;
const MTU = 1400;
const node = `swctd${process.pid % 10000}`;
const ctr = program('container-runtime', 'ctr');
const children: ChildProcess[] = [];
let folder: string;
let env: NodeJS.ProcessEnv;
const at = (name: string) => join(folder, name);

const crictl = (...args: string[]) =>
  spawnSync(program('cri-tools', 'crictl'), ['--timeout', '60s', ...args], { encoding: 'utf8', env });

function start(command: string, ...args: string[]): ChildProcess {
  const child = spawn('nsenter', [`--net=/run/netns/${node}`, command, ...args], { env, stdio: 'ignore' });
  children.push(child);
  return child;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sitewright-sandboxes-'));
  env = {
    ...process.env,
    PATH: [dirname(ctr), process.env.PATH, '/usr/sbin', '/sbin'].join(delimiter),
    CONTAINER_RUNTIME_ENDPOINT: `unix://${at('containerd.sock')}`,
  };
  mkdirSync(at('net.d'));
  const ipam = { type: 'host-local', dataDir: at('ipam'), ranges: [[{ subnet: '198.18.7.0/24' }]] };
  const plugin = { type: 'bridge', bridge: 'pods0', isGateway: true, mtu: MTU, ipam };
  writeFileSync(at('net.d/10.conflist'), JSON.stringify({ cniVersion: '0.4.0', name: 'pods', plugins: [plugin] }));
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  writeFileSync(
    at('config.toml'),
    `version = 2
root = "${folder}/root"
state = "${folder}/state"
[grpc]
  address = "${folder}/containerd.sock"
[${cri}]
  sandbox_image = "bundle.sitewright.internal/pause:3.10.2"
  # Not everybody who is root may make a process more likely to stay.
  restrict_oom_score_adj = true
  [${cri}.containerd]
    snapshotter = "native"
    [${cri}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [${cri}.cni]
    bin_dir = "${dirname(program('cni-plugins', 'bridge'))}"
    conf_dir = "${folder}/net.d"
`,
  );
  execFileSync('ip', ['netns', 'add', node]);
  start(program('container-runtime', 'containerd'), '--config', at('config.toml'));
  await until('containerd', () => crictl('info').status === 0);
  const images = ['-a', at('containerd.sock'), '-n', 'k8s.io', 'images', 'import', '--snapshotter', 'native'];
  execFileSync(ctr, [...images, program('image-pause', 'pause.tar')], { stdio: 'ignore' });
  for (const name of ['probe-one', 'probe-two']) {
    const metadata = { name, namespace: NAMESPACE, uid: name, attempt: 0 };
    const dns = { servers: ['198.18.7.1'], searches: ['svc.cluster.local'], options: ['ndots:5'] };
    writeFileSync(at(`${name}.json`), JSON.stringify({ metadata, dns_config: dns, linux: {} }));
    const made = crictl('runp', at(`${name}.json`));
    if (made.status !== 0) throw new Error(made.stderr);
  }
  const names = [
    '--address=/probe.svc.cluster.local/198.18.7.99',
    '--no-resolv',
    '--no-hosts',
    '--user=root',
    // Of this zone it knows that it is empty; others it sends on, and has nobody to send them to.
    '--local=/known.example/',
  ];
  start('dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null', `--pid-file=${at('dnsmasq.pid')}`, ...names);
});

afterAll(async () => {
  crictl('rmp', '--all', '--force');
  for (const child of children) {
    const gone = new Promise((resolve) => (child.exitCode === null ? child.once('exit', resolve) : resolve(null)));
    child.kill();
    await gone;
  }
  execFileSync('ip', ['netns', 'del', node]);
  rmSync(folder, { recursive: true, force: true });
});

/** As root of the node would run it, in the network of a pod. */
const looked = (pod: string, ...words: string[]) =>
  spawnSync('sh', ['-c', toolsLine({ pod, namespace: NAMESPACE }, words, program('cri-tools', 'crictl'), 1)], {
    env,
    encoding: 'utf8',
  });

test("debug runs the machine's own tools in the network of a pod, with its resolver, words and exit code as they are", () => {
  const mounts = readFileSync('/proc/self/mounts', 'utf8');
  const tools =
    'ip -o -4 address show eth0; ping -c 1 -W 20 198.18.7.1 >&2; cat /etc/resolv.conf; printf %s "$1"; exit 7';
  const found = looked('probe-one', 'sh', '-c', tools, '-', `it's "two  words" $HOME`);
  expect(found.status).toBe(7);
  expect(found.stdout).toContain(` ${addressOf('probe-one')}/24 `);
  expect(found.stderr).toMatch(/^1 packets transmitted, 1 received/m);
  expect(found.stdout).toMatch(/nameserver 198\.18\.7\.1\n[^]*it's "two {2}words" \$HOME$/);
  expect(readFileSync('/proc/self/mounts', 'utf8')).toBe(mounts);
  expect(looked('probe-one', 'no-such-tool')).toMatchObject({
    status: 127,
    stderr: 'no-such-tool: No such file or directory\n',
  });
  expect(looked('probe-on', 'true')).toMatchObject({
    status: 1,
    stderr: `containerd has no pod ${NAMESPACE}/probe-on\n`,
  });
});

const asked = (pod: string, question: object) =>
  podScript({
    ...{ crictl: program('cri-tools', 'crictl'), crictlSeconds: 60, namespace: NAMESPACE, pod },
    ...{ node: pod.replace('probe-', ''), ...question },
  });

const addressOf = (pod: string) => {
  const [id] = crictl('pods', '--name', pod, '-q').stdout.trim().split('\n');
  return (JSON.parse(crictl('inspectp', '-o', 'json', id!).stdout) as { status: { network: { ip: string } } }).status
    .network.ip;
};

test('a process of the node answers in one pod and measures in another, with its resolver, until the pod goes', async () => {
  const mounts = readFileSync('/proc/self/mounts', 'utf8');
  const server = spawn('python3', ['-u', '-'], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  server.stdin.end(asked('probe-two', { part: 'serve', port: PORT, families: ['ipv4'], seconds: 600 }));
  const ended = new Promise((resolve) => server.once('exit', resolve));
  await Promise.race([new Promise((listening) => server.stdout.once('data', listening)), ended]);
  expect(server.exitCode).toBeNull();

  const two = addressOf('probe-two');
  const found = spawnSync('python3', ['-u', '-'], {
    env,
    encoding: 'utf8',
    input: asked('probe-one', {
      part: 'measure',
      mtuBytes: MTU,
      families: ['ipv4'],
      others: [{ node: 'two', addresses: { ipv4: two } }],
      service: { addresses: { ipv4: two }, port: PORT, pods: 1, tries: 2, seconds: 20, connectSeconds: 5 },
      names: ['probe', 'localhost'],
      lookups: 2,
      peers: [{ name: 'server', address: two, family: 'ipv4', mtuBytes: MTU, tcpPort: null }],
      zones: ['known.example', 'unknown.example'],
      ...{ bytes: 1024 * 1024, transferSeconds: 20, nameServers: ['198.18.7.1'] },
      reach: [{ name: 'server', family: 'ipv4', address: two, port: PORT }],
    }),
  });
  expect(found.stderr).toContain('step: packets to the pod of two\n');
  const facts = JSON.parse(found.stdout) as PodMeasurements;
  expect(facts).toMatchObject({
    deviceMtuBytes: MTU,
    sizes: [{ node: 'two', full: { answered: 5 }, above: { answered: 0, refused: 'EMSGSIZE' }, largestBytes: MTU }],
    services: [{ reached: { two: 2 }, failed: {}, transfer: { error: null, up: { pathMtuBytes: MTU } } }],
    peers: [{ name: 'server', largestBytes: MTU, tcp: null }],
    zones: [
      { zone: 'known.example', error: null, answer: 'NXDOMAIN' },
      { zone: 'unknown.example', error: 'REFUSED' },
    ],
    nameServers: [{ error: null }],
    reach: [{ name: 'server', error: null }],
  });
  expect(facts.names.map(({ name, failed }) => [name, failed])).toEqual([
    ...['probe', 'probe', 'localhost', 'localhost'].map((name) => [name, 0]),
  ]);
  expect(readFileSync('/proc/self/mounts', 'utf8')).toBe(mounts);

  crictl('rmp', '--force', crictl('pods', '--name', 'probe-two', '-q').stdout.trim());
  expect(await ended).toBe(0);
});

test('a pod that containerd does not have, and a containerd that does not answer', () => {
  const said = (pod: string, more: NodeJS.ProcessEnv = {}) => {
    const input = asked(pod, { part: 'serve', port: PORT, families: ['ipv4'], seconds: 1 });
    return spawnSync('python3', ['-u', '-'], { env: { ...env, ...more }, encoding: 'utf8', input });
  };
  // A pattern of crictl would take it for the other.
  const absent = said('probe-on');
  expect([absent.status, absent.stderr]).toEqual([1, `containerd has no pod ${NAMESPACE}/probe-on\n`]);
  const silent = said('probe-one', { CONTAINER_RUNTIME_ENDPOINT: `unix://${at('nobody.sock')}` });
  expect(silent.status).toBe(1);
  expect(silent.stderr).toMatch(/^crictl: .*nobody\.sock/);
});
