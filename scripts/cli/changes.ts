import type { EngineEvent } from '@pulumi/pulumi/automation';
import { labelOf, MACHINE_ROLE, OPERATIONS, stepOf, type Operation } from './resources';

/** What a preview says about one resource. */
export interface Change {
  name: string;
  node: string;
  what: string;
  type: string;
  operation: Operation;
  /** Names of what differs, never values: a script holds secrets. */
  properties: string[];
  /** A machine that is made anew loses what is on it. */
  replacesMachine: boolean;
}

export interface Changes {
  changes: Change[];
  counts: Record<string, number>;
}

/** What the properties of command resources are in the words of a site. */
const PROPERTY_WORDS: [RegExp, string][] = [
  [/^stdin$/, 'script'],
  [/^(create|update)$/, 'command'],
  [/^delete$/, 'clean-up on removal'],
  [/^triggers/, 'what it was made from'],
  [/^connection\.host$/, 'address'],
  [/^connection/, 'connection'],
  [/^environment/, 'settings'],
];

const propertyWord = (property: string) => PROPERTY_WORDS.find(([pattern]) => pattern.test(property))?.[1] ?? property;

/** Collects the events of a preview. Sorted by machine in the order of the site, then by name: equal runs, equal text. */
export function collectChanges(events: readonly EngineEvent[], site: string, nodes: readonly string[]): Changes {
  const byUrn = new Map<string, Change>();
  for (const event of events) {
    const step = event.resourcePreEvent && stepOf(event.resourcePreEvent.metadata);
    if (!step || step.operation === 'read') continue;
    const before = byUrn.get(step.urn);
    const operation = before?.operation === 'replace' ? 'replace' : step.operation;
    const label = labelOf(step.name, site, nodes);
    byUrn.set(step.urn, {
      name: step.name,
      node: label.node,
      what: label.what,
      type: step.type,
      operation,
      properties: [...new Set([...(before?.properties ?? []), ...step.properties.map(propertyWord)])].sort(),
      replacesMachine: operation === 'replace' && label.role === MACHINE_ROLE,
    });
  }
  const counts = Object.fromEntries(OPERATIONS.map((operation) => [operation, 0]));
  for (const change of byUrn.values()) counts[change.operation] += 1;
  const place = (node: string) => (nodes.includes(node) ? nodes.indexOf(node) : nodes.length);
  const changes = [...byUrn.values()]
    .filter((change) => change.operation !== 'same')
    .sort((a, b) => place(a.node) - place(b.node) || (a.name < b.name ? -1 : 1));
  return { changes, counts };
}
