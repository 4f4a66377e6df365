import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import execa from 'execa';
import { probeCluster, type ClusterProbeResult } from '../../components/clusterProbe';
import { vethName } from '../../components/clusterProbe/calicoRead';
import type { CalicoProbe } from '../../components/clusterProbe/calicoFacts';
import type { Fence } from '../../components/clusterProbe/fences';
import { isAbandoned } from '../../components/clusterProbe/leftovers';
import { SshRefusedError, SshSession, type ExecOptions, type SshTarget } from '../../components/ssh/session';
import { parseManifest } from '../../components/network/manifest';
import { ApiServer, program, until } from '../plugins/kubernetes/apiServer';
import { DryRun } from '../plugins/kubernetes/dryRun';
import { FakeKubelet } from '../plugins/kubernetes/fakeKubelet';
import { measurements, request, target } from './fixtures';

/** The course of a run on a real API server with its controllers; nodes and pods are stood in for. */

const at = (host: string): SshTarget => ({ ...target, host });
const asked = request({
  nodes: [
    { name: 'one', role: 'control-plane', target: at('one'), addresses: ['192.0.2.11'], conntrackMax: 131072 },
    {
      ...{ name: 'two', role: 'worker', target: { ...at('two'), user: 'admin' }, conntrackMax: 131072 },
      addresses: ['192.0.2.12'],
    },
  ],
  peers: [],
});
const METRICS = [
  'etcd_server_has_leader 1',
  'etcd_mvcc_db_total_size_in_bytes 100',
  'etcd_server_quota_backend_bytes 1000',
];
const machine = (servers: string[]) => ({
  proxyMode: { text: 'ipvs\n' },
  services: { text: servers.map((server) => `${server} rr\n  -> 0AF40102:0035 Masq 1 0 0`).join('\n') },
  ...{ conntrackMax: 131072, conntrackCount: 5, cpus: 4 },
});
const SERVERS = ['TCP  0A600001:01BB', 'TCP  0A60000A:0035', 'UDP  0A60000A:0035'];

let server: ApiServer;
let kubelet: FakeKubelet;
const commands: string[] = [];
const questions: Record<string, unknown>[] = [];
const ways: unknown[] = [];
/** What the program for Calico says on each machine. */
let calicoNodes: Record<string, object> = {};
let measure: (node: string, opts: ExecOptions, namespace: string) => Promise<string>;
let serve: (node: string, opts: ExecOptions) => Promise<ReturnType<typeof ok>>;
/** Of the program on stdin: its last line. */
const questionOf = (program: string) =>
  JSON.parse(JSON.parse(/^main\(json\.loads\((.*)\)\)$/m.exec(program)![1]!) as string) as Record<string, unknown>;

beforeAll(async () => {
  server = await ApiServer.start();
  server.startControllers();
  writeFileSync(join(server.dir, 'admin.conf'), server.kubeconfig(), { mode: 0o600 });
  kubelet = new FakeKubelet(server, null, ['one', 'two']);
  await until('the nodes', async () => (await server.find('/api/v1/nodes/two')) !== undefined);
  for (const name of ['one', 'two']) {
    const conditions = [{ type: 'Ready', status: 'True' }];
    await server.edit(`/api/v1/nodes/${name}/status`, { status: { conditions } });
  }
});
afterAll(async () => {
  await kubelet?.stop();
  await server?.stop();
});

const KUBECTL = 'exec /usr/local/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf ';
const ok = (stdout: string) => ({ code: 0, stdout, stderr: '' });

