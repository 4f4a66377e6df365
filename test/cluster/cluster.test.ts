import * as pulumi from '@pulumi/pulumi';
import { Cluster } from '../../components/cluster/cluster';
import { apiServerUrl } from '../../components/plan/endpoint';
import type { LostMachine, Machine } from '../../components/machines/machine';
import { mintPki, renewAuthorities, type ClusterPki } from '../../components/secrets/pki';
import { recordProgram } from '../support/recordingMonitor';
import { bundle, cluster, controlPlaneNode, vipCluster, workerNode } from './fixtures';

interface Made {
  owned?: boolean;
  incarnation?: string;
  plan?: typeof cluster;
  preview?: boolean;
  protectedRoles?: Machine['role'][];
  /** Another control-plane node and more workers, in these states; `dead` ones are lost. */
  more?: Record<string, 'active' | 'leaving' | 'dead'>;
  /** Something that makes nodes Ready. */
  withNetwork?: boolean;
  keys?: ClusterPki;
}

let pki: ClusterPki;
beforeAll(async () => (pki = await mintPki('oslo', new Date())));

/** A cluster of cp1 and w1, with stand-ins for what comes before it. */
async function record(settings: Made = {}) {
  const {
    owned = true,
    incarnation = 'uuid-1',
    plan = cluster,
    preview = false,
    protectedRoles = ['control-plane', 'worker'],
    more = {},
    withNetwork = false,
    keys = pki,
  } = settings;
  class StandIn extends pulumi.CustomResource {
    constructor(name: string, opts?: pulumi.CustomResourceOptions) {
      super('test:index:StandIn', name, {}, opts);
    }
  }
  const machine = (name: string): Machine => ({
    name,
    role: name.startsWith('cp') ? 'control-plane' : 'worker',
    addresses: ['192.0.2.19/24'],
    nicDriver: null,
    disks: { root: null, etcd: name === 'cp1' ? '/dev/disk/by-id/virtio-etcd' : null },
    bundle: owned ? { device: '/dev/disk/by-id/virtio-bundle' } : { directory: '/var/lib/sitewright/bundles/b1' },
    bundleReady: new StandIn(`bundle-${name}`),
    connection: { host: name, port: 22, user: 'root', privateKey: pulumi.secret('PRIVATE'), hostKey: 'ssh-ed25519 A' },
    ready: new StandIn(`ready-${name}`),
    owner: owned ? new StandIn(`owner-${name}`) : null,
    incarnation,
  });
  let made: Cluster | undefined;
  const resources = await recordProgram(
    () => {
      made = new Cluster('oslo-cluster', {
        site: 'oslo',
        plan,
        nodes: [
          { machine: machine('cp1'), plan: controlPlaneNode, state: 'active' },
          { machine: machine('w1'), plan: workerNode, state: 'active' },
          ...Object.entries(more).flatMap(([name, state]) => {
            const part = name.startsWith('cp') ? 'join-control-plane' : 'join-worker';
            return state === 'dead' ? [] : [{ machine: machine(name), plan: { ...workerNode, part } as const, state }];
          }),
        ],
        lost: Object.keys(more)
          .filter((name) => more[name] === 'dead')
          .map((name): LostMachine => ({ ...machine(name), addresses: ['192.0.2.19'] }))
          .map(({ name, role, addresses, owner }) => ({ name, role, addresses, owner })),
        protectedRoles,
        bundle,
        pki: pulumi.secret(keys),
        snapshotKeyPem: pulumi.output('public key'),
        registryPasswords: {},
        after: [new StandIn('proof')],
        ...(withNetwork
          ? {
              network: (_: Cluster, apiAnswers: pulumi.Resource) => [
                new StandIn('network', { dependsOn: [apiAnswers] }),
              ],
            }
          : {}),
        limitFactor: 2,
      });
    },
    { preview },
  );
  const own = resources.filter(({ type }) => type !== 'test:index:StandIn');
  return {
    made: made!,
    resources: own,
    network: resources.find(({ name }) => name === 'network'),
    named: (end: string) => own.find(({ name }) => name === `oslo-cluster-${end}`)!,
  };
}

