import { Command } from 'commander';
import { contextOf, printJson, type Context } from '../context';
import { badInput } from '../errors';
import { enterLab } from '../lab';
import { openStack } from '../secrets';
import { openSiteAloud } from '../site';
import { runSsh } from '../systemSsh';
import { keysOf, nodeTargets } from '../targets';

export function sshCommand(): Command {
  return new Command('ssh')
    .description('log in to a machine of a site, or run one command on it')
    .argument('<site>')
    .argument('<node>', 'name of the machine in the site file')
    .argument('[command...]', 'run this in place of a shell; put -- before it')
    .addHelpText(
      'after',
      `
Uses OpenSSH with the key of the site and the host key that the machine must show; your own configuration, keys and
known hosts play no part. Ends with the exit code of the command; 255 is OpenSSH's own failure.
With --json it prints where it would log in, and does not.

Examples:
  $ sitewright ssh acme-prod cp1
  $ sitewright ssh acme-prod w1 -- journalctl -u kubelet --since -5min`,
    )
    .action((site: string, node: string, words: string[], _options: unknown, command: Command) =>
      ssh(contextOf(command), site, node, words),
    );
}

async function ssh(context: Context, site: string, node: string, words: string[]): Promise<void> {
  const { plan } = openSiteAloud(context, site);
  const names = plan.nodes.map(({ name }) => name);
  if (!names.includes(node)) throw badInput(`${site} has no machine ${node}; it has ${names.join(', ')}`);
  await enterLab(plan);
  const { config } = await openStack(context, plan);
  const { target } = nodeTargets(plan, keysOf(config, site)).find(({ name }) => name === node)!;
  if (context.json) {
    const { host, port, user, hostKey, jump } = target;
    const place =
      jump === undefined ? null : { host: jump.host, port: jump.port, user: jump.user, hostKey: jump.hostKey };
    printJson(context, { site, node, host, port, user, hostKey, jump: place });
    return;
  }
  // Output of ours is complete by now, and the code is the command's, not one of ours.
  process.exit(await runSsh(node, target, words));
}
