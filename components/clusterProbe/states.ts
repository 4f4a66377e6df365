import type { Family } from '../plan/types';
import type { NodeObjectFacts } from './facts';

/** What the API server says of nodes and pods, as the probes need it. */

export interface KubeNode {
  metadata: { name: string };
  spec: { unschedulable?: boolean };
  status: { conditions?: { type: string; status: string; message?: string }[] };
}

export interface KubePod {
  metadata: { name: string };
  status: {
    phase: string;
    message?: string;
    podIPs?: { ip: string }[];
    conditions?: { type: string; status: string }[];
    containerStatuses?: { state: { waiting?: { reason: string; message?: string } } }[];
  };
}

export interface KubeNamespace {
  metadata: {
    name: string;
    creationTimestamp: string;
    deletionTimestamp?: string;
    annotations?: Record<string, string>;
  };
}

export type PodStart = { addresses: Record<string, string> } | { error: string; final?: true };

export const familyOf = (address: string): Family => (address.includes(':') ? 'ipv6' : 'ipv4');

export function nodeObject({ spec, status }: KubeNode): NodeObjectFacts {
  const conditions = status.conditions ?? [];
  const ready = conditions.find(({ type }) => type === 'Ready');
  const reasons = conditions
    .filter(({ type, status }) => type !== 'Ready' && status === 'True')
    .map(({ type, message }) => `${type}: ${message ?? ''}`);
  const isReady = ready?.status === 'True';
  if (!isReady) reasons.unshift(ready?.message ?? 'kubelet has not reported');
  return { ready: isReady, reasons, cordoned: spec.unschedulable === true };
}

/** What does not go away by waiting: the image is not on the node, or the container cannot be made. */
const FINAL_REASONS = ['ErrImageNeverPull', 'CreateContainerConfigError', 'InvalidImageName'];

/** Its addresses once it is ready; until then, or for ever, what it waits for. */
export function podStart(pod: KubePod | undefined): PodStart {
  if (pod === undefined) return { error: 'it was not made', final: true };
  const { phase, message, podIPs = [], conditions = [], containerStatuses = [] } = pod.status;
  if (conditions.some(({ type, status }) => type === 'Ready' && status === 'True')) {
    return { addresses: Object.fromEntries(podIPs.map(({ ip }) => [familyOf(ip), ip])) };
  }
  if (phase === 'Failed' || phase === 'Succeeded') return { error: `it ended: ${message ?? phase}`, final: true };
  const waiting = containerStatuses[0]?.state.waiting;
  if (waiting === undefined) return { error: message ?? `it is ${phase} and not ready` };
  const error = `${waiting.reason}${waiting.message === undefined ? '' : `: ${waiting.message}`}`;
  return FINAL_REASONS.includes(waiting.reason) ? { error, final: true } : { error };
}
