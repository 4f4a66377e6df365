import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import * as pulumi from '@pulumi/pulumi';
import { parse } from 'yaml';
import { VsphereMachines, loadVsphere, type Machine } from '../../components/machines';
import { encoded } from '../../components/machines/guestinfo';
import type { DeadMachinePlan, NodePlan, VspherePlan } from '../../components/plan';
import { deriveHostKey } from '../../components/secrets/hostKey';
import { recordProgram, UNKNOWN, type RecordedResource } from '../support/recordingMonitor';
import { hostKeySeedBase64, node as kvmNode, secrets } from './fixtures';
import { expectGolden } from './golden';
import { accessOf, VCENTER_PASSWORD } from './vsphereStandIn';

const GIB = 1024 ** 3;

const placement = {
  datacenter: 'DC1',
  host: null,
  resourcePool: null,
  datastoreCluster: null,
  etcdDatastore: null,
  hostGroup: null,
  storagePolicy: null,
  etcdStoragePolicy: null,
};

const vspherePlan: VspherePlan = {
  server: 'vcenter.example',
  caFile: null,
  thumbprint: null,
  template: { name: 'debian-12', library: null },
  placements: [
    {
      ...placement,
      name: 'a',
      cluster: 'compute-a',
      folder: 'k8s/oslo',
      datastore: 'vsan-a',
      etcdDatastore: 'nvme-a',
      isoDatastore: 'vsan-a',
      hostGroup: 'room-1',
      storagePolicy: 'mirrored',
      etcdStoragePolicy: 'nvme',
    },
    {
      ...placement,
      name: 'b',
      cluster: null,
      host: 'esx9',
      folder: null,
      datastore: null,
      datastoreCluster: 'pod-b',
      isoDatastore: 'iso',
    },
  ],
  networks: [{ name: 'nodes', portGroup: 'k8s-nodes', datacenters: ['DC1'], switchMtuBytes: 9000 }],
  disks: 'thin',
  firmware: 'efi',
  secureBoot: true,
  hotAdd: false,
  cpuReservationMegahertz: 4000,
  reservesMemory: true,
  latencySensitivity: 'normal',
  antiAffinity: [{ datacenter: 'DC1', cluster: 'compute-a', machines: ['cp1', 'cp2'], isRequired: true }],
  hostGroups: [{ datacenter: 'DC1', cluster: 'compute-a', hostGroup: 'room-1', machines: ['cp1', 'cp2'] }],
};

function node(name: string, role: NodePlan['role'], place: string, etcdDiskBytes: number | null): NodePlan {
  const plan = kvmNode(name, role, { kvm: null });
  const vsphere = {
    placement: place,
    network: 'nodes',
    cpus: 4,
    memoryBytes: 8 * GIB,
    rootDiskBytes: 40 * GIB,
    etcdDiskBytes,
  };
  return { ...plan, interface: { ...plan.interface, mac: '00:50:56:12:34:56', driver: 'vmxnet3' }, vsphere };
}

const nodes = [
  node('cp1', 'control-plane', 'a', 20 * GIB),
  node('cp2', 'control-plane', 'a', null),
  node('w1', 'worker', 'b', null),
];
const dead: DeadMachinePlan[] = [
  {
    name: 'cp9',
    role: 'control-plane',
    addresses: ['192.0.2.19'],
    ssh: { host: '192.0.2.19', port: 22, user: 'root', hostKey: null },
    hypervisor: 'a',
  },
];
const bundle = { id: '12'.repeat(32), isoSha256: '34'.repeat(32), isoFile: '/cache/bundles/12.iso' };

async function record(preview: boolean, template = vspherePlan.template, login = {}) {
  let machines: Machine[] = [];
  const vsphere = { ...vspherePlan, template };
  const resources = await recordProgram(
    () => {
      machines = new VsphereMachines('acme-machines', {
        vsphere,
        access: { ...accessOf(vsphere), ...login },
        nodes,
        dead,
        jump: null,
        stamp: { site: 'acme', id: pulumi.output('4b1d') },
        secrets: secrets(),
        protectedRoles: ['control-plane', 'worker'],
        sshLimitSeconds: 900,
        bundle,
      }).machines;
    },
    { preview },
  );
  return { machines, resources, byName: new Map(resources.map((resource) => [resource.name, resource])) };
}

