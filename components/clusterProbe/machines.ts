import type { ClusterProbeRequest, PodFacts } from './facts';
import { ingressQuestions, type IngressFacts, type IngressProbe } from './ingress';
import type { Kubectl } from './kubectl';
import type { PathBefore, PathFacts } from './layers';
import { familyOf } from './states';

/** What machines measure from their own network, below and beside the pods. */

/** Asks the program of one machine; `what` is shown meanwhile. */
export type Asker = <T>(what: string, question: object) => Promise<T>;

/** What lies below each measured way; the machines themselves are asked only where pods get less than planned. */
export async function pathFacts(
  { before, nodes, underlayMtuBytes }: Pick<ClusterProbeRequest, 'before' | 'nodes' | 'underlayMtuBytes'>,
  pods: PodFacts[],
  ask: (name: string) => Asker | null,
): Promise<PathFacts[]> {
  const paths: PathFacts[] = [];
  for (const { node: from, measured } of pods) {
    const sizes = measured?.sizes ?? [];
    const targets = sizes.flatMap(({ node, family, full }) => {
      const addresses = nodes.find(({ name }) => name === node)?.addresses ?? [];
      const address = addresses.find((one) => familyOf(one) === family);
      return full.answered > 0 || address === undefined ? [] : [{ node, family, address, bytes: underlayMtuBytes }];
    });
    const asker = targets.length === 0 ? null : ask(from);
    const largest =
      asker === null
        ? []
        : await asker<(number | null)[]>('packets from machine to machine', { part: 'ways', targets });
    for (const { node: to, family } of sizes) {
      const at = targets.findIndex((target) => target.node === to && target.family === family);
      const known = before.find((path) => path.from === from && path.to === to && path.family === family);
      const largestBytes = largest[at];
      paths.push({
        ...{ from, to, family },
        before: known === undefined ? null : layersOf(known),
        now: largestBytes === undefined ? null : { wantedBytes: underlayMtuBytes, largestBytes },
      });
    }
  }
  return paths;
}

const layersOf = ({ underlay, tunnel, megabytesPerSecond }: PathBefore) => ({ underlay, tunnel, megabytesPerSecond });

interface KubeIngress {
  metadata: { name: string; namespace: string };
  spec: { ingressClassName?: string };
  status: { loadBalancer?: { ingress?: { ip?: string; hostname?: string }[] } };
}

/** `names`: machines that can be asked. */
export async function ingressFacts(
  ingress: IngressProbe | null,
  kubectl: Kubectl,
  {
    names,
    ask,
    command,
  }: { names: string[]; ask(name: string): Asker | null; command: { timeoutSeconds: number; signal?: AbortSignal } },
): Promise<IngressFacts | null> {
  if (ingress === null) return null;
  const asks: IngressFacts['asks'] = [];
  type Answer = Pick<IngressFacts['asks'][number], 'status' | 'error' | 'tlsError'>;
  for (const { from, asks: own } of ingressQuestions(ingress, names)) {
    const answers = await ask(from)!<Answer[]>('the ingress controller', { part: 'ingress', asks: own });
    own.forEach((one, index) => asks.push({ from, ...one, ...answers[index]! }));
  }
  const { items } = await kubectl.json<{ items: KubeIngress[] }>(['get', 'ingress', '-A'], command);
  const ofClass = items.filter(({ spec }) => spec.ingressClassName === ingress.className);
  return {
    asks,
    ingresses: ofClass.map(({ metadata, status }) => ({
      name: `${metadata.namespace}/${metadata.name}`,
      reported: (status.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => ip ?? hostname ?? []),
    })),
  };
}
