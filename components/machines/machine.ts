import * as pulumi from '@pulumi/pulumi';
import type { SshConnection } from '../commands';
import type { DeadMachinePlan, NodePlan, SshEndpointPlan } from '../plan/types';

/** What a state is known by: machines carry it, and a machine with another one is refused. */
export interface Stamp {
  site: string;
  /** Made once by the state, kept in it. */
  id: pulumi.Output<string>;
}

/** What makers of machines share. */
export interface MakerArgs {
  nodes: NodePlan[];
  /** Machines that are lost. */
  dead: DeadMachinePlan[];
  jump: SshEndpointPlan | null;
  stamp: Stamp;
  secrets: SiteSecrets;
  /** Of the machines that the engine keeps from deletion and replacement. */
  protectedRoles: readonly Machine['role'][];
  /** Time for a machine to answer over SSH. */
  sshLimitSeconds: number;
}

/** A machine, whoever made it. Everything after this interface is the same for every provider. */
export interface Machine {
  name: string;
  role: 'control-plane' | 'worker';
  /** Addresses with prefix length, IPv4 first. */
  addresses: string[];
  /** Kernel driver of the NIC; null where only the machine knows. */
  nicDriver: string | null;
  /** Stable device paths of the disks, by role; etcd is null without a disk of its own. */
  disks: { root: string | null; etcd: string | null };
  /** Where the machine has the site's bundle: a read-only disk with an ISO image, or a folder. Null: a site without a cluster. */
  bundle: { device: string } | { directory: string } | null;
  /**
   * What reads the bundle depends on it. A disk that was exchanged in a running machine shows up there a moment later: the
   * reader waits until the lock file on it has the planned id. Without a bundle it is `ready`.
   */
  bundleReady: pulumi.Resource;
  connection: SshConnection;
  /** Succeeds once SSH answers with the right host key: what runs on the machine depends on it. */
  ready: pulumi.Resource;
  /**
   * The resource that owns the machine: what runs on it is deleted with it. Null for machines that are not ours, which
   * stay when the site goes.
   */
  owner: pulumi.Resource | null;
  /**
   * Changes when the machine is made anew. The engine does not run a command again because the machine below it was
   * replaced: what must be done again on a new machine takes this as one of its inputs.
   */
  incarnation: pulumi.Input<string>;
}

/** A machine that is lost: all that is done about it is done elsewhere. */
export interface LostMachine {
  name: string;
  role: Machine['role'];
  /** Without prefix length. */
  addresses: string[];
  owner: pulumi.Resource | null;
}

/** Option of what runs on a machine: a machine of the kit takes it along when it is deleted. */
export const goneWith = ({ owner }: Pick<Machine, 'owner'>): Pick<pulumi.CustomResourceOptions, 'deletedWith'> =>
  owner === null ? {} : { deletedWith: owner };

/** A script with the incarnation of its machine in it: the engine runs it again where the machine was made anew. */
export const scriptFor = ({ incarnation }: Pick<Machine, 'incarnation'>, script: pulumi.Input<string>) =>
  pulumi.interpolate`# Machine ${incarnation}\n${script}`;

/** The secrets of a site, from the stack's configuration. All are secret outputs. */
export interface SiteSecrets {
  /** OpenSSH private key of the user that the kit logs in as. */
  sshPrivateKey: pulumi.Output<string>;
  /** 32 bytes, base64: the ed25519 host key of every machine that the kit makes is derived from it and the machine's name. */
  hostKeySeed: pulumi.Output<string>;
}
