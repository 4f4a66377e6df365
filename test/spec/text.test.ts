import { OSLO, osloWith, problemsOf, removeStacksFolders } from './stacksFolder';

afterAll(removeStacksFolders);

test('the smallest site has no problems', () => {
  expect(problemsOf(OSLO)).toEqual([]);
});

test('every YAML syntax error is told, and no half-read values', () => {
  expect(problemsOf('name: oslo\nunderlay: [1, 2\nmachines: "abc\n')).toEqual([
    'stacks/sites/oslo.yaml:3:1 not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
    'stacks/sites/oslo.yaml:4:1 not valid YAML: Missing closing "quote',
  ]);
});

test('a tab in the indentation', () => {
  expect(problemsOf('name: oslo\nunderlay:\n\tmtu: 1500\n')).toEqual([
    'stacks/sites/oslo.yaml:3:1 not valid YAML: a tab in the indentation; use spaces',
  ]);
});

test('a second document', () => {
  expect(problemsOf(osloWith('---\nname: x\n'))).toEqual([
    'stacks/sites/oslo.yaml:14:1 not valid YAML: a second document begins here; a file holds one, so take the line --- away',
  ]);
});

test('a duplicate key names both places, and the rest is still checked', () => {
  expect(problemsOf(osloWith('environment: lab\nnetwork:\n  podMtu: 70000\n'))).toEqual([
    'stacks/sites/oslo.yaml:14:1 environment: this key is already at stacks/sites/oslo.yaml:3:1; keep one of the two',
    'stacks/sites/oslo.yaml:16:11 network.podMtu: 70000 is too large: write auto or a whole number from 576 to 65535 (bytes)',
  ]);
});

test('a duplicate name in a list names both places', () => {
  const site = osloWith('    - name: cp1\n      role: worker\n      addresses: [192.0.2.12/24]\n');
  expect(problemsOf(site)).toEqual([
    'stacks/sites/oslo.yaml:14:13 machines.nodes[cp1].name: "cp1" is already the name of the entry at stacks/sites/oslo.yaml:11:13; names are unique within a list: rename or remove one',
  ]);
});

test('anchors and aliases are allowed', () => {
  const site = OSLO.replace('[192.0.2.0/24]', '&one [192.0.2.0/24]').replace('[192.0.2.11/24]', '*one');
  expect(problemsOf(site)).toEqual([]);
});

test('an alias without its anchor, and one within itself', () => {
  expect(problemsOf(osloWith('network: *nowhere\n'))).toEqual([
    'stacks/sites/oslo.yaml:14:10 network: *nowhere: there is no anchor &nowhere above it; add one, or write the value out',
  ]);
  expect(problemsOf(osloWith('network: &a\n  podCidrs: *a\n'))).toContain(
    'stacks/sites/oslo.yaml:15:13 network.podCidrs: *a: stands inside the value it stands for; write the value out',
  );
});

test('aliases that multiply are refused before they fill the memory', () => {
  const levels = Array.from({ length: 12 }, (_, level) =>
    level === 0
      ? 'a0: &a0 [1]'
      : `a${level}: &a${level} [${Array(9)
          .fill(`*a${level - 1}`)
          .join(', ')}]`,
  );
  const problems = problemsOf(osloWith(`${levels.join('\n')}\n`));
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(/: the aliases stand for more than 100000 values; write them out$/);
});

test('a file that is empty lacks every required key', () => {
  expect(problemsOf('# nothing yet\n').map((line) => line.split(',')[0])).toEqual([
    'stacks/sites/oslo.yaml:1:1 name: missing',
    'stacks/sites/oslo.yaml:1:1 kit: missing',
    'stacks/sites/oslo.yaml:1:1 environment: missing',
    'stacks/sites/oslo.yaml:1:1 underlay: missing',
    'stacks/sites/oslo.yaml:1:1 machines: missing',
  ]);
});

test('a file that is no map', () => {
  expect(problemsOf('- a\n')).toEqual([
    'stacks/sites/oslo.yaml:1:1 a list is the whole file: write a map of keys, one a line',
  ]);
});

describe('a private key is refused and never printed', () => {
  const refused =
    'this is a private key; site files are not secret. Take it out, consider it leaked (make a new one), ' +
    "and leave keys to `sitewright new`, which keeps them encrypted in the site's Pulumi config";
  const key = '-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n';
  const indented = key.replace(/^(?=.)/gm, '    ');

  test('as the value of a known key', () => {
    const problems = problemsOf(osloWith(`nodePrep:\n  hosts:\n    key: |\n  ${indented.replace(/\n(?=.)/g, '\n  ')}`));
    expect(problems[0]).toBe(`stacks/sites/oslo.yaml:16:10 nodePrep.hosts.key: ${refused}`);
    expect(problems.join()).not.toContain('c2VjcmV0');
  });

  test('as the value of an unknown key', () => {
    const problems = problemsOf(osloWith(`sshKey: |\n${indented}`));
    expect(problems[1]).toBe(`stacks/sites/oslo.yaml:14:9 sshKey: ${refused}`);
    expect(problems.join()).not.toContain('c2VjcmV0');
  });

  test('in a comment, and where it breaks the syntax', () => {
    expect(problemsOf(osloWith('# -----BEGIN RSA PRIVATE KEY-----\n'))).toEqual([
      `stacks/sites/oslo.yaml:14:1 ${refused}`,
    ]);
    const problems = problemsOf(osloWith(`sshKey: ${key}`));
    expect(problems[0]).toBe(`stacks/sites/oslo.yaml:14:1 ${refused}`);
    expect(problems.join()).not.toContain('c2VjcmV0');
  });

  test('in a profile', () => {
    const problems = problemsOf(osloWith('extends: a\n'), { a: `nodePrep:\n  modules:\n  - |\n${indented}` });
    expect(problems[0]).toBe(`stacks/profiles/a.yaml:3:5 nodePrep.modules[0]: ${refused}`);
  });
});
