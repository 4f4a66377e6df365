import * as pulumi from '@pulumi/pulumi';
import type { Bundle } from '../bundle/lock';
import { remoteScript } from '../commands';
import { goneWith, scriptFor, type Machine, type Stamp } from '../machines/machine';
import { sizeOf } from '../plan/machineSize';
import type { NodePlan, SitePlan } from '../plan/types';
import { type NodeFacts, parseFacts } from './facts';
import { renderRemoveScript } from './remove';
import { bundledPackages, renderNodeScript } from './script';

export interface NodeArgs {
  plan: NodePlan;
  /** Lines of /etc/hosts, the same on every node. */
  hosts: SitePlan['hosts'];
  machine: Machine;
  stamp: Stamp;
  /** Of the site; null: it has none. */
  bundle: Bundle | null;
}

/**
 * A machine prepared as a Kubernetes node: modules, sysctls, swap, time, network, offloads, journal, /etc/hosts. One
 * script over SSH; a changed plan runs it again in place and it changes what differs. A machine of the kit takes its
 * preparation along when it is deleted; on any other machine the kit removes what it wrote.
 */
export class Node extends pulumi.ComponentResource {
  /** What the node was like after its last preparation. */
  readonly facts: pulumi.Output<NodeFacts>;

  constructor(name: string, args: NodeArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:nodes:Node', name, {}, opts);
    const { plan, hosts, machine, stamp } = args;
    const madeByKit = sizeOf(plan) !== null;
    const packages = bundledPackages(args.bundle, machine.bundle);
    const prepare = remoteScript(
      `${name}-prepare`,
      machine.connection,
      {
        script: scriptFor(
          machine,
          stamp.id.apply((stampId) => renderNodeScript(plan, { site: stamp.site, stampId, hosts }, packages)),
        ),
        ...(madeByKit ? {} : { onDelete: renderRemoveScript(stamp.site) }),
      },
      {
        parent: this,
        dependsOn: packages === null ? machine.ready : machine.bundleReady,
        ...goneWith(machine),
      },
    );
    this.facts = prepare.stdout.apply((stdout) => parseFacts(plan.name, stdout));
    this.registerOutputs({ facts: this.facts });
  }
}
