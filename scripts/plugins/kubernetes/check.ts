import { createHash, randomBytes } from 'node:crypto';
import type { Checked, CheckFailure, CheckOperation } from '../base';
import { hasUnknown, isObject, isSecret, type Value, type Values } from '../values';
import { annotation, metadataOf, textOf, withDashes, without, withoutServerMetadata, withSecretMarks } from './objects';
import { apiVersionOf, type ResourceType } from './token';

/** Says that the name was made here and may be made again for a replacement. */
const autonamed = 'pulumi.com/autonamed';

export interface CheckContext {
  type: ResourceType;
  /** Undefined where nobody can tell: a custom kind that the API server does not know yet. */
  isNamespaced: boolean | undefined;
  defaultNamespace: string;
}

/** Inputs completed as the official plugin does it, and everything that is wrong with them. */
export function checkObject(given: Values, op: CheckOperation, context: CheckContext): Checked {
  const { type } = context;
  const failures: CheckFailure[] = [];
  const fail = (property: string, reason: string) => void failures.push({ property, reason });

  const inputs = withoutServerMetadata(withDashes(given) as Values);
  for (const [property, wanted] of Object.entries({ apiVersion: apiVersionOf(type), kind: type.kind })) {
    if (inputs[property] === undefined) inputs[property] = wanted;
    else if (inputs[property] !== wanted && !hasUnknown(inputs[property])) {
      fail(property, `must be ${wanted}, as the resource's type says; given ${JSON.stringify(inputs[property])}`);
    }
  }
  const metadata = inputs.metadata ?? {};
  if (hasUnknown(metadata) && !isObject(metadata)) return { inputs: withSecretMarks(inputs, inputs), failures };
  if (!isObject(metadata) || isSecret(metadata)) {
    fail('metadata', 'must be an object, and not a secret: the name of an object is in its address');
    return { inputs, failures };
  }

  inputs.metadata = named(metadata, op, type, fail);
  inputs.metadata = placed(inputs.metadata, context, fail);
  checkAnnotations(inputs, fail);
  return { inputs: withSecretMarks(inputs, inputs), failures };
}

type Fail = (property: string, reason: string) => void;

function named(metadata: Values, op: CheckOperation, type: ResourceType, fail: Fail): Values {
  if (metadata.name !== undefined && metadata.name !== '') {
    if (typeof metadata.name !== 'string') fail('metadata.name', 'must be a string, and not a secret');
    return metadata;
  }
  if (type.isPatch) {
    fail('metadata.name', 'is required: a patch is for an object that somebody else made');
    return metadata;
  }
  if (metadata.generateName !== undefined) {
    fail('metadata.generateName', 'is not possible with server-side apply: give a name, or none to have one made');
    return metadata;
  }
  const before = op.before && metadataOf(op.before);
  const adopted = op.before && annotation(op.before, autonamed) === 'true' ? textOf(before?.name) : undefined;
  if (adopted === undefined && op.autonaming === 'disabled') {
    fail('metadata.name', 'is required: automatic names are disabled');
    return metadata;
  }
  const annotations = metadata.annotations ?? {};
  if (!isObject(annotations)) return { ...metadata, name: adopted ?? newName(op) };
  return { ...metadata, name: adopted ?? newName(op), annotations: { ...annotations, [autonamed]: 'true' } };
}

/** `<resource>-<8 hexadecimal digits>`, or what the engine's own configuration of names says. */
function newName(op: CheckOperation): string {
  if (op.autonaming && op.autonaming !== 'disabled') return op.autonaming.proposedName;
  const random =
    op.randomSeed.length > 0 ? createHash('sha256').update(op.randomSeed).update(op.urn).digest() : randomBytes(4);
  return `${op.name}-${random.toString('hex').slice(0, 8)}`;
}

function placed(metadata: Values, context: CheckContext, fail: Fail): Values {
  const hasNamespace = metadata.namespace !== undefined && metadata.namespace !== '';
  if (context.isNamespaced === false) {
    if (hasNamespace) fail('metadata.namespace', `must not be given: a ${context.type.kind} belongs to no namespace`);
    return metadata;
  }
  if (hasNamespace || context.isNamespaced === undefined) return metadata;
  return { ...metadata, namespace: context.defaultNamespace };
}

const policies = ['foreground', 'background', 'orphan'];

function checkAnnotations(inputs: Values, fail: Fail): void {
  const known: Record<string, (value: string) => string | undefined> = {
    timeoutSeconds: (value) => (/^[1-9]\d*$/.test(value) ? undefined : 'must be a number of seconds, such as "600"'),
    deletionPropagationPolicy: (value) =>
      policies.includes(value.toLowerCase()) ? undefined : `must be one of ${policies.join(', ')}`,
    waitFor: () => 'conditions of your own are not supported by this plugin',
    replaceUnready: () => 'is not supported by this plugin: use --replace with the URN of the resource',
  };
  for (const [name, problem] of Object.entries(known)) {
    const value = annotation(inputs, `pulumi.com/${name}`);
    if (value === undefined || hasUnknown(value)) continue;
    const found = problem(value);
    if (found) fail(`metadata.annotations["pulumi.com/${name}"]`, `${found}; given ${JSON.stringify(value)}`);
  }
}

/**
 * Both sides of a Diff with the same idea of the namespace: one that the program leaves out is the one the object is in,
 * and a kind without namespaces has none.
 */
export function sameNamespace(before: Values, after: Values, namespace: string | undefined, wanted: string) {
  return {
    before: inNamespace(before, namespace, namespace),
    after: inNamespace(after, namespace === undefined ? undefined : wanted, namespace),
  };
}

function inNamespace(inputs: Values, missing: string | undefined, actual: string | undefined): Values {
  const { metadata } = inputs;
  if (!isObject(metadata) || isSecret(metadata)) return inputs;
  const given: Value | undefined = metadata.namespace === '' ? undefined : metadata.namespace;
  const namespace = actual === undefined ? undefined : (given ?? missing);
  const others = without(metadata, ['namespace']);
  return { ...inputs, metadata: namespace === undefined ? others : { ...others, namespace } };
}
