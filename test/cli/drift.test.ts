import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateSshKey } from '../../components/secrets/hostKey';
import { startSshd, type TestSshd } from '../ssh/sshd';
import { TestKit } from './kit';

/**
 * `sitewright drift` with the real engine and a real sshd, which leads to this machine: nothing of the kit has prepared it, so
 * there is always something to find. In place of preparation stand commands that only say that they ran.
 */
const PASSPHRASE = { PULUMI_CONFIG_PASSPHRASE: 'correct horse' };
let kit: TestKit;
let sshd: TestSshd;
const ran = () => join(kit.dir, 'ran');
const edited = () => join(kit.dir, 'edited');
const run = (...args: string[]) => kit.run(args, PASSPHRASE);

interface Answer {
  drifted: boolean;
  differences: { where: string; role: string; what: string }[];
  unanswered: { where: string; message: string }[];
  repaired?: string[];
}
interface Told {
  drift: { by: string; found: Answer } | null;
  unanswered: { by: string; found: { where: string }[] } | null;
}
const answer = (text: string) => JSON.parse(text) as Answer;

beforeAll(async () => {
  kit = new TestKit();
  sshd = await startSshd();
  expect(run('new', 'oslo', '--provider', 'existing', '--profile', 'staging').code).toBe(0);
  kit.pulumi(
    ['config', 'set', 'sitewright:sshPrivateKey', '--secret', '-s', 'oslo'],
    PASSPHRASE,
    sshd.target.privateKey,
  );
  kit.reachBy('oslo', sshd.target);
  writeFileSync(edited(), 'before');
  kit.useProgram(`
    const command = require('@pulumi/command');
    const pulumi = require('@pulumi/pulumi');
    const { readFileSync } = require('node:fs');
    exports.program = async () => {
      const line = (name) => 'cat >/dev/null; echo ' + name + ' >>${ran()}';
      const say = (name, stdin) => new command.local.Command(name, {
        create: line(name), update: line(name), stdin: pulumi.secret(stdin), addPreviousOutputInEnv: false,
      });
      say('oslo-cp1-prepare', 'script');
      say('oslo-w1-prepare', 'script');
      say('oslo-other', readFileSync('${edited()}', 'utf8'));
      return {};
    };`);
});
afterAll(async () => {
  await sshd?.stop();
  await kit?.remove();
});

test('a site that is not built has nothing to compare', () => {
  expect(kit.run(['drift', 'nope'], PASSPHRASE)).toMatchObject({ code: 2 });
});

test('what is not as planned: a table, JSON, and exit code 12; the state and the machine stay as they are', () => {
  expect(run('up', 'oslo', '--yes')).toMatchObject({ code: 0 });
  const [before, hosts] = [kit.snapshot(), readFileSync('/etc/hosts', 'utf8')];
  const text = run('drift', 'oslo');
  expect(text.stdout).toMatch(/^cp1 +\/etc\/sitewright\/stamp.json +site oslo +-$/m);
  expect(text.code).toBe(12);
  const json = run('drift', 'oslo', '--json');
  expect(json.code).toBe(12);
  expect(answer(json.stdout)).toMatchObject({ drifted: true, unanswered: [] });
  expect(answer(json.stdout).differences).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ where: 'cp1', role: 'prepare', what: '/etc/sysctl.d/k8s-net.conf' }),
      expect.objectContaining({ where: 'w1', role: 'prepare', what: '/etc/modules-load.d/k8s-net.conf' }),
    ]),
  );
  expect(readFileSync('/etc/hosts', 'utf8')).toBe(hosts);
  expect(kit.snapshot()).toEqual(before);
});

test('the report has what was found, and its page is a file where one is named', () => {
  const json = run('report', 'oslo', '--json');
  expect(json.code).toBe(0);
  const { drift, unanswered } = JSON.parse(json.stdout) as Told;
  expect({ by: drift?.by, unanswered }).toEqual({ by: 'drift', unanswered: null });
  expect(drift?.found.differences).toEqual(answer(run('drift', 'oslo', '--json').stdout).differences);
  const file = join(kit.dir, 'oslo.html');
  expect(run('report', 'oslo', '--out', file)).toMatchObject({ code: 0, stdout: '' });
  expect(readFileSync(file, 'utf8')).toMatch(/Differences from the plan[^]*k8s-net.conf/);
});

test('--repair runs what puts it back and nothing else', () => {
  writeFileSync(ran(), '');
  writeFileSync(edited(), 'an edit that nobody has applied');
  const { code, stdout } = run('drift', 'oslo', '--repair', '--json');
  expect(code).toBe(12);
  expect(answer(stdout).repaired?.sort()).toEqual(['oslo-cp1-prepare', 'oslo-w1-prepare']);
  expect(readFileSync(ran(), 'utf8').trim().split('\n').sort()).toEqual(['oslo-cp1-prepare', 'oslo-w1-prepare']);
  // Done is done: what is left to do is the edit alone.
  const preview = answer2(run('preview', 'oslo', '--json').stdout);
  expect(preview.changes.map(({ name }) => name)).toEqual(['oslo-other']);
});

const answer2 = (text: string) => JSON.parse(text) as { changes: { name: string }[] };

test('the report tells what verify got no answer from, such as machines with another host key', () => {
  const file = join(kit.stacks, 'sites/oslo.yaml');
  const text = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    text.replaceAll(sshd.target.hostKey, generateSshKey('another').publicKey.split(' ').slice(0, 2).join(' ')),
  );
  expect(run('verify', 'oslo').code).toBe(1);
  writeFileSync(file, text);
  const { unanswered, drift } = JSON.parse(run('report', 'oslo', '--json').stdout) as Told;
  expect(unanswered?.by).toBe('verify');
  expect(unanswered?.found.map(({ where }) => where)).toEqual(['cp1 <-> w1', 'cp1', 'w1']);
  expect(drift).not.toBeNull();
});

test('a machine that does not answer is told, and is no drift', async () => {
  await sshd.stop();
  const { code, stdout } = run('drift', 'oslo', '--json');
  expect({ code, ...answer(stdout) }).toMatchObject({
    ...{ code: 1, drifted: false, differences: [] },
    unanswered: [{ where: 'cp1' }, { where: 'w1' }],
  });
});

test('a site that was destroyed has no results any more', () => {
  expect(run('destroy', 'oslo', '--yes', '--confirm', 'oslo')).toMatchObject({ code: 0 });
  expect(JSON.parse(run('report', 'oslo', '--json').stdout)).toMatchObject({ drift: null, unanswered: null });
});
