import { setTimeout as sleep } from 'node:timers/promises';
import { vethName } from '../../components/clusterProbe/calicoRead';
import { KubectlError, type Kubectl } from '../../components/clusterProbe/kubectl';
import { failed } from './errors';

/** Pods whose veth has another MTU than the plan, and how they get the planned one. */

interface Owner {
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
}

export interface Pod {
  metadata: { namespace: string; name: string; uid: string; ownerReferences?: Owner[] };
  spec: { nodeName?: string; hostNetwork?: boolean };
  status: { phase?: string; conditions?: { type: string; status: string }[] };
}

/** A network device of a node, as `ip -json link` has it. */
export interface Link {
  ifname: string;
  mtu: number;
}

export interface StalePod {
  pod: Pod;
  mtuBytes: number;
  /** Null: nobody would make it anew. */
  owner: Owner | null;
}

/** Running pods with another MTU, by namespace and name. Pods without a veth have the network of their node. */
export function stalePods(pods: Pod[], links: Record<string, Link[]>, podMtuBytes: number): StalePod[] {
  const ended = ['Succeeded', 'Failed'];
  return pods
    .filter(({ spec, status }) => spec.hostNetwork !== true && !ended.includes(status.phase ?? ''))
    .flatMap((pod) => {
      const { namespace, name, ownerReferences } = pod.metadata;
      const link = links[pod.spec.nodeName ?? '']?.find(({ ifname }) => ifname === vethName(namespace, name));
      if (link === undefined || link.mtu === podMtuBytes) return [];
      const owner = ownerReferences?.find(({ controller }) => controller === true) ?? null;
      return [{ pod, mtuBytes: link.mtu, owner: owner?.kind === 'Job' ? null : owner }];
    })
    .sort((a, b) => (labelOf(a.pod) < labelOf(b.pod) ? -1 : 1));
}

export const labelOf = ({ metadata }: Pod) => `${metadata.namespace}/${metadata.name}`;

export interface RestartOptions {
  limitSeconds: number;
  signal: AbortSignal;
  say(text: string): void;
  /** Between two looks; tests have no time. Default 2000. */
  pollMilliseconds?: number;
}

const COMMAND_SECONDS = 60;

/**
 * Evicts one pod and waits until its workload has as many ready pods as before. The API server refuses an eviction that a
 * PodDisruptionBudget does not allow; that is waited for, within the limit.
 */
export async function restartPod(kubectl: Kubectl, { pod, owner }: StalePod, opts: RestartOptions): Promise<void> {
  const { namespace, name, uid } = pod.metadata;
  const { limitSeconds, signal, pollMilliseconds = 2000 } = opts;
  const command = { timeoutSeconds: COMMAND_SECONDS, signal };
  const siblings = async () =>
    (await kubectl.json<{ items: Pod[] }>(['get', 'pods', '-n', namespace], command)).items.filter((one) =>
      one.metadata.ownerReferences?.some((each) => each.uid === owner!.uid),
    );
  const readyBefore = (await siblings()).filter(isReady).length;
  const end = Date.now() + limitSeconds * 1000;
  const eviction = {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { namespace, name },
    deleteOptions: { preconditions: { uid } },
  };
  let told = false;
  const until = async (what: string, done: () => Promise<boolean>) => {
    while (!(await done())) {
      if (Date.now() > end) throw failed(`${labelOf(pod)}: ${what} within ${limitSeconds} s`);
      await sleep(pollMilliseconds, undefined, { signal });
    }
  };
  await until('its PodDisruptionBudget did not let it go', async () => {
    try {
      const place = `/api/v1/namespaces/${namespace}/pods/${name}/eviction`;
      await kubectl.run(['create', '--raw', place, '-f', '-'], { ...command, stdin: JSON.stringify(eviction) });
      return true;
    } catch (error) {
      if (!(error instanceof KubectlError)) throw error;
      if (/not found|NotFound|conflict/i.test(error.message)) return true;
      if (!/disruption budget/i.test(error.message)) throw error;
      if (!told) opts.say(`${labelOf(pod)}: waits for its PodDisruptionBudget`);
      told = true;
      return false;
    }
  });
  await until(`${owner!.kind} ${owner!.name} did not have ${readyBefore} ready pods again`, async () => {
    const found = await siblings();
    return !found.some((one) => one.metadata.uid === uid) && found.filter(isReady).length >= readyBefore;
  });
}

const isReady = ({ status }: Pod) =>
  status.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true;
