import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { BundlePlan } from '../../../components/plan';

export const UPSTREAM = resolve(__dirname, '../../../../shared/upstream');

/** A release manifest as its project publishes it: the very bytes that a bundle would carry. */
export function releaseText(bundle: BundlePlan, name: string): string {
  const manifest = bundle.manifests.find((one) => one.name === name);
  if (manifest === undefined) throw new Error(`the plan of ${bundle.name} has no manifest ${name}`);
  const version = bundle.components.find(({ name: component }) => component === 'calico')!.version;
  const file = join(UPSTREAM, `calico-v${version}`, name);
  const text = readFileSync(file, 'utf8');
  const found = createHash('sha256').update(text).digest('hex');
  if (found !== manifest.sha256) throw new Error(`${file} has the sha256 ${found}, the plan wants ${manifest.sha256}`);
  return text;
}
