import { loadSite, formatProblem, type SiteSpec } from '../../components/spec';
import { loadOslo, OSLO, osloWith, problemsOf, removeStacksFolders, stacksFolder } from './stacksFolder';

afterAll(removeStacksFolders);

function specOf(site: string, profiles: Record<string, string>): SiteSpec {
  const files = Object.entries(profiles).map(([name, text]) => [`profiles/${name}.yaml`, text]);
  const result = loadOslo({ ...Object.fromEntries(files), 'sites/oslo.yaml': site });
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join('\n'));
  return result.spec;
}

describe('merging', () => {
  test('the site wins over its profile, and that over the profile it extends', () => {
    const spec = specOf(osloWith('extends: near\nkubeProxy:\n  scheduler: lc\n'), {
      near: 'extends: far\nkubeProxy:\n  scheduler: sh\n  mode: nftables\n',
      far: 'kubeProxy:\n  mode: iptables\nnetwork:\n  podMtu: 1400\n',
    });
    expect(spec.kubeProxy).toMatchObject({ scheduler: 'lc', mode: 'nftables' });
    expect(spec.network.podMtu).toBe(1400);
    expect(spec.extends).toBe('near');
  });

  test('lists of named entries merge by name: the order of the profile, then what is new', () => {
    const site = osloWith(
      'extends: a\nchecks:\n  peers:\n    - { name: new, address: 192.0.2.3 }\n    - { name: b, tcpPort: 22 }\n',
    );
    const spec = specOf(site, {
      a: 'checks:\n  peers:\n    - { name: a, address: 192.0.2.1 }\n    - { name: b, address: 192.0.2.2, mtu: 9000 }\n',
    });
    expect(spec.checks.peers).toEqual([
      { name: 'a', address: '192.0.2.1' },
      { name: 'b', address: '192.0.2.2', mtu: 9000, tcpPort: 22 },
      { name: 'new', address: '192.0.2.3' },
    ]);
  });

  test('other lists, and an empty one, take the place of the profile’s', () => {
    const site = osloWith('extends: a\nchecks:\n  warn: [dns]\n  peers: []\n');
    const spec = specOf(site, { a: 'checks:\n  warn: [ntp, clock]\n  peers: [{ name: a, address: 192.0.2.1 }]\n' });
    expect(spec.checks).toMatchObject({ warn: ['dns'], peers: [] });
  });

  test('null takes a value, a map and a key of a named entry away', () => {
    const site = osloWith(
      'extends: a\nkubeProxy:\n  mode: null\nnodePrep:\nchecks:\n  peers:\n    - { name: a, mtu: ~ }\n',
    );
    const spec = specOf(site, {
      a: 'kubeProxy:\n  mode: iptables\n  scheduler: sh\nnodePrep:\n  swap: keep\nchecks:\n  peers: [{ name: a, address: 192.0.2.1, mtu: 9000 }]\n',
    });
    expect(spec.kubeProxy).toMatchObject({ mode: 'ipvs', scheduler: 'sh' });
    expect(spec.nodePrep.swap).toBe('off');
    expect(spec.checks.peers).toEqual([{ name: 'a', address: '192.0.2.1' }]);
  });

  test('a required key may come from the profile', () => {
    expect(specOf(OSLO.replace('environment: staging', 'extends: a'), { a: 'environment: lab' }).environment).toBe(
      'lab',
    );
  });
});

describe('profiles', () => {
  test('an unknown one, with a near name; what it may hold is not told as missing', () => {
    const site = `${OSLO.replace('environment: staging\n', '')}extends: producton\nbogus: 1\n`;
    expect(problemsOf(site, { production: '', base: '' })).toEqual([
      'stacks/sites/oslo.yaml:13:10 extends: there is no profile "producton"; did you mean production? Profiles here: base, production',
      'stacks/sites/oslo.yaml:14:1 bogus: unknown key. Keys here: name, extends, kit, environment, joined, backend, underlay, machines, network, kubernetes, kubeProxy, dns, ingress, policy, residency, rules, artifacts, registries, nodePrep, checks',
    ]);
  });

  test('a circle names every step', () => {
    expect(problemsOf(osloWith('extends: a\n'), { a: 'extends: b\n', b: '# b\nextends: a\n' })).toEqual([
      'stacks/profiles/b.yaml:2:10 extends: profiles extend each other in a circle: a (stacks/profiles/a.yaml:1:10) -> b (stacks/profiles/b.yaml:2:10) -> a; take one of these lines away',
    ]);
    expect(problemsOf(osloWith('extends: a\n'), { a: 'extends: a\n' })).toEqual([
      'stacks/profiles/a.yaml:1:10 extends: profiles extend each other in a circle: a (stacks/profiles/a.yaml:1:10) -> a; take one of these lines away',
    ]);
  });

  test('a wrong value is told where the profile has it', () => {
    expect(problemsOf(osloWith('extends: a\n'), { a: 'kubeProxy:\n  mode: ipsv\n' })).toEqual([
      'stacks/profiles/a.yaml:2:9 kubeProxy.mode: "ipsv" is not allowed: write ipvs, nftables or iptables; did you mean ipvs?',
    ]);
  });

  test('broken syntax in a profile is told beside the problems of the site, the site first', () => {
    const site = `${OSLO.replace('environment: staging\n', '')}extends: a\nkubeProxy:\n  mod: ipvs\n`;
    expect(problemsOf(site, { a: 'network: "\n' })).toEqual([
      'stacks/sites/oslo.yaml:15:3 kubeProxy.mod: unknown key; did you mean mode? Keys here: mode, scheduler, strictARP, timeouts, excludeCIDRs, conntrack',
      'stacks/profiles/a.yaml:2:1 not valid YAML: Missing closing "quote',
    ]);
  });

  test('what identifies or approves one site cannot be shared', () => {
    expect(problemsOf(osloWith('extends: a\n'), { a: 'name: oslo\nkit: ^0.1.0\n' })).toEqual([
      'stacks/profiles/a.yaml:1:1 name: belongs to each site: move it from the profile to the site files',
      'stacks/profiles/a.yaml:2:1 kit: belongs to each site: move it from the profile to the site files',
    ]);
  });

  test('an extends that is no name', () => {
    expect(problemsOf(osloWith('extends: a\n'), { a: 'extends: [b]\n' })).toEqual([
      'stacks/profiles/a.yaml:1:10 extends: a list is not text: write the name of a profile',
    ]);
    expect(problemsOf(osloWith('extends: [b]\n'))).toEqual([
      'stacks/sites/oslo.yaml:14:10 extends: a list does not belong here: write lower-case letters, digits and dashes, at most 63',
    ]);
  });
});

describe('an unknown site', () => {
  const problems = (site: string, files: Record<string, string>) => {
    const result = loadSite({ stacksDir: stacksFolder(files), site, kitVersion: '0.1.0' });
    return result.ok ? [] : result.problems.map(formatProblem);
  };

  test('near names are suggested', () => {
    const files = { 'sites/oslo.yaml': OSLO, 'sites/bergen.yaml': OSLO, 'sites/notes.txt': '' };
    expect(problems('olso', files)).toEqual([
      'stacks/sites: there is no site "olso"; did you mean oslo? Sites here: bergen, oslo',
    ]);
  });

  test('a path is no site, and nothing outside the folder is read', () => {
    expect(problems('../profiles/a', { 'profiles/a.yaml': OSLO })).toEqual([
      'stacks/sites: there is no site "../profiles/a". There are no sites here yet',
    ]);
  });
});
