import * as pulumi from '@pulumi/pulumi';
import type { DeadMachinePlan, NodePlan, VsphereMachinePlan, VspherePlacementPlan, VspherePlan } from '../plan';
import { domainName } from '../plan/machines';
import { deriveHostKey, publicKeyOf } from '../secrets/hostKey';
import { LENT_USER } from '../vcenter/login';
import { agentRequest } from '../commands';
import { awaitSsh } from './awaitSsh';
import { bundleImageName, type SiteBundle } from './bundle';
import { seedOfNode } from './cloudInit';
import { sshConnection } from './connection';
import { guestinfoConfig, guestinfoSeed, METADATA_KEY, SCSI_UNITS, USER_DATA_KEY, VSPHERE_DEVICES } from './guestinfo';
import type { LostMachine, Machine, MakerArgs } from './machine';
import { instanceId } from './instanceId';
import type { VirtualMachineArgs, VspherePackage } from './vspherePackage';
import { placementRules } from './vsphereRules';

/** Type of the resource that is a machine. */
export const VIRTUAL_MACHINE = 'vsphere:index/virtualMachine:VirtualMachine';

const MEBIBYTE = 1024 ** 2;
const GIBIBYTE = 1024 ** 3;
/** A full clone copies the template's disk: minutes on the same storage, longer between datacenters. */
const CLONE_LIMIT_MINUTES = 60;

/** What the names of a plan stand for: identifiers of one vCenter. */
export interface VsphereIds {
  template: {
    /** Of the machine, or id of the item of a content library. */
    uuid: string;
    /** Operating system as vSphere knows it, such as debian12_64Guest; null for an item of a library, which keeps it to itself. */
    guestId: string | null;
  };
  /** By the name of the placement. */
  placements: Record<string, PlacementIds>;
  /** Port groups, by name of the network and then by datacenter. */
  networks: Record<string, Record<string, string>>;
}

export interface PlacementIds {
  resourcePoolId: string;
  /** Null: the cluster decides. */
  hostSystemId: string | null;
  /** Of the cluster that has the rules; null for a host outside of every cluster. */
  clusterId: string | null;
  /** Exactly one of the two is set. */
  datastoreId: string | null;
  datastoreClusterId: string | null;
  etcdDatastoreId: string | null;
  isoDatastoreId: string | null;
  storagePolicyId: string | null;
  etcdStoragePolicyId: string | null;
}

/** What the machines of a site need of a vCenter. */
export interface VsphereAccess {
  provider: VspherePackage;
  ids: VsphereIds;
  /** Null, and the password with it: a session that the command line lends to the plugin and to the agent (components/vcenter/lend.ts). */
  user: pulumi.Input<string> | null;
  password: pulumi.Input<string> | null;
}

export interface VsphereMachinesArgs extends MakerArgs {
  vsphere: VspherePlan;
  access: VsphereAccess;
  /** What every machine gets as a CD-ROM. `isoFile` is its image on this machine. Default: none. */
  bundle?: (SiteBundle & { isoFile: string }) | null;
}

/** The virtual machines of a site on a vCenter. */
export class VsphereMachines extends pulumi.ComponentResource {
  /** In the order of `nodes`. */
  readonly machines: Machine[];
  /** In the order of `dead`. */
  readonly lost: LostMachine[];

  constructor(name: string, args: VsphereMachinesArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:machines:VsphereMachines', name, {}, opts);
    const { vsphere, access } = args;
    const provider = new access.provider.Provider(
      `${name}-vcenter`,
      {
        vsphereServer: vsphere.server,
        // The plugin asks for both, and looks for a session that is lent under the name of this user.
        user: access.user === null ? LENT_USER : pulumi.secret(access.user),
        password: access.password === null ? '' : pulumi.secret(access.password),
        allowUnverifiedSsl: false,
      },
      { parent: this },
    );
    const images = this.placeBundle(name, args, provider);
    const vms = new Map<string, pulumi.CustomResource>();
    this.machines = args.nodes.map((node) => {
      const placement = placementOf(vsphere, node.vsphere!.placement);
      const image = images.get(isoKey(placement)) ?? null;
      const made = new VsphereMachine(`${name}-${node.name}`, { ...args, node, image, provider }, { parent: this });
      vms.set(node.name, made.vm);
      return made.machine;
    });
    this.lost = args.dead.map(
      (plan) => new LostVsphereMachine(`${name}-${plan.name}`, { ...args, plan, provider }, { parent: this }).machine,
    );
    placementRules(name, args, vms, { parent: this, provider });
    this.registerOutputs({});
  }

