import { hostname } from 'node:os';
import { isRunning } from '../isRunning';
import { POD_LIMIT_SECONDS, RUN_BY } from './objects';

/** Which process of which machine a run belongs to. */
export const thisRun = () => `${hostname()}/${process.pid}`;

/**
 * Whether the run that made a namespace is over: its process is gone, which only its own machine can tell, or its pods have
 * ended by their own limit.
 */
export function isAbandoned(
  { creationTimestamp, annotations }: { creationTimestamp: string; annotations?: Record<string, string> },
  limitFactor: number,
): boolean {
  if (Date.now() - Date.parse(creationTimestamp) > POD_LIMIT_SECONDS * limitFactor * 1000) return true;
  const [machine, pid] = annotations?.[RUN_BY]?.split('/') ?? [];
  return machine === hostname() && !isRunning(Number(pid));
}
