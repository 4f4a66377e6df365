import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { promisify } from 'node:util';
import * as grpc from '@grpc/grpc-js';
import { ResourceProviderClient } from '@pulumi/pulumi/proto/provider_grpc_pb';
import { CreateRequest, type CreateResponse } from '@pulumi/pulumi/proto/provider_pb';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import type { PluginInfo } from '@pulumi/pulumi/proto/plugin_pb';
import { toStruct, type Values } from '../../scripts/plugins/values';
import { isAlive } from './engine';
import { transpilePlugins } from './transpile';

let compiled: string;
let engine: ChildProcess;
let client: ResourceProviderClient;
let pidFile: string;
beforeAll(() => {
  compiled = transpilePlugins();
  pidFile = path.join(compiled, 'pid');
});
beforeEach(async () => {
  // Stands in for the engine: the plugin's parent, whose death it must notice.
  const main = path.join(compiled, 'scripts/plugins/command/main.js');
  const parent = `const c = require('child_process').spawn(process.execPath, [${JSON.stringify(main)}], { stdio: 'inherit', detached: true });
    require('fs').writeFileSync(${JSON.stringify(`${pidFile}.plugin`)}, String(c.pid));`;
  engine = spawn(process.execPath, ['-e', parent], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = await once(engine.stdout as NodeJS.ReadableStream, 'data');
  client = new ResourceProviderClient(`127.0.0.1:${String(port).trim()}`, grpc.credentials.createInsecure());
});
afterEach(() => {
  client.close();
  engine.kill('SIGKILL');
});
afterAll(() => fs.rmSync(compiled, { recursive: true, force: true }));

const readPid = (file: string) => Number(fs.readFileSync(file, 'utf8'));

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

function create(inputs: Values): Promise<CreateResponse> {
  const request = new CreateRequest()
    .setUrn('urn:pulumi:s::p::command:local:Command::job')
    .setProperties(toStruct(inputs));
  return promisify<CreateRequest, CreateResponse>(client.create.bind(client))(request);
}

/** Starts a command that would run for ten minutes; resolves when it runs. */
async function startHanging(): Promise<{ finished: Promise<unknown>; pid: number }> {
  fs.rmSync(pidFile, { force: true });
  const finished = create({ create: `echo $$ > ${pidFile}.new; mv ${pidFile}.new ${pidFile}; exec sleep 600` }).catch(
    (error) => error,
  );
  await until(() => fs.existsSync(pidFile));
  return { finished, pid: readPid(pidFile) };
}

test('the plugin says its version and runs a command without an engine to log to', async () => {
  const info = await promisify<Empty, PluginInfo>(client.getPluginInfo.bind(client))(new Empty());
  expect(info.getVersion()).toBe('1.2.1');
  const made = await create({ create: 'echo hello' });
  expect(made.getProperties()?.toJavaScript()).toMatchObject({ stdout: 'hello' });
});

test('Cancel ends a running command and refuses new ones', async () => {
  const { finished, pid } = await startHanging();
  await promisify<Empty, Empty>(client.cancel.bind(client))(new Empty());
  expect(await finished).toMatchObject({ details: expect.stringContaining('cancelled') });
  expect(isAlive(pid)).toBe(false);
  await expect(create({ create: 'true' })).rejects.toThrow('cancelled');
});

test('when the engine is killed, the running command ends and so does the plugin', async () => {
  const { pid } = await startHanging();
  const plugin = readPid(`${pidFile}.plugin`);
  engine.kill('SIGKILL');
  await until(() => !isAlive(pid) && !isAlive(plugin));
});

test('a command that ignores the request to end is killed', async () => {
  fs.rmSync(pidFile, { force: true });
  const finished = create({ create: `trap "" TERM; echo $$ > ${pidFile}; while :; do sleep 0.1; done` }).catch(
    (error) => error,
  );
  await until(() => fs.existsSync(pidFile) && readPid(pidFile) > 0);
  await promisify<Empty, Empty>(client.cancel.bind(client))(new Empty());
  expect(await finished).toMatchObject({ details: expect.stringContaining('cancelled') });
  expect(isAlive(readPid(pidFile))).toBe(false);
});
