import { paint, table } from '../cli/table';
import type { Effect } from './effects';
import type { Findings } from './findings';
import { isDisruptive, type ChangeImpact } from './impact';
import { inline } from './lines';
import type { SiteDiff } from './siteDiff';

const VALUE_CHARACTERS = 60;
const MACHINES_NAMED = 4;

export const shortened = (text: string, characters = VALUE_CHARACTERS): string =>
  text.length <= characters ? text : `${text.slice(0, characters - 1)}…`;

export const shownValue = (value: unknown): string => shortened(inline(value));

/** `cp1, w1`, `every machine`, or the first ones and how many more. */
export function shownMachines(machines: readonly string[], of: number): string {
  if (machines.length === 0) return 'the site';
  if (machines.length === of && of > 1) return 'every machine';
  const named = machines.slice(0, MACHINES_NAMED).join(', ');
  return machines.length <= MACHINES_NAMED ? named : `${named} and ${machines.length - MACHINES_NAMED} more`;
}

const SIGNS: Record<Effect['change'], string> = { new: '+', gone: '-', changed: '~' };
export const shownWhat = ({ change, what }: Effect): string => `${SIGNS[change]} ${what}`;

export const WHAT_IT_IS = 'A comparison of desired states: it knows no state and shows no drift.';

/** Empty where one kit made both sides. */
export const kitChange = ({ before, after }: SiteDiff['kits']): string =>
  before === after || before === null || after === null ? '' : `kit ${before} becomes ${after}`;

/** For a person at a terminal. `lines`: how many lines of each difference are shown. */
export function tellDiff(diff: SiteDiff, { color, lines }: { color: boolean; lines: number }): string {
  const kit = kitChange(diff.kits);
  const kits = kit === '' ? '' : ` (${kit})`;
  if (diff.worst === null) return `${diff.site}: no changes${kits}\n${WHAT_IT_IS}`;
  const impact = (of: ChangeImpact) => (isDisruptive(of) ? paint(of, 'red', color) : of);
  const text = [`${diff.site}: worst is ${impact(diff.worst)}${kits}`, WHAT_IT_IS, ''];
  if (diff.settings.length > 0) {
    const rows = diff.settings.map((one) => [
      one.key,
      shownValue(one.before),
      shownValue(one.after),
      impact(one.impact),
      one.why,
    ]);
    text.push(paint('Settings', 'bold', color), table(['setting', 'was', 'becomes', 'impact', 'why'], rows, color), '');
  }
  if (diff.effects.length > 0) {
    text.push(paint('What it does', 'bold', color));
    for (const effect of diff.effects) {
      const where = shownMachines(effect.machines, diff.machines);
      text.push(`${shownWhat(effect)} on ${where}: ${impact(effect.impact)}: ${effect.why}`);
      text.push(...effect.lines.slice(0, lines).map((line) => `      ${line}`));
      const more = effect.lines.length - lines;
      if (more > 0) text.push(`      … ${more} lines more (--full)`);
      if (!effect.sameLines) text.push(`      (of ${effect.machines[0]}; the others have their own)`);
    }
    text.push('');
  }
  if (diff.afterwards.length > 0)
    text.push(paint('To do beside up', 'bold', color), ...diff.afterwards.map((action) => `- ${action}`), '');
  return text.join('\n').trimEnd();
}

/** What rules and other sites say, line by line. */
export const tellFindings = ({ sites, notCompared }: Findings): string[] => [
  ...sites.flatMap(({ errors, warnings }) => [...errors, ...warnings]),
  ...(notCompared.length === 0 ? [] : [notComparedWith(notCompared)]),
];

export const notComparedWith = (sites: readonly string[]) =>
  `not compared with ${sites.join(', ')}: no plan can be made of ${sites.length === 1 ? 'it' : 'them'} (sitewright validate shows why)`;
