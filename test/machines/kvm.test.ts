import * as pulumi from '@pulumi/pulumi';
import type { DeadMachinePlan } from '../../components/plan/types';
import { KvmMachines, type Machine } from '../../components/machines';
import { stateIdentity } from '../../components/identity';
import { deriveHostKey } from '../../components/secrets/hostKey';
import { recordProgram, UNKNOWN, type RecordedResource } from '../support/recordingMonitor';
import { hostKeySeedBase64, kvmPlan, node, remoteHostKey, secrets, userKey } from './fixtures';

const worker = node('w1', 'worker');
const nodes = [node('cp1', 'control-plane'), { ...worker, kvm: { ...worker.kvm!, hypervisor: 'hv2' } }];

const ROLES: Machine['role'][] = ['control-plane', 'worker'];
const protectedNames = (resources: RecordedResource[]) =>
  resources.filter((resource) => resource.protect).map(({ name }) => name);

const bundle = { id: '12'.repeat(32), isoSha256: '34'.repeat(32) };

/** cp9 was on the hypervisor that is reached over SSH. */
const lost: DeadMachinePlan[] = [
  {
    name: 'cp9',
    role: 'control-plane',
    addresses: ['192.0.2.19'],
    ssh: { host: '192.0.2.19', port: 22, user: 'root', hostKey: null },
    hypervisor: 'hv2',
  },
];

async function record(
  preview: boolean,
  { protectedRoles = ROLES, newState = false, withBundle = false, dead = [] as DeadMachinePlan[] } = {},
) {
  let machines: Machine[] = [];
  const resources = await recordProgram(
    () => {
      machines = new KvmMachines('acme-machines', {
        kvm: kvmPlan,
        nodes,
        dead,
        jump: null,
        stamp: { site: 'acme', id: newState ? stateIdentity('acme', null, {}) : pulumi.output('4b1d') },
        secrets: secrets(),
        protectedRoles,
        sshLimitSeconds: 900,
        ...(withBundle ? { bundle } : {}),
      }).machines;
    },
    { preview },
  );
  return { machines, byName: new Map(resources.map((resource) => [resource.name, resource])), resources };
}

describe.each([true, false])('KvmMachines, preview: %s', (preview) => {
  let byName: Map<string, RecordedResource>;
  let machines: Machine[];
  beforeAll(async () => ({ byName, machines } = await record(preview)));

  test('registers each resource under its parent', () => {
    const rows = [...byName.values()].map(({ name, type, parent }) => `${name} ${type} < ${parent}`).sort();
    expect(rows).toEqual([
      'acme-machines sitewright:machines:KvmMachines < null',
      'acme-machines-cp1 sitewright:machines:KvmMachine < acme-machines',
      'acme-machines-cp1-domain command:local:Command < acme-machines-cp1',
      'acme-machines-cp1-ssh command:local:Command < acme-machines-cp1',
      'acme-machines-hv1 sitewright:machines:KvmHypervisor < acme-machines',
      'acme-machines-hv1-image command:local:Command < acme-machines-hv1',
      'acme-machines-hv2 sitewright:machines:KvmHypervisor < acme-machines',
      'acme-machines-hv2-image command:remote:Command < acme-machines-hv2',
      'acme-machines-w1 sitewright:machines:KvmMachine < acme-machines',
      'acme-machines-w1-domain command:remote:Command < acme-machines-w1',
      'acme-machines-w1-ssh command:local:Command < acme-machines-w1',
    ]);
  });

  test('every component registers its outputs', () => {
    const open = [...byName.values()].filter(({ custom, outputsRegistered }) => !custom && !outputsRegistered);
    expect(open.map(({ name }) => name)).toEqual([]);
  });

  test('a machine comes after the base image of its hypervisor, SSH after the machine', () => {
    expect(byName.get('acme-machines-cp1-domain')!.dependencies).toContain('acme-machines-hv1-image');
    expect(byName.get('acme-machines-w1-domain')!.dependencies).toContain('acme-machines-hv2-image');
    expect(byName.get('acme-machines-cp1-ssh')!.dependencies).toContain('acme-machines-cp1-domain');
    expect(byName.get('acme-machines-cp1-ssh')!.deletedWith).toBe('acme-machines-cp1-domain');
  });

  test('protects the machines, and nothing else', () => {
    expect(protectedNames([...byName.values()])).toEqual(['acme-machines-cp1-domain', 'acme-machines-w1-domain']);
  });

  test('what is secret is secret, and the rest is readable', () => {
    const secretInputs = (name: string) => byName.get(name)!.secretInputs;
    expect(secretInputs('acme-machines-cp1-domain')).toEqual(['stdin']);
    // The id of a machine that is not there is unknown, and so is what contains it; nothing unknown is marked.
    expect(secretInputs('acme-machines-cp1-ssh')).toEqual(preview ? [] : ['stdin']);
    expect(secretInputs('acme-machines-w1-domain')).toEqual(['connection', 'stdin']);
    expect(secretInputs('acme-machines-hv2-image')).toEqual(['connection', 'stdin']);
  });

  test('replaces for what cannot change in place, after deleting', () => {
    const domain = byName.get('acme-machines-cp1-domain')!;
    expect(domain.deleteBeforeReplace).toBe(true);
    expect(domain.inputs.triggers).toEqual([
      'hypervisor hv1',
      'pool default',
      'MAC 52:54:00:12:34:56',
      'etcd disk in pool nvme',
    ]);
    expect(byName.get('acme-machines-w1-domain')!.inputs.triggers).toContain('no etcd disk');
  });

  test('reaches a remote hypervisor with its pinned key', () => {
    expect(byName.get('acme-machines-w1-domain')!.inputs.connection).toMatchObject({
      host: '192.0.2.2',
      hostKey: remoteHostKey,
      privateKey: userKey.privateKey,
    });
  });

  test('offers each machine through the common interface', () => {
    expect(machines.map(({ name, role, nicDriver, disks }) => ({ name, role, nicDriver, disks }))).toEqual([
      {
        name: 'cp1',
        role: 'control-plane',
        nicDriver: 'virtio_net',
        disks: { root: '/dev/disk/by-id/virtio-root', etcd: '/dev/disk/by-id/virtio-etcd' },
      },
      {
        name: 'w1',
        role: 'worker',
        nicDriver: 'virtio_net',
        disks: { root: '/dev/disk/by-id/virtio-root', etcd: null },
      },
    ]);
  });
});

