import * as fs from 'node:fs';
import * as path from 'node:path';
import { commandPlugin, version } from '../../scripts/plugins/command/plugin';
import { repoRoot } from './transpile';

type Json = Record<string, unknown>;
interface Resource {
  properties: Json;
  inputProperties: Json;
  required: string[];
  requiredInputs: string[];
}
interface Schema {
  types: Record<string, Json>;
  resources: Record<string, Resource>;
  functions: Record<string, { inputs: Json; outputs: Json }>;
}

const officialFile = path.join(repoRoot, `../shared/upstream/pulumi-providers/command-v${version}.json`);
const official = comparable(JSON.parse(fs.readFileSync(officialFile, 'utf8'))) as unknown as Schema;
const ours = comparable(JSON.parse(commandPlugin.schema)) as unknown as Schema;

/** Without prose, and with lists of names in one order. */
function comparable(value: unknown): unknown {
  if (Array.isArray(value))
    return value.every((item) => typeof item === 'string') ? [...value].sort() : value.map(comparable);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(
    ([key, item]) =>
      !(key === 'description' && typeof item === 'string') &&
      !(key === 'required' && Array.isArray(item) && !item.length),
  );
  return Object.fromEntries(kept.map(([key, item]) => [key, comparable(item)]));
}

/** Deprecated by the official plugin in favour of CopyToRemote, and used by nobody here. */
const leftOut = ['command:remote:CopyFile'];

const resourceTokens = Object.keys(official.resources).filter((token) => !leftOut.includes(token));

test('the same resources and functions', () => {
  expect(Object.keys(ours.resources).sort()).toEqual(resourceTokens.sort());
  expect(Object.keys(ours.functions)).toEqual(Object.keys(official.functions));
  expect(Object.keys(commandPlugin.resources)).toEqual(Object.keys(ours.resources));
  expect(Object.keys(commandPlugin.functions)).toEqual(Object.keys(ours.functions));
});

test.each(resourceTokens)('%s has the same inputs, outputs, types, defaults, secrets and replacements', (token) => {
  const theirs = official.resources[token];
  expect(ours.resources[token].inputProperties).toEqual(theirs.inputProperties);
  expect(ours.resources[token].requiredInputs).toEqual(theirs.requiredInputs ?? []);
  expect(ours.resources[token].properties).toEqual(theirs.properties);
  expect(ours.resources[token].required).toEqual(theirs.required);
});

test.each(Object.keys(official.types))('type %s is the same', (token) => {
  expect(ours.types[token]).toEqual(official.types[token]);
});

test.each(Object.keys(official.functions))('function %s is the same', (token) => {
  expect(ours.functions[token]).toEqual(official.functions[token]);
});

test('only a change of the triggers replaces, whether of the list or of something in it', () => {
  const command = commandPlugin.resources['command:local:Command'];
  expect(['triggers', 'triggers[0]', 'triggers[0].name'].map(command.replaces)).toEqual([true, true, true]);
  expect(['create', 'stdin', 'environment.triggers'].map(command.replaces)).toEqual([false, false, false]);
});

test('Check fills in the defaults of the schema, for the proxy too, and marks what is secret', () => {
  const hostKey = 'ssh-ed25519 AAAA';
  const { inputs, failures } = commandPlugin.resources['command:remote:Command'].check({
    create: 'true',
    connection: { host: 'a', privateKey: 'k', hostKey, proxy: { host: 'b', privateKey: 'k', hostKey } },
  });
  expect(failures).toEqual([]);
  const secretOf = (value: unknown) => expect.objectContaining({ value });
  const defaults = {
    port: 22,
    user: 'root',
    dialErrorLimit: 10,
    perDialTimeout: 15,
    hostKey,
    privateKey: secretOf('k'),
  };
  expect(inputs).toEqual({
    create: 'true',
    connection: secretOf({ host: 'a', ...defaults, proxy: { host: 'b', ...defaults } }),
  });
});

test('Check reports everything that is missing or stricter here', () => {
  const { failures } = commandPlugin.resources['command:remote:Command'].check({ connection: { proxy: {} } });
  expect(failures.map((failure) => failure.property).sort()).toEqual([
    'connection.host',
    'connection.hostKey',
    'connection.privateKey',
    'connection.proxy.host',
    'connection.proxy.hostKey',
    'connection.proxy.privateKey',
  ]);
});

test('Check accepts what is not known yet', () => {
  const unknown = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';
  const command = commandPlugin.resources['command:remote:Command'];
  expect(command.check({ create: unknown, connection: unknown }).failures).toEqual([]);
  const partly = { host: unknown, hostKey: unknown, privateKey: unknown };
  expect(command.check({ create: 'true', connection: partly }).failures).toEqual([]);
});
