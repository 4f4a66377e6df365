import type * as command from '@pulumi/command';
import * as pulumi from '@pulumi/pulumi';
import { agentRequest, agentTarget, localScript, remoteScript, type ScriptArgs } from '../commands';
import type { DeadMachinePlan, KvmImagePlan, KvmPlan, NodePlan } from '../plan/types';
import { deriveHostKey, publicKeyOf } from '../secrets/hostKey';
import { awaitSsh } from './awaitSsh';
import { baseImageDeleteScript, baseImageScript } from './baseImageScript';
import { BUNDLE_DEVICE, type SiteBundle } from './bundle';
import { bundleImageScript } from './bundleImageScript';
import { sshConnection } from './connection';
import type { LostMachine, Machine, MakerArgs, SiteSecrets, Stamp } from './machine';
import { kvmParts, machineDeleteScript, machineScript } from './machineScript';

type HypervisorPlan = KvmPlan['hypervisors'][number];

export interface KvmMachinesArgs extends MakerArgs {
  kvm: KvmPlan;
  /** What every machine gets as a read-only disk. Default: none. */
  bundle?: SiteBundle | null;
}

/** The virtual machines of a site on its hypervisors. */
export class KvmMachines extends pulumi.ComponentResource {
  /** In the order of `nodes`. */
  readonly machines: Machine[];
  /** In the order of `dead`. */
  readonly lost: LostMachine[];

  constructor(name: string, args: KvmMachinesArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:machines:KvmMachines', name, {}, opts);
    const { image } = args.kvm;
    if (image === 'lab')
      throw new Error("kvm.image: the program has to fill in the lab's image, which only its machine knows");
    const hypervisors = new Map(
      args.kvm.hypervisors.map((plan) => [
        plan.name,
        new KvmHypervisor(
          `${name}-${plan.name}`,
          { plan, image, stamp: args.stamp, secrets: args.secrets, bundle: args.bundle ?? null },
          { parent: this },
        ),
      ]),
    );
    this.machines = args.nodes.map((node) => {
      const hypervisor = hypervisors.get(kvmParts({ node, kvm: args.kvm }).hypervisor.name)!;
      const machine = new KvmMachine(`${name}-${node.name}`, { ...args, node, image, hypervisor }, { parent: this });
      return machine.machine;
    });
    this.lost = args.dead.map((plan) => {
      const hypervisor = hypervisors.get(plan.hypervisor!)!;
      return new LostKvmMachine(`${name}-${plan.name}`, { ...args, plan, hypervisor }, { parent: this }).machine;
    });
    this.registerOutputs({});
  }
}

export interface KvmHypervisorArgs {
  plan: HypervisorPlan;
  image: KvmImagePlan;
  stamp: Stamp;
  secrets: SiteSecrets;
  bundle: SiteBundle | null;
}

/** One libvirt host, with the base image and the bundle of the site in its pool. */
export class KvmHypervisor extends pulumi.ComponentResource {
  readonly plan: HypervisorPlan;
  /** Machines depend on it; it goes after them, when nothing uses the image any more. */
  readonly baseImage: pulumi.Resource;
  /** Null: the site has none. It goes with the base image. */
  readonly bundleImage: pulumi.Resource | null;

  constructor(name: string, args: KvmHypervisorArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:machines:KvmHypervisor', name, {}, opts);
    this.plan = args.plan;
    this.baseImage = scriptOn(
      args.plan,
      `${name}-image`,
      args.secrets,
      {
        script: baseImageScript(args.plan, args.image),
        onDelete: args.stamp.id.apply((id) => baseImageDeleteScript(args.plan, args.stamp.site, id)),
        replaceOn: [`pool ${args.plan.pool}`],
      },
      // What is in the earlier pool goes last, when no machine is there any more.
      { parent: this, deleteBeforeReplace: false },
    );
    this.bundleImage = args.bundle === null ? null : this.placeBundle(`${name}-bundle`, args, args.bundle);
    this.registerOutputs({});
  }

  /** A file of this machine gets to another one through the agent, which goes on where a connection broke. */
  private placeBundle(name: string, { plan, stamp, secrets }: KvmHypervisorArgs, bundle: SiteBundle): pulumi.Resource {
    const { connection, uri, pool } = plan;
    if (connection === 'local') {
      const script = stamp.id.apply((stampId) => bundleImageScript(plan, bundle, { site: stamp.site, stampId }));
      return localScript(name, { script }, { parent: this });
    }
    const request = pulumi.jsonStringify({
      kind: 'place-bundle-image',
      name: plan.name,
      target: agentTarget(sshConnection(connection, connection.hostKey, secrets, null)),
      hypervisor: { name: plan.name, uri, pool },
      bundle,
      claim: { site: stamp.site, stampId: stamp.id },
    });
    return agentRequest(name, { request: pulumi.secret(request) }, { parent: this });
  }
}

export interface KvmMachineArgs extends Pick<
  KvmMachinesArgs,
  'kvm' | 'jump' | 'stamp' | 'secrets' | 'protectedRoles' | 'sshLimitSeconds' | 'bundle'
> {
  node: NodePlan;
  image: KvmImagePlan;
  hypervisor: KvmHypervisor;
}

