import { durationToMilliseconds } from '../spec/units';
import type { Findings } from './findings';
import type { SpecPath } from './types';

/** Values in the notation of Kubernetes documents. */

/** `256MiB` as Kubernetes writes it: 256Mi; bytes are a plain number. */
export const quantity = (size: string) => size.replace(/B$/, '');

/** A duration as Go writes it (metav1.Duration). */
export const seconds = (count: number) => `${count}s`;

/** Seconds of a duration; a part of a second is an error, because the programs that read it count in whole ones. */
export function wholeSeconds(text: string, path: SpecPath, findings: Findings): number {
  const milliseconds = durationToMilliseconds(text);
  if (milliseconds % 1000 !== 0) {
    findings.error(path, text, `${text} is not a whole number of seconds: write ${Math.ceil(milliseconds / 1000)}s`);
  }
  return Math.ceil(milliseconds / 1000);
}

/** Well-known label of a Node: the zone of its machine. */
export const ZONE_LABEL = 'topology.kubernetes.io/zone';
