import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { TestKit } from './kit';

/** Several sites at once, by the real command line and without a machine. */
let kit: TestKit;
beforeAll(() => {
  kit = new TestKit();
  kit.writeSite('oslo', site('oslo', 1));
  kit.writeSite('bergen', site('bergen', 2));
});
afterAll(() => kit?.remove());

const site = (name: string, number: number, more = '') => `name: ${name}
extends: staging
kit: ^0.1.0
joined: [wan]
underlay:
  subnets:
    - name: servers
      cidrs: [192.0.${number}.0/24]
machines:
  provider: existing
  defaults: null
  nodes:
    - name: cp1
      role: control-plane
      addresses: [192.0.${number}.11/24]
      ssh:
        hostKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIICBgoOEhYaHiImKi4yNjo+QkZKTlJWWl5iZmpucnZ6f
network:
  podCidrs: [10.${number}.0.0/16]
  serviceCidrs: [172.${16 + number}.0.0/16]
${more}`;

describe('validate', () => {
  test('without a name checks every site', () => {
    expect(kit.run(['validate'])).toMatchObject({ code: 0, stdout: '2 of 2 sites are valid by themselves\n' });
  });

  test('what two sites may not both have is bad input, with both places, for all and for each', () => {
    kit.writeSite('bergen', site('bergen', 2).replace('10.2.0.0/16', '10.1.0.0/16'));
    const all = kit.run(['validate']);
    const line =
      /^stacks\/sites\/oslo.yaml:19:14 .*overlaps the pod network 10.1.0.0\/16 of bergen \(stacks\/sites\/bergen.yaml:19:14\)/m;
    expect(all.stderr).toMatch(line);
    expect(all).toMatchObject({ code: 2, stdout: '2 of 2 sites are valid by themselves; errors between sites: 1\n' });
    expect(kit.run(['validate', 'bergen'])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^stacks\/sites\/bergen.yaml:19:14 .*of oslo \(stacks\/sites\/oslo.yaml:19:14\)/),
    });
    const json = kit.run(['validate', '--json']);
    expect(json.code).toBe(2);
    expect(JSON.parse(json.stdout)).toMatchObject({
      valid: false,
      sites: [
        { site: 'bergen', valid: true },
        { site: 'oslo', valid: true },
      ],
      across: [{ site: 'oslo', line: 19, other: { site: 'bergen', line: 19 } }],
    });
    kit.writeSite('bergen', site('bergen', 2));
  });

  test('an exception that has ended is bad input for all and for the site', () => {
    const exception = '{ name: support-end, owner: ops, until: 2020-01-31, reason: later }';
    kit.writeSite('bergen', site('bergen', 2, `rules:\n  exceptions:\n    - ${exception}\n`));
    const message =
      /^stacks\/sites\/bergen.yaml:23:\d+ rules.exceptions\[support-end\].until: the exception .* ended on 2020/m;
    expect(kit.run(['validate', 'bergen'])).toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
    expect(kit.run(['validate'])).toMatchObject({
      ...{ code: 2, stdout: '1 of 2 sites are valid by themselves; broken: bergen\n' },
      stderr: expect.stringMatching(message),
    });
    expect(kit.run(['validate', 'oslo'])).toMatchObject({ code: 0 });
    kit.writeSite('bergen', site('bergen', 2));
  });

  test('a broken site is told, the others are still compared, and one by itself stays valid', () => {
    kit.writeSite('wrong', site('wrong', 3, 'nodPrep: {}\n'));
    const all = kit.run(['validate']);
    expect(all).toMatchObject({ code: 2, stdout: '2 of 3 sites are valid by themselves; broken: wrong\n' });
    expect(all.stderr).toMatch(/sites\/wrong.yaml:21:1 nodPrep: unknown key; did you mean nodePrep\?/);
    expect(kit.run(['validate', 'oslo'])).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/not compared with wrong/),
    });
  });
});

describe('fleet', () => {
  /** As the engine writes it: the outputs of the proof, and when each probe was made. */
  const writeState = (name: string, findings: object[], compressed = false) => {
    const file = join(kit.stateDir, '.pulumi/stacks/sitewright', `${name}.json${compressed ? '.gz' : ''}`);
    const urn = (type: string, own: string) => `urn:pulumi:${name}::sitewright::${type}::${own}`;
    const probe = (own: string, modified: string) => ({
      urn: urn('command:local:Command', `${name}-proof-${own}`),
      type: 'command:local:Command',
      modified,
    });
    const outputs = { results: [{ facts: {}, findings }] };
    const resources = [
      { urn: urn('pulumi:pulumi:Stack', `sitewright-${name}`), type: 'pulumi:pulumi:Stack', outputs: {} },
      { urn: urn('sitewright:proof:Proof', `${name}-proof`), type: 'sitewright:proof:Proof', outputs },
      probe('cp1', '2026-03-02T10:00:00.5Z'),
      probe('n2', '2026-03-01T10:00:00Z'),
    ];
    const text = JSON.stringify({ version: 3, checkpoint: { stack: name, latest: { resources } } });
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, compressed ? gzipSync(text) : text);
  };

  test('lists the good beside the broken, with the last proof of a state on this machine', () => {
    writeState('oslo', [{ severity: 'warn' }, { severity: 'info' }]);
    writeState('bergen', [], true);
    kit.writeSite('wrong', site('wrong', 3, 'nodPrep: {}\n'));
    kit.writeSite(
      'cluster',
      site('cluster', 4, 'kubernetes: { version: 1.36.1 }\nbackend: { url: s3://acme-state }\n'),
    );
    const run = kit.run(['fleet']);
    expect(run.stdout).toBe(
      [
        'site     environment        kit     kubernetes  supported until  routing  pod MTU  last proof',
        'bergen   staging            ^0.1.0  -           -                bgp      1500     2026-03-02',
        'cluster  staging            ^0.1.0  1.36.1      2027-06-28       routes   1500     -',
        'oslo     staging            ^0.1.0  -           -                bgp      1500     2026-03-02 (warnings: 1)',
        'wrong    broken: 1 problem  -       -           -                -        -        -',
        '',
      ].join('\n'),
    );
    expect(run).toMatchObject({ code: 2, stderr: expect.stringMatching(/^stacks\/sites\/wrong.yaml:21:1 nodPrep/) });
    const json = JSON.parse(kit.run(['fleet', '--json']).stdout) as { sites: { site: string }[] };
    expect(json).toMatchObject({
      sites: [
        { site: 'bergen', kubernetes: null, lastProof: { at: '2026-03-02T10:00:00.500Z', probes: 1, warnings: 0 } },
        {
          site: 'cluster',
          kubernetes: { planned: '1.36.1', runs: null, supportedUntil: '2027-06-28' },
          lastProof: null,
        },
        {
          site: 'oslo',
          environment: 'staging',
          kit: '^0.1.0',
          machines: 1,
          podMtuBytes: 1500,
          lastProof: { warnings: 1 },
        },
      ],
      broken: [{ site: 'wrong', problems: [{ line: 21 }] }],
    });
  });

  test('as Markdown, for a page', () => {
    const { code, stdout } = kit.run(['fleet', '--markdown']);
    expect(code).toBe(2);
    expect(stdout.split('\n').slice(1, 3)).toEqual([
      '| --- | --- | --- | --- | --- | --- | --- | --- |',
      '| bergen | staging | ^0.1.0 | - | - | bgp | 1500 | 2026-03-02 |',
    ]);
    expect(kit.run(['fleet', '--markdown', '--json'])).toMatchObject({
      code: 2,
      stdout: expect.stringMatching(/--markdown and --json: choose one/),
    });
  });
});
