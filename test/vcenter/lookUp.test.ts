import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SitePlan } from '../../components/plan';
import { clearSeed } from '../../components/vcenter/clearSeed';
import { lookUp } from '../../components/vcenter/lookUp';
import { pinCertificate, vcenterEnv } from '../../components/vcenter/pin';
import { retrieveAll, retrieveOne } from '../../components/vcenter/properties';
import { referenceOf, textOf, VcenterSession } from '../../components/vcenter/soap';
import { endpointOf, openTrusted } from '../../components/vcenter/trust';
import { controlPlane, kvmSite, node, planOf } from '../plan/site';
import { CREDENTIALS, startSimulator, thumbprintOf, type Simulator } from './simulator';

let simulator: Simulator;
let thumbprint: string;

beforeAll(async () => {
  simulator = await startSimulator();
  thumbprint = await thumbprintOf(simulator);
});
afterAll(() => simulator.end());

type Keys = Record<string, unknown>;

const placement = (more: Keys = {}) => ({
  name: 'main',
  datacenter: 'DC0',
  cluster: 'DC0_C0',
  datastore: 'LocalDS_0',
  ...more,
});
const network = (more: Keys = {}) => ({ name: 'nodes', portGroup: 'DC0_DVPG0', subnets: ['s1'], ...more });

function plan(vsphere: Keys = {}, machines: Keys = {}, site: Keys = {}): SitePlan {
  const settings = {
    server: simulator.server,
    thumbprint,
    firmware: 'bios',
    template: { name: 'DC0_H0_VM0' },
    placements: [placement()],
    networks: [network()],
    ...vsphere,
  };
  return planOf(
    kvmSite([controlPlane, node('w1', 1, 12)], { provider: 'vsphere', vsphere: settings, ...machines }, site),
  );
}

const inP0 = { ...controlPlane, placement: 'p0' };

const problems = (site: SitePlan) =>
  lookUp(site, CREDENTIALS).then(
    () => [],
    (error: Error) => error.message.split('\n').map((line) => line.replace(`${simulator.server}: `, '')),
  );

test('names become what the vCenter knows them by', async () => {
  const { ids } = await lookUp(plan(), CREDENTIALS);
  expect(ids).toEqual({
    template: { uuid: expect.stringMatching(/^[0-9a-f-]{36}$/), guestId: 'otherGuest' },
    placements: {
      main: {
        resourcePoolId: expect.stringMatching(/^resgroup-/),
        hostSystemId: null,
        clusterId: expect.stringMatching(/^domain-c/),
        datastoreId: expect.stringMatching(/^datastore-/),
        datastoreClusterId: null,
        etcdDatastoreId: null,
        isoDatastoreId: expect.stringMatching(/^datastore-/),
        storagePolicyId: null,
        etcdStoragePolicyId: null,
      },
    },
    networks: { nodes: { DC0: expect.stringMatching(/^dvportgroup-/) } },
  });
});

test('a host, a standard port group, a path', async () => {
  const { ids } = await lookUp(
    plan({
      template: { name: 'vm/DC0_H0_VM0' },
      placements: [placement({ cluster: undefined, host: 'DC0_H0' })],
      networks: [network({ portGroup: 'VM Network' })],
    }),
    CREDENTIALS,
  );
  expect(ids.placements.main).toMatchObject({ hostSystemId: expect.stringMatching(/^host-/), clusterId: null });
  expect(ids.networks.nodes).toEqual({ DC0: expect.stringMatching(/^network-/) });
});

