import fc from 'fast-check';
import { stringify } from 'yaml';
import { merge, prune } from '../../components/spec/merge';
import { parseText, toPlain, type Tree } from '../../components/spec/tree';

type Plain = null | boolean | number | string | Plain[] | { [key: string]: Plain };

/** Few keys and names, so that both sides often have the same. */
const key = fc.constantFrom('a', 'b', 'c', 'd');
const { plain } = fc.letrec<{ plain: Plain; map: Plain }>((tie) => ({
  plain: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<Plain>(null, true, 1, 'text'),
    fc.array(fc.constantFrom<Plain>(1, 2, 'x'), { maxLength: 3 }),
    fc
      .uniqueArray(fc.tuple(key, tie('map')), { selector: ([name]) => name, maxLength: 3 })
      .map((items) => items.map(([name, item]) => ({ ...(item as object), name })) as Plain),
    tie('map'),
  ),
  map: fc.dictionary(key, tie('plain'), { maxKeys: 4, noNullPrototype: true }) as fc.Arbitrary<Plain>,
}));
const file = fc.dictionary(key, plain, { maxKeys: 4, noNullPrototype: true });

const tree = (value: Plain, name: string) => parseText(stringify(value), name).tree as Tree;
const merged = (base: Plain, over: Plain) => toPlain(prune(merge(tree(base, 'base'), tree(over, 'over')))) as Plain;

/** Whether everything that `over` says is in `result`; a null must be absent. */
function holds(result: Plain | undefined, over: Plain): boolean {
  if (Array.isArray(over)) {
    if (!Array.isArray(result)) return false;
    if (over.length === 0) return result.length === 0;
    const named = over.every((item) => nameOf(item) !== undefined);
    if (!named) return result.length === over.length && over.every((item, index) => holds(result[index], item));
    return over.every((item) =>
      holds(
        result.find((other) => nameOf(other) === nameOf(item)),
        item,
      ),
    );
  }
  if (typeof over !== 'object' || over === null) return result === over;
  if (typeof result !== 'object' || result === null || Array.isArray(result)) return false;
  return Object.entries(over).every(([name, value]) =>
    value === null ? !(name in result) : holds(result[name], value),
  );
}
const nameOf = (item: Plain) => (item as { name?: Plain } | null)?.name;

test('merging never loses a key of the site file', () => {
  fc.assert(fc.property(file, file, (base, over) => holds(merged(base, over), over)));
});

test('without a site’s word, the profile’s stands', () => {
  fc.assert(fc.property(file, (base) => expect(merged(base, {})).toEqual(merged({}, base))));
});

test('merging changes neither side', () => {
  fc.assert(
    fc.property(file, file, (base, over) => {
      const [a, b] = [tree(base, 'base'), tree(over, 'over')];
      const before = JSON.stringify([toPlain(a), toPlain(b)]);
      prune(merge(a, b));
      expect(JSON.stringify([toPlain(a), toPlain(b)])).toBe(before);
    }),
  );
});
