import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import type { EngineEvent } from '@pulumi/pulumi/automation';
import type { SitePlan } from '../../../components/plan';
import { isDisruptive } from '../../review/impact';
import { BUDGET_BYTES, previewHead, reviewMarkdown } from '../../review/markdown';
import { previewDiff } from '../../review/previewDiff';
import { WORKTREE } from '../../review/revision';
import { checkBgpPasswords } from '../bgpPasswords';
import { checkVsphereSecrets } from '../vsphereSecrets';
import { checkIngressKey } from '../ingressKey';
import { checkedClusterPki, clusterPkiOf, dueAuthorities, renewAdminWhenDue } from '../clusterKeys';
import { collectChanges } from '../changes';
import { checkClusterVersion, VERSION_OUTPUT } from '../clusterVersion';
import { contextOf, printJson, type Context } from '../context';
import { badInput, Ended, EXIT } from '../errors';
import { enterLab } from '../lab';
import { refuseLocked } from '../locks';
import { forgetLostMachines, partedResources, refuseLostMembers, unjoinedResources, type SiteState } from '../members';
import { tellNetworkChange } from '../networkChange';
import { operate } from '../operate';
import { agrees } from '../passphrase';
import { markBroken } from '../repair';
import { checkRegistryPasswords } from '../registries';
import { renderChanges, renderCounts } from '../renderChanges';
import { redactor } from '../redact';
import { renderOutputs } from '../report';
import { ensureSecrets, hasSecrets, lacksClusterKeys, openStack, type OpenStack } from '../secrets';
import { openSiteAloud } from '../site';
import type { SiteStack } from '../stack';
import { clearPendingOperations } from '../state';

/** Commands that run the engine on a site: preview, up, refresh. */
export function deployCommands(): Command[] {
  return [
    new Command('preview')
      .description('show what `up` would change; changes nothing')
      .argument('<site>')
      .addOption(policyPackOption())
      .option('--report', 'as Markdown, in the form of `review`')
      .addHelpText(
        'after',
        `
Exit code 0, also where something changes; with --report as of \`diff\`: 0 no change, 10 changes, 11 a disruptive change, a
replacement or a deletion is among them.

Examples:
  $ sitewright preview acme-prod
  $ sitewright preview acme-prod --json
  $ sitewright preview acme-prod --report > comment.md
  $ sitewright preview acme-prod --policy-pack scripts/policy`,
      )
      .action((site: string, options: Packs & { report?: boolean }, command: Command) =>
        preview(contextOf(command), site, options),
      ),
    new Command('up')
      .description('build the site or bring it to what its file says, and prove its network')
      .argument('<site>')
      .option('-y, --yes', 'do not ask; without a terminal nothing is asked either')
      .addOption(policyPackOption())
      .addHelpText(
        'after',
        `
On a terminal the changes are shown first and must be confirmed. Ctrl-C stops in order; the next run carries on.

Examples:
  $ sitewright up acme-prod
  $ sitewright up lab --yes`,
      )
      .action((site: string, options: Packs & { yes?: boolean }, command: Command) =>
        up(contextOf(command), site, options),
      ),
    new Command('refresh')
      .description('bring the state in line with what the engine can read back')
      .argument('<site>')
      .addHelpText(
        'after',
        `
What runs on a node has no way to be read back by the engine: a node that was changed by hand shows in
\`sitewright drift\`, not here.

Examples:
  $ sitewright refresh acme-prod`,
      )
      .action((site: string, _options: unknown, command: Command) => refresh(contextOf(command), site)),
  ];
}

interface Packs {
  policyPack?: string[];
}

const policyPackOption = () =>
  new Option(
    '--policy-pack <folder>',
    'policy pack of Pulumi that the resources must satisfy, such as scripts/policy; may be given several times',
  ).argParser((folder, before: string[] = []) => [...before, folder]);

/** With the folders as the engine needs them; it runs elsewhere. */
function policyPacksOf({ policyPack = [] }: Packs): string[] {
  return policyPack.map((folder) => {
    if (!existsSync(join(folder, 'PulumiPolicy.yaml')))
      throw badInput(`--policy-pack ${folder}: there is no PulumiPolicy.yaml in this folder`);
    return resolve(folder);
  });
}

