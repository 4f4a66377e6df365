import { computePlan, type SitePlan } from '../../components/plan';
import {
  formatProblem,
  loadSite,
  toProblems,
  type Problem,
  type SiteSource,
  type SiteSpec,
} from '../../components/spec';
import type { Context } from './context';
import { badInput, CliError, EXIT } from './errors';

export interface LoadedSite {
  spec: SiteSpec;
  source: SiteSource;
  plan: SitePlan;
  warnings: Problem[];
}

/** The schema's rule for a name. A site's name becomes a file name, so anything else must not reach a path. */
const SITE_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export function checkSiteName(site: string): void {
  if (SITE_NAME.test(site)) return;
  throw badInput(`${site}: a site's name has lower-case letters, digits and dashes, at most 63, such as acme-prod`);
}

/** Mistakes of a site file as one error; nothing was changed. */
export const refuseProblems = (problems: Problem[]) =>
  new CliError(problems.map(formatProblem).join('\n'), EXIT.badInput, { problems });

/** Reads, validates and plans a site. Every problem at once; nothing is changed. */
export function readSite(context: Context, site: string): LoadedSite | { problems: Problem[] } {
  const loaded = loadSite({ stacksDir: context.stacksDir, site, kitVersion: context.kitVersion });
  if (!loaded.ok) return { problems: loaded.problems };
  const { plan, findings } = computePlan(loaded.spec, context.kitVersion);
  const problems = toProblems(findings, loaded.source);
  return plan === null ? { problems } : { spec: loaded.spec, source: loaded.source, plan, warnings: problems };
}

/** As `readSite`, with its problems as one error. */
export function openSite(context: Context, site: string): LoadedSite {
  checkSiteName(site);
  const read = readSite(context, site);
  if ('problems' in read) throw refuseProblems(read.problems);
  return read;
}

/** As `openSite`, and tells the warnings. */
export function openSiteAloud(context: Context, site: string): LoadedSite {
  const loaded = openSite(context, site);
  for (const warning of loaded.warnings) context.say(formatProblem(warning));
  return loaded;
}
