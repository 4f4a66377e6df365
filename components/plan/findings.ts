import type { Finding, SpecPath } from './types';

/** Collects everything that is wrong, so that a person sees all of it at once and never the first only. */
export class Findings {
  readonly all: Finding[] = [];

  error(path: SpecPath, given: unknown, message: string): void {
    this.add('error', path, given, message);
  }

  warning(path: SpecPath, given: unknown, message: string): void {
    this.add('warning', path, given, message);
  }

  hasErrors(): boolean {
    return this.all.some((finding) => finding.severity === 'error');
  }

  private add(severity: Finding['severity'], path: SpecPath, given: unknown, message: string): void {
    this.all.push(given === undefined ? { severity, path, message } : { severity, path, given, message });
  }
}

/** Reports the second and every later item whose key was seen before; `describe` says what the first one is. */
export function refuseDuplicates<T>(
  items: readonly { key: string; path: SpecPath; given: unknown; item: T }[],
  findings: Findings,
  message: (key: string, first: T, later: T) => string,
): void {
  const first = new Map<string, T>();
  for (const { key, path, given, item } of items) {
    const earlier = first.get(key);
    if (earlier === undefined) first.set(key, item);
    else findings.error(path, given, message(key, earlier, item));
  }
}

/** The same for the items of a list that merges by name. */
export function refuseDuplicateNames(items: readonly { name: string }[], path: SpecPath, findings: Findings): void {
  refuseDuplicates(
    items.map((item, index) => ({ key: item.name, path: [...path, index, 'name'], given: item.name, item })),
    findings,
    (name) => `${name} is there twice: make one entry of both`,
  );
}

/** Order by code units: the same on every machine, whatever its locale. */
export const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
