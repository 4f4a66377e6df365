import type { RenderDocument } from '../render/document';
import { effectsOf, type Effect } from './effects';
import { worstOf, type ChangeImpact } from './impact';
import { settingChanges, type SettingChange } from './settings';

/** What a change of the files means for one site. A comparison of desired states: it knows no state and shows no drift. */
export interface SiteDiff {
  site: string;
  environment: string;
  /** Versions of the kit on both sides; null: the site is not there. */
  kits: { before: string | null; after: string | null };
  machines: number;
  settings: SettingChange[];
  effects: Effect[];
  /** Null: nothing changes. */
  worst: ChangeImpact | null;
  /** What a person does beside `up`. */
  afterwards: string[];
}

/** Either side may lack the site, not both. */
export function diffSite(before: RenderDocument | null, after: RenderDocument | null): SiteDiff {
  const here = (after ?? before)!;
  const common = {
    site: here.site,
    environment: here.environment,
    kits: { before: before?.kitVersion ?? null, after: after?.kitVersion ?? null },
    machines: Object.keys(here.nodes).length,
  };
  if (before === null || after === null) {
    const effect = after === null ? gone(here.site) : added(common.machines);
    return { ...common, settings: [], effects: [effect], worst: effect.impact, afterwards: [] };
  }
  const settings = settingChanges(before.settings, after.settings);
  const effects = effectsOf(before, after);
  return {
    ...common,
    settings,
    effects,
    worst: worstOf([...settings, ...effects].map(({ impact }) => impact)),
    afterwards: actions(settings),
  };
}

const whole = { machines: [], what: 'site', lines: [], sameLines: true };

export const added = (machines: number): Effect => ({
  ...whole,
  change: 'new',
  impact: 'in place',
  why: `${machines} machines are built when somebody runs up`,
});

const gone = (site: string): Effect => ({
  ...whole,
  change: 'gone',
  impact: 'deletion',
  why: `nothing is removed by itself: what it built stays until sitewright destroy ${site} is run with the earlier files`,
});

function actions(settings: SettingChange[]): string[] {
  const needed = settings.filter(({ action }) => !action.startsWith('nothing more'));
  const byAction = new Map<string, string[]>();
  for (const { action, key } of needed) byAction.set(action, [...(byAction.get(action) ?? []), key]);
  return [...byAction].map(
    ([action, keys]) => `${action} (${keys.slice(0, 3).join(', ')}${keys.length > 3 ? ', …' : ''})`,
  );
}
