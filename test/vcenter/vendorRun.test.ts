import * as fs from 'node:fs';
import * as path from 'node:path';
import * as pulumi from '@pulumi/pulumi';
import type { LocalWorkspace } from '@pulumi/pulumi/automation';
import { cacheDir } from '../../components/cacheDir';
import { loadVsphere, VsphereMachines } from '../../components/machines';
import { VSPHERE_VERSION } from '../../components/machines/vsphereVersion';
import type { SitePlan } from '../../components/plan';
import { deriveHostKey, generateSshKey, publicKeyOf } from '../../components/secrets/hostKey';
import { lookUp, trustOf } from '../../components/vcenter/lookUp';
import { vsphereDifferences } from '../../components/vcenter/machines';
import { pinCertificate, vcenterEnv } from '../../components/vcenter/pin';
import { kvmSite, node, planOf } from '../plan/site';
import { removeCompiledPlugins, TestStack, type Outcome } from '../plugins/engine';
import { startSshd, type TestSshd } from '../ssh/sshd';
import { CREDENTIALS, startSimulator, thumbprintOf, type Simulator } from './simulator';

/** A site on a vCenter with the vendor's own provider, from nothing to nothing; where that provider can be had. */

const PLUGIN = `plugins/resource-vsphere-v${VSPHERE_VERSION}`;
const installedPlugin = path.join(cacheDir(), 'pulumi-home', PLUGIN);

const hasPackage = (() => {
  try {
    require.resolve('@pulumi/vsphere');
    return true;
  } catch {
    return false;
  }
})();
const missing = [
  ...(hasPackage ? [] : ['the package @pulumi/vsphere']),
  ...(fs.existsSync(path.join(installedPlugin, 'pulumi-resource-vsphere')) ? [] : ['its plugin']),
].join(' and ');

// Nothing else can stand in for them, so there is nothing to skip: what is left to see is that the kit says so.
if (missing !== '')
  test(`this machine lacks ${missing}: a site on vSphere is told what to install`, () => {
    if (hasPackage) expect(loadVsphere()).toHaveProperty('VirtualMachine');
    else expect(() => loadVsphere()).toThrow(`npm install --no-save @pulumi/vsphere@${VSPHERE_VERSION}`);
  });
else describe("with the vendor's plugin", run);

