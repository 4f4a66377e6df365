import type { Effect } from './effects';
import { IMPACT_ORDER, isDisruptive, type ChangeImpact } from './impact';
import { worstOfReview, type Review } from './review';
import type { SettingChange } from './settings';
import type { SiteDiff } from './siteDiff';
import { kitChange, notComparedWith, shortened, shownMachines, shownValue, shownWhat, WHAT_IT_IS } from './tell';

/** What a report is about. */
export interface Head {
  /** First line of every report: what posts it finds its earlier comment by it. */
  marker: string;
  about: string;
}

export const REVIEW: Head = { marker: '<!-- sitewright-review -->', about: WHAT_IT_IS };

export const previewHead = (site: string): Head => ({
  marker: `<!-- sitewright-preview ${site} -->`,
  about: 'What the engine would do, compared with its state: what was changed on a machine by hand shows in drift.',
});

/** The limit of a comment on GitHub, which is the lowest of the usual ones: 65,536 characters; bytes are never fewer. */
export const BUDGET_BYTES = 64 * 1024;

/** Sites that change in the same way, and what is told of them. */
interface Section {
  title: string;
  worst: ChangeImpact;
  /** One line for each change. */
  lines: string[];
  /** Folded differences of the changes. */
  details: Detail[];
  afterwards: string[];
}

interface Detail {
  title: string;
  lines: string[];
}

/**
 * The review as Markdown. Within a budget the largest differences are left out first, then lines of the sections that
 * have the most, then whole sections from the mildest on, then rows of the table; each says so.
 * @param budgetBytes undefined: all of it
 */
export function reviewMarkdown(review: Review, budgetBytes?: number, head = REVIEW): string {
  const sections = sectionsOf(review.changed);
  const rows = review.changed.map(rowOf);
  const notices = noticesOf(review);
  const report = () => compose(review, head, { sections, rows, notices }, cut);
  const cut: Cuts = { details: new Set(), lines: new Map(), sections: 0, rows: 0, notices: 0 };
  let text = report();
  if (budgetBytes === undefined) return text;
  const fits = () => Buffer.byteLength(text) <= budgetBytes;
  /** Takes as much as is over the budget at once, and looks again: what stands in its place has a size too. */
  const shrink = <T>(items: T[], sizeOf: (item: T) => number, take: (item: T) => void) => {
    while (!fits() && items.length > 0) {
      let over = Buffer.byteLength(text) - budgetBytes;
      while (over > 0 && items.length > 0) {
        const item = items.shift()!;
        take(item);
        over -= sizeOf(item);
      }
      text = report();
    }
  };
  const sizeOf = ({ lines }: Detail) => Buffer.byteLength(lines.join('\n'));
  const details = sections.flatMap((section) => section.details).sort((a, b) => sizeOf(b) - sizeOf(a));
  shrink(details, sizeOf, (detail) => cut.details.add(detail));
  const kept = (section: Section) => cut.lines.get(section) ?? section.lines.length;
  while (!fits()) {
    // The longest ones give up lines until all are equally long.
    const most = Math.max(0, ...sections.map(kept));
    if (most <= KEPT_LINES) break;
    const next = Math.max(KEPT_LINES, Math.floor(most * KEPT_SHARE));
    for (const section of sections) if (kept(section) > next) cut.lines.set(section, next);
    text = report();
  }
  shrink(
    [...sections].reverse(),
    (section) => Buffer.byteLength(sectionText(section, cut).join('\n\n')),
    () => (cut.sections += 1),
  );
  shrink(
    [...rows].reverse(),
    (row) => Buffer.byteLength(row),
    () => (cut.rows += 1),
  );
  shrink([...notices].reverse(), Buffer.byteLength, () => (cut.notices += 1));
  return text;
}

/** Of a section that is too long, at least, and the part of it that each step keeps. */
const KEPT_LINES = 5;
const KEPT_SHARE = 0.8;

interface Cuts {
  details: Set<Detail>;
  /** How many lines of a section are kept. */
  lines: Map<Section, number>;
  /** How many of them are left out, from the end. */
  sections: number;
  rows: number;
  notices: number;
}

interface Parts {
  sections: Section[];
  rows: string[];
  notices: string[];
}

/** One kit makes all sites of a side. */
function kitOf({ changed }: Review): string {
  const kit = changed.map(({ kits }) => kitChange(kits)).find((text) => text !== '');
  return kit === undefined ? '' : `, ${plain(kit)}`;
}

