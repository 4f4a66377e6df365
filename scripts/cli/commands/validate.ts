import { Command } from 'commander';
import { formatProblem } from '../../../components/spec';
import { notComparedWith } from '../../review/tell';
import { contextOf, printJson, type Context } from '../context';
import { badInput } from '../errors';
import { acrossSites, isError, readFleet, ruleProblems } from '../fleet';
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
  const fleet = readFleet(context);
  // One that is not among them cannot be opened, which says why.
  const loaded = fleet.sites.find(({ plan }) => plan.site === site) ?? openSite(context, site);
  const { plan, warnings } = loaded;
  const problems = [...warnings, ...ruleProblems(loaded, new Date()), ...acrossSites(fleet, site)];
  if (problems.some(isError)) throw refuseProblems(problems);
  if (context.json) {
    printJson(context, { site, valid: true, problems });
    return;
  }
  for (const problem of problems) context.say(formatProblem(problem));
  if (fleet.broken.length > 0) {
    context.say(notComparedWith(fleet.broken.map((broken) => broken.site)));
  }
  context.out(`${site} is valid: ${plan.nodes.length} nodes, pods get an MTU of ${plan.mtu.podMtuBytes} bytes`);
}

function validateAll(context: Context): void {
  const fleet = readFleet(context);
  const across = acrossSites(fleet);
  const now = new Date();
  const sites = [
    ...fleet.sites.map((loaded) => {
      const problems = [...loaded.warnings, ...ruleProblems(loaded, now)];
      return { site: loaded.plan.site, valid: !problems.some(isError), problems };
    }),
    ...fleet.broken.map(({ site, problems }) => ({ site, valid: false, problems })),
  ].sort((a, b) => (a.site < b.site ? -1 : 1));
  const invalid = sites.filter((each) => !each.valid).map(({ site }) => site);
  const valid = invalid.length === 0 && !across.some(isError);
  if (context.json) {
    printJson(context, { valid, sites, across });
  } else {
    // A profile's problem is that of each of its sites, and one line.
    const told = [...sites.flatMap(({ problems }) => problems), ...across].map(formatProblem);
    for (const line of new Set(told)) context.say(line);
    const between = across.filter(isError).length;
    context.out(
      [
        `${sites.length - invalid.length} of ${sites.length} sites are valid by themselves`,
        ...(invalid.length > 0 ? [`broken: ${invalid.join(', ')}`] : []),
        ...(between > 0 ? [`errors between sites: ${between}`] : []),
      ].join('; '),
    );
  }
  // All is said.
  if (!valid) throw badInput('');
}
