import * as fs from 'node:fs';
import * as path from 'node:path';
import { local } from '@pulumi/command';
import * as pulumi from '@pulumi/pulumi';
import * as proto from '@pulumi/pulumi/proto/provider_pb';
import type { Message } from 'google-protobuf';
import * as ts from 'typescript';
import { PluginServer } from '../../scripts/plugins/base';
import { commandPlugin } from '../../scripts/plugins/command/plugin';
import { removeCompiledPlugins, TestStack } from './engine';
import { repoRoot, transpilePlugins } from './transpile';
import { fill, toPlain, type Exchange, type Plain } from './transcriptCodec';

/**
 * What the real engine and the plugin said to each other in the life of one resource, replayed against the plugin of
 * today. UPDATE_GOLDENS=1 records it again on the real engine; the change is reviewed like code.
 */
const golden = path.join(__dirname, 'golden/transcript.json');

/** The requests whose answers a state depends on. */
const requests: Record<string, new () => Message> = {
  configure: proto.ConfigureRequest,
  check: proto.CheckRequest,
  diff: proto.DiffRequest,
  create: proto.CreateRequest,
  read: proto.ReadRequest,
  update: proto.UpdateRequest,
  delete: proto.DeleteRequest,
};

interface Step {
  step: string;
  exchanges: Exchange[];
}

/** Drawn anew in every run, and none of them means anything to this plugin. */
const RANDOM_FIELDS = ['Id', 'ResourceStatusAddress', 'ResourceStatusToken'];

/** Without the random end of the ids that the plugin draws, and without every other random field. */
function normalised<T>(value: T): T {
  const text = JSON.stringify(value).replace(/\bjob[0-9a-f]{8}\b/g, 'job<id>');
  const isRandom = (key: string, item: unknown) => RANDOM_FIELDS.includes(key) && item !== 'job<id>';
  return JSON.parse(text, (key, item) => (isRandom(key, item) ? undefined : item)) as T;
}

/** One exchange a line: a change of an answer is a change of its line. */
function written(steps: Step[]): string {
  const lines = steps.map(({ step, exchanges }) => {
    const told = exchanges.map((exchange) => `  ${JSON.stringify(exchange)}`).join(',\n');
    return ` {"step": ${JSON.stringify(step)}, "exchanges": [\n${told}\n ]}`;
  });
  return `[\n${lines.join(',\n')}\n]\n`;
}

async function record(): Promise<Step[]> {
  const stack = await TestStack.make('transcript');
  const compiled = transpilePlugins();
  try {
    const file = path.join(stack.dir, 'transcript');
    startRecorder(stack, compiled, file);
    const job = (args: local.CommandArgs) => async () => void new local.Command('job', args);
    const first = {
      create: 'echo made $WORD; cat',
      delete: 'echo gone',
      stdin: pulumi.secret('told in confidence'),
      environment: { WORD: 'one' },
      triggers: ['a'],
    };
    const edited = { ...first, update: 'echo again after $PULUMI_COMMAND_STDOUT', environment: { WORD: 'two' } };
    const steps: Step[] = [];
    const run = async (step: string, work: () => Promise<unknown>) => {
      fs.writeFileSync(file, '');
      await work();
      const lines = fs.readFileSync(file, 'utf8').split('\n').filter(Boolean);
      const exchanges = lines.map((line) => JSON.parse(line) as Exchange).filter(({ method }) => method in requests);
      steps.push(normalised({ step, exchanges }));
    };
    await run('preview of a create', () => stack.preview(job(first)));
    await run('create', () => stack.up(job(first)));
    await run('no change', () => stack.up(job(first)));
    await run('preview of an update', () => stack.preview(job(edited)));
    await run('update', () => stack.up(job(edited)));
    await run('refresh', () => stack.stack.refresh());
    await run('replace', () => stack.up(job({ ...edited, triggers: ['b'] })));
    await run('failed update', () => stack.upFails(job({ ...edited, triggers: ['b'], update: 'echo bad; exit 3' })));
    await run('delete', () => stack.stack.destroy());
    return steps;
  } finally {
    await stack.remove();
    fs.rmSync(compiled, { recursive: true, force: true });
    removeCompiledPlugins();
  }
}

/** Puts the recorder where the engine of the stack finds its command plugin. */
function startRecorder(stack: TestStack, compiled: string, file: string): void {
  for (const name of ['transcriptCodec', 'transcriptRecorder']) {
    const source = fs.readFileSync(path.join(__dirname, `${name}.ts`), 'utf8');
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS, esModuleInterop: true },
    });
    fs.mkdirSync(path.join(compiled, 'test/plugins'), { recursive: true });
    fs.writeFileSync(path.join(compiled, `test/plugins/${name}.js`), outputText);
  }
  const main = path.join(compiled, 'test/plugins/transcriptRecorder.js');
  const executable = path.join(stack.dir, 'home/plugins/resource-command-v1.2.1/pulumi-resource-command');
  const line = `SITEWRIGHT_TRANSCRIPT='${file}' exec '${process.execPath}' '${main}' "$@"`;
  fs.writeFileSync(executable, `#!/bin/sh\n${line}\n`, { mode: 0o755 });
}

type Handler = (
  call: { request: Message },
  callback: (error: { details: string } | null, answer?: Message) => void,
) => void;

async function replay({ method, request }: Exchange): Promise<Pick<Exchange, 'answer' | 'error'>> {
  const handlers = new PluginServer(commandPlugin).service() as unknown as Record<string, Handler>;
  const message = fill(new requests[method]!(), request);
  return new Promise((resolve) =>
    handlers[method]!({ request: message }, (error, answer) =>
      resolve(normalised(error === null ? { answer: toPlain(answer!) } : { error: error.details })),
    ),
  );
}

beforeAll(async () => {
  if (process.env.UPDATE_GOLDENS !== '1') return;
  fs.mkdirSync(path.dirname(golden), { recursive: true });
  fs.writeFileSync(golden, written(await record()));
});

const steps = () => JSON.parse(fs.readFileSync(golden, 'utf8')) as Step[];

test('the transcript tells a whole life, in the words of the engine', () => {
  const told = steps().map(({ step, exchanges }) => [step, exchanges.map(({ method }) => method).join(' ')]);
  expect(Object.fromEntries(told)).toEqual({
    'preview of a create': 'configure check create',
    create: 'configure check create',
    'no change': 'configure check diff',
    'preview of an update': 'configure check diff update',
    update: 'configure check diff update',
    refresh: 'configure read diff',
    replace: 'configure check diff check create delete',
    'failed update': 'configure check diff update',
    delete: 'configure delete',
  });
});

test('today the plugin gives the same answers', async () => {
  for (const { step, exchanges } of steps())
    for (const exchange of exchanges) {
      const { method, answer, error } = exchange;
      const recorded: Plain = answer === undefined ? { error } : { answer };
      expect({ step, method, ...(await replay(exchange)) }).toEqual({ step, method, ...recorded });
    }
});

test('no path of the machine that recorded it is in it', () => {
  expect(fs.readFileSync(golden, 'utf8')).not.toMatch(/\/(tmp|home|root|work)\//);
  expect(fs.readFileSync(golden, 'utf8')).not.toContain(repoRoot);
});
