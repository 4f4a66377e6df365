import { isDeepStrictEqual } from 'node:util';
// From this module and not from the SDK's root: a plugin is started for each preview and up, and the root loads for 0.8 s.
import {
  isRpcSecret,
  specialSecretSig,
  specialSigKey,
  unknownValue,
  unwrapRpcSecret,
} from '@pulumi/pulumi/runtime/rpc';
import { Struct, type JavaScriptValue } from 'google-protobuf/google/protobuf/struct_pb';

/**
 * Property values as the engine sends them: plain JSON, in which an object with the signature key stands for a secret, an
 * asset or an archive, and one fixed string for a value that is not known yet.
 */
export type Value = null | boolean | number | string | Value[] | { [key: string]: Value };
export type Values = Record<string, Value>;

export const unknown: Value = unknownValue;

export function fromStruct(struct: Struct | undefined): Values {
  return (struct?.toJavaScript() ?? {}) as Values;
}

export function toStruct(values: Values): Struct {
  return Struct.fromJavaScript(values as Record<string, JavaScriptValue>);
}

export function isObject(value: Value | undefined): value is { [key: string]: Value } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value with every secret in it unwrapped, however deep. */
export function plain(value: Value | undefined): Value | undefined {
  if (isRpcSecret(value)) return plain(unwrapRpcSecret(value));
  if (Array.isArray(value)) return value.map((item) => plain(item) as Value);
  if (isObject(value)) return mapValues(value, (item) => plain(item) as Value);
  return value;
}

/** The value as a secret; one that is a secret already stays as it is. */
export function secret(value: Value): Value {
  return isSecret(value) ? value : { [specialSigKey]: specialSecretSig, value };
}

export function isSecret(value: Value | undefined): boolean {
  return isRpcSecret(value);
}

/** Whether the value, or anything in it, is known only after other resources are made. */
export function hasUnknown(value: Value | undefined): boolean {
  if (Array.isArray(value)) return value.some(hasUnknown);
  if (isObject(value)) return Object.values(value).some(hasUnknown);
  return value === unknown;
}

export function signature(value: Value | undefined): Value | undefined {
  return isObject(value) ? value[specialSigKey] : undefined;
}

export function mapValues(values: Values, change: (value: Value, key: string) => Value): Values {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, change(value, key)]));
}

export type ChangeKind = 'add' | 'delete' | 'update';

/**
 * What differs, as property path -> kind. Secrets, assets and archives are compared whole, and a value that becomes a
 * secret counts as a change: the state must learn of it.
 */
export function changes(before: Values, after: Values, prefix = ''): Map<string, ChangeKind> {
  const found = new Map<string, ChangeKind>();
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    compare(before[key], after[key], join(prefix, key), found);
  }
  return found;
}

function compare(
  before: Value | undefined,
  after: Value | undefined,
  path: string,
  found: Map<string, ChangeKind>,
): void {
  if (isDeepStrictEqual(before, after)) return;
  if (before === undefined) found.set(path, 'add');
  else if (after === undefined) found.set(path, 'delete');
  else if (Array.isArray(before) && Array.isArray(after)) {
    for (let i = 0; i < Math.max(before.length, after.length); i++)
      compare(before[i], after[i], `${path}[${i}]`, found);
  } else if (isObject(before) && isObject(after) && !signature(before) && !signature(after)) {
    for (const [nested, kind] of changes(before, after, path)) found.set(nested, kind);
  } else found.set(path, 'update');
}

function join(prefix: string, key: string): string {
  if (!/^[A-Za-z_]\w*$/.test(key)) return `${prefix}[${JSON.stringify(key)}]`;
  return prefix ? `${prefix}.${key}` : key;
}
