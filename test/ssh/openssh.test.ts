import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { HostKeyMismatchError, SshAuthError, SshSession } from '../../components/ssh/session';
import { newKey } from './keys';
import { startSshd, type TestSshd } from './sshd';

let sshd: TestSshd;
let session: SshSession;
beforeAll(async () => {
  sshd = await startSshd();
  session = await SshSession.connect(sshd.target);
});
afterAll(async () => {
  session?.end();
  await sshd?.stop();
});

test('a script goes in by standard input, a megabyte comes back whole', async () => {
  const result = await session.exec('bash -s', {
    stdin: 'head -c 1000000 /dev/zero | tr "\\0" x; echo done >&2; exit 7',
  });
  expect(result.code).toBe(7);
  expect(result.stdout.length).toBe(1_000_000);
  expect(result.stderr).toBe('done\n');
});

test('a command that a signal ends gives 128 + its number', async () => {
  await expect(session.exec('kill -KILL $$')).resolves.toMatchObject({ code: 137 });
});

test('a command that does not read its input ends all the same', async () => {
  await expect(session.exec('true', { stdin: Buffer.alloc(4_000_000) })).resolves.toMatchObject({ code: 0 });
});

test('an aborted command loses its output and ends at the next line it writes', async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-abort-'));
  const pidFile = path.join(dir, 'pid');
  const aborter = new AbortController();
  const hang = session.exec(`echo $$ > ${pidFile}; while echo tick; do sleep 0.05; done`, {
    signal: aborter.signal,
    onStdoutLine: () => aborter.abort(new Error('enough')),
  });
  await expect(hang).rejects.toThrow('enough');
  const pid = Number(fs.readFileSync(pidFile, 'utf8'));
  const gone = await session.exec(`while kill -0 ${pid} 2>/dev/null; do sleep 0.05; done; echo gone`);
  expect(gone.stdout).toBe('gone\n');
  fs.rmSync(dir, { recursive: true });
});

test('the host key of a real server is checked, its log-in refused without the right key', async () => {
  await expect(SshSession.connect({ ...sshd.target, hostKey: newKey().publicKey })).rejects.toBeInstanceOf(
    HostKeyMismatchError,
  );
  await expect(SshSession.connect({ ...sshd.target, privateKey: newKey().privateKey })).rejects.toBeInstanceOf(
    SshAuthError,
  );
});

test('one real server is reached through another', async () => {
  const jump = await startSshd();
  const through = await SshSession.connect({ ...sshd.target, jump: jump.target });
  await expect(through.exec('echo $SSH_CONNECTION')).resolves.toMatchObject({ code: 0 });
  expect(jump.log()).toContain('Accepted publickey');
  through.end();
  await jump.stop();
});
