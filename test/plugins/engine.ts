import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { LocalWorkspace, type EngineEvent, type OpMap, type PulumiFn, type Stack } from '@pulumi/pulumi/automation';
import { automationCommand, engineEnv, findEngine } from '../../scripts/engine/find';
import { installPlugins } from '../../scripts/engine/plugins';
import { transpilePlugins } from './transpile';

export interface Outcome {
  changes: OpMap;
  outputs: Record<string, unknown>;
  /** Everything the engine printed and every event it sent but the debug ones. */
  said: string;
  events: EngineEvent[];
}

/** A stack on the real engine with a file backend and a PULUMI_HOME of its own, always with this kit's own plugins. */
export class TestStack {
  private constructor(
    readonly stack: Stack,
    readonly dir: string,
    private readonly project: string,
  ) {}

  static async make(project: string): Promise<TestStack> {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-stack-'));
    const found = await findEngine(() => undefined);
    const engine = { ...found, pulumiHome: path.join(dir, 'home') };
    await useFallback(engine);
    fs.mkdirSync(path.join(dir, 'state'));
    const stack = await LocalWorkspace.createOrSelectStack(
      { stackName: 'test', projectName: project, program: async () => ({}) },
      {
        workDir: dir,
        pulumiCommand: await automationCommand(engine),
        envVars: { ...engineEnv(engine), PULUMI_CONFIG_PASSPHRASE: 'test' },
        projectSettings: { name: project, runtime: 'nodejs', backend: { url: `file://${path.join(dir, 'state')}` } },
      },
    );
    return new TestStack(stack, dir, project);
  }

  async preview(program: PulumiFn): Promise<Outcome> {
    const recorder = new Recorder();
    const result = await this.stack.preview({ ...recorder, program });
    return { changes: result.changeSummary, outputs: {}, ...recorder.result() };
  }

  async up(program: PulumiFn): Promise<Outcome> {
    const recorder = new Recorder();
    const result = await this.stack.up({ ...recorder, program });
    const outputs = Object.fromEntries(Object.entries(result.outputs).map(([name, output]) => [name, output.value]));
    return { changes: result.summary.resourceChanges ?? {}, outputs, ...recorder.result() };
  }

  /** Runs an `up` that must fail; gives what it said. */
  async upFails(program: PulumiFn): Promise<string> {
    const recorder = new Recorder();
    await expect(this.stack.up({ ...recorder, program })).rejects.toThrow();
    return recorder.result().said;
  }

  async refresh(): Promise<Outcome> {
    const recorder = new Recorder();
    const { summary } = await this.stack.refresh(recorder);
    return { changes: summary.resourceChanges ?? {}, outputs: {}, ...recorder.result() };
  }

  /** The recorded state as it lies in the backend (an export would show the secrets). */
  state(): string {
    return fs.readFileSync(path.join(this.dir, 'state/.pulumi/stacks', this.project, 'test.json'), 'utf8');
  }

  async remove(): Promise<void> {
    await this.stack.destroy({ remove: true });
    fs.rmSync(this.dir, { recursive: true, force: true });
  }
}

/** The vendor's plugin must not get in here, or these tests would say nothing about ours: the memory of a failure keeps it out. */
async function useFallback(engine: Parameters<typeof installPlugins>[0]): Promise<void> {
  const cache = path.join(engine.pulumiHome, 'cache');
  fs.mkdirSync(path.join(cache, 'sitewright/unreachable'), { recursive: true });
  for (const plugin of ['command-plugin', 'kubernetes-plugin']) {
    fs.writeFileSync(path.join(cache, 'sitewright/unreachable', plugin), 'kept out by the test');
  }
  const before = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = cache;
  try {
    const fallbacks = path.join(compiledPlugins(), 'scripts/plugins');
    const installed = await installPlugins(engine, () => undefined, fallbacks);
    expect(installed).toEqual({ command: 'fallback', kubernetes: 'fallback' });
  } finally {
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
  }
}

let compiled: string | undefined;
function compiledPlugins(): string {
  compiled ??= transpilePlugins();
  return compiled;
}

export function removeCompiledPlugins(): void {
  if (compiled) fs.rmSync(compiled, { recursive: true, force: true });
}

class Recorder {
  private readonly lines: string[] = [];
  private readonly events: EngineEvent[] = [];
  readonly onOutput = (text: string) => void this.lines.push(text);
  readonly onError = (text: string) => void this.lines.push(text);
  readonly onEvent = (event: EngineEvent) => void this.events.push(event);

  result(): { said: string; events: EngineEvent[] } {
    // The SDK's own debug events hold every property in the clear; nothing may show or keep them.
    const events = this.events.filter((event) => (event.diagnosticEvent?.severity as string) !== 'debug');
    return { said: this.lines.join('') + JSON.stringify(events), events };
  }
}

/** Whether a process still runs; one that has ended and waits for its parent does not. */
export function isAlive(pid: number): boolean {
  const stat = fs.existsSync(`/proc/${pid}/stat`) ? fs.readFileSync(`/proc/${pid}/stat`, 'utf8') : ') Z';
  return stat.split(') ')[1][0] !== 'Z';
}
