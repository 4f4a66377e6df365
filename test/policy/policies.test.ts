import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { version } from '../../package.json';
import { RULES } from '../../components/spec/rulesSchema';
import { policies, ruleProblemsOf, type RuleProblem } from '../../scripts/policy/policies';
import { BROKEN, findingsOf, production } from '../plan/brokenRules';
import { osloWith, removeStacksFolders, stacksFolder } from '../spec/stacksFolder';

afterAll(removeStacksFolders);

/** What a policy reports of a stack with these problems. */
function ofStack(name: string, problems: RuleProblem[]): string[] {
  const policy = policies((stack) => (stack === 'oslo' ? problems : [])).find((one) => one.name === name)!;
  const said: string[] = [];
  const urn = 'urn:pulumi:oslo::sitewright::pulumi:pulumi:Stack::sitewright-oslo';
  policy.validateStack!({ resources: [{ urn }] }, (message) => said.push(message));
  return said;
}

function ofResource(name: string, type: string, props: Record<string, unknown>): string[] {
  const policy = policies(() => []).find((one) => one.name === name)!;
  const said: string[] = [];
  policy.validateResource!({ type, props }, (message) => said.push(message));
  return said;
}

const located = (findings: ReturnType<typeof findingsOf>): RuleProblem[] =>
  findings.map((finding) => ({
    ...finding,
    path: [...finding.path],
    given: '',
    file: 'f',
    line: 1,
    column: 2,
    where: 'w',
  }));

describe.each(RULES)('%s', (rule) => {
  test('a site that keeps it passes', () => {
    const problems = located(findingsOf(production));
    expect([...ofStack(rule, problems), ...ofStack(`${rule}-warning`, problems)]).toEqual([]);
  });

  test('one that breaks it is reported by the policy of its level alone, and by no other rule', () => {
    const problems = located(findingsOf(...BROKEN[rule]));
    const own = problems[0]!.severity === 'error' ? rule : `${rule}-warning`;
    for (const { name } of policies(() => []).filter((one) => 'validateStack' in one))
      expect(ofStack(name, problems)).toHaveLength(name === own ? problems.length : 0);
    expect(ofStack(own, problems)[0]).toMatch(/^f:1:2 w: .*\(rule /);
  });
});

test('errors stop the engine, warnings do not', () => {
  for (const { name, enforcementLevel } of policies(() => []))
    expect(enforcementLevel).toBe(name.endsWith('-warning') ? 'advisory' : 'mandatory');
});

test('problems come from the files of the site, with their place; other stacks have none', () => {
  const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIICBgoOEhYaHiImKi4yNjo+QkZKTlJWWl5iZmpucnZ6f';
  const personal = 'policy:\n  namespaces:\n    - name: erp\n      data: personal\n';
  const oslo = osloWith(`      ssh:\n        hostKey: ${key}\n${personal}`);
  const stacksDir = stacksFolder({ 'sites/oslo.yaml': oslo, 'sites/bad.yaml': 'bad: true\n' });
  const files = { stacksDir, kitVersion: version, today: '2026-11-21' };
  expect(ruleProblemsOf(files, 'oslo')).toEqual([
    expect.objectContaining({ rule: 'personal-data', severity: 'error', file: 'stacks/sites/oslo.yaml', line: 19 }),
  ]);
  expect([...ruleProblemsOf(files, 'bad'), ...ruleProblemsOf(files, 'nope')]).toEqual([]);
});

describe('pinned-host-keys', () => {
  const key = 'ssh-ed25519 AAAA';
  const remote = (connection: object) => ofResource('pinned-host-keys', 'command:remote:Command', { connection });

  test('a command whose hosts are known passes', () => {
    expect(remote({ host: 'a', hostKey: key, proxy: { host: 'b', hostKey: key } })).toEqual([]);
    expect(ofResource('pinned-host-keys', 'command:local:Command', {})).toEqual([]);
  });

  test('one that trusts any machine is reported, the jump host too', () => {
    expect(remote({ host: 'a' })).toEqual([expect.stringMatching(/^connection\.hostKey is missing/)]);
    expect(remote({ host: 'a', hostKey: key, proxy: { host: 'b', hostKey: '' } })).toEqual([
      expect.stringMatching(/^connection\.proxy\.hostKey is missing/),
    ]);
  });
});

describe('plain-keys', () => {
  const pem = '-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n';

  test('a key where it is a secret passes', () => {
    expect(ofResource('plain-keys', 'command:remote:Command', { stdin: pem, connection: { privateKey: pem } })).toEqual(
      [],
    );
    expect(ofResource('plain-keys', 'kubernetes:core/v1:Secret', { data: { key: pem } })).toEqual([]);
  });

  test('what is not known yet is nothing to report', () => {
    const unknown = {
      enumerable: true,
      get: () => {
        throw new Error('the value cannot be known during preview');
      },
    };
    const props = Object.defineProperties({}, { triggers: unknown, stdin: unknown });
    expect(ofResource('plain-keys', 'command:remote:Command', props)).toEqual([]);
  });

  test('a key in a command line, a setting or a ConfigMap is reported without showing it', () => {
    const said = [
      ...ofResource('plain-keys', 'command:remote:Command', { create: `echo '${pem}'` }),
      ...ofResource('plain-keys', 'command:local:Command', { environment: { KEY: pem } }),
      ...ofResource('plain-keys', 'kubernetes:core/v1:ConfigMap', { data: { key: pem } }),
    ];
    expect(said).toEqual(
      ['create', 'environment', 'data'].map((name) => expect.stringMatching(`^${name} holds a private`)),
    );
    expect(said.join()).not.toContain('abc');
  });
});

test('the pack has the version of the kit', () => {
  const pack = JSON.parse(readFileSync(join(__dirname, '../../scripts/policy/package.json'), 'utf8')) as object;
  expect(pack).toMatchObject({ version });
});
