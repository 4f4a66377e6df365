import { createHash } from 'node:crypto';
import type { KubeDocument } from '../plan/clusterTypes';
import type { CalicoFacts } from './calicoFacts';
import type { Kubectl } from './kubectl';

/** What the API server knows of Calico. */

interface Metadata {
  name: string;
  namespace?: string;
}

interface List<T> {
  items: T[];
}

interface AgentPod {
  spec: { nodeName?: string };
  status: { conditions?: { type: string; status: string; message?: string }[] };
}

interface BlockAffinity {
  spec: { node: string; cidr: string; deleted?: boolean | string };
}

type Command = { timeoutSeconds: number; signal?: AbortSignal };

export async function readCalico(
  kubectl: Kubectl,
  objects: KubeDocument[],
  command: Command,
): Promise<Omit<CalicoFacts, 'nodes'>> {
  const pods = await kubectl.json<List<AgentPod>>(['get', 'pods', '-A', '-l', 'k8s-app=calico-node'], command);
  const affinities = await kubectl.json<List<BlockAffinity>>(['get', 'blockaffinities.crd.projectcalico.org'], command);
  return {
    agents: Object.fromEntries(
      pods.items.flatMap(({ spec, status }) => {
        const ready = status.conditions?.find(({ type }) => type === 'Ready');
        const problem = ready?.status === 'True' ? null : (ready?.message ?? 'kubelet has not reported');
        return spec.nodeName === undefined ? [] : [[spec.nodeName, problem]];
      }),
    ),
    blocks: affinities.items
      .filter(({ spec }) => `${spec.deleted ?? false}` === 'false')
      .map(({ spec }) => ({ node: spec.node, cidr: spec.cidr })),
    objects: await differences(kubectl, objects, command),
  };
}

/** Name that Calico gives the node's end of a pod's veth (its VethNameForWorkload). */
export const vethName = (namespace: string, pod: string): string =>
  `cali${createHash('sha1').update(`${namespace}.${pod}`).digest('hex').slice(0, 11)}`;

/** Whose link a device of any node is, as namespace/name. */
export async function podsByLink(kubectl: Kubectl, command: Command): Promise<Map<string, string>> {
  const columns = 'custom-columns=:.metadata.namespace,:.metadata.name';
  const text = await kubectl.run(['get', 'pods', '-A', '--no-headers', '-o', columns], command);
  const pods = text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim().split(/ +/)]));
  return new Map(pods.map(([namespace, name]) => [vethName(namespace!, name!), `${namespace}/${name}`]));
}

async function differences(
  kubectl: Kubectl,
  objects: KubeDocument[],
  command: Command,
): Promise<CalicoFacts['objects']> {
  if (objects.length === 0) return {};
  const list = {
    apiVersion: 'v1',
    kind: 'List',
    items: objects.map(({ apiVersion, kind, metadata }) => ({ apiVersion, kind, metadata })),
  };
  const text = await kubectl.run(['get', '-f', '-', '--ignore-not-found', '-o', 'json'], {
    ...command,
    stdin: JSON.stringify(list),
  });
  const answer = (text.trim() === '' ? { items: [] } : JSON.parse(text)) as KubeDocument;
  const found = (answer.kind === 'List' ? answer.items : [answer]) as KubeDocument[];
  return Object.fromEntries(
    objects.map((planned) => {
      const live = found.find((one) => isSame(one, planned));
      if (live === undefined) return [label(planned), null];
      return [label(planned), ['spec', 'data'].flatMap((key) => [...differing(planned[key], live[key], key)])];
    }),
  );
}

const metadataOf = (object: KubeDocument) => object.metadata as Metadata;
const label = (object: KubeDocument) => `${String(object.kind)} ${metadataOf(object).name}`;
const isSame = (a: KubeDocument, b: KubeDocument) =>
  a.kind === b.kind &&
  metadataOf(a)?.name === metadataOf(b).name &&
  metadataOf(a).namespace === metadataOf(b).namespace;

/**
 * Every planned value that the object does not have. What is there beyond the plan is somebody's default, in the items of
 * a list too; a list has as many items as planned.
 */
export function* differing(planned: unknown, live: unknown, path: string): Generator<string> {
  if (planned === undefined) return;
  if (Array.isArray(planned) && Array.isArray(live) && planned.length === live.length) {
    for (const [index, item] of planned.entries()) yield* differing(item, live[index], `${path}[${index}]`);
  } else if (typeof planned === 'object' && planned !== null && !Array.isArray(planned)) {
    for (const [key, value] of Object.entries(planned)) {
      yield* differing(value, (live as Record<string, unknown> | null | undefined)?.[key], `${path}.${key}`);
    }
  } else if (JSON.stringify(planned) !== JSON.stringify(live)) {
    yield `${path} is ${JSON.stringify(live) ?? 'absent'}, planned: ${JSON.stringify(planned)}`;
  }
}