const nodeNames = (plan: SitePlan) => plan.nodes.map((node) => node.name);

async function previewChanges(
  context: Context,
  plan: SitePlan,
  open: OpenStack,
  policyPacks: string[],
): Promise<EngineEvent[]> {
  const { events } = await operate(context, open.stack, {
    site: plan.site,
    nodes: nodeNames(plan),
    verb: 'preview of',
    secrets: open.secrets,
    run: (stack, operation) => stack.preview({ ...operation, policyPacks }),
    tellsSteps: false,
    next: ['Nothing was changed.'],
  });
  return events;
}

async function preview(context: Context, site: string, options: Packs & { report?: boolean }): Promise<void> {
  const policyPacks = policyPacksOf(options);
  const loaded = openSiteAloud(context, site);
  const { plan } = loaded;
  const open = await openStack(context, plan);
  const now = new Date();
  const left = outputsOnce(open.stack);
  await checkClusterVersion(context, loaded, left, now);
  checkedClusterPki(open.config, plan, now);
  refuseLostMembers(await stateOf(open.stack), plan);
  checkBgpPasswords(plan, open.config);
  checkIngressKey(plan, open.config);
  checkVsphereSecrets(plan, open.config);
  await tellNetworkChange(context, plan, left);
  checkRegistryPasswords(open.config, plan);
  const events = await previewChanges(context, plan, open, policyPacks);
  if (options.report === true) {
    const runs = (await left.outputs())[VERSION_OUTPUT];
    return report(context, events, { plan, open, runs: typeof runs === 'string' ? runs : null });
  }
  const found = collectChanges(events, site, nodeNames(plan));
  if (context.json) printJson(context, found);
  else context.out(renderChanges(site, found, context.color));
}

function report(
  context: Context,
  events: EngineEvent[],
  { plan, open, runs }: { plan: SitePlan; open: OpenStack; runs: string | null },
): void {
  const diff = previewDiff(events, { plan, runs, redact: redactor(open.secrets) });
  if (context.json) printJson(context, diff);
  else {
    const review = {
      ...{ base: `the state of ${plan.site}`, head: WORKTREE, untouched: 0, broken: [] },
      changed: diff.worst === null ? [] : [diff],
      same: diff.worst === null ? [plan.site] : [],
      findings: { sites: [], notCompared: [] },
    };
    context.out(reviewMarkdown(review, BUDGET_BYTES, previewHead(plan.site)));
  }
  if (diff.worst !== null) throw new Ended(isDisruptive(diff.worst) ? EXIT.disruptive : EXIT.changes);
}

