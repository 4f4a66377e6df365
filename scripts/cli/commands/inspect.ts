import { Command } from 'commander';
import { planJson, renderPlan } from '../../../components/plan';
import { contextOf, printJson, type Context } from '../context';
import { badInput } from '../errors';
import { openSite, openSiteAloud } from '../site';

/** Commands that read a site file and reach nothing else: plan, explain; validate is in a file of its own. */
export function inspectCommands(): Command[] {
  return [
    new Command('plan')
      .description('show everything computed for a site, without reaching it')
      .argument('<site>')
      .addHelpText(
        'after',
        '\nExamples:\n  $ sitewright plan acme-prod\n  $ sitewright plan acme-prod --json > plan.json',
      )
      .action((site: string, _options: unknown, command: Command) => plan(contextOf(command), site)),
    new Command('explain')
      .description('show which file and line a value of a site came from')
      .argument('<site>')
      .argument('[path]', 'such as underlay.mtu or machines.nodes[cp1].memory', '')
      .addHelpText(
        'after',
        '\nExamples:\n  $ sitewright explain acme-prod network.podMtu\n  $ sitewright explain acme-prod "machines.nodes[cp1]"',
      )
      .action((site: string, path: string, _options: unknown, command: Command) =>
        explain(contextOf(command), site, path),
      ),
  ];
}

function plan(context: Context, site: string): void {
  const { plan: sitePlan } = openSiteAloud(context, site);
  context.out(context.json ? planJson(sitePlan) : renderPlan(sitePlan, { color: context.color }));
}

function explain(context: Context, site: string, text: string): void {
  const { source } = openSite(context, site);
  const parsed = source.parsePath(text);
  if (!parsed.ok) throw badInput(parsed.message);
  const explanation = source.explain(parsed.path);
  if (context.json) {
    printJson(context, { ...explanation, value: explanation.value ?? null });
    return;
  }
  const { where, value, origin, description, overridden } = explanation;
  const from = origin === 'default' ? 'the default of the kit' : `${origin.file}:${origin.line}:${origin.column}`;
  context.out(
    [
      `${where || site}: ${shownValue(value)}`,
      `  from ${from}`,
      ...overridden.map(
        (mark) => `  in place of ${shownValue(mark.value)} at ${mark.file}:${mark.line}:${mark.column}`,
      ),
      ...(description === '' ? [] : [`  ${description}`]),
    ].join('\n'),
  );
}

const shownValue = (value: unknown) => (value === undefined ? 'not set' : JSON.stringify(value));
