import { computePlan, type FleetSite } from '../../components/plan';
import { loadSite } from '../../components/spec';
import { findingsOf } from '../../scripts/review/findings';
import { removeStacksFolders, stacksFolder } from '../spec/stacksFolder';

afterAll(removeStacksFolders);

const NOW = new Date('2026-11-21T12:00:00Z');
const KIT = '0.1.0';
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIICBgoOEhYaHiImKi4yNjo+QkZKTlJWWl5iZmpucnZ6f';

const site = (name: string, number: number, more = '') => `name: ${name}
kit: ^${KIT}
environment: production
underlay:
  subnets:
    - name: rack
      cidrs: [192.0.${number}.0/24]
machines:
  provider: existing
  nodes:
    - name: cp1
      role: control-plane
      addresses: [192.0.${number}.11/24]
      ssh:
        hostKey: ${KEY}
${more}`;
const joined = (pods: string) => `joined: [wan]\nnetwork:\n  podCidrs: [${pods}]\n`;
const PERSONAL = 'policy:\n  namespaces:\n    - name: erp\n      data: personal\n';
const rules = (text: string) => `rules:\n${text}`;

type Sites = Record<string, string>;
const folderOf = (sites: Sites) =>
  stacksFolder(Object.fromEntries(Object.entries(sites).map(([name, text]) => [`sites/${name}.yaml`, text])));

function checked(stacksDir: string, name: string): FleetSite {
  const loaded = loadSite({ stacksDir, site: name, kitVersion: KIT });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return { spec: loaded.spec, plan: computePlan(loaded.spec, KIT).plan! };
}

/** The findings of the sites whose files differ. */
function found(before: Sites, after: Sites) {
  const [old, made] = [before, after].map(folderOf) as [string, string];
  const touched = Object.keys(after)
    .filter((name) => before[name] !== after[name] && !after[name]!.startsWith('broken'))
    .map((name) => ({ before: name in before ? checked(old, name) : null, after: checked(made, name) }));
  return findingsOf(touched, { label: 'worktree', stacksDir: made, kit: { version: KIT } }, NOW);
}

const clean = site('oslo', 1);
const personal = `${clean}${PERSONAL}`;
const SAID = /^stacks\/sites\/oslo\.yaml:19:13 policy\.namespaces\[erp\]\.data: erp handles .*\(rule personal-data\)$/;

test('a site that keeps the rules is not told of', () => {
  expect(found({ oslo: clean }, { oslo: `${clean}nodePrep:\n  swap: off\n` })).toEqual({ sites: [], notCompared: [] });
});

test('a broken rule that is an error is told with its place, new or not', () => {
  const expected = [{ site: 'oslo', errors: [expect.stringMatching(SAID)], warnings: [] }];
  expect(found({ oslo: clean }, { oslo: personal }).sites).toEqual(expected);
  expect(found({ oslo: personal }, { oslo: `${personal}joined: [wan]\n` }).sites).toEqual(expected);
});

test('a warning is told where it is new', () => {
  const asWarning = rules('  levels:\n    personal-data: warning\n');
  const warned = `${personal}${asWarning}`;
  const all = [expect.stringMatching(/warning: erp handles personal data/)];
  expect(found({ oslo: clean }, { oslo: warned }).sites).toEqual([{ site: 'oslo', errors: [], warnings: all }]);
  expect(found({}, { oslo: warned }).sites).toEqual([{ site: 'oslo', errors: [], warnings: all }]);
  expect(found({ oslo: warned }, { oslo: `${warned}joined: [wan]\n` }).sites).toEqual([]);
  // Another namespace before it moves its place in the list, and makes it no news.
  const moved = warned.replace('    - name: erp\n', '    - name: crm\n    - name: erp\n');
  expect(found({ oslo: warned }, { oslo: moved }).sites).toEqual([]);
});

test('an exception whose day is over is an error', () => {
  const exception = (until: string) =>
    rules(`  exceptions:\n    - { name: personal-data, owner: ops, until: "${until}", reason: later }\n`);
  expect(found({ oslo: clean }, { oslo: `${personal}${exception('2026-11-21')}` }).sites).toEqual([
    { site: 'oslo', errors: [], warnings: [expect.stringContaining('accepted by ops until 2026-11-21')] },
  ]);
  expect(found({ oslo: clean }, { oslo: `${clean}${exception('2026-11-20')}` }).sites).toEqual([
    {
      ...{ site: 'oslo', warnings: [] },
      errors: [
        expect.stringMatching(/rules\.exceptions\[personal-data\]\.until: the exception .* ended on 2026-11-20/),
      ],
    },
  ]);
});

describe('between sites', () => {
  const bergen = `${site('bergen', 2)}${joined('10.2.0.0/16')}`;
  const oslo = (pods: string) => `${clean}${joined(pods)}`;

  test('what a touched site and an untouched one may not both have, once', () => {
    const { sites, notCompared } = found(
      { bergen, oslo: oslo('10.1.0.0/16') },
      { bergen, oslo: oslo('10.2.128.0/17'), stavanger: site('stavanger', 3) },
    );
    expect(sites).toEqual([
      {
        ...{ site: 'oslo', warnings: [] },
        errors: [
          expect.stringMatching(/^stacks\/sites\/oslo.yaml:.*overlaps the pod network 10\.2\.0\.0\/16 of bergen \(/),
        ],
      },
    ]);
    expect(notCompared).toEqual([]);
  });

  test('two touched ones both say it', () => {
    const { sites } = found({}, { bergen, oslo: oslo('10.2.0.0/16') });
    expect(sites.map((one) => one.site)).toEqual(['bergen', 'oslo']);
  });

  test('a site without a plan is named, where others matter at all', () => {
    const broken = { broken: 'broken: true\n' };
    expect(found({ ...broken }, { ...broken, oslo: oslo('10.1.0.0/16') })).toEqual({
      ...{ sites: [], notCompared: ['broken'] },
    });
    expect(found({ ...broken }, { ...broken, oslo: clean }).notCompared).toEqual([]);
  });
});

test('a document of a kit that this one does not know is told of, not judged', () => {
  const stacksDir = folderOf({ oslo: clean });
  const after = checked(stacksDir, 'oslo');
  const older = { ...after, spec: { ...after.spec, rules: undefined } } as unknown as FleetSite;
  const side = { label: 'v0.0.9', stacksDir, kit: { version: '0.0.9' } };
  expect(findingsOf([{ before: null, after: older }], side, NOW).sites).toEqual([
    { site: 'oslo', errors: [], warnings: [expect.stringContaining('its rules were not looked at')] },
  ]);
  // As the earlier side it makes everything new.
  const made = { ...side, kit: { version: KIT } };
  expect(
    findingsOf([{ before: older, after: checked(folderOf({ oslo: personal }), 'oslo') }], made, NOW).sites,
  ).toEqual([{ site: 'oslo', errors: [expect.stringContaining('personal data')], warnings: [] }]);
});
