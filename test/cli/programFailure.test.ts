import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, TestKit } from './kit';

/**
 * The real command line and engine with a program that fails where nothing in it can catch that: inside an `apply` that
 * a resource hangs on, which another one comes after, or in a promise that nobody awaits.
 */
const PROGRAM = `
const { existsSync, readFileSync } = require('node:fs');
const pulumi = require('@pulumi/pulumi');
const command = require('@pulumi/command');
class SiteFileError extends pulumi.RunError {}
exports.program = async () => {
  const folder = process.env.SITEWRIGHT_STACKS_DIR;
  const how = readFileSync(folder + '/how', 'utf8');
  const fail = () => {
    if (how === 'mistake') throw new SiteFileError('registries[0] has no password');
    if (how === 'defect') throw new TypeError('no such thing');
  };
  const slow = new command.local.Command('oslo-w1-prepare', {
    create: 'touch ' + folder + '/begun; while [ ! -e ' + folder + '/go ]; do sleep 0.1; done',
  });
  const begun = slow.urn.apply(async () => {
    while (!pulumi.runtime.isDryRun() && !existsSync(folder + '/begun')) await new Promise((next) => setTimeout(next, 50));
  });
  const before = new command.local.Command('oslo-cp1-before', { create: 'true', environment: { A: begun.apply(fail) } });
  new command.local.Command('oslo-cp1-prepare', { create: 'true' }, { dependsOn: before });
  if (how === 'floating') void begun.apply(() => Promise.reject(new TypeError('nobody awaits it')));
  return { nodes: [], agent: before.urn };
};
`;

const PASSPHRASE = { PULUMI_CONFIG_PASSPHRASE: 'correct horse' };
let kit: TestKit;
const run = (...args: string[]) => kit.run(args, PASSPHRASE);
const fails = (how: 'mistake' | 'defect' | 'floating' | 'not at all') => writeFileSync(join(kit.stacks, 'how'), how);

beforeAll(() => {
  kit = new TestKit();
  kit.useProgram(PROGRAM);
  expect(run('new', 'oslo', '--provider', 'existing', '--profile', 'staging').code).toBe(0);
});
afterAll(() => kit?.remove());

test('a preview ends with what the user got wrong, and no stack trace', () => {
  fails('mistake');
  const stderr = 'preview of oslo failed.\noslo:\n  registries[0] has no password\nNothing was changed.\n';
  expect(run('preview', 'oslo')).toEqual({ code: 1, stdout: '', stderr });
});

test.each([
  ['defect', 'no such thing'],
  ['floating', 'nobody awaits it'],
] as const)('what is no mistake of the user is told in a line, and where it was on request (%s)', (how, message) => {
  fails(how);
  const told = `oslo:\n  unexpected error: ${message} (--verbose shows where)\n`;
  const stderr = `preview of oslo failed.\n${told}Nothing was changed.\n`;
  expect(run('preview', 'oslo')).toEqual({ code: 1, stdout: '', stderr });
  expect(run('preview', 'oslo', '--verbose').stderr).toMatch(
    new RegExp(`TypeError: .*${message}\\s+at .*program\\.js:`),
  );
});

test('an up finishes what is under way, keeps it, releases its lock, and the next one goes on', async () => {
  fails('mistake');
  const up = kit.start(['up', 'oslo'], PASSPHRASE);
  await eventually('the script begins', () => existsSync(join(kit.stacks, 'begun')));
  writeFileSync(join(kit.stacks, 'go'), '');
  const { code, stderr } = await up.ended;
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^w1 .*made after \d+ s\nup oslo failed\.\noslo:\n {2}registries\[0\] has no password\nWhat was made is kept/,
  );
  expect(Object.keys(kit.snapshot()).filter((file) => /\/locks\/.*\.json$/.test(file))).toEqual([]);
  const state = readFileSync(join(kit.stateDir, '.pulumi/stacks/sitewright/oslo.json'), 'utf8');
  expect(state).toContain('oslo-w1-prepare');
  expect(state).not.toContain('oslo-cp1');
  fails('not at all');
  const { counts } = JSON.parse(run('up', 'oslo', '--json').stdout) as { counts: object };
  expect(counts).toMatchObject({ create: 2, same: 1 });
});
