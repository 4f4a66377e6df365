import { isDeepStrictEqual } from 'node:util';
import { isObject, isSecret, plain, secret, type Value, type Values } from '../values';
import { without, withoutServerMetadata, type KubeObject } from './objects';

/**
 * The inputs as the object now has them. A field of the inputs is taken as changed only where its value in the object is
 * no longer what the API server answered when it was last applied: so neither the server's own spelling of a value
 * ("1000m" and "1") nor fields that others own are ever shown as a difference.
 */
export function driftedInputs(inputs: Values, recorded: KubeObject, live: KubeObject): Values {
  const drifted: Values = { ...inputs };
  for (const [name, value] of Object.entries(inputs)) {
    // What a Secret is given as text is stored as data; the type and the place of an object are its identity.
    if (['apiVersion', 'kind'].includes(name)) continue;
    const now = drift(value, recorded[name], live[name]);
    if (now === undefined) delete drifted[name];
    else drifted[name] = now;
  }
  return 'stringData' in inputs ? withDataDrift(drifted, recorded, live) : drifted;
}

function drift(input: Value, recorded: Value | undefined, live: Value | undefined): Value | undefined {
  if (isSecret(input)) {
    const now = drift(plain(input) as Value, recorded, live);
    return now === undefined ? undefined : secret(now);
  }
  if (isDeepStrictEqual(recorded, live)) return input;
  if (isObject(input) && isObject(live)) {
    const kept: Values = {};
    for (const [name, value] of Object.entries(input)) {
      const now = drift(value, isObject(recorded) ? recorded[name] : undefined, live[name]);
      if (now !== undefined) kept[name] = now;
    }
    return kept;
  }
  if (Array.isArray(input) && Array.isArray(live)) return driftOfList(input, recorded, live);
  return live;
}

/** Items that have names are found by them: others may put their own in between. Other lists change as a whole. */
function driftOfList(input: Value[], recorded: Value | undefined, live: Value[]): Value[] {
  const before = Array.isArray(recorded) ? recorded : [];
  const names = input.map(keyOf);
  if (input.length > 0 && names.every((name) => name !== undefined)) {
    return input.flatMap((item, index) => {
      const find = (list: Value[]) => list.find((other) => keyOf(other) === names[index]);
      return drift(item, find(before), find(live)) ?? [];
    });
  }
  if (input.length === live.length) {
    return input.map((item, index) => drift(item, before[index], live[index]) as Value);
  }
  return live;
}

function keyOf(item: Value): string | undefined {
  return isObject(item) && typeof item.name === 'string' ? item.name : undefined;
}

/** A changed value of a Secret's data is a changed `stringData`, which the server never answers with. */
function withDataDrift(inputs: Values, recorded: KubeObject, live: KubeObject): Values {
  const before = (plain(recorded.data) ?? {}) as Values;
  const now = (plain(live.data) ?? {}) as Values;
  const given = plain(inputs.stringData);
  if (!isObject(given)) return inputs;
  const kept = Object.entries(given).flatMap(([name, value]): [string, Value][] => {
    if (isDeepStrictEqual(before[name], now[name])) return [[name, value]];
    const text = now[name];
    return typeof text === 'string' ? [[name, Buffer.from(text, 'base64').toString('utf8')]] : [];
  });
  return { ...inputs, stringData: secret(Object.fromEntries(kept)) };
}

/** Set by controllers in a place that inputs use too. */
const annotationsOfControllers = [
  'deployment.kubernetes.io/revision',
  'kubectl.kubernetes.io/last-applied-configuration',
];

/** What a program would have to say for an object that it has not made: everything but what only the server sets. */
export function importedInputs(live: KubeObject): Values {
  const inputs = without(withoutServerMetadata(live), ['status']);
  const { metadata } = inputs;
  if (!isObject(metadata) || !isObject(metadata.annotations)) return inputs;
  const annotations = without(metadata.annotations, annotationsOfControllers);
  const others = without(metadata, ['annotations']);
  return { ...inputs, metadata: Object.keys(annotations).length === 0 ? others : { ...others, annotations } };
}