test('a session that is lent is in no resource: a new one of every day changes nothing', async () => {
  const { byName } = await record(false, vspherePlan.template, { user: null, password: null });
  const { inputs } = byName.get('acme-machines-vcenter')!;
  expect([inputs.user, inputs.password]).toEqual(['', '']);
  const request = JSON.parse(byName.get('acme-machines-cp1-seed')!.inputs.stdin as string) as object;
  expect(request).toMatchObject({ kind: 'clear-seed', user: null, password: null });
});

describe.each([true, false])('VsphereMachines, preview: %s', (preview) => {
  let byName: Map<string, RecordedResource>;
  let resources: RecordedResource[];
  let machines: Machine[];
  beforeAll(async () => ({ byName, machines, resources } = await record(preview)));

  test('registers each resource under its parent, all of vSphere with the provider of the site', () => {
    const rows = resources.map(({ name, type, parent }) => `${name} ${type} < ${parent}`);
    const expected = [
      'acme-machines sitewright:machines:VsphereMachines < null',
      'acme-machines-a-bundle-12121212 vsphere:index/file:File < acme-machines',
      'acme-machines-apart-DC1-compute-a vsphere:index/computeClusterVmAntiAffinityRule:ComputeClusterVmAntiAffinityRule < acme-machines',
      'acme-machines-b-bundle-12121212 vsphere:index/file:File < acme-machines',
      'acme-machines-group-DC1-compute-a-room-1 vsphere:index/computeClusterVmGroup:ComputeClusterVmGroup < acme-machines',
      'acme-machines-hosts-DC1-compute-a-room-1 vsphere:index/computeClusterVmHostRule:ComputeClusterVmHostRule < acme-machines',
      'acme-machines-vcenter pulumi:providers:vsphere < acme-machines',
      ...['cp1', 'cp2', 'cp9', 'w1'].flatMap((name) => [
        `acme-machines-${name} sitewright:machines:VsphereMachine < acme-machines`,
        `acme-machines-${name}-domain vsphere:index/virtualMachine:VirtualMachine < acme-machines-${name}`,
        ...(name === 'cp9'
          ? []
          : ['seed', 'ssh'].map(
              (role) => `acme-machines-${name}-${role} command:local:Command < acme-machines-${name}`,
            )),
      ]),
    ];
    expect(rows.sort()).toEqual(expected.sort());
    const ofVsphere = resources.filter(({ type }) => type.startsWith('vsphere:'));
    for (const { provider } of ofVsphere) expect(provider).toBe('acme-machines-vcenter');
    for (const { custom, outputsRegistered } of resources) expect(custom || outputsRegistered).toBe(true);
  });

  test('a control-plane machine: sizes, disks, network, bundle and what keeps it', () => {
    const { inputs, ...machine } = byName.get('acme-machines-cp1-domain')!;
    expect(machine).toMatchObject({ protect: true, deleteBeforeReplace: true });
    expect(machine.dependencies).toContain('acme-machines-a-bundle-12121212');
    const { extraConfig, ...others } = inputs;
    expect(Object.keys(extraConfig as object)).toEqual([
      'guestinfo.metadata',
      'guestinfo.metadata.encoding',
      'guestinfo.userdata',
      'guestinfo.userdata.encoding',
    ]);
    expect(others).toEqual({
      name: expect.stringContaining('cp1'),
      annotation: expect.stringContaining('acme'),
      resourcePoolId: '[id of resource pool compute-a]',
      folder: 'k8s/oslo',
      datastoreId: '[id of datastore vsan-a]',
      storagePolicyId: '[id of storage policy mirrored]',
      numCpus: 4,
      memory: 8192,
      cpuHotAddEnabled: false,
      memoryHotAddEnabled: false,
      cpuReservation: 4000,
      memoryReservation: 8192,
      latencySensitivity: 'normal',
      firmware: 'efi',
      efiSecureBootEnabled: true,
      guestId: '[guest of the template]',
      scsiType: 'pvscsi',
      enableDiskUuid: true,
      networkInterfaces: [
        {
          networkId: '[id of port group DC1/k8s-nodes]',
          adapterType: 'vmxnet3',
          useStaticMac: true,
          macAddress: '00:50:56:12:34:56',
        },
      ],
      disks: [
        {
          label: 'root',
          size: 40,
          unitNumber: 0,
          thinProvisioned: true,
          eagerlyScrub: false,
          storagePolicyId: '[id of storage policy mirrored]',
        },
        {
          label: 'etcd',
          size: 20,
          unitNumber: 1,
          thinProvisioned: true,
          eagerlyScrub: false,
          datastoreId: '[id of datastore nvme-a]',
          storagePolicyId: '[id of storage policy nvme]',
        },
      ],
      cdroms: [
        { datastoreId: '[id of datastore vsan-a]', path: 'sitewright/acme/sitewright-bundle-1212121212121212.iso' },
      ],
      clone: { templateUuid: '[id of template debian-12]', timeout: 60 },
      extraConfigRebootRequired: false,
      waitForGuestNetTimeout: 0,
      waitForGuestIpTimeout: 0,
      replaceTrigger: 'datacenter DC1; MAC 00:50:56:12:34:56; firmware efi; an etcd disk',
    });
    expect(machines[0].disks).toEqual({
      root: '/dev/disk/by-id/sitewright-root',
      etcd: '/dev/disk/by-id/sitewright-etcd',
    });
    expect(machines[0].bundle).toEqual({ device: '/dev/disk/by-id/sitewright-bundle' });
  });

  test('a worker on a host and a datastore cluster', () => {
    const { inputs, protect } = byName.get('acme-machines-w1-domain')!;
    expect(protect).toBe(true);
    expect(inputs).toMatchObject({
      hostSystemId: '[id of host esx9]',
      datastoreClusterId: '[id of datastore cluster pod-b]',
    });
    expect(inputs).not.toHaveProperty('datastoreId');
    expect(inputs).not.toHaveProperty('folder');
    expect(inputs.disks).toHaveLength(1);
    expect(inputs.cdroms).toEqual([
      { datastoreId: '[id of datastore iso]', path: expect.stringContaining('sitewright/acme/') },
    ]);
    expect(machines[2].disks.etcd).toBeNull();
  });

  test('template and seed reach new machines only; a lost machine stays as it is', () => {
    expect(byName.get('acme-machines-w1-domain')!.ignoreChanges).toEqual([
      'clone',
      'extraConfig["guestinfo.metadata"]',
      'extraConfig["guestinfo.metadata.encoding"]',
      'extraConfig["guestinfo.userdata"]',
      'extraConfig["guestinfo.userdata.encoding"]',
    ]);
    expect(byName.get('acme-machines-cp9-domain')!).toMatchObject({ ignoreChanges: ['*'], protect: true });
  });

  test('SSH waits for the machine, and runs again for a new one', () => {
    const ssh = byName.get('acme-machines-cp1-ssh')!;
    expect(ssh.deletedWith).toBe('acme-machines-cp1-domain');
    expect(ssh.dependencies).toContain('acme-machines-cp1-domain');
    expect(ssh.inputs.stdin).toEqual(preview ? UNKNOWN : expect.stringContaining('id-of-acme-machines-cp1-domain'));
  });

  test('the seed is cleared once SSH has answered, in a request that is a secret', () => {
    const seed = byName.get('acme-machines-cp1-seed')!;
    expect(seed.dependencies).toContain('acme-machines-cp1-ssh');
    expect(seed.deletedWith).toBe('acme-machines-cp1-domain');
    // In a preview the machine has no UUID yet.
    if (preview) return;
    expect(seed.secretInputs).toContain('stdin');
    expect(JSON.parse(seed.inputs.stdin as string)).toEqual({
      kind: 'clear-seed',
      name: 'cp1',
      vcenter: { server: 'vcenter.example', caFile: null, thumbprint: null },
      user: 'sitewright@vsphere.local',
      password: VCENTER_PASSWORD,
      uuid: 'id-of-acme-machines-cp1-domain',
      keys: ['guestinfo.userdata', 'guestinfo.userdata.encoding'],
    });
  });

  test('secrets are marked: the password and the user data, and nothing else shows them', () => {
    const secret = resources.flatMap(({ name, secretInputs }) => secretInputs.map((path) => `${name} ${path}`));
    expect(secret).toEqual(
      expect.arrayContaining([
        'acme-machines-vcenter password',
        'acme-machines-cp1-domain extraConfig.guestinfo.userdata',
      ]),
    );
    expect(secret).not.toContain('acme-machines-cp1-domain extraConfig.guestinfo.userdata.encoding');
    const shown = resources.flatMap(({ inputs, secretInputs, name }) =>
      name.endsWith('-vcenter') || secretInputs.includes('stdin') ? [] : [JSON.stringify(inputs)],
    );
    expect(shown.join('\n')).not.toContain(VCENTER_PASSWORD);
  });

  test('the rule that keeps the control plane apart', () => {
    expect(byName.get('acme-machines-apart-DC1-compute-a')!.inputs).toEqual({
      name: 'sitewright acme: control plane',
      computeClusterId: '[id of cluster compute-a]',
      virtualMachineIds: ['cp1', 'cp2'].map((name) => (preview ? UNKNOWN : `id-of-acme-machines-${name}-domain`)),
      mandatory: true,
      enabled: true,
    });
  });

  test('the rule that keeps the machines of a host group on its hosts', () => {
    const computeClusterId = '[id of cluster compute-a]';
    const ids = ['cp1', 'cp2'].map((name) => (preview ? UNKNOWN : `id-of-acme-machines-${name}-domain`));
    expect(byName.get('acme-machines-group-DC1-compute-a-room-1')!.inputs).toEqual({
      name: 'sitewright acme on room-1',
      computeClusterId,
      virtualMachineIds: ids,
    });
    const rule = byName.get('acme-machines-hosts-DC1-compute-a-room-1')!;
    expect(rule.dependencies).toContain('acme-machines-group-DC1-compute-a-room-1');
    expect(rule.inputs).toEqual({
      name: 'sitewright acme: on room-1',
      computeClusterId,
      vmGroupName: 'sitewright acme on room-1',
      affinityHostGroupName: 'room-1',
      mandatory: true,
      enabled: true,
    });
  });
});