/**
 * One virtual machine. CPUs, memory, MTU and larger disks are changes in place (the script says what needs a restart of the
 * machine); the image and cloud-init reach new machines only; what `replaceOn` lists makes the machine anew.
 */
export class KvmMachine extends pulumi.ComponentResource {
  readonly machine: Machine;

  constructor(name: string, args: KvmMachineArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:machines:KvmMachine', name, {}, opts);
    const { node, kvm, hypervisor, image, stamp, secrets, bundle = null } = args;
    const planned = { site: stamp.site, node, kvm };
    const hostKey = pulumi.secret(secrets.hostKeySeed).apply((seed) => deriveHostKey(seed, node.name));
    const authorizedKey = pulumi.secret(secrets.sshPrivateKey).apply(publicKeyOf);

    const domain = scriptOn(
      hypervisor.plan,
      `${name}-domain`,
      secrets,
      {
        script: pulumi
          .all([stamp.id, authorizedKey, hostKey])
          .apply(([stampId, publicKey, pair]) =>
            machineScript({ ...planned, stampId, image, bundle, seed: { authorizedKey: publicKey, hostKey: pair } }),
          ),
        onDelete: stamp.id.apply((stampId) => machineDeleteScript({ ...planned, stampId })),
        replaceOn: madeFrom(node, hypervisor.plan),
      },
      {
        parent: this,
        // Here and not at the component: children do not inherit what a component depends on.
        dependsOn: [hypervisor.baseImage, ...(hypervisor.bundleImage === null ? [] : [hypervisor.bundleImage])],
        protect: args.protectedRoles.includes(node.role),
      },
    );

    // The public half is no secret, and a host key that changes must be readable in a preview.
    const publicHostKey = pulumi.unsecret(hostKey.apply(({ publicKey }) => publicKey));
    const connection = sshConnection(node.ssh, publicHostKey, secrets, args.jump);
    const ready = awaitSsh(
      `${name}-ssh`,
      { machine: node.name, connection, incarnation: domain.id, limitSeconds: args.sshLimitSeconds },
      { parent: this, dependsOn: [domain], deletedWith: domain },
    );
    this.machine = {
      name: node.name,
      role: node.role,
      addresses: node.addresses,
      nicDriver: node.interface.driver,
      disks: { root: '/dev/disk/by-id/virtio-root', etcd: hasEtcdDisk(node) ? '/dev/disk/by-id/virtio-etcd' : null },
      bundle: bundle === null ? null : { device: BUNDLE_DEVICE },
      // It depends on the domain, whose script gives the machine its disk.
      bundleReady: ready,
      connection,
      ready,
      owner: domain,
      incarnation: domain.id,
    };
    this.registerOutputs({});
  }
}

export interface LostKvmMachineArgs extends Pick<KvmMachinesArgs, 'secrets' | 'protectedRoles'> {
  plan: DeadMachinePlan;
  hypervisor: KvmHypervisor;
}

/** A machine that is lost: what is left of it stays as it is, and goes with the machine's lines in the site file. */
export class LostKvmMachine extends pulumi.ComponentResource {
  readonly machine: LostMachine;

  constructor(name: string, { plan, hypervisor, ...args }: LostKvmMachineArgs, opts?: pulumi.ComponentResourceOptions) {
    // To the state it is the machine that it was.
    super('sitewright:machines:KvmMachine', name, {}, opts);
    const neverMade = `${plan.name} is declared dead and the kit has never made it: delete its lines in the site file`;
    const owner = scriptOn(
      hypervisor.plan,
      `${name}-domain`,
      args.secrets,
      { script: `echo 'error: ${neverMade}' >&2\nexit 1\n`, replaceOn: [] },
      {
        parent: this,
        dependsOn: [hypervisor.baseImage],
        // Everything as the state has it: neither the script above nor the connection counts for a machine that was made.
        ignoreChanges: ['*'],
        protect: args.protectedRoles.includes(plan.role),
      },
    );
    this.machine = { name: plan.name, role: plan.role, addresses: plan.addresses, owner };
    this.registerOutputs({});
  }
}

function hasEtcdDisk(node: NodePlan): boolean {
  return node.kvm !== null && node.kvm.etcdDiskBytes !== null;
}

/** What cannot change under a machine that stays. Words, because a preview shows them. */
export function madeFrom(node: NodePlan, hypervisor: HypervisorPlan): string[] {
  return [
    `hypervisor ${hypervisor.name}`,
    `pool ${hypervisor.pool}`,
    `MAC ${node.interface.mac}`,
    hasEtcdDisk(node) ? `etcd disk in pool ${hypervisor.etcdPool}` : 'no etcd disk',
  ];
}

/** Runs on the hypervisor: here, or over SSH with the key of the site. */
function scriptOn(
  hypervisor: HypervisorPlan,
  name: string,
  secrets: SiteSecrets,
  args: ScriptArgs,
  opts: pulumi.CustomResourceOptions,
): command.local.Command | command.remote.Command {
  const { connection } = hypervisor;
  return connection === 'local'
    ? localScript(name, args, opts)
    : remoteScript(name, sshConnection(connection, connection.hostKey, secrets, null), args, opts);
}
