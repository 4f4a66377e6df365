import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { makeContext } from '../cli/context';
import { openSite } from '../cli/site';
import { cacheDir } from '../../components/cacheDir';
import { engineEnv, findEngine } from '../engine/find';
import { down, up } from '../lab/lab';
import { labCopy, machinesOnlyLab } from '../lab/labSite';
import { labLayout } from '../lab/layout';
import { runChild } from './child';
import { plainCluster, type PlainCluster } from './plainCluster';
import { recordedSteps, type RecordedSteps } from './recordedSteps';

export const SITE = 'bench';

/** Some times what an emulated machine on a busy host takes: this only ends a run that hangs. */
const UP_LIMIT_SECONDS = { machines: 1500, cluster: 5400 };
/** The first one builds Kubernetes from its sources. */
const BUNDLE_LIMIT_SECONDS = 7200;
const SHORT_LIMIT_SECONDS = 120;

export type OnLine = (line: string, seconds: number) => void;

/** A lab of its own for the bench: site, state, secrets and machines share nothing with a user's lab. */
export class BenchLab {
  /** Files of the earlier round are gone with it: each round begins without state and secrets. */
  private folder: string | undefined;
  private readonly passphrase = randomBytes(24).toString('base64url');
  private readonly kitDir: string;

  /** @param what that is made: proved machines, or a cluster of them */
  constructor(
    private readonly what: 'machines' | 'cluster',
    private readonly signal: AbortSignal,
    private readonly onLine?: OnLine,
  ) {
    this.kitDir = makeContext({}).kitDir;
  }

  /** An empty lab: its host side is up (image cached, libvirt runs), there is no machine, no state and no secret. */
  async empty(): Promise<void> {
    await this.remove();
    this.signal.throwIfAborted();
    await up(SITE);
    this.folder = mkdtempSync(join(tmpdir(), 'sitewright-bench-'));
    const stacks = join(this.folder, 'stacks');
    cpSync(join(this.kitDir, 'stacks/profiles'), join(stacks, 'profiles'), { recursive: true });
    mkdirSync(join(stacks, 'sites'));
    const committed = readFileSync(join(this.kitDir, 'stacks/sites/lab.yaml'), 'utf8');
    const site = this.what === 'machines' ? machinesOnlyLab : labCopy;
    writeFileSync(join(stacks, 'sites', `${SITE}.yaml`), site(committed, SITE, this.backend(this.folder)));
    if (this.what === 'cluster') await this.sitewright(['bundle', 'build', SITE], BUNDLE_LIMIT_SECONDS);
  }

  /** Takes the lab away with everything that was made for it, whatever state it is in. */
  async remove(): Promise<void> {
    await down(SITE);
    if (this.folder !== undefined) rmSync(this.folder, { recursive: true, force: true });
    this.folder = undefined;
  }

  /** `sitewright up`, as a person types it. */
  async kitUp(): Promise<void> {
    await this.sitewright(['up', SITE, '--yes'], UP_LIMIT_SECONDS[this.what]);
  }

  async shell(script: string): Promise<void> {
    await this.run('ip', ['netns', 'exec', labLayout(SITE).namespace, 'bash', script], UP_LIMIT_SECONDS[this.what]);
  }

  /** What the last `kitUp` did, from its state. */
  async steps(): Promise<RecordedSteps> {
    const { plan } = openSite(makeContext({ stacks: join(this.made(), 'stacks') }), SITE);
    const engine = await findEngine(() => undefined);
    const state = await runChild(
      engine.command,
      ['stack', 'export', '--show-secrets', '--non-interactive', '--stack', `organization/sitewright/${SITE}`],
      {
        cwd: this.made(),
        env: { ...this.env(), ...engineEnv(engine), PULUMI_BACKEND_URL: this.backend(this.made()) },
        limitSeconds: SHORT_LIMIT_SECONDS,
        signal: this.signal,
      },
    );
    return recordedSteps(
      state,
      SITE,
      plan.machines.kvm!.hypervisors[0]!.name,
      plan.nodes.map(({ name }) => name),
      plan.proof.pairs.map(({ a, b }) => [a, b]),
    );
  }

  /** The same cluster by hand; null where only machines are made. */
  plainCluster(): PlainCluster | null {
    if (this.what === 'machines') return null;
    return plainCluster(openSite(makeContext({ stacks: join(this.made(), 'stacks') }), SITE).plan);
  }

  private made(): string {
    if (this.folder === undefined) throw new Error('the lab is not up');
    return this.folder;
  }

  private backend(folder: string): string {
    return `file://${join(folder, 'state')}`;
  }

  private env(): NodeJS.ProcessEnv {
    return {
      SITEWRIGHT_STACKS_DIR: join(this.made(), 'stacks'),
      PULUMI_CONFIG_PASSPHRASE: this.passphrase,
      // What the kit keeps in a person's home folder goes with the round; engine and image are cached as ever.
      HOME: this.made(),
      XDG_CACHE_HOME: dirname(cacheDir()),
      NO_COLOR: '1',
    };
  }

  private async sitewright(args: string[], limitSeconds: number): Promise<void> {
    await this.run(process.execPath, [join(this.kitDir, 'bin/scripts/cli/main.js'), ...args], limitSeconds);
  }

  private async run(command: string, args: string[], limitSeconds: number): Promise<void> {
    const { signal, onLine } = this;
    await runChild(command, args, { cwd: this.kitDir, env: this.env(), limitSeconds, signal, onLine });
  }
}
