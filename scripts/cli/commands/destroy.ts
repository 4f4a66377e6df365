import { rmSync } from 'node:fs';
import { Command } from 'commander';
import { contextOf, printJson, type Context } from '../context';
import { badInput } from '../errors';
import { forgetResults } from '../keptResults';
import { enterLab } from '../lab';
import { refuseLocked } from '../locks';
import { operate } from '../operate';
import { ask } from '../passphrase';
import { renderCounts } from '../renderChanges';
import { openStack } from '../secrets';
import { openSiteAloud } from '../site';
import { readSettings } from '../stack';
import { clearPendingOperations } from '../state';

interface DestroyOptions {
  yes?: boolean;
  confirm?: string;
  remove?: boolean;
}

export function destroyCommand(): Command {
  return new Command('destroy')
    .description('remove every machine of the site that the kit made, with all that is on it')
    .argument('<site>')
    .option('--yes', 'go on without a preview; the name of the site must still be typed')
    .option('--confirm <site>', 'the name of the site, in place of typing it')
    .option('--remove', 'afterwards also remove the stack and its secrets; the site file stays')
    .addHelpText(
      'after',
      `
The machines of a cluster are protected until the name of the site has been given.

Examples:
  $ sitewright destroy acme-test --yes
  $ sitewright destroy acme-test --yes --confirm acme-test --remove`,
    )
    .action((site: string, options: DestroyOptions, command: Command) => destroy(contextOf(command), site, options));
}

async function destroy(context: Context, site: string, options: DestroyOptions): Promise<void> {
  const { plan } = openSiteAloud(context, site);
  const nodes = plan.nodes.map((node) => node.name);
  if (options.yes !== true) {
    throw badInput(
      `destroy ${site} would remove ${nodes.join(', ')}; nothing was changed. If that is meant, add --yes`,
    );
  }
  await enterLab(plan);
  await confirm(context, site, nodes, options.confirm);

  const { stack, secrets } = await openStack(context, plan, { create: false });
  refuseLocked(plan);
  await clearPendingOperations(stack);
  await stack.unprotectAll();
  const { progress } = await operate(context, stack, {
    site,
    nodes,
    verb: 'destroy',
    secrets,
    run: (running, operation) => running.destroy(operation),
    next: [`What is left is in the state; the next \`sitewright destroy ${site}\` carries on.`],
  });
  forgetResults(plan);
  if (options.remove === true) {
    await stack.remove();
    const settings = readSettings(context.stacksDir, site);
    if (settings !== null) rmSync(settings.file);
  }
  const counts = progress.counts();
  if (context.json) {
    printJson(context, { site, counts, removed: options.remove === true });
    return;
  }
  const kept = options.remove === true ? 'Its stack and secrets are gone too.' : 'Its stack and secrets are kept.';
  context.out(`${site}: ${renderCounts(counts, 'past')}. ${kept}`);
}

async function confirm(context: Context, site: string, nodes: string[], given: string | undefined): Promise<void> {
  let typed = given;
  if (typed === undefined) {
    if (!context.terminal || process.stdin.isTTY !== true) {
      throw badInput(`destroy ${site}: without a terminal, confirm with --confirm ${site}; nothing was changed`);
    }
    context.say(`This removes ${nodes.join(', ')} with all that is on them.`);
    typed = (await ask(`Type the name of the site to go on`)).trim();
  }
  if (typed !== site) throw badInput(`${typed} is not ${site}; nothing was changed`);
}
