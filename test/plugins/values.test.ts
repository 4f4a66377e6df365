import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { globAll } from '../../scripts/plugins/command/glob';
import { changes, hasUnknown, plain, secret, unknown } from '../../scripts/plugins/values';

test('changes names each property that differs, down to list items and odd keys', () => {
  const before = { same: { a: [1] }, gone: 1, list: ['x', 'y'], deep: { 'odd key': 1, plain: 1 } };
  const after = { same: { a: [1] }, fresh: 1, list: ['x', 'z', 'w'], deep: { 'odd key': 2, plain: 1 } };
  expect(Object.fromEntries(changes(before, after))).toEqual({
    gone: 'delete',
    fresh: 'add',
    'list[1]': 'update',
    'list[2]': 'add',
    'deep["odd key"]': 'update',
  });
});

test('a secret is compared whole, and becoming one is a change', () => {
  expect([...changes({ a: secret({ b: 1 }) }, { a: secret({ b: 1 }) })]).toEqual([]);
  expect([...changes({ a: secret({ b: 1 }) }, { a: secret({ b: 2 }) })]).toEqual([['a', 'update']]);
  expect([...changes({ a: 'x' }, { a: secret('x') })]).toEqual([['a', 'update']]);
});

test('secrets are unwrapped however deep, and marked once', () => {
  expect(plain({ a: [secret({ b: secret('x') })] })).toEqual({ a: [{ b: 'x' }] });
  expect(secret(secret('x'))).toEqual(secret('x'));
});

test('an unknown is found inside secrets and lists', () => {
  expect(hasUnknown({ a: [secret({ b: unknown })] })).toBe(true);
  expect(hasUnknown({ a: ['x'] })).toBe(false);
});

test('globs choose files relative to the directory, and later rules win', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-glob-'));
  for (const name of ['assets/logos/logo.svg', 'src/index.js', 'src/secret.js', 'src/deep/a.js', 'a.txt', 'b.txt']) {
    fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
    fs.writeFileSync(path.join(dir, name), '');
  }
  expect(globAll(dir, ['assets/**', 'src/**.js', '!**secret.*'])).toEqual([
    'assets/logos/logo.svg',
    'src/deep/a.js',
    'src/index.js',
  ]);
  expect(globAll(dir, ['src/*.js', '?.txt', '!b.txt'])).toEqual(['a.txt', 'src/index.js', 'src/secret.js']);
  fs.rmSync(dir, { recursive: true });
});
