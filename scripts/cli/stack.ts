import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { join, relative } from 'node:path';
import { LocalWorkspace, type EngineEvent, type OutputMap, type Stack } from '@pulumi/pulumi/automation';
import { parse, stringify } from 'yaml';
import type { SitePlan } from '../../components/plan';
import { VcenterError } from '../../components/vcenter/errors';
import { LENT_SESSION, type Lending } from '../../components/vcenter/lend';
import { vcenterEnv } from '../../components/vcenter/pin';
import { automationCommand, engineEnv, findEngine, type Engine } from '../engine/find';
import { installPlugins, installPolicyLauncher, requireVspherePlugin } from '../engine/plugins';
import { registerAll, UncaughtErrors } from '../engine/registerAll';
import { removeCutAttributes } from './attributes';
import { backendFolder, expandBackend } from './backend';
import { callEngine, inOwnProcessGroup, type EngineResult } from './cliProcess';
import type { Context } from './context';
import { EngineFailure, explainEngineError } from './engineErrors';
import { failed } from './errors';
import type { PassphraseEnv } from './passphrase';
import { lendVsphereSession, VSPHERE_SESSION } from './vsphereSecrets';

/** What the engine keeps beside a site file. */
export interface StackSettings {
  file: string;
  /** Keys under `config`, without their values. */
  keys: string[];
  /** Whether a passphrase protects the secrets; false for a key service. */
  usesPassphrase: boolean;
}

/** Reads `Pulumi.<site>.yaml` without decrypting anything; null where there is none. */
export function readSettings(stacksDir: string, site: string): StackSettings | null {
  const file = join(stacksDir, `Pulumi.${site}.yaml`);
  if (!existsSync(file)) return null;
  const settings = (parse(readFileSync(file, 'utf8')) ?? {}) as { secretsprovider?: string; config?: object };
  const provider = settings.secretsprovider ?? 'passphrase';
  return { file, keys: Object.keys(settings.config ?? {}), usesPassphrase: /^(passphrase|default)?$/.test(provider) };
}

/**
 * The folder that the engine runs in. A stacks folder of the user's own gets a project file outside of it: the engine
 * takes `stackConfigDir` relative to that file only, and the program's folder stays inside the kit either way, where
 * `sitewright/agent` is found.
 */
function projectFolder(context: Context): string {
  if (context.stacksDir === join(context.kitDir, 'stacks')) return context.kitDir;
  const name = createHash('sha256').update(`${context.kitDir}\n${context.stacksDir}`).digest('hex').slice(0, 16);
  const folder = join(homedir(), '.local/share/sitewright/projects', name);
  const project = parse(readFileSync(join(context.kitDir, 'Pulumi.yaml'), 'utf8')) as Record<string, unknown>;
  const text = stringify({
    ...project,
    main: join(context.kitDir, String(project.main)),
    stackConfigDir: relative(folder, context.stacksDir),
  });
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'Pulumi.yaml');
  if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeFileSync(file, text);
  return folder;
}

export interface Operation {
  onEvent: (event: EngineEvent) => void;
  onOutput: (text: string) => void;
  signal: AbortSignal;
  /** URNs of the only resources that are touched. Default: all. */
  target?: string[];
}

/** What may stand in the way of an operation that follows the program. */
export interface Policies {
  /** Folders of policy packs. Default: none. */
  policyPacks?: string[];
}

export type ConfigValues = Record<string, { value: string; secret: boolean }>;

/** Name of the project in Pulumi.yaml. */
export const PROJECT = 'sitewright';

/** A site's stack: its state in the backend of the site, its settings beside the site file. */
export class SiteStack {
  private constructor(
    private readonly context: Context,
    readonly plan: Pick<SitePlan, 'site' | 'backendUrl' | 'machines'>,
    private readonly engine: Engine,
    private readonly workDir: string,
    private readonly passphrase: PassphraseEnv,
  ) {}

