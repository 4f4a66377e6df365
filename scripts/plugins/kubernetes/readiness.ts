import { isObject, type Values } from '../values';
import { labelSelector, type Cluster } from './cluster';
import { at, namespaceOf, nameOf, numberAt, objectsOf, textOf, type KubeObject } from './objects';
import { podProblems } from './pods';
import type { ResourceType } from './token';

/** How far an object is. */
export interface Progress {
  ready: boolean;
  /** What it waits for, or what it has become. */
  message: string;
  /** It will never be ready: waiting longer is of no use. */
  failed?: boolean;
}

type Look = (object: KubeObject, cluster: Cluster, signal: AbortSignal) => Progress | Promise<Progress>;

/** Kinds that are not done when the API server has them; all others are. The list is the official plugin's, and CRDs. */
const kinds: Record<string, Look> = {
  'apps/Deployment': deployment,
  'apps/DaemonSet': daemonSet,
  'apps/StatefulSet': statefulSet,
  'batch/Job': job,
  '/Pod': pod,
  '/Service': service,
  '/PersistentVolume': (object) => phase(object, ['Available', 'Bound']),
  '/PersistentVolumeClaim': persistentVolumeClaim,
  'networking.k8s.io/Ingress': (object) => loadBalancer(object, 'Ingress controller'),
  'apiextensions.k8s.io/CustomResourceDefinition': customResourceDefinition,
};

/** How to see whether objects of this kind are ready; undefined where there is nothing to wait for. */
export function readinessOf(type: ResourceType): Look | undefined {
  return type.isPatch ? undefined : kinds[`${type.group}/${type.kind}`];
}

/** The controller has not yet looked at what was applied last. */
function notObserved(object: KubeObject, controller: string): Progress | undefined {
  const observed = numberAt(object, 'status', 'observedGeneration');
  if (observed >= numberAt(object, 'metadata', 'generation')) return undefined;
  return { ready: false, message: `waiting for the ${controller} controller of kube-controller-manager to see it` };
}

async function withPods(progress: Progress, object: KubeObject, cluster: Cluster, signal: AbortSignal) {
  const selector = labelSelector((at(object, 'spec', 'selector') ?? {}) as Values);
  if (progress.ready || selector === undefined) return progress;
  const pods = await cluster.list(signal, `/api/v1/namespaces/${namespaceOf(object)}/pods`, selector, 50);
  return { ...progress, message: [progress.message, ...podProblems(pods)].join('; ') };
}

function deployment(object: KubeObject, cluster: Cluster, signal: AbortSignal): Progress | Promise<Progress> {
  const waiting = notObserved(object, 'deployment');
  if (waiting) return waiting;
  if (at(object, 'spec', 'paused') === true) return { ready: true, message: 'paused' };
  const wanted = (at(object, 'spec', 'replicas') as number | undefined) ?? 1;
  const updated = numberAt(object, 'status', 'updatedReplicas');
  const available = numberAt(object, 'status', 'availableReplicas');
  const old = numberAt(object, 'status', 'replicas') - updated;
  const message =
    `${updated} of ${wanted} replicas updated, ${available} available` + (old > 0 ? `, ${old} old ones left` : '');
  const ready = updated >= wanted && available >= wanted && old <= 0;
  const progressing = condition(object, 'Progressing');
  const overdue = progressing?.status === 'False' ? `; ${textOf(progressing.message) ?? progressing.reason}` : '';
  return withPods({ ready, message: ready ? message : message + overdue }, object, cluster, signal);
}

function daemonSet(object: KubeObject, cluster: Cluster, signal: AbortSignal): Progress | Promise<Progress> {
  const waiting = notObserved(object, 'daemonset');
  if (waiting) return waiting;
  const wanted = numberAt(object, 'status', 'desiredNumberScheduled');
  const updated = numberAt(object, 'status', 'updatedNumberScheduled');
  const available = numberAt(object, 'status', 'numberAvailable');
  const isRolling = at(object, 'spec', 'updateStrategy', 'type') !== 'OnDelete';
  const ready = available >= wanted && (!isRolling || updated >= wanted);
  const message = `${updated} of ${wanted} nodes updated, available on ${available}`;
  return withPods({ ready, message }, object, cluster, signal);
}

function statefulSet(object: KubeObject, cluster: Cluster, signal: AbortSignal): Progress | Promise<Progress> {
  const waiting = notObserved(object, 'statefulset');
  if (waiting) return waiting;
  const wanted = (at(object, 'spec', 'replicas') as number | undefined) ?? 1;
  const readyReplicas = numberAt(object, 'status', 'readyReplicas');
  const updated = numberAt(object, 'status', 'updatedReplicas');
  const isRolling = at(object, 'spec', 'updateStrategy', 'type') !== 'OnDelete';
  const partition = numberAt(object, 'spec', 'updateStrategy', 'rollingUpdate', 'partition');
  const ready = readyReplicas >= wanted && (!isRolling || updated >= wanted - partition);
  const message = `${updated} of ${wanted} replicas updated, ${readyReplicas} ready`;
  return withPods({ ready, message }, object, cluster, signal);
}

