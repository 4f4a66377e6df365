import { Command } from 'commander';
import { ADMIN_KUBECTL, asRoot, Kubectl, KubectlError } from '../../../components/clusterProbe/kubectl';
import { quote } from '../../../components/nodes/bash';
import type { SitePlan } from '../../../components/plan';
import { SshError } from '../../../components/ssh/errors';
import { connectFirst } from '../../../components/ssh/first';
import { SshSession, type SshTarget } from '../../../components/ssh/session';
import { contextOf, printJson, type Context } from '../context';
import { HOLD_SECONDS, HOST_FOLDER, startDebug, type DebugContainer, type DebugTarget } from '../debugContainer';
import { badInput, failed } from '../errors';
import { Interruption } from '../interrupt';
import { enterLab } from '../lab';
import { openStack } from '../secrets';
import { openSiteAloud } from '../site';
import { runSsh } from '../systemSsh';
import { controlPlaneTargets, keysOf, type NamedTarget } from '../targets';
import { limitFactorOf } from '../verify';

export function debugCommand(): Command {
  return new Command('debug')
    .description('look into a pod or a node of the cluster with tcpdump, ping, iperf3, conntrack, nft, ss')
    .argument('<site>')
    .argument('<pod|node>', 'name of a pod, or of a machine in the site file; pod/… and node/… say which')
    .argument('[command...]', 'run this in place of a shell; put -- before it')
    .option('-n, --namespace <name>', 'of the pod (default: default)')
    .addHelpText(
      'after',
      `
A pod gets a container of the bundle's toolbox image beside its own, in the pod's network. A node gets a privileged pod
with the node's network and processes, and its files below ${HOST_FOLDER}; it is removed at the end. Both end by themselves
after ${HOLD_SECONDS / 3600} hours where nobody could end them. Everything goes through a control-plane node over SSH, so the API need not
be reachable from here. Ends with the exit code of the command; 255 is OpenSSH's own failure.
With --json it prints what it would make, and does not.

Examples:
  $ sitewright debug acme-prod web-7d9c -n shop
  $ sitewright debug acme-prod web-7d9c -n shop -- tcpdump -i eth0 -c 100 -w - port 80 >web.pcap
  $ sitewright debug acme-prod w1 -- conntrack -L -d 10.96.0.10
  $ sitewright debug acme-prod w1 -- chroot ${HOST_FOLDER} journalctl -u containerd --since -5min`,
    )
    .action((site: string, target: string, words: string[], options: { namespace?: string }, command: Command) =>
      debug(contextOf(command), site, target, words, options.namespace),
    );
}

async function debug(
  context: Context,
  site: string,
  name: string,
  words: string[],
  namespace: string | undefined,
): Promise<void> {
  const { plan } = openSiteAloud(context, site);
  const image = toolboxOf(plan);
  const target = debugTarget(plan, name, namespace);
  if (context.json) {
    printJson(context, { site, target, image, command: words });
    return;
  }
  await enterLab(plan);
  const { config } = await openStack(context, plan, { create: false });
  const leads = controlPlaneTargets(plan, keysOf(config, site));
  const limitFactor = await limitFactorOf(plan);
  const interruption = new Interruption(
    (text) => context.say(text),
    'Stopping: what was made is removed. Ctrl-C once more ends at once and leaves it.',
  );
  const { signal } = interruption;
  let code: number;
  try {
    const { lead, session } = await firstOf(leads, signal);
    try {
      const kubectl = kubectlOn(session, lead.target);
      const say = (text: string) => context.say(text);
      const made = await startDebug(kubectl, target, { image, limitFactor, signal, say });
      try {
        signal.throwIfAborted();
        code = await runInside(lead, made, words);
      } finally {
        await endSurely(context, lead, session, made);
      }
    } finally {
      session.end();
    }
  } catch (error) {
    if (interruption.happened) throw failed(`debug ${name} was stopped.`);
    if (error instanceof KubectlError || error instanceof SshError) throw failed(error.message);
    throw error;
  } finally {
    interruption.dispose();
  }
  // It is the command's, not one of ours.
  process.exit(code);
}

