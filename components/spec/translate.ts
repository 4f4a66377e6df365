import { distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import { allowedText, choicesOf, keyAt, keysOf, type KeySchema } from './describe';
import { didYouMean, shown, type Problem } from './problem';
import { child, pathText, toPlain, type Entry, type Position, type Tree } from './tree';

type Issue = z.core.$ZodIssue;
type Path = (string | number)[];

/** A problem at a path, before it has its position. `on: 'key'` points at the key instead of its value. */
interface Told {
  path: Path;
  on: 'key' | 'value';
  given?: unknown;
  message: string;
}

/**
 * Says every issue of the validation in the words of a site file: what was given, what is allowed, how to fix it.
 * `missingKeys: false` leaves out keys that are missing: for a site whose profile could not be read.
 */
export function translate(issues: readonly Issue[], tree: Tree, options: { missingKeys: boolean }): Problem[] {
  const told = issues.flatMap((issue) => tell(issue, issue.path as Path, tree, options));
  // A text where a list belongs is also "too long" for the list: the first fault of a value is the one to mend.
  const seen = new Set<string>();
  const first = ({ path }: Told) => !seen.has(JSON.stringify(path)) && seen.add(JSON.stringify(path));
  return [...told.filter(first), ...unknownNulls(tree, [])].map((item) => problemAt(tree, item));
}

function problemAt(tree: Tree, { path, on, given, message }: Told): Problem {
  const problem: Problem = {
    ...positionOf(tree, path, on),
    severity: 'error',
    path,
    where: pathText(path, tree),
    message,
  };
  return given === undefined ? problem : { ...problem, given: shown(given) };
}

/** Where `path` was written: the key or the value, else the null that removed it, else the nearest part above it. */
export function positionOf(tree: Tree, path: readonly (string | number)[], on: 'key' | 'value' = 'value'): Position {
  let here = tree;
  for (const [index, step] of path.entries()) {
    const entry = entryOf(here, step);
    const next = entry?.node ?? child(here, step);
    if (next === undefined) return here.at;
    if (index === path.length - 1 && on === 'key' && entry) return entry.key;
    if (here.kind === 'map' && !here.entries.has(String(step))) return (entry as Entry).key;
    here = next;
  }
  return here.at;
}

function entryOf(tree: Tree, step: string | number): Entry | undefined {
  if (tree.kind !== 'map') return undefined;
  return tree.entries.get(String(step)) ?? tree.removed.get(String(step));
}

function tell(issue: Issue, path: Path, tree: Tree, options: { missingKeys: boolean }): Told[] {
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey([...path, key]));
    case 'invalid_key':
      return [invalidKey(path)];
    case 'invalid_union': {
      const branch = bestBranch(issue.errors, path);
      if (branch === undefined) break;
      const together = standTogether(issue.errors, path, tree);
      if (together.length > 0) return together;
      return branch.flatMap((inner) => tell(inner, [...path, ...(inner.path as Path)], tree, options));
    }
  }
  const node = valueAt(tree, path);
  if (node === undefined) return options.missingKeys ? [missing(path)] : [];
  return [wrongValue(issue, path, toPlain(node))];
}

function valueAt(tree: Tree, path: Path): Tree | undefined {
  return path.reduce<Tree | undefined>((here, step) => child(here, step), tree);
}

/** The value is not told: a key that nobody knows may well hold a password. */
function unknownKey(path: Path): Told {
  const keys = keysOf(keyAt(path.slice(0, -1)));
  const guess = didYouMean(String(path[path.length - 1]), keys) || '.';
  return { path, on: 'key', message: `unknown key${guess} Keys here: ${keys.join(', ')}` };
}

function invalidKey(path: Path): Told {
  const key = path[path.length - 1];
  const allowed = keyAt(path.slice(0, -1))?.propertyNames;
  return {
    path,
    on: 'key',
    given: key,
    message: `${shown(key)} is not allowed as a key: write ${allowed ? allowedText(allowed) : 'a name'}`,
  };
}

function missing(path: Path): Told {
  const schema = keyAt(path);
  const key = String(path[path.length - 1]);
  const example = schema?.examples?.[0] ?? schema?.default;
  const purpose = schema?.description ? ` ${schema.description}` : '';
  const shownExample = example === undefined ? '' : ` Example: ${key}: ${inlineYaml(example)}`;
  return { path, on: 'value', message: `missing, and required.${purpose}${shownExample}` };
}

/** A value on one line, as YAML takes it. */
function inlineYaml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inlineYaml).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  const pairs = Object.entries(value).map(([key, inner]) => `${key}: ${inlineYaml(inner)}`);
  return `{ ${pairs.join(', ')} }`;
}

function wrongValue(issue: Issue, path: Path, given: unknown): Told {
  const schema = keyAt(path) ?? {};
  const allowed = allowedText(schema);
  const guess = typeof given === 'string' ? didYouMean(given, choicesOf(schema)) : '';
  return {
    path,
    on: 'value',
    given,
    message: `${fault(issue, schema, given)}: write ${allowed}${hint(schema, given) || guess}`,
  };
}

