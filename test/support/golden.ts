import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Compares rendered text with `<folder>/golden/<name>`. A golden that is not there fails; UPDATE_GOLDENS=1 writes it, and
 * the change is reviewed like code.
 */
export const goldensOf =
  (folder: string) =>
  (name: string, text: string): void => {
    const file = join(folder, 'golden', name);
    if (process.env.UPDATE_GOLDENS === '1') writeFileSync(file, text);
    expect(existsSync(file) ? readFileSync(file, 'utf8') : `${name} is missing`).toBe(text);
  };
