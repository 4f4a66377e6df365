import { Command } from 'commander';
import { pathsBefore } from '../../../components/clusterProbe';
import type { ProofResult } from '../../../components/proof/facts';
import { contextOf, printJson, type Context } from '../context';
import { failed } from '../errors';
import { keepResults } from '../keptResults';
import { enterLab } from '../lab';
import { redactor } from '../redact';
import { renderOutputs } from '../report';
import { openStack } from '../secrets';
import { openSiteAloud } from '../site';
import { prove } from '../verify';

/** Commands that tell what a site is like: outputs (as `up` left it) and verify (now). */
export function resultCommands(): Command[] {
  return [
    new Command('verify')
      .description('repeat the proof on the wire now; changes nothing')
      .argument('<site>')
      .addHelpText('after', '\nExamples:\n  $ sitewright verify acme-prod\n  $ sitewright verify acme-prod --json')
      .action((site: string, _options: unknown, command: Command) => verify(contextOf(command), site)),
    new Command('outputs')
      .description('show what the last `up` found: nodes, MTU budget, proof')
      .argument('<site>')
      .addHelpText('after', '\nExamples:\n  $ sitewright outputs acme-prod\n  $ sitewright outputs acme-prod --json')
      .action((site: string, _options: unknown, command: Command) => outputs(contextOf(command), site)),
  ];
}

async function outputs(context: Context, site: string): Promise<void> {
  const { plan } = openSiteAloud(context, site);
  const { stack } = await openStack(context, plan, { create: false });
  const found = await stack.outputs();
  if (Object.keys(found).length === 0) throw failed(`${site} has no outputs yet: sitewright up ${site} makes them`);
  if (context.json) printJson(context, found);
  else context.out(renderOutputs(plan, found, context.color));
}

async function verify(context: Context, site: string): Promise<void> {
  const { plan } = openSiteAloud(context, site);
  await enterLab(plan);
  const { config, secrets, stack } = await openStack(context, plan, { create: false });
  const { proof } = plan.cluster === null ? {} : await stack.outputs();
  const before = Array.isArray(proof) ? pathsBefore(proof as ProofResult[]) : [];
  const { failures, results, unanswered, text } = await prove(context, plan, config, secrets, before);
  keepResults(context, plan, 'verify', { results, unanswered }, { at: new Date(), redact: redactor(secrets) });
  if (context.json) printJson(context, { site, passed: failures === 0, results, unanswered });
  else context.out(text);
  // The result above is the whole answer to a program; a person gets a last line too.
  if (failures > 0) throw failed(context.json ? '' : `verify ${site} failed: ${failures} of its probes did`);
}
