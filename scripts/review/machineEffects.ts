import type { RenderDocument, RenderedResource } from '../render/document';
import type { SingleEffect } from './effects';
import { lineDiff, valueDiff } from './lines';

type Script = { values: Record<string, unknown> };

/** Machines that come, go or are made anew, and what changes of those that stay. */
export function machineEffects(before: RenderDocument, after: RenderDocument): SingleEffect[] {
  const names = [...new Set([...Object.keys(after.nodes), ...Object.keys(before.nodes)])];
  return names.flatMap((machine) => {
    const effect = (of: Omit<SingleEffect, 'machine'>): SingleEffect => ({ machine, ...of });
    if (!(machine in before.nodes)) return [effect(newMachine(after))];
    if (!(machine in after.nodes)) return [effect(goneMachine(before, after, machine))];
    return changesOf(before, after, machine).map(effect);
  });
}

const isMadeByKit = ({ plan }: RenderDocument) => plan.machines.provider !== 'existing';

const newMachine = (after: RenderDocument): Omit<SingleEffect, 'machine'> => ({
  what: 'machine',
  change: 'new',
  impact: 'in place',
  why: isMadeByKit(after) ? 'it is made, prepared and proved' : 'it is prepared and proved',
  lines: [],
});

function goneMachine(before: RenderDocument, after: RenderDocument, machine: string): Omit<SingleEffect, 'machine'> {
  if (after.plan.dead.some(({ name }) => name === machine))
    return {
      what: 'machine',
      change: 'changed',
      impact: 'disruptive',
      why: 'it is declared dead: the cluster forgets it, and what is left of it stays as it is',
      lines: [],
    };
  const why = isMadeByKit(before) ? 'it is removed with its disks' : 'its preparation is undone; the machine stays';
  return { what: 'machine', change: 'gone', impact: 'deletion', why, lines: [] };
}

/** On hypervisors. */
export const domainOf = (document: RenderDocument, machine: string): RenderedResource | undefined =>
  document.resources.find(({ name }) => name === `${document.site}-machines-${machine}-domain`);

type Rule = { values: RegExp; impact: SingleEffect['impact']; what: string; why: string };

/** What a value of a machine's script is about; the first that fits. */
const RULES: Rule[] = [
  // Both are in the definition, which is told as a whole.
  { values: /^(mac|hostMtuBytes|bridge|libvirtNetwork)$/, impact: 'restart', what: '', why: '' },
  {
    values: /^(image|kernel|initrd)|^volumes$/,
    impact: 'new machines only',
    what: 'root image',
    why: 'a root disk is made from its image once',
  },
  {
    values: /^(root|etcd)Bytes$/,
    impact: 'restart',
    what: 'size of a disk',
    why: 'the disk grows, its file system at the next start',
  },
  {
    values: /^(domainType|cpuMode)$/,
    impact: 'restart',
    what: 'definition of the machine',
    why: 'the machine has it from its next start',
  },
  {
    values: /^bundle/,
    impact: 'in place',
    what: 'disk of the bundle',
    why: 'it is exchanged in the machine while it runs',
  },
];

function changesOf(before: RenderDocument, after: RenderDocument, machine: string): Omit<SingleEffect, 'machine'>[] {
  if (before.plan.machines.provider !== after.plan.machines.provider)
    return [replaced(`another maker makes other machines`, [])];
  const [old, made] = [domainOf(before, machine), domainOf(after, machine)];
  if (old === undefined || made === undefined) return definition(before, after, machine);
  if (old.urn !== made.urn) return [replaced('the engine knows it by another URN', [`- ${old.urn}`, `+ ${made.urn}`])];
  // What vCenter has of a machine is told field by field.
  if (!('triggers' in made.inputs)) return definition(before, after, machine);
  const triggers = lineDiff(old.inputs.triggers as string[], made.inputs.triggers as string[]);
  if (triggers.length > 0) return [replaced('it cannot change while the machine stays', triggers)];
  return [...definition(before, after, machine), ...values(old, made)];
}

const replaced = (why: string, lines: string[]): Omit<SingleEffect, 'machine'> => ({
  what: 'machine',
  change: 'changed',
  impact: 'replacement',
  why: `it is removed with all that is on it and made anew: ${why}`,
  lines,
});

function definition(before: RenderDocument, after: RenderDocument, machine: string): Omit<SingleEffect, 'machine'>[] {
  const [old, made] = [before.nodes[machine]!.machine, after.nodes[machine]!.machine];
  const xml = valueDiff(old?.domainXml, made?.domainXml);
  const seed = valueDiff(old?.cloudInit, made?.cloudInit);
  return [
    ...(xml.length === 0
      ? []
      : [
          {
            what: 'definition of the machine',
            change: 'changed' as const,
            impact: 'restart' as const,
            why: 'the machine has it from its next start',
            lines: xml,
          },
        ]),
    ...(seed.length === 0
      ? []
      : [
          {
            what: 'cloud-init',
            change: 'changed' as const,
            impact: 'new machines only' as const,
            why: 'a machine reads it at its first start; what must follow on a living one is in its preparation',
            lines: seed,
          },
        ]),
  ];
}

function values(old: RenderedResource, made: RenderedResource): Omit<SingleEffect, 'machine'>[] {
  const [from, to] = [(old.inputs.script as Script).values, (made.inputs.script as Script).values];
  const changed = [...new Set([...Object.keys(from), ...Object.keys(to)])].filter(
    (name) => JSON.stringify(from[name]) !== JSON.stringify(to[name]),
  );
  return changed.flatMap((name) => {
    const rule = RULES.find((one) => one.values.test(name));
    if (rule?.what === '') return [];
    const { what, impact, why } = rule ?? {
      what: `${name} of the machine`,
      impact: 'in place' as const,
      why: 'libvirt has it at once',
    };
    return [{ what, change: 'changed' as const, impact, why, lines: valueDiff(from[name], to[name], name) }];
  });
}