test('every name that is missing is told at once, with near ones', async () => {
  const site = plan({
    template: { name: 'DC0_H0_VM9' },
    placements: [
      placement({
        cluster: 'DC0_C1',
        resourcePool: 'kube',
        folder: 'k8s',
        datastore: 'LocalDS_7',
        etcdDatastore: 'nvme',
      }),
    ],
    networks: [network({ portGroup: 'DC0_DVPG1' })],
  });
  expect(await problems(site)).toEqual([
    'machines.vsphere.placements[main].cluster: there is no cluster DC0_C1 in DC0; did you mean DC0_C0? There are DC0_C0',
    'machines.vsphere.placements[main].folder: there is no folder k8s of machines in DC0; the user sees none at all',
    'machines.vsphere.placements[main].datastore: there is no datastore LocalDS_7 in DC0; did you mean LocalDS_0? There are LocalDS_0',
    'machines.vsphere.placements[main].etcdDatastore: there is no datastore nvme in DC0; there are LocalDS_0',
    expect.stringMatching(
      /networks\[nodes\]\.portGroup: there is no port group DC0_DVPG1 in DC0; did you mean DC0_DVPG0\?/,
    ),
    expect.stringMatching(/template\.name: there is no template or machine DC0_H0_VM9; did you mean DC0_H0_VM0\?/),
  ]);
  expect(await problems(plan({ placements: [placement({ datacenter: 'DC1' })] }))).toEqual([
    'machines.vsphere.placements[main].datacenter: there is no datacenter DC1; did you mean DC0? There are DC0',
  ]);
});

test('two networks of one name: both paths, and one of them is taken', async () => {
  expect(await problems(plan({ networks: [network({ portGroup: 'twin' })] }))).toEqual([
    'machines.vsphere.networks[nodes].portGroup: twin is the name of several in DC0: write the path of the one that is meant, ' +
      '/DC0/network/other/twin or /DC0/network/twin',
  ]);
  expect(await problems(plan({ networks: [network({ portGroup: '/DC0/network/other/twin' })] }))).toEqual([]);
});

test('host groups are those of the cluster, and two of them are apart', async () => {
  const rooms = (...groups: string[]) =>
    plan(
      { placements: groups.map((hostGroup, index) => placement({ name: `p${index}`, hostGroup })) },
      { nodes: [inP0] },
    );
  expect(await problems(rooms('room-1', 'room-2'))).toEqual([]);
  expect(await problems(rooms('room-3'))).toEqual([
    'machines.vsphere.placements[p0].hostGroup: there is no host group room-3 in DC0_C0; did you mean room-1? There are both, empty, room-1, room-2',
  ]);
  expect(await problems(rooms('empty'))).toEqual([
    'machines.vsphere.placements[p0].hostGroup: no host is in empty: its machines could not run',
  ]);
  expect(await problems(rooms('room-1', 'both'))).toEqual([
    'machines.vsphere.placements[p1].hostGroup: DC0_C0_H0 is in both and in room-1, and the machines of both could meet there: leave it in one of them',
  ]);
});

test('storage policies become what the vCenter knows them by', async () => {
  const gold = 'vSAN Default Storage Policy';
  const { ids } = await lookUp(plan({ placements: [placement({ storagePolicy: gold })] }), CREDENTIALS);
  expect(ids.placements.main.storagePolicyId).toMatch(/^[0-9a-f-]{36}$/);
  expect(ids.placements.main.etcdStoragePolicyId).toBe(ids.placements.main.storagePolicyId);
  const wrong = placement({ storagePolicy: 'vSAN Default Storage', etcdStoragePolicy: 'nvme' });
  expect(await problems(plan({ placements: [wrong] }))).toEqual([
    expect.stringMatching(
      /placements\[main\]\.storagePolicy: there is no storage policy vSAN Default Storage; did you mean vSAN Default Storage Policy\?/,
    ),
    expect.stringMatching(
      /placements\[main\]\.etcdStoragePolicy: there is no storage policy nvme; there are .*VM Encryption Policy/,
    ),
  ]);
});

test('an item of a content library', async () => {
  const template = (name: string, library: string) => plan({ template: { name, library } });
  const { ids } = await lookUp(template('debian-12', 'images'), CREDENTIALS);
  expect(ids.template).toEqual({ uuid: expect.stringMatching(/^[0-9a-f-]{36}$/), guestId: null });
  expect(await problems(template('debian-12', 'image'))).toEqual([
    'machines.vsphere.template.library: there is no content library image; did you mean images? There are images',
  ]);
  expect(await problems(template('debian-13', 'images'))).toEqual([
    'machines.vsphere.template.name: there is no item debian-13 in the content library images; did you mean debian-12? There are debian-12',
  ]);
  expect(await problems(template('tools', 'images'))).toEqual([
    'machines.vsphere.template.name: tools of the content library images is of the kind iso, and machines are made from vm-template or ovf',
  ]);
});

