import * as pulumi from '@pulumi/pulumi';
import { stateIdentity } from './identity';
import { ExistingMachines } from './machines/existing';
import { KvmMachines } from './machines/kvm';
import type { Machine, SiteSecrets, Stamp } from './machines/machine';
import { Node } from './nodes/node';
import type { SitePlan } from './plan/types';
import { Proof } from './proof/proof';

export interface SiteArgs {
  plan: SitePlan;
  secrets: SiteSecrets;
  /** Identity that `sitewright adopt` read from the machines of a lost state; null for every other site. */
  identity: string | null;
  /** Multiplies the time limits; above 1 on a machine that is known to be slow. Default 1. */
  limitFactor?: number;
}

/** Time for a machine to answer over SSH: an emulated one on a busy host needs some minutes for its first boot. */
const SSH_LIMIT_SECONDS = 900;

/** A whole site, in order: identity, machines, prepared nodes, the proof on the wire. */
export class Site extends pulumi.ComponentResource {
  readonly nodes: pulumi.Output<unknown>;
  readonly proof: pulumi.Output<unknown>;

  constructor(name: string, args: SiteArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:site:Site', name, {}, opts);
    const { plan } = args;
    const stamp: Stamp = { site: plan.site, id: stateIdentity(name, args.identity, { parent: this }) };

    const machines = this.machines(name, args, stamp);

    const nodes = plan.nodes.map(
      (node, index) =>
        new Node(
          `${name}-${node.name}`,
          { plan: node, hosts: plan.hosts, machine: machines[index]!, stamp },
          { parent: this },
        ),
    );

    // Every node first: a probe between a prepared node and one that is still being prepared would measure neither.
    const proof = new Proof(`${name}-proof`, { plan, machines, after: nodes }, { parent: this });

    this.nodes = pulumi.all(nodes.map((node) => node.facts));
    this.proof = proof.results;
    this.registerOutputs({ nodes: this.nodes, proof: this.proof });
  }

  private machines(name: string, { plan, secrets, limitFactor = 1 }: SiteArgs, stamp: Stamp): Machine[] {
    const { kvm, jump } = plan.machines;
    const group = `${name}-machines`;
    const sshLimitSeconds = Math.round(SSH_LIMIT_SECONDS * limitFactor);
    if (kvm === null)
      return new ExistingMachines(group, { nodes: plan.nodes, jump, secrets, sshLimitSeconds }, { parent: this })
        .machines;
    return new KvmMachines(
      group,
      { kvm, nodes: plan.nodes, jump, stamp, secrets, protectEtcd: plan.environment !== 'lab', sshLimitSeconds },
      { parent: this },
    ).machines;
  }
}
