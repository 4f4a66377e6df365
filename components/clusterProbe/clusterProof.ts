import * as pulumi from '@pulumi/pulumi';
import { agentRequest, agentTarget } from '../commands';
import type { Machine } from '../machines/machine';
import type { SitePlan } from '../plan/types';
import type { ProofResult } from '../proof/facts';
import type { ClusterNodeEnd, ClusterProbeRequest, ClusterProbeResult } from './facts';
import { pathsBefore } from './layers';
import { clusterProbeRequest } from './request';

export interface ClusterProofArgs {
  plan: SitePlan;
  /** One for every node of the plan. */
  machines: Machine[];
  /** What the proof of the machines gave. */
  before: pulumi.Output<ProofResult[]>;
  /** What the cluster is made of. An option of the component would not reach its command. */
  after: pulumi.Resource[];
  /** Multiplies the time limits. */
  limitFactor: number;
}

/**
 * The last step of a site with a cluster: the same probes as `sitewright verify`, so that a cluster whose network or names
 * do not work is not taken for made. They run again when what they are held against changes.
 */
export class ClusterProof extends pulumi.ComponentResource {
  readonly result: pulumi.Output<ClusterProbeResult>;

  constructor(name: string, args: ClusterProofArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:clusterProbe:ClusterProof', name, {}, opts);
    const ends = args.machines.map((machine) => ({
      name: machine.name,
      role: machine.role,
      target: agentTarget(machine.connection),
      incarnation: machine.incarnation,
    }));
    const request = pulumi.all([pulumi.output(ends), args.before]).apply(([resolved, before]) => {
      const byName = new Map(
        resolved.map((end) => [end.name, end as unknown as Omit<ClusterNodeEnd, 'conntrackMax' | 'addresses'>]),
      );
      const paths = pathsBefore(before as ProofResult[]);
      const asked = clusterProbeRequest(args.plan, byName, args.limitFactor, paths);
      return JSON.stringify({ ...asked, olderPods: 'warn' } satisfies ClusterProbeRequest);
    });
    const { stdout } = agentRequest(`${name}-run`, { request }, { parent: this, dependsOn: args.after });
    // The request is secret because of the keys in it; what was measured holds none and is for everyone to read.
    this.result = pulumi.unsecret(stdout).apply((text) => JSON.parse(text) as ClusterProbeResult);
    this.registerOutputs({ result: this.result });
  }
}
