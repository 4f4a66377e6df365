import type { Changes } from './changes';
import { OPERATIONS } from './resources';
import { paint, table } from './table';

const WORDS: Record<string, [future: string, past: string]> = {
  same: ['stay as they are', 'unchanged'],
  create: ['to make', 'made'],
  update: ['to update', 'updated'],
  replace: ['to replace', 'replaced'],
  delete: ['to remove', 'removed'],
};

const SIGNS: Record<string, string> = {
  create: '+ make',
  update: '~ update',
  replace: '! replace',
  delete: '- remove',
};

/** `3 to make, 1 to update, 12 stay as they are`, or in the past once it is done. */
export function renderCounts(counts: Record<string, number>, tense: 'future' | 'past'): string {
  const changed = OPERATIONS.filter((operation) => operation !== 'same' && counts[operation] > 0);
  const ordered = [...changed, ...(counts.same > 0 ? ['same'] : [])];
  if (ordered.length === 0) return 'nothing to do';
  return ordered.map((operation) => `${counts[operation]} ${WORDS[operation][tense === 'future' ? 0 : 1]}`).join(', ');
}

/** What a preview found, for a person. Machines that would be made anew stand out, above everything else. */
export function renderChanges(site: string, found: Changes, color: boolean): string {
  const lines: string[] = [];
  const lost = found.changes.filter((change) => change.replacesMachine).map((change) => change.node);
  if (lost.length > 0) {
    const warning = `REPLACED: ${lost.join(', ')}. These machines are removed with all that is on them and made anew.`;
    lines.push(paint(warning, 'red', color), '');
  }
  if (found.changes.length === 0) lines.push(`${site}: no changes`);
  else {
    const rows = found.changes.map((change) => [
      change.node,
      change.what,
      paint(SIGNS[change.operation] ?? change.operation, change.operation === 'replace' ? 'red' : 'bold', color),
      change.operation === 'update' || change.operation === 'replace' ? change.properties.join(', ') : '',
    ]);
    lines.push(table(['where', 'what', 'change', 'because of'], rows, color), '');
  }
  lines.push(renderCounts(found.counts, 'future'));
  return lines.join('\n');
}