test('an item of a content library says nothing of its operating system, and is asked nothing about it', async () => {
  const { byName } = await record(false, { name: 'debian-12', library: 'images' });
  const { inputs } = byName.get('acme-machines-w1-domain')!;
  expect(inputs).not.toHaveProperty('guestId');
  expect(inputs.clone).toEqual({ templateUuid: '[id of library item debian-12]', timeout: 60 });
});

describe('guestinfo', () => {
  const decoded = async (key: string) => {
    const { byName } = await record(false);
    const { extraConfig } = byName.get('acme-machines-cp1-domain')!.inputs as { extraConfig: Record<string, string> };
    expect(extraConfig[`${key}.encoding`]).toBe('gzip+base64');
    return gunzipSync(Buffer.from(extraConfig[key], 'base64')).toString();
  };

  test('metadata: the network of the machine, and that the user data is redacted', async () => {
    const text = await decoded('guestinfo.metadata');
    expectGolden('guestinfo-metadata', text);
    const document = parse(text, { version: '1.1' });
    expect(document.redact).toEqual(['userdata']);
    expect(document.network.ethernets.primary).toMatchObject({
      match: { macaddress: '00:50:56:12:34:56' },
      mtu: 9000,
      addresses: ['192.0.2.11/24', '2001:db8::11/64'],
    });
    expect(text).not.toContain('PRIVATE KEY');
  });

  test('user data: the host key that is known before the first connection, and names for the disks', async () => {
    const text = await decoded('guestinfo.userdata');
    const pair = deriveHostKey(hostKeySeedBase64, 'cp1');
    expectGolden('guestinfo-userdata', withoutUserKey(text));
    const document = parse(text, { version: '1.1' });
    expect(document.ssh_keys.ed25519_private).toBe(pair.privateKey);
    expect(document.bootcmd[0][2]).toContain('KERNELS=="*:0:1:0"');
  });

  test('the same text is the same bytes', () => expect(encoded('a')).toBe(encoded('a')));
});

