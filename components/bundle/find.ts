import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import type { BundlePlan } from '../plan/clusterTypes';
import { sha256OfText } from './checksum';
import { lacking } from './contents';
import type { Bundle, BundleLock } from './lock';
import { BundleError, parseLock } from './parse';
import type { BundleStore } from './store';

/** Where a team keeps the lock of a bundle whose content it has agreed on. */
export const teamLockPath = (stacksDir: string, name: string) => path.join(stacksDir, 'bundles', `${name}.lock.json`);

/**
 * The id of the bundle that a plan means: of the team's lock for `upstream`, and for `source` of what was built on this
 * machine. Null where there is none yet.
 */
export async function plannedId(store: BundleStore, stacksDir: string, plan: BundlePlan): Promise<string | null> {
  if (plan.from === 'source') return store.idOf(plan.name);
  const text = await fs.readFile(teamLockPath(stacksDir, plan.name), 'utf8').catch(() => undefined);
  return text === undefined ? null : sha256OfText(text);
}

/**
 * What the team has agreed on of a bundle, whether it is on this machine or not; null where there is no lock of it.
 * @throws BundleError where the lock cannot be read, or lacks something that the plan wants
 */
export async function agreedBundle(stacksDir: string, site: string, plan: BundlePlan): Promise<Bundle | null> {
  const file = teamLockPath(stacksDir, plan.name);
  const text = await fs.readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return null;
  const lock = parseLock(text, path.join('bundles', path.basename(file)));
  refuseLacking(site, lock, plan);
  return { id: sha256OfText(text), lock };
}

function refuseLacking(site: string, lock: BundleLock, plan: BundlePlan): void {
  const missing = lacking(lock, plan);
  if (missing.length === 0) return;
  throw new BundleError(
    say(`the bundle ${plan.name} of ${site} is not what the plan wants`, missing, buildCommand(site)),
  );
}

const buildCommand = (site: string) => `Run: sitewright bundle build ${site}`;

/**
 * The bundle of a site on this machine, whole as far as that is seen without reading every byte, and with everything that
 * the plan wants.
 * @throws BundleError with what is missing or wrong and the command that mends it
 */
export async function findBundle(
  store: BundleStore,
  stacksDir: string,
  site: string,
  plan: BundlePlan,
): Promise<Bundle & { folder: string; isoPath: string; isoSha256: string }> {
  const build = buildCommand(site);
  const id = await plannedId(store, stacksDir, plan);
  const found = id === null ? null : await store.find(id);
  if (id === null || found === null) {
    throw new BundleError(`the bundle ${plan.name} of ${site} is not on this machine. ${build}`);
  }
  if (found.problems.length > 0)
    throw new BundleError(say(`the bundle ${plan.name} of ${site} is damaged`, found.problems, build));
  refuseLacking(site, found.lock!, plan);
  const isoSha256 = (await store.recordedIso(id))!;
  return { id, lock: found.lock!, folder: store.bundleFolder(id), isoPath: store.isoPath(id), isoSha256 };
}

const say = (what: string, lines: string[], fix: string) =>
  `${what}:\n${lines.map((line) => `  ${line}\n`).join('')}${fix}`;