  static async open(
    context: Context,
    plan: Pick<SitePlan, 'site' | 'backendUrl' | 'machines'>,
    passphrase: PassphraseEnv,
  ): Promise<SiteStack> {
    const log = (line: string) => {
      // Which engine runs is settled by set-up and rarely news; what takes time or changes is.
      if (context.verbose || !/^Pulumi .*(PATH|cache)\)/.test(line)) context.say(line);
    };
    const engine = await findEngine(log);
    await installPlugins(engine, log);
    const folder = backendFolder(plan.backendUrl);
    if (folder !== undefined) mkdirSync(folder, { recursive: true, mode: 0o700 });
    removeCutAttributes(folder);
    return new SiteStack(context, plan, engine, projectFolder(context), passphrase);
  }

  private env(): Record<string, string> {
    return {
      ...engineEnv(this.engine),
      PULUMI_BACKEND_URL: expandBackend(this.plan.backendUrl),
      SITEWRIGHT_STACKS_DIR: this.context.stacksDir,
      ...vcenterEnv(this.plan.machines.vsphere),
      ...this.passphrase,
    };
  }

  /** One call of the engine's command line. Secrets go in by `input`. */
  private async call(args: string[], options: { input?: string } = {}): Promise<EngineResult> {
    try {
      return await callEngine({
        executable: this.engine.command,
        args: [...args, '--non-interactive'],
        cwd: this.workDir,
        env: this.env(),
        input: options.input,
      });
    } catch (error) {
      throw explainEngineError(error, this.plan.site);
    }
  }

  /** How many resources the state has; null where the backend has no such stack. */
  async resourceCount(): Promise<number | null> {
    const { stdout } = await this.call(['stack', 'ls', '--json']);
    const stacks = JSON.parse(stdout) as { name: string; resourceCount?: number }[];
    const found = stacks.find((stack) => stack.name.split('/').pop() === this.plan.site);
    return found === undefined ? null : (found.resourceCount ?? 0);
  }

  /** Makes the stack. Settings that exist are kept, and their secrets must open with the passphrase at hand. */
  async init(secretsProvider: string): Promise<void> {
    await this.call(['stack', 'init', this.plan.site, '--no-select', '--secrets-provider', secretsProvider]);
  }

  async config(): Promise<ConfigValues> {
    const { stdout } = await this.call(['config', '--show-secrets', '--json', '--stack', this.plan.site]);
    return JSON.parse(stdout) as ConfigValues;
  }

  /** As `config`; null where the backend has no such stack. */
  async configIfThere(): Promise<ConfigValues | null> {
    return this.config().catch((error: unknown) => {
      if (error instanceof EngineFailure && /no stack named .* found/.test(error.said)) return null;
      throw error;
    });
  }

  async setSecret(key: string, value: string): Promise<void> {
    await this.call(['config', 'set', key, '--secret', '--stack', this.plan.site], { input: value });
  }

  /** For values that anyone may see: they are an argument of the call. */
  async setPlain(key: string, value: string): Promise<void> {
    await this.call(['config', 'set', key, value, '--plaintext', '--stack', this.plan.site]);
  }

  /** Encrypts state and settings with another passphrase, which the engine reads from its standard input. */
  async changePassphrase(fresh: string): Promise<void> {
    await this.call(['stack', 'change-secrets-provider', 'passphrase', '--stack', this.plan.site], {
      input: `${fresh}\n${fresh}\n`,
    });
  }

  async removeConfig(key: string): Promise<void> {
    await this.call(['config', 'rm', key, '--stack', this.plan.site]);
  }

  /** The same stack, opened with another passphrase. */
  withPassphrase(passphrase: string): SiteStack {
    const { context, plan, engine, workDir } = this;
    return new SiteStack(context, plan, engine, workDir, { PULUMI_CONFIG_PASSPHRASE: passphrase });
  }

  /** The state as the engine stores it: secrets stay encrypted, which the Automation API's export does not do. */
  async exportState(): Promise<string> {
    return (await this.call(['stack', 'export', '--stack', this.plan.site])).stdout;
  }

  async importState(state: string): Promise<void> {
    await this.call(['stack', 'import', '--stack', this.plan.site], { input: state });
  }

  async outputs(): Promise<Record<string, unknown>> {
    const { stdout } = await this.call(['stack', 'output', '--json', '--stack', this.plan.site]);
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  async unprotectAll(): Promise<void> {
    await this.call(['state', 'unprotect', '--all', '--yes', '--stack', this.plan.site]);
  }

  async unprotect(urn: string): Promise<void> {
    await this.call(['state', 'unprotect', urn, '--yes', '--stack', this.plan.site]);
  }

  async removeLock(): Promise<void> {
    await this.call(['cancel', '--yes', '--stack', this.plan.site]);
  }

  async remove(): Promise<void> {
    await this.call(['stack', 'rm', '--yes', '--stack', this.plan.site]);
  }

  async up(operation: Operation & Policies): Promise<OutputMap> {
    this.preparePolicies(operation);
    return (await this.operate((stack) => stack.up({ ...operation, color: 'never' }))).outputs;
  }

  async preview(operation: Operation & Policies): Promise<void> {
    this.preparePolicies(operation);
    await this.operate((stack) => stack.preview({ ...operation, color: 'never' }));
  }

  async refresh(operation: Operation): Promise<void> {
    await this.operate((stack) => stack.refresh({ ...operation, color: 'never', clearPendingCreates: true }));
  }

  async destroy(operation: Operation): Promise<void> {
    await this.operate((stack) => stack.destroy({ ...operation, color: 'never' }));
  }

  private preparePolicies({ policyPacks = [] }: Policies): void {
    if (policyPacks.length > 0) installPolicyLauncher(this.engine);
  }

  private async operate<T>(run: (stack: Stack) => Promise<T>): Promise<T> {
    if (this.plan.machines.vsphere !== null) await requireVspherePlugin(this.engine, (line) => this.context.say(line));
    // The program runs in this process and reads these as it does under plain `pulumi up`.
    process.env.SITEWRIGHT_STACKS_DIR = this.context.stacksDir;
    process.env.PULUMI_BACKEND_URL = expandBackend(this.plan.backendUrl);
    const { program } = await import('../../stacks/program');
    const lending = await this.lend();
    const uncaught = new UncaughtErrors();
    try {
      const stack = await LocalWorkspace.selectStack(
        { stackName: this.plan.site, projectName: PROJECT, program: () => registerAll(program, uncaught) },
        {
          workDir: this.workDir,
          envVars: { ...this.env(), ...lending?.env },
          pulumiCommand: inOwnProcessGroup(await automationCommand(this.engine)),
        },
      );
      if (lending !== null) process.env[LENT_SESSION] = lending.env[LENT_SESSION];
      return await run(stack);
    } catch (error) {
      throw explainEngineError(error, this.plan.site);
    } finally {
      uncaught.dispose();
      delete process.env[LENT_SESSION];
      lending?.end();
    }
  }

  /** The session of a vCenter, where the site has one in place of a user: the engine's plugins have it while they run. */
  private async lend(): Promise<Lending | null> {
    if (this.plan.machines.vsphere === null) return null;
    if (readSettings(this.context.stacksDir, this.plan.site)?.keys.includes(VSPHERE_SESSION) !== true) return null;
    try {
      return await lendVsphereSession(this.plan, await this.config());
    } catch (error) {
      throw error instanceof VcenterError ? failed(`${error.message}\nNothing was changed.`) : error;
    }
  }
}
