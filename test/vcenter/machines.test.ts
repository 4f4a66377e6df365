import { VIRTUAL_MACHINE } from '../../components/machines/vsphere';
import type { SitePlan } from '../../components/plan';
import { generateSshKey } from '../../components/secrets/hostKey';
import * as library from '../../components/vcenter/library';
import { vsphereDifferences } from '../../components/vcenter/machines';
import { retrieveAll } from '../../components/vcenter/properties';
import { textOf, VcenterSession, type Reference } from '../../components/vcenter/soap';
import { auditSite } from '../../scripts/cli/drift';
import type { OpenStack } from '../../scripts/cli/secrets';
import { kvmSite, node, planOf } from '../plan/site';
import { CREDENTIALS, startSimulator, thumbprintOf, type Simulator } from './simulator';

/** A machine that the simulator made, held against a plan that it does not fit, and then changed towards it. */

const NAME = 'DC0_C0_RP0_VM0';
let simulator: Simulator;
let thumbprint: string;
let session: VcenterSession;
let machine: Reference;
let uuid: string;

beforeAll(async () => {
  simulator = await startSimulator();
  thumbprint = await thumbprintOf(simulator);
  session = await VcenterSession.open({ server: simulator.server, caFile: null, thumbprint }, CREDENTIALS);
  const machines = await retrieveAll(session, { VirtualMachine: ['name', 'config.uuid'] });
  const found = machines.find(({ values }) => textOf(values.get('name')) === NAME)!;
  machine = found.object;
  uuid = textOf(found.values.get('config.uuid'));
});
afterAll(async () => {
  await session?.end();
  await simulator?.end();
});

type Keys = Record<string, unknown>;

function plan(vsphere: Keys = {}, placement: Keys = {}, more: Keys[] = []): SitePlan {
  const cp1 = node('cp1', 1, 11, {
    ...{ role: 'control-plane', etcdDisk: '2GiB', mac: '00:50:56:00:00:11' },
    // Nobody is there.
    ssh: { host: '127.0.0.1', port: 1 },
  });
  const settings = {
    server: simulator.server,
    thumbprint,
    firmware: 'bios',
    // Gone since the machine was cloned, and nothing to a machine that is there.
    template: { name: 'an earlier one' },
    placements: [{ name: 'main', datacenter: 'DC0', cluster: 'DC0_C0', datastore: 'LocalDS_0', ...placement }],
    networks: [{ name: 'nodes', portGroup: 'DC0_DVPG0', subnets: ['s1'] }],
    ...vsphere,
  };
  return planOf(kvmSite([cp1, ...more], { provider: 'vsphere', vsphere: settings }));
}

const differences = async (site: SitePlan, uuids = new Map([['cp1', uuid]])) =>
  Object.fromEntries(
    (await vsphereDifferences(site, CREDENTIALS, uuids)).map(({ where, role, what, wanted, found }) => {
      expect([where, role]).toEqual(['cp1', null]);
      return [what, [wanted, found]];
    }),
  );

const GIB = 1024 ** 3;
const reconfigure = (spec: string) => session.call(machine, 'ReconfigVM_Task', `<spec>${spec}</spec>`);

test('what is not as planned, each with what was found; what is, is not told', async () => {
  const found = await differences(plan());
  expect(found).toMatchObject({
    cpus: ['2', '1'],
    'memory in bytes': [String(4 * GIB), String(32 * 1024 ** 2)],
    'network card': ['VirtualVmxnet3', 'VirtualE1000'],
    'MAC address': ['00:50:56:00:00:11', expect.stringMatching(/^00:0c:29:/)],
    'etcd disk in bytes': [String(2 * GIB), ''],
    'guestinfo.metadata': ['set', 'cleared'],
  });
  for (const same of ['virtual machine', 'firmware', 'port group', 'folder', 'hot add', 'guestinfo.userdata'])
    expect(found).not.toHaveProperty([same]);
});

test('a place that differs is told by its path', async () => {
  const found = await differences(plan({}, { resourcePool: undefined, host: 'DC0_H0', cluster: undefined }));
  expect(found.host).toEqual(['/DC0/host/DC0_H0/DC0_H0', expect.stringMatching(/^\/DC0\/host\/DC0_C0\/DC0_C0_H\d$/)]);
  expect(found['resource pool']).toEqual(['/DC0/host/DC0_H0/Resources', '/DC0/host/DC0_C0/Resources']);
});

test('what was put right is gone, a seed that was left is told without what it holds, and so is a machine that is off', async () => {
  const option = (key: string) =>
    `<extraConfig xsi:type="OptionValue"><key>${key}</key><value xsi:type="xsd:string" xmlns:xsd="http://www.w3.org/2001/XMLSchema">hunter2</value></extraConfig>`;
  await reconfigure(
    `<numCPUs>2</numCPUs><memoryMB>4096</memoryMB>${option('guestinfo.metadata')}${option('guestinfo.userdata')}`,
  );
  const found = await differences(plan());
  for (const right of ['cpus', 'memory in bytes', 'guestinfo.metadata']) expect(found).not.toHaveProperty([right]);
  expect(found['guestinfo.userdata']).toEqual(['cleared', 'set']);
  expect(JSON.stringify(found)).not.toContain('hunter2');
  await session.call(machine, 'PowerOffVM_Task');
  expect(await differences(plan())).toMatchObject({ 'virtual machine': ['poweredOn', 'poweredOff'] });
});

test('a machine that is not there, by the state or by the vCenter', async () => {
  const absent = { 'virtual machine': ['made', 'absent'] };
  expect(await differences(plan(), new Map())).toEqual(absent);
  expect(await differences(plan(), new Map([['cp1', `0000${uuid.slice(4)}`]]))).toEqual(absent);
});