/** The key of the user is drawn anew in every run. */
const withoutUserKey = (text: string) => text.replace(/(ssh_authorized_keys:\n\s+- ).*/, '$1<user key>');

describe('the package', () => {
  test('that is missing is one error with the command that adds it', () => {
    const missing = () => {
      throw Object.assign(new Error("Cannot find module '@pulumi/vsphere'"), { code: 'MODULE_NOT_FOUND' });
    };
    expect(() => loadVsphere(missing)).toThrow(/npm install --no-save @pulumi\/vsphere@4\.18\.2/);
    expect(() =>
      loadVsphere(() => {
        throw new Error('broken');
      }),
    ).toThrow('broken');
  });
});

interface Property {
  type?: string;
  $ref?: string;
  items?: Property;
  additionalProperties?: Property;
  willReplaceOnChanges?: boolean;
}
interface Schema {
  provider: { inputProperties: Record<string, Property> };
  resources: Record<string, { inputProperties: Record<string, Property>; requiredInputs?: string[] }>;
  types: Record<string, { properties: Record<string, Property>; required?: string[] }>;
}

/** Of the provider's reference (registry, vSphere 4.18): the two resources that the excerpt leaves out. */
const cluster = { type: 'string', willReplaceOnChanges: true };
const text = { type: 'string' };
const BEYOND_EXCERPT: Schema['resources'] = {
  'vsphere:index/computeClusterVmGroup:ComputeClusterVmGroup': {
    inputProperties: {
      computeClusterId: cluster,
      name: cluster,
      virtualMachineIds: { type: 'array', items: text },
    },
    requiredInputs: ['computeClusterId'],
  },
  'vsphere:index/computeClusterVmHostRule:ComputeClusterVmHostRule': {
    inputProperties: {
      computeClusterId: cluster,
      vmGroupName: text,
      affinityHostGroupName: text,
      antiAffinityHostGroupName: text,
      mandatory: { type: 'boolean' },
      enabled: { type: 'boolean' },
      name: text,
    },
    requiredInputs: ['computeClusterId', 'vmGroupName'],
  },
};