function job(object: KubeObject, cluster: Cluster, signal: AbortSignal): Progress | Promise<Progress> {
  const failure = condition(object, 'Failed');
  if (failure?.status === 'True') {
    return { ready: false, failed: true, message: `the job failed: ${textOf(failure.message) ?? failure.reason}` };
  }
  // A suspended job is as done as it was asked to be.
  if (at(object, 'spec', 'suspend') === true) return { ready: true, message: 'suspended' };
  if (condition(object, 'Complete')?.status === 'True') return { ready: true, message: 'complete' };
  const wanted = (at(object, 'spec', 'completions') as number | undefined) ?? 1;
  const [succeeded, active] = [numberAt(object, 'status', 'succeeded'), numberAt(object, 'status', 'active')];
  const message = `${succeeded} of ${wanted} completions, ${active} pods active`;
  return withPods({ ready: false, message }, object, cluster, signal);
}

function pod(object: KubeObject): Progress {
  const reached = textOf(at(object, 'status', 'phase'));
  if (reached === 'Succeeded' || condition(object, 'Ready')?.status === 'True') {
    return { ready: true, message: reached ?? 'ready' };
  }
  const problems = podProblems([object]);
  return { ready: false, message: problems[0] ?? `phase ${reached ?? 'unknown'}`, failed: reached === 'Failed' };
}

async function service(object: KubeObject, cluster: Cluster, signal: AbortSignal): Promise<Progress> {
  const type = textOf(at(object, 'spec', 'type')) ?? 'ClusterIP';
  const selector = at(object, 'spec', 'selector');
  if (type === 'LoadBalancer') {
    const assigned = loadBalancer(object, 'load balancer');
    if (!assigned.ready) return assigned;
  }
  // Without a selector somebody else makes the endpoints, and a headless Service may well have none.
  const isHeadless = at(object, 'spec', 'clusterIP') === 'None';
  if (type === 'ExternalName' || isHeadless || !isObject(selector) || Object.keys(selector).length === 0) {
    return { ready: true, message: 'has an address' };
  }
  const slices = await cluster.list(
    signal,
    `/apis/discovery.k8s.io/v1/namespaces/${namespaceOf(object)}/endpointslices`,
    `kubernetes.io/service-name=${nameOf(object)}`,
    100,
  );
  const ready = slices
    .flatMap((slice) => objectsOf(slice.endpoints))
    .filter((endpoint) => at(endpoint, 'conditions', 'ready') !== false);
  if (ready.length > 0) return { ready: true, message: `${ready.length} ready endpoints` };
  const labels = labelSelector({ matchLabels: selector });
  return { ready: false, message: `waiting for a ready pod with ${labels} to send traffic to` };
}

function loadBalancer(object: KubeObject, who: string): Progress {
  const assigned = objectsOf(at(object, 'status', 'loadBalancer', 'ingress'));
  return assigned.length > 0
    ? { ready: true, message: 'has an address' }
    : { ready: false, message: `waiting for the ${who} to assign an address` };
}

function phase(object: KubeObject, done: string[]): Progress {
  const reached = textOf(at(object, 'status', 'phase')) ?? 'unknown';
  return { ready: done.includes(reached), message: `phase ${reached}` };
}

/** A claim whose class binds at the first pod stays pending until there is one. */
async function persistentVolumeClaim(object: KubeObject, cluster: Cluster, signal: AbortSignal): Promise<Progress> {
  const reached = phase(object, ['Bound']);
  const className = textOf(at(object, 'spec', 'storageClassName'));
  if (reached.ready || className === undefined) return reached;
  const api = { root: '/apis/storage.k8s.io/v1', plural: 'storageclasses', namespaced: false };
  const storageClass = await cluster.get(signal, api, className);
  const waits = storageClass?.volumeBindingMode === 'WaitForFirstConsumer' && reached.message === 'phase Pending';
  return waits ? { ready: true, message: 'binds at its first pod' } : reached;
}

function customResourceDefinition(object: KubeObject): Progress {
  const names = condition(object, 'NamesAccepted');
  if (names?.status === 'False') return { ready: false, message: `names not accepted: ${textOf(names.message)}` };
  const ready = condition(object, 'Established')?.status === 'True';
  return { ready, message: ready ? 'established' : 'waiting for the API server to serve it' };
}

function condition(object: KubeObject, type: string): Values | undefined {
  return objectsOf(at(object, 'status', 'conditions')).find((item) => item.type === type);
}
