import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import * as path from 'node:path';
import type { SitePlan } from '../../components/plan';
import { clearSeed } from '../../components/agent/clearSeed';
import { LENT_SESSION, lendSession, lentSession } from '../../components/vcenter/lend';
import { lookUp } from '../../components/vcenter/lookUp';
import { vsphereDifferences } from '../../components/vcenter/machines';
import { retrieveAll, retrieveOne } from '../../components/vcenter/properties';
import { children, textOf, VcenterSession } from '../../components/vcenter/soap';
import type { LentSession } from '../../components/vcenter/login';
import type { VcenterTrust } from '../../components/vcenter/trust';
import { controlPlane, kvmSite, planOf } from '../plan/site';
import { transpile } from '../plugins/transpile';
import { endRest, endSoap, makeSession } from './madeSession';
import { CREDENTIALS, startSimulator, thumbprintOf, type Simulator } from './simulator';

/** A session that somebody made elsewhere does all that a user with a password does, and is still theirs afterwards. */

let simulator: Simulator;
let trust: VcenterTrust;
let session: LentSession;

beforeAll(async () => {
  simulator = await startSimulator();
  trust = { server: simulator.server, caFile: null, thumbprint: await thumbprintOf(simulator) };
});
beforeEach(async () => {
  session = await makeSession(trust);
});
afterAll(() => simulator?.end());

function plan(template: object = { name: 'DC0_H0_VM0' }, placement: object = {}): SitePlan {
  const vsphere = {
    ...{ server: simulator.server, thumbprint: trust.thumbprint, firmware: 'bios', template },
    placements: [{ name: 'main', datacenter: 'DC0', cluster: 'DC0_C0', datastore: 'LocalDS_0', ...placement }],
    networks: [{ name: 'nodes', portGroup: 'DC0_DVPG0', subnets: ['s1'] }],
  };
  return planOf(kvmSite([controlPlane], { provider: 'vsphere', vsphere }));
}

const alive = async () => {
  await (await VcenterSession.open(trust, { session })).end();
  (await lendSession(trust, session)).end();
};

test('names are looked up, storage policies and content libraries among them', async () => {
  const item = plan({ name: 'debian-12', library: 'images' }, { storagePolicy: 'vSAN Default Storage Policy' });
  for (const site of [plan(), item]) {
    expect((await lookUp(site, { session })).ids).toEqual((await lookUp(site, CREDENTIALS)).ids);
  }
  await alive();
});

test('machines are read back', async () => {
  expect(await vsphereDifferences(plan(), { session }, new Map())).toEqual([
    expect.objectContaining({ where: controlPlane.name, what: 'virtual machine', found: 'absent' }),
  ]);
  await alive();
});

test('nothing of the kit stays in the session', async () => {
  await lookUp(plan(), { session });
  const open = await VcenterSession.open(trust, { session });
  const { viewManager } = open.service;
  const views = (await retrieveOne(open, viewManager, ['viewList'])).get('viewList');
  expect(views === undefined || typeof views === 'string' ? [] : children(views, 'ManagedObjectReference')).toEqual([]);
});

test('the agent finds the session that was lent, and clears a seed with it', async () => {
  const open = await VcenterSession.open(trust, CREDENTIALS);
  const [{ object, values }] = await retrieveAll(open, { VirtualMachine: ['config.uuid'] });
  await open.call(
    object,
    'ReconfigVM_Task',
    '<spec><extraConfig xsi:type="OptionValue"><key>guestinfo.userdata</key><value xsi:type="xsd:string" xmlns:xsd="http://www.w3.org/2001/XMLSchema">a key</value></extraConfig></spec>',
  );
  const config = async () =>
    JSON.stringify((await retrieveOne(open, object, ['config.extraConfig'])).get('config.extraConfig'));
  expect(await config()).toContain('guestinfo.userdata');
  const request = {
    ...{ kind: 'clear-seed' as const, name: 'cp1', vcenter: trust, user: null, password: null },
    ...{ uuid: textOf(values.get('config.uuid')), keys: ['guestinfo.userdata'] },
  };
  const lending = await lendSession(trust, session);
  try {
    process.env[LENT_SESSION] = lending.env[LENT_SESSION];
    await clearSeed(request, {});
  } finally {
    delete process.env[LENT_SESSION];
    lending.end();
  }
  expect(await config()).not.toContain('guestinfo.userdata');
  await expect(clearSeed(request, {})).rejects.toThrow(/no session was lent: sitewright up and preview do it/);
  await alive();
  await open.end();
});