describe('what is registered fits the schema of the provider', () => {
  const file = join(__dirname, '../../../shared/upstream/pulumi-providers/vsphere-excerpt.json');
  const schema = JSON.parse(readFileSync(file, 'utf8')) as Schema;
  expect(existsSync(file)).toBe(true);

  function problems(value: unknown, property: Property | undefined, path: string): string[] {
    if (property === undefined) return [`${path} is not in the schema`];
    if (value === UNKNOWN) return [];
    if (property.$ref !== undefined) {
      const type = schema.types[property.$ref.replace('#/types/', '')];
      return ofObject(value as object, type.properties, type.required ?? [], path);
    }
    if (property.type === 'array')
      return Array.isArray(value)
        ? value.flatMap((item, index) => problems(item, property.items, `${path}[${index}]`))
        : [`${path} is no list`];
    if (property.type === 'object')
      return Object.entries(value as object).flatMap(([key, item]) =>
        problems(item, property.additionalProperties ?? { type: 'string' }, `${path}.${key}`),
      );
    const isRight =
      property.type === 'integer' ? Number.isInteger(value) : typeof value === property.type && value !== '';
    return isRight ? [] : [`${path} is ${JSON.stringify(value)} and not ${property.type}`];
  }

  function ofObject(value: object, properties: Record<string, Property>, required: string[], path: string): string[] {
    return [
      ...required.filter((key) => !(key in value)).map((key) => `${path}.${key} is missing`),
      ...Object.entries(value).flatMap(([key, item]) => problems(item, properties[key], `${path}.${key}`)),
    ];
  }

  test.each([true, false])('preview: %s', async (preview) => {
    const { resources } = await record(preview);
    const ofVsphere = resources.filter(({ type }) => type.startsWith('vsphere:'));
    expect(ofVsphere.length).toBeGreaterThan(6);
    const found = ofVsphere.flatMap(({ name, type, inputs }) => {
      const { inputProperties, requiredInputs = [] } = schema.resources[type] ?? BEYOND_EXCERPT[type];
      return ofObject(inputs, inputProperties, requiredInputs, name);
    });
    expect(found).toEqual([]);
    const { inputs } = resources.find(({ type }) => type === 'pulumi:providers:vsphere')!;
    const plain = Object.fromEntries(
      Object.entries(inputs).map(([key, value]) => [key, value === 'false' ? false : value]),
    );
    expect(ofObject(plain, schema.provider.inputProperties, [], 'provider')).toEqual([]);
  });

  test('replaced on change is what the machines say that they are made from', () => {
    const { inputProperties } = schema.resources['vsphere:index/virtualMachine:VirtualMachine'];
    const replacing = Object.keys(inputProperties).filter((key) => inputProperties[key].willReplaceOnChanges);
    expect(replacing).toEqual(['replaceTrigger']);
  });
});
