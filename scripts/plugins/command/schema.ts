import type { CheckFailure } from '../base';
import {
  hasUnknown,
  isObject,
  isSecret,
  mapValues,
  plain,
  secret,
  signature,
  type Value,
  type Values,
} from '../values';

/**
 * The properties of the official command plugin 1.2.1, as the one table that Check, Diff and GetSchema work from.
 * A contract test holds it against the official schema.
 */
export interface Property {
  type:
    'string' | 'boolean' | 'integer' | 'number' | 'strings' | 'stringMap' | 'any[]' | 'asset' | 'archive' | 'assets';
  /** Allowed values of a string. */
  oneOf?: string[];
  /** Properties of an object; then `type` plays no part. */
  object?: Record<string, Property>;
  /** Name of the object type in the schema. */
  objectType?: string;
  required?: true;
  default?: string | number;
  secret?: true;
  replaceOnChanges?: true;
}
export type Properties = Record<string, Property>;

const string: Property = { type: 'string' };
const logging: Property = { type: 'string', oneOf: ['stdout', 'stderr', 'stdoutAndStderr', 'none'] };
const triggers: Property = { type: 'any[]', replaceOnChanges: true };

const endpoint: Properties = {
  host: { type: 'string', required: true },
  port: { type: 'number', default: 22 },
  user: { type: 'string', default: 'root' },
  password: { type: 'string', secret: true },
  privateKey: { type: 'string', secret: true },
  privateKeyPassword: { type: 'string', secret: true },
  agentSocketPath: string,
  dialErrorLimit: { type: 'integer', default: 10 },
  perDialTimeout: { type: 'integer', default: 15 },
  hostKey: string,
};

const connection: Property = {
  type: 'string',
  object: { ...endpoint, proxy: { type: 'string', object: endpoint, objectType: 'command:remote:ProxyConnection' } },
  objectType: 'command:remote:Connection',
  required: true,
  secret: true,
};

const lifecycle: Properties = { create: string, update: string, delete: string, triggers };

const run: Properties = {
  stdin: string,
  logging,
  environment: { type: 'stringMap' },
  addPreviousOutputInEnv: { type: 'boolean' },
};

const localRun: Properties = {
  ...run,
  dir: string,
  interpreter: { type: 'strings' },
  assetPaths: { type: 'strings' },
  archivePaths: { type: 'strings' },
};

const output: Property = { type: 'string', required: true };
const results: Properties = { stdout: output, stderr: output };
const localResults: Properties = { ...results, assets: { type: 'assets' }, archive: { type: 'archive' } };

export interface Shape {
  inputs: Properties;
  /** Outputs that are not inputs. */
  results: Properties;
}

export const localCommand: Shape = { inputs: { ...lifecycle, ...localRun }, results: localResults };
export const remoteCommand: Shape = { inputs: { ...lifecycle, ...run, connection }, results };
export const copyToRemote: Shape = {
  inputs: {
    connection,
    source: { type: 'asset', required: true },
    remotePath: { type: 'string', required: true },
    triggers,
  },
  results: {},
};
export const localRunFunction: Shape = {
  inputs: { ...localRun, command: { type: 'string', required: true } },
  results: localResults,
};

