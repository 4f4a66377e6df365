/**
 * Values with units, as a person writes them in a site file. This is the one place that parses them: everything after
 * the spec works with plain numbers whose unit is in their name.
 */
const BYTES = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 } as const;
const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** `512MiB`, `4GiB`: a whole number and a binary unit. */
export const SIZE_PATTERN = /^([1-9][0-9]*)(B|KiB|MiB|GiB|TiB)$/;
/** `250ms`, `15s`, `10m`, `2h`: a whole or decimal number and a unit of time. */
export const DURATION_PATTERN = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)$/;
/** `1%`, `0.5%`. */
export const PERCENT_PATTERN = /^([0-9]+(?:\.[0-9]+)?)%$/;

function parse(text: string, pattern: RegExp, what: string): [number, string] {
  const match = pattern.exec(text);
  if (!match) throw new RangeError(`${text} is not ${what}`);
  return [Number(match[1]), match[2] ?? ''];
}

/** Bytes of a size such as `4GiB`. Throws RangeError on anything that SIZE_PATTERN refuses. */
export function sizeToBytes(text: string): number {
  const [value, unit] = parse(text, SIZE_PATTERN, 'a size such as 4GiB');
  return value * BYTES[unit as keyof typeof BYTES];
}

/** Milliseconds of a duration such as `15s`. Throws RangeError on anything that DURATION_PATTERN refuses. */
export function durationToMilliseconds(text: string): number {
  const [value, unit] = parse(text, DURATION_PATTERN, 'a duration such as 15s');
  return value * MILLISECONDS[unit as keyof typeof MILLISECONDS];
}

/** The number before the sign of a percentage such as `0.5%`. Throws RangeError on anything that PERCENT_PATTERN refuses. */
export function percentToNumber(text: string): number {
  return parse(text, PERCENT_PATTERN, 'a percentage such as 0.5%')[0];
}