  /** One file on each datastore. Its name has the id: another bundle is another file, and the earlier one goes last. */
  private placeBundle(
    name: string,
    { vsphere, access, nodes, stamp, bundle = null }: VsphereMachinesArgs,
    provider: pulumi.ProviderResource,
  ): Map<string, BundleImage> {
    const images = new Map<string, BundleImage>();
    if (bundle === null) return images;
    for (const placement of vsphere.placements) {
      if (images.has(isoKey(placement)) || !nodes.some((node) => node.vsphere?.placement === placement.name)) continue;
      const path = `sitewright/${stamp.site}/${bundleImageName(bundle.id)}`;
      const file = new access.provider.File(
        `${name}-${placement.name}-bundle-${bundle.id.slice(0, 8)}`,
        {
          datacenter: placement.datacenter,
          datastore: placement.isoDatastore!,
          sourceFile: bundle.isoFile,
          destinationFile: path,
          createDirectories: true,
        },
        // The same content lies elsewhere on the next person's machine.
        { parent: this, provider, ignoreChanges: ['sourceFile'] },
      );
      images.set(isoKey(placement), { file, path });
    }
    return images;
  }
}

const isoKey = ({ datacenter, isoDatastore }: VspherePlacementPlan) => JSON.stringify([datacenter, isoDatastore]);

interface BundleImage {
  file: pulumi.Resource;
  /** On its datastore. */
  path: string;
}

export interface VsphereMachineArgs extends Omit<VsphereMachinesArgs, 'nodes' | 'dead' | 'bundle'> {
  node: NodePlan;
  provider: pulumi.ProviderResource;
  /** The image of the bundle on the datastore of this machine. Null: the site has none. */
  image: BundleImage | null;
}

/**
 * One virtual machine. CPUs, memory, larger disks, the port group and the place within the datacenter are changes in place,
 * which vCenter makes while the machine runs where it can and restarts it where not; the template and cloud-init reach new
 * machines only; what `madeFrom` lists makes the machine anew.
 */
export class VsphereMachine extends pulumi.ComponentResource {
  readonly machine: Machine;
  readonly vm: pulumi.CustomResource;

  constructor(name: string, args: VsphereMachineArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:machines:VsphereMachine', name, {}, opts);
    const { node, access, stamp, secrets, image, provider } = args;
    const hostKey = pulumi.secret(secrets.hostKeySeed).apply((seed) => deriveHostKey(seed, node.name));
    const authorizedKey = pulumi.secret(secrets.sshPrivateKey).apply(publicKeyOf);
    const seed = pulumi.all([stamp.id, authorizedKey, hostKey]).apply(([stampId, publicKey, pair]) =>
      guestinfoConfig(
        guestinfoSeed({
          instanceId: instanceId(stamp.site, node.name, stampId),
          authorizedKey: publicKey,
          hostKey: pair,
          ...seedOfNode(node),
        }),
      ),
    );
    // The command line knows the resource that owns a machine by this name, whoever makes it.
    this.vm = new access.provider.VirtualMachine(`${name}-domain`, virtualMachine(args, seed), {
      parent: this,
      provider,
      // Here and not at the component: children do not inherit what a component depends on.
      dependsOn: image === null ? [] : [image.file],
      // One name, one MAC address, one IP address: there is no room for both.
      deleteBeforeReplace: true,
      protect: args.protectedRoles.includes(node.role),
      // New machines only; and the seed is cleared on the machine once it was read.
      ignoreChanges: ['clone', ...Object.keys(SEED_ENCODINGS).map((key) => `extraConfig["${key}"]`)],
    });

    const publicHostKey = pulumi.unsecret(hostKey.apply(({ publicKey }) => publicKey));
    const connection = sshConnection(node.ssh, publicHostKey, secrets, args.jump);
    const ready = awaitSsh(
      `${name}-ssh`,
      { machine: node.name, connection, incarnation: this.vm.id, limitSeconds: args.sshLimitSeconds },
      { parent: this, dependsOn: [this.vm], deletedWith: this.vm },
    );
    this.clearSeed(`${name}-seed`, args, ready);
    this.machine = {
      name: node.name,
      role: node.role,
      addresses: node.addresses,
      nicDriver: node.interface.driver,
      disks: { root: VSPHERE_DEVICES.root, etcd: node.vsphere!.etcdDiskBytes === null ? null : VSPHERE_DEVICES.etcd },
      bundle: image === null ? null : { device: VSPHERE_DEVICES.bundle },
      bundleReady: ready,
      connection,
      ready,
      owner: this.vm,
      incarnation: this.vm.id,
    };
    this.registerOutputs({});
  }

