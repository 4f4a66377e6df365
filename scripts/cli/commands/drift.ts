import { Command } from 'commander';
import type { Difference } from '../../../components/drift/types';
import type { SitePlan } from '../../../components/plan';
import { contextOf, printJson, type Context } from '../context';
import { auditSite, type Audit } from '../drift';
import { repairSite } from '../driftRepair';
import { CliError, EXIT, failed } from '../errors';
import { Interruption } from '../interrupt';
import { keepResults } from '../keptResults';
import { enterLab } from '../lab';
import { refuseLocked } from '../locks';
import { redactor } from '../redact';
import { openStack, type OpenStack } from '../secrets';
import { openSiteAloud } from '../site';
import { table } from '../table';
import { limitFactorOf } from '../verify';

export function driftCommand(): Command {
  return new Command('drift')
    .description('read every machine and object back and compare them with the plan; changes nothing')
    .argument('<site>')
    .option('--repair', 'then do again what puts back what was found, and nothing else')
    .addHelpText(
      'after',
      `
It reads modules, sysctls, offloads, MTUs, addresses and routes, every file that preparation and the programs of Kubernetes
have, packages, versions and units, the configuration of kubelet and of the static pods, the mode of kube-proxy, the kernel,
virtual machines as libvirt or the vCenter has them, and the objects of the kit in the cluster. An edit of the site file that no \`up\` has
applied yet shows as a difference too. Exit codes: 0 as planned, 12 not, 1 where something could not be read.

Examples:
  $ sitewright drift acme-prod
  $ sitewright drift acme-prod --json
  $ sitewright drift acme-prod --repair`,
    )
    .action((site: string, options: { repair?: boolean }, command: Command) =>
      drift(contextOf(command), site, options.repair === true),
    );
}

async function drift(context: Context, site: string, repair: boolean): Promise<void> {
  const { plan } = openSiteAloud(context, site);
  await enterLab(plan);
  const open = await openStack(context, plan, { create: false });
  if (repair) refuseLocked(plan);
  let audit = await look(context, plan, open);
  let repaired: string[] = [];
  if (repair && audit.differences.length > 0) {
    if (!context.json) context.say(renderAudit(plan, audit, context.color));
    repaired = await repairSite(context, plan, open, audit.differences);
    if (repaired.length > 0) audit = await look(context, plan, open);
  }
  keepResults(context, plan, 'drift', audit, { at: new Date(), redact: redactor(open.secrets) });
  const drifted = audit.differences.length > 0;
  if (context.json) printJson(context, { site, drifted, ...audit, ...(repair ? { repaired } : {}) });
  else context.out(redactor(open.secrets)(renderAudit(plan, audit, context.color)));
  if (drifted) throw new CliError('', EXIT.drifted);
  if (audit.unanswered.length > 0) throw failed('');
}

async function look(context: Context, plan: SitePlan, open: OpenStack): Promise<Audit> {
  const interruption = new Interruption((text) => context.say(text), 'Stopping: nothing was changed.');
  const redact = redactor(open.secrets);
  try {
    const limitFactor = await limitFactorOf(plan);
    const audit = await auditSite(plan, open, {
      signal: interruption.signal,
      limitFactor,
      now: new Date(),
      say: (text) => context.say(redact(`step: ${text}`)),
    });
    if (interruption.happened) throw failed(`drift ${plan.site} was stopped.`);
    return audit;
  } finally {
    interruption.dispose();
  }
}

/** Long values are lines of files. */
const MOST_SHOWN_CHARACTERS = 60;
const shown = (text: string) =>
  text === '' ? '-' : text.length > MOST_SHOWN_CHARACTERS ? `${text.slice(0, MOST_SHOWN_CHARACTERS - 1)}…` : text;

export function renderAudit(plan: SitePlan, { differences, unanswered }: Audit, color: boolean): string {
  const row = ({ where, what, wanted, found, why }: Difference) => [where, what, shown(wanted), shown(found), why];
  const places = new Set(differences.map(({ where }) => where)).size;
  return [
    ...(differences.length === 0
      ? unanswered.length === 0
        ? [`${plan.site} is as planned: ${plan.nodes.length} machines were read back`]
        : []
      : [
          table(['where', 'what', 'planned', 'found', ''], differences.map(row), color),
          '',
          `${differences.length} differences at ${places} of the places of ${plan.site}`,
        ]),
    ...unanswered.map(({ where, message }) => `no answer from ${where}: ${message}`),
  ].join('\n');
}
