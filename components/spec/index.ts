export { toFleetProblems, type FleetProblem } from './fleetProblems';
export { listProfiles, listSites, loadSite, type LoadArgs, type LoadResult } from './load';
export { formatProblem, type Problem } from './problem';
export {
  siteSchema,
  type HypervisorSpec,
  type NodeSpec,
  type ProbeName,
  type SiteSpec,
  type SubnetSpec,
} from './schema';
export { SiteSource, toProblems, type Explanation, type ParsedPath } from './source';
export type { Mark, Position } from './tree';
export { durationToMilliseconds, percentToNumber, sizeToBytes } from './units';
