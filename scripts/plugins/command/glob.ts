import * as fs from 'node:fs';
import * as path from 'node:path';

/**
 * Files below `dir` that the patterns choose, as paths relative to it. `*` matches anything but `/`, `**` anything, `?`
 * one character; a pattern with `!` in front takes files out again; later patterns win.
 */
export function globAll(dir: string, patterns: string[]): string[] {
  const rules = patterns.map((pattern) => ({
    exclude: pattern.startsWith('!'),
    regex: toRegex(pattern.replace(/^!/, '')),
  }));
  return walk(dir, '').filter((name) =>
    rules.reduce((chosen, rule) => (rule.regex.test(name) ? !rule.exclude : chosen), false),
  );
}

function toRegex(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+^$()|[\]\\{}]/g, '\\$&')
    .replace(/\*\*|\*|\?/g, (wildcard) => (wildcard === '**' ? '.*' : wildcard === '*' ? '[^/]*' : '[^/]'));
  return new RegExp(`^${source}$`, 's');
}

function walk(dir: string, prefix: string): string[] {
  return fs
    .readdirSync(path.join(dir, prefix), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const name = prefix ? `${prefix}/${entry.name}` : entry.name;
      return entry.isDirectory() ? walk(dir, name) : [name];
    });
}
