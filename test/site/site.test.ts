import { impactOf } from '../../components';
import { deriveHostKey } from '../../components/secrets/hostKey';
import { removeStacksFolders } from '../spec/stacksFolder';
import { UNKNOWN, type RecordedResource } from '../support/recordingMonitor';
import { secretLines } from '../support/plantedSecrets';
import { leaks, openInputs } from './secrets';
import {
  EXAMPLE_SITES,
  hostKeySeed,
  nodesOf,
  planOf,
  recordSite,
  repoRoot,
  userKey,
  type Edit,
  type RecordedSite,
} from './sites';

afterAll(removeStacksFolders);

/** `name type < parent` of every resource, sorted. */
const tree = ({ resources }: RecordedSite) =>
  resources.map(({ name, type, parent }) => `${name} ${type} < ${parent}`).sort();

/** The objects themselves are the business of the tests of the add-ons. */
const addonsOfLab = [
  'lab-addons sitewright:addons:Addons < lab',
  'lab-addons-dns sitewright:addons:ClusterDns < lab-addons',
  'lab-addons-kube-proxy sitewright:addons:KubeProxy < lab-addons',
  'lab-addons-node-local-dns sitewright:addons:NodeLocalDns < lab-addons',
  'lab-addons-node-local-dns-device-lab1 command:remote:Command < lab-addons-node-local-dns',
  'lab-addons-node-local-dns-device-lab2 command:remote:Command < lab-addons-node-local-dns',
  'lab-addons-provider pulumi:providers:kubernetes < lab-addons',
];

test.each([true, false])('the whole lab, preview: %s', async (preview) => {
  const all = tree(await recordSite(planOf('lab'), { preview }));
  expect(all.filter((one) => !one.includes(' kubernetes:'))).toEqual([
    'lab sitewright:site:Site < null',
    ...addonsOfLab,
    'lab-cluster sitewright:cluster:Cluster < lab',
    'lab-cluster-lab1-control-plane command:remote:Command < lab-cluster',
    'lab-cluster-lab1-runtime command:remote:Command < lab-cluster',
    'lab-cluster-lab2-join command:local:Command < lab-cluster',
    'lab-cluster-lab2-runtime command:remote:Command < lab-cluster',
    'lab-cluster-proof sitewright:clusterProbe:ClusterProof < lab',
    'lab-cluster-proof-run command:local:Command < lab-cluster-proof',
    'lab-cluster-upgrade command:local:Command < lab-cluster',
    'lab-identity command:local:Command < lab',
    'lab-lab1 sitewright:nodes:Node < lab',
    'lab-lab1-prepare command:remote:Command < lab-lab1',
    'lab-lab2 sitewright:nodes:Node < lab',
    'lab-lab2-prepare command:remote:Command < lab-lab2',
    'lab-machines sitewright:machines:KvmMachines < lab',
    'lab-machines-lab1 sitewright:machines:KvmMachine < lab-machines',
    'lab-machines-lab1-domain command:local:Command < lab-machines-lab1',
    'lab-machines-lab1-ssh command:local:Command < lab-machines-lab1',
    'lab-machines-lab2 sitewright:machines:KvmMachine < lab-machines',
    'lab-machines-lab2-domain command:local:Command < lab-machines-lab2',
    'lab-machines-lab2-ssh command:local:Command < lab-machines-lab2',
    'lab-machines-local sitewright:machines:KvmHypervisor < lab-machines',
    'lab-machines-local-bundle command:local:Command < lab-machines-local',
    'lab-machines-local-image command:local:Command < lab-machines-local',
    'lab-proof sitewright:proof:Proof < lab',
    'lab-proof-node-lab1 command:local:Command < lab-proof',
    'lab-proof-node-lab2 command:local:Command < lab-proof',
    'lab-proof-pair-lab1-lab2 command:local:Command < lab-proof',
  ]);
});

const modes = EXAMPLE_SITES.flatMap((name) => [true, false].map((preview) => ({ name, preview })));

