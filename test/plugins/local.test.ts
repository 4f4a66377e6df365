import * as fs from 'node:fs';
import * as path from 'node:path';
import * as pulumi from '@pulumi/pulumi';
import { local } from '@pulumi/command';
import { isAlive, removeCompiledPlugins, TestStack } from './engine';

let stack: TestStack;
let diary: string;
beforeAll(async () => {
  stack = await TestStack.make('local');
  diary = path.join(stack.dir, 'diary');
});
beforeEach(() => fs.writeFileSync(diary, ''));
afterEach(() => stack.stack.destroy());
afterAll(async () => {
  await stack?.remove();
  removeCompiledPlugins();
});

const ran = () => fs.readFileSync(diary, 'utf8').split('\n').filter(Boolean);
const program = (args: local.CommandArgs, opts?: pulumi.CustomResourceOptions) => async () => {
  const command = new local.Command('job', args, opts);
  return { id: command.id, stdout: command.stdout, stderr: command.stderr };
};

test('create runs once, an unchanged program runs nothing, an edit runs update with the last output at hand', async () => {
  const first = { create: `echo create >> ${diary}; echo one; echo two >&2`, delete: `echo delete-1 >> ${diary}` };
  const preview = await stack.preview(program(first));
  expect(preview.changes).toMatchObject({ create: 2 });
  expect(ran()).toEqual([]);

  const made = await stack.up(program(first));
  expect(made.outputs).toMatchObject({ stdout: 'one', stderr: 'two', id: expect.stringMatching(/^job[0-9a-f]{8}$/) });
  expect(ran()).toEqual(['create']);

  const same = await stack.up(program(first));
  expect(same.changes).toEqual({ same: 2 });
  expect(ran()).toEqual(['create']);

  const second = {
    ...first,
    update: `echo "update after $PULUMI_COMMAND_STDOUT $PULUMI_COMMAND_STDERR" >> ${diary}; echo three`,
    environment: { NEW: 'value' },
  };
  const edited = await stack.up(program(second));
  expect(edited.changes).toEqual({ same: 1, update: 1 });
  expect(edited.outputs).toMatchObject({ stdout: 'three', id: made.outputs.id });
  expect(ran()).toEqual(['create', 'update after one two']);
});

test('without update an edit runs create again, and the previous output stays away where that is wanted', async () => {
  const args = (word: string) => ({
    create: `echo "${word} [$PULUMI_COMMAND_STDOUT]" >> ${diary}; echo out`,
    addPreviousOutputInEnv: false,
  });
  await stack.up(program(args('a')));
  await stack.up(program(args('b')));
  expect(ran()).toEqual(['a []', 'b []']);
});

test('changed triggers replace, and the old one is deleted by its recorded command and directory', async () => {
  const args = (trigger: string) => ({
    create: `echo create-${trigger} >> ${diary}`,
    delete: `echo delete-${trigger} in $(basename $PWD) >> ${diary}`,
    dir: stack.dir,
    triggers: [trigger],
  });
  const first = await stack.up(program(args('x')));
  const second = await stack.up(program(args('y')));
  expect(second.changes).toEqual({ same: 1, replace: 1 });
  expect(second.outputs.id).not.toBe(first.outputs.id);
  expect(ran()).toEqual(['create-x', 'create-y', `delete-x in ${path.basename(stack.dir)}`]);
});

test('ignoreChanges leaves the resource alone', async () => {
  const args = (word: string) => ({ create: `echo ${word} >> ${diary}` });
  await stack.up(program(args('a')));
  const { changes } = await stack.up(program(args('b'), { ignoreChanges: ['create'] }));
  expect(changes).toEqual({ same: 2 });
  expect(ran()).toEqual(['a']);
});

test('stdin, environment, interpreter, files and the function are passed on', async () => {
  const { outputs } = await stack.up(async () => {
    const command = new local.Command('job', {
      create: 'import os, sys; print(os.environ["WORD"], sys.stdin.read()); open("made.txt", "w").write("x")',
      interpreter: ['python3', '-c'],
      stdin: 'from stdin',
      environment: { WORD: 'env' },
      dir: stack.dir,
      assetPaths: ['*.txt', '!other.txt'],
      archivePaths: ['*.txt'],
    });
    const called = local.runOutput({ command: 'echo "called $WORD"', environment: { WORD: 'now' } });
    return {
      stdout: command.stdout,
      assets: command.assets.apply((map) => Object.keys(map ?? {})),
      called: called.stdout,
    };
  });
  expect(outputs).toEqual({ stdout: 'env from stdin', assets: ['made.txt'], called: 'called now' });
});

