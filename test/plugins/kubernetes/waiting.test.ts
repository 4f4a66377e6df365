import * as k8s from '@pulumi/kubernetes';
import type { EngineEvent } from '@pulumi/pulumi/automation';
import { until } from './apiServer';
import { useCluster } from './harness';

const cluster = useCluster('waiting');

const labels = { app: 'web' };
const template = { metadata: { labels }, spec: { containers: [{ name: 'web', image: 'bundle.invalid/web:1' }] } };
const deploymentArgs = {
  metadata: { name: 'web' },
  spec: { replicas: 2, selector: { matchLabels: labels }, template },
};
const pods = '/api/v1/namespaces/default/pods';

/** Does for the pods that there are what a scheduler and a kubelet would do; it can be told to start none. */
const kubelet = { starts: true, running: true, finished: Promise.resolve() };
const podStatus = {
  phase: 'Running',
  podIP: '10.0.0.9',
  conditions: ['Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({ type, status: 'True' })),
};

async function attend(pod: {
  metadata: Record<string, string>;
  spec: Record<string, string>;
  status: Record<string, string>;
}) {
  const path = `${pods}/${pod.metadata.name}`;
  if (pod.metadata.deletionTimestamp) await cluster.server.done('DELETE', path, { gracePeriodSeconds: 0 });
  else if (!kubelet.starts || pod.status.phase !== 'Pending') return;
  else if (!pod.spec.nodeName) {
    const binding = { metadata: { name: pod.metadata.name }, target: { kind: 'Node', name: 'n1' } };
    await cluster.server.done('POST', `${path}/binding`, binding);
  } else await cluster.server.edit(`${path}/status`, { status: podStatus }, 'kubelet');
}

beforeAll(async () => {
  await cluster.server.done('POST', '/api/v1/nodes', { metadata: { name: 'n1' } });
  kubelet.finished = (async () => {
    while (kubelet.running) {
      const list = await cluster.server.find(pods).catch(() => undefined);
      // A pod may have gone, or have been changed, since the list was made: the next round sees it.
      for (const pod of list?.items ?? []) await attend(pod).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  })();
});
beforeEach(() => (kubelet.starts = true));
afterAll(async () => {
  kubelet.running = false;
  await kubelet.finished;
});

const lines = (events: EngineEvent[]) =>
  events.flatMap((event) => event.diagnosticEvent?.message.replace(/<[^>]*>/g, '').trim() ?? []);

test('a rollout and the endpoints of a Service are waited for, and what is waited for is shown', async () => {
  const program = (replicas: number) => async () => {
    const opts = { provider: cluster.provider() };
    const args = { ...deploymentArgs, spec: { ...deploymentArgs.spec, replicas } };
    const deployment = new k8s.apps.v1.Deployment('web', args, opts);
    const service = new k8s.core.v1.Service('web', { spec: { selector: labels, ports: [{ port: 80 }] } }, opts);
    return { available: deployment.status.availableReplicas, address: service.spec.clusterIP };
  };
  const made = await cluster.stack.up(program(2));
  expect(made.outputs).toEqual({ available: 2, address: expect.stringMatching(/^10\.96\./) });
  expect(lines(made.events).join('\n')).toMatch(/of 2 replicas updated|deployment controller/);
  const scaled = await cluster.stack.up(program(3));
  expect(scaled.changes).toEqual({ same: 3, update: 1 });
  expect(scaled.outputs.available).toBe(3);
  await cluster.stack.stack.destroy();
  expect((await cluster.server.find(pods))!.items).toEqual([]);
});

test('a rollout over its time is an error that says why, is recorded, and goes on in the next run', async () => {
  const program = (annotations: Record<string, string>, create: string) => async () => {
    const args = { ...deploymentArgs, metadata: { name: 'web', annotations } };
    new k8s.apps.v1.Deployment('web', args, {
      provider: cluster.provider(),
      customTimeouts: { create, update: create },
    });
  };
  kubelet.starts = false;
  const said = await cluster.stack.upFails(program({}, '6s'));
  expect(said).toContain('Deployment default/web is there, but it is not ready');
  expect(said).toContain('not finished within its time limit of 6 s');
  expect(said).toContain('0 available');

  // A refresh does not make a broken object a good one.
  expect((await cluster.stack.refresh()).said).toContain('it is not ready');
  kubelet.starts = true;
  expect((await cluster.stack.up(program({}, '120s'))).changes).toEqual({ same: 2, update: 1 });
  expect((await cluster.stack.up(program({}, '120s'))).changes).toEqual({ same: 3 });
  await cluster.stack.stack.destroy();

  kubelet.starts = false;
  const skipped = await cluster.stack.up(program({ 'pulumi.com/skipAwait': 'true' }, '6s'));
  expect(skipped.changes).toEqual({ create: 3 });
});

test('a DaemonSet, a Pod and a Job are waited for; a Job that failed is not', async () => {
  const program = async () => {
    const opts = { provider: cluster.provider() };
    // The node is not ready, and only who says so is put there.
    const spec = { ...template.spec, tolerations: [{ operator: 'Exists' }] };
    const everywhere = { selector: { matchLabels: labels }, template: { ...template, spec } };
    const set = new k8s.apps.v1.DaemonSet('agent', { spec: everywhere }, opts);
    const pod = new k8s.core.v1.Pod('single', { spec: template.spec }, opts);
    return { available: set.status.numberAvailable, phase: pod.status.phase };
  };
  const made = await cluster.stack.up(program);
  expect(made.outputs).toEqual({ available: 1, phase: 'Running' });
  await cluster.stack.stack.destroy();

  const said = await cluster.stack.upFails(async () => {
    const spec = { ...template.spec, restartPolicy: 'Never' };
    const args = { metadata: { name: 'job' }, spec: { activeDeadlineSeconds: 1, template: { spec } } };
    new k8s.batch.v1.Job('job', args, { provider: cluster.provider() });
  });
  expect(said).toContain('the job failed');
});

test('a delete waits until the object is gone, says for which finalizers, and has a limit', async () => {
  const map = '/api/v1/namespaces/default/configmaps/held';
  const program = (remove: string) => async () => {
    const metadata = { name: 'held', finalizers: ['example.com/backup'] };
    const opts = { provider: cluster.provider(), customTimeouts: { delete: remove } };
    new k8s.core.v1.ConfigMap('held', { metadata }, opts);
  };
  await cluster.stack.up(program('2s'));
  const said = await cluster.stack.upFails(async () => void cluster.provider());
  expect(said).toContain('ConfigMap default/held is to be deleted, but it is still there');
  expect(said).toContain('waiting for its finalizers: example.com/backup');

  // The limit of a delete is the recorded one; a restart of the API server takes longer than two seconds.
  await cluster.stack.up(program('600s'));
  const finished = cluster.stack.stack.destroy();
  await until('the deletion', async () => (await cluster.server.find(map))?.metadata.deletionTimestamp !== undefined);
  // An API server that is restarted in between is waited for.
  await cluster.server.pause();
  await cluster.server.resume();
  await cluster.server.edit(map, { metadata: { finalizers: null } });
  await finished;
  expect(await cluster.server.find(map)).toBeUndefined();
});

test('objects find a namespace that is made at the same time, and it is gone when its delete is done', async () => {
  await cluster.stack.up(async () => {
    const opts = { provider: cluster.provider() };
    new k8s.core.v1.ConfigMap('inside', { metadata: { name: 'inside', namespace: 'late' } }, opts);
    new k8s.core.v1.Namespace('late', { metadata: { name: 'late' } }, opts);
  });
  expect(await cluster.server.find('/api/v1/namespaces/late/configmaps/inside')).toBeDefined();
  await cluster.stack.stack.destroy();
  expect(await cluster.server.find('/api/v1/namespaces/late')).toBeUndefined();
});

test('cancelling ends a wait; what was made is recorded', async () => {
  kubelet.starts = false;
  const program = async () => void new k8s.apps.v1.Deployment('web', deploymentArgs, { provider: cluster.provider() });
  const aborter = new AbortController();
  const running = cluster.stack.stack.up({
    program,
    signal: aborter.signal,
    onEvent: (event) => {
      if (/replicas updated/.test(event.diagnosticEvent?.message ?? '')) aborter.abort();
    },
  });
  await expect(running).rejects.toThrow();
  const { deployment } = await cluster.stack.stack.exportStack();
  expect(deployment.resources.map((resource: { id?: string }) => resource.id)).toContain('default/web');
});
