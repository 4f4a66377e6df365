import { spawn } from 'node:child_process';
import * as net from 'node:net';
import * as path from 'node:path';
import type { AgentRequest } from '../../components/agent/request';
import { newKey } from '../ssh/keys';
import { freePort, startSshd, type TestSshd } from '../ssh/sshd';
import { AGENT, agentEnvironment } from './start';

let server: TestSshd;
beforeAll(async () => {
  server = await startSshd();
});
afterAll(() => server?.stop());

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

function agent(input: string): Promise<Ended> {
  const main = `require(${JSON.stringify(path.resolve('components/agent/main.ts'))}).main()`;
  const child = spawn(process.execPath, ['-r', AGENT, '-e', main], { env: agentEnvironment() });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data) => (stdout += data));
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  child.stdin.end(input);
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
}

const awaitSsh = (target: object, limitSeconds = 20): AgentRequest => ({
  kind: 'await-ssh',
  name: 'node-a',
  target: { ...server.target, ...target },
  limitSeconds,
});

test('await-ssh: a machine that lets us in', async () => {
  const { code, stdout, stderr } = await agent(JSON.stringify(awaitSsh({})));
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toEqual({ kind: 'ssh', name: 'node-a' });
});

test('await-ssh: another host key fails at once, with both fingerprints and without the key of the user', async () => {
  const { code, stdout, stderr } = await agent(JSON.stringify(awaitSsh({ hostKey: newKey().publicKey }, 600)));
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr.match(/SHA256:/g)).toHaveLength(2);
  expect(stderr).toContain('If the machine was reinstalled on purpose');
  expect(stderr).not.toMatch(/PRIVATE KEY|\n\s+at /);
});

test('await-ssh: the limit is kept', async () => {
  const { code, stderr } = await agent(JSON.stringify(awaitSsh({ port: await freePort() }, 2)));
  expect(code).toBe(1);
  expect(stderr).toContain('no SSH session within 2 s');
});

test('a cancel ends it', async () => {
  // Accepts and never speaks; its first connection tells that the agent is waiting.
  const silent = net.createServer((socket) => socket.on('error', () => undefined));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const main = `require(${JSON.stringify(path.resolve('components/agent/main.ts'))}).main()`;
  const child = spawn(process.execPath, ['-r', AGENT, '-e', main], { env: agentEnvironment() });
  let stderr = '';
  child.stderr.on('data', (data) => (stderr += data));
  silent.once('connection', () => child.kill('SIGTERM'));
  child.stdin.end(JSON.stringify(awaitSsh({ port: (silent.address() as net.AddressInfo).port }, 600)));
  const code = await new Promise((resolve) => child.once('close', resolve));
  silent.close();
  expect({ code, stderr }).toEqual({ code: 1, stderr: 'cancelled\n' });
});

test.each([
  ['not JSON {"privateKey": "x', 'the request is not JSON\n'],
  ['{"kind": "other"}', 'unknown kind of request: other\n'],
])('%s', async (input, message) => {
  expect(await agent(input)).toEqual({ code: 1, stdout: '', stderr: message });
});
