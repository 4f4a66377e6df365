import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Removes the empty `.attrs` files of a file backend. The engine replaces a state file in one step, but writes the
 * attributes beside it (content type, checksum) in place: a run that is killed in between leaves an empty file, and every
 * later one ends with "failed to load checkpoint: EOF". Without the file nothing is missing. One that a run is about to
 * write may go too; that run does not notice.
 * @param folder of the backend; null or a folder that is not there: nothing to do
 */
export function removeCutAttributes(folder: string | undefined): void {
  if (folder === undefined) return;
  let files: string[];
  try {
    files = readdirSync(join(folder, '.pulumi'), { recursive: true, encoding: 'utf8' });
  } catch {
    return;
  }
  for (const file of files.filter((name) => name.endsWith('.attrs')).map((name) => join(folder, '.pulumi', name))) {
    if (statSync(file, { throwIfNoEntry: false })?.size === 0) rmSync(file, { force: true });
  }
}
