#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { adoptCommand } from './commands/adopt';
import { bundleCommand } from './commands/bundle';
import { certsCommand } from './commands/certs';
import { debugCommand } from './commands/debug';
import { deployCommands } from './commands/deploy';
import { destroyCommand } from './commands/destroy';
import { diffCommand } from './commands/diff';
import { driftCommand } from './commands/drift';
import { etcdCommand } from './commands/etcd';
import { fleetCommand } from './commands/fleet';
import { inspectCommands } from './commands/inspect';
import { kubeconfigCommand } from './commands/kubeconfig';
import { newCommand } from './commands/new';
import { renderCommand } from './commands/render';
import { reportCommand } from './commands/report';
import { resultCommands } from './commands/results';
import { reviewCommand } from './commands/review';
import { rolloutCommand } from './commands/rollout';
import { secretsCommand } from './commands/secrets';
import { sshCommand } from './commands/ssh';
import { unlockCommand } from './commands/unlock';
import { validateCommand } from './commands/validate';
import { findKitDir, shownLines } from './context';
import { Ended, EXIT, reportError } from './errors';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The order of the list in the help: as a site's life goes. */
const commands = () => [
  newCommand(),
  validateCommand(),
  fleetCommand(),
  ...inspectCommands(),
  renderCommand(),
  diffCommand(),
  reviewCommand(),
  bundleCommand(),
  ...deployCommands(),
  ...resultCommands(),
  driftCommand(),
  reportCommand(),
  kubeconfigCommand(),
  sshCommand(),
  debugCommand(),
  rolloutCommand(),
  certsCommand(),
  etcdCommand(),
  destroyCommand(),
  secretsCommand(),
  unlockCommand(),
  adoptCommand(),
];

export function program(): Command {
  const { version } = JSON.parse(readFileSync(join(findKitDir(), 'package.json'), 'utf8')) as { version: string };
  const cli = new Command('sitewright')
    .description('Builds on-premises Kubernetes sites and proves their network before trusting it.')
    .version(version)
    .addHelpText(
      'after',
      `
Exit codes: 0 ok, 1 failed, 2 bad input (nothing was changed); those of drift and others are in their help.

Examples:
  $ sitewright new acme-prod --provider kvm --profile production
  $ sitewright plan acme-prod
  $ sitewright preview acme-prod && sitewright up acme-prod`,
    );
  for (const command of commands()) cli.addCommand(command);
  return withGlobals(cli);
}

/** The options that every command takes, before or after its name. */
function withGlobals(command: Command): Command {
  for (const child of command.commands) withGlobals(child);
  return command
    .option('--json', 'print the result as JSON')
    .option(
      '--stacks <folder>',
      'folder of sites/ and profiles/ (default: stacks/ of the kit, or SITEWRIGHT_STACKS_DIR)',
    )
    .option('--verbose', "show the engine's output, and the stack of an unexpected error")
    .option('--no-color', 'no colours; NO_COLOR does the same')
    .exitOverride()
    .showHelpAfterError('(--help shows how)');
}

/** Runs one command line; the exit code is the result. */
export async function main(args: string[]): Promise<number> {
  try {
    await program().parseAsync(args, { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    // Commander has said what is wrong; help and version are no mistakes.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.badInput;
    if (error instanceof Ended) return error.code;
    const report = reportError(error, args.includes('--verbose'));
    if (report.text === '') return report.exitCode;
    if (args.includes('--json')) process.stdout.write(shownLines(JSON.stringify(report.json, null, 2)));
    else process.stderr.write(shownLines(report.text));
    return report.exitCode;
  }
}

if (require.main === module) {
  // A reader that has seen enough (`sitewright plan … | head`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  void main(process.argv.slice(2)).then((code) => {
    // The servers of the engine's events keep a process alive after a failure; output to a pipe must still get out.
    process.exitCode = code;
    process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
  });
}