test('before the identity of the state is known, the scripts are unknown', async () => {
  const { byName } = await record(true, { newState: true });
  expect(byName.get('acme-machines-cp1-domain')!.inputs).toMatchObject({ stdin: UNKNOWN, delete: UNKNOWN });
  expect(byName.get('acme-machines-cp1-ssh')!.inputs).toMatchObject({ stdin: UNKNOWN });
});

describe('in an update', () => {
  let byName: Map<string, RecordedResource>;
  beforeAll(async () => ({ byName } = await record(false)));

  test('the request to wait for SSH pins the derived host key and names this making of the machine', () => {
    const request = JSON.parse(byName.get('acme-machines-cp1-ssh')!.inputs.stdin as string);
    expect(request).toEqual({
      kind: 'await-ssh',
      name: 'cp1',
      incarnation: 'id-of-acme-machines-cp1-domain',
      limitSeconds: 900,
      target: {
        host: '192.0.2.11',
        port: 22,
        user: 'sitewright',
        privateKey: userKey.privateKey,
        hostKey: deriveHostKey(hostKeySeedBase64, 'cp1').publicKey,
      },
    });
  });

  test('no private key and no seed is in a delete script or any other plain input', () => {
    const hostKeyLine = deriveHostKey(hostKeySeedBase64, 'cp1').privateKey.split('\n')[2];
    const userKeyLine = userKey.privateKey.split('\n')[2];
    for (const { name, inputs, secretInputs } of byName.values()) {
      const open = JSON.stringify(
        Object.entries(inputs).filter(
          ([key]) => !secretInputs.some((path) => path === key || path.startsWith(`${key}.`)),
        ),
      );
      for (const secret of [hostKeyLine, userKeyLine, hostKeySeedBase64])
        expect(`${name} ${open}`).not.toContain(secret);
    }
    expect(byName.get('acme-machines-cp1-domain')!.inputs.stdin).toContain(hostKeyLine);
  });

  test('a second run of the program gives the same inputs', async () => {
    const again = await record(false);
    for (const [name, { inputs }] of byName) expect(again.byName.get(name)!.inputs).toEqual(inputs);
  });
});

test('the bundle is in the pool of each hypervisor before its machines get it', async () => {
  const { machines, byName } = await record(false, { withBundle: true });
  expect(byName.get('acme-machines-cp1-domain')!.dependencies).toContain('acme-machines-hv1-bundle');
  expect(byName.get('acme-machines-w1-domain')!.dependencies).toContain('acme-machines-hv2-bundle');
  expect(byName.get('acme-machines-hv1-bundle')!.inputs.stdin).toContain(`bundleSha256='${bundle.isoSha256}'`);
  const remote = byName.get('acme-machines-hv2-bundle')!;
  expect(remote.secretInputs).toEqual(['stdin']);
  expect(JSON.parse(remote.inputs.stdin as string)).toMatchObject({
    kind: 'place-bundle-image',
    target: { host: '192.0.2.2', hostKey: remoteHostKey },
    hypervisor: { name: 'hv2', uri: 'qemu:///system', pool: 'default' },
    bundle,
    claim: { site: 'acme', stampId: '4b1d' },
  });
  expect(machines.map((machine) => machine.bundle)).toEqual([
    { device: '/dev/disk/by-id/virtio-bundle' },
    { device: '/dev/disk/by-id/virtio-bundle' },
  ]);
});

test('protects machines of the roles that it is told, and none for a lab', async () => {
  const { resources } = await record(false, { protectedRoles: ['control-plane'] });
  expect(protectedNames(resources)).toEqual(['acme-machines-cp1-domain']);
  expect(protectedNames((await record(false, { protectedRoles: [] })).resources)).toEqual([]);
});

test('the image of the lab is refused where the program did not fill it in', async () => {
  const make = () =>
    recordProgram(
      () =>
        new KvmMachines('lab-machines', {
          kvm: { ...kvmPlan, image: 'lab' },
          nodes: [node('cp1', 'control-plane')],
          dead: [],
          jump: null,
          stamp: { site: 'lab', id: pulumi.output('1') },
          secrets: secrets(),
          protectedRoles: [],
          sshLimitSeconds: 900,
        }),
      { preview: false },
    );
  await expect(make()).rejects.toThrow("the lab's image");
});

test('a lost machine stays in the state as it is: nothing reaches it, and no input of the program counts', async () => {
  const { byName, machines } = await record(false, { dead: lost });
  expect([...byName.keys()].filter((name) => name.includes('cp9'))).toEqual([
    'acme-machines-cp9',
    'acme-machines-cp9-domain',
  ]);
  const domain = byName.get('acme-machines-cp9-domain')!;
  expect(domain).toMatchObject({ ignoreChanges: ['*'], protect: true, type: 'command:remote:Command' });
  expect(byName.get('acme-machines-cp9')!.type).toBe(byName.get('acme-machines-cp1')!.type);
  expect(String(domain.inputs.stdin)).toContain('delete its lines');
  expect(machines.map(({ name }) => name)).toEqual(['cp1', 'w1']);
});