async function up(context: Context, site: string, options: Packs & { yes?: boolean }): Promise<void> {
  const policyPacks = policyPacksOf(options);
  const loaded = openSiteAloud(context, site);
  const { plan } = loaded;
  await enterLab(plan);
  // A lab comes from one command: what it keeps secret protects nothing that lasts. Elsewhere only what a site that has
  // its secrets lacks since its file names a version of Kubernetes is made here.
  if (hasSecrets(context, site) ? lacksClusterKeys(context, plan) : plan.environment === 'lab') {
    const { made } = await ensureSecrets(context, plan);
    context.say(`secrets of ${site}: made ${made.join(', ')}. Commit stacks/Pulumi.${site}.yaml`);
  }
  const open = await openStack(context, plan);
  refuseLocked(plan);
  const left = outputsOnce(open.stack);
  checkBgpPasswords(plan, open.config);
  checkIngressKey(plan, open.config);
  checkVsphereSecrets(plan, open.config);
  await tellNetworkChange(context, plan, left);
  const now = new Date();
  await checkClusterVersion(context, loaded, left, now);
  const pki = checkedClusterPki(open.config, plan, now);
  checkRegistryPasswords(open.config, plan);
  const due = pki === null ? null : dueAuthorities(pki, site, now);
  if (due !== null) context.say(due);
  if (pki !== null && (await renewAdminWhenDue(open, pki, now))) {
    context.say(
      `secrets of ${site}: the kit's own certificate was due and is made anew. Commit stacks/Pulumi.${site}.yaml`,
    );
  }
  const before = await stateOf(open.stack);
  refuseLostMembers(before, plan);
  const cleared = await clearPendingOperations(open.stack);
  if (cleared.length > 0) {
    context.say(`The last run was killed in the middle of: ${cleared.join(', ')}. It is done again now.`);
  }
  if (pki !== null) await markBroken(context, plan, open, clusterPkiOf(open.config, plan));
  const asks = options.yes !== true && context.terminal && process.stdin.isTTY === true;
  if (asks) {
    if (!(await confirmed(context, plan, open, policyPacks))) return;
  } else if (policyPacks.length > 0) {
    // The engine judges a stack as a whole when its program has ended, and an `up` has done much by then.
    await previewChanges(context, plan, open, policyPacks);
  }

  await forgetLostMachines(open.stack, plan);
  const { result, progress, events } = await operate(context, open.stack, {
    site,
    nodes: nodeNames(plan),
    verb: 'up',
    secrets: open.secrets,
    run: (stack, operation) => stack.up({ ...operation, policyPacks }),
    next: [
      `What was made is kept; the next \`sitewright up ${site}\` carries on from there.`,
      `--verbose shows the engine's output.`,
    ],
  }).catch(async (error: unknown) => {
    // What failed is to be told, whatever becomes of this.
    await letGo(open.stack, plan, before).catch(() => undefined);
    throw error;
  });
  if (plan.dead.length > 0 || plan.nodes.some(({ state }) => state !== 'active')) await letGo(open.stack, plan, before);
  const counts = progress.counts();
  const outputs = Object.fromEntries(
    Object.entries(result).map(([name, output]) => [name, output.secret ? '[secret]' : (output.value as unknown)]),
  );
  if (context.json) {
    const { changes } = collectChanges(events, site, nodeNames(plan));
    printJson(context, { site, changes, counts, outputs });
    return;
  }
  const next = [
    `sitewright verify ${site}     repeats the proof at any time`,
    `sitewright preview ${site}    shows what an edit of the site file changes`,
  ];
  context.out(
    [
      renderOutputs(plan, outputs, context.color),
      renderCounts(counts, 'past'),
      '',
      'Next:',
      ...next.map((line) => `  ${line}`),
    ].join('\n'),
  );
}

/** What the last `up` has left, asked for once and only where somebody wants to know: each question runs the engine. */
function outputsOnce(stack: SiteStack): Pick<SiteStack, 'outputs'> {
  let asked: ReturnType<SiteStack['outputs']> | undefined;
  return { outputs: () => (asked ??= stack.outputs()) };
}

const stateOf = async (stack: SiteStack) => JSON.parse(await stack.exportState()) as SiteState;

/**
 * The engine's protection stands until a member has left: what the program says of a machine is said before anybody knows
 * whether it leaves, or joins at all.
 */
async function letGo(stack: SiteStack, plan: SitePlan, before: SiteState): Promise<void> {
  const after = await stateOf(stack);
  const released = new Set([...partedResources(after, plan), ...unjoinedResources(before, after, plan)]);
  for (const urn of released) await stack.unprotect(urn);
}

async function confirmed(context: Context, plan: SitePlan, open: OpenStack, policyPacks: string[]): Promise<boolean> {
  const events = await previewChanges(context, plan, open, policyPacks);
  const found = collectChanges(events, plan.site, nodeNames(plan));
  if (found.changes.length === 0) return true;
  context.say(renderChanges(plan.site, found, context.color));
  if (await agrees('Do this?')) return true;
  context.say('Nothing was changed.');
  return false;
}

async function refresh(context: Context, site: string): Promise<void> {
  const { plan } = openSiteAloud(context, site);
  await enterLab(plan);
  const open = await openStack(context, plan);
  refuseLocked(plan);
  const { progress } = await operate(context, open.stack, {
    site,
    nodes: nodeNames(plan),
    verb: 'refresh',
    secrets: open.secrets,
    run: (stack, operation) => stack.refresh(operation),
    next: [],
  });
  const counts = progress.counts();
  if (context.json) printJson(context, { site, counts });
  else {
    context.out(
      `the state of ${site} is current: ${renderCounts(counts, 'past')}\n` +
        `Nodes cannot be read back this way: sitewright drift ${site} looks at them.`,
    );
  }
}