test('the MTU of the switch is held against what the site file says of it', async () => {
  expect(await problems(plan({ networks: [network({ switchMtu: 9000 })] }))).toEqual([]);
  const standard = plan({ networks: [network({ portGroup: 'VM Network', switchMtu: 9000 })] });
  expect((await problems(standard))[0]).toMatch(
    /switchMtu: 9000 is too large: switch vSwitch0 of \S+ of port group VM Network carries 1500/,
  );
});

test('a host that merges packets is told of, and stops nothing', async () => {
  expect((await lookUp(plan(), CREDENTIALS)).warnings).toEqual([]);
  const trust = { server: simulator.server, caFile: null, thumbprint };
  const session = await VcenterSession.open(trust, CREDENTIALS);
  const hosts = await retrieveAll(session, { HostSystem: ['name', 'configManager.advancedOption'] });
  const { values } = hosts.find((host) => textOf(host.values.get('name')) === 'DC0_C0_H0')!;
  const set = (value: number) =>
    session.call(
      referenceOf(values.get('configManager.advancedOption')!),
      'UpdateOptions',
      `<changedValue xsi:type="OptionValue"><key>Net.Vmxnet3HwLRO</key><value xsi:type="xsd:long" xmlns:xsd="http://www.w3.org/2001/XMLSchema">${value}</value></changedValue>`,
    );
  await set(1);
  const { warnings } = await lookUp(plan(), CREDENTIALS);
  expect(warnings).toContainEqual(expect.stringMatching(/^host DC0_C0_H0 has Net\.Vmxnet3HwLRO on: /));
  await set(0);
  expect((await lookUp(plan(), CREDENTIALS)).warnings).toEqual([]);
  await session.end();
});

test('a datastore that is too small, a root disk that is smaller than its template, another firmware', async () => {
  const defaults = { cpus: 2, memory: '4GiB', rootDisk: '900TiB' };
  expect(await problems(plan({}, { defaults }))).toEqual([
    expect.stringMatching(
      /^datastore LocalDS_0 is too small: the disks of cp1, w1 need 1843200 GiB, thin or not, and \d+ GiB are free$/,
    ),
  ]);
  const small = await problems(plan({}, { defaults: { ...defaults, rootDisk: '1GiB' } }));
  expect(small.every((line) => /rootDisk of (cp1|w1): it is smaller than that of the template/.test(line))).toBe(true);
  expect(small).toHaveLength(2);
});

test('the plugin gets the certificate that the thumbprint names as a file', async () => {
  const cache = mkdtempSync(join(tmpdir(), 'cache-'));
  const before = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = cache;
  try {
    const trust = { server: simulator.server, caFile: null, thumbprint };
    await pinCertificate(trust);
    await pinCertificate(trust);
    const { SSL_CERT_FILE: file } = vcenterEnv(trust);
    expect(new X509Certificate(readFileSync(file!)).fingerprint256).toBe(thumbprint);
    expect(vcenterEnv({ caFile: '/etc/ssl/acme.pem', thumbprint: null })).toEqual({
      SSL_CERT_FILE: '/etc/ssl/acme.pem',
    });
    expect(vcenterEnv({ caFile: null, thumbprint: null })).toEqual({});
    expect(vcenterEnv(null)).toEqual({});
  } finally {
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
    rmSync(cache, { recursive: true });
  }
});

