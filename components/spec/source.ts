import type { Finding } from '../plan/types';
import { keyAt, keysOf } from './describe';
import { didYouMean, shown, type Problem } from './problem';
import type { SiteSpec } from './schema';
import { positionOf } from './translate';
import { child, pathText, type Entry, type Mark, type Position, type Tree } from './tree';

type Path = (string | number)[];

export interface Explanation {
  path: Path;
  /** The path as text, list items by name. */
  where: string;
  /** As the site has it, defaults filled in; undefined for an optional key that nobody wrote. */
  value: unknown;
  origin: Position | 'default';
  /** What the key is for, from the schema. */
  description: string;
  /** Values that this one took the place of, the nearest first; a null is a key that was taken away. */
  overridden: Mark[];
}

export type ParsedPath = { ok: true; path: Path } | { ok: false; message: string };

/** Where every value of a site was written. */
export class SiteSource {
  constructor(
    private readonly tree: Tree,
    private readonly spec: SiteSpec,
  ) {}

  /** File, line and column of the value at `path`, or of the nearest part above it that was written. */
  locate(path: readonly (string | number)[]): Position {
    return positionOf(this.tree, path);
  }

  /** The path as text, list items by name: `machines.nodes[cp1].cpus`. */
  text(path: readonly (string | number)[]): string {
    return pathText(path, this.tree);
  }

  /** Where the value at `path` came from. List items by index or by name. */
  explain(path: readonly (string | number)[]): Explanation {
    const node = path.reduce<Tree | undefined>((here, step) => child(here, step), this.tree);
    const removed = node === undefined ? this.removedAt(path) : undefined;
    return {
      path: [...path],
      where: this.text(path),
      value: valueAt(this.spec, path),
      origin: node === undefined ? 'default' : node.at,
      description: keyAt(path)?.description ?? '',
      overridden: removed ? [{ ...removed.key, value: null }, ...removed.node.overridden] : (node?.overridden ?? []),
    };
  }

  /**
   * Reads a path as a person writes it: `underlay.mtu`, `machines.nodes[cp1].cpus`, `machines.nodes.cp1.cpus`,
   * `nodePrep.sysctls.net.core.somaxconn`. Keys of the schema count, whether the site writes them or not; list items
   * and free keys must exist.
   */
  parsePath(text: string): ParsedPath {
    const path: Path = [];
    let rest = text.trim();
    while (rest !== '') {
      const schema = keyAt(path);
      const value = valueAt(this.spec, path);
      if (schema?.additionalProperties && !schema.properties) {
        // Free keys may hold dots: all that is left is one key.
        const key = rest.replace(/^\.|^\[["']?|["']?\]$/g, '');
        const keys = Object.keys(value ?? {});
        if (!keys.includes(key)) return { ok: false, message: this.noSuch(key, path, keys) };
        return { ok: true, path: [...path, key] };
      }
      const token = /^\.?([^.[\]]+)|^\[["']?([^\]"']+)["']?\]/.exec(rest);
      if (token === null)
        return { ok: false, message: `${shown(text)} is not a path such as machines.nodes[cp1].cpus` };
      const word = token[1] ?? token[2];
      const step = Array.isArray(value) ? itemIndex(value, word) : word;
      const known = Array.isArray(value) ? value.map((item, index) => nameOf(item) ?? String(index)) : keysOf(schema);
      if (step === undefined || (typeof step === 'string' && !known.includes(step))) {
        return { ok: false, message: this.noSuch(word, path, known) };
      }
      path.push(step);
      rest = rest.slice(token[0].length);
    }
    return { ok: true, path };
  }

  private noSuch(word: string, path: Path, known: string[]): string {
    const where = path.length === 0 ? 'a site' : this.text(path);
    if (known.length === 0) return `${where} has no parts: there is no ${word} in it`;
    return `there is no ${word} in ${where}${didYouMean(word, known) || '.'} It has: ${known.join(', ')}`;
  }

  private removedAt(path: readonly (string | number)[]): Entry | undefined {
    let here: Tree | undefined = this.tree;
    for (const step of path) {
      const entry: Entry | undefined = here?.kind === 'map' ? here.removed.get(String(step)) : undefined;
      if (entry) return entry;
      here = child(here, step);
    }
    return undefined;
  }
}

/** What the plan found, with the place in the site file or profile that it is about. Its messages say what was given. */
export function toProblems(findings: readonly Finding[], source: SiteSource): Problem[] {
  return findings.map(({ severity, path, given, message }) => ({
    ...source.locate(path),
    severity,
    path: [...path],
    where: source.text(path),
    ...(given === undefined ? {} : { given: shown(given) }),
    message,
  }));
}

const nameOf = (item: unknown) => (item as { name?: string } | null)?.name;

function itemIndex(items: unknown[], word: string): number | undefined {
  const byName = items.findIndex((item) => nameOf(item) === word);
  if (byName >= 0) return byName;
  return /^[0-9]+$/.test(word) && Number(word) < items.length ? Number(word) : undefined;
}

function valueAt(value: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((here, step) => {
    if (Array.isArray(here)) return here[typeof step === 'number' ? step : (itemIndex(here, step) ?? -1)];
    return typeof here === 'object' && here !== null ? (here as Record<string, unknown>)[step] : undefined;
  }, value);
}
