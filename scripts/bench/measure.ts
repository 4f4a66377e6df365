import Table from 'cli-table3';

/** One thing to measure: runs once and returns a figure (seconds, or what `unit` says). */
export interface Case {
  name: string;
  run(): Promise<number> | number;
}

export interface Row {
  name: string;
  median: number;
  min: number;
  max: number;
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * Runs the cases in turn (A B C, A B C, …), so that a machine whose speed drifts slows all of them alike. Throws the
 * signal's reason once it is aborted.
 */
export async function interleaved(cases: Case[], rounds: number, signal: AbortSignal): Promise<Row[]> {
  const figures = cases.map(() => [] as number[]);
  for (let round = 0; round < rounds; round++) {
    for (const [index, one] of cases.entries()) {
      signal.throwIfAborted();
      figures[index]!.push(await one.run());
    }
  }
  return cases.map((one, index) => ({
    name: one.name,
    median: median(figures[index]!),
    min: Math.min(...figures[index]!),
    max: Math.max(...figures[index]!),
  }));
}

/** Seconds that `work` takes. */
export async function seconds(work: () => unknown): Promise<number> {
  const start = process.hrtime.bigint();
  await work();
  return Number(process.hrtime.bigint() - start) / 1e9;
}

/** The rows with each median over that of the first one, which is the yardstick. */
export function print(title: string, unit: string, rows: Row[]): void {
  const table = new Table({
    head: [title, `median (${unit})`, 'min', 'max', 'ratio'],
    style: { head: [], border: [] },
  });
  const figure = (value: number) => (value < 1000 ? value.toPrecision(3) : value.toFixed(0));
  for (const row of rows) {
    const ratio = `${(row.median / rows[0]!.median).toFixed(2)} x`;
    table.push([row.name, figure(row.median), figure(row.min), figure(row.max), ratio]);
  }
  console.log(table.toString());
}
