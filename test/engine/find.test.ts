import * as fs from 'node:fs';
import * as path from 'node:path';
import { builtVersion } from '../../scripts/engine/build';
import { FailureMemory } from '../../scripts/engine/cache';
import { GoMissingError } from '../../scripts/engine/go';
import { automationCommand, engineEnv, findEngine } from '../../scripts/engine/find';
import { FakeMachine } from './fakes';

let machine: FakeMachine;
let lines: string[];
const log = (line: string) => void lines.push(line);
beforeEach(() => {
  machine = new FakeMachine();
  machine.vendorUnreachable('pulumi-download');
  lines = [];
});
afterEach(() => machine.restore());

/** A Go that "builds" a script which answers as the engine does; it leaves half a file behind where it is told to fail. */
function fakeGo(version: string, build = 'exit 0'): void {
  machine.program(
    'go',
    `if [ "$1" = env ]; then echo ${version}; exit; fi
     while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
     printf '#!/bin/sh\\necho v${builtVersion}\\n' > "$out"; chmod +x "$out"
     echo "example.org/compiled/package" >&2
     ${build}`,
  );
}

test('a compatible engine on PATH is used as it is', async () => {
  machine.program('pulumi', 'echo v3.250.1');
  const engine = await findEngine(log);
  expect(engine).toMatchObject({ command: 'pulumi', version: '3.250.1', how: 'path' });
  expect(lines).toEqual(['Pulumi 3.250.1 (found on PATH): pulumi']);
  expect((await automationCommand(engine)).command).toBe('pulumi');
});

test.each(['v3.247.9', 'v4.0.0', 'v4.0.0-alpha.1', 'nonsense'])(
  'an engine that reports %s is not used',
  async (version) => {
    machine.program('pulumi', `echo ${version}`);
    fakeGo('go1.26.8');
    const engine = await findEngine(log);
    expect(engine.how).toBe('built');
  },
);

test('without one it is built once, then taken from the cache', async () => {
  fakeGo('go1.26.8');
  const engine = await findEngine(log);
  expect(engine).toMatchObject({ version: builtVersion, how: 'built' });
  expect(engine.command.startsWith(machine.cache)).toBe(true);
  expect(lines.join('\n')).toContain(`building Pulumi ${builtVersion} from Go modules`);
  expect(machine.calls().filter((call) => call.startsWith('go build'))).toHaveLength(1);

  const again = await findEngine(log);
  expect(again).toMatchObject({ command: engine.command, how: 'cache' });
  expect(machine.calls().filter((call) => call.startsWith('go build'))).toEqual([]);
  expect((await automationCommand(again)).command).toBe(engine.command);
});

test('a build with another Go is another place in the cache', async () => {
  fakeGo('go1.26.8');
  const first = await findEngine(log);
  fakeGo('go1.26.9');
  const second = await findEngine(log);
  expect(second.command).not.toBe(first.command);
});

test('a cached engine whose content changed is built anew', async () => {
  fakeGo('go1.26.8');
  const engine = await findEngine(log);
  fs.appendFileSync(engine.command, '# changed\n');
  expect((await findEngine(log)).how).toBe('built');
  expect(fs.readFileSync(engine.command, 'utf8')).not.toContain('# changed');
});

test('a build that fails says what Go said, leaves nothing half made and can be run again', async () => {
  fakeGo('go1.26.8', 'echo "module is not in the mirror" >&2; exit 1');
  await expect(findEngine(log)).rejects.toThrow('module is not in the mirror');
  const left = fs.readdirSync(path.join(machine.cache, 'engine'), { recursive: true, withFileTypes: true });
  expect(left.filter((entry) => entry.isFile())).toEqual([]);
  fakeGo('go1.26.8');
  expect((await findEngine(log)).how).toBe('built');
});

test('without Go, or with one that is too old, the error says what to install', async () => {
  const missing = await findEngine(log).catch((error) => error);
  expect(missing).toBeInstanceOf(GoMissingError);
  expect(missing.message).toContain('no go command was found');
  expect(missing.message).toContain('https://go.dev/dl/');
  fakeGo('go1.19.8');
  await expect(findEngine(log)).rejects.toThrow('found go1.19.8');
});

test('nothing of the user is touched: PULUMI_HOME lies in the cache and no agent is offered', async () => {
  machine.program('pulumi', 'echo v3.250.1');
  const engine = await findEngine(log);
  expect(engineEnv(engine)).toMatchObject({
    PULUMI_HOME: path.join(machine.cache, 'pulumi-home'),
    PULUMI_SKIP_UPDATE_CHECK: 'true',
    SSH_AUTH_SOCK: '',
  });
});

test('a failure is remembered for a day', () => {
  machine.vendorUnreachable('something', 23);
  expect(new FailureMemory('something').recent()).toBe('no such host');
  machine.vendorUnreachable('something', 25);
  expect(new FailureMemory('something').recent()).toBeUndefined();
});
