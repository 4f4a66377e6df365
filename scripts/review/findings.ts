import {
  checkFleet,
  checkRules,
  computePlan,
  type FleetFinding,
  type FleetSite,
  type Finding,
} from '../../components/plan';
import {
  formatProblem,
  listSites,
  loadSite,
  toFleetProblems,
  toProblems,
  type Problem,
  type SiteSource,
} from '../../components/spec';
import { day } from '../cli/clusterKeys';
import type { RenderDocument } from '../render/document';
import type { Revision } from './revision';

/** Where the files after the change are. */
type Side = Pick<Revision, 'label' | 'stacksDir'> & { kit: Pick<Revision['kit'], 'version'> };

/** What the rules of an organisation, and other sites, say of a site after a change. */
export interface SiteFindings {
  site: string;
  /** `validate` refuses the site for them, whether they are new or not: an exception ends on a day without any change. */
  errors: string[];
  /** That were not there before the change. */
  warnings: string[];
}

/** A site on both sides, as the change has it; null: it was not there, or could not be read. */
export interface TouchedSite {
  before: FleetSite | null;
  after: FleetSite;
}

export interface Findings {
  /** Only sites with findings, by name. */
  sites: SiteFindings[];
  /** Sites that others could not be compared with: no plan can be made of them. */
  notCompared: string[];
}

/** What of a document the checks are about. */
export const checkedOf = ({ settings, plan }: RenderDocument): FleetSite => ({ spec: settings, plan });

/**
 * Holds the touched sites against the rules, and against all others where they are joined or share a hypervisor.
 * @param to the side after the change
 * @param now tells whether a version is supported and an exception holds
 */
export function findingsOf(touched: readonly TouchedSite[], to: Side, now: Date): Findings {
  const sources = new Sources(to);
  const today = day(now);
  const judged = touched.map(({ before, after }) => ({
    ...{ before, after },
    earlier: before === null ? null : rulesOf(before, today),
    rules: rulesOf(after, today),
  }));
  const across = acrossSites(
    judged
      .filter(({ rules }) => rules !== null)
      .map(({ before, after, earlier }) => ({ after, before: earlier === null ? null : before })),
    sources,
  );
  const sites = judged.map(({ after, earlier, rules }): SiteFindings => {
    const { site } = after.plan;
    const known = new Set((earlier ?? []).map(ruleKey));
    const problems = [
      ...(rules === null ? [unreadable(after, to)] : sources.locate(site, rules)).map((problem, index) => ({
        problem,
        isNew: rules === null || !known.has(ruleKey(rules[index]!)),
      })),
      ...across.of(site),
    ];
    const texts = (severity: Problem['severity'], all: boolean) => [
      ...new Set(
        problems
          .filter(({ problem, isNew }) => problem.severity === severity && (all || isNew))
          .map(({ problem }) => formatProblem(problem)),
      ),
    ];
    return { site, errors: texts('error', true), warnings: texts('warning', false) };
  });
  return {
    sites: sites.filter(({ errors, warnings }) => errors.length + warnings.length > 0).sort(bySite),
    notCompared: across.notCompared,
  };
}

const bySite = (a: { site: string }, b: { site: string }) => (a.site < b.site ? -1 : 1);

/** Null: another kit made the document, and it lacks what a rule of this one reads. */
function rulesOf(site: FleetSite, today: string): Finding[] | null {
  try {
    return checkRules({ ...site, today });
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/** The same finding before and after: machines that come or go move the places of others in their list. */
const ruleKey = ({ severity, path, message }: Finding) =>
  JSON.stringify([severity, path.filter((part) => typeof part === 'string'), message]);

function unreadable({ plan }: FleetSite, { kit, label }: Side): Problem {
  const message = `its rules were not looked at: what the kit ${kit.version} of ${label} makes of it is unknown to this kit`;
  return { file: plan.site, line: 0, column: 0, path: [], where: '', severity: 'warning', message };
}

/** The files of sites, read when something is to be said about them. */
class Sources {
  private readonly read = new Map<string, ReturnType<typeof loadSite>>();

  constructor(readonly side: Side) {}

  load(site: string): ReturnType<typeof loadSite> {
    const { stacksDir, kit } = this.side;
    const loaded = this.read.get(site) ?? loadSite({ stacksDir, site, kitVersion: kit.version });
    this.read.set(site, loaded);
    return loaded;
  }

  locate(site: string, findings: readonly Finding[]): Problem[] {
    if (findings.length === 0) return [];
    const loaded = this.load(site);
    if (loaded.ok) return toProblems(findings, loaded.source);
    // Another kit can read it, and knows no places of it.
    return findings.map(({ severity, path, message }) => ({
      ...{ file: site, line: 0, column: 0, severity, path: [...path], where: path.join('.'), message },
    }));
  }
}

interface Across {
  of(site: string): { problem: Problem; isNew: boolean }[];
  notCompared: string[];
}

const NOTHING: Across = { of: () => [], notCompared: [] };

/** Whether others matter to a site. */
const concernsOthers = ({ spec, plan }: FleetSite) => spec.joined.length > 0 || plan.machines.kvm !== null;

/** What nothing touches is the same on both sides. */
function acrossSites(touched: readonly TouchedSite[], sources: Sources): Across {
  if (!touched.some(({ after }) => concernsOthers(after))) return NOTHING;
  const { stacksDir, kit } = sources.side;
  const byName = new Map(touched.map(({ after }) => [after.plan.site, after]));
  const found = new Map<string, SiteSource>();
  const others: FleetSite[] = [];
  const notCompared: string[] = [];
  for (const site of listSites(stacksDir)) {
    const loaded = sources.load(site);
    const plan = !loaded.ok || byName.has(site) ? null : computePlan(loaded.spec, kit.version).plan;
    if (!loaded.ok || (plan === null && !byName.has(site))) notCompared.push(site);
    else {
      found.set(site, loaded.source);
      if (plan !== null) others.push({ spec: loaded.spec, plan });
    }
  }
  const compared = (sites: FleetSite[]) => checkFleet(sites.sort((a, b) => (a.plan.site < b.plan.site ? -1 : 1)));
  const known = new Set(
    compared([...others, ...touched.flatMap(({ before }) => before ?? [])].filter(concernsOthers)).map(fleetKey),
  );
  const all = compared(
    [...others, ...byName.values()].filter((site) => concernsOthers(site) && found.has(site.plan.site)),
  );
  const fresh = all.filter((finding) => !known.has(fleetKey(finding)));
  const old = all.filter((finding) => known.has(fleetKey(finding)));
  const problems = (findings: FleetFinding[], isNew: boolean) => (site: string) =>
    toFleetProblems(findings, found, site).map((problem) => ({ problem, isNew }));
  return {
    of: (site) => [fresh, old].flatMap((findings, index) => problems(findings, index === 0)(site)),
    notCompared,
  };
}

const fleetKey = ({ severity, places, relation }: FleetFinding) =>
  JSON.stringify([severity, relation, ...places.map(({ site, what }) => [site, what])]);
