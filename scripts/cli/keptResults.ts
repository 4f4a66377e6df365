import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { cacheDir } from '../../components/cacheDir';
import type { SitePlan } from '../../components/plan';
import { writeAtomically } from '../engine/cache';
import { expandBackend } from './backend';
import type { Context } from './context';
import type { Audit } from './drift';
import type { Proved } from './verify';

/**
 * What the last `verify` and the last `drift` on this machine found, for `report`. It lies in the cache, because either
 * command makes it again; packed, because a site of many machines has tens of thousands of measured paths.
 */
export interface KeptResults {
  verify: Pick<Proved, 'results' | 'unanswered'>;
  drift: Audit;
}

/** Another one when a reader of today could not read it: what older kits kept is then as if it were not there. */
const SCHEMA_VERSION = 1;

interface Kept<Name extends keyof KeptResults> {
  schemaVersion: number;
  site: string;
  /** ISO 8601 in UTC: when the command ended. */
  at: string;
  found: KeptResults[Name];
}

type SiteState = Pick<SitePlan, 'site' | 'backendUrl'>;

/** A site is known by its name and its state; the address of a state can hold a password, so only its sum is in the name. */
function fileOf({ site, backendUrl }: SiteState, name: keyof KeptResults): string {
  const state = createHash('sha256').update(expandBackend(backendUrl)).digest('hex').slice(0, 16);
  return join(cacheDir(), 'results', `${site}-${state}.${name}.json.gz`);
}

/** Whole or not at all. That it cannot be kept is told, and does not take the result away from the user. */
export function keepResults<Name extends keyof KeptResults>(
  context: Pick<Context, 'say'>,
  plan: SiteState,
  name: Name,
  found: KeptResults[Name],
  { at, redact }: { at: Date; redact: (text: string) => string },
): void {
  const kept: Kept<Name> = { schemaVersion: SCHEMA_VERSION, site: plan.site, at: at.toISOString(), found };
  const text = JSON.stringify(kept, (_key, value: unknown) => (typeof value === 'string' ? redact(value) : value));
  const file = fileOf(plan, name);
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeAtomically(file, gzipSync(text), 0o600);
  } catch (error) {
    context.say(`warning: ${name} is not kept for sitewright report: ${(error as Error).message}`);
  }
}

/** Null: never on this machine, or by a kit that kept something else. */
export function readKept<Name extends keyof KeptResults>(
  plan: SiteState,
  name: Name,
): { at: string; found: KeptResults[Name] } | null {
  const file = fileOf(plan, name);
  if (!existsSync(file)) return null;
  let kept: Kept<Name>;
  try {
    kept = JSON.parse(gunzipSync(readFileSync(file)).toString('utf8')) as Kept<Name>;
  } catch {
    return null;
  }
  return kept.schemaVersion === SCHEMA_VERSION ? { at: kept.at, found: kept.found } : null;
}

/** For a site that is gone: its machines, made anew, are others. */
export function forgetResults(plan: SiteState): void {
  for (const name of ['verify', 'drift'] as const) rmSync(fileOf(plan, name), { force: true });
}
