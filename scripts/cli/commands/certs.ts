import { Command } from 'commander';
import type { SitePlan } from '../../../components/plan';
import { pkiExpiries, renewAdmin } from '../../../components/secrets/pki';
import { SshError } from '../../../components/ssh/errors';
import { checkedClusterPki, clusterPkiOf, storePki } from '../clusterKeys';
import { contextOf, printJson, type Context } from '../context';
import { failed } from '../errors';
import { enterLab } from '../lab';
import { refuseLocked } from '../locks';
import { readNodeCertificates, renewOn, type NodeCertificate } from '../nodeCerts';
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
    .addHelpText(
      'after',
      `
Shows the authorities and the kit's own certificate from the secrets of the site, and those on each control-plane
machine that answers. Exit code 1 when one has expired. \`up\` renews the kit's own by itself; an upgrade of Kubernetes
renews those of the machines. --renew restarts the control plane of each machine, and waits for it.

Examples:
  $ sitewright certs acme-prod
  $ sitewright certs acme-prod --renew`,
    )
    .action((site: string, options: { renew?: boolean }, command: Command) =>
      certs(contextOf(command), site, options.renew === true),
    );
}

/** What a control-plane machine answered. */
interface Answer {
  host: NamedTarget;
  certificates: NodeCertificate[];
  /** Why there are none: it did not answer. */
  problem?: string;
  /** It is a control plane by now. */
  member: boolean;
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
  const controlPlane = await controlPlaneOf(plan, open);
  let answers = await readAll(controlPlane);
  if (renew) {
    const unanswered = problemsOf(answers);
    if (unanswered.length > 0) {
      const lines = unanswered.map(({ where, message }) => `${where}: ${message}`);
      throw failed(`${lines.join('\n')}\nNothing was renewed: every control-plane machine must answer`);
    }
    await storePki(open, await renewAdmin(pki, now));
    context.say(`secrets of ${site}: the kit's own certificate is made anew. Commit stacks/Pulumi.${site}.yaml`);
    const members = answers.filter(({ member }) => member);
    for (const { host } of members) await renewOn(host, RESTART_LIMIT_SECONDS, context.say);
    answers = await readAll(controlPlane);
  }
  const rows: Row[] = [
    ...pkiExpiries(clusterPkiOf(open.config, plan)).map((one) => ({ where: 'secrets', ...one })),
    ...answers.flatMap(({ host, certificates }) => certificates.map((one) => ({ where: host.name, ...one }))),
  ];
  const unanswered = problemsOf(answers);

  const expired = rows.filter(({ expires }) => expires <= now);
  if (context.json) {
    const shown = rows.map(({ where, name, expires }) => ({ where, name, expires: expires.toISOString() }));
    printJson(context, { site, certificates: shown, unanswered });
  } else {
    const lines = rows.map(({ where, name, expires }) => [where, name, minute(expires), left(context, expires, now)]);
    context.out(table(['where', 'certificate', 'expires (UTC)', 'left'], lines, context.color));
    for (const { where, message } of unanswered) context.say(`${where}: ${message}`);
  }
  if (expired.length > 0) {
    const names = expired.map(({ where, name }) => `${name} (${where})`).join(', ');
    throw failed(context.json ? '' : `expired: ${names}. sitewright certs ${site} --renew renews all but authorities`);
  }
}

const problemsOf = (answers: Answer[]) =>
  answers.flatMap(({ host, problem }) => (problem === undefined ? [] : [{ where: host.name, message: problem }]));
/** `2026-03-01 12:00`, in UTC. */
const minute = (date: Date) => date.toISOString().slice(0, 16).replace('T', ' ');

function left(context: Context, expires: Date, now: Date): string {
  const days = Math.floor((expires.getTime() - now.getTime()) / 86_400_000);
  if (expires <= now) return paint('expired', 'red', context.color);
  return days < DUE_DAYS ? paint(`${days} days: due`, 'yellow', context.color) : `${days} days`;
}

/** The machines to ask; none before the site is built. */
async function controlPlaneOf(plan: SitePlan, { stack, config }: OpenStack): Promise<NamedTarget[]> {
  if (((await stack.resourceCount()) ?? 0) === 0) return [];
  const names = plan.nodes.filter(({ role }) => role === 'control-plane').map(({ name }) => name);
  return nodeTargets(plan, keysOf(config, plan.site)).filter(({ name }) => names.includes(name));
}

/** What every machine has; one that does not answer is no reason not to show the others. */
async function readAll(hosts: NamedTarget[]): Promise<Answer[]> {
  const found = await Promise.allSettled(hosts.map(readNodeCertificates));
  return found.map((outcome, index) => {
    const host = hosts[index];
    if (outcome.status === 'fulfilled') {
      return { host, certificates: outcome.value ?? [], member: outcome.value !== null };
    }
    return { host, certificates: [], problem: reasonOf(outcome.reason), member: false };
  });
}

/** Errors of SSH and of the script are for the user; anything else is a defect. */
function reasonOf(error: unknown): string {
  if (error instanceof SshError || (error as { exitCode?: number }).exitCode === 1) return (error as Error).message;
  throw error;
}