beforeEach(() => {
  commands.length = 0;
  questions.length = 0;
  ways.length = 0;
  measure = async (node) => JSON.stringify({ ...measurements(node === 'one' ? 'two' : 'one'), peers: [] });
  serve = (_node, { onStdoutLine }) => {
    onStdoutLine!('listening');
    return new Promise(() => undefined);
  };
  jest.spyOn(SshSession, 'connect').mockImplementation(async ({ host }) => {
    const exec = async (command: string, opts: ExecOptions = {}) => {
      opts.signal?.throwIfAborted();
      if (command.endsWith('python3 -u -')) {
        const question = questionOf(String(opts.stdin));
        commands.push(`${host}: ${String(question.part)} in ${String(question.pod)}`);
        if (question.part === 'serve') return serve(host, opts);
        questions.push(question);
        return ok(await measure(host, opts, String(question.namespace)));
      }
      if (command.includes('python3 - ')) {
        commands.push(`${host}: ${command.split(' ').slice(0, 3).join(' ')}`);
        if (command.includes('"part":"etcd"')) return ok(JSON.stringify({ text: METRICS.join('\n') }));
        if (command.includes('"part":"ways"')) {
          ways.push(JSON.parse(command.replace(/^.*?'|'$/g, '')));
          return ok('[1450]');
        }
        if (command.includes('"birds":')) return ok(JSON.stringify(calicoNodes[host]));
        if (command.includes('"part":"ingress"')) return ok('[{"status":404,"error":null,"tlsError":null}]');
        // kube-proxy of the first node is still at work when it is asked first.
        const isWritten = host !== 'one' || commands.filter((done) => done.startsWith('one: exec python3')).length > 1;
        return ok(JSON.stringify(machine(isWritten ? SERVERS : SERVERS.slice(0, 2))));
      }
      expect(command.startsWith(KUBECTL)).toBe(true);
      const args = command.slice(KUBECTL.length).split(' ');
      commands.push(`${host}: ${args.slice(0, 2).join(' ')}`);
      const all = ['--kubeconfig', join(server.dir, 'admin.conf'), ...args];
      const kubectl = program('kubernetes', 'kubectl');
      const done = await execa(kubectl, all, { input: String(opts.stdin ?? ''), reject: false });
      return { code: done.exitCode, stdout: done.stdout, stderr: done.stderr };
    };
    return { exec, end: () => undefined } as unknown as SshSession;
  });
});
afterEach(() => jest.restoreAllMocks());

type Listed = { metadata: { name: string; namespace?: string; deletionTimestamp?: string } };
/** That nobody has deleted. */
const namespaces = async () => {
  const found = await server.find('/api/v1/namespaces?labelSelector=sitewright.internal/verify');
  return (found!.items as Listed[])
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map(({ metadata }) => metadata.name);
};
const pods = async () => {
  const found = await server.find('/api/v1/pods');
  return (found!.items as Listed[]).filter(({ metadata }) => metadata.namespace!.startsWith('sitewright-'));
};
const lines = ({ findings }: ClusterProbeResult) =>
  findings.map(({ severity, probe, where, message }) => `${severity} ${probe} ${where}: ${message}`);

test('a run: pods on every node, measured one after the other, and gone at the end', async () => {
  const said: string[] = [];
  const result = await probeCluster(asked, { onProgress: (text) => said.push(text) });
  expect(lines(result)).toEqual([]);
  expect(said).toContain('one: kube-proxy has no rule for the Service kube-dns (udp 10.96.0.10:53)');
  expect(result.facts.nodes[0]).toMatchObject({ object: { ready: true }, etcd: { hasLeader: true, quotaBytes: 1000 } });
  expect(commands.filter((command) => command.includes(': exec'))).toEqual([
    ...[
      'one: exec python3 -',
      'two: exec sudo -n',
      'one: exec python3 -',
      'one: exec python3 -',
      'one: exec python3 -',
    ],
  ]);
  const inPods = commands.filter((command) => command.includes(' in '));
  expect(inPods.slice(0, 2).sort()).toEqual(['one: serve in probe-one', 'two: serve in probe-two']);
  expect(inPods.slice(2)).toEqual(['one: measure in probe-one', 'two: measure in probe-two']);
  // Sixteen connections for two pods.
  expect(questions[0]).toMatchObject({
    ...{ node: 'one', mtuBytes: 1500, others: [{ node: 'two', addresses: { ipv4: '192.0.2.1' } }] },
    service: { addresses: { ipv4: expect.stringMatching(/^10\.96\./) }, port: 8080, pods: 2, tries: 16 },
    ...{ crictl: '/usr/local/bin/crictl', crictlSeconds: 60, namespace: expect.stringMatching(/^sitewright-verify-/) },
  });
  expect([await namespaces(), await pods()]).toEqual([[], []]);
});

