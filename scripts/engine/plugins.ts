import * as fs from 'node:fs';
import * as path from 'node:path';
import { FailureMemory, writeAtomically } from './cache';
import { engineEnv, type Engine } from './find';
import { run } from './run';

/** The version @pulumi/command asks for. */
const commandPluginVersion = '1.2.1';

/** Long enough for 15 MB over a slow line; where the vendor cannot be reached, this is waited once a day. */
const installTimeoutSeconds = 60;

const fallbackMark = '# The command plugin of this kit';

export interface InstalledPlugins {
  /** Which command plugin the engine will run: the vendor's, or this kit's own. */
  command: 'official' | 'fallback';
}

/**
 * Makes sure that the engine finds its plugins in the kit's own PULUMI_HOME.
 * @param fallbackMain compiled main of the fallback plugin; by default the one of this checkout.
 */
export async function installPlugins(
  engine: Engine,
  log: (line: string) => void,
  fallbackMain = path.join(__dirname, '../plugins/command/main.js'),
): Promise<InstalledPlugins> {
  const dir = path.join(engine.pulumiHome, 'plugins', `resource-command-v${commandPluginVersion}`);
  const executable = path.join(dir, 'pulumi-resource-command');
  const present = fs.existsSync(executable) ? fs.readFileSync(executable) : undefined;
  const isFallback = present?.subarray(0, 200).includes(fallbackMark) ?? false;
  if (present && !isFallback) return { command: 'official' };
  if (await installOfficial(engine, isFallback, log)) return { command: 'official' };

  const text = fallbackLauncher(fallbackMain);
  if (!fs.existsSync(executable) || fs.readFileSync(executable, 'utf8') !== text) {
    writeAtomically(executable, text, 0o755);
    log(`the command plugin is this kit's own (the vendor's ${commandPluginVersion} cannot be had here)`);
  }
  return { command: 'fallback' };
}

async function installOfficial(engine: Engine, replace: boolean, log: (line: string) => void): Promise<boolean> {
  const memory = new FailureMemory('command-plugin');
  if (memory.recent() !== undefined) return false;
  log(`looking for the vendor's command plugin ${commandPluginVersion}`);
  const args = ['plugin', 'install', 'resource', 'command', commandPluginVersion, ...(replace ? ['--reinstall'] : [])];
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

/** `exec`, so that the engine's child is the plugin itself and ends with it. */
function fallbackLauncher(main: string): string {
  return ['#!/bin/sh', fallbackMark, `exec ${quote(process.execPath)} ${quote(main)} "$@"`, ''].join('\n');
}

function quote(text: string): string {
  return `'${text.replace(/'/g, `'\\''`)}'`;
}