describe.each([true, false])('preview: %s', (preview) => {
  test('every node gets its runtime after the proof; the control plane comes next, and then who joins', async () => {
    const { resources, named } = await record({ preview });
    expect(resources.map(({ name, type, parent }) => [name, type, parent])).toEqual([
      ['oslo-cluster', 'sitewright:cluster:Cluster', null],
      ['oslo-cluster-upgrade', 'command:local:Command', 'oslo-cluster'],
      ['oslo-cluster-cp1-runtime', 'command:remote:Command', 'oslo-cluster'],
      ['oslo-cluster-w1-runtime', 'command:remote:Command', 'oslo-cluster'],
      ['oslo-cluster-cp1-control-plane', 'command:remote:Command', 'oslo-cluster'],
      ['oslo-cluster-w1-join', 'command:local:Command', 'oslo-cluster'],
    ]);
    expect(named('upgrade').dependencies).toEqual(expect.arrayContaining(['proof', 'bundle-cp1', 'bundle-w1']));
    expect(named('w1-runtime').dependencies).toEqual(
      expect.arrayContaining(['oslo-cluster-upgrade', 'proof', 'bundle-w1']),
    );
    expect(named('cp1-control-plane').dependencies).toContain('oslo-cluster-cp1-runtime');
    expect(named('w1-join').dependencies).toEqual(
      expect.arrayContaining(['oslo-cluster-cp1-control-plane', 'oslo-cluster-w1-runtime']),
    );
    expect(resources[0]!.outputsRegistered).toBe(true);
  });

  test('everything goes with the machines of the kit; from others it is taken off', async () => {
    const { resources } = await record({ preview });
    const commands = resources.slice(1);
    expect(commands.map(({ deletedWith }) => deletedWith)).toEqual([
      ...['owner-cp1', 'owner-cp1', 'owner-w1'],
      ...['owner-cp1', 'owner-w1'],
    ]);
    expect(commands.some(({ inputs }) => inputs.delete !== undefined)).toBe(false);
    const { named } = await record({ preview, owned: false });
    expect(named('w1-runtime')).toMatchObject({ deletedWith: null });
    expect(named('w1-runtime').inputs.delete).toContain('kubeadm reset');
  });
});

test('renewed authorities run the scripts of every member again, and replace nothing', async () => {
  const [before, after] = [await record(), await record({ keys: await renewAuthorities(pki, new Date()) })];
  const changed = after.resources.filter(
    ({ inputs }, index) => JSON.stringify(inputs) !== JSON.stringify(before.resources[index]!.inputs),
  );
  expect(changed.map(({ name }) => name)).toEqual(['oslo-cluster-cp1-control-plane', 'oslo-cluster-w1-join']);
  for (const { name, inputs } of changed) {
    const old = before.resources.find((one) => one.name === name)!.inputs;
    expect(inputs).toEqual({ ...old, stdin: inputs.stdin });
    expect(inputs).not.toHaveProperty('triggers');
  }
});

test("the pods' network comes when the API answers, and before anything joins", async () => {
  const { made, named, network } = await record({ withNetwork: true });
  expect(network!.dependencies).toEqual(['oslo-cluster-cp1-control-plane']);
  expect(named('w1-join').dependencies).toContain('network');
  expect(made.ready).toHaveLength(3);
  expect((await record()).made.ready).toHaveLength(2);
});

test('control-plane nodes come one after another, and workers need the first one alone', async () => {
  const { made, named } = await record({ more: { cp2: 'active', cp3: 'active' }, plan: vipCluster });
  const after = (end: string) => named(end).dependencies.map((name) => name.replace('oslo-cluster-', ''));
  expect(after('cp2-control-plane')).toEqual(expect.arrayContaining(['cp2-runtime', 'cp1-control-plane']));
  expect(after('cp2-join')).toContain('cp2-control-plane');
  expect(after('cp3-control-plane')).toEqual(expect.arrayContaining(['cp3-runtime', 'cp2-join']));
  expect(after('cp3-join')).toContain('cp3-control-plane');
  expect(after('w1-join').sort()).toEqual(['cp1-control-plane', 'w1-runtime']);
  expect(made.ready).toHaveLength(4);
  const asked = (end: string) =>
    (JSON.parse(named(end).inputs.stdin as string) as { controlPlanes: { host: string }[] }).controlPlanes.map(
      ({ host }) => host,
    );
  expect(asked('w1-join')).toEqual(['cp1', 'cp2', 'cp3']);
  expect(asked('cp2-join')).toEqual(['cp1', 'cp3']);
});

test('keys of the cluster are in nothing but the secret script of the control plane', async () => {
  const { resources, named } = await record();
  for (const { secretInputs } of resources.slice(1)) expect(secretInputs).toContain('stdin');
  const holders = (secret: string) =>
    resources.filter(({ inputs }) => JSON.stringify(inputs).includes(secret)).map(({ name }) => name);
  for (const secret of [pki.ca, pki.etcdCa, pki.frontProxyCa].map(({ privateKey }) => privateKey.split('\n')[1]!))
    expect(holders(secret)).toEqual([named('cp1-control-plane').name]);
  expect(holders(pki.encryptionKeys[0].secret)).toEqual([named('cp1-control-plane').name]);
  expect(holders(pki.admin.privateKey.split('\n')[1]!)).toEqual([]);
});