test('pods that get less: the machines between them are measured, beside what the proof before the cluster gave', async () => {
  const size = (wantedBytes: number) => ({ wantedBytes, largestBytes: wantedBytes });
  const layers = { underlay: size(1500), tunnel: size(1450), megabytesPerSecond: 80 };
  measure = async (node) => {
    const found = { ...measurements(node === 'one' ? 'two' : 'one'), peers: [] };
    if (node === 'one')
      Object.assign(found.sizes[0]!, { full: { ...found.sizes[0]!.full, answered: 0 }, largestBytes: 1400 });
    return JSON.stringify(found);
  };
  const before = [{ from: 'one', to: 'two', family: 'ipv4' as const, ...layers }];
  const { facts, findings } = await probeCluster({ ...asked, before });
  expect(ways).toEqual([
    { part: 'ways', targets: [{ node: 'two', family: 'ipv4', address: '192.0.2.12', bytes: 1500 }] },
  ]);
  expect(facts.paths).toEqual([
    { from: 'one', to: 'two', family: 'ipv4', before: layers, now: { wantedBytes: 1500, largestBytes: 1450 } },
    { from: 'two', to: 'one', family: 'ipv4', before: null, now: null },
  ]);
  expect(findings[0]!.message).toMatch(
    /; the machines carry 1450 bytes now, and 1500 bytes before .*: the network .* has changed/,
  );
});

test('behind each fence there is a pod with its policies; others try to reach it, and it tries what it may and may not', async () => {
  const deny = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'sitewright-default-deny', namespace: 'erp' },
    spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
  };
  const fences: Fence[] = [
    { name: 'ordinary', of: 'namespace erp', policies: [deny], reachesApi: true },
    { name: 'everyone', of: 'namespaces without policies of their own', policies: [], reachesApi: false },
  ];
  let policies: unknown[] = [];
  measure = async (node, _opts, namespace) => {
    const found = { ...measurements(node === 'one' ? 'two' : 'one'), peers: [] };
    if (namespace.startsWith('sitewright-verify-')) {
      const all = await server.find('/apis/networking.k8s.io/v1/networkpolicies');
      policies = (all!.items as { metadata: { name: string; namespace: string } }[]).map(({ metadata }) => [
        metadata.namespace.replace(/[0-9a-f]{8}/, 'run'),
        metadata.name,
      ]);
      return JSON.stringify(found);
    }
    const { reach } = questions.at(-1) as { reach: { name: string; family: 'ipv4' }[] };
    return JSON.stringify({ ...found, reach: reach.map(({ name, family }) => ({ name, family, error: null })) });
  };
  const { facts, findings } = await probeCluster({ ...asked, fences });
  expect(policies).toEqual([['sitewright-fence-run-ordinary', 'sitewright-default-deny']]);
  expect(questions.slice(0, 2)).toMatchObject([
    { reach: [{ name: 'ordinary', port: 8080 }, { name: 'everyone' }] },
    { reach: [{ name: 'ordinary' }, { name: 'everyone' }] },
  ]);
  const tried = ['the API server', 'the pod on two', 'the pod on one'];
  expect(facts.fences).toMatchObject([
    { name: 'ordinary', node: 'two', reach: tried.map((name) => ({ name })) },
    { name: 'everyone', node: 'two' },
  ]);
  expect(findings.map(({ probe, message }) => [probe, message])).toEqual([
    ...tried
      .slice(1)
      .map((name) => ['policy', `ipv4: reaches ${name}, which policy.baseline for namespace erp denies`]),
    ...tried.map((name) => [
      'policy',
      `ipv4: reaches ${name}, which policy.baseline for namespaces without policies of their own denies`,
    ]),
  ]);
  expect([await namespaces(), await pods()]).toEqual([[], []]);
});

test('the ingress controller is asked by another machine than its own, and Ingresses tell what they report', async () => {
  const ingress = (name: string, ingressClassName: string) => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name },
    spec: { ingressClassName, defaultBackend: { service: { name: 'none', port: { number: 80 } } } },
  });
  const path = '/apis/networking.k8s.io/v1/namespaces/default/ingresses';
  for (const [name, ofClass] of [
    ['good', 'nginx'],
    ['bare', 'nginx'],
    ['foreign', 'other'],
  ] as const) {
    await server.done('POST', path, ingress(name, ofClass));
  }
  await server.edit(`${path}/good/status`, { status: { loadBalancer: { ingress: [{ ip: '192.0.2.12' }] } } });
  const probe = { className: 'nginx', targets: [{ node: 'two', addresses: ['192.0.2.12'] }], reported: ['192.0.2.12'] };
  const { facts, findings } = await probeCluster({ ...asked, ingress: probe });
  expect(facts.ingress!.asks).toEqual([
    { from: 'one', node: 'two', address: '192.0.2.12', status: 404, error: null, tlsError: null },
  ]);
  expect(findings.filter((one) => one.probe === 'ingress')).toMatchObject([
    { where: 'default/bare', message: expect.stringMatching(/^reports no address, planned: 192\.0\.2\.12/) },
  ]);
  for (const name of ['good', 'bare', 'foreign']) await server.done('DELETE', `${path}/${name}`);
});

