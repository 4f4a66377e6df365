import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { ADMIN_KUBECTL } from '../../components/clusterProbe/kubectl';
import { objectsOf, readObjects } from '../../components/drift/objects';
import { ApiServer, program } from '../plugins/kubernetes/apiServer';

/** kubectl of the bundle against a real API server, in place of a control-plane node. */
let api: ApiServer;
let kubectl: string;
beforeAll(async () => {
  api = await ApiServer.start();
  const kubeconfig = path.join(api.dir, 'kubeconfig');
  fs.writeFileSync(kubeconfig, api.kubeconfig());
  kubectl = `${program('kubernetes', 'kubectl')} --kubeconfig ${kubeconfig}`;
}, 240_000);
afterAll(() => api?.stop());

function run(command: string, stdin: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((done) => {
    const child = spawn('bash', ['-c', command.replace(ADMIN_KUBECTL, kubectl)]);
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (text) => (stdout += text));
    child.stderr.on('data', (text) => (stderr += text));
    child.on('close', (code) => done({ code, stdout, stderr }));
    child.stdin.end(stdin);
  });
}
const session = { exec: (command: string, { stdin }: { stdin: string }) => run(command, stdin) };

const state = [
  {
    urn: 'urn:1',
    type: 'kubernetes:core/v1:ConfigMap',
    inputs: {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'coredns', namespace: 'default', annotations: { 'pulumi.com/patchForce': 'true' } },
      data: { Corefile: '.:53 {\n}\n', other: 'a' },
    },
  },
  {
    urn: 'urn:2',
    type: 'kubernetes:apps/v1:DaemonSet',
    inputs: {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'kube-proxy', namespace: 'default' },
      spec: {
        selector: { matchLabels: { app: 'kube-proxy' } },
        template: {
          metadata: { labels: { app: 'kube-proxy' } },
          spec: {
            containers: [{ name: 'kube-proxy', image: 'kube-proxy:v1', resources: { limits: { cpu: '1000m' } } }],
          },
        },
      },
    },
  },
  {
    urn: 'urn:3',
    type: 'kubernetes:core/v1:Secret',
    inputs: {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'key', namespace: 'default' },
      stringData: { '4dabf18193072939515e22adb298388d': '1b47061264138c4ac30d75fd1eb44270', ciphertext: 'x' },
    },
  },
  { urn: 'urn:4', type: 'command:remote:Command', inputs: { stdin: 'x' } },
];
const objects = objectsOf(state);
const read = async () =>
  (await readObjects(session, (command) => command, objects, 'oslo', { timeoutSeconds: 60 })).map(
    ({ where, what, wanted, found }) => `${where}: ${what} | ${wanted} | ${found}`,
  );
const apply = async () =>
  expect(
    await run(
      `${ADMIN_KUBECTL} apply --server-side --force-conflicts --field-manager=engine -f -`,
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }),
    ),
  ).toMatchObject({ code: 0 });

test('only objects of the cluster are taken, without notes to the engine and without secrets', () => {
  expect(objects.map(({ kind }) => kind)).toEqual(['ConfigMap', 'DaemonSet', 'Secret']);
  expect(JSON.stringify(objects)).not.toMatch(/pulumi.com|ciphertext/);
});

test('what a hand changed or took away is found; defaults and other people’s fields are no difference', async () => {
  await apply();
  expect(await read()).toEqual([]);
  const by = (args: string) => run(`${ADMIN_KUBECTL} -n default ${args}`, '');
  await by(`annotate configmap coredns seen=yes`);
  expect(await read()).toEqual([]);
  await by(`patch configmap coredns --type merge -p '{"data":{"other":"b"}}'`);
  await by(`set image daemonset/kube-proxy kube-proxy=kube-proxy:v2`);
  await by(`delete secret key`);
  expect((await read()).sort()).toEqual([
    'oslo: ConfigMap default/coredns |  | other: b',
    'oslo: ConfigMap default/coredns | other: a | ',
    'oslo: DaemonSet default/kube-proxy |  | - image: kube-proxy:v2',
    'oslo: DaemonSet default/kube-proxy | - image: kube-proxy:v1 | ',
    'oslo: Secret default/key | the object | absent',
  ]);
  // A dry run: what was found is still so.
  expect((await by(`get secret key`)).code).toBe(1);
  await apply();
  expect(await read()).toEqual([]);
  await by(`delete configmap coredns`);
  expect(await read()).toEqual(['oslo: ConfigMap default/coredns | the object | absent']);
  await apply();
  expect(await read()).toEqual([]);
}, 240_000);
