import type { Operation } from '../base';
import type { Values } from '../values';
import { ApiError, pause } from './client';
import { UnknownKindError, type Api, type Cluster } from './cluster';
import { explained, fieldManagerOf, isManagedBy, takeOver } from './fieldManager';
import { annotation, at, describe, idOf, metadataOf, namespaceOf, type KubeObject } from './objects';
import type { Session } from './session';
import type { ResourceType } from './token';
import { untilGone } from './wait';

/** How often a missing namespace or kind is tried again, and how long after the first try; it doubles each time. */
const missingTries = 5;
const missingFirstPauseMs = 1000;

export interface Applied {
  api: Api;
  live: KubeObject;
  fieldManager: string;
}

/** Makes the object. One that exists already is left alone, unless this very resource made it or the provider says so. */
export async function createObject(
  op: Operation,
  signal: AbortSignal,
  session: Session,
  type: ResourceType,
  object: KubeObject,
): Promise<Applied> {
  const { cluster } = session;
  const fieldManager = fieldManagerOf(op.urn, object, undefined);
  return retryingMissing(op, signal, async () => {
    const api = await cluster.api(signal, type);
    const placed = inItsPlace(object, api, session);
    const existing = type.isPatch ? undefined : await cluster.get(signal, api, idOf(placed));
    if (existing && at(existing, 'metadata', 'deletionTimestamp') !== undefined) {
      await untilGone(op, signal, cluster, api, existing);
    } else if (existing && !isManagedBy(existing, fieldManager) && !session.settings.upsertExistingObjects) {
      throw new Error(alreadyExists(existing));
    }
    const live = await apply(op, signal, session, api, placed, fieldManager);
    return { api, live, fieldManager };
  });
}

function alreadyExists(existing: KubeObject): string {
  const managers = [...new Set((metadataOf(existing).managedFields as Values[] | undefined)?.map((e) => e.manager))];
  return (
    `${describe(existing)} exists already (made by ${managers.join(', ') || 'somebody else'}), so it was not touched. ` +
    `To manage it with this resource, import it (option import: "${idOf(existing)}"); to change some of its fields only, ` +
    `use the ${String(existing.kind)}Patch resource; to take over whatever exists, set upsertExistingObjects on the provider. ` +
    `Where the resource was renamed in the program, an alias keeps the object`
  );
}

export async function updateObject(
  op: Operation,
  signal: AbortSignal,
  session: Session,
  type: ResourceType,
  object: KubeObject,
  state: Values,
): Promise<Applied> {
  const { cluster } = session;
  const api = await cluster.api(signal, type);
  const placed = inItsPlace(object, api, session);
  const fieldManager = fieldManagerOf(op.urn, object, state);
  if (!type.isPatch) await takeOverFromOfficial(signal, cluster, api, placed, fieldManager);
  const live = await apply(op, signal, session, api, placed, fieldManager);
  const before = fieldManagerOf(op.urn, {}, state);
  if (before !== fieldManager) await relinquish(signal, cluster, api, placed, before);
  return { api, live, fieldManager };
}

async function takeOverFromOfficial(
  signal: AbortSignal,
  cluster: Cluster,
  api: Api,
  object: KubeObject,
  fieldManager: string,
): Promise<void> {
  const live = await cluster.get(signal, api, idOf(object));
  const operations = live && takeOver(live, fieldManager);
  if (operations) await cluster.patch(signal, api, idOf(object), operations);
}

/** Gives up the fields of a manager: those that nobody else owns are removed or go back to their defaults. */
export async function relinquish(
  signal: AbortSignal,
  cluster: Cluster,
  api: Api,
  object: KubeObject,
  fieldManager: string,
): Promise<void> {
  const { name, namespace } = metadataOf(object);
  const identity = { apiVersion: object.apiVersion, kind: object.kind, metadata: { name, namespace } } as KubeObject;
  await cluster.apply(signal, api, identity, { fieldManager, force: false });
}

/** What an apply would give, without doing it; undefined where the API server cannot tell. */
export async function dryRun(
  op: Operation,
  session: Session,
  type: ResourceType,
  object: KubeObject,
  state: Values | undefined,
): Promise<KubeObject | undefined> {
  const { cluster } = session;
  const fieldManager = fieldManagerOf(op.urn, object, state);
  try {
    const api = await cluster.api(op.signal, type);
    const placed = inItsPlace(object, api, session);
    const existing = await cluster.get(op.signal, api, idOf(placed));
    // Where a replacement is previewed, the old object still has the name. A patch may be for an object made later.
    if (state === undefined ? existing !== undefined : existing === undefined) return undefined;
    // Fields that the official plugin made the object with are taken over only when it is changed for real.
    const force =
      isForced(session, object) || (existing !== undefined && takeOver(existing, fieldManager) !== undefined);
    const { body, warnings } = await cluster.apply(op.signal, api, placed, { fieldManager, force, dryRun: true });
    warn(op, session, warnings);
    return body;
  } catch (error) {
    if (error instanceof UnknownKindError) return undefined;
    // The namespace is made in the same run, or the user may look but not try.
    if (error instanceof ApiError && [403, 404].includes(error.status)) return undefined;
    throw explained(error, object);
  }
}

async function apply(
  op: Operation,
  signal: AbortSignal,
  session: Session,
  api: Api,
  object: KubeObject,
  fieldManager: string,
): Promise<KubeObject> {
  try {
    const force = isForced(session, object);
    const { body, warnings } = await session.cluster.apply(signal, api, object, { fieldManager, force });
    warn(op, session, warnings);
    return body;
  } catch (error) {
    throw explained(error, object);
  }
}

function isForced(session: Session, object: KubeObject): boolean {
  return session.settings.enablePatchForce || annotation(object, 'pulumi.com/patchForce') === 'true';
}

function warn(op: Operation, session: Session, warnings: string[]): void {
  for (const warning of warnings) {
    const isDeprecation = /deprecated/.test(warning);
    if (!(isDeprecation && session.settings.suppressDeprecationWarnings)) op.log('warning', warning);
  }
}

/** The namespace that a kind needs was not known at Check where the kind was not. */
function inItsPlace(object: KubeObject, api: Api, session: Session): KubeObject {
  if (!api.namespaced || namespaceOf(object) !== undefined) return object;
  return { ...object, metadata: { ...metadataOf(object), namespace: session.settings.namespace } };
}

/** A namespace or a definition that the same program makes may be a moment later than the object that needs it. */
async function retryingMissing<T>(op: Operation, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      const isMissing = error instanceof UnknownKindError || (error instanceof ApiError && error.status === 404);
      if (!isMissing || tries === missingTries) throw error;
      op.log('info', `try ${tries} of ${missingTries}: ${error.message}`, { ephemeral: true });
      await pause(missingFirstPauseMs * 2 ** (tries - 1), signal);
    }
  }
}
