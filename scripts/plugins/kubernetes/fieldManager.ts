import { createHash } from 'node:crypto';
import { isObject, type Value, type Values } from '../values';
import { ApiError } from './client';
import { annotation, describe, metadataOf, objectsOf, textOf, type KubeObject } from './objects';

/**
 * Who applies the fields of a resource, in the form of the official plugin's names. There the digits are random; here
 * they follow from the URN, so that a run which was cut off between the making of an object and the recording of it is
 * recognised by the next one.
 */
export function fieldManagerOf(urn: string, inputs: KubeObject, state: Values | undefined): string {
  const recorded = textOf(state?.__fieldManager);
  const digits = createHash('sha256').update(urn).digest('hex').slice(0, 8);
  return annotation(inputs, 'pulumi.com/patchFieldManager') ?? recorded ?? `pulumi-kubernetes-${digits}`;
}

export function isManagedBy(live: KubeObject, manager: string): boolean {
  return objectsOf(metadataOf(live).managedFields).some((entry) => entry.manager === manager);
}

/** Under these the official plugin makes objects, and made them before it applied on the server. */
const officialCreators = ['pulumi-kubernetes', 'pulumi-kubernetes.exe', 'pulumi-resource-kubernetes'];

/**
 * The JSON patch that gives the fields which the official plugin made an object with to the manager that applies from
 * now on; undefined where there are none. Without it, a field could be neither changed without a conflict nor removed.
 */
export function takeOver(live: KubeObject, manager: string): unknown[] | undefined {
  const entries = objectsOf(metadataOf(live).managedFields);
  const isOld = (entry: Values) =>
    entry.operation === 'Update' && entry.subresource === undefined && officialCreators.includes(String(entry.manager));
  const isOurs = (entry: Values) => entry.operation === 'Apply' && entry.manager === manager;
  const old = entries.filter(isOld);
  if (old.length === 0) return undefined;
  const merged = [...entries.filter(isOurs), ...old];
  const ours = {
    ...merged[0],
    manager,
    operation: 'Apply',
    fieldsV1: merged.map((entry) => entry.fieldsV1).reduce((all, fields) => union(all, fields)),
  };
  const others = entries.filter((entry) => !isOld(entry) && !isOurs(entry));
  return [
    // The patch is for the entries that were read, and fails where they have changed since.
    { op: 'test', path: '/metadata/resourceVersion', value: metadataOf(live).resourceVersion },
    { op: 'replace', path: '/metadata/managedFields', value: [...others, ours] },
  ];
}

function union(a: Value, b: Value): Value {
  if (!isObject(a) || !isObject(b)) return a ?? b;
  const merged = { ...a };
  for (const [name, fields] of Object.entries(b)) merged[name] = name in a ? union(a[name], fields) : fields;
  return merged;
}

/** A conflict of an apply as something to act on; other errors as they are. */
export function explained(error: unknown, object: KubeObject): unknown {
  if (!(error instanceof ApiError) || error.reason !== 'Conflict') return error;
  const fields = error.causes
    .filter((cause) => cause.reason === 'FieldManagerConflict')
    .map((cause) => `${cause.field} (${/"([^"]+)"/.exec(cause.message ?? '')?.[1] ?? 'somebody else'})`);
  if (fields.length === 0) return error;
  return new Error(
    `${describe(object)} was not changed, because other managers own fields that it sets: ${fields.join(', ')}. ` +
      `To take them over, set the annotation pulumi.com/patchForce: "true" on the resource (or enablePatchForce on the provider); ` +
      `to leave them to the other manager, remove them from the program`,
  );
}
