import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { forgetUnused, markUsed } from '../../scripts/engine/cache';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sitewright-cache-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const entry = (name: string, ageDays: number): string => {
  const path = join(folder, name);
  mkdirSync(path);
  writeFileSync(join(path, 'file'), 'x');
  const used = new Date(Date.now() - ageDays * 24 * 60 * 60 * 1000);
  utimesSync(path, used, used);
  return path;
};

test('what nobody has used for a month goes, what is used stays', () => {
  const [old, recent, used] = [entry('old', 31), entry('recent', 29), entry('used', 400)];
  markUsed(used);
  forgetUnused(folder);
  expect([old, recent, used].map((path) => existsSync(path))).toEqual([false, true, true]);
});