/** A change of `triggers` itself or of anything in it replaces the resource. */
export function replaces(properties: Properties, path: string): boolean {
  return properties[path.split(/[.[]/)[0]]?.replaceOnChanges === true;
}

/** Fills in defaults, marks what is always secret, and reports everything that does not fit at once. */
export function check(properties: Properties, inputs: Values): { inputs: Values; failures: CheckFailure[] } {
  const failures: CheckFailure[] = [];
  return { inputs: checkObject(properties, inputs, '', failures), failures };
}

function checkObject(properties: Properties, given: Values, prefix: string, failures: CheckFailure[]): Values {
  const result: Values = {};
  for (const [name, value] of Object.entries(given)) {
    // The engine adds its own keys to inputs; the program's language may send null for "not given".
    if (value === null || name === 'version' || name.startsWith('__')) continue;
    const property = properties[name];
    const path = prefix + name;
    if (!property) {
      failures.push({ property: path, reason: `unknown; allowed are ${Object.keys(properties).sort().join(', ')}` });
      continue;
    }
    const checked = checkValue(property, value, path, failures);
    result[name] = property.secret ? secret(checked) : checked;
  }
  for (const [name, property] of Object.entries(properties)) {
    if (name in result) continue;
    if (property.default !== undefined) result[name] = property.default;
    else if (property.required) failures.push({ property: prefix + name, reason: 'is required' });
  }
  return result;
}

function checkValue(property: Property, value: Value, path: string, failures: CheckFailure[]): Value {
  if (property.object) {
    const bare = isSecret(value) ? (value as Values).value : value;
    if (!isObject(bare)) {
      if (!hasUnknown(bare)) failures.push({ property: path, reason: 'must be an object' });
      return value;
    }
    const checked = checkObject(property.object, bare, `${path}.`, failures);
    return isSecret(value) ? secret(checked) : checked;
  }
  const expected = hasUnknown(value) ? undefined : misfit(property, plain(value) as Value);
  if (expected) failures.push({ property: path, reason: `must be ${expected}` });
  return value;
}

/** What the value should have been, or undefined where it fits. */
function misfit(property: Property, value: Value): string | undefined {
  const isString = (item: Value) => typeof item === 'string';
  switch (property.type) {
    case 'string':
      if (!isString(value)) return 'a string';
      return property.oneOf && !property.oneOf.includes(value as string)
        ? `one of ${property.oneOf.join(', ')}; given ${value}`
        : undefined;
    case 'boolean':
      return typeof value === 'boolean' ? undefined : 'true or false';
    case 'number':
      return typeof value === 'number' ? undefined : 'a number';
    case 'integer':
      return Number.isInteger(value) ? undefined : 'a whole number';
    case 'strings':
      return Array.isArray(value) && value.every(isString) ? undefined : 'a list of strings';
    case 'stringMap':
      return isObject(value) && Object.values(value).every(isString) ? undefined : 'a map of strings';
    case 'any[]':
      return Array.isArray(value) ? undefined : 'a list';
    case 'asset':
    case 'archive':
      return signature(value) ? undefined : 'an asset or an archive';
    case 'assets':
      return isObject(value) ? undefined : 'a map of assets';
  }
}

const schemaTypes = {
  string: { type: 'string' },
  boolean: { type: 'boolean' },
  integer: { type: 'integer' },
  number: { type: 'number' },
  strings: { type: 'array', items: { type: 'string' } },
  stringMap: { type: 'object', additionalProperties: { type: 'string' } },
  'any[]': { type: 'array', items: { $ref: 'pulumi.json#/Any' } },
  asset: { $ref: 'pulumi.json#/Asset' },
  archive: { $ref: 'pulumi.json#/Archive' },
  assets: { type: 'object', additionalProperties: { $ref: 'pulumi.json#/Asset' } },
};

type JsonSchema = Record<string, unknown>;

/** The package schema that GetSchema answers: what tools need, without descriptions. */
export function packageSchema(version: string): string {
  const types: Record<string, JsonSchema> = {};
  const objectOf = (properties: Properties, module: string) => ({
    properties: mapEntries(properties, (property) => describe(property, module)),
    required: required(properties),
  });
  const describe = (property: Property, module: string): JsonSchema => {
    const { object, objectType, oneOf } = property;
    let type: JsonSchema = schemaTypes[property.type];
    if (object && objectType) {
      types[objectType] = { type: 'object', ...objectOf(object, module) };
      type = { $ref: `#/types/${objectType}` };
    } else if (oneOf) {
      const token = `command:${module}:Logging`;
      types[token] = { type: 'string', enum: oneOf.map((value) => ({ value })) };
      type = { $ref: `#/types/${token}` };
    }
    return {
      ...type,
      ...(property.default === undefined ? {} : { default: property.default }),
      ...(property.secret && { secret: true }),
      ...(property.replaceOnChanges && { replaceOnChanges: true }),
    };
  };
  const resource = (shape: Shape, module: string) => ({
    ...objectOf({ ...shape.inputs, ...shape.results }, module),
    inputProperties: mapEntries(shape.inputs, (property) => describe(property, module)),
    requiredInputs: required(shape.inputs),
  });
  const runShape = localRunFunction;
  const resources = {
    'command:local:Command': resource(localCommand, 'local'),
    'command:remote:Command': resource(remoteCommand, 'remote'),
    'command:remote:CopyToRemote': resource(copyToRemote, 'remote'),
  };
  const functions = {
    'command:local:run': {
      inputs: { type: 'object', ...objectOf(runShape.inputs, 'local') },
      outputs: { type: 'object', ...objectOf({ ...runShape.inputs, ...runShape.results }, 'local') },
    },
  };
  return JSON.stringify({ name: 'command', version, types, resources, functions });
}

function required(properties: Properties): string[] {
  return Object.keys(properties).filter((name) => properties[name].required);
}

function mapEntries(properties: Properties, change: (property: Property) => JsonSchema): JsonSchema {
  return Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, change(property)]));
}

/** Inputs with all secrets unwrapped, for the code that runs them. */
export function plainInputs<T>(inputs: Values): T {
  return mapValues(inputs, (value) => plain(value) as Value) as T;
}