function fault(issue: Issue, schema: KeySchema, given: unknown): string {
  const what = shown(given);
  if (Array.isArray(given)) {
    if (issue.code === 'too_small') return `the list has ${given.length} entries, which is too few`;
    if (issue.code === 'too_big') return `the list has ${given.length} entries, which is too many`;
  }
  if (issue.code === 'too_big') return typeof given === 'string' ? `${what} is too long` : `${what} is too large`;
  if (issue.code === 'too_small') return typeof given === 'string' ? `${what} is too short` : `${what} is too small`;
  if (given === null) return 'nothing is written here';
  if (typeof given === 'object') return `${what} does not belong here`;
  const kinds = (schema.anyOf ?? [schema]).map((branch) => branch.type);
  const isText = typeof given === 'string';
  if (isText && !kinds.includes('string')) return `${what} is text`;
  if (!isText && kinds.every((kind) => kind === 'string')) return `${what} is not text`;
  return `${what} is not allowed`;
}

const YES = ['yes', 'on', 'true'];
const NO = ['no', 'off', 'false'];

/** How to write what was probably meant, where the type alone is wrong. */
function hint(schema: KeySchema, given: unknown): string {
  const branches = schema.anyOf ?? [schema];
  const kinds = branches.map((branch) => branch.type);
  if (typeof given === 'string') {
    if (kinds.includes('integer') && /^[0-9]+$/.test(given)) return '; take the quotes away';
    if (kinds.includes('boolean') && YES.includes(given.toLowerCase())) return '; did you mean true?';
    if (kinds.includes('boolean') && NO.includes(given.toLowerCase())) return '; did you mean false?';
  }
  if (kinds.includes('array') && typeof given !== 'object') return '; begin its line with a dash, or put it in [ ]';
  const fitsQuoted = (branch: KeySchema) =>
    branch.type === 'string' && branch.pattern !== undefined && new RegExp(branch.pattern).test(String(given));
  if (typeof given === 'number' && branches.some(fitsQuoted)) return '; put it in quotes';
  return '';
}

/**
 * The branch of a union that what was given was probably meant for, or undefined where it fits none at all. A branch of
 * another type is out; of the rest, the one with the fewest faults, and of equals the one with the most similar keys.
 */
function bestBranch(errors: Issue[][], path: Path): Issue[] | undefined {
  const fitting = errors.filter(
    (issues) => !issues.some(({ code, path: at }) => at.length === 0 && code !== 'unrecognized_keys'),
  );
  const score = (issues: Issue[]) => issues.reduce((sum, issue) => sum + weight(issue, issues, path), 0);
  return [...fitting].sort((a, b) => score(a) - score(b))[0];
}

function weight(issue: Issue, all: Issue[], path: Path): number {
  if (issue.code !== 'unrecognized_keys') return 1;
  const missingHere = all.filter(({ path: at }) => at.length === 1).map(({ path: at }) => String(at[0]));
  const names = missingHere.length > 0 ? missingHere : keysOf(keyAt(path));
  // Below 1 in sum, so that likeness only decides between branches with as many faults.
  const unlike = (key: string) =>
    Math.min(...names.map((name) => distance(key, name) / Math.max(key.length, name.length)));
  return issue.keys.reduce((sum, key) => sum + 1 + unlike(key) / 100, 0);
}

/** Keys that each belong to a branch of their own, given together: `bridge` and `libvirtNetwork`. */
function standTogether(errors: Issue[][], path: Path, tree: Tree): Told[] {
  const branches = (keyAt(path)?.anyOf ?? []).filter((branch) => branch.properties);
  const node = valueAt(tree, path);
  if (branches.length < 2 || node?.kind !== 'map') return [];
  const known = [...node.entries.keys()].filter((key) => keysOf({ anyOf: branches }).includes(key));
  const inOneBranch = branches.some((branch) => known.every((key) => keysOf(branch).includes(key)));
  if (inOneBranch || errors.length < 2) return [];
  const [first, ...others] = known;
  return others.map((key) => ({
    path: [...path, key],
    on: 'key',
    message: `cannot stand beside ${first}: keep one of the two`,
  }));
}

/** Keys that a null removed are no longer seen by the validation; an unknown one among them is still a mistake. */
function unknownNulls(tree: Tree, path: Path): Told[] {
  if (tree.kind === 'list') return tree.items.flatMap((item, index) => unknownNulls(item, [...path, index]));
  if (tree.kind === 'scalar') return [];
  const parent = keyAt(path);
  const unknown = [...tree.removed.keys()].filter((key) => parent && keyAt([...path, key]) === undefined);
  const below = [...tree.entries].flatMap(([key, entry]) => unknownNulls(entry.node, [...path, key]));
  return [...unknown.map((key) => unknownKey([...path, key])), ...below];
}