function compose(review: Review, { marker, about }: Head, { sections, rows, notices }: Parts, cut: Cuts): string {
  const worst = worstOfReview(review);
  const sites = review.changed.length + review.same.length + review.untouched + review.broken.length;
  const refused = review.findings.sites.filter(({ errors }) => errors.length > 0).length;
  const broken =
    (review.broken.length === 0 ? '' : `, **${review.broken.length} cannot be read**`) +
    (refused === 0 ? '' : `, **${refused} refused by rules or other sites**`);
  const parts = [
    marker,
    `## ${worst === null ? 'No site changes' : `${review.changed.length} of ${sites} sites change, worst is ${worst}`}${broken}`,
    `${code(review.base)} compared with ${code(review.head)}${kitOf(review)}. ${about}`,
  ];
  if (rows.length > 0)
    parts.push([...TABLE_HEAD, ...rows.slice(0, rows.length - cut.rows), ...more(cut.rows, 'row')].join('\n'));
  parts.push(
    ...notices.slice(0, notices.length - cut.notices),
    ...more(cut.notices, 'list of problems', 'lists of problems'),
  );
  for (const section of sections.slice(0, sections.length - cut.sections)) parts.push(...sectionText(section, cut));
  parts.push(...more(cut.sections, 'section'));
  const silent = [
    ...(review.same.length > 0 ? [`${review.same.length} touched and the same`] : []),
    ...(review.untouched > 0 ? [`${review.untouched} untouched`] : []),
  ];
  if (silent.length > 0) parts.push(`Sites without a change: ${silent.join(', ')}.`);
  return `${parts.join('\n\n')}\n`;
}

/** Of one broken site; the report is about what can be reviewed. */
const SHOWN_PROBLEMS = 10;
const PROBLEM_CHARACTERS = 400;

/** What is wrong with sites; those of which the same is to be said, as by a profile, together. */
function noticesOf({ broken, findings }: Review): string[] {
  const refused = findings.sites.map(({ site, errors, warnings }) => ({
    site,
    title: errors.length > 0 ? '**refused by rules or other sites**' : 'findings of rules and other sites',
    lines: [...errors.map((text) => `**error**: ${problemText(text)}`), ...warnings.map(problemText)],
  }));
  const unread = broken.map(({ site, problems }) => ({
    site,
    title: 'cannot be read',
    lines: problems.map(problemText),
  }));
  const groups = new Map<string, { sites: string[]; title: string; lines: string[] }>();
  for (const { site, title, lines } of [...unread, ...refused]) {
    const key = JSON.stringify([title, lines]);
    const found = groups.get(key);
    if (found === undefined) groups.set(key, { sites: [site], title, lines });
    else found.sites.push(site);
  }
  const texts = [...groups.values()].map(({ sites, title, lines }) =>
    [
      `### ${namesOf(sites)}: ${title}\n`,
      ...lines.slice(0, SHOWN_PROBLEMS).map((line) => `- ${line}`),
      ...more(lines.length - SHOWN_PROBLEMS, 'problem'),
    ].join('\n'),
  );
  const { notCompared } = findings;
  return notCompared.length === 0 ? texts : [...texts, `_${plain(notComparedWith(notCompared))}_`];
}

const problemText = (text: string) => code(shortened(text, PROBLEM_CHARACTERS));

const more = (count: number, what: string, several = `${what}s`): string[] =>
  count <= 0
    ? []
    : [`_${count} more ${count === 1 ? what : several} left out here for its size; the full report has all._`];

const TABLE_HEAD = [
  `| site | environment | machines | ${IMPACT_ORDER.join(' | ')} | worst |`,
  `| --- | --- | --: | ${IMPACT_ORDER.map(() => '--:').join(' | ')} | --- |`,
];

function rowOf({ site, environment, machines, effects, worst }: SiteDiff): string {
  const counts = IMPACT_ORDER.map((impact) => effects.filter((effect) => effect.impact === impact).length || '');
  return `| ${site} | ${environment} | ${machines} | ${counts.join(' | ')} | ${strong(worst!)} |`;
}

const strong = (impact: ChangeImpact) => (isDisruptive(impact) ? `**${impact}**` : impact);

