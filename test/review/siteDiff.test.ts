import type { RenderDocument } from '../../scripts/render/document';
import { diffSite, type SiteDiff } from '../../scripts/review/siteDiff';
import { tellDiff } from '../../scripts/review/tell';
import { nodesOf, type Edit } from '../site/sites';
import { removeStacksFolders } from '../spec/stacksFolder';
import { gone, rendered } from './documents';

afterAll(removeStacksFolders);

const base: Record<string, RenderDocument> = {};
beforeAll(async () => {
  for (const site of ['lab', 'kvm-example', 'vsphere-example', 'existing-example']) base[site] = await rendered(site);
});

async function changed(site: string, ...edits: Edit[]): Promise<SiteDiff> {
  return diffSite(base[site]!, await rendered(site, ...edits));
}

/** `<change> <what> @ <machines>: <impact>` of every effect. */
const told = ({ effects }: SiteDiff) =>
  effects.map(({ change, what, machines, impact }) => `${change} ${what} @ ${machines.join(' ')}: ${impact}`);

test('nothing changes between equal files', () => {
  for (const document of Object.values(base))
    expect(diffSite(document, document)).toMatchObject({ settings: [], effects: [], worst: null, afterwards: [] });
});

const lastNode = (site: string) => nodesOf(site).length - 1;

/** What each edit means: in the words of the plan's own table, and by what really differs. */
const cases: [title: string, site: string, edits: Edit[], worst: string, effects: string[]][] = [
  [
    'a sysctl',
    'lab',
    [[['nodePrep', 'sysctls', 'vm.swappiness'], 10]],
    'in place',
    ['new sysctl vm.swappiness @ lab1 lab2: in place'],
  ],
  [
    'memory',
    'lab',
    [[['machines', 'defaults', 'memory'], '4GiB']],
    'restart',
    ['changed definition of the machine @ lab1 lab2: restart'],
  ],
  [
    'a zone of names',
    'lab',
    [[['dns', 'cacheTtl'], '50s']],
    'in place',
    ['changed ConfigMap kube-system/coredns @ : in place'],
  ],
  [
    'the mode of kube-proxy',
    'lab',
    [[['kubeProxy', 'mode'], 'nftables']],
    'disruptive',
    ['changed DaemonSet kube-system/kube-proxy @ : restart'],
  ],
  [
    'the size of etcd',
    'lab',
    [[['kubernetes', 'etcd', 'quota'], '512MiB']],
    'in place',
    ['changed /etc/kubernetes/sitewright/kubeadm.yaml @ lab1: in place'],
  ],
  [
    'no cache on the nodes',
    'lab',
    [[['dns', 'nodeLocal'], false]],
    'deletion',
    ['gone DaemonSet kube-system/node-local-dns @ : deletion'],
  ],
  [
    'a worker leaves',
    'lab',
    [[['machines', 'nodes', 1, 'state'], 'leaving']],
    'deletion',
    ['new leave of the cluster @ lab2: disruptive'],
  ],
  [
    'another image',
    'kvm-example',
    [[['machines', 'kvm', 'image', 'sha256'], 'ab'.repeat(32)]],
    'new machines only',
    ['changed root image @ '],
  ],
  [
    'another MAC address',
    'kvm-example',
    [[['machines', 'nodes', 0, 'mac'], '52:54:00:12:34:56']],
    'replacement',
    ['changed machine @ cp1: replacement'],
  ],
  [
    'another MAC address on vSphere',
    'vsphere-example',
    [[['machines', 'nodes', 3, 'mac'], '00:50:56:00:00:99']],
    'replacement',
    ['changed virtual machine @ worker1: replacement'],
  ],
  [
    'memory on vSphere',
    'vsphere-example',
    [[['machines', 'nodes', 3, 'memory'], '96GiB']],
    'restart',
    ['changed virtual machine @ worker1: restart'],
  ],
  [
    'another template',
    'vsphere-example',
    [[['machines', 'vsphere', 'template', 'name'], 'debian-13']],
    'new machines only',
    ['changed virtual machine @ '],
  ],
  [
    'a machine goes',
    'kvm-example',
    [[['machines', 'nodes', lastNode('kvm-example')], gone]],
    'deletion',
    ['gone machine @ '],
  ],
  [
    'the user of existing machines',
    'existing-example',
    [[['machines', 'ssh', 'user'], 'other']],
    'replacement',
    ['connection'],
  ],
];

