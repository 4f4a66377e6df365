import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EngineEvent } from '@pulumi/pulumi/automation';
import { parseDocument } from 'yaml';
import { version } from '../../package.json';
import { computePlan } from '../../components/plan';
import { loadSite } from '../../components/spec';
import { stepOf } from '../../scripts/cli/resources';
import { plannedBundle, plannedLab } from '../../scripts/render/madeUp';
import type { RenderDocument } from '../../scripts/render/document';
import { renderSite } from '../../scripts/render/render';
import { plannedVsphere } from '../../scripts/render/vsphere';
import { isDisruptive, type ChangeImpact } from '../../scripts/review/impact';
import { previewHead, reviewMarkdown } from '../../scripts/review/markdown';
import { previewDiff } from '../../scripts/review/previewDiff';
import { diffSite, type SiteDiff } from '../../scripts/review/siteDiff';
import { siteProgram } from '../../stacks/program';
import { removeCompiledPlugins, TestStack } from '../plugins/engine';
import { runNoCommands } from '../plugins/standIn';
import { hostKeySeed, userKey } from '../site/sites';

/** What a diff of files says of each kind of change, held against the preview of the real engine on a recorded state. */

const BUILT = `name: test
kit: ^${version}
environment: lab
underlay:
  subnets:
    - name: rack
      cidrs: [192.0.2.0/24]
machines:
  provider: kvm
  defaults: { cpus: 2, memory: 4GiB, rootDisk: 20GiB, etcdDisk: 4GiB }
  kvm:
    antiAffinity: off
    image: { url: 'https://mirror.example.test/a.qcow2', sha256: ${'a'.repeat(64)} }
    network: { bridge: br0 }
    hypervisors: [{ name: hv1, connection: local }]
  nodes:
    - { name: cp1, role: control-plane, addresses: [192.0.2.11/24] }
    - { name: w1, role: worker, addresses: [192.0.2.21/24] }
`;

type Edit = [path: (string | number)[], value: unknown];
interface Case {
  label: ChangeImpact;
  what: string;
  edit: Edit;
  /** What the engine does to the machines. */
  machines: { create?: string[]; replace?: string[]; delete?: string[] };
}

const LAST = ['machines', 'nodes', 1];
const CASES: Case[] = [
  { label: 'in place', what: 'a sysctl', edit: [['nodePrep', 'sysctls', 'vm.swappiness'], 10], machines: {} },
  { label: 'restart', what: 'memory', edit: [[...LAST, 'memory'], '8GiB'], machines: {} },
  { label: 'disruptive', what: 'an MTU', edit: [['underlay', 'mtu'], 1400], machines: {} },
  {
    ...{ label: 'new machines only', what: 'an image', machines: {} },
    edit: [['machines', 'kvm', 'image', 'sha256'], 'b'.repeat(64)],
  },
  {
    ...{ label: 'replacement', what: 'a MAC address', machines: { replace: ['w1'] } },
    edit: [[...LAST, 'mac'], '52:54:00:00:00:21'],
  },
  { label: 'deletion', what: 'a machine less', edit: [LAST, undefined], machines: { delete: ['w1'] } },
  {
    ...{ label: 'in place', what: 'a machine more', machines: { create: ['w2'] } },
    edit: [['machines', 'nodes', 2], { name: 'w2', role: 'worker', addresses: ['192.0.2.22/24'] }],
  },
];

function edited([path, value]: Edit): string {
  const document = parseDocument(BUILT);
  if (value === undefined) document.deleteIn(path);
  else document.setIn(path, document.createNode(value));
  return document.toString();
}

let stack: TestStack;
let stacksDir: string;
const previews = new Map<string, EngineEvent[]>();
const documents = new Map<string, RenderDocument>();

const program = () =>
  siteProgram({
    ...{ stacksDir, kitVersion: version, backendUrl: undefined },
    ...{ withLab: plannedLab, withBundle: plannedBundle, withVsphere: plannedVsphere },
  });
const write = (text: string) => writeFileSync(join(stacksDir, 'sites/test.yaml'), text);

