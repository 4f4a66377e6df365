import { z } from 'zod';
import { siteSchema } from './schema';

/** The part of JSON Schema (draft 7) that the site schema uses, and the kit's own words about a key. */
export interface KeySchema {
  type?: string | string[];
  description?: string;
  default?: unknown;
  examples?: unknown[];
  /** What a pattern or a check takes, in words. */
  allowed?: string;
  /** Unit of a plain number. */
  unit?: string;
  const?: unknown;
  enum?: unknown[];
  anyOf?: KeySchema[];
  minimum?: number;
  maximum?: number;
  pattern?: string;
  maxLength?: number;
  properties?: Record<string, KeySchema>;
  required?: string[];
  additionalProperties?: false | KeySchema;
  propertyNames?: KeySchema;
  items?: KeySchema;
  minItems?: number;
  maxItems?: number;
}

/** The site schema as data: what messages, `explain`, the editors' schema and the key reference are made of. */
export const siteKeys = z.toJSONSchema(siteSchema, { io: 'input', target: 'draft-7' }) as KeySchema;

/** The schema of what stands at `path`, or undefined where no such key exists. Any index or name steps into a list. */
export function keyAt(path: readonly (string | number)[], schema: KeySchema = siteKeys): KeySchema | undefined {
  if (path.length === 0) return schema;
  const [step, ...rest] = path;
  for (const branch of schema.anyOf ?? [schema]) {
    const next = branch.items ?? branch.properties?.[step] ?? (branch.additionalProperties || undefined);
    const found = next && keyAt(rest, next);
    if (found) return found;
  }
  return undefined;
}

/** The keys that a map may have, of every branch where there are several. */
export function keysOf(schema: KeySchema | undefined): string[] {
  return (schema?.anyOf ?? [schema]).flatMap((branch) => Object.keys(branch?.properties ?? {}));
}

/** The fixed words and numbers that are allowed, of every branch. */
export function choicesOf(schema: KeySchema | undefined): string[] {
  return (schema?.anyOf ?? [schema]).flatMap((branch) =>
    branch?.const !== undefined ? [String(branch.const)] : (branch?.enum ?? []).map(String),
  );
}

/** What may be written, in words that follow "write": `auto, or a whole number from 576 to 65535 (bytes)`. */
export function allowedText(schema: KeySchema): string {
  const unit = schema.unit === undefined ? '' : ` (${schema.unit})`;
  if (schema.anyOf) {
    const choices = choicesOf(schema);
    const others = schema.anyOf.filter((branch) => branch.const === undefined && !branch.enum).map(allowedText);
    return orList([...choices, ...others]) + unit;
  }
  if (schema.const !== undefined) return String(schema.const);
  if (schema.enum) return orList(schema.enum.map(String));
  switch (schema.type) {
    case 'integer':
    case 'number':
      return `a whole number${rangeText(schema)}${unit}`;
    case 'boolean':
      return 'true or false';
    case 'array':
      return `a list${countText(schema)}, each ${allowedText(schema.items ?? {})}`;
    case 'object':
      return schema.properties
        ? `a map with the keys ${Object.keys(schema.properties).join(', ')}`
        : freeMapText(schema);
    default:
      return (
        schema.allowed ?? (schema.maxLength === undefined ? 'text' : `text of at most ${schema.maxLength} characters`)
      );
  }
}

function rangeText({ minimum, maximum }: KeySchema): string {
  if (minimum === undefined || maximum === undefined) return '';
  // Without bounds of its own a whole number has those of the language: nothing worth saying.
  return maximum >= Number.MAX_SAFE_INTEGER ? '' : ` from ${minimum} to ${maximum}`;
}

function freeMapText({ propertyNames, additionalProperties }: KeySchema): string {
  if (!propertyNames || !additionalProperties) return 'a map';
  return `a map from ${allowedText(propertyNames)}, to ${allowedText(additionalProperties)}`;
}

function countText({ minItems, maxItems }: KeySchema): string {
  if (minItems !== undefined && maxItems !== undefined) return ` (${minItems} to ${maxItems})`;
  if (maxItems !== undefined) return ` (at most ${maxItems})`;
  return minItems === undefined ? '' : ` (at least ${minItems})`;
}

/** `a`, `a or b`, `a, b or c`. */
function orList(words: string[]): string {
  return words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} or ${words[words.length - 1]}`;
}
