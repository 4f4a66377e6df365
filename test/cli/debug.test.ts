import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import execa from 'execa';
import { asRoot, Kubectl } from '../../components/clusterProbe/kubectl';
import type { ExecOptions, SshSession } from '../../components/ssh/session';
import { startDebug, type DebugTarget } from '../../scripts/cli/debugContainer';
import { ApiServer, program, until } from '../plugins/kubernetes/apiServer';
import { FakeKubelet } from '../plugins/kubernetes/fakeKubelet';
import { TestKit } from './kit';

/* eslint-disable @typescript-eslint/no-explicit-any */

/** What `sitewright debug` makes and takes away, on a real API server; kubelet's reports are stood in for. */

const IMAGE = 'bundle.sitewright.internal/toolbox:bookworm';
let server: ApiServer;
let kubelet: FakeKubelet;
/** Commands that were run in containers: nobody runs them here. */
const inside: string[][] = [];
const said: string[] = [];

const session = {
  async exec(command: string, opts: ExecOptions = {}) {
    opts.signal?.throwIfAborted();
    const args = command.replace(/^exec \S+ --kubeconfig \S+ /, '').split(' ');
    if (args[0] === 'exec') {
      inside.push(args);
      return { code: 0, stdout: '', stderr: '' };
    }
    const all = ['--kubeconfig', join(server.dir, 'admin.conf'), ...args];
    const input = String(opts.stdin ?? '');
    const done = await execa(program('kubernetes', 'kubectl'), all, { input, reject: false });
    return { code: done.exitCode, stdout: done.stdout, stderr: done.stderr };
  },
} as unknown as SshSession;
const kubectl = new Kubectl(session, (command) => asRoot({ user: 'root' }, command));

beforeAll(async () => {
  server = await ApiServer.start();
  server.startControllers();
  writeFileSync(join(server.dir, 'admin.conf'), server.kubeconfig(), { mode: 0o600 });
  kubelet = new FakeKubelet(server, null, ['one', 'two']);
  for (const [name, level] of Object.entries({ shop: 'privileged', safe: 'baseline', safest: 'restricted' })) {
    const labels = { 'pod-security.kubernetes.io/enforce': level };
    await server.done('POST', '/api/v1/namespaces', { metadata: { name, labels } });
    await makePod(name, 'web', level === 'restricted');
  }
  await until('the pods', async () => (await podOf('safest', 'web')).status.phase === 'Running');
});
afterAll(async () => {
  await kubelet?.stop();
  await server?.stop();
});
beforeEach(() => {
  inside.length = 0;
  said.length = 0;
});

async function makePod(namespace: string, name: string, restricted = false) {
  const securityContext = restricted
    ? { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] }, runAsNonRoot: true, runAsUser: 1000 }
    : {};
  const containers = [{ name: 'web', image: 'web', securityContext }];
  const spec = { containers, nodeName: 'two', securityContext: { seccompProfile: { type: 'RuntimeDefault' } } };
  await server.done('POST', `/api/v1/namespaces/${namespace}/pods`, { metadata: { name }, spec });
}

const podOf = async (namespace: string, name: string): Promise<any> =>
  server.find(`/api/v1/namespaces/${namespace}/pods/${name}`);
const nodePods = async (): Promise<any[]> =>
  (await server.find('/api/v1/namespaces/kube-system/pods?labelSelector=sitewright.internal/debug'))!.items;

/** Does to the containers of sessions what a kubelet reports, until the work is over. */
async function reporting<T>(state: object, work: Promise<T>): Promise<T> {
  let over = false;
  const report = (async () => {
    while (!over) {
      const pods = ((await server.find('/api/v1/pods'))?.items ?? []) as any[];
      for (const { metadata, spec } of pods) {
        const path = `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}/status`;
        const status = ({ name }: any) => ({ name, image: 'i', imageID: '', ready: false, restartCount: 0, state });
        const isNode = metadata.labels?.['sitewright.internal/debug'] === 'node';
        const ephemeral = (spec.ephemeralContainers ?? []).map(status);
        const containerStatuses = isNode ? spec.containers.map(status) : undefined;
        if (ephemeral.length + (containerStatuses?.length ?? 0) === 0) continue;
        const patch = { status: { ephemeralContainerStatuses: ephemeral, containerStatuses } };
        await server.edit(path, patch).catch(() => undefined);
      }
      await new Promise((next) => setTimeout(next, 200));
    }
  })();
  return work.finally(async () => {
    over = true;
    await report;
  });
}

