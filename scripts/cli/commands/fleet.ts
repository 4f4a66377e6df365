import { Command } from 'commander';
import type { SitePlan } from '../../../components/plan';
import { formatProblem, type Problem } from '../../../components/spec';
import { day } from '../clusterKeys';
import { contextOf, printJson, type Context } from '../context';
import { badInput } from '../errors';
import { readFleet } from '../fleet';
import { readLastRun, type LastRun } from '../lastRun';
import { markdownTable, paint, table } from '../table';

export function fleetCommand(): Command {
  return new Command('fleet')
    .description('list every site: versions, routing, pod MTU, support end, last proof; reaches none of them')
    .option('--markdown', 'print a table for a pull request or a page')
    .addHelpText(
      'after',
      `
The last proof comes from the state of a site where that is a folder of this machine; elsewhere it is -. A site whose file
is wrong is listed as broken, and the exit code is 2.

Examples:
  $ sitewright fleet
  $ sitewright fleet --json
  $ sitewright fleet --markdown > SITES.md`,
    )
    .action((options: { markdown?: boolean }, command: Command) =>
      fleet(contextOf(command), options.markdown === true, new Date()),
    );
}

/** One site, as `--json` has it. */
interface Entry {
  site: string;
  environment: SitePlan['environment'];
  /** Versions of the kit that the site was reviewed with. */
  kit: string;
  machines: number;
  /** `runs` is what the last run left; null where that is not known. Null: the site has no cluster. */
  kubernetes: { planned: string; runs: string | null; supportedUntil: string; supportEnded: boolean } | null;
  routing: string;
  podMtuBytes: number;
  lastProof: LastRun['proof'];
}

const HEAD = ['site', 'environment', 'kit', 'kubernetes', 'supported until', 'routing', 'pod MTU', 'last proof'];

function fleet(context: Context, markdown: boolean, now: Date): void {
  if (markdown && context.json) throw badInput('--markdown and --json: choose one of them');
  const { sites, broken } = readFleet(context);
  const entries = sites.map(({ spec, plan }): Entry => {
    const last = readLastRun(plan);
    return {
      site: plan.site,
      environment: plan.environment,
      kit: spec.kit,
      machines: plan.nodes.length,
      kubernetes: kubernetesOf(plan, last, now),
      routing: plan.mtu.wireguard ? `${plan.mtu.routing}, wireguard` : plan.mtu.routing,
      podMtuBytes: plan.mtu.podMtuBytes,
      lastProof: last?.proof ?? null,
    };
  });
  if (context.json) printJson(context, { sites: entries, broken });
  else {
    const lines = [...entries.map(rowOf), ...broken.map(({ site, problems }) => brokenRow(site, problems))];
    lines.sort(([a], [b]) => (a < b ? -1 : 1));
    context.out(markdown ? markdownTable(HEAD, lines) : table(HEAD, lines.map(painted(context.color)), context.color));
    for (const problem of broken.flatMap(({ problems }) => problems)) context.say(formatProblem(problem));
  }
  // All is said.
  if (broken.length > 0) throw badInput('');
}

function kubernetesOf({ cluster }: SitePlan, last: LastRun | null, now: Date): Entry['kubernetes'] {
  if (cluster === null) return null;
  return {
    planned: cluster.kubernetesVersion,
    runs: last?.kubernetesVersion ?? null,
    supportedUntil: cluster.supportedUntil,
    supportEnded: day(now) > cluster.supportedUntil,
  };
}

function rowOf({ site, environment, kit, kubernetes, routing, podMtuBytes, lastProof }: Entry): string[] {
  const isElsewhere = kubernetes !== null && kubernetes.runs !== null && kubernetes.runs !== kubernetes.planned;
  return [
    site,
    environment,
    kit,
    kubernetes === null ? '-' : `${kubernetes.planned}${isElsewhere ? ` (${kubernetes.runs} runs)` : ''}`,
    kubernetes === null ? '-' : `${kubernetes.supportedUntil}${kubernetes.supportEnded ? ' (over)' : ''}`,
    routing,
    String(podMtuBytes),
    lastProof === null
      ? '-'
      : `${lastProof.at.slice(0, 10)}${lastProof.warnings > 0 ? ` (warnings: ${lastProof.warnings})` : ''}`,
  ];
}

const brokenRow = (site: string, problems: Problem[]) => [
  site,
  `broken: ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}`,
  ...HEAD.slice(2).map(() => '-'),
];

const painted = (color: boolean) => (row: string[]) =>
  row.map((cell) => (/^broken: | \(over\)$/.test(cell) ? paint(cell, 'red', color) : cell));