test('a place of the plan that the vCenter does not have: nothing can be compared', async () => {
  await expect(differences(plan({}, { datastore: 'LocalDS_9' }))).rejects.toThrow(/there is no datastore LocalDS_9/);
});

test('what new machines are made from is not looked for', async () => {
  const findItem = jest.spyOn(library, 'findItem');
  const fromLibrary = { template: { name: 'debian-12', library: 'gone' } };
  expect(await differences(plan(fromLibrary))).toEqual(await differences(plan()));
  // All that is wrong is told, and the template is no part of it.
  await expect(differences(plan(fromLibrary, { cluster: 'DC0_C9' }))).rejects.toThrow(/^[^\n]*DC0_C9[^\n]*$/);
  expect(findItem).not.toHaveBeenCalled();
});

describe('rules of the cluster', () => {
  const cluster = async () => {
    const found = await retrieveAll(session, { ClusterComputeResource: ['name'] });
    return found.find(({ values }) => textOf(values.get('name')) === 'DC0_C0')!.object;
  };
  const configure = async (spec: string) =>
    session.call(
      await cluster(),
      'ReconfigureComputeResource_Task',
      `<spec xsi:type="ClusterConfigSpecEx">${spec}</spec><modify>true</modify>`,
    );
  const others = (name: string, host: number) => node(name, 1, host, { role: 'control-plane' });
  const rulesOf = async (site: SitePlan) =>
    (await vsphereDifferences(site, CREDENTIALS, new Map([['cp1', uuid]]))).flatMap(({ where, what, wanted, found }) =>
      what.startsWith('rule ') ? [`${where} ${what}: ${wanted} | ${found}`] : [],
    );
  const site = (antiAffinity: string, placement: Keys = {}) =>
    plan({ antiAffinity }, placement, [others('cp2', 12), others('cp3', 13)]);
  const APART = 'cp1 rule that keeps the control plane apart';
  const ROOM = 'cp1 rule that keeps it on the hosts room-1';

  const apart = (more: string, vm = machine) =>
    `<rulesSpec><operation>add</operation><info xsi:type="ClusterAntiAffinityRuleSpec">${more}` +
    `<name>sitewright oslo: control plane</name><vm type="VirtualMachine">${vm.id}</vm></info></rulesSpec>`;

  test('one that is not there, one that is weaker, one that is as planned', async () => {
    expect(await rulesOf(site('off'))).toEqual([]);
    expect(await rulesOf(site('required'))).toEqual([`${APART}: must hold | absent`]);
    await configure(apart('<enabled>true</enabled><mandatory>false</mandatory>'));
    expect(await rulesOf(site('required'))).toEqual([`${APART}: must hold | may be broken`]);
    expect(await rulesOf(site('preferred'))).toEqual([]);
  });

  test('hosts of a group: the group of machines, and the rule', async () => {
    const inRoom = site('off', { hostGroup: 'room-1' });
    expect(await rulesOf(inRoom)).toEqual([`${ROOM}: must hold | absent`]);
    const rule = (more: string) =>
      `<rulesSpec><operation>add</operation><info xsi:type="ClusterVmHostRuleInfo"><enabled>true</enabled><mandatory>true</mandatory>` +
      `<name>sitewright oslo: on room-1</name><vmGroupName>sitewright oslo on room-1</vmGroupName>${more}</info></rulesSpec>`;
    await configure(rule('<affineHostGroupName>room-1</affineHostGroupName>'));
    expect(await rulesOf(inRoom)).toEqual([`${ROOM}: must hold | about other machines`]);
    await configure(
      '<groupSpec><operation>add</operation><info xsi:type="ClusterVmGroup"><name>sitewright oslo on room-1</name>' +
        `<vm type="VirtualMachine">${machine.id}</vm></info></groupSpec>`,
    );
    expect(await rulesOf(inRoom)).toEqual([]);
  });
});

describe('drift of a site', () => {
  const audit = (password: string) => {
    const value = (text: string) => ({ value: text, secret: true });
    const urn = 'urn:pulumi:oslo::sitewright::sitewright:machines:VsphereMachine::oslo-machines-cp1-domain';
    const open = {
      secrets: [],
      config: {
        'sitewright:sshPrivateKey': value(generateSshKey('drift').privateKey),
        'sitewright:hostKeySeed': value(Buffer.alloc(32, 7).toString('base64')),
        'sitewright:vsphereUser': value(CREDENTIALS.user),
        'sitewright:vspherePassword': value(password),
      },
      stack: {
        outputs: async () => ({}),
        exportState: async () =>
          JSON.stringify({ deployment: { resources: [{ urn, type: VIRTUAL_MACHINE, id: uuid }] } }),
      },
    } as unknown as OpenStack;
    const { signal } = new AbortController();
    return auditSite(plan(), open, { signal, say: () => undefined, limitFactor: 1, now: new Date() });
  };

  test('asks its vCenter, with the secrets of the site and the UUIDs of the state, whether its machines answer or not', async () => {
    const { differences, unanswered } = await audit(CREDENTIALS.password);
    expect(unanswered.map(({ where }) => where)).toEqual(['cp1']);
    expect(differences.map(({ what }) => what)).toEqual(expect.arrayContaining(['network card', 'MAC address']));
  });

  test('says who was not let in', async () => {
    const { unanswered } = await audit('');
    expect(unanswered.find(({ where }) => where === `vCenter ${simulator.server}`)!.message).toMatch(
      /it does not let user in: check user and password/,
    );
  });
});
