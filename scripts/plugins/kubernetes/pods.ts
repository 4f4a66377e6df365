import { at, nameOf, objectsOf, textOf, type KubeObject } from './objects';

/** So many are enough to see what is wrong: pods of one workload mostly have the same problem. */
const maxProblems = 3;

/** States of a container on its regular way to running. */
const regularReasons = ['ContainerCreating', 'PodInitializing'];

/** What keeps pods from being ready, as short texts. */
export function podProblems(pods: KubeObject[]): string[] {
  const problems = pods.flatMap((pod) => {
    const problem = problemOf(pod);
    return problem === undefined ? [] : [`pod ${nameOf(pod)}: ${problem}`];
  });
  return problems.length > maxProblems
    ? [...problems.slice(0, maxProblems), `and ${problems.length - maxProblems} more`]
    : problems;
}

function problemOf(pod: KubeObject): string | undefined {
  const conditions = objectsOf(at(pod, 'status', 'conditions'));
  const scheduled = conditions.find((item) => item.type === 'PodScheduled');
  if (scheduled?.status === 'False') return textOf(scheduled.message) ?? 'not scheduled';
  const statuses = ['initContainerStatuses', 'containerStatuses'].flatMap((name) => objectsOf(at(pod, 'status', name)));
  for (const status of statuses) {
    const waiting = at(status, 'state', 'waiting');
    const reason = textOf(at(waiting, 'reason'));
    if (reason && !regularReasons.includes(reason)) {
      const last = textOf(at(status, 'lastState', 'terminated', 'reason'));
      const more = textOf(at(waiting, 'message'));
      return [`${String(status.name)}: ${reason}`, more, last && `last time ended with ${last}`]
        .filter(Boolean)
        .join(', ');
    }
    const code = at(status, 'state', 'terminated', 'exitCode');
    if (typeof code === 'number' && code !== 0) return `${String(status.name)}: ended with exit code ${code}`;
  }
  const running = at(pod, 'status', 'phase') === 'Running';
  const isReady = conditions.some((item) => item.type === 'Ready' && item.status === 'True');
  if (running && !isReady) return 'runs, but is not ready yet';
  return textOf(at(pod, 'status', 'message'));
}