test('Calico: what the API server, BIRD and machines tell', async () => {
  const file = resolve(__dirname, '../../../shared/upstream/calico-v3.32.1/calico.yaml');
  const kinds = ['blockaffinities', 'ippools'].map((kind) => `${kind}.crd.projectcalico.org`);
  const released = parseManifest(file, readFileSync(file, 'utf8'));
  await new DryRun(server).makeKinds(
    released.filter(({ kind, metadata }) => kind === 'CustomResourceDefinition' && kinds.includes(metadata.name)),
  );
  await server.done('POST', '/apis/crd.projectcalico.org/v1/blockaffinities', {
    apiVersion: 'crd.projectcalico.org/v1',
    kind: 'BlockAffinity',
    metadata: { name: 'one-10-244-1-0-26' },
    spec: { node: 'one', cidr: '10.244.1.0/26', state: 'confirmed', deleted: 'false' },
  });
  const link = { device: vethName('default', 'old'), mtuBytes: 1500, podMtuBytes: 1500 };
  await server.done('POST', '/api/v1/namespaces/default/pods', {
    metadata: { name: 'old' },
    spec: { containers: [{ name: 'old', image: 'old:v1' }] },
  });
  const machineSays = (routes: object[], birds: string | null) => ({
    ...{ devices: { tunl0: 1480 }, links: [link], routes, wireguardPeers: null, birds },
  });
  const session = '1002-Mesh BGP\n   BGP state:          Established\n     Neighbor address: 192.0.2.12\n';
  calicoNodes = {
    one: machineSays([], session),
    two: machineSays([{ cidr: '10.244.1.0/26', device: 'tunl0' }], null),
  };
  const calico: CalicoProbe = {
    ...{
      site: 'oslo',
      namespace: 'kube-system',
      encapsulation: { sameSubnet: 'ipip', crossSubnet: 'ipip' },
      families: ['ipv4'],
    },
    ...{ subnets: { one: 'rack1', two: 'rack1' }, devices: [{ name: 'tunl0', mtuBytes: 1480 }], podMtuBytes: 1480 },
    bgp: { addresses: { one: ['192.0.2.11'], two: ['192.0.2.12'] }, reflectors: [], routers: [] },
    objects: [{ apiVersion: 'crd.projectcalico.org/v1', kind: 'IPPool', metadata: { name: 'pool' }, spec: {} }],
  };
  const result = await probeCluster({ ...asked, calico });
  await server.done('DELETE', '/api/v1/namespaces/default/pods/old?gracePeriodSeconds=0');
  expect(result.facts.calico).toMatchObject({ blocks: [{ node: 'one', cidr: '10.244.1.0/26' }], agents: {} });
  const absent = 'calico-node does not run on it: kubectl -n kube-system describe ds/calico-node';
  expect(lines(result)).toEqual([
    'error calico cluster: IPPool pool is gone: `sitewright refresh` and then `up` put it back',
    `error calico one: ${absent}`,
    `error calico two: ${absent}`,
    'error calico two: no BIRD runs on it, planned: 1 BGP sessions',
    ...['one', 'two'].map(
      (name) =>
        `error calico ${name}: 1 pod has another MTU than the planned 1480: 1500 on the node and 1500 in the pod: default/old: ` +
        '`sitewright rollout mtu oslo` makes them anew',
    ),
  ]);
});

