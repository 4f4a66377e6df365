import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repoRoot } from '../plugins/transpile';
import { startSshd, type TestSshd } from '../ssh/sshd';
import { eventually, TestKit } from './kit';

/**
 * The real command line, engine, plugin and file backend, with a program of three scripts in place of machines:
 * a node of the site does what the file `<node>.sh` says.
 */
const PROGRAM = `
const { existsSync, readFileSync } = require('node:fs');
const pulumi = require('@pulumi/pulumi');
const command = require('@pulumi/command');
exports.program = async () => {
  const key = new pulumi.Config('sitewright').requireSecret('hostKeySeed');
  const script = (name) => {
    const file = process.env.SITEWRIGHT_STACKS_DIR + '/' + name + '.sh';
    const text = existsSync(file) ? readFileSync(file, 'utf8') : 'true';
    return new command.local.Command('oslo-' + name + '-prepare', {
      create: 'exec bash -s', update: 'exec bash -s', logging: 'stderr', addPreviousOutputInEnv: false,
      stdin: pulumi.interpolate\`KEY='\${key}'\\n\${text}\`,
    });
  };
  if (existsSync(process.env.SITEWRIGHT_STACKS_DIR + '/extra.sh')) script('extra');
  return { nodes: [script('cp1').stdout, script('w1').stdout], agent: 'none' };
};
`;

const PASSPHRASE = { PULUMI_CONFIG_PASSPHRASE: 'correct horse' };
let kit: TestKit;
let sshd: TestSshd;
/** Home of the user that sshd lets in. */
let userHome: string;

const onNode = (name: string, script: string) => writeFileSync(join(kit.stacks, `${name}.sh`), script);
const run = (...args: string[]) => kit.run(args, PASSPHRASE);
const counts = (stdout: string) => (JSON.parse(stdout) as { counts: Record<string, number> }).counts;
/** Everything that a state knows, as the engine keeps it. */
const state = () =>
  JSON.parse(readFileSync(join(kit.stateDir, '.pulumi/stacks/sitewright/oslo.json'), 'utf8')) as {
    checkpoint: { latest: { pending_operations?: unknown[]; resources?: { urn: string }[] } };
  };
const lockFiles = () => Object.keys(kit.snapshot()).filter((file) => /\/locks\/.*\.json$/.test(file));

beforeAll(async () => {
  kit = new TestKit();
  kit.useProgram(PROGRAM);
  userHome = join(kit.dir, 'user');
  mkdirSync(join(userHome, '.ssh'), { recursive: true });
  const authorized = join(userHome, '.ssh/authorized_keys');
  writeFileSync(authorized, '');
  sshd = await startSshd({
    config: [
      `AuthorizedKeysCommand /bin/cat ${authorized}`,
      'AuthorizedKeysCommandUser root',
      `ForceCommand HOME='${userHome}' exec bash -c "$SSH_ORIGINAL_COMMAND"`,
    ],
  });

  expect(run('new', 'oslo', '--provider', 'existing', '--profile', 'staging').code).toBe(0);
  kit.reachBy('oslo', sshd.target);
});

afterAll(async () => {
  await sshd?.stop();
  await kit?.remove();
});

test('up makes, a second up changes nothing, preview shows an edit and its reason', () => {
  const first = run('up', 'oslo', '--json');
  expect(first.stderr).not.toMatch(/error/);
  expect(counts(first.stdout)).toMatchObject({ create: 2, same: 0 });
  expect(counts(run('up', 'oslo', '--json').stdout)).toMatchObject({ create: 0, update: 0, same: 2 });
  onNode('w1', 'echo "step: sets sysctls" >&2');
  expect(run('preview', 'oslo').stdout).toMatch(/^w1 +preparation +~ update +script$/m);
  expect(run('preview', 'oslo', '--report')).toMatchObject({
    code: 10,
    stdout: expect.stringMatching(
      /^<!-- sitewright-preview oslo -->\n\n## 1 of 1 sites change, worst is in place\n[^]*- ~ `preparation` on w1: in place: /,
    ),
  });
  const up = run('up', 'oslo');
  expect(up.stderr).toMatch(/^w1 +preparation: updated after \d+ s$/m);
  expect(up.stdout).toMatch(/MTU budget[^]*1 updated, 1 unchanged[^]*sitewright verify oslo/);
});