const start = (target: DebugTarget, signal = new AbortController().signal, limitFactor = 1) =>
  startDebug(kubectl, target, { image: IMAGE, limitFactor, signal, say: (text) => said.push(text) });
const RUNNING = { running: {} };

test('a pod gets one container more for every session, in its own network, from the image of the bundle', async () => {
  const target = { pod: 'web', namespace: 'shop' };
  const first = await reporting(RUNNING, start(target));
  const second = await reporting(RUNNING, start(target));
  const { ephemeralContainers, containers } = (await podOf('shop', 'web')).spec;
  expect(ephemeralContainers.map(({ name }: any) => name)).toEqual([first.container, second.container]);
  expect(ephemeralContainers[1]).toMatchObject({
    ...{ image: IMAGE, imagePullPolicy: 'Never' },
    securityContext: { runAsUser: 0, capabilities: { add: ['NET_ADMIN', 'NET_RAW'] } },
  });
  expect(containers).toHaveLength(1);
  await first.end(kubectl);
  expect(inside).toEqual([expect.arrayContaining(['-n', 'shop', 'web', '-c', first.container])]);
});

test('where the namespace allows no NET_ADMIN it goes without, and says what that means', async () => {
  const { container } = await reporting(RUNNING, start({ pod: 'web', namespace: 'safe' }));
  const [made] = (await podOf('safe', 'web')).spec.ephemeralContainers;
  expect(made).toMatchObject({ name: container, securityContext: { runAsUser: 0 } });
  expect(made.securityContext.capabilities).toBeUndefined();
  expect(said).toContainEqual(expect.stringContaining('conntrack does not'));
});

