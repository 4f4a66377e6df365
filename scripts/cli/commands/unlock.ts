import { Command } from 'commander';
import { contextOf, printJson, type Context } from '../context';
import { isAlive, lockText } from '../engineErrors';
import { failed } from '../errors';
import { readLocks } from '../locks';
import { openSite } from '../site';
import { SiteStack } from '../stack';

export function unlockCommand(): Command {
  return new Command('unlock')
    .description('remove the lock that a killed run left on the state of a site')
    .argument('<site>')
    .option('--force', 'also where the run that holds it is alive or cannot be looked at')
    .addHelpText(
      'after',
      `
Says who holds the lock and since when. Refuses while that process is alive.

Examples:
  $ sitewright unlock acme-prod`,
    )
    .action((site: string, options: { force?: boolean }, command: Command) =>
      unlock(contextOf(command), site, options.force === true),
    );
}

async function unlock(context: Context, site: string, force: boolean): Promise<void> {
  const { plan } = openSite(context, site);
  const locks = readLocks(plan.backendUrl, site);
  if (locks !== null && locks.length === 0) {
    if (context.json) printJson(context, { site, removed: [] });
    else context.out(`the state of ${site} is not locked`);
    return;
  }
  const held = locks ?? [];
  if (!force && (locks === null || held.some((lock) => isAlive(lock) !== 'gone'))) {
    const why = locks === null ? `the backend of ${site} does not show who holds a lock` : lockText(site, held);
    throw failed(
      `${why}\nTo remove it all the same, when you know that no run is left: sitewright unlock ${site} --force`,
    );
  }
  const stack = await SiteStack.open(context, plan, {});
  await stack.removeLock();
  if (context.json) printJson(context, { site, removed: held });
  else {
    const whose = held.map((lock) => `${lock.user}@${lock.host}, process ${lock.pid}, since ${lock.since}`);
    context.out(`removed the lock of ${whose.join('; ') || site}\nNext: sitewright up ${site}`);
  }
}