describe.each(modes)('$name, preview: $preview', ({ name, preview }) => {
  const plan = planOf(name);
  const existing = plan.machines.kvm === null;
  let site: RecordedSite;
  let resources: RecordedResource[];
  beforeAll(async () => {
    site = await recordSite(plan, { preview });
    resources = site.resources;
  });
  const named = (resource: string) => {
    const found = site.byName.get(`${name}-${resource}`);
    if (found === undefined) throw new Error(`there is no ${name}-${resource}`);
    return found;
  };
  const ending = (end: RegExp) => resources.filter((one) => end.test(one.name));
  const machines = plan.nodes.map((node) => node.name);

  test("every name is unique and starts with its parent's; machines are known by name", () => {
    expect(site.byName.size).toBe(resources.length);
    const strangers = resources.filter((one) => one.parent !== null && !one.name.startsWith(`${one.parent}-`));
    expect(strangers.map((one) => one.name)).toEqual([]);
    expect(resources.filter((one) => one.parent === null).map((one) => one.name)).toEqual([name]);
    for (const machine of machines) {
      for (const role of ['machines-*-ssh', '*', '*-prepare', 'proof-node-*']) named(role.replace('*', machine));
      if (!existing) named(`machines-${machine}-domain`);
    }
  });

  test('every component has a token of this kit, every other resource is a command or an object of the cluster', () => {
    const components = resources.filter(({ custom }) => !custom);
    for (const { type } of components)
      expect(type).toMatch(/^sitewright:(site|machines|nodes|proof|cluster|addons|clusterProbe):[A-Z]\w+$/);
    for (const { type, custom } of resources)
      if (custom) expect(type).toMatch(/^(command:(local|remote):Command|kubernetes:.*|pulumi:providers:kubernetes)$/);
  });

  test('the site, its nodes and its proof register what they offer', () => {
    const offered = Object.entries(site.registered).filter(([, outputs]) => Object.keys(outputs).length > 0);
    expect(Object.fromEntries(offered.map(([component, outputs]) => [component, Object.keys(outputs).sort()]))).toEqual(
      {
        [name]: ['nodes', 'proof'],
        ...Object.fromEntries(machines.map((machine) => [`${name}-${machine}`, ['facts']])),
        [`${name}-proof`]: ['results'],
        ...(plan.cluster === null
          ? {}
          : { [`${name}-cluster`]: ['apiServerUrl'], [`${name}-cluster-proof`]: ['result'] }),
      },
    );
  });

  test('machine, SSH, preparation: each comes after the one before', () => {
    for (const machine of machines) {
      const ssh = `${name}-machines-${machine}-ssh`;
      expect(named(`${machine}-prepare`).dependencies).toContain(ssh);
      if (!existing)
        expect(named(`machines-${machine}-ssh`).dependencies).toContain(`${name}-machines-${machine}-domain`);
    }
  });

  test('the proof of the cluster comes last: after every node and every add-on', () => {
    const proof = ending(/-cluster-proof-run$/);
    expect(proof).toHaveLength(plan.cluster === null ? 0 : 1);
    for (const { dependencies } of proof)
      expect(dependencies).toEqual(
        expect.arrayContaining(ending(/-(join|control-plane|daemonset|deployment)$/).map(({ name: one }) => one)),
      );
  });

  test('every proof comes after every preparation, a pair after the proofs of its nodes', () => {
    const preparations = machines.map((machine) => `${name}-${machine}-prepare`);
    const proofs = ending(/-proof-(node|pair)-/);
    expect(proofs).toHaveLength(machines.length + plan.proof.pairs.length);
    for (const { dependencies } of proofs) expect(dependencies).toEqual(expect.arrayContaining(preparations));

    const before = (proof: string): string[] => {
      const direct = site.byName.get(proof)!.dependencies.filter((one) => one.includes('-proof-'));
      return [...direct, ...direct.flatMap(before)];
    };
    for (const { a, b } of plan.proof.pairs) {
      const expected = [a, b].map((machine) => `${name}-proof-node-${machine}`);
      expect(before(`${name}-proof-pair-${a}-${b}`)).toEqual(expect.arrayContaining(expected));
    }
  });

  test('no two proofs run on a machine at once', () => {
    const onMachine = (machine: string) =>
      ending(/-proof-pair-/).filter((one) => one.name.split('-pair-')[1]!.split('-').includes(machine));
    const after = (proof: string, seen = new Set<string>()): Set<string> => {
      for (const one of site.byName.get(proof)!.dependencies) {
        if (!one.includes('-proof-') || seen.has(one)) continue;
        seen.add(one);
        after(one, seen);
      }
      return seen;
    };
    for (const machine of machines) {
      const proofs = onMachine(machine);
      expect(proofs).toHaveLength(plan.proof.pairs.filter(({ a, b }) => a === machine || b === machine).length);
      for (const [index, one] of proofs.entries())
        for (const other of proofs.slice(index + 1))
          expect(after(one.name).has(other.name) || after(other.name).has(one.name)).toBe(true);
    }
  });

  test('protected are the machines of members, without a cluster those of the control plane, and in a lab nothing', () => {
    const kept = plan.nodes.filter(
      ({ role }) => plan.environment !== 'lab' && (plan.cluster !== null || role === 'control-plane'),
    );
    const expected = kept.flatMap(({ name: machine }) => {
      if (!existing) return [`${name}-machines-${machine}-domain`];
      return plan.cluster === null ? [] : [`${name}-cluster-${machine}-runtime`];
    });
    expect(
      resources
        .filter(({ protect }) => protect)
        .map((one) => one.name)
        .sort(),
    ).toEqual(expected.sort());
    // The first is a lab, and the examples have no cluster.
    expect(expected).toHaveLength(name === 'kvm-example' ? 3 : 0);
  });

  test('what runs on a machine of the kit goes with it; on any other machine the preparation is undone', () => {
    for (const machine of machines) {
      const domain = existing ? null : `${name}-machines-${machine}-domain`;
      expect(named(`machines-${machine}-ssh`).deletedWith).toBe(domain);
      expect(named(`${machine}-prepare`).deletedWith).toBe(domain);
      expect(named(`${machine}-prepare`).inputs.delete !== undefined).toBe(existing);
    }
  });

  test('only a machine and a base image can be replaced; a machine is deleted before it is made again', () => {
    const withTriggers = resources.filter(({ inputs }) => inputs.triggers !== undefined).map((one) => one.name);
    expect(withTriggers.sort()).toEqual(
      ending(/-(domain|image)$/)
        .map((one) => one.name)
        .sort(),
    );
    expect(
      resources
        .filter((one) => one.deleteBeforeReplace)
        .map((one) => one.name)
        .sort(),
    ).toEqual(
      ending(/-domain$/)
        .map((one) => one.name)
        .sort(),
    );
    expect(withTriggers.length > 0).toBe(!existing);
  });

  test('connections are secret, and so is every script and request that is known', () => {
    for (const { name: resource, inputs, secretInputs } of resources) {
      const expected = ['connection', 'kubeconfig', 'stdin'].filter(
        (key) => inputs[key] !== undefined && inputs[key] !== UNKNOWN,
      );
      expect({ resource, secretInputs }).toEqual({ resource, secretInputs: expected });
    }
  });

  test('no input names a path of this checkout', () => {
    const within = resources.filter(({ inputs }) => JSON.stringify(inputs).includes(repoRoot));
    expect(within.map((one) => one.name)).toEqual([]);
  });
});