test('a policy pack stops a preview and an up where a rule is broken, and says where', () => {
  const pack = join(kit.dir, 'scripts/policy');
  cpSync(join(repoRoot, 'scripts/policy'), pack, { recursive: true });
  const file = join(kit.stacks, 'sites/oslo.yaml');
  const site = readFileSync(file, 'utf8');
  expect(run('preview', 'oslo', '--report', '--policy-pack', pack)).toMatchObject({
    ...{ code: 0, stderr: '' },
    stdout: expect.stringContaining('## No site changes'),
  });
  writeFileSync(file, `${site}\npolicy:\n  namespaces:\n    - name: erp\n      data: personal\n`);
  onNode('w1', 'exit 1');
  for (const command of ['preview', 'up']) {
    const stopped = run(command, 'oslo', '--policy-pack', pack);
    expect(stopped).toMatchObject({
      ...{ code: 1, stdout: '' },
      stderr: expect.stringMatching(
        /oslo:\n {2}policy personal-data of sitewright: .*\n.*oslo\.yaml:\d+:\d+ .*erp handles personal data/,
      ),
    });
    // No script has run.
    expect(stopped.stderr).not.toContain('w1, preparation');
  }
  writeFileSync(file, site);
  onNode('w1', 'echo "step: sets sysctls" >&2');
  expect(run('preview', 'oslo', '--policy-pack', kit.stacks)).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^--policy-pack .*: there is no PulumiPolicy\.yaml in this folder/),
  });
});

test('a failure is told with what the node said, without its secrets, and kept apart from what went well', () => {
  onNode('cp1', 'echo "step: loads modules" >&2; echo "cp1: sudo wants a password; $KEY" >&2; exit 3');
  const { code, stderr } = run('up', 'oslo');
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /up oslo failed\.\ncp1, preparation:\n {2}last step: loads modules\n {2}cp1: sudo wants a password; \[secret\]/,
  );
  expect(stderr).not.toMatch(/exec bash|update failed|exit status/);
  expect(stderr).not.toContain(kit.config('oslo', PASSPHRASE)['sitewright:hostKeySeed'].value);
  onNode('cp1', 'true # repaired');
  expect(run('up', 'oslo').code).toBe(0);
});

test('plain `pulumi` sees the same state and settings', () => {
  const outputs = run('outputs', 'oslo', '--json');
  expect(JSON.parse(outputs.stdout)).toMatchObject({ agent: 'none' });
  const plain = kit.pulumi(['stack', 'output', '--json', '-s', 'oslo'], PASSPHRASE);
  expect(JSON.parse(plain)).toEqual(JSON.parse(outputs.stdout));
  expect(kit.pulumi(['config', 'get', 'sitewright:hostKeySeed', '-s', 'oslo'], PASSPHRASE)).toMatch(/^\S{44}\s*$/);
});

describe('while an up runs', () => {
  test('a second one is refused; Ctrl-C stops the first in order, and the next carries on', async () => {
    const begun = join(kit.dir, 'begun-1');
    onNode('w1', `touch '${begun}'; sleep 1000 & wait`);
    const first = kit.start(['up', 'oslo'], PASSPHRASE);
    await eventually('the script begins', () => existsSync(begun));
    const before = state();
    const second = run('up', 'oslo');
    expect(second).toMatchObject({ code: 1, stdout: '' });
    expect(second.stderr).toMatch(/the state of oslo is locked; nothing was changed[^]*still running: wait/);
    expect(run('unlock', 'oslo')).toMatchObject({ code: 1, stderr: expect.stringMatching(/still running[^]*--force/) });
    expect(state()).toEqual(before);
    expect(lockFiles()).toHaveLength(1);

    process.kill(-first.child.pid!, 'SIGINT');
    const ended = await first.ended;
    expect(ended.code).toBe(1);
    expect(ended.stderr).toMatch(/Stopping[^]*up oslo was stopped/);
    expect(lockFiles()).toEqual([]);
    onNode('w1', 'true # after Ctrl-C');
    expect(counts(run('up', 'oslo', '--json').stdout)).toMatchObject({ update: 1, same: 1 });
  });

  test('a kill leaves a lock that is explained, cleared by unlock, and one up does the rest', async () => {
    const begun = join(kit.dir, 'begun-2');
    onNode('extra', `touch '${begun}'; sleep 1 # killed here, in the middle of being made`);
    const first = kit.start(['up', 'oslo'], PASSPHRASE);
    await eventually('the script begins', () => existsSync(begun));
    const { pid } = JSON.parse(readFileSync(lockFiles()[0], 'utf8')) as { pid: number };
    first.child.kill('SIGKILL');
    await eventually('the engine ends', () => !existsSync(`/proc/${pid}`));
    expect(state().checkpoint.latest.pending_operations).toHaveLength(1);

    const refused = run('up', 'oslo');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/it was killed\nClear it with: sitewright unlock oslo/);
    expect(run('unlock', 'oslo')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^removed the lock of/) });
    const up = run('up', 'oslo', '--json');
    expect(up.stderr).toMatch(/killed in the middle of: oslo-extra-prepare/);
    expect(counts(up.stdout)).toMatchObject({ create: 1, same: 2 });
    expect(state().checkpoint.latest.pending_operations ?? []).toEqual([]);
    expect(lockFiles()).toEqual([]);
    rmSync(join(kit.stacks, 'extra.sh'));
    expect(counts(run('up', 'oslo', '--json').stdout)).toMatchObject({ delete: 1, same: 2 });
  });
});

