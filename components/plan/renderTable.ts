import Table from 'cli-table3';

export type Cell = string | number;

/** A table for a terminal. Empty styles: cli-table3 colours heads and borders by default, whatever the terminal is. */
export function table(head: string[], rows: Cell[][], colWidths: number[] = []): string {
  const result = new Table({ head, style: { head: [], border: [], compact: true }, wordWrap: true, colWidths });
  result.push(...rows);
  return result.toString();
}

/** Names up to here are listed; more are counted. */
const MOST_NAMES = 4;

export function names(list: string[]): string {
  if (list.length <= MOST_NAMES) return list.join(', ');
  return `${list.slice(0, MOST_NAMES - 1).join(', ')} and ${list.length - MOST_NAMES + 1} more`;
}
