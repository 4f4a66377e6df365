import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import type { Context } from './context';
import { badInput, failed } from './errors';

/** Variables that give the engine the passphrase; empty where the caller's environment already does. */
export type PassphraseEnv = Record<string, string>;

export interface PassphraseRequest {
  site: string;
  environment: 'lab' | 'staging' | 'production';
  /** A new passphrase is asked for twice; for a lab it is made up. */
  fresh: boolean;
}

/** All lab sites of one person share it: what it protects can be made again at any time. */
export const labPassphraseFile = () => join(homedir(), '.local/share/sitewright/lab.passphrase');

/**
 * Finds the passphrase of a site's secrets: PULUMI_CONFIG_PASSPHRASE, PULUMI_CONFIG_PASSPHRASE_FILE, the lab's file,
 * or a question on a terminal, in this order. Exit code 2 where there is none.
 */
export async function findPassphrase(context: Context, request: PassphraseRequest): Promise<PassphraseEnv> {
  if (process.env.PULUMI_CONFIG_PASSPHRASE !== undefined) return {};
  const file = process.env.PULUMI_CONFIG_PASSPHRASE_FILE;
  if (file !== undefined && file !== '') {
    if (!existsSync(file)) throw badInput(`PULUMI_CONFIG_PASSPHRASE_FILE: there is no file ${file}`);
    return {};
  }
  if (request.environment === 'lab') {
    if (request.fresh) makeLabPassphrase();
    if (existsSync(labPassphraseFile())) return { PULUMI_CONFIG_PASSPHRASE_FILE: labPassphraseFile() };
  }
  if (!context.terminal || process.stdin.isTTY !== true) {
    throw badInput(
      `the secrets of ${request.site} need a passphrase: ` +
        'set PULUMI_CONFIG_PASSPHRASE_FILE to a file that holds it, or PULUMI_CONFIG_PASSPHRASE',
    );
  }
  const passphrase = request.fresh
    ? await askTwice(`New passphrase for the secrets of ${request.site}`)
    : await askHidden(`Passphrase for the secrets of ${request.site}`);
  return { PULUMI_CONFIG_PASSPHRASE: passphrase };
}

function makeLabPassphrase(): void {
  const file = labPassphraseFile();
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  try {
    writeFileSync(file, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

export async function askTwice(question: string): Promise<string> {
  const first = await askHidden(question);
  if (first === '') throw badInput('the passphrase is empty; nothing was changed');
  if ((await askHidden('Once more')) !== first) throw badInput('the two passphrases differ; nothing was changed');
  return first;
}

/** Asks on the terminal without showing what is typed. */
export function askHidden(question: string): Promise<string> {
  return ask(question, new Writable({ write: (_chunk, _encoding, done) => done() }));
}

/** Asks on the terminal; whatever is not a yes is a no. */
export async function agrees(question: string): Promise<boolean> {
  return ['y', 'yes'].includes((await ask(`${question} (yes/no)`)).trim().toLowerCase());
}

/** Asks on the terminal. */
export function ask(question: string, echo: Writable = process.stderr): Promise<string> {
  process.stderr.write(`${question}: `);
  const lines = createInterface({ input: process.stdin, output: echo, terminal: true });
  return new Promise((resolve, reject) => {
    let answered = false;
    lines.on('line', (line) => {
      answered = true;
      lines.close();
      resolve(line);
    });
    lines.on('SIGINT', () => lines.close());
    lines.on('close', () => {
      process.stderr.write('\n');
      if (!answered) reject(failed('stopped; nothing was changed'));
    });
  });
}
