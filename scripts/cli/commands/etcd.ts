import { Command } from 'commander';
import { restoreSnapshot } from '../etcdRestore';
import { takeSnapshot } from '../etcdSnapshot';
import { contextOf } from '../context';

export function etcdCommand(): Command {
  const snapshot = new Command('snapshot')
    .description('save what the cluster knows to an encrypted file on this machine')
    .argument('<site>')
    .option('--to <path>', 'file, or folder in which the file gets a name of its own (default: this folder)')
    .addHelpText(
      'after',
      `
Taken on the first control-plane machine whose etcd answers, encrypted there before it travels, and read back here
before it counts. Only the secrets of the site open it. The machines, their certificates and what is in volumes are
not in it.

Examples:
  $ sitewright etcd snapshot acme-prod --to /backup/acme`,
    )
    .action((site: string, options: { to?: string }, command: Command) =>
      takeSnapshot(contextOf(command), site, options.to ?? '.'),
    );
  const restore = new Command('restore')
    .description('bring the cluster back to what a snapshot has')
    .argument('<site>')
    .requiredOption('--from <file>', 'a file of `sitewright etcd snapshot`, or of the scheduled ones')
    .option('-y, --yes', 'do not ask')
    .addHelpText(
      'after',
      `
Every control-plane machine must answer; the API is away meanwhile, and pods go on running. What was made after the
snapshot is gone afterwards; the data of before stays on each machine, in /var/lib/etcd/before-restore-*.
A restore that was interrupted goes on where it was when the same command is run again.

Examples:
  $ sitewright etcd restore acme-prod --from acme-prod.cp1.20260301T120000Z.etcd-snapshot`,
    )
    .action((site: string, options: { from: string; yes?: boolean }, command: Command) =>
      restoreSnapshot(contextOf(command), site, options.from, options.yes === true),
    );
  return new Command('etcd')
    .description("save and restore the cluster's data")
    .addCommand(snapshot)
    .addCommand(restore);
}
