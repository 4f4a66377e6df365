import type { RecordedResource } from '../support/recordingMonitor';

/** One resource of a release, as its fixture keeps it. */
export interface ReleasedResource {
  name: string;
  /** Types from the outermost component down to the resource: with the name, its identity in a state. */
  types: string;
  parent: string | null;
  dependencies: string[];
  protect: boolean;
  deletedWith: string | null;
  deleteBeforeReplace: boolean;
  /** A secret is replaced by what kind it is of. */
  inputs: Record<string, unknown>;
}

/** The resources sorted by name, without anything secret in them. */
export function released(resources: RecordedResource[]): ReleasedResource[] {
  const byName = new Map(resources.map((one) => [one.name, one]));
  const types = ({ type, parent }: RecordedResource): string =>
    parent === null ? type : `${types(byName.get(parent)!)}$${type}`;
  return resources
    .map((one) => ({
      name: one.name,
      types: types(one),
      parent: one.parent,
      dependencies: one.dependencies,
      protect: one.protect,
      deletedWith: one.deletedWith,
      deleteBeforeReplace: one.deleteBeforeReplace,
      inputs: withKinds(one),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function withKinds({ inputs, secretInputs }: RecordedResource): Record<string, unknown> {
  const kept = Object.entries(inputs).filter(([key]) => !secretInputs.some((path) => path.startsWith(`${key}.`)));
  return Object.fromEntries(kept.map(([key, value]) => [key, secretInputs.includes(key) ? kindOf(key, value) : value]));
}

function kindOf(key: string, value: unknown): string {
  if (key !== 'stdin') return `<secret ${key}>`;
  const request = /^\{"kind":"([^"]+)"/.exec(String(value));
  return request === null ? '<secret script>' : `<secret request ${request[1]}>`;
}

export interface Differences {
  /** What the engine would delete, or delete and make again, in the state of a site that the release built. */
  breaking: string[];
  /** What it would change in place or add. */
  harmless: string[];
}

/** What an upgrade from a release means for a site that it built. */
export function differences(before: ReleasedResource[], after: ReleasedResource[]): Differences {
  const today = new Map(after.map((one) => [one.name, one]));
  const found: Differences = { breaking: [], harmless: [] };
  for (const old of before) {
    const now = today.get(old.name);
    today.delete(old.name);
    if (now === undefined) found.breaking.push(`${old.name}: gone`);
    else compare(old, now, found);
  }
  for (const name of today.keys()) found.harmless.push(`${name}: new`);
  return found;
}

function compare(old: ReleasedResource, now: ReleasedResource, { breaking, harmless }: Differences): void {
  const text = (value: unknown) => JSON.stringify(value) ?? 'nothing';
  const differ = (a: unknown, b: unknown) => text(a) !== text(b);
  if (old.types !== now.types) breaking.push(`${old.name}: was ${old.types}, is ${now.types}`);
  if (old.protect && !now.protect) breaking.push(`${old.name}: no longer protected`);
  if (differ(old.inputs.triggers, now.inputs.triggers))
    breaking.push(`${old.name}: triggers were ${text(old.inputs.triggers)}, are ${text(now.inputs.triggers)}`);

  const keys = new Set([...Object.keys(old.inputs), ...Object.keys(now.inputs)]);
  for (const key of keys)
    if (key !== 'triggers' && differ(old.inputs[key], now.inputs[key])) harmless.push(`${old.name}: other ${key}`);
  for (const option of ['parent', 'dependencies', 'deletedWith', 'deleteBeforeReplace'] as const)
    if (differ(old[option], now[option])) harmless.push(`${old.name}: other ${option}`);
  if (!old.protect && now.protect) harmless.push(`${old.name}: protected`);
}
