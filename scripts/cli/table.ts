import Table from 'cli-table3';

/** Columns without borders: readable in a terminal, a log and a pull request. */
export function table(head: string[], rows: string[][], color: boolean): string {
  const drawn = new Table({
    head,
    style: { head: color ? ['bold'] : [], border: [], 'padding-left': 0, 'padding-right': 2 },
    chars: Object.fromEntries(BORDERS.map((border) => [border, ''])),
  });
  drawn.push(...rows);
  return drawn
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** The same for a page: GitHub's tables, where a vertical bar would end a cell. */
export function markdownTable(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replace(/\|/g, '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const BORDERS = [
  'top',
  'top-mid',
  'top-left',
  'top-right',
  'bottom',
  'bottom-mid',
  'bottom-left',
  'bottom-right',
  'left',
  'left-mid',
  'mid',
  'mid-mid',
  'right',
  'right-mid',
  'middle',
] as const;

const CODES = { bold: 1, red: 31, green: 32, yellow: 33 } as const;

export const paint = (text: string, style: keyof typeof CODES, color: boolean) =>
  color ? `\x1b[${CODES[style]}m${text}\x1b[0m` : text;
