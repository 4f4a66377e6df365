import { z } from 'zod';
import { impactOf, IMPACTS } from '../../components/plan';
import { siteSchema } from '../../components/spec/schema';

type JsonSchema = {
  anyOf?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
};

/** Every key of the schema that holds a value: `machines.nodes[].cpus`; lists of plain values and maps are one key. */
function leaves(schema: JsonSchema, path = ''): string[] {
  if (schema.anyOf) return schema.anyOf.flatMap((option) => leaves(option, path));
  if (schema.properties) {
    return Object.entries(schema.properties).flatMap(([key, value]) => leaves(value, path ? `${path}.${key}` : key));
  }
  if (schema.items?.properties || schema.items?.anyOf) return leaves(schema.items, `${path}[]`);
  return [path];
}

const keys = [...new Set(leaves(z.toJSONSchema(siteSchema, { io: 'input', reused: 'inline' }) as JsonSchema))];

const entriesOf = (key: string) =>
  IMPACTS.filter(({ pattern }) =>
    pattern.endsWith('.**')
      ? key === pattern.slice(0, -3) ||
        key.startsWith(`${pattern.slice(0, -3)}.`) ||
        key.startsWith(`${pattern.slice(0, -3)}[`)
      : key === pattern,
  );

test('the schema has the keys that this test thinks it walks', () => {
  expect(keys).toEqual(
    expect.arrayContaining(['name', 'machines.nodes[].ssh.port', 'machines.kvm.image', 'nodePrep.sysctls']),
  );
  expect(keys.length).toBeGreaterThan(80);
});

test.each(keys)('%s has exactly one entry', (key) => {
  expect(entriesOf(key).map((entry) => entry.pattern)).toHaveLength(1);
  expect(impactOf(key)).toBe(entriesOf(key)[0]);
});

test.each(IMPACTS.map((entry) => entry.pattern))('%s is about a key that exists', (pattern) => {
  expect(keys.some((key) => entriesOf(key).some((entry) => entry.pattern === pattern))).toBe(true);
});

test('paths of findings, of messages and of items find their entry', () => {
  expect(impactOf(['machines', 'nodes', 3, 'cpus'])?.impact).toBe('restart');
  expect(impactOf('machines.nodes[cp1].cpus')?.impact).toBe('restart');
  expect(impactOf(['nodePrep', 'sysctls', 'net.core.somaxconn'])?.impact).toBe('in place');
  expect(impactOf(['network', 'podCidrs', 1])?.impact).toBe('disruptive');
  expect(impactOf(['machines', 'kvm', 'image', 'kernel', 'path'])?.impact).toBe('new machines only');
  expect(impactOf(['name'])?.impact).toBe('replacement');
  expect(impactOf('no.such.key')).toBeUndefined();
});

test('every entry says why and what to do', () => {
  for (const entry of IMPACTS) {
    expect(entry.why).not.toBe('');
    expect(entry.action).not.toBe('');
  }
});
