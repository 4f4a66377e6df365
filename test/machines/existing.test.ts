import { ExistingMachines, type Machine } from '../../components/machines';
import { recordProgram } from '../support/recordingMonitor';
import { node, remoteHostKey, secrets, userKey } from './fixtures';

const existing = node('n1', 'worker', {
  kvm: null,
  interface: { ...node('n1', 'worker').interface, mac: null, driver: null },
  ssh: { host: '192.0.2.11', port: 2222, user: 'ops', hostKey: remoteHostKey },
});
const jump = { host: '192.0.2.1', port: 22, user: 'hop', hostKey: remoteHostKey };

test.each([true, false])('makes nothing but the wait for SSH, preview: %s', async (preview) => {
  let machines: Machine[] = [];
  const resources = await recordProgram(
    () => {
      machines = new ExistingMachines('acme-machines', {
        nodes: [existing],
        jump,
        secrets: secrets(),
        sshLimitSeconds: 900,
      }).machines;
    },
    { preview },
  );
  expect(resources.map(({ name, type, parent, protect }) => ({ name, type, parent, protect }))).toEqual([
    { name: 'acme-machines', type: 'sitewright:machines:ExistingMachines', parent: null, protect: false },
    { name: 'acme-machines-n1-ssh', type: 'command:local:Command', parent: 'acme-machines', protect: false },
  ]);
  expect(resources[0].outputsRegistered).toBe(true);
  expect(resources[1].secretInputs).toEqual(['stdin']);
  expect(JSON.parse(resources[1].inputs.stdin as string)).toMatchObject({
    kind: 'await-ssh',
    target: {
      host: '192.0.2.11',
      port: 2222,
      user: 'ops',
      hostKey: remoteHostKey,
      jump: { host: '192.0.2.1', user: 'hop', privateKey: userKey.privateKey },
    },
  });
  expect(machines[0]).toMatchObject({ name: 'n1', owner: null, disks: { root: null, etcd: null }, nicDriver: null });
});

test('each machine gets a copy of the bundle once SSH answers, two at a time', async () => {
  const names = ['n1', 'n2', 'n3', 'n4'];
  let machines: Machine[] = [];
  const resources = await recordProgram(
    () => {
      machines = new ExistingMachines('acme-machines', {
        nodes: names.map((name) => ({ ...existing, name })),
        jump: null,
        secrets: secrets(),
        sshLimitSeconds: 900,
        bundle: { id: '12'.repeat(32), isoSha256: '34'.repeat(32) },
      }).machines;
    },
    { preview: false },
  );
  const copies = resources.filter(({ name }) => name.endsWith('-bundle'));
  expect(copies.map(({ dependencies }) => dependencies)).toEqual([
    ['acme-machines-n1-ssh'],
    ['acme-machines-n2-ssh'],
    ['acme-machines-n1-bundle', 'acme-machines-n3-ssh'],
    ['acme-machines-n2-bundle', 'acme-machines-n4-ssh'],
  ]);
  expect(copies[0].secretInputs).toEqual(['stdin']);
  expect(JSON.parse(copies[0].inputs.stdin as string)).toMatchObject({
    kind: 'copy-bundle',
    name: 'n1',
    incarnation: remoteHostKey,
    bundleId: '12'.repeat(32),
  });
  expect(machines[0].bundle).toEqual({ directory: `/var/lib/sitewright/bundles/${'12'.repeat(32)}` });
});

test('a plan without a host key is refused by name', async () => {
  const withoutKey = { ...existing, ssh: { ...existing.ssh, hostKey: null } };
  const program = () =>
    new ExistingMachines('acme-machines', {
      nodes: [withoutKey],
      jump: null,
      secrets: secrets(),
      sshLimitSeconds: 900,
    });
  await expect(recordProgram(program, { preview: false })).rejects.toThrow('n1 has no host key');
});
