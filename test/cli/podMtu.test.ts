import { vethName } from '../../components/clusterProbe/calicoRead';
import { KubectlError, type Kubectl } from '../../components/clusterProbe/kubectl';
import { restartPod, stalePods, type Pod, type StalePod } from '../../scripts/cli/podMtu';

const ready = [{ type: 'Ready', status: 'True' }];

function pod(namespace: string, name: string, more: { owner?: string; kind?: string; host?: boolean } = {}): Pod {
  const { owner = 'web-1', kind = 'ReplicaSet', host = false } = more;
  return {
    metadata: {
      ...{ namespace, name, uid: `uid of ${name}` },
      ownerReferences: owner === '' ? [] : [{ kind, name: owner, uid: `uid of ${owner}`, controller: true }],
    },
    spec: { nodeName: 'w1', hostNetwork: host },
    status: { phase: 'Running', conditions: ready },
  };
}

const link = (namespace: string, name: string, mtu: number) => ({ ifname: vethName(namespace, name), mtu });

test('the name of a veth is the one that Calico makes', () => {
  // What sha1sum says of shop.web-7d9c and a.b.
  expect(vethName('shop', 'web-7d9c')).toBe('calic3bcf78e00f');
  expect(vethName('a', 'b')).toBe('cali69f6642c9d7');
});

test('pods with another MTU: not those of the node, not ended ones, not those that have the planned one', () => {
  const ended = { ...pod('shop', 'done'), status: { phase: 'Succeeded' } };
  const pods = [
    pod('shop', 'web-b'),
    pod('shop', 'web-a'),
    pod('kube-system', 'proxy', { host: true }),
    pod('shop', 'new'),
    pod('shop', 'bare', { owner: '' }),
    pod('shop', 'job', { kind: 'Job' }),
    ended,
  ];
  const links = {
    w1: [
      { ifname: 'eth0', mtu: 1500 },
      link('shop', 'web-a', 1480),
      link('shop', 'web-b', 1480),
      link('shop', 'new', 1450),
      link('shop', 'bare', 1480),
      link('shop', 'job', 1480),
      link('shop', 'done', 1480),
    ],
  };
  const found = stalePods(pods, links, 1450);
  expect(found.map(({ pod: { metadata }, mtuBytes, owner }) => [metadata.name, mtuBytes, owner?.name ?? null])).toEqual(
    [
      ['bare', 1480, null],
      ['job', 1480, null],
      ['web-a', 1480, 'web-1'],
      ['web-b', 1480, 'web-1'],
    ],
  );
});

/** A cluster with one workload: an evicted pod is replaced by one that is ready at the second look. */
class FakeCluster {
  pods = [pod('shop', 'web-a'), pod('shop', 'web-b')];
  /** Evictions that the budget still refuses. */
  refusals = 0;
  readonly calls: string[] = [];
  private looks = 0;

  run(args: string[], { stdin }: { stdin?: string }): Promise<string> {
    const name = args[2].split('/')[6];
    this.calls.push(`evict ${name}`);
    if (this.refusals-- > 0) {
      const message = `Error from server (TooManyRequests): Cannot evict pod as it would violate the pod's disruption budget.`;
      return Promise.reject(new KubectlError(message));
    }
    expect(JSON.parse(stdin!)).toMatchObject({
      kind: 'Eviction',
      deleteOptions: { preconditions: { uid: `uid of ${name}` } },
    });
    const made = pod('shop', `${name}-new`);
    this.pods = [...this.pods.filter(({ metadata }) => metadata.name !== name), { ...made, status: {} }];
    return Promise.resolve('');
  }

  json(): Promise<{ items: Pod[] }> {
    const waiting = this.pods.find(({ status }) => status.conditions === undefined);
    if (waiting !== undefined && ++this.looks === 2) waiting.status = { conditions: ready };
    this.calls.push(`look ${this.pods.filter(({ status }) => status.conditions).length}`);
    return Promise.resolve({ items: this.pods });
  }
}

const stale = (name: string): StalePod => {
  const one = pod('shop', name);
  return { pod: one, mtuBytes: 1480, owner: one.metadata.ownerReferences![0] };
};

const restart = (cluster: FakeCluster, limitSeconds: number, said: string[] = []) =>
  restartPod(cluster as unknown as Kubectl, stale('web-a'), {
    ...{ limitSeconds, signal: new AbortController().signal, pollMilliseconds: 1 },
    say: (text) => said.push(text),
  });

test('one pod is evicted, and the next comes only when as many are ready as before', async () => {
  const cluster = new FakeCluster();
  await restart(cluster, 60);
  expect(cluster.calls).toEqual(['look 2', 'evict web-a', 'look 1', 'look 2']);
});

test('a budget is waited for, and told once', async () => {
  const cluster = new FakeCluster();
  cluster.refusals = 3;
  const said: string[] = [];
  await restart(cluster, 60, said);
  expect(said).toEqual(['shop/web-a: waits for its PodDisruptionBudget']);
  expect(cluster.calls.filter((call) => call.startsWith('evict'))).toHaveLength(4);
});

test('a budget that never allows it ends with its name and changes nothing', async () => {
  const cluster = new FakeCluster();
  cluster.refusals = 1_000_000;
  await expect(restart(cluster, 0.05)).rejects.toThrow(
    'shop/web-a: its PodDisruptionBudget did not let it go within 0.05 s',
  );
  expect(cluster.pods.map(({ metadata }) => metadata.name)).toEqual(['web-a', 'web-b']);
});
