import * as fs from 'node:fs';
import * as path from 'node:path';
import { VSPHERE_VERSION } from '../../components/machines/vsphereVersion';
import { quote } from '../../components/nodes/bash';
import { FailureMemory, writeAtomically } from './cache';
import { engineEnv, type Engine } from './find';
import { run } from './run';

/** The versions that the SDKs ask for: `pulumi.version` in the package.json of @pulumi/<name>. */
const versions = { command: '1.2.1', kubernetes: '4.34.2' };

type PluginName = keyof typeof versions;

/** Long enough for some ten MB over a slow line; where the vendor never answers, this is waited once a day. */
const installTimeoutSeconds = 120;

/** Which plugin of each name the engine will run: the vendor's, or this kit's own. */
export type InstalledPlugins = Record<PluginName, 'official' | 'fallback'>;

/**
 * Makes sure that the engine finds its plugins in the kit's own PULUMI_HOME.
 * @param fallbacks folder of the compiled fallback plugins, `<name>/main.js`; by default the one of this checkout.
 */
export async function installPlugins(
  engine: Engine,
  log: (line: string) => void,
  fallbacks = path.join(__dirname, '../plugins'),
): Promise<InstalledPlugins> {
  return {
    command: await install(engine, 'command', log, fallbacks),
    kubernetes: await install(engine, 'kubernetes', log, fallbacks),
  };
}

async function install(
  engine: Engine,
  name: PluginName,
  log: (line: string) => void,
  fallbacks: string,
): Promise<'official' | 'fallback'> {
  const version = versions[name];
  const executable = path.join(engine.pulumiHome, 'plugins', `resource-${name}-v${version}`, `pulumi-resource-${name}`);
  const mark = fallbackMark(name);
  const present = fs.existsSync(executable) ? fs.readFileSync(executable) : undefined;
  const isFallback = present?.subarray(0, 200).includes(mark) ?? false;
  if (present && !isFallback) return 'official';
  if (await installOfficial(engine, name, version, isFallback, log)) return 'official';

  const text = fallbackLauncher(mark, path.join(fallbacks, name, 'main.js'));
  if (!fs.existsSync(executable) || fs.readFileSync(executable, 'utf8') !== text) {
    writeAtomically(executable, text, 0o755);
    log(`the ${name} plugin is this kit's own (the vendor's ${version} cannot be had here)`);
  }
  return 'fallback';
}

/** A site on vSphere has no plugin but the vendor's. Throws where it is not there and cannot be downloaded, with the way out. */
export async function requireVspherePlugin(engine: Engine, log: (line: string) => void): Promise<void> {
  const folder = path.join(engine.pulumiHome, 'plugins', `resource-vsphere-v${VSPHERE_VERSION}`);
  if (fs.existsSync(path.join(folder, 'pulumi-resource-vsphere'))) return;
  if (await installOfficial(engine, 'vsphere', VSPHERE_VERSION, false, log)) return;
  throw new PluginMissingError(
    `machines.provider vsphere needs the plugin pulumi-resource-vsphere ${VSPHERE_VERSION}, and it cannot be downloaded from here. Bring ` +
      `pulumi-resource-vsphere-v${VSPHERE_VERSION}-<system>-<processor>.tar.gz of its releases to this machine and unpack it into ${folder}. Nothing was changed.`,
  );
}

/**
 * Makes sure that the engine can run policy packs for node. The vendor's command line brings what starts them; beside an
 * engine without it lies this program, and the pack brings the SDK.
 */
export function installPolicyLauncher({ pulumiHome }: Pick<Engine, 'pulumiHome'>): void {
  const file = path.join(pulumiHome, 'plugins', 'analyzer-policy-nodejs-v1.0.0', 'pulumi-analyzer-policy-nodejs');
  const find = "console.log(require.resolve('@pulumi/pulumi/cmd/run-policy-pack', {paths: [process.cwd()]}))";
  const node = quote(process.execPath);
  const text = [
    '#!/bin/sh',
    "# Starts a policy pack with the SDK of the pack; the engine's working directory is the pack's.",
    `main=$(${node} -e ${quote(find)}) || exit 1`,
    `exec ${node} "$main" "$@"`,
    '',
  ].join('\n');
  if (!fs.existsSync(file) || fs.readFileSync(file, 'utf8') !== text) writeAtomically(file, text, 0o755);
}

export class PluginMissingError extends Error {
  readonly exitCode = 1;
  override readonly name = 'PluginMissingError';
}

async function installOfficial(
  engine: Engine,
  name: PluginName | 'vsphere',
  version: string,
  replace: boolean,
  log: (line: string) => void,
): Promise<boolean> {
  const memory = new FailureMemory(`${name}-plugin`);
  if (memory.recent() !== undefined) return false;
  log(`looking for the vendor's ${name} plugin ${version}`);
  const args = ['plugin', 'install', 'resource', name, version, ...(replace ? ['--reinstall'] : [])];
  try {
    await run(engine.command, args, {
      env: { ...process.env, ...engineEnv(engine) },
      timeoutSeconds: installTimeoutSeconds,
    });
    return true;
  } catch (error) {
    memory.remember((error as Error).message);
    return false;
  }
}

function fallbackMark(name: PluginName): string {
  return `# The ${name} plugin of this kit`;
}

/** `exec`, so that the engine's child is the plugin itself and ends with it. */
function fallbackLauncher(mark: string, main: string): string {
  return ['#!/bin/sh', mark, `exec ${quote(process.execPath)} ${quote(main)} "$@"`, ''].join('\n');
}
