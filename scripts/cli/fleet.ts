import { checkFleet, checkRules } from '../../components/plan';
import { listSites, toFleetProblems, toProblems, type FleetProblem, type Problem } from '../../components/spec';
import { day } from './clusterKeys';
import type { Context } from './context';
import { readSite, type LoadedSite } from './site';

/** Every site of a stacks folder, sorted by name. */
export interface Fleet {
  sites: LoadedSite[];
  /** Those that have no plan, and why. */
  broken: { site: string; problems: Problem[] }[];
}

export function readFleet(context: Context): Fleet {
  const fleet: Fleet = { sites: [], broken: [] };
  for (const site of listSites(context.stacksDir)) {
    const read = readSite(context, site);
    if ('problems' in read) fleet.broken.push({ site, problems: read.problems });
    else fleet.sites.push(read);
  }
  return fleet;
}

/** What does not hold between the sites that have a plan; with `site`, only what concerns it. */
export function acrossSites({ sites }: Fleet, site?: string): FleetProblem[] {
  const sources = new Map(sites.map(({ plan, source }) => [plan.site, source]));
  return toFleetProblems(checkFleet(sites), sources, site);
}

/** What the rules of an organisation say of a site. `now` tells whether a version is supported and an exception holds. */
export const ruleProblems = ({ spec, plan, source }: LoadedSite, now: Date): Problem[] =>
  toProblems(checkRules({ spec, plan, today: day(now) }), source);

export const isError = ({ severity }: Problem) => severity === 'error';
