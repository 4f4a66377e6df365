import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import Ajv from 'ajv';
import { parse } from 'yaml';
import { computePlan } from '../../components/plan';
import { formatProblem, listProfiles, listSites, loadSite, toProblems } from '../../components/spec';
import { siteKeys, type KeySchema } from '../../components/spec/describe';
import { editorSchema, outdated } from '../../scripts/schema';

const KIT = resolve(__dirname, '../..');
const STACKS = join(KIT, 'stacks');
const kitVersion = (JSON.parse(readFileSync(join(KIT, 'package.json'), 'utf8')) as { version: string }).version;

/** Every key with its path, list entries as `[]`. */
function keys(schema: KeySchema, path = ''): [string, KeySchema][] {
  const own = Object.entries(schema.properties ?? {}).map(([key, value]): [string, KeySchema] => [
    `${path}.${key}`,
    value,
  ]);
  const inner = [...(schema.anyOf ?? []), schema.items].filter((part) => part !== undefined);
  return [
    ...own,
    ...own.flatMap(([at, value]) => keys(value, at)),
    ...inner.flatMap((part) => keys(part, `${path}[]`)),
  ];
}

test('the generated files are current', () => {
  expect(outdated(KIT)).toEqual([]);
});

test('every key has a description, and every plain number a unit unless it is a port, an AS or a VRRP ID', () => {
  const all = keys(siteKeys);
  expect(all.length).toBeGreaterThan(90);
  expect(all.filter(([, { description }]) => !description?.endsWith('.')).map(([path]) => path)).toEqual([]);
  const numbers = all.filter(([, { type }]) => type === 'integer');
  expect(numbers.filter(([path, { unit }]) => !unit && !/([pP]ort|asNumber|vrid)$/.test(path))).toEqual([]);
});

test('every required key has an example for the message about a missing one', () => {
  const walk = (schema: KeySchema, path: string): string[] => {
    const missing = (schema.required ?? []).filter((key) => !schema.properties?.[key].examples);
    const parts = [
      ...Object.values(schema.properties ?? {}),
      ...(schema.anyOf ?? []),
      ...(schema.items ? [schema.items] : []),
    ];
    return [...missing.map((key) => `${path}.${key}`), ...parts.flatMap((part) => walk(part, `${path}.`))];
  };
  expect(walk(siteKeys, '')).toEqual([]);
});

describe('the schema for editors', () => {
  const validate = new Ajv({ strict: false, allErrors: true }).compile(editorSchema());
  const faults = (value: unknown) =>
    validate(value) ? [] : (validate.errors ?? []).map((e) => `${e.instancePath} ${e.message}`);

  const files = ['sites', 'profiles'].flatMap((folder) =>
    readdirSync(join(STACKS, folder)).map((file) => join(folder, file)),
  );
  test.each(files)('accepts %s as it is written', (file) => {
    const text = readFileSync(join(STACKS, file), 'utf8');
    expect(faults(parse(text))).toEqual([]);
    expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=../site.schema.json');
  });

  test('lets a file leave to its profile what is required, and take away what the profile has', () => {
    expect(faults({ name: 'oslo', machines: { nodes: [{ name: 'cp1', mac: null }] }, network: null })).toEqual([]);
  });

  test('refuses unknown keys, wrong values and entries without the name they merge by', () => {
    expect(faults({ bogus: 1 })).toEqual([' must NOT have additional properties']);
    expect(faults({ kubeProxy: { mode: 'ipsv' } })).toEqual([
      '/kubeProxy/mode must be equal to one of the allowed values',
    ]);
    expect(faults({ machines: { nodes: [{ role: 'worker' }] } })).toEqual([
      "/machines/nodes/0 must have required property 'name'",
    ]);
  });
});

describe('the sites and profiles of the kit', () => {
  const validate = new Ajv({ strict: false }).compile(siteKeys as object);

  test.each(listSites(STACKS))('%s loads, and is valid for the JSON schema of a whole site', (site) => {
    const result = loadSite({ stacksDir: STACKS, site, kitVersion });
    expect(result.ok ? [] : result.problems.map(formatProblem)).toEqual([]);
    if (result.ok) expect(validate(JSON.parse(JSON.stringify(result.spec)))).toBe(true);
  });

  test.each(listSites(STACKS))('%s can be planned', (site) => {
    const result = loadSite({ stacksDir: STACKS, site, kitVersion });
    if (!result.ok) throw new Error('it does not load');
    const { findings } = computePlan(result.spec, kitVersion);
    // The one choice of the kit that Kubernetes will take away: the warning says when and what instead.
    const ipvs =
      /^stacks\/profiles\/base\.yaml:\d+:\d+ kubeProxy\.mode: warning: ipvs is deprecated since Kubernetes 1\.35/;
    const others = toProblems(findings, result.source)
      .map(formatProblem)
      .filter((line) => !ipvs.test(line));
    expect(others).toEqual([]);
  });

  test('the profiles are there', () => {
    expect(listProfiles(STACKS)).toEqual(['base', 'lab', 'production', 'staging']);
  });
});
