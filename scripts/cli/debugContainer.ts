import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { CREATE, KubectlError, type Kubectl } from '../../components/clusterProbe/kubectl';
import type { KubeDocument } from '../../components/plan/clusterTypes';
import { failed } from './errors';

/** Containers of the toolbox image that are made to look into a pod or a node, and that go away again. */

export type DebugTarget = { pod: string; namespace: string } | { node: string };

export interface DebugContainer {
  namespace: string;
  pod: string;
  container: string;
  /** Ends it. A container stays in its pod's list, ended, because Kubernetes removes none; the pod of a node goes. */
  end(kubectl: Kubectl): Promise<void>;
}

export interface DebugOptions {
  image: string;
  /** Multiplies the time limits. */
  limitFactor: number;
  signal: AbortSignal;
  say(text: string): void;
}

/** A session whose end was never reached, of a machine that lost its power for example, is over after this time. */
export const HOLD_SECONDS = 4 * 3600;
/** Everything of the kit that is in this namespace needs the network of the node, so it is allowed there. */
const NODE_NAMESPACE = 'kube-system';
const NODE_LABEL = 'sitewright.internal/debug';
/** Where the node's own files are in the container on it. */
export const HOST_FOLDER = '/host';
export const LIMITS_SECONDS = { command: 60, start: 120 };
const POLL_MILLISECONDS = 1000;

/**
 * What the container itself does: wait. The command of the person is started beside it, so that nothing of its output is
 * missed and its exit code comes back. A signal could not end it: in a pod that shares its processes, process 1 is the
 * pod's own.
 */
const END = '/tmp/sitewright-end';
const HOLD = ['bash', '-c', `mkfifo ${END} && read -r -t ${HOLD_SECONDS} <>${END}; exit 0`];

const newName = (prefix: string) => `${prefix}-${randomBytes(3).toString('hex')}`;

/** Starts the container and waits until commands can be run in it. What it made before it failed is gone again. */
export async function startDebug(kubectl: Kubectl, target: DebugTarget, opts: DebugOptions): Promise<DebugContainer> {
  const made = 'node' in target ? await onNode(kubectl, target.node, opts) : await inPod(kubectl, target, opts);
  try {
    await untilRunning(kubectl, made, opts);
    return made;
  } catch (error) {
    await made.end(kubectl).catch(() => undefined);
    throw error;
  }
}

const common = (image: string) => ({
  image,
  // As the images of the add-ons: a node does not go out to a registry.
  imagePullPolicy: 'Never',
  command: HOLD,
});

interface Pod {
  metadata: { resourceVersion?: string };
  spec: { nodeName?: string; ephemeralContainers?: object[] };
  status: {
    phase: string;
    message?: string;
    ephemeralContainerStatuses?: ContainerStatus[];
    containerStatuses?: ContainerStatus[];
  };
}

interface ContainerStatus {
  name: string;
  state: {
    running?: object;
    waiting?: { reason: string; message?: string };
    terminated?: { reason?: string; message?: string };
  };
}

/** Whether the namespace of a pod lets nobody have such a container in it. */
export const isAgainstPodSecurity = (error: unknown): boolean =>
  error instanceof KubectlError && error.message.includes('violates PodSecurity');

export async function runningPod(
  kubectl: Kubectl,
  { pod, namespace }: { pod: string; namespace: string },
  limit: { timeoutSeconds: number; signal: AbortSignal },
): Promise<Pod> {
  const found = await kubectl.json<Pod>(['get', 'pod', pod, '-n', namespace], limit);
  if (found.status.phase === 'Running') return found;
  throw failed(`${namespace}/${pod} is ${found.status.phase}: only a running pod can be looked into`);
}

