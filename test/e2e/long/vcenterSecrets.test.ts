import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VSPHERE_VERSION } from '../../../components/machines/vsphereVersion';
import { LENT_SESSION, lendSession } from '../../../components/vcenter/lend';
import { sessionText, type LentSession } from '../../../components/vcenter/login';
import { retrieveAll } from '../../../components/vcenter/properties';
import { textOf, VcenterSession } from '../../../components/vcenter/soap';
import type { VcenterTrust } from '../../../components/vcenter/trust';
import { TestKit } from '../../cli/kit';
import { controlPlane, kvmSite } from '../../plan/site';
import { ArgumentSampler } from '../../secrets/arguments';
import { readableSecrets, type Planted } from '../../support/plantedSecrets';
import { endSoap, makeSession } from '../../vcenter/madeSession';
import { CREDENTIALS, startSimulator, thumbprintOf, type Simulator } from '../../vcenter/simulator';

/**
 * What lets a site into its vCenter, a user with a password or a session: the real command line, engine and agent look
 * names up, read machines back and fail with it, and nothing of it may be readable in what they say, keep or show.
 */

const SITE = 'oslo';
const ENVIRONMENT = { PULUMI_CONFIG_PASSPHRASE: 'passphrase of the site' };
const PASSWORD = 'planted-vcenter/password+91c4';
/** For a machine that does much else: alone it takes a minute. */
const LIMIT_MILLISECONDS = 3_600_000;

let kit: TestKit;
let simulator: Simulator;
let trust: VcenterTrust;
let session: LentSession;
let planted: Planted;
/** What each program said, both streams. */
const said: Record<string, string> = {};
const commandLines = new Set<string>();

async function watched<T>(program: (env: Record<string, string>) => Promise<T>): Promise<T> {
  const sampler = await ArgumentSampler.start();
  const result = await program({
    ...ENVIRONMENT,
    ...sampler.env,
    TMPDIR: temporary(),
    NODE_PATH: join(kit.dir, 'sdk'),
  });
  for (const line of await sampler.stop()) commandLines.add(line);
  return result;
}
const temporary = () => join(kit.dir, 'tmp');

async function run(label: string, ...args: string[]): Promise<number> {
  const { code, stdout, stderr } = await watched((env) => kit.start(args, env).ended);
  said[`${label}: ${args.join(' ')}`] = `${stdout}\n${stderr}`;
  return code;
}

async function give(what: string, text: string): Promise<void> {
  const file = join(kit.dir, 'given-by-a-person');
  writeFileSync(file, text);
  expect([await run('give', 'secrets', 'set', SITE, what, '--file', file), said]).toEqual([0, expect.anything()]);
}

/** As the engine runs it. */
async function agent(label: string, request: object, more: Record<string, string>): Promise<number | null> {
  return watched(async (env) => {
    const program = ['-e', 'require("sitewright/agent").main()'];
    const child = spawn(process.execPath, program, { cwd: kit.dir, env: kit.env({ ...env, ...more }) });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += String(chunk)));
    child.stdin.end(JSON.stringify(request));
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    said[label] = text;
    return code;
  });
}

beforeAll(async () => {
  kit = new TestKit();
  mkdirSync(temporary());
  // The vendor's package and plugin: what is looked at here ends before either is used.
  mkdirSync(join(kit.dir, 'sdk/@pulumi/vsphere'), { recursive: true });
  writeFileSync(join(kit.dir, 'sdk/@pulumi/vsphere/index.js'), 'module.exports = {};');
  const plugin = join(kit.home, '.cache/sitewright/pulumi-home/plugins', `resource-vsphere-v${VSPHERE_VERSION}`);
  mkdirSync(plugin, { recursive: true });
  writeFileSync(join(plugin, 'pulumi-resource-vsphere'), '');
  simulator = await startSimulator();
  trust = { server: simulator.server, caFile: null, thumbprint: await thumbprintOf(simulator) };
  session = await makeSession(trust);
  const vsphere = {
    ...{ server: trust.server, thumbprint: trust.thumbprint, firmware: 'bios', template: { name: 'not there' } },
    placements: [{ name: 'main', datacenter: 'DC0', cluster: 'DC0_C0', datastore: 'LocalDS_0' }],
    networks: [{ name: 'nodes', portGroup: 'DC0_DVPG0', subnets: ['s1'] }],
  };
  const node = { ...controlPlane, ssh: { host: '127.0.0.1', port: 1 } };
  kit.writeSite(SITE, JSON.stringify(kvmSite([node], { provider: 'vsphere', vsphere })));
  expect([await run('make', 'new', SITE), said]).toEqual([0, expect.anything()]);
  planted = {
    password: PASSWORD,
    'session of the Web Services API': session.soap,
    'session of the REST API': session.rest,
  };
}, LIMIT_MILLISECONDS);

