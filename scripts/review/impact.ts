import type { Impact } from '../../components/plan';

/** What a change means for a running site; beside the plan's words one for what goes. */
export type ChangeImpact = Impact | 'deletion';

/** From the mildest to the worst. */
export const IMPACT_ORDER: readonly ChangeImpact[] = [
  'in place',
  'new machines only',
  'restart',
  'disruptive',
  'replacement',
  'deletion',
];

/** What a second person should approve: pods, machines or data are touched. */
const DISRUPTIVE: readonly ChangeImpact[] = ['disruptive', 'replacement', 'deletion'];

export const isDisruptive = (impact: ChangeImpact | null): boolean => impact !== null && DISRUPTIVE.includes(impact);

/** Null: nothing changes. */
export const worstOf = (impacts: readonly ChangeImpact[]): ChangeImpact | null =>
  impacts.reduce<ChangeImpact | null>(
    (worst, impact) => (worst === null || IMPACT_ORDER.indexOf(impact) > IMPACT_ORDER.indexOf(worst) ? impact : worst),
    null,
  );
