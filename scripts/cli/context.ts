import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { withoutUrlSecrets } from '../render/redact';
import { badInput } from './errors';

/** What every command knows: where things are and how to speak. */
export interface Context {
  /** Folder of the kit's package.json. */
  kitDir: string;
  kitVersion: string;
  /** Folder of sites/, profiles/ and Pulumi.<site>.yaml. */
  stacksDir: string;
  json: boolean;
  verbose: boolean;
  color: boolean;
  /** Whether a person watches: live lines and questions only then. */
  terminal: boolean;
  /** The result, on stdout. */
  out(text: string): void;
  /** Progress, warnings and errors, on stderr, so that a result can be piped. */
  say(text: string): void;
}

export interface GlobalOptions {
  stacks?: string;
  json?: boolean;
  verbose?: boolean;
  color?: boolean;
}

/** The folder of the kit, from compiled code and from sources alike. */
export function findKitDir(from: string = __dirname): string {
  for (let dir = from; dir !== dirname(dir); dir = dirname(dir)) {
    const file = join(dir, 'package.json');
    if (existsSync(file) && (JSON.parse(readFileSync(file, 'utf8')) as { name?: string }).name === 'sitewright') {
      return dir;
    }
  }
  throw new Error(`no package.json of sitewright above ${from}`);
}

export function makeContext(options: GlobalOptions, env: NodeJS.ProcessEnv = process.env): Context {
  const kitDir = findKitDir();
  const stacksDir = resolve(options.stacks ?? env.SITEWRIGHT_STACKS_DIR ?? join(kitDir, 'stacks'));
  if (!existsSync(stacksDir)) throw badInput(`--stacks ${options.stacks ?? stacksDir}: there is no such folder`);
  const json = options.json === true;
  const noColor = (env.NO_COLOR ?? '') !== '' || options.color === false;
  return {
    kitDir,
    kitVersion: (JSON.parse(readFileSync(join(kitDir, 'package.json'), 'utf8')) as { version: string }).version,
    stacksDir,
    json,
    verbose: options.verbose === true,
    color: !noColor && process.stdout.isTTY === true,
    terminal: !json && process.stderr.isTTY === true,
    out: (text) => void process.stdout.write(shownLines(text)),
    say: (text) => void process.stderr.write(shownLines(text)),
  };
}

/** A site file can have a password in a URL, such as that of its backend, and what is told ends up in logs. */
export const shownLines = (text: string) => withoutUrlSecrets(text.endsWith('\n') ? text : `${text}\n`);

/** The context of a command, from the options before and after its name; the nearest to the end of the line wins. */
export function contextOf(command: Command): Context {
  const given: GlobalOptions = {};
  for (let here: Command | null = command; here !== null; here = here.parent) {
    for (const key of ['stacks', 'json', 'verbose', 'color'] as const) {
      // `color` has a default everywhere, so only what the command line says counts.
      if (given[key] === undefined && here.getOptionValueSource(key) === 'cli') {
        Object.assign(given, { [key]: here.getOptionValue(key) as unknown });
      }
    }
  }
  return makeContext(given);
}

export const printJson = (context: Context, value: unknown) => context.out(JSON.stringify(value, null, 2));

/** A path as a person would type it here. */
export function shownPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith('../..') || short === '' ? path : short;
}