describe('who the vCenter is', () => {
  const trusted = (trust: Keys, credentials = CREDENTIALS) =>
    lookUp(plan({ thumbprint: undefined, ...trust }), credentials).then(
      () => 'trusted',
      (error: Error) => error.message,
    );

  test('an authority that nobody trusts: what to compare, and nothing was sent', async () => {
    expect(await trusted({})).toBe(
      `${simulator.server}: its certificate is not trusted (DEPTH_ZERO_SELF_SIGNED_CERT): name the file of its authority as machines.vsphere.caFile, ` +
        `or compare the SHA-256 fingerprint ${thumbprint} with the one that its console shows and write it as machines.vsphere.thumbprint`,
    );
  });

  test('another thumbprint', async () => {
    const other = thumbprint.replace(/^../, (byte) => (byte === '00' ? '11' : '00'));
    expect(await trusted({ thumbprint: other })).toContain(
      `fingerprint ${thumbprint}, and machines.vsphere.thumbprint is ${other}`,
    );
  });

  test('the file of its authority', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vcenter-'));
    try {
      const socket = await openTrusted({ server: simulator.server, caFile: null, thumbprint });
      const pem = `-----BEGIN CERTIFICATE-----\n${socket.getPeerCertificate().raw.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`;
      socket.destroy();
      const caFile = join(folder, 'ca.pem');
      writeFileSync(caFile, pem);
      expect(await trusted({ caFile })).toBe('trusted');
      expect(await trusted({ caFile: join(folder, 'missing.pem') })).toMatch(/caFile cannot be read: ENOENT/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('a wrong password: who was refused, and not what was given', async () => {
    const message = await trusted({ thumbprint }, { user: 'ann', password: '' });
    expect(message).toMatch(/it does not let ann in: check user and password/);
    expect(await trusted({ thumbprint }, { user: 'ann', password: 'hunter2' })).not.toContain('hunter2');
  });

  test('nobody there', async () => {
    expect(await trusted({ server: '127.0.0.1:1', thumbprint })).toMatch(/^127\.0\.0\.1:1: cannot be reached: /);
  });

  test.each([
    ['vcenter.example', { host: 'vcenter.example', port: 443 }],
    ['vcenter.example:8443', { host: 'vcenter.example', port: 8443 }],
    ['2001:db8::1', { host: '2001:db8::1', port: 443 }],
  ])('%s', (server, endpoint) => expect(endpointOf(server)).toEqual(endpoint));
});

test('a name reads as vCenter shows it, whatever stands for its characters on the way', () => {
  expect(textOf('R&amp;D &lt;1&gt; &#34;x&#x22; &quot;&apos;')).toBe('R&D <1> "x" "\'');
  expect(textOf({ '#': 'R&amp;D' })).toBe('R&D');
});

test('the seed of a machine is taken away, seen to be gone, and not missed the second time', async () => {
  const trust = { server: simulator.server, caFile: null, thumbprint };
  const session = await VcenterSession.open(trust, CREDENTIALS);
  const [{ object, values }] = await retrieveAll(session, { VirtualMachine: ['config.uuid'] });
  const option = (key: string, value: string) =>
    `<extraConfig xsi:type="OptionValue"><key>${key}</key><value xsi:type="xsd:string" xmlns:xsd="http://www.w3.org/2001/XMLSchema">${value}</value></extraConfig>`;
  const given = option('guestinfo.userdata', 'a &lt;key&gt;') + option('guestinfo.metadata', 'stays');
  await session.call(object, 'ReconfigVM_Task', `<spec>${given}</spec>`);
  const config = async () =>
    JSON.stringify((await retrieveOne(session, object, ['config.extraConfig'])).get('config.extraConfig'));
  expect(await config()).toContain('guestinfo.userdata');

  const uuid = textOf(values.get('config.uuid'));
  const keys = ['guestinfo.userdata', 'guestinfo.userdata.encoding'];
  await clearSeed(trust, CREDENTIALS, uuid, keys);
  expect(await config()).not.toContain('guestinfo.userdata');
  expect(await config()).toContain('stays');
  await clearSeed(trust, CREDENTIALS, uuid, keys);
  await expect(clearSeed(trust, CREDENTIALS, `0000${uuid.slice(4)}`, keys)).rejects.toThrow(
    /there is no machine with the UUID 0000/,
  );
  await session.end();
});
