import type { Message } from 'google-protobuf';
import { Struct, type JavaScriptValue } from 'google-protobuf/google/protobuf/struct_pb';

/** A protobuf message as plain JSON, by the names of its fields; what is not set is left out. */
export type Plain = Record<string, unknown>;

/** One request of the engine and the answer of the plugin: `answer`, or `error` with the message of a failure. */
export interface Exchange {
  method: string;
  request: Plain;
  answer?: Plain;
  error?: string;
}

type Accessors = Record<string, (value?: unknown) => unknown>;

const fieldsOf = (message: Message): string[] =>
  Object.getOwnPropertyNames(Object.getPrototypeOf(message)).flatMap((name) => /^get(\w+)$/.exec(name)?.[1] ?? []);

export function toPlain(message: Message): Plain {
  const accessors = message as unknown as Accessors;
  const plain: Plain = {};
  for (const field of fieldsOf(message)) {
    // Bytes are read in two more spellings; the only ones are random seeds, which this plugin does not use.
    if (/_as(U8|B64)$/.test(field) || field === 'Randomseed') continue;
    const value = plainValue(accessors[`get${field}`]!());
    if (value !== undefined) plain[field] = value;
  }
  return plain;
}

function plainValue(value: unknown): unknown {
  if (value instanceof Struct) return value.toJavaScript();
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map((item) => plainValue(item) ?? item);
  if (isMap(value)) return value.getLength() === 0 ? undefined : Object.fromEntries(entriesOf(value));
  if (typeof value === 'object' && value !== null) return toPlain(value as Message);
  // The default of its type is what an absent field reads as.
  return value === '' || value === 0 || value === false || value === null ? undefined : value;
}

interface WireMap {
  getLength(): number;
  forEach(visit: (value: unknown, key: string) => void): void;
}

const isMap = (value: unknown): value is WireMap =>
  typeof value === 'object' && value !== null && 'getEntryList' in value && 'getLength' in value;

function entriesOf(map: WireMap): [string, unknown][] {
  const entries: [string, unknown][] = [];
  map.forEach((value, key) => entries.push([key, plainValue(value) ?? value]));
  return entries.sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Fills a request. Requests hold texts, numbers, lists of texts, and property values: an object is always a Struct. */
export function fill<M extends Message>(message: M, plain: Plain): M {
  const accessors = message as unknown as Accessors;
  for (const [field, value] of Object.entries(plain)) {
    const isStruct = typeof value === 'object' && value !== null && !Array.isArray(value);
    accessors[`set${field}`]!(isStruct ? Struct.fromJavaScript(value as Record<string, JavaScriptValue>) : value);
  }
  return message;
}
