import { Command } from 'commander';
import { plannedId } from '../../../components/bundle/find';
import { cachedBundles, type BundleStore } from '../../../components/bundle/store';
import { formatProblem } from '../../../components/spec';
import { removeBundle, unusedBundles, type UnusedBundle } from '../../bundle/prune';
import { contextOf, printJson, shownPath, type Context } from '../context';
import { badInput } from '../errors';
import { readFleet } from '../fleet';
import { agrees } from '../passphrase';
import { table } from '../table';

export function pruneCommand(): Command {
  return new Command('prune')
    .description('remove the bundles of this machine that no site names')
    .option('-y, --yes', 'do not ask')
    .addHelpText(
      'after',
      `
What the site files of this stacks folder name is kept; sites of another folder are not looked at. What is missed
afterwards comes again with \`sitewright bundle build\`; machines that run keep the bundle that they have.

Examples:
  $ sitewright bundle prune
  $ sitewright bundle prune --yes --json`,
    )
    .action((options: { yes?: boolean }, command: Command) => pruneBundles(contextOf(command), options.yes === true));
}

export async function pruneBundles(context: Context, yes: boolean): Promise<void> {
  const store = cachedBundles();
  const kept = await namedBundles(context, store);
  const unused = await unusedBundles(store, new Set(kept.keys()));
  const freedBytes = unused.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (unused.length > 0 && !(await confirmed(context, yes, unused, freedBytes))) return;
  for (const { id } of unused) await removeBundle(store, id);
  if (context.json) {
    printJson(context, { removed: unused, kept: [...kept].map(([id, sites]) => ({ id, sites })), freedBytes });
  } else if (unused.length === 0) context.out('nothing to remove: a site names every bundle of this machine');
  else context.out(`removed ${countOf(unused)}, ${shownSize(freedBytes)} freed`);
}

/** Bundles that sites name, with their sites. A site that cannot be read could name any of them. */
async function namedBundles(context: Context, store: BundleStore): Promise<Map<string, string[]>> {
  const { sites, broken } = readFleet(context);
  if (broken.length > 0) {
    throw badInput(
      [
        ...broken.flatMap(({ problems }) => problems.map(formatProblem)),
        `Which bundles ${broken.map(({ site }) => site).join(', ')} need is not known until that is corrected. Nothing was removed.`,
      ].join('\n'),
    );
  }
  const named = new Map<string, string[]>();
  for (const { plan } of sites) {
    if (plan.cluster === null) continue;
    const id = await plannedId(store, context.stacksDir, plan.cluster.bundle);
    if (id !== null) named.set(id, [...(named.get(id) ?? []), plan.site]);
  }
  return named;
}

async function confirmed(context: Context, yes: boolean, unused: UnusedBundle[], freedBytes: number): Promise<boolean> {
  if (yes) return true;
  const rows = unused.map(({ name, id, sizeBytes }) => [name ?? 'damaged', id.slice(0, 12), shownSize(sizeBytes)]);
  const asks = context.terminal && process.stdin.isTTY === true;
  if (!context.json)
    context.say(
      table([`named by no site of ${shownPath(context.stacksDir)}`, 'id', 'size'], rows, context.color && asks),
    );
  if (!asks) {
    throw badInput(
      `bundle prune would remove ${countOf(unused)} and free ${shownSize(freedBytes)}; nothing was removed. If that is meant, add --yes`,
    );
  }
  if (await agrees(`Remove ${countOf(unused)} and free ${shownSize(freedBytes)}?`)) return true;
  context.say('Nothing was removed.');
  return false;
}

const countOf = ({ length }: UnusedBundle[]) => (length === 1 ? 'one bundle' : `${length} bundles`);
/** Of files, as people say it. */
export const shownSize = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
