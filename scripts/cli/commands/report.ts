import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { gatherEvidence } from '../../report/evidence';
import { reportPage } from '../../report/page';
import { day } from '../clusterKeys';
import { contextOf, printJson, shownPath, type Context } from '../context';
import { badInput } from '../errors';
import { readKept } from '../keptResults';
import { readLastRun } from '../lastRun';
import { openSiteAloud } from '../site';

export function reportCommand(): Command {
  return new Command('report')
    .description(
      'write one HTML page of a site: topology, MTU budget, proof, latencies, versions, drift; reaches nothing',
    )
    .argument('<site>')
    .option('--out <file>', 'write the page to a file instead of stdout')
    .addHelpText(
      'after',
      `
The page needs no network and no script, follows the light or dark theme of its reader, and holds no secret. It is made of
the plan, of the proof that the last up left in a state on this machine, and of the last verify and drift on this machine;
what was never measured it says so. With --json it prints these results instead of the page.

Examples:
  $ sitewright report acme-prod --out acme-prod.html
  $ sitewright verify acme-prod; sitewright report acme-prod > acme-prod.html`,
    )
    .action((site: string, options: { out?: string }, command: Command) =>
      report(contextOf(command), site, options.out, new Date()),
    );
}

function report(context: Context, site: string, out: string | undefined, now: Date): void {
  if (out !== undefined && context.json) throw badInput('--out and --json: choose one of them');
  const { plan, spec } = openSiteAloud(context, site);
  const evidence = gatherEvidence(plan, {
    up: readLastRun(plan),
    verify: readKept(plan, 'verify'),
    drift: readKept(plan, 'drift'),
  });
  if (context.json) return printJson(context, { site, ...evidence });
  const page = reportPage({ plan, kit: spec.kit, evidence, today: day(now) });
  if (out === undefined) return context.out(page);
  try {
    writeFileSync(out, page);
  } catch (error) {
    throw badInput(`--out ${shownPath(out)}: ${(error as Error).message}`);
  }
  context.say(`wrote ${shownPath(out)}`);
}
