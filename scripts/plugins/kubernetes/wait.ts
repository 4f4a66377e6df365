import type { Operation } from '../base';
import { ApiError, pause, UnreachableError } from './client';
import type { Api, Cluster } from './cluster';
import { annotation, at, describe, idOf, type KubeObject } from './objects';
import type { Progress } from './readiness';

/** The limit of the official plugin, where neither the program nor an annotation sets one. */
const defaultTimeoutSeconds = 600;

const pollIntervalMs = 1000;

/** Waiting ended before what was waited for came about; `object` is the last that was seen. */
export class NotReadyError extends Error {
  constructor(
    message: string,
    readonly object: KubeObject,
  ) {
    super(message);
    this.name = 'NotReadyError';
  }
}

/** Whether waiting is turned off for an object. */
export function skipsWaiting(object: KubeObject): boolean {
  return annotation(object, 'pulumi.com/skipAwait') === 'true';
}

/** The signal of a step that may wait: with the limit of the program, of the annotation or of ten minutes. */
export function limited(op: Operation, object: KubeObject): AbortSignal {
  if (op.timeoutSeconds > 0) return op.signal;
  const seconds = Number(annotation(object, 'pulumi.com/timeoutSeconds')) || defaultTimeoutSeconds;
  const overdue = new AbortController();
  setTimeout(
    () => overdue.abort(new Error(`stopped: not finished within its time limit of ${seconds} s`)),
    seconds * 1000,
  ).unref();
  return AbortSignal.any([op.signal, overdue.signal]);
}

/**
 * Resolves with the object when it is ready; says what it waits for while it does. An API server that is away for a while
 * (it may be restarting) is waited for too.
 * @throws NotReadyError
 */
export async function untilReady(
  op: Operation,
  signal: AbortSignal,
  first: KubeObject,
  get: (signal: AbortSignal) => Promise<KubeObject | undefined>,
  look: (object: KubeObject, signal: AbortSignal) => Promise<Progress> | Progress,
): Promise<KubeObject> {
  let object = first;
  let message = '';
  const say = teller(op);
  const fail = (reason: string) =>
    new NotReadyError(`${describe(object)} is there, but it is not ready: ${reason}`, object);
  for (;;) {
    try {
      const progress = await look(object, signal);
      message = progress.message;
      if (progress.ready) {
        say('');
        return object;
      }
      if (progress.failed) throw fail(message);
      say(message);
      await pause(pollIntervalMs, signal);
      const next = await get(signal);
      if (!next) throw fail('it was deleted while it was waited for');
      object = next;
    } catch (error) {
      if (signal.aborted) throw fail(`${reasonOf(signal)}; ${message}`);
      if (!isTransient(error)) throw error instanceof NotReadyError ? error : fail((error as Error).message);
      say((error as Error).message);
      await pause(pollIntervalMs, signal).catch(() => undefined);
    }
  }
}

/** Resolves when the object is gone, or another one of its name is in its place. */
export async function untilGone(
  op: Operation,
  signal: AbortSignal,
  cluster: Cluster,
  api: Api,
  first: KubeObject,
): Promise<void> {
  const uid = at(first, 'metadata', 'uid');
  const say = teller(op);
  let message = '';
  for (;;) {
    try {
      const object = await cluster.get(signal, api, idOf(first));
      if (!object || at(object, 'metadata', 'uid') !== uid) return say('');
      message = holdUp(object);
      say(message);
      await pause(pollIntervalMs, signal);
    } catch (error) {
      if (signal.aborted) {
        throw new Error(`${describe(first)} is to be deleted, but it is still there: ${reasonOf(signal)}; ${message}`);
      }
      if (!isTransient(error)) throw error;
      say((error as Error).message);
      await pause(pollIntervalMs, signal).catch(() => undefined);
    }
  }
}

function holdUp(object: KubeObject): string {
  const finalizers = [at(object, 'metadata', 'finalizers'), at(object, 'spec', 'finalizers')].flatMap((list) =>
    Array.isArray(list) ? list.map(String) : [],
  );
  if (finalizers.length === 0) return 'waiting for it to end';
  const isForeground = finalizers.includes('foregroundDeletion');
  const hint = isForeground ? ' (what belongs to it is deleted first, by kube-controller-manager)' : '';
  return `waiting for its finalizers: ${finalizers.join(', ')}${hint}`;
}

function isTransient(error: unknown): boolean {
  return error instanceof UnreachableError || (error instanceof ApiError && error.status >= 500);
}

/** Shows a status line when it differs from the last one. */
function teller(op: Operation): (message: string) => void {
  let shown = '';
  return (message) => {
    if (message !== shown) op.log('info', message, { ephemeral: true });
    shown = message;
  };
}

function reasonOf(signal: AbortSignal): string {
  return signal.reason instanceof Error ? signal.reason.message : String(signal.reason);
}
