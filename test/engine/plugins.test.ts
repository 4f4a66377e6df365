import * as fs from 'node:fs';
import * as path from 'node:path';
import { findEngine, type Engine } from '../../scripts/engine/find';
import { optionalDependencies } from '../../package.json';
import { installPlugins, requireVspherePlugin } from '../../scripts/engine/plugins';
import { FakeMachine } from './fakes';

let machine: FakeMachine;
let lines: string[];
const log = (line: string) => void lines.push(line);
beforeEach(() => {
  machine = new FakeMachine();
  lines = [];
});
afterEach(() => machine.restore());

const versions = { command: '1.2.1', kubernetes: '4.34.2' };
const names = Object.keys(versions) as (keyof typeof versions)[];
const both = (which: string) => ({ command: which, kubernetes: which });

const executable = (engine: Engine, name: keyof typeof versions) =>
  path.join(engine.pulumiHome, `plugins/resource-${name}-v${versions[name]}/pulumi-resource-${name}`);

/** An engine whose `plugin install` does what the test says. */
async function engineThat(install: string): Promise<Engine> {
  machine.program('pulumi', `if [ "$1" = version ]; then echo v3.250.1; exit; fi\n${install}`);
  const engine = await findEngine(() => undefined);
  machine.calls();
  return engine;
}

const installsOfficial = 'd=$PULUMI_HOME/plugins/resource-$4-v$5; mkdir -p $d; echo official > $d/pulumi-resource-$4';

test('the versions are the ones that the SDKs ask for', () => {
  for (const name of names) {
    const file = path.join(__dirname, `../../node_modules/@pulumi/${name}/package.json`);
    expect(JSON.parse(fs.readFileSync(file, 'utf8')).pulumi.version).toBe(versions[name]);
  }
});

test("the vendor's plugins are used where the engine can download them", async () => {
  const engine = await engineThat(installsOfficial);
  expect(await installPlugins(engine, log)).toEqual(both('official'));
  expect(machine.calls()).toEqual([
    'pulumi plugin install resource command 1.2.1',
    'pulumi plugin install resource kubernetes 4.34.2',
  ]);
  expect(await installPlugins(engine, log)).toEqual(both('official'));
  expect(machine.calls()).toEqual([]);
});

test('otherwise our own are put in their place, said once, and the vendor is left alone for a day', async () => {
  const engine = await engineThat('echo "no such host" >&2; exit 1');
  const fallbacks = "/srv/it's here";
  expect(await installPlugins(engine, log, fallbacks)).toEqual(both('fallback'));
  expect(await installPlugins(engine, log, fallbacks)).toEqual(both('fallback'));
  expect(machine.calls()).toHaveLength(2);
  for (const name of names) {
    expect(lines.filter((line) => line.includes(`the ${name} plugin is this kit's own`))).toHaveLength(1);
    const launcher = fs.readFileSync(executable(engine, name), 'utf8');
    expect(launcher).toContain(`'/srv/it'\\''s here/${name}/main.js' "$@"`);
    expect(fs.statSync(executable(engine, name)).mode & 0o111).toBe(0o111);
  }
});

test('one that can be had is taken, whether the other can or not', async () => {
  const engine = await engineThat(`[ "$4" = command ] || exit 1\n${installsOfficial}`);
  expect(await installPlugins(engine, log, '/ours')).toEqual({ command: 'official', kubernetes: 'fallback' });
});

test('a checkout at another path takes them over', async () => {
  const engine = await engineThat('exit 1');
  await installPlugins(engine, log, '/first');
  await installPlugins(engine, log, '/second');
  for (const name of names) expect(fs.readFileSync(executable(engine, name), 'utf8')).toContain('/second/');
});

test("the vendor's plugin replaces our own when it can be had again", async () => {
  const engine = await engineThat('exit 1');
  await installPlugins(engine, log, '/first');
  machine.vendorUnreachable('kubernetes-plugin', 25);
  await engineThat(installsOfficial);
  expect(await installPlugins(engine, log, '/first')).toEqual({ command: 'fallback', kubernetes: 'official' });
  expect(machine.calls()).toEqual(['pulumi plugin install resource kubernetes 4.34.2 --reinstall']);
});

describe('the plugin of sites on vSphere', () => {
  const version = optionalDependencies['@pulumi/vsphere'];

  test('is downloaded once, in the version of the package', async () => {
    const engine = await engineThat(installsOfficial);
    await requireVspherePlugin(engine, log);
    await requireVspherePlugin(engine, log);
    expect(machine.calls()).toEqual([`pulumi plugin install resource vsphere ${version}`]);
  });

  test('that cannot be had is one error with the way out, and at once the next time', async () => {
    const engine = await engineThat('exit 1');
    for (let tries = 0; tries < 2; tries++) {
      await expect(requireVspherePlugin(engine, log)).rejects.toThrow(
        `unpack it into ${engine.pulumiHome}/plugins/resource-vsphere-v${version}`,
      );
    }
    expect(machine.calls()).toHaveLength(1);
  });
});