  /** The machine has read its private key: nobody else needs to find it in the vCenter. */
  private clearSeed(
    name: string,
    { node, vsphere: { server, caFile, thumbprint }, access }: VsphereMachineArgs,
    ready: pulumi.Resource,
  ): void {
    const request = pulumi.jsonStringify({
      kind: 'clear-seed',
      name: node.name,
      vcenter: { server, caFile, thumbprint },
      user: access.user,
      password: access.password,
      uuid: this.vm.id,
      keys: [USER_DATA_KEY, `${USER_DATA_KEY}.encoding`],
    });
    agentRequest(name, { request: pulumi.secret(request) }, { parent: this, dependsOn: [ready], deletedWith: this.vm });
  }
}

/** Keys of the seed; those that say how the others are written are no secrets. */
const SEED_ENCODINGS = {
  [METADATA_KEY]: false,
  [`${METADATA_KEY}.encoding`]: true,
  [USER_DATA_KEY]: false,
  [`${USER_DATA_KEY}.encoding`]: true,
};

function virtualMachine(
  { vsphere, access, node, stamp, image }: VsphereMachineArgs,
  seed: pulumi.Output<Record<string, string>>,
): VirtualMachineArgs {
  const machine = node.vsphere!;
  const placement = placementOf(vsphere, machine.placement);
  const ids = access.ids.placements[placement.name];
  const memoryMebibytes = machine.memoryBytes / MEBIBYTE;
  return {
    name: domainName(stamp.site, node.name),
    annotation: `${node.name} of the site ${stamp.site}, made by sitewright: edits by hand are undone`,
    resourcePoolId: ids.resourcePoolId,
    ...(ids.hostSystemId === null ? {} : { hostSystemId: ids.hostSystemId }),
    ...(placement.folder === null ? {} : { folder: placement.folder }),
    ...(ids.datastoreClusterId === null
      ? { datastoreId: ids.datastoreId! }
      : { datastoreClusterId: ids.datastoreClusterId }),
    ...(ids.storagePolicyId === null ? {} : { storagePolicyId: ids.storagePolicyId }),
    numCpus: machine.cpus,
    memory: memoryMebibytes,
    cpuHotAddEnabled: vsphere.hotAdd,
    memoryHotAddEnabled: vsphere.hotAdd,
    ...(vsphere.cpuReservationMegahertz === null ? {} : { cpuReservation: vsphere.cpuReservationMegahertz }),
    memoryReservation: vsphere.reservesMemory ? memoryMebibytes : 0,
    latencySensitivity: vsphere.latencySensitivity,
    firmware: vsphere.firmware,
    ...(vsphere.firmware === 'efi' ? { efiSecureBootEnabled: vsphere.secureBoot } : {}),
    ...(access.ids.template.guestId === null ? {} : { guestId: access.ids.template.guestId }),
    scsiType: 'pvscsi',
    enableDiskUuid: true,
    networkInterfaces: [
      {
        networkId: access.ids.networks[machine.network][placement.datacenter],
        adapterType: 'vmxnet3',
        useStaticMac: true,
        macAddress: node.interface.mac!,
      },
    ],
    disks: disks(vsphere, machine, ids),
    cdroms: image === null ? [] : [{ datastoreId: ids.isoDatastoreId!, path: image.path }],
    clone: { templateUuid: access.ids.template.uuid, timeout: CLONE_LIMIT_MINUTES },
    // Each key on its own: the engine ignores changes of some of them, and not of the map.
    extraConfig: Object.fromEntries(
      Object.entries(SEED_ENCODINGS).map(([key, isPlain]) => [
        key,
        isPlain ? pulumi.unsecret(seed.apply((config) => config[key])) : seed.apply((config) => config[key]),
      ]),
    ),
    extraConfigRebootRequired: false,
    // The tools of the guest may not report; that SSH answers with the right host key is what counts.
    waitForGuestNetTimeout: 0,
    waitForGuestIpTimeout: 0,
    replaceTrigger: madeFrom(node, vsphere).join('; '),
  };
}

