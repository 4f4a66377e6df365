import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestKit } from './kit';

/** The real command line and the real engine's secrets, without a machine. */
const PASSPHRASE = { PULUMI_CONFIG_PASSPHRASE: 'correct horse' };
let kit: TestKit;
beforeAll(() => {
  kit = new TestKit();
});
afterAll(() => kit?.remove());

describe('bad input ends with exit code 2 and changes nothing', () => {
  test.each([
    ['an unknown command', ['prewiew', 'acme'], /unknown command 'prewiew'[^]*preview/],
    ['a missing argument', ['up'], /missing required argument 'site'/],
    ['an unknown option', ['plan', 'acme', '--jsn'], /unknown option '--jsn'/],
    ['an unknown site', ['validate', 'acme'], /there is no site "acme"/],
    ['a name that is a path', ['validate', '../acme'], /lower-case letters, digits and dashes/],
    ['no folder of stacks', ['plan', 'acme', '--stacks', '/nowhere'], /--stacks \/nowhere: there is no such folder/],
    ['an unknown provider', ['new', 'acme', '--provider', 'aws'], /Allowed choices are kvm, existing, vsphere/],
    [
      'several at once',
      ['new', 'acme', '--profile', 'prod'],
      /--provider is missing[^]*--profile prod: there is no such profile; allowed: .*production/,
    ],
    [
      'no passphrase',
      ['new', 'acme', '--provider', 'kvm', '--profile', 'staging'],
      /set PULUMI_CONFIG_PASSPHRASE_FILE/,
    ],
    ['destroy without --yes', ['destroy', 'nope'], /there is no site "nope"/],
  ])('%s', (_title, args, message) => {
    const before = kit.snapshot();
    const { code, stdout, stderr } = kit.run(args);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(kit.snapshot()).toEqual(before);
  });

  test('a passphrase file that is not there', () => {
    const args = ['new', 'acme', '--provider', 'kvm', '--profile', 'staging'];
    const { code, stderr } = kit.run(args, { PULUMI_CONFIG_PASSPHRASE_FILE: '/nowhere' });
    expect({ code, stderr }).toEqual({ code: 2, stderr: 'PULUMI_CONFIG_PASSPHRASE_FILE: there is no file /nowhere\n' });
    expect(existsSync(join(kit.stacks, 'sites/acme.yaml'))).toBe(false);
  });
});

test('help is no mistake, and every command has examples', () => {
  const help = kit.run(['--help']);
  expect(help.code).toBe(0);
  const commands = [...help.stdout.matchAll(/^ {2}([a-z]+) \[options\]/gm)].map(([, name]) => name);
  expect(commands).toEqual([
    ...['new', 'validate', 'fleet', 'plan', 'explain', 'render', 'diff', 'review', 'bundle'],
    ...['preview', 'up', 'refresh', 'verify', 'outputs', 'drift', 'report'],
    ...['kubeconfig', 'ssh', 'debug', 'rollout', 'certs', 'etcd'],
    ...['destroy', 'secrets', 'unlock', 'adopt'],
  ]);
  for (const name of ['new', 'kubeconfig', 'ssh', 'debug', 'certs', 'unlock'])
    expect(kit.run([name, '--help']).stdout).toMatch(/Examples:\n {2}\$ sitewright/);
});