function run() {
  const seed = Buffer.from('a seed of thirty-two bytes here.').toString('base64');
  const key = generateSshKey('vsphere run').privateKey;
  const NAMES = ['cp1', 'cp2', 'cp3', 'w1', 'w2'];
  const sshds = new Map<string, TestSshd>();
  let simulator: Simulator;
  let thumbprint: string;
  let stack: TestStack;

  beforeAll(async () => {
    simulator = await startSimulator();
    thumbprint = await thumbprintOf(simulator);
    // Nothing starts in the machines of the simulator: who answers for them has their host keys.
    for (const name of NAMES)
      sshds.set(name, await startSshd({ hostKey: deriveHostKey(seed, name), authorizedKey: publicKeyOf(key) }));
    stack = await TestStack.make('vsphere');
    fs.cpSync(installedPlugin, path.join(stack.dir, 'home', PLUGIN), { recursive: true });
    fs.writeFileSync(path.join(stack.dir, 'bundle.iso'), 'what machines read from a CD-ROM');
    fs.mkdirSync(path.join(stack.dir, 'node_modules'));
    fs.symlinkSync(path.resolve(__dirname, '../..'), path.join(stack.dir, 'node_modules/sitewright'));
    const trust = trustOf(plan(2));
    await pinCertificate(trust);
    // One resource at a time: the waits of the plugin share a collector, and of two the simulator answers one.
    Object.assign((stack.stack.workspace as LocalWorkspace).envVars, { ...vcenterEnv(trust), PULUMI_PARALLEL: '1' });
  });
  afterAll(async () => {
    await stack?.remove();
    for (const sshd of sshds.values()) await sshd.stop();
    await simulator?.end();
    removeCompiledPlugins();
  });

  function plan(cpus: number, workers: string[] = []): SitePlan {
    const machine = (name: string, rest: object = {}) =>
      node(name, 1, 11 + NAMES.indexOf(name), {
        ssh: { host: '127.0.0.1', port: sshds.get(name)!.target.port },
        ...rest,
      });
    const etcd = { role: 'control-plane', etcdDisk: '2GiB' };
    const nodes = [
      ...['cp1', 'cp2', 'cp3'].map((name) => machine(name, etcd)),
      machine('w1', { cpus }),
      ...workers.map((name) => machine(name)),
    ];
    const home = { datacenter: 'DC0', cluster: 'DC0_C0', datastore: 'LocalDS_0', hostGroup: 'room-1' };
    const vsphere = {
      server: simulator.server,
      thumbprint,
      firmware: 'bios',
      antiAffinity: 'preferred',
      template: { name: 'DC0_H0_VM0' },
      placements: [{ name: 'main', ...home }],
      networks: [{ name: 'nodes', portGroup: 'DC0_DVPG0', subnets: ['s1'] }],
    };
    return planOf(kvmSite(nodes, { provider: 'vsphere', vsphere, ssh: { user: sshds.get('cp1')!.target.user } }));
  }

  const program = (site: SitePlan) => async () => {
    const { ids } = await lookUp(site, CREDENTIALS);
    const { machines } = new VsphereMachines('oslo-machines', {
      vsphere: site.machines.vsphere!,
      access: { provider: loadVsphere(), ids, ...CREDENTIALS },
      nodes: site.nodes,
      bundle: { id: '12'.repeat(32), isoSha256: '34'.repeat(32), isoFile: path.join(stack.dir, 'bundle.iso') },
      dead: [],
      jump: null,
      stamp: { site: site.site, id: pulumi.output('4b1d') },
      secrets: { sshPrivateKey: pulumi.secret(key), hostKeySeed: pulumi.secret(seed) },
      protectedRoles: [],
      sshLimitSeconds: 120,
    });
    return Object.fromEntries(machines.map(({ name, incarnation }) => [name, incarnation]));
  };

  const drift = async (site: SitePlan, uuids: Outcome['outputs']) =>
    (await vsphereDifferences(site, CREDENTIALS, new Map(Object.entries(uuids) as [string, string][]))).map(
      ({ where, what, wanted, found }) => `${where} ${what}: ${wanted} | ${found}`,
    );
  /** Resources that were not left as they are: what happened, the name, and the properties. */
  const steps = ({ events }: Outcome) =>
    events.flatMap(({ resourcePreEvent: event }) => {
      if (event === undefined || event.metadata.op === 'same') return [];
      const { op, urn, diffs } = event.metadata;
      return [[op, urn.split('::').pop(), ...(diffs ?? [])].join(' ')];
    });
  /** A machine with its component, the wait for it and what clears its seed; stack, maker, provider, bundle, group and two rules. */
  const resources = (machines: number) => 4 * machines + 7;

  // Each goes on where the one before it ended.
  let made: Outcome;
  const first = () => plan(2);
  const grown = () => plan(4, ['w2']);

  test('makes the site: nothing differs from the plan, and no key is told', async () => {
    made = await stack.up(program(first()));
    expect(made.changes).toEqual({ create: resources(4) });
    expect(await drift(first(), made.outputs)).toEqual([]);
    for (const text of [made.said, stack.state()]) expect(text).not.toContain(key.split('\n')[1]);
  });

  test('changes nothing the second time', async () => {
    const { changes, outputs } = await stack.up(program(first()));
    expect(changes).toEqual({ same: resources(4) });
    expect(outputs).toEqual(made.outputs);
  });

  test('gives a machine more CPUs where it is, and makes one more', async () => {
    const after = await stack.up(program(grown()));
    expect(steps(after).sort()).toEqual([
      'create oslo-machines-w2',
      'create oslo-machines-w2-domain',
      'create oslo-machines-w2-seed',
      'create oslo-machines-w2-ssh',
      'update oslo-machines-group-DC0-DC0_C0-room-1 virtualMachineIds',
      // The plugin lists what is only known by it below `clone` with every change.
      'update oslo-machines-w1-domain clone numCpus',
    ]);
    expect(after.outputs).toMatchObject(made.outputs);
    made = after;
    expect(await drift(grown(), made.outputs)).toEqual([]);
  });

  test('leaves no machine', async () => {
    await stack.stack.destroy();
    expect(await drift(grown(), made.outputs)).toEqual(NAMES.map((name) => `${name} virtual machine: made | absent`));
  });
}
