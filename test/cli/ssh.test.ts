import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { publicKeyOf } from '../../components/secrets/hostKey';
import { newKey } from '../ssh/keys';
import { startSshd, type TestSshd } from '../ssh/sshd';
import { eventually, TestKit } from './kit';

/** `sitewright ssh` with the OpenSSH of this machine, against servers of the test's own. */
const PASSPHRASE = { PULUMI_CONFIG_PASSPHRASE: 'correct horse' };
let kit: TestKit;
let node: TestSshd;
let jump: TestSshd;
/** What OpenSSH leaves behind would be in here. */
const temporary = () => join(kit.dir, 'tmp');
const run = (...args: string[]) => kit.run(['ssh', 'oslo', ...args], { ...PASSPHRASE, TMPDIR: temporary() });
let siteText: string;
const siteFile = () => join(kit.stacks, 'sites/oslo.yaml');

beforeAll(async () => {
  kit = new TestKit();
  mkdirSync(temporary());
  // Output and exit codes are those of the command; the key of the site opens both servers.
  node = await startSshd();
  jump = await startSshd({ authorizedKey: publicKeyOf(node.target.privateKey) });

  expect(kit.run(['new', 'oslo', '--provider', 'existing', '--profile', 'staging'], PASSPHRASE).code).toBe(0);
  const set = ['config', 'set', 'sitewright:sshPrivateKey', '--secret', '-s', 'oslo'];
  kit.pulumi(set, PASSPHRASE, node.target.privateKey);
  const { port, user, hostKey } = node.target;
  siteText = readFileSync(siteFile(), 'utf8')
    .replace(/user: sitewright/, `user: ${user}`)
    .replace(/hostKey: .*/g, `hostKey: ${hostKey}\n        host: 127.0.0.1\n        port: ${port}`);
  writeFileSync(siteFile(), siteText);
});
afterAll(async () => {
  await node?.stop();
  await jump?.stop();
  await kit?.remove();
});
afterEach(() => {
  writeFileSync(siteFile(), siteText);
  // The folder is gone with the connection. (OpenSSH's agent has one of its own until it notices the end.)
  expect(readdirSync(temporary()).filter((name) => name.startsWith('sitewright'))).toEqual([]);
});

test('runs a command: its words, its output, its exit code', () => {
  const { code, stdout, stderr } = run(
    'cp1',
    '--',
    'echo',
    '-n',
    '$SSH_CONNECTION;',
    'echo',
    'oh',
    '>&2;',
    'exit',
    '7',
  );
  expect(code).toBe(7);
  expect(stdout).toMatch(new RegExp(` ${node.target.port}$`));
  expect(stderr).toBe('oh\n');
});

test('through the jump host, whose key is checked too', async () => {
  const { port, user, hostKey } = jump.target;
  const through = (key: string) =>
    writeFileSync(
      siteFile(),
      siteText.replace(
        /^ {2}ssh:\n/m,
        `  ssh:\n    jump:\n      host: 127.0.0.1\n      port: ${port}\n      user: ${user}\n      hostKey: ${key}\n`,
      ),
    );
  through(hostKey);
  const before = jump.log().length;
  expect(run('cp1', '--', 'echo', 'there')).toMatchObject({ code: 0, stdout: 'there\n' });
  await eventually('the jump host lets it in', () => /Accepted publickey/.test(jump.log().slice(before)));
  expect(JSON.parse(run('cp1', '--json').stdout)).toMatchObject({ host: '127.0.0.1', jump: { port, user, hostKey } });
  through(newKey().publicKey);
  expect(run('cp1', '--', 'true')).toMatchObject({
    code: 255,
    stderr: expect.stringMatching(/HOST IDENTIFICATION HAS CHANGED/),
  });
});

test('a machine with another host key is not logged in to', async () => {
  writeFileSync(siteFile(), siteText.replaceAll(node.target.hostKey, newKey().publicKey));
  const before = node.log().length;
  const { code, stdout, stderr } = run('cp1', '--', 'echo', 'there');
  expect({ code, stdout }).toEqual({ code: 255, stdout: '' });
  expect(stderr).toMatch(/REMOTE HOST IDENTIFICATION HAS CHANGED[^]*Host key verification failed/);
  // Lines of earlier connections may still arrive: the client's port tells this one from them.
  const hungUp = () =>
    /Connection (?:closed|reset) by 127\.0\.0\.1 port (\d+) \[preauth\]/.exec(node.log().slice(before));
  await eventually('the machine is hung up on', () => hungUp() !== null);
  expect(node.log()).not.toMatch(new RegExp(`Accepted .* port ${hungUp()![1]} `));
});

test('an unknown machine is bad input', () => {
  expect(run('cp2')).toEqual({ code: 2, stdout: '', stderr: 'oslo has no machine cp2; it has cp1, w1\n' });
  expect(run('cp1', 'ls', '-la')).toMatchObject({ code: 2, stderr: expect.stringMatching(/unknown option '-la'/) });
});
