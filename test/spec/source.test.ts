import { formatProblem, toProblems, type SiteSource } from '../../components/spec';
import { loadOslo, osloWith, removeStacksFolders } from './stacksFolder';

afterAll(removeStacksFolders);

const SITE = 'stacks/sites/oslo.yaml';
const NEAR = 'stacks/profiles/near.yaml';
const FAR = 'stacks/profiles/far.yaml';

let source: SiteSource;
beforeAll(() => {
  const result = loadOslo({
    'sites/oslo.yaml': osloWith(
      'extends: near\nkubeProxy:\n  scheduler: lc\nnodePrep:\n  swap:\n  sysctls:\n    net.core.somaxconn: 4096\n',
    ),
    'profiles/near.yaml': 'extends: far\nkubeProxy:\n  scheduler: sh\nnodePrep:\n  swap: keep\n',
    'profiles/far.yaml':
      'kubeProxy:\n  scheduler: rr\nmachines:\n  defaults:\n    cpus: 4\n  nodes:\n    - { name: cp1, cpus: 8 }\n',
  });
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join('\n'));
  source = result.source;
});

const explain = (text: string) => {
  const parsed = source.parsePath(text);
  if (!parsed.ok) throw new Error(parsed.message);
  return source.explain(parsed.path);
};

describe('explain', () => {
  test('a value that overrides those of two profiles', () => {
    expect(explain('kubeProxy.scheduler')).toEqual({
      path: ['kubeProxy', 'scheduler'],
      where: 'kubeProxy.scheduler',
      value: 'lc',
      origin: { file: SITE, line: 16, column: 14 },
      description: 'IPVS scheduler.',
      overridden: [
        { file: NEAR, line: 3, column: 14, value: 'sh' },
        { file: FAR, line: 2, column: 14, value: 'rr' },
      ],
    });
  });

  test('a default', () => {
    expect(explain('underlay.mtu')).toMatchObject({ value: 1500, origin: 'default', overridden: [] });
    expect(explain('kubernetes.vip')).toMatchObject({ value: undefined, origin: 'default' });
  });

  test('a default that a null brought back', () => {
    expect(explain('nodePrep.swap')).toMatchObject({
      value: 'off',
      origin: 'default',
      overridden: [
        { file: SITE, line: 18, value: null },
        { file: NEAR, line: 5, column: 9, value: 'keep' },
      ],
    });
  });

  test.each([
    'machines.nodes[cp1].cpus',
    'machines.nodes.cp1.cpus',
    'machines.nodes[0].cpus',
    'machines.nodes["cp1"].cpus',
  ])('an entry of a list: %s', (text) => {
    expect(explain(text)).toMatchObject({
      path: ['machines', 'nodes', 0, 'cpus'],
      where: 'machines.nodes[cp1].cpus',
      value: 8,
      origin: { file: FAR, line: 7, column: 26 },
    });
  });

  test.each(['nodePrep.sysctls.net.core.somaxconn', 'nodePrep.sysctls[net.core.somaxconn]'])(
    'a key with dots: %s',
    (text) => {
      expect(explain(text)).toMatchObject({ value: 4096, origin: { file: SITE, line: 20, column: 25 } });
    },
  );
});

test.each([
  [
    'underlai.mtu',
    'there is no underlai in a site; did you mean underlay? It has: name, extends, kit, environment, joined, backend, underlay, machines, network, kubernetes, kubeProxy, dns, ingress, policy, residency, rules, artifacts, registries, nodePrep, checks',
  ],
  ['machines.nodes[cp2].cpus', 'there is no cp2 in machines.nodes; did you mean cp1? It has: cp1'],
  [
    'machines.nodes[cp1].cpu',
    'there is no cpu in machines.nodes[cp1]; did you mean cpus? It has: name, role, state, addresses, mac, interface, hypervisor, bridge, placement, cpus, memory, rootDisk, etcdDisk, zone, labels, taints, ssh',
  ],
  [
    'nodePrep.sysctls.net.core.somaxcon',
    'there is no net.core.somaxcon in nodePrep.sysctls; did you mean net.core.somaxconn? It has: net.core.somaxconn',
  ],
  ['underlay.mtu.bytes', 'underlay.mtu has no parts: there is no bytes in it'],
  ['machines..nodes', '"machines..nodes" is not a path such as machines.nodes[cp1].cpus'],
])('a path that does not exist: %s', (text, message) => {
  expect(source.parsePath(text)).toEqual({ ok: false, message });
});

test('locate gives the nearest part that was written', () => {
  expect(source.locate(['machines', 'nodes', 0, 'addresses', 0])).toEqual({ file: SITE, line: 13, column: 19 });
  expect(source.locate(['machines', 'nodes', 'cp1', 'addresses', 1])).toEqual({ file: SITE, line: 13, column: 18 });
  expect(source.locate(['machines', 'nodes', 0, 'mac'])).toEqual({ file: SITE, line: 11, column: 7 });
  expect(source.locate(['checks', 'loss'])).toEqual({ file: SITE, line: 1, column: 1 });
});

test('findings of the plan print with their place', () => {
  const problems = toProblems(
    [
      {
        severity: 'error',
        path: ['machines', 'nodes', 0, 'addresses', 0],
        given: '192.0.2.11/24',
        message: '192.0.2.11/24 is the gateway; take another address',
      },
      { severity: 'warning', path: ['kubeProxy', 'scheduler'], given: 'lc', message: 'lc is not used in this mode' },
      { severity: 'error', path: ['underlay', 'dns'], message: 'no resolver; write one' },
    ],
    source,
  );
  expect(problems[0]).toMatchObject({ given: '"192.0.2.11/24"', path: ['machines', 'nodes', 0, 'addresses', 0] });
  expect(problems.map(formatProblem)).toEqual([
    `${SITE}:13:19 machines.nodes[cp1].addresses[0]: 192.0.2.11/24 is the gateway; take another address`,
    `${SITE}:16:14 kubeProxy.scheduler: warning: lc is not used in this mode`,
    `${SITE}:5:3 underlay.dns: no resolver; write one`,
  ]);
});