test("what is refused is refused in the cluster's own words", async () => {
  await expect(start({ pod: 'web', namespace: 'safest' })).rejects.toThrow(/violates PodSecurity "restricted/);
  await expect(start({ pod: 'nobody', namespace: 'shop' })).rejects.toThrow('pods "nobody" not found');
  await makePod('shop', 'over');
  await until('it runs', async () => (await podOf('shop', 'over')).status.phase === 'Running');
  await server.edit('/api/v1/namespaces/shop/pods/over/status', { status: { phase: 'Failed' } });
  await expect(start({ pod: 'over', namespace: 'shop' })).rejects.toThrow('shop/over is Failed: only a running');
});

test("a node gets a privileged pod in its network, with the node's files, and loses it again", async () => {
  const made = await reporting(RUNNING, start({ node: 'one' }));
  const [{ spec }] = await nodePods();
  expect(spec).toMatchObject({
    ...{ nodeName: 'one', hostNetwork: true, hostPID: true, restartPolicy: 'Never' },
    containers: [{ image: IMAGE, imagePullPolicy: 'Never', securityContext: { privileged: true } }],
    volumes: [{ hostPath: { path: '/' } }],
  });
  await made.end(kubectl);
  expect(await nodePods()).toEqual([]);
});

test('of earlier sessions those go that are over', async () => {
  const [old, live] = [
    await reporting(RUNNING, start({ node: 'one' })),
    await reporting(RUNNING, start({ node: 'two' })),
  ];
  await server.edit(`/api/v1/namespaces/kube-system/pods/${old.pod}/status`, { status: { phase: 'Failed' } });
  const mine = await reporting(RUNNING, start({ node: 'one' }));
  await until('the old one is gone', async () => (await nodePods()).length === 2);
  expect((await nodePods()).map(({ metadata }) => metadata.name).sort()).toEqual([mine.pod, live.pod].sort());
  for (const each of [mine, live]) await each.end(kubectl);
});

test('a container that cannot start is no session: the pod of the node goes again', async () => {
  const state = { waiting: { reason: 'ErrImageNeverPull' } };
  await expect(reporting(state, start({ node: 'two' }))).rejects.toThrow('the toolbox image is not on two');
  await until('its pod is gone', async () => (await nodePods()).length === 0);
  const ended = { terminated: { exitCode: 1, reason: 'StartError', message: 'no bash' } };
  await expect(reporting(ended, start({ node: 'two' }))).rejects.toThrow(/ended: StartError: no bash$/);
  await expect(
    reporting({ waiting: { reason: 'Creating' } }, start({ node: 'two' }, undefined, 0.02)),
  ).rejects.toThrow();
});

test('Ctrl-C while it waits leaves nothing', async () => {
  const cancel = new AbortController();
  const started = start({ node: 'one' }, cancel.signal);
  const outcome = expect(started).rejects.toThrow(/aborted/);
  await until('its pod', async () => (await nodePods()).length === 1);
  await until('it waits', () => said.length > 0);
  cancel.abort();
  await outcome;
  await until('its pod is gone', async () => (await nodePods()).length === 0);
});

describe('the command line', () => {
  let kit: TestKit;
  beforeAll(() => {
    kit = new TestKit();
    for (const [site, from] of Object.entries({ built: 'source', released: 'upstream' })) {
      kit.writeSite(site, clusterSite(site, from));
    }
    kit.writeSite('machines', clusterSite('machines', 'source').replace(/^kubernetes:[^]*/m, ''));
  });
  afterAll(() => kit?.remove());
  const run = (...args: string[]) => kit.run(['debug', ...args]);

  test('a machine of the site is a node, anything else a pod, and either can be said', () => {
    const target = (...args: string[]) => JSON.parse(run('built', ...args, '--json').stdout).target;
    expect(target('cp1')).toEqual({ node: 'cp1' });
    expect(target('web')).toEqual({ pod: 'web', namespace: 'default' });
    expect(target('pod/cp1', '-n', 'shop')).toEqual({ pod: 'cp1', namespace: 'shop' });
    expect(target('cp1', '-n', 'shop')).toEqual({ pod: 'cp1', namespace: 'shop' });
    expect(target('node/cp1')).toEqual({ node: 'cp1' });
  });

  test('a bundle without a toolbox image leaves it to the tools of the machines', () => {
    const { image, target } = JSON.parse(run('released', 'web', '--json').stdout);
    expect({ image, target }).toEqual({ image: null, target: { pod: 'web', namespace: 'default' } });
    expect(JSON.parse(run('built', 'web', '--json').stdout).image).toBe(IMAGE);
  });

  test.each([
    [['built', 'node/cp9'], /^built has no machine cp9; it has cp1$/m],
    [['built', 'node/cp1', '-n', 'shop'], /^--namespace shop: a node is in none$/m],
    [['built', 'we b', '-n', 'Sh op'], /we b is no name of a pod[^]*--namespace Sh op: it is no name/],
    [['machines', 'cp1'], /^machines has no cluster: its site file names no kubernetes.version$/m],
  ])('%j is bad input', (args, message) => {
    expect(run(...args)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(message) });
  });
});

const clusterSite = (name: string, from: string) => `name: ${name}
extends: base
environment: staging
kit: ^0.1.0
underlay:
  subnets:
    - name: nodes
      cidrs: [10.20.0.0/24]
      gateways: [10.20.0.1]
  dns: { servers: [10.20.0.1] }
  ntp: { servers: [10.20.0.1] }
machines:
  provider: existing
  ssh: { user: sitewright }
  defaults: null
  nodes:
    - name: cp1
      role: control-plane
      addresses: [10.20.0.11/24]
      ssh: { hostKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKVs7e4Bc2Z3JzC5H9bCzyOV3rbCXGzDqJGCqvbDWcAC }
network:
  podCidrs: [10.244.0.0/16]
  serviceCidrs: [10.96.0.0/12]
  cni: routes
kubernetes:
  version: 1.36.1
artifacts:
  from: ${from}
`;