test("a stacks folder of the user's own keeps its settings beside its sites", () => {
  const own = join(kit.dir, 'team/stacks');
  mkdirSync(join(own, 'sites'), { recursive: true });
  symlinkSync(join(kit.stacks, 'profiles'), join(own, 'profiles'));
  const made = run('--stacks', own, 'new', 'bergen', '--provider', 'existing', '--profile', 'staging');
  expect(made.code).toBe(0);
  expect(readFileSync(join(own, 'Pulumi.bergen.yaml'), 'utf8')).toMatch(/sshPrivateKey/);
  expect(counts(run('--stacks', own, 'preview', 'bergen', '--json').stdout)).toMatchObject({ create: 2 });
  expect(existsSync(join(kit.stacks, 'Pulumi.bergen.yaml'))).toBe(false);
});

test('the passphrase changes for every secret at once', () => {
  const file = join(kit.dir, 'new-passphrase');
  writeFileSync(file, 'battery staple\n');
  const rotated = run('secrets', 'rotate', 'oslo', 'passphrase', '--new-passphrase-file', file);
  expect(rotated).toMatchObject({ code: 0, stdout: expect.stringMatching(/passphrase of oslo is changed/) });
  expect(run('preview', 'oslo').code).toBe(2);
  PASSPHRASE.PULUMI_CONFIG_PASSPHRASE = 'battery staple';
  expect(counts(run('preview', 'oslo', '--json').stdout)).toMatchObject({ same: 2 });
});

test('the SSH key changes on every machine, and the old one is refused afterwards', () => {
  const authorized = join(userHome, '.ssh/authorized_keys');
  const others = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEw2 somebody else\n';
  const old = kit.publicKey('oslo', PASSPHRASE);
  writeFileSync(authorized, `${others}${old} by hand\n`);
  const rotated = run('secrets', 'rotate', 'oslo', 'ssh-key', '--json');
  expect(rotated.stderr).not.toMatch(/error|refuse/);
  const { publicKey } = JSON.parse(rotated.stdout) as { publicKey: string };
  expect(publicKey).not.toBe(old);
  expect(kit.publicKey('oslo', PASSPHRASE)).toBe(publicKey);
  expect(readFileSync(authorized, 'utf8')).toBe(`${others}${publicKey} sitewright oslo\n`);
  expect(Object.keys(kit.config('oslo', PASSPHRASE)).sort()).toEqual([
    'sitewright:hostKeySeed',
    'sitewright:sshPrivateKey',
  ]);
});

test('destroy asks for the name of the site, removes all, and keeps the secrets unless told otherwise', () => {
  const before = state();
  expect(run('destroy', 'oslo')).toMatchObject({ code: 2, stderr: expect.stringMatching(/would remove cp1, w1/) });
  expect(run('destroy', 'oslo', '--yes')).toMatchObject({ code: 2, stderr: expect.stringMatching(/--confirm oslo/) });
  expect(run('destroy', 'oslo', '--yes', '--confirm', 'osl').code).toBe(2);
  expect(state()).toEqual(before);
  expect(counts(run('destroy', 'oslo', '--yes', '--confirm', 'oslo', '--json').stdout)).toMatchObject({ delete: 2 });
  expect(state().checkpoint.latest.resources ?? []).toEqual([]);
  expect(existsSync(join(kit.stacks, 'Pulumi.oslo.yaml'))).toBe(true);
  expect(run('destroy', 'oslo', '--yes', '--confirm', 'oslo', '--remove').code).toBe(0);
  expect(existsSync(join(kit.stacks, 'Pulumi.oslo.yaml'))).toBe(false);
});

test('no secret was written anywhere in the clear', () => {
  for (const [file, text] of Object.entries(kit.snapshot())) {
    expect([file, /PRIVATE KEY/.test(text)]).toEqual([file, false]);
  }
});
