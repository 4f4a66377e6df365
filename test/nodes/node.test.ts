import * as pulumi from '@pulumi/pulumi';
import type { Bundle } from '../../components/bundle/lock';
import type { Machine } from '../../components/machines/machine';
import { parseFacts } from '../../components/nodes/facts';
import { networkSlice } from '../../components/nodes/networkSlice';
import { Node } from '../../components/nodes/node';
import { renderNodeScript } from '../../components/nodes/script';
import { recordProgram } from '../support/recordingMonitor';
import { kvmNode, site, vmxnet3Node } from './fixtures';

const facts = { schemaVersion: 1, kernel: '6.1.0' };

/** A node on a machine, with stand-ins for the resources of the machine. */
async function record(
  plan: typeof kvmNode,
  { preview = false, incarnation = 'uuid-1', owned = plan.kvm !== null, bundle = null as Bundle | null } = {},
) {
  class StandIn extends pulumi.CustomResource {
    constructor(name: string) {
      super('test:index:StandIn', name, {});
    }
  }
  let node: Node | undefined;
  const resources = await recordProgram(
    () => {
      const ready = new StandIn('ready');
      const machine: Machine = {
        name: plan.name,
        role: plan.role,
        addresses: plan.addresses,
        nicDriver: null,
        disks: { root: null, etcd: null },
        connection: {
          host: plan.ssh.host,
          port: 22,
          user: plan.ssh.user,
          privateKey: pulumi.secret('PRIVATE'),
          hostKey: 'ssh-ed25519 AAAA',
        },
        bundle: bundle === null ? null : { directory: '/var/lib/sitewright/bundles/b1' },
        bundleReady: new StandIn('bundle-ready'),
        ready,
        owner: owned ? new StandIn('owner') : null,
        incarnation,
      };
      const stamp = { site: site.site, id: pulumi.output(site.stampId) };
      node = new Node(`oslo-${plan.name}`, { plan, hosts: site.hosts, machine, stamp, bundle });
    },
    { preview, outputs: ({ inputs }) => ({ ...inputs, stdout: JSON.stringify(facts) }) },
  );
  return { node: node!, resources: resources.filter(({ type }) => type !== 'test:index:StandIn') };
}

describe.each([true, false])('preview: %s', (preview) => {
  test('a machine of the kit takes its preparation along', async () => {
    const { resources } = await record(kvmNode, { preview });
    expect(resources).toMatchObject([
      { name: 'oslo-node-a', type: 'sitewright:nodes:Node', parent: null, outputsRegistered: true },
      {
        name: 'oslo-node-a-prepare',
        type: 'command:remote:Command',
        parent: 'oslo-node-a',
        dependencies: expect.arrayContaining(['ready']),
        deletedWith: 'owner',
        protect: false,
      },
    ]);
    const { inputs, secretInputs } = resources[1]!;
    expect(inputs.delete).toBeUndefined();
    expect(inputs.triggers).toBeUndefined();
    expect(inputs.stdin).toBe(`# Machine uuid-1\n${renderNodeScript(kvmNode, site)}`);
    expect(secretInputs).toEqual(['connection', 'stdin']);
  });

  test('any other machine is left as it was found', async () => {
    const { resources } = await record(vmxnet3Node, { preview });
    expect(resources[1]).toMatchObject({ name: 'oslo-node-b-prepare', deletedWith: null });
    expect(resources[1]!.inputs.delete).toContain('removing what preparation wrote');
  });
});

test('the facts are what the script printed', async () => {
  const { node } = await record(kvmNode);
  expect(await new Promise((resolve) => node.facts.apply(resolve))).toEqual(facts);
});

test('a machine that was made anew is prepared again', async () => {
  const script = async (incarnation: string) => (await record(kvmNode, { incarnation })).resources[1]!.inputs.stdin;
  expect(await script('uuid-1')).not.toBe(await script('uuid-2'));
});

test('a shell that greets is named as the reason for unreadable facts', () => {
  expect(() => parseFacts('node-a', 'Welcome!\n{}')).toThrow(/node-a: .* must write nothing to stdout/);
});

describe('the slice that decides which packets pass', () => {
  const slice = networkSlice(vmxnet3Node);
  test('holds MTU, addresses, offloads and the modules of tunnels', () => {
    expect(slice).toMatchObject({ addresses: ['192.0.2.12/24'], encapsulationModules: ['vxlan'] });
    expect(networkSlice({ ...vmxnet3Node, interface: { ...vmxnet3Node.interface, mtuBytes: 1400 } })).not.toEqual(
      slice,
    );
    expect(networkSlice({ ...vmxnet3Node, offloads: vmxnet3Node.offloads.slice(1) })).not.toEqual(slice);
  });
  test('does not change with what no packet feels', () => {
    expect(
      networkSlice({
        ...vmxnet3Node,
        sysctls: [],
        ntpServers: ['192.0.2.9'],
        offloads: vmxnet3Node.offloads.map((rule) => ({ ...rule, reason: 'other words' })),
      }),
    ).toEqual(slice);
  });
});

test('a bundle with packages is there before they are wanted; any other need not be', async () => {
  const waitsFor = async (kind: 'package-index' | 'manifest') => {
    const path = 'packages/debian-12/Packages';
    const artifact = {
      path,
      kind,
      component: 'x',
      version: '1',
      source: 'x',
      sha256: 'a1',
      sizeBytes: 1,
      licence: 'x',
    };
    const lock = { schemaVersion: 1, name: 'x', from: 'upstream', artifacts: [artifact] } as const;
    const { resources } = await record(vmxnet3Node, { bundle: { id: 'b1', lock: { ...lock, artifacts: [artifact] } } });
    return resources[1]!.dependencies;
  };
  expect(await waitsFor('package-index')).toContain('bundle-ready');
  expect(await waitsFor('manifest')).not.toContain('bundle-ready');
});