describe.each(EXAMPLE_SITES)('secrets of %s', (name) => {
  const planted = (machines: string[]) => ({
    'the SSH key': secretLines(userKey.privateKey),
    'the seed of the host keys': [hostKeySeed, Buffer.from(hostKeySeed, 'base64').toString()],
    'a host key': machines.flatMap((machine) => secretLines(deriveHostKey(hostKeySeed, machine).privateKey)),
  });

  test('are in no open input and in no output, and the search would find them', async () => {
    const plan = planOf(name);
    const secrets = planted(plan.nodes.map((node) => node.name));
    const { resources, registered, outputs } = await recordSite(plan, { preview: false });

    const open = Object.fromEntries(resources.map((one) => [one.name, openInputs(one)]));
    const offered = Object.entries(registered).map(([component, value]) => [`outputs of ${component}`, value]);
    const shown = { ...open, ...Object.fromEntries(offered), 'outputs of the stack': outputs };
    expect(leaks(shown, secrets)).toEqual([]);
    expect(JSON.stringify(shown)).toContain(`kernel of ${name}-`);

    // Without the marks the same search finds each secret that the site uses.
    const unmarked = Object.fromEntries(resources.map((one) => [one.name, one.inputs]));
    const found = new Set(leaks(unmarked, secrets).map((leak) => leak.split(': ')[1]));
    expect([...found].sort()).toEqual(plan.machines.kvm === null ? ['the SSH key'] : ['a host key', 'the SSH key']);
  });

  test.each([0, 1, 2])('are found in base64 after %s other bytes', (bytes) => {
    const secrets = planted(['cp1']);
    const hidden = (text: string) => ({ somewhere: Buffer.from(`${'-'.repeat(bytes)}${text}\n`).toString('base64') });
    for (const [secret, [text]] of Object.entries(secrets))
      expect(leaks(hidden(text!), secrets)).toEqual([`somewhere: ${secret}`]);
  });
});

