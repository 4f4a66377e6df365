import { EngineError } from './cliProcess';
import { badInput, failed, type CliError } from './errors';
import { hostname } from 'node:os';
import { isRunning } from '../../components/isRunning';

/** Who holds the lock of a state. */
export interface LockHolder {
  user: string;
  host: string;
  pid: number;
  /** ISO 8601. */
  since: string;
}

/** Whether the process that made a lock still runs; unknown on another machine. */
export function isAlive(holder: LockHolder): 'alive' | 'gone' | 'unknown' {
  if (holder.host !== hostname()) return 'unknown';
  return isRunning(holder.pid) ? 'alive' : 'gone';
}

const STATE_OF_HOLDER = {
  alive: 'still running: wait for it to end, or stop it with Ctrl-C',
  gone: 'no longer running: it was killed',
  unknown: 'on another machine: look there whether it still runs',
};

export function lockText(site: string, holders: LockHolder[]): string {
  const lines = holders.map(
    (holder) =>
      `  ${holder.user}@${holder.host}, process ${holder.pid}, since ${holder.since}, ${STATE_OF_HOLDER[isAlive(holder)]}`,
  );
  const stale = holders.every((holder) => isAlive(holder) !== 'alive');
  return [
    `the state of ${site} is locked; nothing was changed. The lock is held by`,
    ...lines,
    ...(stale ? [`Clear it with: sitewright unlock ${site}`] : []),
  ].join('\n');
}

/** Lines of the engine such as `… created by root@host (pid 42) at 2026-01-02T03:04:05Z`. */
export function lockHolders(text: string): LockHolder[] {
  return [...text.matchAll(/created by (\S+)@(\S+) \(pid (\d+)\) at (\S+)/g)].map(([, user, host, pid, since]) => ({
    user,
    host,
    pid: Number(pid),
    since,
  }));
}

/** What the engine said, as something to act on. Errors that are not the engine's come back as they are. */
export function explainEngineError(error: unknown, site: string): unknown {
  if (!(error instanceof EngineError)) return error;
  const text = error.message;
  if (/incorrect passphrase/.test(text)) {
    return badInput(`wrong passphrase for the secrets of ${site}; nothing was changed`);
  }
  if (/passphrase must be set/.test(text)) {
    return badInput(
      `the secrets of ${site} need a passphrase: ` +
        'set PULUMI_CONFIG_PASSPHRASE_FILE to a file that holds it, or PULUMI_CONFIG_PASSPHRASE',
    );
  }
  if (/currently locked by|Another update is currently in progress/.test(text)) {
    return failed(lockText(site, lockHolders(text)));
  }
  return new EngineFailure(error);
}

/** The engine failed in a way that its events explain better than its output; `said` is that output. */
export class EngineFailure extends Error implements Pick<CliError, 'exitCode'> {
  readonly exitCode = 1;
  readonly said: string;

  constructor(error: EngineError) {
    const lines = error.message.split('\n').map((line) => line.trim());
    const errors = lines.filter((line) => line.startsWith('error: ')).map((line) => line.slice('error: '.length));
    super([...new Set(errors.length > 0 ? errors : lines.slice(-5))].join('\n'));
    this.name = 'EngineFailure';
    this.said = error.message;
  }
}