test('what a dead run left is removed first; what a live one uses stays', async () => {
  const make = (name: string, runBy: string) => {
    const labels = { 'sitewright.internal/verify': 'run' };
    const metadata = { name, labels, annotations: { 'sitewright.internal/run-by': runBy } };
    return server.done('POST', '/api/v1/namespaces', { metadata });
  };
  // No process has this number: it is above the largest that Linux gives (2^22).
  await make('sitewright-verify-dead', `${hostname()}/4194305`);
  await make('sitewright-verify-live', `${hostname()}/${process.pid}`);
  await make('sitewright-verify-elsewhere', 'another-machine/1');
  const others = ['sitewright-verify-elsewhere', 'sitewright-verify-live'];
  measure = async (node) => {
    expect(await namespaces()).toEqual([...others, expect.stringMatching(/^sitewright-verify-[0-9a-f]{8}$/)].sort());
    return JSON.stringify(measurements(node));
  };
  expect((await probeCluster(asked)).facts.pods).toMatchObject({ measured: [{ node: 'one' }, { node: 'two' }] });
  expect(await namespaces()).toEqual(others);
  for (const name of others) await server.done('DELETE', `/api/v1/namespaces/${name}`);
  await until('the others to go', async () => (await namespaces()).length === 0);
});

test('of another machine it is known by its age', () => {
  const made = (secondsAgo: number) => ({
    creationTimestamp: new Date(Date.now() - secondsAgo * 1000).toISOString(),
    annotations: { 'sitewright.internal/run-by': 'another-machine/1' },
  });
  expect([made(60), made(1000)].map((metadata) => isAbandoned(metadata, 1))).toEqual([false, true]);
  expect(isAbandoned(made(1000), 2)).toBe(false);
});

test('a cancel in the middle removes the pods too', async () => {
  const cancel = new AbortController();
  measure = (_node, { signal }) =>
    new Promise((_resolve, reject) => {
      signal!.addEventListener('abort', () => reject(signal!.reason), { once: true });
      cancel.abort(new Error('cancelled'));
    });
  await expect(probeCluster(asked, { signal: cancel.signal })).rejects.toThrow('cancelled');
  expect(questions).toHaveLength(1);
  expect([await namespaces(), await pods()]).toEqual([[], []]);
});

test('a node that cannot be reached is a finding, and no pod is made there', async () => {
  const connect = jest.mocked(SshSession.connect);
  const reach = connect.getMockImplementation()!;
  connect.mockImplementation(async (to, opts) => {
    if (to.host === 'two') throw new SshRefusedError('admin@two:22', 'nobody listens');
    return reach(to, opts);
  });
  measure = async () => JSON.stringify({ ...measurements('one'), sizes: [], services: [], peers: [] });
  const result = await probeCluster(asked);
  expect(lines(result)).toEqual(['error node-ready two: cannot be asked: admin@two:22: nobody listens']);
  expect(result.facts.pods.measured.map(({ node }) => node)).toEqual(['one']);
  expect(questions).toMatchObject([{ others: [], service: { pods: 1 } }]);
});

test('a pod in which nobody answers, or whose program fails, is told with its reason', async () => {
  serve = async (node, { onStdoutLine }) => {
    if (node === 'two') return { ...ok(''), code: 1, stderr: 'crictl: connection refused\n' };
    onStdoutLine!('listening');
    return new Promise(() => undefined);
  };
  const connect = jest.mocked(SshSession.connect).getMockImplementation()!;
  jest.mocked(SshSession.connect).mockImplementation(async (to, opts) => {
    const session = await connect(to, opts);
    const exec = async (command: string, options: ExecOptions = {}) =>
      /"part\\":\\"measure/.test(String(options.stdin))
        ? { ...ok(''), code: 1, stderr: 'Traceback\nOSError: no such device\n' }
        : session.exec(command, options);
    return { ...session, exec } as unknown as SshSession;
  });
  expect(lines(await probeCluster(asked))).toEqual([
    'error pod-start one: no pod can be probed there: its probe failed: OSError: no such device',
    'error pod-start two: no pod can be probed there: nobody answers in it: crictl: connection refused',
  ]);
  expect([await namespaces(), await pods()]).toEqual([[], []]);
});

test('without a control-plane node nothing can be asked', async () => {
  jest.mocked(SshSession.connect).mockRejectedValue(new SshRefusedError('root@one:22', 'nobody listens'));
  await expect(probeCluster(asked)).rejects.toThrow('no control-plane node can be asked:\none: root@one:22');
});
