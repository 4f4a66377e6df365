import { Command } from 'commander';
import { formatProblem } from '../../../components/spec';
import { contextOf, printJson, type Context } from '../context';
import { badInput } from '../errors';
import { acrossSites, isError, readFleet } from '../fleet';
import { openSite, refuseProblems } from '../site';

export function validateCommand(): Command {
  return new Command('validate')
    .description('check one site file or all of them, and what must hold between sites')
    .argument('[site]', 'default: every site')
    .addHelpText(
      'after',
      `
Every problem at once, with file, line and column. Sites are compared with each other where they are joined (\`joined\` in
the site file) or share a hypervisor; such a problem names both places.

Examples:
  $ sitewright validate
  $ sitewright validate acme-prod
  $ sitewright validate acme-prod --json`,
    )
    .action((site: string | undefined, _options: unknown, command: Command) =>
      site === undefined ? validateAll(contextOf(command)) : validateOne(contextOf(command), site),
    );
}

function validateOne(context: Context, site: string): void {
  const { plan, warnings } = openSite(context, site);
  const fleet = readFleet(context);
  const problems = [...warnings, ...acrossSites(fleet, site)];
  if (problems.some(isError)) throw refuseProblems(problems);
  if (context.json) {
    printJson(context, { site, valid: true, problems });
    return;
  }
  for (const problem of problems) context.say(formatProblem(problem));
  if (fleet.broken.length > 0) {
    const names = fleet.broken.map((broken) => broken.site).join(', ');
    context.say(`not compared with ${names}: no plan can be made of it (sitewright validate shows why)`);
  }
  context.out(`${site} is valid: ${plan.nodes.length} nodes, pods get an MTU of ${plan.mtu.podMtuBytes} bytes`);
}

function validateAll(context: Context): void {
  const fleet = readFleet(context);
  const across = acrossSites(fleet);
  const sites = [
    ...fleet.sites.map(({ plan, warnings }) => ({ site: plan.site, valid: true, problems: warnings })),
    ...fleet.broken.map(({ site, problems }) => ({ site, valid: false, problems })),
  ].sort((a, b) => (a.site < b.site ? -1 : 1));
  const valid = fleet.broken.length === 0 && !across.some(isError);
  if (context.json) {
    printJson(context, { valid, sites, across });
  } else {
    for (const problem of [...sites.flatMap(({ problems }) => problems), ...across])
      context.say(formatProblem(problem));
    const broken = fleet.broken.map(({ site }) => site);
    const between = across.filter(isError).length;
    context.out(
      [
        `${fleet.sites.length} of ${sites.length} sites are valid by themselves`,
        ...(broken.length > 0 ? [`broken: ${broken.join(', ')}`] : []),
        ...(between > 0 ? [`errors between sites: ${between}`] : []),
      ].join('; '),
    );
  }
  // All is said.
  if (!valid) throw badInput('');
}