function disks(
  { disks: provisioning }: VspherePlan,
  { rootDiskBytes, etcdDiskBytes }: VsphereMachinePlan,
  { etcdDatastoreId, storagePolicyId, etcdStoragePolicyId }: PlacementIds,
): VirtualMachineArgs['disks'] {
  const kind = { thinProvisioned: provisioning === 'thin', eagerlyScrub: provisioning === 'eager' };
  const policy = (id: string | null) => (id === null ? {} : { storagePolicyId: id });
  const root = {
    ...{ label: 'root', size: rootDiskBytes / GIBIBYTE, unitNumber: SCSI_UNITS.root, ...kind },
    ...policy(storagePolicyId),
  };
  if (etcdDiskBytes === null) return [root];
  return [
    root,
    {
      label: 'etcd',
      size: etcdDiskBytes / GIBIBYTE,
      unitNumber: SCSI_UNITS.etcd,
      ...kind,
      ...(etcdDatastoreId === null ? {} : { datastoreId: etcdDatastoreId }),
      ...policy(etcdStoragePolicyId),
    },
  ];
}

/** What cannot change under a machine that stays. Words, because a preview shows them. */
export function madeFrom(node: NodePlan, vsphere: VspherePlan): string[] {
  const { datacenter } = placementOf(vsphere, node.vsphere!.placement);
  return [
    `datacenter ${datacenter}`,
    `MAC ${node.interface.mac}`,
    `firmware ${vsphere.firmware}`,
    node.vsphere!.etcdDiskBytes === null ? 'no etcd disk' : 'an etcd disk',
  ];
}

const placementOf = ({ placements }: VspherePlan, name: string): VspherePlacementPlan =>
  placements.find((placement) => placement.name === name)!;

interface LostVsphereMachineArgs extends Pick<VsphereMachinesArgs, 'access' | 'protectedRoles'> {
  plan: DeadMachinePlan;
  provider: pulumi.ProviderResource;
}

/** A machine that is lost: what is left of it stays as it is, and goes with the machine's lines in the site file. */
export class LostVsphereMachine extends pulumi.ComponentResource {
  readonly machine: LostMachine;

  constructor(name: string, args: LostVsphereMachineArgs, opts?: pulumi.ComponentResourceOptions) {
    // To the state it is the machine that it was.
    super('sitewright:machines:VsphereMachine', name, {}, opts);
    const { plan, access, provider } = args;
    const owner = new access.provider.VirtualMachine(
      `${name}-domain`,
      { resourcePoolId: access.ids.placements[plan.hypervisor!].resourcePoolId },
      {
        parent: this,
        provider,
        // Everything as the state has it. One that was never made has no disk and no network: vCenter refuses to make it.
        ignoreChanges: ['*'],
        protect: args.protectedRoles.includes(plan.role),
      },
    );
    this.machine = { name: plan.name, role: plan.role, addresses: plan.addresses, owner };
    this.registerOutputs({});
  }
}