function sectionText(section: Section, cut: Cuts): string[] {
  const { title, worst, lines, details, afterwards } = section;
  const kept = cut.lines.get(section) ?? lines.length;
  return [
    `### ${title}: ${worst}`,
    [...lines.slice(0, kept), ...more(lines.length - kept, 'change')].join('\n'),
    ...(afterwards.length === 0
      ? []
      : [`To do beside \`up\`:\n${afterwards.map((action) => `- ${plain(action)}`).join('\n')}`]),
    ...foldedText(details, cut),
  ];
}

function foldedText(details: Detail[], cut: Cuts): string[] {
  const shown = details.filter((detail) => !cut.details.has(detail));
  const gone = details.length - shown.length;
  const note =
    gone === 0
      ? []
      : [`_${gone} of ${details.length} differences left out here for their size; the full report has all._`];
  if (shown.length === 0) return note;
  const blocks = shown.map(({ title, lines }) => `${plain(title)}\n\n${fenced(lines)}`);
  return [`<details><summary>Differences</summary>\n\n${blocks.join('\n\n')}\n\n</details>`, ...note];
}

/** Sites that change in the same way are told together. */
function sectionsOf(changed: SiteDiff[]): Section[] {
  const groups = new Map<string, { diffs: SiteDiff[]; section: Omit<Section, 'title'> }>();
  for (const diff of changed) {
    const section = {
      worst: diff.worst!,
      lines: [...diff.settings.map(settingLine), ...diff.effects.map((effect) => effectLine(effect, diff))],
      details: diff.effects.flatMap((effect) => detailOf(effect, diff)),
      afterwards: diff.afterwards,
    };
    const key = JSON.stringify([section.worst, section.lines]);
    const found = groups.get(key);
    if (found === undefined) groups.set(key, { diffs: [diff], section });
    else found.diffs.push(diff);
  }
  return [...groups.values()].map(({ diffs, section }) => {
    const [first] = diffs;
    const names = diffs.map(({ site }) => site);
    if (diffs.length === 1) return { ...section, title: `${first!.site} (${first!.environment})` };
    // Names of machines and addresses in them are those of the first.
    const details = section.details.map((detail) => ({ ...detail, title: `${detail.title}, as in ${first!.site}` }));
    return { ...section, details, title: `${namesOf(names)} (${names.length} sites in the same way)` };
  });
}

const NAMED_SITES = 5;

const namesOf = (sites: string[]) =>
  sites.length > NAMED_SITES
    ? `${sites.slice(0, NAMED_SITES).join(', ')} and ${sites.length - NAMED_SITES} more`
    : sites.join(', ');

function settingLine({ key, before, after, impact, why }: SettingChange): string {
  return `- setting ${code(key)}: ${code(shownValue(before))} becomes ${code(shownValue(after))}: ${strong(impact)}${why === '' ? '' : `: ${plain(why)}`}`;
}

function effectLine(effect: Effect, { machines }: SiteDiff): string {
  const [sign, ...what] = shownWhat(effect).split(' ');
  return `- ${sign} ${code(what.join(' '))} on ${plain(shownMachines(effect.machines, machines))}: ${strong(effect.impact)}: ${plain(effect.why)}`;
}

function detailOf(effect: Effect, { machines }: SiteDiff): Detail[] {
  if (effect.lines.length === 0) return [];
  const where = effect.sameLines
    ? shownMachines(effect.machines, machines)
    : `${effect.machines[0]}, the others have their own`;
  return [{ title: `${effect.what} (${where})`, lines: effect.lines }];
}

/** No control characters: a report is read in browsers and terminals. */
const printable = (text: string) =>
  text.replace(/\p{Cc}/gu, (character) => (character === '\t' ? character : character === '\n' ? ' ' : '\ufffd'));

/** As text of Markdown: nothing in it is markup, a link or somebody's name. */
const plain = (text: string) => printable(text).replace(/[\\`*_[\]<>|@#]/g, '\\$&');

/** As code, whatever backticks are in it. In tables and lists alike. */
function code(text: string): string {
  const clean = printable(text);
  const fence = '`'.repeat(longestRun(clean) + 1);
  const pad = /^`|`$/.test(clean) ? ' ' : '';
  return `${fence}${pad}${clean}${pad}${fence}`;
}

const longestRun = (text: string): number => Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length));

function fenced(lines: string[]): string {
  const clean = lines.map(printable);
  const fence = '`'.repeat(Math.max(3, ...clean.map((line) => longestRun(line) + 1)));
  return `${fence}diff\n${clean.join('\n')}\n${fence}`;
}
