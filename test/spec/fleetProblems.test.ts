import { checkFleet, computePlan } from '../../components/plan';
import { formatProblem, loadSite, toFleetProblems } from '../../components/spec';
import { OSLO, removeStacksFolders, stacksFolder } from './stacksFolder';

afterAll(removeStacksFolders);

/** Both on a WAN that their profile names; the pod networks are defaults or written. */
function fleet() {
  const site = (name: string, more: string) =>
    OSLO.replace('name: oslo', `name: ${name}\nextends: base`)
      .replace('cidrs: [192.0.2.0/24]', `cidrs: [${name === 'oslo' ? '192.0.2.0/24' : '198.51.100.0/24'}]`)
      .replace('192.0.2.11/24]', `${name === 'oslo' ? '192.0.2.11/24' : '198.51.100.11/24'}]`)
      .concat(`      ssh: { hostKey: "ssh-ed25519 ${'A'.repeat(68)}" }\n${more}`);
  const stacksDir = stacksFolder({
    'profiles/base.yaml': 'joined: [wan]\n',
    'sites/oslo.yaml': site('oslo', 'network:\n  serviceCidrs: [10.1.0.0/16]\n'),
    'sites/bergen.yaml': site('bergen', 'network:\n  podCidrs: [10.244.0.0/17]\n  serviceCidrs: [10.2.0.0/16]\n'),
  });
  const loaded = ['oslo', 'bergen'].map((name) => {
    const result = loadSite({ stacksDir, site: name, kitVersion: '0.1.0' });
    if (!result.ok) throw new Error(result.problems.map(formatProblem).join('\n'));
    return { ...result, plan: computePlan(result.spec, '0.1.0').plan! };
  });
  return {
    findings: checkFleet(loaded),
    sources: new Map(loaded.map(({ plan, source }) => [plan.site, source])),
  };
}

test('a problem between sites stands at the later place, names the other, and joining comes from a profile', () => {
  const { findings, sources } = fleet();
  const problems = toFleetProblems(findings, sources);
  expect(problems.map(formatProblem)).toEqual([
    'stacks/sites/bergen.yaml:17:14 network.podCidrs[0]: the pod network 10.244.0.0/17 overlaps the pod network 10.244.0.0/16 ' +
      'of oslo (stacks/sites/oslo.yaml:17:3), and both sites are joined by wan: choose networks that share no address',
  ]);
  expect(problems[0]).toMatchObject({
    site: 'bergen',
    other: { site: 'oslo', file: 'stacks/sites/oslo.yaml', line: 17, column: 3 },
  });
});

test('for one site it stands in its own file, and what concerns others is left out', () => {
  const { findings, sources } = fleet();
  expect(toFleetProblems(findings, sources, 'oslo').map(formatProblem)).toEqual([
    expect.stringMatching(/^stacks\/sites\/oslo.yaml:17:3 .*of bergen \(stacks\/sites\/bergen.yaml:17:14\)/),
  ]);
  expect(toFleetProblems(findings, sources, 'narvik')).toEqual([]);
});
