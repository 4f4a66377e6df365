import { itemName, toPlain, type Entry, type ListTree, type MapTree, type Mark, type Tree } from './tree';

/**
 * Lays `over` (a site, or a profile that extends another) over `base` (the profile it extends):
 * - maps merge key by key;
 * - lists whose items all have a `name` merge by it: the profile's order first, then what is new;
 * - every other list, an empty one too, and every scalar takes the place of the profile's;
 * - an explicit null takes the profile's value away (see `prune`).
 * What was overridden stays known, so that `explain` can tell. Neither argument is changed.
 */
export function merge(base: Tree, over: Tree): Tree {
  if (base.kind === 'map' && over.kind === 'map') return mergeMaps(base, over);
  if (base.kind === 'list' && over.kind === 'list' && allNamed(base) && allNamed(over)) return mergeLists(base, over);
  return { ...over, overridden: [...over.overridden, mark(base), ...base.overridden] };
}

function mergeMaps(base: MapTree, over: MapTree): MapTree {
  const entries = new Map(base.entries);
  for (const [key, entry] of over.entries) {
    const earlier = base.entries.get(key);
    entries.set(key, earlier === undefined ? entry : { key: entry.key, node: merge(earlier.node, entry.node) });
  }
  return { ...over, entries };
}

function mergeLists(base: ListTree, over: ListTree): ListTree {
  const byName = new Map(base.items.map((item) => [itemName(item), item]));
  for (const item of over.items) {
    const earlier = byName.get(itemName(item));
    byName.set(itemName(item), earlier === undefined ? item : merge(earlier, item));
  }
  return { ...over, items: [...byName.values()] };
}

const allNamed = (list: ListTree) => list.items.length > 0 && list.items.every((item) => itemName(item) !== undefined);

const mark = (tree: Tree): Mark => ({ ...tree.at, value: toPlain(tree) });

/**
 * Takes the keys with an explicit null out of every map, after all files are merged: null means "as if nobody had
 * written this key", so the default applies, or a required key is missing. The tree remembers them in `removed`.
 */
export function prune(tree: Tree): Tree {
  if (tree.kind === 'scalar') return tree;
  if (tree.kind === 'list') return { ...tree, items: tree.items.map(prune) };
  const entries = new Map<string, Entry>();
  const removed = new Map<string, Entry>();
  for (const [key, entry] of tree.entries) {
    const isNull = entry.node.kind === 'scalar' && entry.node.value === null;
    if (isNull) removed.set(key, entry);
    else entries.set(key, { ...entry, node: prune(entry.node) });
  }
  return { ...tree, entries, removed };
}
