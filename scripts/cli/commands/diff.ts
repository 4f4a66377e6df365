import { Command } from 'commander';
import { listSites } from '../../../components/spec';
import { checkedOf, findingsOf } from '../../review/findings';
import { isDisruptive } from '../../review/impact';
import { Renderer } from '../../review/renderer';
import { openRevision, WORKTREE, type Revision } from '../../review/revision';
import { diffSite } from '../../review/siteDiff';
import { tellDiff, tellFindings } from '../../review/tell';
import type { RenderDocument } from '../../render/document';
import { contextOf, printJson, type Context } from '../context';
import { badInput, Ended, EXIT } from '../errors';
import { checkSiteName, refuseProblems } from '../site';

interface Options {
  from: string;
  to: string;
  full?: boolean;
  sameKit?: boolean;
}

export function diffCommand(): Command {
  return new Command('diff')
    .description('show what a change of the files means for a site, without reaching it')
    .argument('<site>')
    .requiredOption('--from <ref>', 'commit, branch or tag to compare with')
    .option('--to <ref>', 'commit, branch or tag, or `worktree` for the files as they are', WORKTREE)
    .option('--full', 'every line of every difference')
    .option('--same-kit', 'see both sides with the kit that runs, also where the other side has another one')
    .addHelpText(
      'after',
      `
Both sides are rendered, each with the kit and the dependencies of its commit. It compares what the files say: it knows no
state and shows no drift. With access to the site, preview compares with what was built.

Exit codes: 0 no change, 10 changes, 11 a disruptive change, a replacement or a deletion is among them, 1 failed, 2 bad input:
also where \`validate\` refuses the site for a rule or for another site; warnings of them are told where they are new.

Examples:
  $ sitewright diff acme-prod --from main
  $ sitewright diff acme-prod --from v0.1.0 --to v0.2.0 --json`,
    )
    .action((site: string, options: Options, command: Command) => diff(contextOf(command), site, options));
}

async function diff(context: Context, site: string, options: Options): Promise<void> {
  checkSiteName(site);
  const { sameKit = false } = options;
  const from = await openRevision(context, options.from, { sameKit });
  const to = await openRevision(context, options.to, { sameKit });
  const sides = [from, to].filter(({ stacksDir }) => listSites(stacksDir).includes(site));
  if (sides.length === 0) throw badInput(`there is no site ${site} in ${from.label} or ${to.label}`);
  const renderer = new Renderer(2);
  try {
    const [before = null, after = null] = await Promise.all([from, to].map((side) => documentOf(renderer, side, site)));
    const found = diffSite(before, after);
    const findings =
      after === null
        ? { sites: [], notCompared: [] }
        : findingsOf([{ before: before === null ? null : checkedOf(before), after: checkedOf(after) }], to, new Date());
    if (context.json) printJson(context, { from: from.label, to: to.label, ...found, findings });
    else {
      context.out(tellDiff(found, { color: context.color, lines: options.full === true ? Infinity : 12 }));
      for (const line of tellFindings(findings)) context.say(line);
    }
    if (findings.sites.some(({ errors }) => errors.length > 0)) throw new Ended(EXIT.badInput);
    if (found.worst !== null) throw new Ended(isDisruptive(found.worst) ? EXIT.disruptive : EXIT.changes);
  } finally {
    renderer.close();
  }
}

/** Null: the site is not there. */
async function documentOf(renderer: Renderer, side: Revision, site: string): Promise<RenderDocument | null> {
  if (!listSites(side.stacksDir).includes(site)) return null;
  const result = await renderer.render(side, site);
  if (!result.ok)
    throw refuseProblems(result.problems.map((one) => ({ ...one, message: `${one.message} (in ${side.label})` })));
  return result.document;
}
