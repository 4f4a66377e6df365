/** Above this many pairs of lines a text counts as another one as a whole: nobody reads such a difference line by line. */
const MAX_PAIRS = 4_000_000;

/** Lines that went (`- `) and came (`+ `), each run of them after the last line before it (two spaces). */
export function lineDiff(before: readonly string[], after: readonly string[]): string[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let end = 0;
  while (
    end < before.length - start &&
    end < after.length - start &&
    before[before.length - 1 - end] === after[after.length - 1 - end]
  )
    end += 1;
  const steps = walk(before.slice(start, before.length - end), after.slice(start, after.length - end));
  const lines: string[] = [];
  let context: string | undefined = before[start - 1];
  for (const { sign, line } of steps) {
    if (sign === ' ') {
      context = line;
      continue;
    }
    if (context !== undefined && context.trim() !== '') lines.push(`  ${context}`);
    context = undefined;
    lines.push(`${sign} ${line}`);
  }
  return lines;
}

interface Step {
  sign: '-' | '+' | ' ';
  line: string;
}

/** By the longest common subsequence. */
function walk(before: readonly string[], after: readonly string[]): Step[] {
  const [rows, columns] = [before.length, after.length];
  const steps: Step[] = [];
  let [i, j] = [0, 0];
  if (rows * columns <= MAX_PAIRS) {
    // common[i * width + j]: length of what before from i on and after from j on have in common.
    const width = columns + 1;
    const common = new Uint32Array((rows + 1) * width);
    for (let row = rows - 1; row >= 0; row -= 1)
      for (let column = columns - 1; column >= 0; column -= 1)
        common[row * width + column] =
          before[row] === after[column]
            ? common[(row + 1) * width + column + 1]! + 1
            : Math.max(common[(row + 1) * width + column]!, common[row * width + column + 1]!);
    while (i < rows && j < columns) {
      if (before[i] === after[j]) {
        steps.push({ sign: ' ', line: before[i]! });
        [i, j] = [i + 1, j + 1];
      } else if (common[(i + 1) * width + j]! >= common[i * width + j + 1]!)
        steps.push({ sign: '-', line: before[i++]! });
      else steps.push({ sign: '+', line: after[j++]! });
    }
  }
  for (; i < rows; i += 1) steps.push({ sign: '-', line: before[i]! });
  for (; j < columns; j += 1) steps.push({ sign: '+', line: after[j]! });
  return steps;
}

export const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isLines = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

/** A value on one line. */
export const inline = (value: unknown): string =>
  value === undefined ? 'nothing' : typeof value === 'string' ? value || "''" : JSON.stringify(value);

/** What differs between two plain values, as lines with the path of each. Texts of a document are lists of lines. */
export function valueDiff(before: unknown, after: unknown, path = ''): string[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  if (isMap(before) && isMap(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return keys.flatMap((key) => valueDiff(before[key], after[key], path === '' ? key : `${path}.${key}`));
  }
  const named = path === '' ? [] : [`  ${path}:`];
  if (isLines(before) && isLines(after)) return [...named, ...lineDiff(before, after)];
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length)
    return before.flatMap((item, index) => valueDiff(item, after[index], `${path}[${index}]`));
  return [
    `- ${path === '' ? '' : `${path}: `}${inline(before)}`,
    `+ ${path === '' ? '' : `${path}: `}${inline(after)}`,
  ];
}

/** Paths at which two values differ, as deep as they can be told: `spec.template.spec.containers[0].image`. */
export function changedPaths(before: unknown, after: unknown, path = ''): string[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  if (isMap(before) && isMap(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return keys.flatMap((key) => changedPaths(before[key], after[key], path === '' ? key : `${path}.${key}`));
  }
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length && !isLines(before))
    return before.flatMap((item, index) => changedPaths(item, after[index], `${path}[${index}]`));
  return [path];
}