describe('a new site', () => {
  const settings = () => join(kit.stacks, 'Pulumi.oslo.yaml');
  const make = ['new', 'oslo', '--provider', 'existing', '--profile', 'staging'];

  test('is valid as it is, and its secrets are encrypted', () => {
    const made = kit.run([...make, '--json'], PASSPHRASE);
    expect(made.stderr).not.toMatch(/error/);
    expect(made.code).toBe(0);
    const answer = JSON.parse(made.stdout) as { made: string[]; publicKey: string };
    expect(answer.made).toEqual(['site file', 'stack', 'SSH user key', 'host-key seed']);
    expect(answer.publicKey).toMatch(/^ssh-ed25519 AAAA/);
    expect(readFileSync(settings(), 'utf8')).toMatch(
      /sitewright:sshPrivateKey:\n\s+secure: \S+[^]*sitewright:hostKeySeed:\n\s+secure: /,
    );
    expect(kit.run(['validate', 'oslo'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^oslo is valid: 2 nodes/),
    });
  });

  test('is never made a second time', () => {
    const before = kit.snapshot();
    expect(kit.run(make, PASSPHRASE)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/exists and has its secrets/),
    });
    expect(kit.snapshot()).toEqual(before);
  });

  test('that is half-made is completed, and what it has is kept', () => {
    const whole = readFileSync(settings(), 'utf8');
    writeFileSync(settings(), whole.replace(/ {2}sitewright:hostKeySeed:\n.*\n/, ''));
    const again = kit.run([...make, '--json'], PASSPHRASE);
    expect(JSON.parse(again.stdout)).toMatchObject({ made: ['host-key seed'] });
    const key = /sshPrivateKey:\n\s+secure: (\S+)/;
    expect(key.exec(readFileSync(settings(), 'utf8'))![1]).toBe(key.exec(whole)![1]);
  });

  test('with a wrong passphrase: exit code 2, nothing changed', () => {
    const before = kit.snapshot();
    const preview = kit.run(['preview', 'oslo'], { PULUMI_CONFIG_PASSPHRASE: 'wrong' });
    expect(preview).toEqual({
      code: 2,
      stdout: '',
      stderr: 'wrong passphrase for the secrets of oslo; nothing was changed\n',
    });
    expect(kit.snapshot()).toEqual(before);
  });

  test('of provider kvm is valid as it is', () => {
    const made = kit.run(['new', 'bergen', '--provider', 'kvm', '--profile', 'production'], PASSPHRASE);
    expect(made.code).toBe(0);
    expect(made.stdout).toMatch(
      /Let the user root of every hypervisor accept this key: ssh-ed25519 \S+ sitewright bergen/,
    );
    expect(kit.run(['validate', 'bergen']).code).toBe(0);
  });

  test('near names are suggested', () => {
    expect(kit.run(['validate', 'osol']).stderr).toMatch(/did you mean oslo\?/);
  });
});

describe('reading a site', () => {
  test('plan prints tables, and JSON with --json before or after the command', () => {
    expect(kit.run(['plan', 'oslo']).stdout).toMatch(/MTU: 1500 bytes for pods/);
    const json = kit.run(['plan', 'oslo', '--json']).stdout;
    expect(JSON.parse(json)).toMatchObject({ schemaVersion: 1, site: 'oslo' });
    expect(kit.run(['--json', 'plan', 'oslo']).stdout).toBe(json);
  });

  test('explain says which file and line a value came from', () => {
    const line =
      readFileSync(join(kit.stacks, 'sites/oslo.yaml'), 'utf8')
        .split('\n')
        .findIndex((text) => /^ {2}mtu:/.test(text)) + 1;
    expect(kit.run(['explain', 'oslo', 'underlay.mtu']).stdout).toMatch(
      new RegExp(`^underlay.mtu: 1500\n {2}from .*sites/oslo.yaml:${line}:8\n {2}in place of 1500 at .*base.yaml`),
    );
    expect(kit.run(['explain', 'oslo', 'underlay.mut'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/no mut in underlay/),
    });
  });

  test('every problem of a file at once, also as JSON', () => {
    const text = readFileSync(join(kit.stacks, 'sites/oslo.yaml'), 'utf8');
    kit.writeSite('wrong', text.replace('name: oslo', 'name: wrong').replace('mtu: 1500', 'mtu: 100000\n  mut: 1500'));
    const { code, stdout } = kit.run(['validate', 'wrong', '--json']);
    expect(code).toBe(2);
    const { error } = JSON.parse(stdout) as { error: { problems: { where: string }[] } };
    expect(error.problems.map(({ where }) => where).sort()).toEqual(['underlay.mtu', 'underlay.mut']);
  });
});

test('the passphrase of a lab is made up once, for its owner alone', () => {
  const text = readFileSync(join(kit.stacks, 'sites/oslo.yaml'), 'utf8');
  kit.writeSite('trial', text.replace('name: oslo', 'name: trial').replaceAll('staging', 'lab'));
  expect(kit.run(['new', 'trial']).code).toBe(0);
  const file = join(kit.home, '.local/share/sitewright/lab.passphrase');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const first = readFileSync(file, 'utf8');
  kit.writeSite('trial2', text.replace('name: oslo', 'name: trial2').replaceAll('staging', 'lab'));
  expect(kit.run(['new', 'trial2']).code).toBe(0);
  expect(readFileSync(file, 'utf8')).toBe(first);
});
