import { isObject, isSecret, mapValues, plain, secret, type Value, type Values } from '../values';

/** An object of Kubernetes, with no secret marks. */
export type KubeObject = Values;

export function metadataOf(object: KubeObject): Values {
  const metadata = plain(object.metadata);
  return isObject(metadata) ? metadata : {};
}

export function nameOf(object: KubeObject): string {
  return textOf(metadataOf(object).name) ?? '';
}

export function namespaceOf(object: KubeObject): string | undefined {
  return textOf(metadataOf(object).namespace);
}

export function annotation(object: KubeObject, name: string): string | undefined {
  const annotations = metadataOf(object).annotations;
  return isObject(annotations) ? textOf(annotations[name]) : undefined;
}

/** The value at a path of names; undefined where anything on the way is missing. */
export function at(object: Value | undefined, ...path: string[]): Value | undefined {
  let value = object;
  for (const name of path) value = isObject(value) ? value[name] : undefined;
  return value;
}

export function textOf(value: Value | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function numberAt(object: Value | undefined, ...path: string[]): number {
  const value = at(object, ...path);
  return typeof value === 'number' ? value : 0;
}

export function objectsOf(value: Value | undefined): Values[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** `<namespace>/<name>`, or `<name>` where the kind has no namespaces: the ids of the official plugin. */
export function idOf(object: KubeObject): string {
  const namespace = namespaceOf(object);
  return namespace ? `${namespace}/${nameOf(object)}` : nameOf(object);
}

export function parseId(id: string): { namespace?: string; name: string } {
  const slash = id.indexOf('/');
  return slash < 0 ? { name: id } : { namespace: id.slice(0, slash), name: id.slice(slash + 1) };
}

/** "ConfigMap kube-system/coredns": how messages name an object. */
export function describe(object: KubeObject): string {
  return `${textOf(object.kind) ?? 'object'} ${idOf(object)}`;
}

/** Set by the server alone; a program that passes a whole object on must not send them. */
const serverMetadata = [
  'creationTimestamp',
  'deletionGracePeriodSeconds',
  'deletionTimestamp',
  'generation',
  'managedFields',
  'resourceVersion',
  'uid',
];

export function withoutServerMetadata(object: Values): Values {
  if (!isObject(object.metadata) || isSecret(object.metadata)) return object;
  return { ...object, metadata: without(object.metadata, serverMetadata) };
}

export function without(values: Values, names: string[]): Values {
  return Object.fromEntries(Object.entries(values).filter(([name]) => !names.includes(name)));
}

/** The SDK's types have no dashes in names: `x_kubernetes_list_type` in a program is `x-kubernetes-list-type` on the wire. */
export function withDashes(value: Value): Value {
  return renamed(value, (name) => (/^x_kubernetes_[a-z_]+$/.test(name) ? name.replace(/_/g, '-') : name));
}

export function withUnderscores(value: Value): Value {
  return renamed(value, (name) => (/^x-kubernetes-[a-z-]+$/.test(name) ? name.replace(/-/g, '_') : name));
}

function renamed(value: Value, rename: (name: string) => string): Value {
  if (Array.isArray(value)) return value.map((item) => renamed(item, rename));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [rename(name), renamed(item, rename)]));
}

export function isSecretObject(object: KubeObject): boolean {
  return object.kind === 'Secret' && object.apiVersion === 'v1';
}

/** What kubectl writes there is the whole object again, data included. */
const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

/** The same values with the marks of the inputs; the data of a Secret is always secret. */
export function withSecretMarks(values: Values, inputs: Values): Values {
  const marked = marksOf(values, inputs) as Values;
  if (!isSecretObject(values)) return marked;
  for (const name of ['data', 'stringData']) {
    if (marked[name] !== undefined) marked[name] = secret(marked[name]);
  }
  const { metadata } = marked;
  if (isObject(metadata) && isObject(metadata.annotations) && metadata.annotations[lastApplied] !== undefined) {
    const annotations = { ...metadata.annotations, [lastApplied]: secret(metadata.annotations[lastApplied]) };
    marked.metadata = { ...metadata, annotations };
  }
  return marked;
}

function marksOf(value: Value, input: Value | undefined): Value {
  if (isSecret(value)) return value;
  if (isSecret(input)) return secret(value);
  if (isObject(value) && isObject(input)) return mapValues(value, (item, name) => marksOf(item, input[name]));
  if (Array.isArray(value) && Array.isArray(input)) {
    // Where the server put an item in between, which item the mark belongs to is not certain: the whole list then.
    if (value.length !== input.length && hasMark(input)) return secret(plain(value) as Value);
    return value.map((item, index) => marksOf(item, input[index]));
  }
  return value;
}

function hasMark(value: Value): boolean {
  if (isSecret(value)) return true;
  if (Array.isArray(value)) return value.some(hasMark);
  return isObject(value) && Object.values(value).some(hasMark);
}

/** A message in which no value of the Secret, and nothing marked secret, can be read. */
export function redacted(message: string, inputs: Values): string {
  const hidden: string[] = [];
  collect(withSecretMarks(inputs, inputs), false, hidden);
  // The longest first: a short value may be part of a long one.
  return hidden
    .filter((text) => text.length > 3)
    .sort((a, b) => b.length - a.length)
    .reduce((text, value) => text.split(value).join('[secret]'), message);
}

function collect(value: Value, isHidden: boolean, found: string[]): void {
  const hidden = isHidden || isSecret(value);
  if (isSecret(value)) collect(plain(value) as Value, true, found);
  else if (Array.isArray(value)) value.forEach((item) => collect(item, hidden, found));
  else if (isObject(value)) Object.values(value).forEach((item) => collect(item, hidden, found));
  else if (hidden && typeof value === 'string') found.push(value);
}