test('lines of a running command reach the engine, but only those that logging allows', async () => {
  const speak = (name: string, logging?: local.Logging) =>
    new local.Command(name, { create: `echo ${name}-out; echo ${name}-err >&2`, logging });
  const { events } = await stack.up(async () => {
    speak('both');
    speak('errOnly', local.Logging.Stderr);
    speak('none', local.Logging.None);
  });
  const lines = events.flatMap((event) => event.diagnosticEvent?.message.replace(/<[^>]*>/g, '').trim() ?? []);
  for (const line of ['both-out', 'both-err', 'errOnly-err']) expect(lines).toContain(line);
  for (const line of ['errOnly-out', 'none-out', 'none-err']) expect(lines).not.toContain(line);
});

test('a failure names the exit code, the command and its output; with logging "none" the output is withheld', async () => {
  const fail = { create: 'echo PLAIN-OUTPUT; exit 7' };
  const said = await stack.upFails(program(fail));
  expect(said).toContain('exit status 7: running');
  expect(said).toContain('PLAIN-OUTPUT');
  const quiet = await stack.upFails(program({ create: 'echo $((6 * 7))42; exit 7', logging: 'none' }));
  expect(quiet).toContain('output withheld');
  expect(quiet).not.toContain('4242');
});

test('a secret stays a secret: not in the state, not in events, not in a failure', async () => {
  const planted = 'PLANTED-9f3b';
  const secretStdin = { create: 'cat > /dev/null; echo length $(echo hello)', stdin: pulumi.secret(planted) };
  const made = await stack.up(program(secretStdin));
  expect(made.outputs.stdout).toBe('length hello');
  expect(made.said).not.toContain(planted);
  expect(stack.state()).not.toContain(planted);
  // An edit of another input goes through Diff and Update with the secret in both.
  const edited = await stack.up(program({ ...secretStdin, environment: { A: 'b' } }));
  expect(edited.said).not.toContain(planted);
  expect(stack.state()).not.toContain(planted);

  // The search finds what is there: the same value as a plain input.
  await stack.up(program({ ...secretStdin, stdin: planted }));
  expect(stack.state()).toContain(planted);

  // A plain value that becomes a secret leaves the state.
  await stack.up(program(secretStdin));
  expect(stack.state()).not.toContain(planted);

  const said = await stack.upFails(program({ create: pulumi.secret(`true ${planted}; exit 3`) }));
  expect(said).toContain('exit status 3: running [secret]');
  expect(said).not.toContain(planted);
});

test('a step over its time limit is stopped with a clear message, what it started included', async () => {
  const pidFile = path.join(stack.dir, 'pid');
  const hang = { create: `sleep 600 & echo $! > ${pidFile}; wait` };
  const said = await stack.upFails(program(hang, { customTimeouts: { create: '1s' } }));
  expect(said).toContain('not finished within its time limit of 1 s');
  expect(isAlive(Number(fs.readFileSync(pidFile, 'utf8')))).toBe(false);
});

test('cancelling the update ends the running command', async () => {
  const pidFile = path.join(stack.dir, 'pid');
  const hang = { create: `echo $$ > ${pidFile}; echo started; exec sleep 600` };
  const aborter = new AbortController();
  const running = stack.stack.up({
    program: program(hang),
    signal: aborter.signal,
    onEvent: (event) => {
      if (event.diagnosticEvent?.message.includes('started')) aborter.abort();
    },
  });
  await expect(running).rejects.toThrow();
  expect(isAlive(Number(fs.readFileSync(pidFile, 'utf8')))).toBe(false);
  // The next run carries on: no lock and no half-made resource in the way.
  const { outputs } = await stack.up(program({ create: 'echo carried on' }));
  expect(outputs.stdout).toBe('carried on');
});

test('bad inputs are reported all at once, before anything runs', async () => {
  const args = { create: `echo ran >> ${diary}`, logging: 'loud', dir: 5, colour: 'red' };
  const said = await stack.upFails(program(args as unknown as local.CommandArgs));
  expect(said).toContain('must be one of stdout, stderr, stdoutAndStderr, none; given loud');
  expect(said).toContain('must be a string');
  expect(ran()).toEqual([]);
});
