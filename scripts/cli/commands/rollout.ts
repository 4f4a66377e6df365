import { Command } from 'commander';
import { asRoot, Kubectl, KubectlError } from '../../../components/clusterProbe/kubectl';
import type { SitePlan } from '../../../components/plan';
import { SshError, SshSession } from '../../../components/ssh/session';
import { contextOf, printJson, type Context } from '../context';
import { badInput, failed } from '../errors';
import { Interruption } from '../interrupt';
import { enterLab } from '../lab';
import { agrees } from '../passphrase';
import { labelOf, restartPod, stalePods, type Link, type Pod, type StalePod } from '../podMtu';
import { openStack } from '../secrets';
import { openSiteAloud } from '../site';
import { table } from '../table';
import { keysOf, nodeTargets, onEach, runOn } from '../targets';
import { limitFactorOf } from '../verify';

/** For a pod to be evicted and its successor to be ready. */
const POD_LIMIT_SECONDS = 600;
const READ_LIMIT_SECONDS = 120;

export function rolloutCommand(): Command {
  return new Command('rollout').description('bring what runs to a value that only new pods get').addCommand(
    new Command('mtu')
      .description('make pods anew that have another MTU than the plan')
      .argument('<site>')
      .option('-y, --yes', 'do not ask; without a terminal nothing is asked either')
      .addHelpText(
        'after',
        `
A pod has its MTU from its start. Those that have another one are evicted one after another, namespace by namespace:
their PodDisruptionBudgets hold, and the next one waits until as many are ready as before. Pods that nobody would make
anew are named and left alone. With --json it prints what it would restart, and does not.

Examples:
  $ sitewright rollout mtu acme-prod
  $ sitewright rollout mtu acme-prod --json`,
      )
      .action((site: string, options: { yes?: boolean }, command: Command) =>
        rolloutMtu(contextOf(command), site, options.yes === true),
      ),
  );
}

async function rolloutMtu(context: Context, site: string, yes: boolean): Promise<void> {
  const { plan } = openSiteAloud(context, site);
  if ((plan.cluster?.calico ?? null) === null)
    throw badInput(`${site} has no pods with Calico: its network.cni is another`);
  await enterLab(plan);
  const { config } = await openStack(context, plan, { create: false });
  const targets = nodeTargets(plan, keysOf(config, site));
  const lead = targets[plan.nodes.findIndex(({ role }) => role === 'control-plane')];
  const limitSeconds = Math.round(POD_LIMIT_SECONDS * (await limitFactorOf(plan)));
  const interruption = new Interruption(
    (text) => context.say(text),
    'Stopping: what was restarted stays restarted; the next run goes on with the rest.',
  );
  const { signal } = interruption;
  try {
    const session = await SshSession.connect(lead.target, { signal });
    try {
      const kubectl = new Kubectl(session, (command) => asRoot(lead.target, command));
      const pods = await kubectl.json<{ items: Pod[] }>(['get', 'pods', '-A'], {
        timeoutSeconds: READ_LIMIT_SECONDS,
        signal,
      });
      const links = await onEach(targets, async ({ name, target }): Promise<[string, Link[]]> => {
        return [name, JSON.parse(await runOn(target, 'ip -json link show')) as Link[]];
      });
      const stale = stalePods(pods.items, Object.fromEntries(links), plan.mtu.podMtuBytes);
      if (context.json) return printJson(context, { site, pods: stale.map(describe) });
      if (!(await confirmed(context, plan, stale, yes))) return;
      const restarted = stale.filter(({ owner }) => owner !== null);
      for (const [index, one] of restarted.entries()) {
        signal.throwIfAborted();
        context.say(`step: ${labelOf(one.pod)} (${index + 1} of ${restarted.length})`);
        await restartPod(kubectl, one, { limitSeconds, signal, say: (text) => context.say(text) });
      }
      context.out(`${restarted.length} pods of ${site} were made anew with an MTU of ${plan.mtu.podMtuBytes} bytes.`);
    } finally {
      session.end();
    }
  } catch (error) {
    if (interruption.happened) throw failed(`rollout mtu ${site} was stopped; run it again for the rest.`);
    if (error instanceof KubectlError || error instanceof SshError) throw failed(error.message);
    throw error;
  } finally {
    interruption.dispose();
  }
}

const describe = ({ pod, mtuBytes, owner }: StalePod) => ({
  ...{ namespace: pod.metadata.namespace, pod: pod.metadata.name, node: pod.spec.nodeName, mtuBytes },
  owner: owner === null ? null : `${owner.kind} ${owner.name}`,
});

async function confirmed(context: Context, plan: SitePlan, stale: StalePod[], yes: boolean): Promise<boolean> {
  if (stale.length === 0) {
    context.out(`every pod of ${plan.site} has the planned MTU of ${plan.mtu.podMtuBytes} bytes`);
    return false;
  }
  const rows = stale.map(describe).map(({ namespace, pod, node, mtuBytes, owner }) => {
    return [namespace, pod, node ?? '', String(mtuBytes), owner ?? 'nobody: make it anew yourself'];
  });
  context.say(table(['namespace', 'pod', 'node', 'MTU', 'made by'], rows, context.color));
  if (yes || !context.terminal || process.stdin.isTTY !== true) return true;
  return agrees('Restart them?');
}
