import * as pulumi from '@pulumi/pulumi';
import type { NodePlan, SshEndpointPlan } from '../plan/types';
import { awaitSsh } from './awaitSsh';
import { sshConnection } from './connection';
import type { Machine, SiteSecrets } from './machine';

export interface ExistingMachinesArgs {
  nodes: NodePlan[];
  jump: SshEndpointPlan | null;
  secrets: SiteSecrets;
  /** Time for a machine to answer over SSH. */
  sshLimitSeconds: number;
}

/** Machines that are there already. Nothing is made; what is checked is that each answers with the host key of the site file. */
export class ExistingMachines extends pulumi.ComponentResource {
  /** In the order of `nodes`. */
  readonly machines: Machine[];

  constructor(name: string, args: ExistingMachinesArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:machines:ExistingMachines', name, {}, opts);
    this.machines = args.nodes.map((node) => this.machine(name, node, args));
    this.registerOutputs({});
  }

  private machine(name: string, node: NodePlan, args: ExistingMachinesArgs): Machine {
    const { hostKey } = node.ssh;
    if (hostKey === null) throw new Error(`${node.name} has no host key in its plan`);
    const connection = sshConnection(node.ssh, hostKey, args.secrets, args.jump);
    // A machine that was installed again shows another host key: that is what tells it from the earlier one.
    const incarnation = hostKey;
    const ready = awaitSsh(
      `${name}-${node.name}-ssh`,
      { machine: node.name, connection, incarnation, limitSeconds: args.sshLimitSeconds },
      { parent: this },
    );
    return {
      name: node.name,
      role: node.role,
      addresses: node.addresses,
      nicDriver: node.interface.driver,
      disks: { root: null, etcd: null },
      connection,
      ready,
      owner: null,
      incarnation,
    };
  }
}
