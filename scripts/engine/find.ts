import * as path from 'node:path';
import { PulumiCommand } from '@pulumi/pulumi/automation';
import * as semver from 'semver';
import { buildPlace, builtVersion } from './build';
import { cacheDir } from '../../components/cacheDir';
import { FailureMemory } from './cache';
import { run } from './run';

/** The SDK's own version is the oldest engine that is sure to know what it asks for; majors break. */
const compatibleVersions = '>=3.248.0 <4';

const vendorProbeUrl = 'https://get.pulumi.com/latest-version';
const vendorProbeTimeoutSeconds = 10;
const versionTimeoutSeconds = 20;

export interface Engine {
  /** The executable: an absolute path, or `pulumi` where it is the one on PATH. */
  command: string;
  /** Without a leading "v". */
  version: string;
  how: 'path' | 'download' | 'built' | 'cache';
  /** PULUMI_HOME of everything this kit runs; `~/.pulumi` is never touched. */
  pulumiHome: string;
}

type Log = (line: string) => void;

/**
 * The Pulumi command line to use: the one on PATH at a compatible version; one this kit downloaded or built before; the
 * vendor's download; a build from Go modules. Says once what it chose.
 */
export async function findEngine(log: Log): Promise<Engine> {
  const pulumiHome = path.join(cacheDir(), 'pulumi-home');
  const chosen = (await onPath(log)) ?? (await downloaded(log)) ?? (await built(log));
  log(`Pulumi ${chosen.version} (${describe[chosen.how]}): ${chosen.command}`);
  return { ...chosen, pulumiHome };
}

type Found = Omit<Engine, 'pulumiHome'>;

const describe = {
  path: 'found on PATH',
  download: "the vendor's release, downloaded now",
  built: 'built now from Go modules',
  cache: 'from the cache',
};

/** What the Automation API wants instead of a path. */
export function automationCommand(engine: Engine): Promise<PulumiCommand> {
  const root = engine.how === 'path' ? undefined : path.dirname(path.dirname(engine.command));
  return PulumiCommand.get({ root });
}

/** Variables for everything the engine runs, for the Automation API's `envVars` or a child process. */
export function engineEnv(engine: Engine): Record<string, string> {
  return {
    PULUMI_HOME: engine.pulumiHome,
    PULUMI_SKIP_UPDATE_CHECK: 'true',
    // The official command plugin offers an agent's keys whenever it knows of one; a site's connections name their own.
    SSH_AUTH_SOCK: '',
  };
}

/** The version an executable reports; undefined where it cannot be run. */
async function versionOf(command: string): Promise<string | undefined> {
  const env = { ...process.env, PULUMI_SKIP_UPDATE_CHECK: 'true', PULUMI_HOME: path.join(cacheDir(), 'pulumi-home') };
  const printed = await run(command, ['version'], { env, timeoutSeconds: versionTimeoutSeconds }).catch(
    () => undefined,
  );
  return semver.parse(printed?.trim())?.version;
}

async function onPath(log: Log): Promise<Found | undefined> {
  const version = await versionOf('pulumi');
  if (version === undefined) return undefined;
  if (semver.satisfies(version, compatibleVersions)) return { command: 'pulumi', version, how: 'path' };
  log(`Pulumi ${version} on PATH is not used: it must be ${compatibleVersions}`);
  return undefined;
}

async function downloaded(log: Log): Promise<Found | undefined> {
  const root = path.join(cacheDir(), 'engine', `v${builtVersion}`);
  const command = path.join(root, 'bin', 'pulumi');
  if ((await versionOf(command)) === builtVersion) return { command, version: builtVersion, how: 'cache' };

  const memory = new FailureMemory('pulumi-download');
  if (memory.recent() !== undefined) return undefined;
  try {
    log(`looking for the vendor's Pulumi ${builtVersion}`);
    const probe = await fetch(vendorProbeUrl, { signal: AbortSignal.timeout(vendorProbeTimeoutSeconds * 1000) });
    if (!probe.ok) throw new Error(`${vendorProbeUrl} answered ${probe.status}`);
    await PulumiCommand.install({ version: new semver.SemVer(builtVersion), root });
    return { command, version: builtVersion, how: 'download' };
  } catch (error) {
    const reason = (error as Error).message;
    log(`the vendor's download cannot be had (${reason}); it is not tried again for a day`);
    memory.remember(reason);
    return undefined;
  }
}

async function built(log: Log): Promise<Found> {
  const place = await buildPlace();
  const found = { command: place.command, version: builtVersion };
  if (place.isWhole()) return { ...found, how: 'cache' };
  await place.build(log);
  return { ...found, how: 'built' };
}
