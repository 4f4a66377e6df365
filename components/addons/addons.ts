import * as pulumi from '@pulumi/pulumi';
import type { Machine } from '../machines/machine';
import { followProxy } from '../network/calico/followProxy';
import { Policy } from '../network/policy';
import type { ClusterPlan } from '../plan/clusterTypes';
import { clusterProvider, type ClusterAccess } from './cluster';
import { ClusterDns } from './clusterDns';
import { Ingress } from './ingress/ingress';
import { KubeProxy } from './kubeProxy';
import { NodeLocalDns } from './nodeLocalDns';
import { PodDns } from './podDns';

export interface AddonsArgs {
  plan: ClusterPlan;
  machines: Machine[];
  /** Name of the first control-plane machine, which has kubectl. */
  controlPlane: string;
  /** Preparation of the machines. */
  prepared: pulumi.Resource[];
  /** Of the bundle, on the machine of the engine; null: it is not there, and its objects are left out. */
  bundleFolder: string | null;
  /** Private key of the ingress controller's certificate; null without one. Secret. */
  ingressKey: pulumi.Input<string> | null;
  /** An administrator's, secret. */
  kubeconfig: pulumi.Output<string>;
  /** Identity of the state. */
  stateId: pulumi.Output<string>;
  /** What makes the cluster, and goes with all that is in it. */
  cluster: pulumi.Resource;
  /** Once these are made, the API answers and every node has joined. */
  after: pulumi.Resource[];
  /** Multiplies the time limits. */
  limitFactor: number;
}

/** A pod starts in seconds; its image is on the node already. The rest is for a node that is busy with everything else. */
const ROLLOUT_LIMIT_SECONDS = { first: 300, perNode: 60 };

/**
 * What a cluster needs to be one: Services and names. None waits for the other, as none would in a running cluster:
 * CoreDNS is ready as soon as kube-proxy brings it to the API server.
 */
export class Addons extends pulumi.ComponentResource {
  constructor(name: string, args: AddonsArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:addons:Addons', name, {}, opts);
    const { plan, machines, prepared, cluster } = args;
    const { first, perNode } = ROLLOUT_LIMIT_SECONDS;
    const access: ClusterAccess = {
      provider: clusterProvider(name, args, { parent: this, dependsOn: args.after }),
      cluster,
      rolloutLimitSeconds: Math.round((first + perNode * machines.length) * args.limitFactor),
    };

    const kubeProxy = new KubeProxy(`${name}-kube-proxy`, { plan, access }, { parent: this });
    new ClusterDns(`${name}-dns`, { plan, access }, { parent: this });
    const { nodeLocal, pods } = plan.dns;
    if (nodeLocal !== null) {
      new NodeLocalDns(
        `${name}-node-local-dns`,
        { plan: { nodeLocal, bundle: plan.bundle }, machines, after: prepared, access },
        { parent: this },
      );
    }
    const { calico } = plan;
    if (calico !== null) {
      const machine = machines.find((one) => one.name === args.controlPlane)!;
      const { install } = calico;
      const { mode } = plan.kubeProxy;
      const limitSeconds = access.rolloutLimitSeconds;
      followProxy(
        `${name}-calico-follows-proxy`,
        { install, mode, machine, after: [kubeProxy], limitSeconds },
        { parent: this },
      );
    }
    const { ingress, policy, bundle } = plan;
    if (ingress !== null) {
      new Ingress(
        `${name}-ingress`,
        { plan: ingress, bundle, bundleFolder: args.bundleFolder, access, key: args.ingressKey, after: [kubeProxy] },
        { parent: this },
      );
    }
    if (policy !== null) new Policy(`${name}-policy`, { plan: policy, access }, { parent: this });
    if (pods !== null) new PodDns(`${name}-pod-dns`, { plan: pods, access }, { parent: this });
    this.registerOutputs({});
  }
}