/** What an edit of the site file changes: new and gone names, and those whose request or inputs differ. */
async function effectOf(site: string, ...edits: Edit[]) {
  const before = (await recordSite(planOf(site), { preview: false })).byName;
  const after = (await recordSite(planOf(site, ...edits), { preview: false })).byName;
  const short = (names: string[]) => names.map((name) => name.slice(site.length + 1)).sort();
  const both = [...before.keys()].filter((name) => after.has(name));
  const differ = (of: (resource: RecordedResource) => unknown) =>
    short(both.filter((name) => JSON.stringify(of(before.get(name)!)) !== JSON.stringify(of(after.get(name)!))));
  return {
    added: short([...after.keys()].filter((name) => !before.has(name))),
    removed: short([...before.keys()].filter((name) => !after.has(name))),
    changed: differ(({ inputs }) => inputs),
    replaced: differ(({ inputs }) => inputs.triggers),
    elsewhere: differ(({ type, parent }) => [type, parent]),
  };
}

describe('an edit of the lab changes what it must and nothing else', () => {
  const each = (pattern: string) => ['lab1', 'lab2'].map((machine) => pattern.replace('*', machine));
  const prepare = each('*-prepare');
  const domains = each('machines-*-domain');
  const proofs = each('proof-node-*');
  const runtimes = each('cluster-*-runtime');
  // Knows what every node is to have.
  const upgrade = 'cluster-upgrade';
  const pair = 'proof-pair-lab1-lab2';
  const provedAgain = 'cluster-proof-run';

  test.each<[string, Edit, string[]]>([
    ['a sysctl more', [['nodePrep', 'sysctls', 'net.core.somaxconn'], 4096], prepare],
    ['a smaller journal', [['nodePrep', 'journald', 'maxUse'], '100MiB'], prepare],
    ['more memory for one machine', [['machines', 'nodes', 1, 'memory'], '4GiB'], ['machines-lab2-domain']],
    ['another limit of jitter', [['checks', 'jitter'], '77ms'], [pair]],
    ['another limit of CPU steal', [['checks', 'cpuSteal'], '77%'], proofs],
    ['a smaller MTU', [['underlay', 'mtu'], 1400], [...prepare, ...domains, pair, ...runtimes, upgrade, provedAgain]],
    [
      'another name server',
      [['underlay', 'dns', 'servers'], ['192.0.2.7']],
      [...prepare, ...domains, ...proofs, 'addons-dns-corefile', 'addons-node-local-dns-corefile', provedAgain],
    ],
    [
      'another scheduler',
      [['kubeProxy', 'scheduler'], 'wlc'],
      [...prepare, 'addons-kube-proxy-configuration', 'addons-kube-proxy-daemonset', provedAgain],
    ],
    [
      'another storage pool',
      [['machines', 'kvm', 'hypervisors', 0, 'pool'], 'fast'],
      [...domains, 'machines-local-image', 'machines-local-bundle'],
    ],
    ['another etcd pool', [['machines', 'kvm', 'hypervisors', 0, 'etcdPool'], 'nvme'], ['machines-lab1-domain']],
  ])('%s', async (_, edit, expected) => {
    const effect = await effectOf('lab', edit);
    expect(effect).toMatchObject({ added: [], removed: [], elsewhere: [], changed: [...expected].sort() });
    // A machine that goes without a word is the worst that an edit can do: the impact table names each such key.
    const isReplacement = impactOf(edit[0])!.impact === 'replacement';
    // The image of a bundle is placed again, in the new pool too, and nothing of a machine is lost by it.
    const replaceable = effect.changed.filter((one) => !one.endsWith('-bundle'));
    expect(effect.replaced).toEqual(isReplacement ? replaceable : []);
  });
});

