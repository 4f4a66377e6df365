import { request } from 'node:https';
import type { SitePlan } from '../../components/plan';
import { apiServerUrl } from '../../components/plan/endpoint';
import type { ClusterPki } from '../../components/secrets/pki';
import { SshError } from '../../components/ssh/errors';
import { ScriptError } from '../../components/ssh/script';
import { SshSession } from '../../components/ssh/session';
import type { Context } from './context';
import { nameOf } from './resources';
import type { OpenStack } from './secrets';
import { keysOf, nodeTargets, type NamedTarget } from './targets';
import { refuseUnfit, unfitness, type Unfit } from './unfit';

/** An API server that takes longer is of no use to an `up` either. */
const ANSWER_LIMIT_MILLISECONDS = 20_000;

export interface ExportedState {
  deployment?: { resources?: StateResource[] };
}

interface StateResource {
  urn: string;
  type: string;
  inputs?: Record<string, unknown>;
  outputs?: Record<string, unknown>;
}

/**
 * The engine runs what has changed in the site file, and a control plane that died or a kubelet that was stopped is no such
 * change. So the cluster is asked first, by one request; what is not as it should be has its resources marked, by which
 * this run does them again. Their scripts find what is missing. Machines that cannot be repaired by that, because of their
 * certificates or their clock, are refused here, before any other is changed. Does nothing to a site whose cluster is not built.
 */
export async function markBroken(context: Context, plan: SitePlan, open: OpenStack, pki: ClusterPki): Promise<void> {
  const state = JSON.parse(await open.stack.exportState()) as ExportedState;
  const resources = state.deployment?.resources ?? [];
  const named = (node: string, role: string) => `${plan.site}-cluster-${node}-${role}`;
  const isBuilt = resources.some(({ urn }) => nameOf(urn).endsWith('-control-plane'));
  if (plan.cluster === null || !isBuilt) return;

  const url = apiServerUrl(plan.cluster);
  const { problem, notReady, wrongClock } = await askCluster(url, pki);
  const controlPlane = plan.nodes.filter(({ role }) => role === 'control-plane').map(({ name }) => name);
  const broken = problem === null ? notReady : controlPlane;
  if (broken.length === 0 && wrongClock.length === 0) return;
  const why = [
    ...(problem === null ? [] : [`${url} does not answer (${problem})`]),
    ...(notReady.length === 0 ? [] : [`not Ready: ${notReady.join(', ')}`]),
    ...(wrongClock.length === 0 ? [] : [`another time on: ${wrongClock.join(', ')}`]),
  ];
  context.say(`The cluster of ${plan.site} needs a look: ${why.join('; ')}`);

  const answering = await answerOf(context, plan, open, [...broken, ...wrongClock]);
  const again = answering.filter((node) => broken.includes(node));
  if (again.length === 0) return;
  const marked = new Set(
    again.flatMap((node) => ['runtime', 'control-plane', 'join'].map((role) => named(node, role))),
  );
  markToRunAgain(resources.filter(({ urn }) => marked.has(nameOf(urn))));
  await open.stack.importState(JSON.stringify(state));
}

/** Marks scripts in an exported state: not what the program gives, so the engine runs them again in place. */
export function markToRunAgain(resources: readonly StateResource[]): void {
  for (const { inputs, outputs } of resources)
    for (const values of [inputs, outputs]) if (values !== undefined) values.stdin = 'to be run again';
}

/** Names of Nodes. */
interface Suspects {
  notReady: string[];
  /** By what their kubelets write; the machine has the last word. */
  wrongClock: string[];
}

/** `problem`: why nobody could be asked. */
async function askCluster(url: string, pki: ClusterPki): Promise<Suspects & { problem: string | null }> {
  try {
    const nodes = JSON.parse(await get(`${url}/api/v1/nodes`, pki)) as NodeList;
    return { problem: null, ...suspectsOf(nodes, new Date()) };
  } catch (error) {
    return { problem: (error as Error).message, notReady: [], wrongClock: [] };
  }
}

export interface NodeList {
  items: {
    metadata: { name: string };
    status: { conditions?: { type: string; status: string; lastHeartbeatTime?: string | null }[] };
  }[];
}

/** kubelet writes its time with its conditions, every 5 minutes where nothing changes, and later on a busy machine. */
const HEARTBEAT_MILLISECONDS = { ahead: 5 * 60_000, behind: 15 * 60_000 };

export function suspectsOf({ items }: NodeList, now: Date): Suspects {
  const ready = items.map(({ metadata, status }) => ({
    name: metadata.name,
    condition: status.conditions?.find(({ type }) => type === 'Ready'),
  }));
  const isReady = ({ condition }: (typeof ready)[number]) => condition?.status === 'True';
  const namesOf = (nodes: typeof ready) => nodes.map(({ name }) => name);
  return {
    notReady: namesOf(ready.filter((node) => !isReady(node))),
    wrongClock: namesOf(
      ready.filter((node) => {
        const ahead = new Date(node.condition?.lastHeartbeatTime ?? now).getTime() - now.getTime();
        return isReady(node) && (ahead > HEARTBEAT_MILLISECONDS.ahead || ahead < -HEARTBEAT_MILLISECONDS.behind);
      }),
    ),
  };
}

function get(url: string, { ca, admin }: ClusterPki): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        ca: ca.certificate,
        cert: admin.certificate,
        key: admin.privateKey,
        agent: false,
        signal: AbortSignal.timeout(ANSWER_LIMIT_MILLISECONDS),
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.on('error', reject);
        response.on('end', () =>
          response.statusCode === 200 ? resolve(text) : reject(new Error(`HTTP status ${response.statusCode}`)),
        );
      },
    );
    sent.on('error', reject);
    sent.end();
  });
}

/** Those that answer. A machine that is down is no reason to hold up what else the run is for; one that is unfit is. */
async function answerOf(context: Context, plan: SitePlan, open: OpenStack, names: string[]): Promise<string[]> {
  const targets = nodeTargets(plan, keysOf(open.config, plan.site)).filter(({ name }) => names.includes(name));
  const tries = await Promise.allSettled(targets.map((host) => lookAt(context, host)));
  const unfit: Unfit[] = [];
  const answering = targets.flatMap(({ name }, index) => {
    const outcome = tries[index]!;
    if (outcome.status === 'fulfilled') {
      if (outcome.value !== null) unfit.push(outcome.value);
      return [name];
    }
    if (!(outcome.reason instanceof SshError)) throw outcome.reason;
    context.say(`${name} is left as it is: ${outcome.reason.message}`);
    return [];
  });
  refuseUnfit(plan.site, unfit);
  return answering;
}

async function lookAt(context: Context, { name, target }: NamedTarget): Promise<Unfit | null> {
  const session = await SshSession.connect(target);
  try {
    return await unfitness(name, session);
  } catch (error) {
    if (!(error instanceof ScriptError)) throw error;
    context.say(`its certificates and clock were not looked at: ${error.message}`);
    return null;
  } finally {
    session.end();
  }
}
