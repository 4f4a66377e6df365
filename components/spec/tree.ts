import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Alias,
  type Document,
  type Node,
  type YAMLMap,
} from 'yaml';

/** Line and column count from 1. `file` is as messages print it. */
export interface Position {
  file: string;
  line: number;
  column: number;
}

/** A value and where it was written. */
export interface Mark extends Position {
  value: unknown;
}

interface Written {
  at: Position;
  /** Values of profiles that this one took the place of, the nearest first. */
  overridden: Mark[];
}
export interface ScalarTree extends Written {
  kind: 'scalar';
  value: unknown;
}
export interface ListTree extends Written {
  kind: 'list';
  items: Tree[];
}
export interface MapTree extends Written {
  kind: 'map';
  entries: Map<string, Entry>;
  /** Keys that an explicit null took away, with the null and what it removed. */
  removed: Map<string, Entry>;
}
export interface Entry {
  key: Position;
  node: Tree;
}
/** A YAML value that remembers where each of its parts was written. */
export type Tree = ScalarTree | ListTree | MapTree;

/** Something that the text alone shows to be wrong. */
export interface TextFault extends Position {
  path: (string | number)[];
  message: string;
}

export interface ParsedText {
  /** Absent when the syntax is broken: half a tree would only produce misleading messages. */
  tree?: Tree;
  faults: TextFault[];
}

/**
 * A few lines of aliases to aliases can stand for gigabytes. A site of a thousand machines has some 20,000 values.
 */
const MOST_VALUES = 100_000;

/**
 * Reads one YAML 1.2 text into a tree with positions. Every syntax error, every duplicate key and every duplicate name
 * within a list is a fault. Anchors and aliases are resolved; an alias counts as written where its anchor is.
 */
export function parseText(text: string, file: string): ParsedText {
  const lines = new LineCounter();
  // The builder finds duplicate keys: it knows where both are, and carries on.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col };
  };
  if (document.errors.length > 0) {
    const faults = document.errors.map((error) => ({
      ...at(error.pos[0]),
      path: [],
      message: `not valid YAML: ${syntaxMessage(error.code, error.message)}`,
    }));
    return { faults };
  }
  const builder = new Builder(document, at);
  const tree = builder.build(document.contents, [], new Set());
  return builder.values > MOST_VALUES ? { faults: builder.faults } : { tree, faults: builder.faults };
}

function syntaxMessage(code: string, message: string): string {
  if (code === 'TAB_AS_INDENT') return 'a tab in the indentation; use spaces';
  if (code === 'MULTIPLE_DOCS') return 'a second document begins here; a file holds one, so take the line --- away';
  return message;
}

class Builder {
  readonly faults: TextFault[] = [];
  /** Values so far, those behind aliases counted each time. */
  values = 0;
  private readonly targets = new Map<Alias, Node | undefined>();

  constructor(
    private readonly document: Document,
    private readonly at: (offset: number) => Position,
  ) {}

  build(node: unknown, path: (string | number)[], open: Set<unknown>): Tree {
    this.values += 1;
    if (this.values === MOST_VALUES + 1) {
      const message = `the aliases stand for more than ${MOST_VALUES} values; write them out`;
      this.faults.push({ ...this.position(node), path, message });
    }
    if (this.values > MOST_VALUES) return this.scalar(null, node);
    if (isAlias(node)) return this.alias(node, path, open);
    if (isMap(node)) return this.map(node, path, new Set(open).add(node));
    if (isSeq(node)) {
      const inside = new Set(open).add(node);
      const items = node.items.map((item, index) => this.build(item, [...path, index], inside));
      this.findDuplicateNames(items, path);
      return { kind: 'list', items, at: this.position(node), overridden: [] };
    }
    return this.scalar(isScalar(node) ? node.value : null, node);
  }

  private alias(node: Alias, path: (string | number)[], open: Set<unknown>): Tree {
    const target = this.resolve(node);
    if (target !== undefined && !open.has(target)) return this.build(target, path, open);
    const fault =
      target === undefined
        ? `there is no anchor &${node.source} above it; add one, or write the value out`
        : `stands inside the value it stands for; write the value out`;
    this.faults.push({ ...this.position(node), path, message: `*${node.source}: ${fault}` });
    return this.scalar(null, node);
  }