beforeAll(async () => {
  stack = await TestStack.make('sitewright');
  runNoCommands(stack.dir);
  stacksDir = join(stack.dir, 'stacks');
  mkdirSync(join(stacksDir, 'sites'), { recursive: true });
  await stack.stack.setConfig('sitewright:sshPrivateKey', { value: userKey.privateKey, secret: true });
  await stack.stack.setConfig('sitewright:hostKeySeed', { value: hostKeySeed, secret: true });
  write(BUILT);
  previews.set('nothing yet', (await stack.preview(program)).events);
  await stack.up(program);
  previews.set('nothing', (await stack.preview(program)).events);
  for (const { what, edit } of CASES) {
    write(edited(edit));
    previews.set(what, (await stack.preview(program)).events);
  }
  // The engine first: a rendering settles the SDK's runtime of this process for itself.
  for (const [what, text] of [['before', BUILT], ...CASES.map(({ what, edit }) => [what, edited(edit)])] as const) {
    write(text);
    const rendered = await renderSite({ stacksDir, site: 'test', kitVersion: version });
    if (!rendered.ok) throw new Error(JSON.stringify(rendered.problems));
    documents.set(what, rendered.document);
  }
});
afterAll(async () => {
  await stack?.remove();
  removeCompiledPlugins();
});

/** The engine's operations on machines themselves. */
function machineOperations(what: string): Required<Case['machines']> {
  const found = { create: new Set<string>(), replace: new Set<string>(), delete: new Set<string>() };
  for (const { resourcePreEvent } of previews.get(what)!) {
    const step = resourcePreEvent && stepOf(resourcePreEvent.metadata);
    const machine = /^test-machines-(.+)-domain$/.exec(step?.name ?? '')?.[1];
    if (machine !== undefined && step!.operation in found) found[step!.operation as keyof typeof found].add(machine);
  }
  return { create: [...found.create], replace: [...found.replace], delete: [...found.delete] };
}

function engineDiff(what: string, text: string): SiteDiff {
  write(text);
  const loaded = loadSite({ stacksDir, site: 'test', kitVersion: version });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  const { plan } = computePlan(loaded.spec, version);
  return previewDiff(previews.get(what)!, { plan: plan!, runs: null, redact: (said) => said });
}

const wholeMachines = ({ effects }: SiteDiff) =>
  effects
    .filter((effect) => effect.what === 'machine')
    .map(({ machines, change, impact }) => ({ machines, change, impact }));

describe.each(CASES)('$what ($label)', ({ label, what, edit, machines }) => {
  const files = () => diffSite(documents.get('before')!, documents.get(what)!);
  const engine = () => engineDiff(what, edited(edit));

  test('is labelled so, and the engine does to machines what that means', () => {
    expect(files().worst).toBe(label);
    expect(machineOperations(what)).toEqual({ create: [], replace: [], delete: [], ...machines });
    expect(label === 'replacement').toBe(machineOperations(what).replace.length > 0);
    expect(label === 'deletion').toBe(machineOperations(what).delete.length > 0);
  });

  test('machines that come, go or are made anew are the same in the report of the engine', () => {
    expect(wholeMachines(engine())).toEqual(wholeMachines(files()));
    // What a script does to pods is a secret to the engine: it never says more than the files, nor less of machines.
    if (isDisruptive(engine().worst)) expect(isDisruptive(label)).toBe(true);
    if (label === 'replacement' || label === 'deletion') expect(engine().worst).toBe(label);
  });
});

test('nothing changes: the engine says so, and the report too', () => {
  const diff = engineDiff('nothing', BUILT);
  expect(diff).toMatchObject({ effects: [], worst: null });
});

test('a site that is not built yet is one line', () => {
  expect(engineDiff('nothing yet', BUILT).effects).toEqual([
    expect.objectContaining({ what: 'site', change: 'new', why: '2 machines are built when somebody runs up' }),
  ]);
});

test('the report has the form of a review, and no script and no secret in it', () => {
  const diff = engineDiff('an MTU', edited(CASES[2]!.edit));
  const text = reviewMarkdown(
    {
      ...{ base: 'the state of test', head: 'worktree', changed: [diff], same: [], untouched: 0, broken: [] },
      findings: { sites: [], notCompared: [] },
    },
    undefined,
    previewHead('test'),
  );
  expect(text).toMatch(
    /^<!-- sitewright-preview test -->\n\n## 1 of 1 sites change, worst is restart\n\n`the state of test`/,
  );
  expect(text).toMatch(/^- ~ `preparation` on every machine: in place: the script runs again/m);
  expect(text).toMatch(/^- ~ `virtual machine` on every machine: restart: /m);
  expect(text).toContain('~ stdin: [secret]');
  expect(text).not.toContain('PRIVATE KEY');
  expect(text).not.toContain(hostKeySeed);
});
