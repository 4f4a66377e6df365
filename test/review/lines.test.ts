import * as fc from 'fast-check';
import { changedPaths, lineDiff, valueDiff } from '../../scripts/review/lines';
import { settingChanges } from '../../scripts/review/settings';

test('lines that went and came, after the line before them', () => {
  expect(lineDiff(['a', 'b', 'c', 'd'], ['a', 'x', 'c', 'd', 'e'])).toEqual(['  a', '- b', '+ x', '  d', '+ e']);
});

test('what a difference says makes the one text of the other', () => {
  const lines = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 12 });
  fc.assert(
    fc.property(lines, lines, (before, after) => {
      const diff = lineDiff(before, after);
      const count = (sign: string) => diff.filter((line) => line.startsWith(sign)).length;
      expect(before.length - count('-')).toBe(after.length - count('+'));
      expect(diff.length === 0).toBe(JSON.stringify(before) === JSON.stringify(after));
    }),
  );
});

test('values are told with their paths, texts line by line', () => {
  const before = { a: { b: 1, c: ['one', 'two'] }, list: [{ x: 1 }, { x: 2 }] };
  const after = { a: { b: 2, c: ['one', 'three'] }, list: [{ x: 1 }, { x: 3 }], d: true };
  expect(valueDiff(before, after)).toEqual([
    ...['- a.b: 1', '+ a.b: 2', '  a.c:', '  one', '- two', '+ three', '- list[1].x: 2', '+ list[1].x: 3'],
    ...['- d: nothing', '+ d: true'],
  ]);
  expect(changedPaths(before, after)).toEqual(['a.b', 'a.c', 'list[1].x', 'd']);
});

test('settings are known by names, not by places in a list', () => {
  const nodes = [
    { name: 'a', cpus: 2 },
    { name: 'b', cpus: 2 },
  ];
  const of = (list: unknown[]) => settingChanges({ machines: { nodes } }, { machines: { nodes: list } });
  expect(
    of([
      { name: 'b', cpus: 4 },
      { name: 'a', cpus: 2 },
    ]),
  ).toEqual([expect.objectContaining({ key: 'machines.nodes[b].cpus', before: 2, after: 4, impact: 'restart' })]);
  expect(of([nodes[1]!])).toEqual([expect.objectContaining({ key: 'machines.nodes[a]', impact: 'deletion' })]);
  expect(of([nodes[1]!, nodes[0]!])).toEqual([expect.objectContaining({ key: 'machines.nodes', before: ['a', 'b'] })]);
});