describe.each<[string, Record<string, unknown>]>([
  ['lab', { addresses: ['192.0.2.13/24', '2001:db8:0:2::13/64'] }],
  ['kvm-example', { addresses: ['192.0.2.31/24'], hypervisor: 'hv1' }],
  [
    'existing-example',
    {
      addresses: ['203.0.113.31/24'],
      ssh: { hostKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f' },
    },
  ],
])('a machine more in %s', (site, settings) => {
  const plan = planOf(site);
  // The cluster is proved again as a whole.
  const again = plan.cluster === null ? [] : ['cluster-proof-run'];
  const extra = { name: 'extra', role: 'worker', ...settings };
  // As every machine of the file, for the list is edited as a whole.
  const listed = (front: boolean): Edit => {
    const nodes = nodesOf(site);
    return [['machines', 'nodes'], front ? [extra, ...nodes] : [...nodes, extra]];
  };

  test.each([false, true])('at the front of the list: %s; the others only learn its name', async (front) => {
    const effect = await effectOf(site, listed(front));
    const known = plan.nodes.map((node) => node.name);
    // Control planes let the kubelet of the new node have a certificate, and an upgrade goes to every node.
    const learn = plan.nodes.flatMap(({ name, role, cluster }) =>
      cluster !== null && role === 'control-plane' ? [`cluster-${name}-control-plane`, 'cluster-upgrade'] : [],
    );
    expect(effect.changed).toEqual([...again, ...known.map((machine) => `${machine}-prepare`), ...learn].sort());
    expect(effect).toMatchObject({ removed: [], replaced: [], elsewhere: [] });
    for (const name of effect.added) expect(name.split('-')).toContain('extra');
    expect(effect.added).toContain('proof-node-extra');
  });

  test('taken out again, only its own resources go', async () => {
    const [first, ...others] = nodesOf(site).reverse() as { name: string }[];
    const effect = await effectOf(site, [['machines', 'nodes'], others.reverse()]);
    // One node has one pod of CoreDNS, which needs no budget.
    const dns = site === 'lab' ? { removed: ['addons-dns-budget'], changed: ['addons-dns-deployment'] } : null;
    for (const name of effect.removed) if (!dns?.removed.includes(name)) expect(name.split('-')).toContain(first!.name);
    expect(effect).toMatchObject({ added: [], replaced: [], elsewhere: [] });
    // The control plane forgets the node; it was the last worker of the lab, so pods then run beside the control plane.
    const forgets = site === 'lab' ? ['cluster-lab1-control-plane', 'cluster-upgrade'] : [];
    expect(effect.changed).toEqual(
      [...again, ...(dns?.changed ?? []), ...forgets, ...others.map(({ name }) => `${name}-prepare`)].sort(),
    );
  });
});

test('the mesh of Calico ends when every member has its sessions with the route reflectors, and what says so keeps its place', async () => {
  const labels = { 'route-reflector': 'true' };
  const nodes = nodesOf('calico-bgp-kvm').map((node, index) => (index < 2 ? { ...(node as object), labels } : node));
  const reflected = planOf('calico-bgp-kvm', [['machines', 'nodes'], nodes]);
  const [before, after] = [await record(planOf('calico-bgp-kvm')), await record(reflected)];
  expect(before.gate).toBeUndefined();
  expect(after.configuration.urn).toBe(before.configuration.urn);
  expect(after.configuration.provider).toBe(before.configuration.provider);
  expect(after.configuration.dependencies).toEqual(['calico-bgp-kvm-reflectors']);
  const joins = reflected.nodes.slice(1).map(({ name }) => `calico-bgp-kvm-cluster-${name}-join`);
  expect(after.gate!.dependencies).toEqual(expect.arrayContaining(joins));
  for (const name of joins)
    expect(after.byName.get(name)!.dependencies).toContain('calico-bgp-kvm-calico-bgppeer-sitewright-route-reflectors');
  // Else nothing would wait for the end of the mesh.
  expect(after.proof.dependencies).toContain(after.configuration.name);
  const { bgp, nodes: asked } = JSON.parse(after.gate!.inputs.stdin as string) as {
    bgp: { reflectors: string[]; routers: object[] };
    nodes: { name: string }[];
  };
  expect(bgp).toMatchObject({ reflectors: ['cp1', 'cp2'], routers: [] });
  expect(asked.map(({ name }) => name)).toEqual(reflected.nodes.map(({ name }) => name));
  expect(after.gate!.secretInputs).toContain('stdin');

  async function record(plan: Parameters<typeof recordSite>[0]) {
    const { byName } = await recordSite(plan, { preview: false });
    const named = (name: string) => byName.get(`calico-bgp-kvm-${name}`)!;
    return {
      byName,
      configuration: named('calico-bgpconfiguration-default'),
      gate: byName.get('calico-bgp-kvm-reflectors'),
      proof: named('cluster-proof-run'),
    };
  }
});