test('it is lent by files of this user alone, in the form in which govc keeps sessions, and they go', async () => {
  const lending = await lendSession(trust, session);
  const folder = path.dirname(lending.env[LENT_SESSION]!);
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
  expect(files).toHaveLength(3);
  for (const file of files) expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(folder).mode & 0o777).toBe(0o700);

  const read = (variable: string) => {
    const below = lending.env[variable]!;
    return JSON.parse(readFileSync(path.join(below, readdirSync(below)[0]!), 'utf8')) as unknown;
  };
  expect(read('VSPHERE_VIM_SESSION_PATH')).toMatchObject({
    SoapClient: {
      Cookies: [{ Name: 'vmware_soap_session', Value: session.soap }],
      URL: { Scheme: 'https', Host: simulator.server, Path: '/sdk' },
      Insecure: false,
      Version: expect.stringMatching(/^\d+\.\d+/),
    },
    ServiceContent: {
      about: { apiType: 'VirtualCenter' },
      sessionManager: { type: 'SessionManager', value: 'SessionManager' },
    },
  });
  expect(read('VSPHERE_REST_SESSION_PATH')).toMatchObject({ SessionID: session.rest, SoapClient: { Insecure: false } });
  lending.end();
  expect(existsSync(folder)).toBe(false);
});

test('the files go also where the process ends at once', () => {
  const compiled = transpile(['components/vcenter', 'components/cacheDir.ts']);
  const program = `
    require('${compiled}/components/vcenter/lend.js')
      .lendSession(JSON.parse(process.argv[1]), { soap: process.env.SOAP, rest: process.env.REST })
      .then(({ env }) => { console.log(env.${LENT_SESSION}); process.exit(1); })`;
  const env = { ...process.env, SOAP: session.soap, REST: session.rest };
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', program, JSON.stringify(trust)], {
    env,
    encoding: 'utf8',
  });
  rmSync(compiled, { recursive: true });
  expect([stdout, stderr]).toEqual([expect.stringMatching(/sitewright-vcenter-\w+\/session\n$/), '']);
  expect(existsSync(path.dirname(stdout.trim()))).toBe(false);
});

test('one that the vCenter no longer knows is told of, with how to make another, and never shown', async () => {
  const refusal = async (work: Promise<unknown>) => {
    const error = (await work.catch((reason: Error) => reason)) as Error;
    expect(error).toBeInstanceOf(Error);
    for (const secret of [session.soap, session.rest]) expect(error.message).not.toContain(secret);
    return error.message;
  };
  await endRest(trust, session);
  expect(await refusal(lendSession(trust, session))).toBe(
    `${simulator.server}: it does not know the session of its REST API that vsphereSession holds: it was ended, or unused for too long. ` +
      'Make a new one and set it: { govc session.login -l; govc session.login -r -l; } | sitewright secrets set <site> vsphereSession --file /dev/stdin',
  );
  await endSoap(trust, session);
  const ended = /it does not know the session of its Web Services API that vsphereSession holds/;
  expect(await refusal(lendSession(trust, session))).toMatch(ended);
  expect(await refusal(lookUp(plan(), { session }))).toMatch(ended);
  expect(await refusal(vsphereDifferences(plan(), { session }, new Map()))).toMatch(ended);
});

test('nobody lent one', () => {
  expect(() => lentSession('vcenter.example')).toThrow(/^vcenter\.example: no session was lent/);
});
