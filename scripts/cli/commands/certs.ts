import { Command } from 'commander';
import type { NodePlan, SitePlan } from '../../../components/plan';
import { pkiExpiries, renewAdmin, renewAuthorities } from '../../../components/secrets/pki';
import { SshError } from '../../../components/ssh/errors';
import { checkedClusterPki, clusterPkiOf, day, dueAuthorities, storePki } from '../clusterKeys';
import { contextOf, printJson, type Context } from '../context';
import { badInput, failed } from '../errors';
import { enterLab } from '../lab';
import { refuseLocked } from '../locks';
import { hasExpired, readNodeCertificates, renewEverywhere, type NodeCertificate } from '../nodeCerts';
import { openStack, type OpenStack } from '../secrets';
import { openSiteAloud } from '../site';
import { paint, table } from '../table';
import { keysOf, nodeTargets, type NamedTarget } from '../targets';

/** Below this a certificate is shown as due: kubeadm's tools and ours have had every chance to renew it by then. */
const DUE_DAYS = 30;
/** For one container to come back, and for the API after that; an emulated machine needs minutes. */
const RESTART_LIMIT_SECONDS = 600;

export function certsCommand(): Command {
  return new Command('certs')
    .description("show when a cluster's certificates expire, and renew them")
    .argument('<site>')
    .option('--renew', 'renew all but the authorities, one control-plane machine after another')
    .option(
      '--renew-authorities',
      'renew the authorities under the keys that they have; up brings them to the machines',
    )
    .addHelpText(
      'after',
      `
Shows the authorities and the kit's own certificate from the secrets of the site, and those on each machine that answers:
all of a control-plane machine, and of a worker the one of kubelet. Exit code 1 when one has expired. \`up\` renews the
kit's own by itself; an upgrade of Kubernetes renews those of control-plane machines, and kubelet its own. --renew restarts
the control plane of each machine, and waits for it; where kubelet's own has expired, it signs another there. A worker
whose kubelet has none that is valid joins again with the next \`up\`.

--renew-authorities asks no machine: it makes the authorities anew in the secrets of the site, of the same names and keys,
for ten years. What they have signed stays valid and what is signed is accepted by both, so nothing is replaced. \`up\`
writes them to every machine and restarts what has read the old ones, one control-plane machine after another.
It does not help where the key of an authority became known: that needs a cluster that is built anew.

Examples:
  $ sitewright certs acme-prod
  $ sitewright certs acme-prod --renew
  $ sitewright certs acme-prod --renew-authorities && sitewright up acme-prod`,
    )
    .action((site: string, options: CertsOptions, command: Command) => {
      const { renew = false, renewAuthorities: authorities = false } = options;
      if (renew && authorities) throw badInput('--renew or --renew-authorities, not both; nothing was changed');
      return authorities ? renewThem(contextOf(command), site) : certs(contextOf(command), site, renew);
    });
}

interface CertsOptions {
  renew?: boolean;
  renewAuthorities?: boolean;
}

/** Also after they have expired, when nothing else goes on. */
async function renewThem(context: Context, site: string): Promise<void> {
  const { plan } = openSiteAloud(context, site);
  await enterLab(plan);
  const open = await openStack(context, plan, { create: false });
  const old = clusterPkiOf(open.config, plan);
  refuseLocked(plan);
  await storePki(open, await renewAuthorities(old, new Date()));
  const ends = pkiExpiries(clusterPkiOf(open.config, plan)).filter(({ name }) => name !== 'admin');
  if (context.json) {
    const renewed = ends.map(({ name, expires }) => ({ name, expires: expires.toISOString() }));
    return printJson(context, { site, renewed });
  }
  const until = day(ends[0]!.expires);
  const before = day(pkiExpiries(old)[0]!.expires);
  context.out(
    `The authorities of ${site} are valid until ${until}, under the keys that they had. Commit stacks/Pulumi.${site}.yaml.\n` +
      `sitewright up ${site} brings them to every machine (preview shows it), and restarts the control plane of one machine after another and every kubelet.\n` +
      `Pods and kubeconfigs from before know the old authority, which ends on ${before}: make those that use the API anew by then ` +
      `(kubectl rollout restart, sitewright kubeconfig ${site}).`,
  );
}

/** What a machine answered. */
interface Answer {
  host: NamedTarget;
  /** By the site file. */
  role: NodePlan['role'];
  certificates: NodeCertificate[];
  /** Why there are none: it did not answer. */
  problem?: string;
  /** It is a control plane by now. */
  controlPlane: boolean;
}

/** `secrets` for what the site keeps, else the name of a machine. */
type Row = NodeCertificate & { where: string };

