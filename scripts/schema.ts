import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { allowedText, siteKeys, type KeySchema } from '../components/spec/describe';

/**
 * Writes what is generated from the site schema: the JSON Schema that editors use, and the reference of every key.
 * `--check` writes nothing and fails when a file is not what it would write.
 */

const KIT = resolve(__dirname, '../..');

/** The generated files, by path from the top of the kit. */
export function generated(): Map<string, string> {
  return new Map([
    ['stacks/site.schema.json', `${JSON.stringify(editorSchema(), null, 2)}\n`],
    ['stacks/KEYS.md', keyReference()],
  ]);
}

/**
 * The JSON Schema for one file, site or profile, before it is merged with others. It differs from the schema of a whole
 * site in two ways: a key may be missing, because a profile may have it (except the name that list entries merge by),
 * and a key may be null, which takes a profile's value away.
 */
export function editorSchema(): KeySchema {
  return { $schema: 'http://json-schema.org/draft-07/schema#', ...forEditor(siteKeys) } as KeySchema;
}

function forEditor(schema: KeySchema): KeySchema {
  const { properties, items, anyOf, additionalProperties, allowed, examples, ...rest } = schema;
  const made: KeySchema & { patternErrorMessage?: string } = rest;
  delete made.required;
  if (allowed !== undefined && schema.pattern !== undefined) made.patternErrorMessage = `Write ${allowed}.`;
  // Examples with a place-holder in them would be offered as completions.
  if (examples && !JSON.stringify(examples).match(/…|digits/)) made.examples = examples;
  if (anyOf) made.anyOf = anyOf.map(forEditor);
  if (items) made.items = items.properties?.name ? { ...forEditor(items), required: ['name'] } : forEditor(items);
  if (additionalProperties !== undefined) {
    made.additionalProperties = additionalProperties && orNull(forEditor(additionalProperties));
  }
  if (properties) {
    const entries = Object.entries(properties).map(([key, value]) => [key, orNull(forEditor(value))]);
    made.properties = Object.fromEntries(entries) as Record<string, KeySchema>;
  }
  return made;
}

function orNull(schema: KeySchema): KeySchema {
  if (schema.anyOf) return { ...schema, anyOf: [...schema.anyOf, { type: 'null' }] };
  const nullable: KeySchema = { ...schema, type: [schema.type as string, 'null'] };
  return schema.enum ? { ...nullable, enum: [...schema.enum, null] } : nullable;
}

/** One row of the reference. */
interface Row {
  key: string;
  allowed: string;
  initial: string;
  description: string;
}

export function keyReference(): string {
  const sections = Object.entries(siteKeys.properties ?? {}).map(([key, schema]) => {
    const rows = rowsOf(key, schema, siteKeys.required?.includes(key) ?? false);
    const [own, ...below] = rows;
    return { key, own, below };
  });
  const single = sections.filter(({ below }) => below.length === 0).map(({ own }) => own);
  const grouped = sections.filter(({ below }) => below.length > 0);
  return [
    '# Every key of a site file',
    '',
    'Generated from `components/spec/schema.ts` by `npm run schema`: edit it there.',
    '',
    '`[]` is an entry of a list, `*` a name of your choice. A required key may stand in the profile instead of the site.',
    'Merging, `null` and lists: `stacks/profiles/base.yaml`. Where a value of a site came from: `sitewright explain <site> <key>`.',
    '',
    '<!-- prettier-ignore-start -->',
    '',
    '## The site itself',
    '',
    ...table(single),
    ...grouped.flatMap(({ key, own, below }) => ['', `## ${key}`, '', own.description, '', ...table(below)]),
    '',
    '<!-- prettier-ignore-end -->',
    '',
  ].join('\n');
}

function rowsOf(key: string, schema: KeySchema, required: boolean): Row[] {
  const own = {
    key,
    allowed: allowedText(schema),
    initial: initialText(schema, required),
    description: schema.description ?? '',
  };
  const branches = schema.anyOf ?? [schema];
  const below = branches.flatMap((branch) => {
    const holder = branch.items ?? branch;
    const prefix = branch.items ? `${key}[]` : key;
    const named = Object.entries(holder.properties ?? {}).flatMap(([name, value]) =>
      rowsOf(`${prefix}.${name}`, value, holder.required?.includes(name) ?? false),
    );
    const free = holder.additionalProperties ? rowsOf(`${prefix}.*`, holder.additionalProperties, false) : [];
    return [...named, ...free.map((row) => ({ ...row, description: row.description || own.description }))];
  });
  return [own, ...below];
}

function initialText(schema: KeySchema, required: boolean): string {
  if (required) return 'required';
  const value = schema.default;
  // A map with defaults of its own says nothing here: its keys follow.
  if (value === undefined || (schema.type === 'object' && schema.properties)) return '–';
  if (typeof value === 'object' && Object.keys(value as object).length === 0) return 'none';
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

function table(rows: Row[]): string[] {
  const cell = (text: string) => text.replace(/\|/g, '\\|');
  const line = ({ key, allowed, initial, description }: Row) =>
    `| \`${key}\` | ${cell(allowed)} | ${cell(initial)} | ${cell(description)} |`;
  return ['| Key | Allowed | Default | Meaning |', '| --- | --- | --- | --- |', ...rows.map(line)];
}

/** Paths of generated files whose content on disk is another. */
export function outdated(kit: string): string[] {
  const current = (path: string) => {
    try {
      return readFileSync(join(kit, path), 'utf8');
    } catch {
      return undefined;
    }
  };
  return [...generated()].filter(([path, content]) => current(path) !== content).map(([path]) => path);
}

function main(check: boolean): number {
  const paths = outdated(KIT);
  if (check) {
    for (const path of paths) console.error(`${path} is not current: run npm run build && npm run schema`);
    return paths.length > 0 ? 1 : 0;
  }
  for (const path of paths) {
    writeFileSync(join(KIT, path), generated().get(path) as string);
    console.log(`wrote ${path}`);
  }
  return 0;
}

if (require.main === module) process.exitCode = main(process.argv.includes('--check'));
