import { formatProblem, listSites } from '../../components/spec';
import type { RenderResult } from '../render/render';
import { checkedOf, findingsOf, type Findings, type TouchedSite } from './findings';
import { IMPACT_ORDER, isDisruptive, worstOf, type ChangeImpact } from './impact';
import { inputsOf, type Renderer } from './renderer';
import type { Revision } from './revision';
import { diffSite, type SiteDiff } from './siteDiff';

/** What a change of the files means for all sites. */
export interface Review {
  base: string;
  head: string;
  /** The worst first, then by name. */
  changed: SiteDiff[];
  /** Sites whose files, profiles or kit are touched, and whose desired state is the same. */
  same: string[];
  /** How many sites nothing touches; they were not rendered. */
  untouched: number;
  /** Sites that cannot be read or planned after the change, with every problem. */
  broken: { site: string; problems: string[] }[];
  /** What rules and other sites say of those that could be read. */
  findings: Findings;
}

/**
 * Reviews every site that the change touches: its file, a profile that it extends, a lock of a bundle, the kit or its
 * dependencies. A broken site does not keep the others from being reviewed.
 * @param now tells whether a version is supported and an exception of a rule holds
 */
export async function reviewSites(renderer: Renderer, from: Revision, to: Revision, now: Date): Promise<Review> {
  const [old, made] = [from, to].map(({ stacksDir }) => new Set(listSites(stacksDir)));
  const all = [...new Set([...old!, ...made!])].sort();
  const touched = all.filter((site) => inputsOf(from, site) !== inputsOf(to, site));
  const review: Review = {
    ...{ base: from.label, head: to.label, changed: [], same: [], broken: [] },
    untouched: all.length - touched.length,
    findings: { sites: [], notCompared: [] },
  };
  const checked: TouchedSite[] = [];
  await Promise.all(
    touched.map(async (site) => {
      const render = (revision: Revision, there: Set<string>) =>
        there.has(site) ? attempt(renderer, revision, site) : Promise.resolve(null);
      const [before, after] = await Promise.all([render(from, old!), render(to, made!)]);
      if (after?.ok)
        checked.push({ before: before?.ok ? checkedOf(before.document) : null, after: checkedOf(after.document) });
      if (after !== null && !after.ok) review.broken.push({ site, problems: after.problems.map(formatProblem) });
      else if (before !== null && !before.ok) {
        if (after !== null) review.changed.push(repaired(diffSite(null, after.document)));
        else review.same.push(site);
      } else {
        const diff = diffSite(before?.document ?? null, after?.document ?? null);
        if (diff.worst === null) review.same.push(site);
        else review.changed.push(diff);
      }
    }),
  );
  const rank = ({ worst }: SiteDiff) => IMPACT_ORDER.indexOf(worst!);
  review.changed.sort((a, b) => rank(b) - rank(a) || (a.site < b.site ? -1 : 1));
  review.same.sort();
  review.broken.sort((a, b) => (a.site < b.site ? -1 : 1));
  review.findings = findingsOf(checked, to, now);
  return review;
}

/** What a site itself makes fail is a problem of that site. */
async function attempt(renderer: Renderer, revision: Revision, site: string): Promise<RenderResult> {
  try {
    return await renderer.render(revision, site);
  } catch (error) {
    const at = { file: `${site} in ${revision.label}`, line: 0, column: 0, path: [], where: '' };
    return { ok: false, problems: [{ ...at, severity: 'error', message: (error as Error).message }] };
  }
}

const repaired = (diff: SiteDiff): SiteDiff => ({
  ...diff,
  effects: diff.effects.map((effect) => ({
    ...effect,
    change: 'changed' as const,
    why: 'its files had mistakes before, so there is nothing to compare with',
  })),
});

export const worstOfReview = ({ changed }: Review): ChangeImpact | null => worstOf(changed.map(({ worst }) => worst!));

/** 2: a site is broken, or `validate` refuses it; 11: something disruptive; 10: changes; 0: none. */
export function exitCodeOf(review: Review): 0 | 2 | 10 | 11 {
  if (review.broken.length > 0 || review.findings.sites.some(({ errors }) => errors.length > 0)) return 2;
  const worst = worstOfReview(review);
  return worst === null ? 0 : isDisruptive(worst) ? 11 : 10;
}
