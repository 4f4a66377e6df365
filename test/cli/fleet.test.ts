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
