import * as pulumi from '@pulumi/pulumi';
import type { NodePlan, SshEndpointPlan } from '../plan/types';
import { awaitSsh } from './awaitSsh';
import { BUNDLES_DIRECTORY, type SiteBundle } from './bundle';
import { copyBundle } from './copyBundle';
import { sshConnection } from './connection';
import type { Machine, SiteSecrets } from './machine';

export interface ExistingMachinesArgs {
  nodes: NodePlan[];
  jump: SshEndpointPlan | null;
  secrets: SiteSecrets;
  /** Time for a machine to answer over SSH. */
  sshLimitSeconds: number;
  /** What every machine gets a copy of. Default: none. */
  bundle?: SiteBundle | null;
}

const COPIES_AT_ONCE = 2;

/**
 * Machines that are there already. Nothing is made; what is checked is that each answers with the host key of the site
 * file. A site with a bundle copies it to each of them.
 */
export class ExistingMachines extends pulumi.ComponentResource {
  /** In the order of `nodes`. */
  readonly machines: Machine[];

  constructor(name: string, args: ExistingMachinesArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:machines:ExistingMachines', name, {}, opts);
    const copies: pulumi.Resource[] = [];
    this.machines = args.nodes.map((node) => {
      // Two at a time: the line of the engine's machine is shared by all copies.
      const before = copies.slice(-COPIES_AT_ONCE, copies.length - COPIES_AT_ONCE + 1);
      const machine = this.machine(name, node, args, before);
      copies.push(machine.bundleReady);
      return machine;
    });
    this.registerOutputs({});
  }

  private machine(name: string, node: NodePlan, args: ExistingMachinesArgs, before: pulumi.Resource[]): Machine {
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
    const { bundle = null } = args;
    const bundleReady =
      bundle === null
        ? ready
        : copyBundle(
            `${name}-${node.name}-bundle`,
            { machine: node.name, connection, incarnation, bundleId: bundle.id },
            { parent: this, dependsOn: [ready, ...before] },
          );
    return {
      name: node.name,
      role: node.role,
      addresses: node.addresses,
      nicDriver: node.interface.driver,
      disks: { root: null, etcd: null },
      bundle: bundle === null ? null : { directory: `${BUNDLES_DIRECTORY}/${bundle.id}` },
      bundleReady,
      connection,
      ready,
      owner: null,
      incarnation,
    };
  }
}
