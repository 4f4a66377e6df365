import type { Problem } from '../../components/spec';
import type { Failure } from './progress';

/** Exit codes of every command: 10 and 11 of those that compare files, 12 of `drift`. */
export const EXIT = { ok: 0, failed: 1, badInput: 2, changes: 10, disruptive: 11, drifted: 12 } as const;

/** The end of a command that did all that was asked, and whose answer is an exit code beside what it printed. */
export class Ended extends Error {
  constructor(readonly code: number) {
    super(`exit code ${code}`);
    this.name = 'Ended';
  }
}

/** Something the user can act on: shown as it is, without a stack trace. */
export class CliError extends Error {
  constructor(
    message: string,
    readonly exitCode: 1 | 2 | 12,
    /** What a reader of `--json` gets beside the message: the problems of a site file, the failures of an operation. */
    readonly details: { problems?: Problem[]; failures?: Failure[] } = {},
  ) {
    super(message);
    this.name = 'CliError';
  }
}

/** What was asked for cannot be done as asked; nothing was changed. Exit code 2. */
export const badInput = (message: string) => new CliError(message, EXIT.badInput);

/** It was tried and failed. Exit code 1. */
export const failed = (message: string) => new CliError(message, EXIT.failed);

export interface ErrorReport {
  exitCode: number;
  /** One or more lines for a person. */
  text: string;
  json: { error: { message: string } & CliError['details'] };
}

/**
 * How an error is told. Parts of the kit below the command line (the lab, SSH, the engine's set-up) have errors of
 * their own for the user, known by their `exitCode`; anything else is a defect and shows its stack on request.
 */
export function reportError(error: unknown, verbose: boolean): ErrorReport {
  const message = error instanceof Error ? error.message : String(error);
  const exitCode = (error as { exitCode?: unknown } | null)?.exitCode;
  if (exitCode === EXIT.failed || exitCode === EXIT.badInput || exitCode === EXIT.drifted) {
    const details = error instanceof CliError ? error.details : {};
    return { exitCode, text: message, json: { error: { message, ...details } } };
  }
  const stack = error instanceof Error ? (error.stack ?? message) : message;
  const text = verbose
    ? `unexpected error: ${stack}`
    : `unexpected error: ${message.split('\n')[0]} (--verbose shows where)`;
  return { exitCode: EXIT.failed, text, json: { error: { message } } };
}
