import type * as pulumi from '@pulumi/pulumi';
import type { SshConnection } from '../commands';

/** What a state is known by: machines carry it, and a machine with another one is refused. */
export interface Stamp {
  site: string;
  /** Made once by the state, kept in it. */
  id: pulumi.Output<string>;
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
  connection: SshConnection;
  /** The resource that owns the machine: what runs on it depends on it and is deleted with it. */
  owner: pulumi.Resource;
}

/** The secrets of a site, from the stack's configuration. All are secret outputs. */
export interface SiteSecrets {
  /** OpenSSH private key of the user that the kit logs in as. */
  sshPrivateKey: pulumi.Output<string>;
  /** 32 bytes, base64: the ed25519 host key of every machine that the kit makes is derived from it and the machine's name. */
  hostKeySeed: pulumi.Output<string>;
}