test('a machine that was made anew runs everything again', async () => {
  const inputs = async (incarnation: string) =>
    (await record({ incarnation })).resources.slice(1).map((one) => one.inputs.stdin);
  const [before, after] = [await inputs('uuid-1'), await inputs('uuid-2')];
  before.forEach((script, index) => expect(after[index]).not.toBe(script));
});

test('what only the API server reads does not run a join again', async () => {
  const plan = { ...cluster, auditPolicy: { kind: 'Policy', rules: [] } };
  const [before, after] = [await record(), await record({ plan })];
  expect(after.named('w1-join').inputs).toEqual(before.named('w1-join').inputs);
  expect(after.named('cp1-control-plane').inputs).not.toEqual(before.named('cp1-control-plane').inputs);
});

describe('members that go', () => {
  const request = async (more: Made['more'], name: string) => {
    const { named } = await record({ more });
    return JSON.parse(String(named(`${name}-leave`).inputs.stdin)) as Record<string, unknown>;
  };

  test('one that leaves has a leave in place of its join, after everybody else has joined; its programs stay', async () => {
    const { resources, named, made } = await record({ more: { w2: 'leaving', w3: 'active' } });
    const ofW2 = resources.filter(({ name }) => name.includes('-w2-')).map(({ name }) => name);
    expect(ofW2).toEqual(['oslo-cluster-w2-runtime', 'oslo-cluster-w2-leave']);
    expect(named('w2-leave')).toMatchObject({ deletedWith: 'owner-w2', secretInputs: ['stdin'] });
    expect(named('w2-leave').dependencies).toEqual(
      expect.arrayContaining(['oslo-cluster-w1-join', 'oslo-cluster-w3-join']),
    );
    expect(made.ready).toHaveLength(1);
  });

  test('one of the control plane gives up the virtual address before the others forget it, and leaves last', async () => {
    const { named, resources } = await record({ more: { cp2: 'active', cp3: 'leaving' }, plan: vipCluster });
    expect(named('cp3-step-down').dependencies).toEqual(['oslo-cluster-cp3-runtime']);
    expect(named('cp1-control-plane').dependencies).toContain('oslo-cluster-cp3-step-down');
    expect(named('cp3-leave').dependencies).toContain('oslo-cluster-cp2-join');
    expect(resources.filter(({ name }) => name.endsWith('-step-down'))).toHaveLength(1);
    const without = await record({ more: { cp2: 'active', cp3: 'leaving', w2: 'leaving' } });
    expect(without.named('cp3-step-down')).toBeUndefined();
  });

  test('what is asked of a worker, of a member of etcd and of a lost machine', async () => {
    expect(await request({ w2: 'leaving' }, 'w2')).toMatchObject({
      kind: 'leave-node',
      target: { host: 'w2' },
      isControlPlane: false,
      controlPlanes: [{ name: 'cp1', target: { host: 'cp1' } }],
      settings: { node: 'w2', addresses: ['192.0.2.19'], drainLimitSeconds: 1200, limitSeconds: 1800 },
    });
    const member = await request({ cp2: 'active', cp3: 'leaving' }, 'cp3');
    expect(member).toMatchObject({ isControlPlane: true, controlPlanes: [{ name: 'cp1' }, { name: 'cp2' }] });
    expect(await request({ cp2: 'dead' }, 'cp2')).toMatchObject({ target: null, isControlPlane: true });
  });

  test('the lost go before anybody joins, and those that leave one after the other', async () => {
    const { named } = await record({ more: { w2: 'leaving', w3: 'leaving', cp2: 'active', cp4: 'dead' } });
    expect(named('cp4-leave').dependencies).toEqual(['oslo-cluster-cp1-control-plane']);
    for (const one of ['w1', 'cp2']) expect(named(`${one}-join`).dependencies).toContain('oslo-cluster-cp4-leave');
    expect(named('w3-leave').dependencies).toContain('oslo-cluster-w2-leave');
    expect(named('cp4-runtime')).toBeUndefined();
  });
});

test('on a machine of others the engine keeps what would take a member apart', async () => {
  const protectedOnes = async (settings: Made) =>
    (await record(settings)).resources.filter(({ protect }) => protect).map(({ name }) => name);
  expect(await protectedOnes({ owned: false })).toEqual(['oslo-cluster-cp1-runtime', 'oslo-cluster-w1-runtime']);
  expect(await protectedOnes({ owned: true })).toEqual([]);
  expect(await protectedOnes({ owned: false, protectedRoles: [] })).toEqual([]);
});

test('the address of the API', () => {
  expect(apiServerUrl(cluster)).toBe('https://192.0.2.11:6443');
  expect(apiServerUrl({ ...cluster, endpoint: { ...cluster.endpoint, address: '2001:db8::1' } })).toBe(
    'https://[2001:db8::1]:6443',
  );
});
