import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import type { RenderDocument } from '../../scripts/render/document';
import { renderSite } from '../../scripts/render/render';
import { version } from '../../package.json';
import { repoRoot, type Edit } from '../site/sites';
import { stacksFolder } from '../spec/stacksFolder';

const GONE = Symbol('gone');
/** As a value of an edit: the key goes. */
export const gone: unknown = GONE;

/** An example site as the kit renders it, with edits of its file. */
export async function rendered(site: string, ...edits: Edit[]): Promise<RenderDocument> {
  const texts: Record<string, string> = {};
  for (const folder of ['sites', 'profiles'])
    for (const name of readdirSync(join(repoRoot, 'stacks', folder)))
      texts[`${folder}/${name}`] = readFileSync(join(repoRoot, 'stacks', folder, name), 'utf8');
  const document = parseDocument(texts[`sites/${site}.yaml`]!);
  for (const [path, value] of edits)
    if (value === GONE) document.deleteIn(path);
    else document.setIn(path, document.createNode(value));
  const stacksDir = stacksFolder({ ...texts, [`sites/${site}.yaml`]: document.toString() });
  const result = await renderSite({ stacksDir, site, kitVersion: version });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.document;
}
