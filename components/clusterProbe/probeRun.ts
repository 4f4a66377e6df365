import type { RunOptions } from '../agent/awaitSsh';
import type { ClusterProbeRequest } from './facts';

/** Multiplied by the limit factor. A command of an emulated node that is busy with its pods takes many seconds. */
const LIMITS_SECONDS = {
  command: 60,
  rules: 60,
  start: 120,
  measure: 300,
  remove: 300,
  service: 60,
  connect: 5,
  transfer: 20,
};

export const POLL_MILLISECONDS = 2000;

/** What every part of a run has: its question, its limits, and whom it tells how far it is. */
export abstract class ProbeRun {
  protected readonly limits: typeof LIMITS_SECONDS;

  constructor(
    protected readonly request: ClusterProbeRequest,
    protected readonly opts: RunOptions,
  ) {
    const scaled = Object.entries(LIMITS_SECONDS).map(([name, seconds]) => [name, seconds * request.limitFactor]);
    this.limits = Object.fromEntries(scaled) as typeof LIMITS_SECONDS;
  }

  protected progress(step: string): void {
    this.opts.onProgress?.(step);
  }

  protected command() {
    return { timeoutSeconds: this.limits.command, signal: this.opts.signal };
  }
}
