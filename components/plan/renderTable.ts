import Table from 'cli-table3';

export type Cell = string | number;

/** A table for a terminal. Empty styles: cli-table3 colours heads and borders by default, whatever the terminal is. */
export function table(head: string[], rows: Cell[][], colWidths: number[] = []): string {
  const result = new Table({ head, style: { head: [], border: [], compact: true }, wordWrap: true, colWidths });
  result.push(...rows);
  return result.toString();
}
