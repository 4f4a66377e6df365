import * as fs from 'node:fs';
import * as path from 'node:path';
import * as pulumi from '@pulumi/pulumi';
import { remote, types } from '@pulumi/command';
import type { SshTarget } from '../../components/ssh/session';
import { newKey } from '../ssh/keys';
import { freePort, startSshd, type TestSshd } from '../ssh/sshd';
import { isAlive, removeCompiledPlugins, TestStack } from './engine';

let stack: TestStack;
let sshd: TestSshd;
let jump: TestSshd;
let diary: string;
beforeAll(async () => {
  [stack, sshd, jump] = await Promise.all([
    TestStack.make('remote'),
    startSshd({ config: ['AcceptEnv SITE_*'] }),
    startSshd(),
  ]);
  diary = path.join(stack.dir, 'diary');
});
beforeEach(() => fs.writeFileSync(diary, ''));
afterEach(() => stack.stack.destroy());
afterAll(async () => {
  await stack?.remove();
  await sshd?.stop();
  await jump?.stop();
  removeCompiledPlugins();
});

const ran = () => fs.readFileSync(diary, 'utf8').split('\n').filter(Boolean);

function connection(target: SshTarget, more: object = {}): types.input.remote.ConnectionArgs {
  const { host, port, user, hostKey } = target;
  return { host, port, user, hostKey, privateKey: pulumi.secret(target.privateKey), ...more };
}

const program = (args: Partial<remote.CommandArgs>, opts?: pulumi.CustomResourceOptions) => async () => {
  const command = new remote.Command('job', { connection: connection(sshd.target), ...args }, opts);
  return { stdout: command.stdout, stderr: command.stderr };
};

test('a secret script goes in by stdin, an edit runs it again, delete uses what was recorded; no secret is left behind', async () => {
  const script = (word: string) =>
    pulumi.secret(`echo ${word} >> ${diary}; echo told-${word}; echo PLANTED-77aa > /dev/null`);
  const args = (word: string) => ({ create: 'exec bash -s', stdin: script(word), delete: `echo deleted >> ${diary}` });
  const made = await stack.up(program(args('a')));
  expect(made.outputs.stdout).toBe('told-a');
  const same = await stack.up(program(args('a')));
  expect(same.changes).toEqual({ same: 2 });
  const edited = await stack.up(program(args('b')));
  expect(edited.changes).toEqual({ same: 1, update: 1 });
  expect(ran()).toEqual(['a', 'b']);

  const keyLine = sshd.target.privateKey.split('\n')[1];
  for (const planted of ['PLANTED-77aa', keyLine]) {
    expect(made.said + edited.said + stack.state()).not.toContain(planted);
  }
  expect(stack.state()).toContain('exec bash -s');
  await stack.stack.destroy();
  expect(ran()).toEqual(['a', 'b', 'deleted']);
});

test('another host key is refused at once, with both fingerprints, and nothing runs', async () => {
  const wrong = connection({ ...sshd.target, hostKey: newKey().publicKey });
  const said = await stack.upFails(program({ connection: wrong, create: `echo ran >> ${diary}` }));
  expect(said).toMatch(/host key does not match: expected SHA256:\S+, given SHA256:/);
  expect(said).not.toContain('retrying');
  expect(ran()).toEqual([]);
});

test('a connection without a host key is bad input', async () => {
  const said = await stack.upFails(
    program({ connection: connection(sshd.target, { hostKey: undefined }), create: 'true' }),
  );
  expect(said).toContain('connection.hostKey');
  expect(said).toContain('is required');
});

test('a jump host is passed through, its host key checked', async () => {
  const proxy = connection(jump.target);
  const through = await stack.up(program({ connection: connection(sshd.target, { proxy }), create: 'echo inside' }));
  expect(through.outputs.stdout).toBe('inside');
  expect(jump.log()).toContain('Accepted publickey');

  const wrong = connection(sshd.target, { proxy: { ...proxy, hostKey: newKey().publicKey } });
  const said = await stack.upFails(program({ connection: wrong, create: 'true' }));
  expect(said).toContain('host key does not match');
});

test('dialling is tried as often as the connection allows', async () => {
  const closed = connection({ ...sshd.target, port: await freePort() }, { dialErrorLimit: 1 });
  const said = await stack.upFails(program({ connection: closed, create: 'true' }));
  expect(said).toContain('Dial 1/1 failed: retrying');
  expect(said).toMatch(/after 2 failed attempts: .*ECONNREFUSED/);
});

test('a failure gives the exit code and the output of the command', async () => {
  const said = await stack.upFails(program({ create: 'echo why >&2; exit 9' }));
  expect(said).toContain('Process exited with status 9: running');
  expect(said).toContain('why');
});

test('variables reach the command; one that sshd drops is an error that says what to do', async () => {
  const { outputs } = await stack.up(program({ create: 'echo $SITE_NAME', environment: { SITE_NAME: 'oslo' } }));
  expect(outputs.stdout).toBe('oslo');
  const said = await stack.upFails(program({ create: 'true', environment: { OTHER: 'x' } }));
  expect(said).toContain("Unable to set 'OTHER'");
});

test('cancelling closes the connection under a running command', async () => {
  const pidFile = path.join(stack.dir, 'pid');
  const aborter = new AbortController();
  const running = stack.stack.up({
    program: program({ create: `echo $$ > ${pidFile}; while echo tick; do sleep 0.1; done` }),
    signal: aborter.signal,
    onEvent: (event) => {
      if (event.diagnosticEvent?.message.includes('tick')) aborter.abort();
    },
  });
  await expect(running).rejects.toThrow();
  const pid = Number(fs.readFileSync(pidFile, 'utf8'));
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 50));
});

test('CopyToRemote brings a text and a directory over, again only when they change', async () => {
  const source = path.join(stack.dir, 'source');
  fs.mkdirSync(path.join(source, 'deep'), { recursive: true });
  fs.writeFileSync(path.join(source, 'deep/file'), 'one');
  const target = path.join(stack.dir, 'target');
  const copies = (triggers: string[]) => async () => {
    const to = connection(sshd.target);
    const text = new pulumi.asset.StringAsset('hello');
    new remote.CopyToRemote('text', { connection: to, source: text, remotePath: `${target}/new/text`, triggers });
    const tree = new pulumi.asset.FileArchive(source);
    new remote.CopyToRemote('tree', { connection: to, source: tree, remotePath: target });
  };
  await stack.up(copies(['1']));
  expect(fs.readFileSync(`${target}/new/text`, 'utf8')).toBe('hello');
  expect(fs.readFileSync(`${target}/source/deep/file`, 'utf8')).toBe('one');

  fs.writeFileSync(path.join(source, 'deep/file'), 'two');
  fs.rmSync(`${target}/new`, { recursive: true });
  const edited = await stack.up(copies(['1']));
  expect(edited.changes).toEqual({ same: 2, update: 1 });
  expect(fs.readFileSync(`${target}/source/deep/file`, 'utf8')).toBe('two');
  expect(fs.existsSync(`${target}/new`)).toBe(false);

  const replaced = await stack.up(copies(['2']));
  expect(replaced.changes).toEqual({ same: 2, replace: 1 });
  expect(fs.existsSync(`${target}/new/text`)).toBe(true);
});