  private resolve(alias: Alias): Node | undefined {
    // The library walks the whole document each time.
    if (!this.targets.has(alias)) this.targets.set(alias, alias.resolve(this.document));
    return this.targets.get(alias);
  }

  private map(node: YAMLMap<unknown, unknown>, path: (string | number)[], open: Set<unknown>): Tree {
    const entries = new Map<string, Entry>();
    for (const { key, value } of node.items) {
      const at = this.position(key);
      const resolved = isAlias(key) ? this.resolve(key) : key;
      if (!isScalar(resolved)) {
        this.faults.push({ ...at, path, message: 'a list or a map as a key; write a name' });
        continue;
      }
      const text = String(resolved.value);
      const earlier = entries.get(text)?.key;
      if (earlier) {
        const message = `this key is already at ${placeText(earlier)}; keep one of the two`;
        this.faults.push({ ...at, path: [...path, text], message });
        continue;
      }
      // An empty value has no place of its own in the text: the key stands for it.
      const built = value === null ? this.scalar(null, key) : this.build(value, [...path, text], open);
      entries.set(text, { key: at, node: built });
    }
    return { kind: 'map', entries, removed: new Map(), at: this.position(node), overridden: [] };
  }

  private scalar(value: unknown, node: unknown): ScalarTree {
    return { kind: 'scalar', value, at: this.position(node), overridden: [] };
  }

  private position(node: unknown): Position {
    return this.at((node as Node | null)?.range?.[0] ?? 0);
  }

  private findDuplicateNames(items: Tree[], path: (string | number)[]): void {
    const first = new Map<unknown, Position>();
    items.forEach((item, index) => {
      const name = item.kind === 'map' ? item.entries.get('name')?.node : undefined;
      if (name?.kind !== 'scalar' || typeof name.value !== 'string') return;
      const earlier = first.get(name.value);
      if (earlier === undefined) {
        first.set(name.value, name.at);
        return;
      }
      this.faults.push({
        ...name.at,
        path: [...path, index, 'name'],
        message: `${JSON.stringify(name.value)} is already the name of the entry at ${placeText(earlier)}; names are unique within a list: rename or remove one`,
      });
    });
  }
}

/** `file:line:column`. */
export const placeText = ({ file, line, column }: Position) => `${file}:${line}:${column}`;

/** The plain value of a tree, as JSON would hold it. */
export function toPlain(tree: Tree): unknown {
  if (tree.kind === 'scalar') return tree.value;
  if (tree.kind === 'list') return tree.items.map(toPlain);
  return Object.fromEntries([...tree.entries].map(([key, entry]) => [key, toPlain(entry.node)]));
}

/** The name of a list item, where it has one. */
export function itemName(tree: Tree | undefined): string | undefined {
  const name = tree?.kind === 'map' ? tree.entries.get('name')?.node : undefined;
  return name?.kind === 'scalar' && typeof name.value === 'string' ? name.value : undefined;
}

/** One step down: a key of a map; an index, or the name of an item, of a list. */
export function child(tree: Tree | undefined, step: string | number): Tree | undefined {
  if (tree?.kind === 'map') return tree.entries.get(String(step))?.node;
  if (tree?.kind !== 'list') return undefined;
  return typeof step === 'number' ? tree.items[step] : tree.items.find((item) => itemName(item) === step);
}

/** A path as text, list items by name where they have one: `machines.nodes[cp1].addresses[0]`. */
export function pathText(path: readonly (string | number)[], tree: Tree | undefined): string {
  let text = '';
  let here = tree;
  for (const step of path) {
    const next = child(here, step);
    if (typeof step === 'number') text += `[${itemName(next) ?? step}]`;
    else if (here?.kind === 'list' || /[^A-Za-z0-9_-]/.test(step)) text += `[${step}]`;
    else text += text === '' ? step : `.${step}`;
    here = next;
  }
  return text;
}
