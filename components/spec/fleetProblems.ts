import type { FleetFinding, FleetPlace } from '../plan/fleet';
import { shown, sortProblems, type Problem } from './problem';
import type { SiteSource } from './source';
import { placeText, type Position } from './tree';

/** A problem of two sites: it stands at one place, and its message names the other. */
export interface FleetProblem extends Problem {
  site: string;
  other: Position & { site: string };
}

/**
 * What the comparison of sites found, each with file, line and column of both places. It stands at the later one, or at
 * that of `site` where one is asked for; then findings between others are left out.
 */
export function toFleetProblems(
  findings: readonly FleetFinding[],
  sources: ReadonlyMap<string, SiteSource>,
  site?: string,
): FleetProblem[] {
  const problems = findings.flatMap((finding): FleetProblem[] => {
    const [first, later] = finding.places;
    if (site === first.site) return [problem(finding, first, later, sources)];
    return site === undefined || site === later.site ? [problem(finding, later, first, sources)] : [];
  });
  return sortProblems(problems, [...new Set(problems.map(({ file }) => file))]) as FleetProblem[];
}

function problem(
  { severity, relation, reason, advice }: FleetFinding,
  own: FleetPlace,
  other: FleetPlace,
  sources: ReadonlyMap<string, SiteSource>,
): FleetProblem {
  const source = sources.get(own.site)!;
  const there = sources.get(other.site)!.locate(other.path);
  return {
    ...source.locate(own.path),
    severity,
    path: [...own.path],
    where: source.text(own.path),
    ...(own.given === undefined ? {} : { given: shown(own.given) }),
    message: `${own.what} ${relation} ${other.what} of ${other.site} (${placeText(there)}), ${reason}: ${advice}`,
    site: own.site,
    other: { ...there, site: other.site },
  };
}