async function inPod(
  kubectl: Kubectl,
  { pod, namespace }: { pod: string; namespace: string },
  { image, say, signal, limitFactor }: DebugOptions,
): Promise<DebugContainer> {
  const limit = { timeoutSeconds: LIMITS_SECONDS.command * limitFactor };
  const container = newName('debug');
  const found = await runningPod(kubectl, { pod, namespace }, { ...limit, signal });
  const add = async (capabilities: string[]) => {
    // Without its version: kubelet reports on the pod all the time, and nothing but the list of containers is read.
    const metadata = { ...found.metadata, resourceVersion: undefined };
    const securityContext = {
      // The pod may say otherwise for its own containers; captures and conntrack need root.
      ...{ runAsUser: 0, runAsNonRoot: false },
      ...(capabilities.length === 0 ? {} : { capabilities: { add: capabilities } }),
    };
    const added = { name: container, ...common(image), securityContext };
    const ephemeralContainers = [...(found.spec.ephemeralContainers ?? []), added];
    await kubectl.run(
      ['replace', '--raw', `/api/v1/namespaces/${namespace}/pods/${pod}/ephemeralcontainers`, '-f', '-'],
      {
        ...limit,
        signal,
        stdin: JSON.stringify({ ...found, metadata, spec: { ...found.spec, ephemeralContainers } }),
      },
    );
  };
  try {
    await add(['NET_ADMIN', 'NET_RAW']);
  } catch (error) {
    if (!isAgainstPodSecurity(error)) throw error;
    say(`the pod security of ${namespace} allows no NET_ADMIN: captures and pings work, conntrack does not`);
    await add([]);
  }
  return {
    ...{ namespace, pod, container },
    end: async (over) => {
      const words = ['exec', '-n', namespace, pod, '-c', container, '--', 'bash', '-c', `'echo >${END}'`];
      await over.run(words, limit);
    },
  };
}

async function onNode(
  kubectl: Kubectl,
  node: string,
  { image, signal, limitFactor }: DebugOptions,
): Promise<DebugContainer> {
  const limit = { timeoutSeconds: LIMITS_SECONDS.command * limitFactor };
  const pod = newName(`debug-${node}`);
  const inNamespace = ['-n', NODE_NAMESPACE];
  // Those that ended by their own limit; a live one is somebody's.
  const over = `--field-selector=status.phase!=Running,status.phase!=Pending`;
  await kubectl.run(['delete', 'pod', ...inNamespace, '-l', NODE_LABEL, over, '--wait=false'], { ...limit, signal });
  const stdin = JSON.stringify(nodePod(pod, node, image));
  await kubectl.run([...CREATE, '-f', '-'], { ...limit, signal, stdin });
  return {
    ...{ namespace: NODE_NAMESPACE, pod, container: 'debug' },
    end: async (again) => {
      const words = ['delete', 'pod', pod, ...inNamespace, '--ignore-not-found'];
      await again.run([...words, `--timeout=${Math.round(limit.timeoutSeconds)}s`], {
        timeoutSeconds: 2 * limit.timeoutSeconds,
      });
    },
  };
}

/** The node as it is: its network, its processes and its files. */
const nodePod = (name: string, node: string, image: string): KubeDocument => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: NODE_NAMESPACE, labels: { [NODE_LABEL]: 'node' } },
  spec: {
    nodeName: node,
    ...{ hostNetwork: true, hostPID: true, hostIPC: true },
    tolerations: [{ operator: 'Exists' }],
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 1,
    activeDeadlineSeconds: HOLD_SECONDS,
    containers: [
      {
        name: 'debug',
        ...common(image),
        securityContext: { privileged: true },
        volumeMounts: [{ name: 'host', mountPath: HOST_FOLDER }],
      },
    ],
    volumes: [{ name: 'host', hostPath: { path: '/' } }],
  },
});

async function untilRunning(
  kubectl: Kubectl,
  { namespace, pod, container }: DebugContainer,
  { limitFactor, signal, say }: DebugOptions,
): Promise<void> {
  const end = Date.now() + LIMITS_SECONDS.start * limitFactor * 1000;
  const limit = { timeoutSeconds: LIMITS_SECONDS.command * limitFactor, signal };
  let told = '';
  for (;;) {
    const { spec, status } = await kubectl.json<Pod>(['get', 'pod', pod, '-n', namespace], limit);
    const all = [...(status.ephemeralContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
    const state = all.find(({ name }) => name === container)?.state;
    if (state?.running !== undefined) return;
    const { waiting, terminated } = state ?? {};
    if (waiting?.reason === 'ErrImageNeverPull') {
      throw failed(`the toolbox image is not on ${spec.nodeName ?? 'the node'}: \`up\` puts it there`);
    }
    const reason = terminated ?? waiting;
    const why = reason === undefined ? (status.message ?? 'kubelet has not answered yet') : reasonText(reason);
    if (terminated !== undefined || ['Failed', 'Succeeded'].includes(status.phase)) {
      throw failed(`the container in ${namespace}/${pod} ended: ${why}`);
    }
    if (Date.now() > end) throw failed(`the container in ${namespace}/${pod} did not start in time: ${why}`);
    if (told !== why) say(`waiting for the container in ${namespace}/${pod}: ${why}`);
    told = why;
    await sleep(POLL_MILLISECONDS, undefined, { signal });
  }
}

const reasonText = ({ reason, message }: { reason?: string; message?: string }) =>
  [reason, message].filter((text) => text !== undefined && text !== '').join(': ');
