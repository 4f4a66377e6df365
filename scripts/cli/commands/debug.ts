import { Command } from 'commander';
import { ADMIN_KUBECTL, asRoot, Kubectl, KubectlError } from '../../../components/clusterProbe/kubectl';
import { quote } from '../../../components/nodes/bash';
import type { SitePlan } from '../../../components/plan';
import { PROGRAM_FOLDER } from '../../../components/plan/clusterPaths';
import { SshError } from '../../../components/ssh/errors';
import { connectFirst } from '../../../components/ssh/first';
import { SshSession, type SshTarget } from '../../../components/ssh/session';
import { contextOf, printJson, type Context } from '../context';
import {
  HOLD_SECONDS,
  HOST_FOLDER,
  isAgainstPodSecurity,
  startDebug,
  type DebugContainer,
  type DebugOptions,
  type DebugTarget,
} from '../debugContainer';
import { nodeOf, toolsLine } from '../debugTools';
import { badInput, failed } from '../errors';
import { Interruption } from '../interrupt';
import { enterLab } from '../lab';
import { openStack } from '../secrets';
import { openSiteAloud } from '../site';
import { runSsh } from '../systemSsh';
import { controlPlaneTargets, keysOf, nodeTargets, type NamedTarget } from '../targets';
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
The command runs as root on the node, in the network of the pod and with its resolver, with the machine's own tools: nothing
is made in the cluster, and what is written to /tmp in there is gone with it (-w - brings a capture home).
Where the bundle has a toolbox image (artifacts.from: source), a pod gets a container of it beside its own, in the pod's
network, unless its pod security allows none. A node gets a privileged pod with the node's network and processes, and its
files below ${HOST_FOLDER}; it is removed at the end. Both end by themselves after ${HOLD_SECONDS / 3600} hours where nobody could end them.
A control-plane node is asked over SSH which node a pod is on, so the API need not be reachable from here.
Ends with the exit code of the command; 255 is OpenSSH's own failure.
With --json it prints what it would look into, and by which image (null: the machine's own tools), and does not.

Examples:
  $ sitewright debug acme-prod web-7d9c -n shop
  $ sitewright debug acme-prod web-7d9c -n shop -- tcpdump -i eth0 -c 100 -w - port 80 >web.pcap
  $ sitewright debug acme-prod w1 -- conntrack -L -d 10.96.0.10
  $ sitewright debug acme-prod web-7d9c -n shop -- iperf3 -c 10.244.2.7`,
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
  const keys = keysOf(config, site);
  const hosts = { leads: controlPlaneTargets(plan, keys), all: nodeTargets(plan, keys) };
  const limitFactor = await limitFactorOf(plan);
  const interruption = new Interruption(
    (text) => context.say(text),
    'Stopping: what was made is removed. Ctrl-C once more ends at once and leaves it.',
  );
  const opts = { limitFactor, signal: interruption.signal, say: (text: string) => context.say(text) };
  let code: number;
  try {
    code =
      image === null
        ? await withTools(hosts, target, words, opts)
        : await withContainer(context, hosts.leads, target, words, { ...opts, image }).catch((error: unknown) => {
            if (!isAgainstPodSecurity(error)) throw error;
            context.say('the pod security of its namespace allows no such container: with the tools of its node then');
            return withTools(hosts, target, words, opts);
          });
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

async function withContainer(
  context: Context,
  leads: NamedTarget[],
  target: DebugTarget,
  words: string[],
  opts: DebugOptions,
): Promise<number> {
  const { lead, session } = await firstOf(leads, opts.signal);
  try {
    const made = await startDebug(kubectlOn(session, lead.target), target, opts);
    try {
      opts.signal.throwIfAborted();
      return await runInside(lead, made, words);
    } finally {
      await endSurely(context, lead, session, made);
    }
  } finally {
    session.end();
  }
}

async function withTools(
  { leads, all }: { leads: NamedTarget[]; all: NamedTarget[] },
  target: DebugTarget,
  words: string[],
  opts: Omit<DebugOptions, 'image'>,
): Promise<number> {
  const node = 'node' in target ? target.node : await askNode(leads, target, opts);
  const host = all.find(({ name }) => name === node);
  if (host === undefined) throw failed(`the pod is on ${node}, which is no machine of the site file`);
  const command = words.length === 0 ? ['bash'] : words;
  const line = toolsLine(target, command, `${PROGRAM_FOLDER}/crictl`, opts.limitFactor);
  return runSsh(node, host.target, [asRoot(host.target, line)], { terminal: isTerminal() });
}

async function askNode(
  leads: NamedTarget[],
  target: { pod: string; namespace: string },
  opts: Omit<DebugOptions, 'image'>,
): Promise<string> {
  const { lead, session } = await firstOf(leads, opts.signal);
  try {
    return await nodeOf(kubectlOn(session, lead.target), target, opts);
  } finally {
    session.end();
  }
}

/** Null: the bundle has none, and the machines' own tools do. */
function toolboxOf({ site, cluster }: SitePlan): string | null {
  if (cluster === null) throw badInput(`${site} has no cluster: its site file names no kubernetes.version`);
  return cluster.bundle.images.toolbox ?? null;
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
  const { namespace, pod, container } = made;
  const place = ['exec', isTerminal() ? '-it' : '-i', '-n', namespace, pod, '-c', container, '--'];
  const command = words.length === 0 ? ['bash'] : words;
  const line = [ADMIN_KUBECTL, ...place, ...command.map(quote)].join(' ');
  return runSsh(lead.name, lead.target, [asRoot(lead.target, line)], { terminal: isTerminal() });
}

const isTerminal = () => process.stdin.isTTY === true && process.stdout.isTTY === true;

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