async function certs(context: Context, site: string, renew: boolean): Promise<void> {
  const { plan } = openSiteAloud(context, site);
  await enterLab(plan);
  const open = await openStack(context, plan);
  const now = new Date();
  const pki = renew ? checkedClusterPki(open.config, plan, now)! : clusterPkiOf(open.config, plan);
  if (renew) refuseLocked(plan);
  const hosts = await hostsOf(plan, open);
  let answers = await readAll(hosts);
  if (renew) {
    const unanswered = problemsOf(answers.filter(({ role }) => role === 'control-plane'));
    if (unanswered.length > 0) {
      const lines = unanswered.map(({ where, message }) => `${where}: ${message}`);
      throw failed(`${lines.join('\n')}\nNothing was renewed: every control-plane machine must answer`);
    }
    await storePki(open, await renewAdmin(pki, now));
    context.say(`secrets of ${site}: the kit's own certificate is made anew. Commit stacks/Pulumi.${site}.yaml`);
    await renewEverywhere(
      answers.filter(({ controlPlane }) => controlPlane),
      now,
      { limitSeconds: RESTART_LIMIT_SECONDS, say: context.say },
    );
    answers = await readAll(hosts);
  }
  const rows: Row[] = [
    ...pkiExpiries(clusterPkiOf(open.config, plan)).map((one) => ({ where: 'secrets', ...one })),
    ...answers.flatMap(({ host, certificates }) => certificates.map((one) => ({ where: host.name, ...one }))),
  ];
  const unanswered = problemsOf(answers);

  const expired = rows.filter((row) => hasExpired(row, now));
  if (context.json) {
    const shown = rows.map(({ where, name, expires }) => ({ where, name, expires: expires?.toISOString() ?? null }));
    printJson(context, { site, certificates: shown, unanswered });
  } else {
    const lines = rows.map(({ where, name, expires }) => [where, name, minute(expires), left(context, expires, now)]);
    context.out(table(['where', 'certificate', 'expires (UTC)', 'left'], lines, context.color));
    for (const { where, message } of unanswered) context.say(`${where}: ${message}`);
    const due = dueAuthorities(clusterPkiOf(open.config, plan), site, now);
    if (due !== null) context.say(due);
  }
  if (expired.length > 0) {
    const workers = answers.filter(({ controlPlane }) => !controlPlane).map(({ host }) => host.name);
    throw failed(context.json ? '' : whatNow(site, expired, workers));
  }
}

function whatNow(site: string, expired: Row[], workers: string[]): string {
  const joining = expired.filter(({ where }) => workers.includes(where)).map(({ where }) => where);
  return [
    `expired: ${expired.map(({ where, name }) => `${name} (${where})`).join(', ')}.`,
    ...(joining.length < expired.length
      ? [`sitewright certs ${site} --renew renews all but authorities, --renew-authorities those.`]
      : []),
    ...(joining.length > 0 ? [`sitewright up ${site} has ${joining.join(', ')} join again.`] : []),
  ].join(' ');
}

const problemsOf = (answers: Answer[]) =>
  answers.flatMap(({ host, problem }) => (problem === undefined ? [] : [{ where: host.name, message: problem }]));
/** `2026-03-01 12:00`, in UTC. */
const minute = (date: Date | null) => date?.toISOString().slice(0, 16).replace('T', ' ') ?? '-';

function left(context: Context, expires: Date | null, now: Date): string {
  if (expires === null) return paint('cannot be used', 'red', context.color);
  const days = Math.floor((expires.getTime() - now.getTime()) / 86_400_000);
  if (expires <= now) return paint('expired', 'red', context.color);
  return days < DUE_DAYS ? paint(`${days} days: due`, 'yellow', context.color) : `${days} days`;
}

type Host = Pick<Answer, 'host' | 'role'>;

/** The machines to ask; none before the site is built. */
async function hostsOf(plan: SitePlan, { stack, config }: OpenStack): Promise<Host[]> {
  if (((await stack.resourceCount()) ?? 0) === 0) return [];
  return nodeTargets(plan, keysOf(config, plan.site)).map((host, index) => ({ host, role: plan.nodes[index].role }));
}

/** What every machine has; one that does not answer is no reason not to show the others. */
async function readAll(hosts: Host[]): Promise<Answer[]> {
  const found = await Promise.allSettled(hosts.map(({ host }) => readNodeCertificates(host)));
  return found.map((outcome, index) => {
    if (outcome.status === 'fulfilled') {
      const { certificates = [], role } = outcome.value ?? {};
      return { ...hosts[index], certificates, controlPlane: role === 'control-plane' };
    }
    return { ...hosts[index], certificates: [], problem: reasonOf(outcome.reason), controlPlane: false };
  });
}

/** Errors of SSH and of the script are for the user; anything else is a defect. */
function reasonOf(error: unknown): string {
  if (error instanceof SshError || (error as { exitCode?: number }).exitCode === 1) return (error as Error).message;
  throw error;
}
