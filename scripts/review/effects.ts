import type { RenderDocument } from '../render/document';
import type { ChangeImpact } from './impact';
import { machineEffects } from './machineEffects';
import { nodeEffects } from './nodeEffects';
import { objectEffects } from './objectEffects';
import { resourceEffects } from './resourceEffects';

/** What a change does, in the words of a site. */
export interface Effect {
  /** Machines in the order of the site; empty: the site or its cluster as a whole. */
  machines: string[];
  what: string;
  change: 'new' | 'gone' | 'changed';
  impact: ChangeImpact;
  why: string;
  /** What differs, as lines with `- `, `+ ` or two spaces before them. Of the first machine where they differ. */
  lines: string[];
  /** False: the other machines have lines of their own. */
  sameLines: boolean;
}

/** An effect on one machine, or on none. */
export type SingleEffect = Omit<Effect, 'machines' | 'sameLines'> & { machine: string | null };

/** Everything that differs between two desired states of a site, the same on several machines once. */
export function effectsOf(before: RenderDocument, after: RenderDocument): Effect[] {
  return grouped([
    ...machineEffects(before, after),
    ...nodeEffects(before, after),
    ...objectEffects(before, after),
    ...resourceEffects(before, after),
  ]);
}

/** The same on several machines once. */
export function grouped(effects: SingleEffect[]): Effect[] {
  const groups = new Map<string, Effect>();
  for (const { machine, ...effect } of effects) {
    const { what, change, impact, why } = effect;
    const key = JSON.stringify([what, change, impact, why]);
    const found = groups.get(key);
    const machines = machine === null ? [] : [machine];
    if (found === undefined) groups.set(key, { ...effect, machines, sameLines: true });
    else {
      if (machine !== null && !found.machines.includes(machine)) found.machines.push(machine);
      found.sameLines &&= JSON.stringify(found.lines) === JSON.stringify(effect.lines);
    }
  }
  return [...groups.values()];
}

/** Machines that both have; what is new or gone is told once, as a machine. */
export const lasting = (before: RenderDocument, after: RenderDocument): string[] =>
  Object.keys(after.nodes).filter((name) => name in before.nodes);