afterAll(async () => {
  await simulator?.end();
  await kit?.remove();
});

let places: Record<string, string | Buffer>;

/** Everything that uses it, and how each ends. */
async function lookInEveryWay(label: string): Promise<void> {
  // There is no such template; nobody answers at the machine, and the vCenter has none.
  expect([await run(label, 'preview', SITE, '--verbose'), said[`${label}: preview ${SITE} --verbose`]]).toEqual([
    1,
    expect.stringMatching(/no template or machine not there[^]*Nothing was changed/),
  ]);
  expect([await run(label, 'drift', SITE), said[`${label}: drift ${SITE}`]]).toEqual([
    expect.any(Number),
    expect.stringMatching(/virtual machine/),
  ]);
}

async function clear(label: string, login: { user: string | null; password: string | null }, env = {}) {
  const open = await VcenterSession.open(trust, CREDENTIALS);
  const [{ values }] = await retrieveAll(open, { VirtualMachine: ['config.uuid'] });
  await open.end();
  const uuid = textOf(values.get('config.uuid'));
  const request = { kind: 'clear-seed', name: 'cp1', vcenter: trust, ...login, uuid, keys: ['guestinfo.userdata'] };
  expect([await agent(`${label}: agent`, request, env), said[`${label}: agent`]]).toEqual([
    0,
    expect.stringContaining('seed-cleared'),
  ]);
  const unknown = { ...request, uuid: `0000${uuid.slice(4)}` };
  expect([await agent(`${label}: agent, no machine`, unknown, env), said[`${label}: agent, no machine`]]).toEqual([
    1,
    expect.stringContaining('there is no machine'),
  ]);
}

test(
  'a site on vSphere is let in by a user, then by a session, and then by neither',
  async () => {
    await give('vsphereUser', CREDENTIALS.user);
    await give('vspherePassword', PASSWORD);
    await lookInEveryWay('by user');
    await clear('by user', { user: CREDENTIALS.user, password: PASSWORD });

    await give('vsphereSession', sessionText(session));
    const config = kit.config(SITE, ENVIRONMENT);
    expect(config['sitewright:vsphereSession']!.value).toBe(sessionText(session));
    expect(config['sitewright:vspherePassword']).toBeUndefined();
    await lookInEveryWay('by session');
    expect([await run('by session', 'render', SITE), said[`by session: render ${SITE}`]]).toEqual([
      0,
      expect.anything(),
    ]);
    const lending = await lendSession(trust, session);
    await clear('by session', { user: null, password: null }, { [LENT_SESSION]: lending.env[LENT_SESSION]! });
    lending.end();

    kit.pulumi(['config', 'set', '--secret', 'sitewright:vspherePassword', '-s', SITE], ENVIRONMENT, PASSWORD);
    expect([await run('with both', 'preview', SITE), said[`with both: preview ${SITE}`]]).toEqual([
      2,
      expect.stringContaining('has vsphereSession and also vspherePassword'),
    ]);
    kit.pulumi(['config', 'rm', 'sitewright:vspherePassword', '-s', SITE], ENVIRONMENT);
    await endSoap(trust, session);
    expect([await run('with an ended one', 'preview', SITE, '--verbose'), said]).toEqual([
      1,
      expect.objectContaining({
        [`with an ended one: preview ${SITE} --verbose`]: expect.stringMatching(
          /it does not know the session of its Web Services API[^]*Nothing was changed/,
        ),
      }),
    ]);
    places = {
      ...said,
      'arguments of processes': [...commandLines].join('\n'),
      'the exported state': kit.pulumi(['stack', 'export', '-s', SITE], ENVIRONMENT),
      ...filesBelow(kit.stacks),
      ...filesBelow(kit.home),
      ...filesBelow(temporary()),
    };
  },
  LIMIT_MILLISECONDS,
);

test('a site on vSphere shows nowhere what lets it in, and would be seen to', () => {
  const shown = Object.entries(places).flatMap(([place, content]) =>
    readableSecrets(content, planted).map((name) => `${name}: ${place}`),
  );
  expect(shown).toEqual([]);
  expect(readableSecrets(`x ${session.rest} y`, planted)).toEqual(['session of the REST API']);
  expect(places['arguments of processes']).toContain('sitewright/agent');
});

test('a site on vSphere leaves no file of a session behind', () => {
  expect(readdirSync(temporary()).filter((name) => name.startsWith('sitewright-vcenter-'))).toEqual([]);
});

function filesBelow(folder: string): Record<string, Buffer> {
  if (!existsSync(folder)) return {};
  return Object.assign(
    {},
    ...readdirSync(folder, { withFileTypes: true }).map((entry): Record<string, Buffer> => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return entry.name === 'plugins' ? {} : filesBelow(path);
      return entry.isFile() ? { [path]: readFileSync(path) } : {};
    }),
  ) as Record<string, Buffer>;
}