test.each(cases)('%s', async (_title, site, edits, worst, effects) => {
  const diff = await changed(site, ...edits);
  const all = told(diff).join('\n');
  expect({ worst: diff.worst, all }).toEqual({ worst, all: expect.any(String) });
  if (effects[0] !== 'connection') for (const effect of effects) expect(all).toContain(effect);
  expect(diff.settings.length).toBeGreaterThan(0);
  for (const { why } of [...diff.settings, ...diff.effects]) expect(why).not.toBe('');
});

test('a machine of vSphere that can grow while it runs is not started again to grow, and is to shrink', async () => {
  const hotAdd: Edit = [['machines', 'vsphere', 'hotAdd'], true];
  const memory = (size: string): Edit => [['machines', 'nodes', 3, 'memory'], size];
  const small = await rendered('vsphere-example', hotAdd, memory('64GiB'));
  const large = await rendered('vsphere-example', hotAdd, memory('96GiB'));
  const impactOf = (from: typeof small, to: typeof small) =>
    diffSite(from, to)
      .effects.filter(({ lines }) => lines.join('\n').includes('memory'))
      .map(({ impact }) => impact);
  expect(impactOf(small, large)).toEqual(['in place']);
  // Its reservation follows while it runs.
  expect(impactOf(large, small).sort()).toEqual(['in place', 'restart']);
});

test('a machine more is new, and the others learn its name; nothing is replaced', async () => {
  const extra = { name: 'w9', role: 'worker', addresses: ['192.0.2.39/24'], hypervisor: 'hv1' };
  const diff = await changed('kvm-example', [
    ['machines', 'nodes'],
    [extra, ...nodesOf('kvm-example')],
  ]);
  expect(told(diff)).toEqual([
    'new machine @ w9: in place',
    expect.stringMatching(/^changed \/etc\/hosts @ .*: in place$/),
  ]);
  expect(diff.settings).toEqual([
    expect.objectContaining({ key: 'machines.nodes[w9]', after: 'new', impact: 'in place' }),
  ]);
});

test('a setting tells where it was and becomes what, why, and what to do beside up', async () => {
  const diff = await changed('lab', [['machines', 'defaults', 'memory'], '4GiB']);
  expect(diff.settings).toEqual([
    {
      key: 'machines.defaults.memory',
      before: '3GiB',
      after: '4GiB',
      impact: 'restart',
      why: 'a machine gets memory when it starts',
      action: 'restart the machines one after another, drained first',
    },
  ]);
  expect(diff.afterwards).toEqual(['restart the machines one after another, drained first (machines.defaults.memory)']);
  const text = tellDiff(diff, { color: false, lines: 12 });
  expect(text).toContain('lab: worst is restart\n');
  expect(text).toContain(
    '~ definition of the machine on every machine: restart: the machine has it from its next start\n',
  );
  expect(text).toMatch(/- {3}<memory unit="bytes">3221225472<\/memory>\n.*\+ {3}<memory unit="bytes">4294967296</);
  expect(text).toContain('it knows no state and shows no drift');
});

test('a site that comes or goes', () => {
  expect(diffSite(null, base.lab!)).toMatchObject({ worst: 'in place', effects: [{ what: 'site', change: 'new' }] });
  const wentAway = diffSite(base.lab!, null);
  expect(wentAway).toMatchObject({ worst: 'deletion', effects: [{ what: 'site', change: 'gone' }] });
  expect(wentAway.effects[0]!.why).toContain('sitewright destroy lab');
});

test('what another kit names otherwise is made anew: the engine knows resources by their URN', () => {
  const text = JSON.stringify(base.lab);
  const renamed = JSON.parse(
    text.replace(/sitewright:machines:KvmMachine\$/g, 'sitewright:machines:Kvm$'),
  ) as RenderDocument;
  const diff = diffSite(base.lab!, renamed);
  expect(told(diff)).toContain('changed machine @ lab1 lab2: replacement');
  expect(diff.worst).toBe('replacement');
});

test('another program of a script is told once for all machines', () => {
  const other = JSON.parse(JSON.stringify(base.lab)) as RenderDocument;
  const prepare = other.resources.filter(({ name }) => name.endsWith('-prepare'));
  const script = (prepare[0]!.inputs as { script: { program: string } }).script;
  other.programs.other = [...(other.programs[script.program] as string[]), 'true'];
  for (const { inputs } of prepare) (inputs as { script: { program: string } }).script.program = 'other';
  const diff = diffSite(base.lab!, other);
  expect(diff.effects).toEqual([
    expect.objectContaining({
      what: 'program of the preparation',
      machines: ['lab1', 'lab2'],
      sameLines: true,
      impact: 'in place',
    }),
  ]);
  expect(diff.effects[0]!.lines).toContain('+ true');
});
