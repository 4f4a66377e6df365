import { request } from 'node:https';
import type { SitePlan } from '../../components/plan';
import { apiServerUrl } from '../../components/plan/endpoint';
import type { ClusterPki } from '../../components/secrets/pki';
import { SshError } from '../../components/ssh/errors';
import { SshSession } from '../../components/ssh/session';
import type { Context } from './context';
import { nameOf } from './resources';
import type { OpenStack } from './secrets';
import { keysOf, nodeTargets } from './targets';

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
 * this run does them again. Their scripts find what is missing. Does nothing to a site whose cluster is not built.
 */
export async function markBroken(context: Context, plan: SitePlan, open: OpenStack, pki: ClusterPki): Promise<void> {
  const state = JSON.parse(await open.stack.exportState()) as ExportedState;
  const resources = state.deployment?.resources ?? [];
  const named = (node: string, role: string) => `${plan.site}-cluster-${node}-${role}`;
  const isBuilt = resources.some(({ urn }) => nameOf(urn).endsWith('-control-plane'));
  if (plan.cluster === null || !isBuilt) return;

  const url = apiServerUrl(plan.cluster);
  const found = await notReady(url, pki);
  const suspects = plan.nodes.filter(({ name, role }) =>
    Array.isArray(found) ? found.includes(name) : role === 'control-plane',
  );
  if (suspects.length === 0) return;
  const why = Array.isArray(found) ? `not Ready: ${found.join(', ')}` : `${url} does not answer (${found.problem})`;
  context.say(`The cluster of ${plan.site} needs a look: ${why}`);

  const answering = await answerOf(
    context,
    plan,
    open,
    suspects.map(({ name }) => name),
  );
  const marked = new Set(
    answering.flatMap((node) => ['runtime', 'control-plane', 'join'].map((role) => named(node, role))),
  );
  markToRunAgain(resources.filter(({ urn }) => marked.has(nameOf(urn))));
  await open.stack.importState(JSON.stringify(state));
}

/** Marks scripts in an exported state: not what the program gives, so the engine runs them again in place. */
export function markToRunAgain(resources: readonly StateResource[]): void {
  for (const { inputs, outputs } of resources)
    for (const values of [inputs, outputs]) if (values !== undefined) values.stdin = 'to be run again';
}

/** Names of Nodes that are not Ready, or why nobody could be asked. */
async function notReady(url: string, pki: ClusterPki): Promise<string[] | { problem: string }> {
  try {
    const { items } = JSON.parse(await get(`${url}/api/v1/nodes`, pki)) as NodeList;
    return items
      .filter(({ status }) => status.conditions?.find(({ type }) => type === 'Ready')?.status !== 'True')
      .map(({ metadata }) => metadata.name);
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

interface NodeList {
  items: { metadata: { name: string }; status: { conditions?: { type: string; status: string }[] } }[];
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

/** A machine that is down is no reason to hold up what else the run is for. */
async function answerOf(context: Context, plan: SitePlan, open: OpenStack, names: string[]): Promise<string[]> {
  const targets = nodeTargets(plan, keysOf(open.config, plan.site)).filter(({ name }) => names.includes(name));
  const tries = await Promise.allSettled(targets.map(async ({ target }) => (await SshSession.connect(target)).end()));
  return targets.flatMap(({ name }, index) => {
    const outcome = tries[index]!;
    if (outcome.status === 'fulfilled') return [name];
    if (!(outcome.reason instanceof SshError)) throw outcome.reason;
    context.say(`${name} is left as it is: ${outcome.reason.message}`);
    return [];
  });
}
