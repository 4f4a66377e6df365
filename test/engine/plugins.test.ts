import * as fs from 'node:fs';
import * as path from 'node:path';
import { findEngine, type Engine } from '../../scripts/engine/find';
import { installPlugins } from '../../scripts/engine/plugins';
import { FakeMachine } from './fakes';

let machine: FakeMachine;
let lines: string[];
const log = (line: string) => void lines.push(line);
beforeEach(() => {
  machine = new FakeMachine();
  lines = [];
});
afterEach(() => machine.restore());

const executable = (engine: Engine) =>
  path.join(engine.pulumiHome, 'plugins/resource-command-v1.2.1/pulumi-resource-command');

/** An engine whose `plugin install` does what the test says. */
async function engineThat(install: string): Promise<Engine> {
  machine.program('pulumi', `if [ "$1" = version ]; then echo v3.250.1; exit; fi\n${install}`);
  const engine = await findEngine(() => undefined);
  machine.calls();
  return engine;
}

const installsOfficial =
  'd=$PULUMI_HOME/plugins/resource-command-v1.2.1; mkdir -p $d; echo official > $d/pulumi-resource-command';

test("the vendor's plugin is used where the engine can download it", async () => {
  const engine = await engineThat(installsOfficial);
  expect(await installPlugins(engine, log)).toEqual({ command: 'official' });
  expect(machine.calls()).toEqual(['pulumi plugin install resource command 1.2.1']);
  expect(await installPlugins(engine, log)).toEqual({ command: 'official' });
  expect(machine.calls()).toEqual([]);
});

test('otherwise our own is put in its place, said once, and the vendor is left alone for a day', async () => {
  const engine = await engineThat('echo "no such host" >&2; exit 1');
  const main = "/srv/it's here/main.js";
  expect(await installPlugins(engine, log, main)).toEqual({ command: 'fallback' });
  expect(await installPlugins(engine, log, main)).toEqual({ command: 'fallback' });
  expect(machine.calls()).toHaveLength(1);
  expect(lines.filter((line) => line.includes("this kit's own"))).toHaveLength(1);
  const launcher = fs.readFileSync(executable(engine), 'utf8');
  expect(launcher).toContain(`'/srv/it'\\''s here/main.js' "$@"`);
  expect(fs.statSync(executable(engine)).mode & 0o111).toBe(0o111);
});

test('a checkout at another path takes it over', async () => {
  const engine = await engineThat('exit 1');
  await installPlugins(engine, log, '/first/main.js');
  await installPlugins(engine, log, '/second/main.js');
  expect(fs.readFileSync(executable(engine), 'utf8')).toContain('/second/main.js');
});

test("the vendor's plugin replaces our own when it can be had again", async () => {
  const engine = await engineThat('exit 1');
  await installPlugins(engine, log, '/first/main.js');
  machine.vendorUnreachable('command-plugin', 25);
  await engineThat(installsOfficial);
  expect(await installPlugins(engine, log, '/first/main.js')).toEqual({ command: 'official' });
  expect(machine.calls()).toEqual(['pulumi plugin install resource command 1.2.1 --reinstall']);
});
