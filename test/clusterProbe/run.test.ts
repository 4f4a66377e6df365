import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import execa from 'execa';
import { probeCluster, type ClusterProbeResult } from '../../components/clusterProbe';
import { isAbandoned } from '../../components/clusterProbe/leftovers';
import { SshRefusedError, SshSession, type ExecOptions, type SshTarget } from '../../components/ssh/session';
import { ApiServer, program, until } from '../plugins/kubernetes/apiServer';
import { FakeKubelet } from '../plugins/kubernetes/fakeKubelet';
import { measurements, request, target } from './fixtures';

/** The course of a run on a real API server with its controllers; nodes and pods are stood in for. */

const at = (host: string): SshTarget => ({ ...target, host });
const asked = request({
  nodes: [
    { name: 'one', role: 'control-plane', target: at('one'), conntrackMax: 131072 },
    { name: 'two', role: 'worker', target: { ...at('two'), user: 'admin' }, conntrackMax: 131072 },
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
  ...{ conntrackMax: 131072, conntrackCount: 5 },
});
const SERVERS = ['TCP  0A600001:01BB', 'TCP  0A60000A:0035', 'UDP  0A60000A:0035'];

let server: ApiServer;
let kubelet: FakeKubelet;
const commands: string[] = [];
const questions: Record<string, unknown>[] = [];
let measure: (node: string, opts: ExecOptions) => Promise<string>;

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
  measure = async (node) => JSON.stringify({ ...measurements(node === 'one' ? 'two' : 'one'), peers: [] });
  jest.spyOn(SshSession, 'connect').mockImplementation(async ({ host }) => {
    const exec = async (command: string, opts: ExecOptions = {}) => {
      opts.signal?.throwIfAborted();
      if (command.includes('python3 - ')) {
        commands.push(`${host}: ${command.split(' ').slice(0, 3).join(' ')}`);
        if (command.includes('"part":"etcd"')) return ok(JSON.stringify({ text: METRICS.join('\n') }));
        // kube-proxy of the first node is still at work when it is asked first.
        const isWritten = host !== 'one' || commands.filter((done) => done.startsWith('one: exec python3')).length > 1;
        return ok(JSON.stringify(machine(isWritten ? SERVERS : SERVERS.slice(0, 2))));
      }
      expect(command.startsWith(KUBECTL)).toBe(true);
      const args = command.slice(KUBECTL.length).split(' ');
      commands.push(`${host}: ${args.slice(0, 2).join(' ')}`);
      if (args[0] === 'exec') {
        questions.push(JSON.parse(String(opts.stdin)) as Record<string, unknown>);
        return ok(await measure(args[4]!.replace('probe-', ''), opts));
      }
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
  return (found!.items as Listed[]).filter(({ metadata }) => metadata.namespace!.startsWith('sitewright-verify-'));
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
    ...['one: exec python3 -', 'two: exec sudo -n', 'one: exec python3 -', 'one: exec python3 -'],
    ...['one: exec -i', 'one: exec -i', 'one: exec python3 -'],
  ]);
  // Sixteen connections for two pods, and what the pod's Python cannot read is not in it.
  expect(questions[0]).toMatchObject({
    ...{ node: 'one', mtuBytes: 1500, others: [{ node: 'two', addresses: { ipv4: '192.0.2.1' } }] },
    service: { addresses: { ipv4: expect.stringMatching(/^10\.96\./) }, port: 8080, pods: 2, tries: 16 },
  });
  expect(JSON.stringify(questions)).not.toMatch(/null|true|false/);
  expect([await namespaces(), await pods()]).toEqual([[], []]);
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

test('a node that cannot be reached is a finding, and without the image no pod is made', async () => {
  const connect = jest.mocked(SshSession.connect);
  const reach = connect.getMockImplementation()!;
  connect.mockImplementation(async (to, opts) => {
    if (to.host === 'two') throw new SshRefusedError('admin@two:22', 'nobody listens');
    return reach(to, opts);
  });
  const result = await probeCluster({ ...asked, toolboxImage: null });
  expect(lines(result)).toEqual([
    'error node-ready two: cannot be asked: admin@two:22: nobody listens',
    'info pod-start cluster: nothing is probed from pods: the bundle of this site has no toolbox image',
  ]);
});

test('without a control-plane node nothing can be asked', async () => {
  jest.mocked(SshSession.connect).mockRejectedValue(new SshRefusedError('root@one:22', 'nobody listens'));
  await expect(probeCluster(asked)).rejects.toThrow('no control-plane node can be asked:\none: root@one:22');
});
