import { runScript, ScriptError } from '../../components/ssh/script';
import { SshSession } from '../../components/ssh/session';
import { startSshd, type TestSshd } from './sshd';

let server: TestSshd;
let session: SshSession;
beforeAll(async () => {
  server = await startSshd();
  session = await SshSession.connect(server.target);
});
afterAll(async () => {
  session?.end();
  await server?.stop();
});

test('arguments arrive as they are, with and without an input', async () => {
  const args = ["it's", 'two words', '-n', '$HOME'];
  const script = `printf '<%s>' "$@"; cat`;
  await expect(runScript(session, `${script} </dev/null`, { args })).resolves.toBe("<it's><two words><-n><$HOME>");
  await expect(runScript(session, script, { args, input: 'input' })).resolves.toBe("<it's><two words><-n><$HOME>input");
});

test('a script that is sent by stdin is nowhere among the arguments of a process', async () => {
  const word = ['pass', 'word'].join('');
  const found = await runScript(session, `: ${word}; tr '\\0' ' ' </proc/$$/cmdline`);
  expect(found.trim()).toBe('bash -s');
});

test('steps are progress, the rest is what a failure is told by', async () => {
  const steps: string[] = [];
  const script = `for word in 'step: first' 'warning' '' 'step: second' 'error: no'; do echo "$word" >&2; done; exit 3`;
  const run = runScript(session, script, { name: 'n1', onProgress: (step) => steps.push(step) });
  await expect(run).rejects.toThrow(new ScriptError('n1: warning\nerror: no'));
  expect(steps).toEqual(['n1: first', 'n1: second']);
});

test('a failure without words names the machine and the exit code', async () => {
  await expect(runScript(session, 'exit 7', { name: 'n1' })).rejects.toThrow('n1: a script ended with exit code 7');
  await expect(runScript(session, 'exit 7')).rejects.toThrow(`${session.where}: a script ended with exit code 7`);
});