function toolboxOf(plan: SitePlan): string {
  const { site, cluster } = plan;
  if (cluster === null) throw badInput(`${site} has no cluster: its site file names no kubernetes.version`);
  const image = cluster.bundle.images.toolbox;
  if (image !== undefined) return image;
  throw badInput(
    `the bundle of ${site} (${cluster.bundle.name}) has no toolbox image: only bundles of artifacts.from: source have one. ` +
      `With an image that its nodes can have: kubectl debug -it <pod> --image=<image>; on a machine: sitewright ssh ${site} <machine>`,
  );
}

/** Of Kubernetes: DNS-1123 labels and subdomains. */
const NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

function debugTarget(plan: SitePlan, given: string, namespace: string | undefined): DebugTarget {
  const [, kind, name] = /^(?:(pod|node)\/)?(.*)$/s.exec(given)!;
  const machines = plan.nodes.map((node) => node.name);
  const isMachine = machines.includes(name!);
  if (kind === 'node' && !isMachine) {
    throw badInput(`${plan.site} has no machine ${name}; it has ${machines.join(', ')}`);
  }
  if (kind === 'node' || (kind === undefined && isMachine && namespace === undefined)) {
    if (namespace !== undefined) throw badInput(`--namespace ${namespace}: a node is in none`);
    return { node: name! };
  }
  const problems = [
    ...(NAME.test(name!) ? [] : [`${given} is no name of a pod, and ${plan.site} has no such machine`]),
    ...(namespace === undefined || NAME.test(namespace) ? [] : [`--namespace ${namespace}: it is no name of one`]),
  ];
  if (problems.length > 0) throw badInput(problems.join('\n'));
  return { pod: name!, namespace: namespace ?? 'default' };
}

/** The first control-plane node that answers: with several, one that is down is a reason to look and not to give up. */
async function firstOf(leads: NamedTarget[], signal: AbortSignal): Promise<{ lead: NamedTarget; session: SshSession }> {
  const reasons: string[] = [];
  const found = await connectFirst(leads, {
    signal,
    onSkipped({ name }, error) {
      if (!(error instanceof SshError)) throw error;
      reasons.push(`${name}: ${error.message}`);
    },
  });
  if (found !== null) return { lead: found.host, session: found.session };
  throw failed(`no control-plane node can be asked:\n${reasons.join('\n')}`);
}

const kubectlOn = (session: SshSession, target: SshTarget) =>
  new Kubectl(session, (command) => asRoot(target, command));

function runInside(lead: NamedTarget, made: DebugContainer, words: string[]): Promise<number> {
  const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const { namespace, pod, container } = made;
  const place = ['exec', isTerminal ? '-it' : '-i', '-n', namespace, pod, '-c', container, '--'];
  const command = words.length === 0 ? ['bash'] : words;
  const line = [ADMIN_KUBECTL, ...place, ...command.map(quote)].join(' ');
  return runSsh(lead.name, lead.target, [asRoot(lead.target, line)], { terminal: isTerminal });
}

/** Also where the connection was lost meanwhile: over a new one then. What stays is told; it ends by itself. */
async function endSurely(
  context: Context,
  lead: NamedTarget,
  session: SshSession,
  made: DebugContainer,
): Promise<void> {
  try {
    await made.end(kubectlOn(session, lead.target)).catch(async (error: unknown) => {
      if (!(error instanceof SshError)) throw error;
      const again = await SshSession.connect(lead.target);
      await made.end(kubectlOn(again, lead.target)).finally(() => again.end());
    });
  } catch (error) {
    if (!(error instanceof SshError || error instanceof KubectlError)) throw error;
    const what = `${made.container} in ${made.namespace}/${made.pod}`;
    context.say(`${what} was not ended (${error.message}); it ends by itself within ${HOLD_SECONDS / 3600} hours`);
  }
}
