import * as pulumi from '@pulumi/pulumi';
import type { Bundle } from '../bundle/lock';
import { agentRequest, agentTarget, remoteScript } from '../commands';
import { goneWith, scriptFor, type LostMachine, type Machine } from '../machines/machine';
import type { ClusterPlan, NodeClusterPlan } from '../plan/clusterTypes';
import { apiServerUrl } from '../plan/endpoint';
import type { NodePlan } from '../plan/types';
import { caCertHash, type ClusterPki } from '../secrets/pki';
import { leave } from './leave';
import { joinSettings, renderControlPlaneScript, type ClusterNodeSettings } from './nodeScripts';
import { renderClusterRemoveScript } from './removeScript';
import { neededArtifacts, renderRuntimeScript } from './runtimeScript';

export interface ClusterArgs {
  site: string;
  plan: ClusterPlan;
  /** Every machine of the site with its place in the cluster, in the order of the site file. */
  nodes: { machine: Machine; plan: NodeClusterPlan; state: NodePlan['state'] }[];
  /** Machines that are lost. */
  lost: LostMachine[];
  bundle: Bundle;
  /** Secret. */
  pki: pulumi.Output<ClusterPki>;
  /** The proof of the network. An option of the component would not reach its commands. */
  after: pulumi.Resource[];
  /** Protects what would take a control-plane node apart where its lines are deleted: its data of etcd would be gone. */
  protectEtcd: boolean;
  /** Multiplies the time limits. */
  limitFactor: number;
}

/** Of each wait: an emulated control plane on a busy machine needs some minutes for its first answer. */
const LIMIT_SECONDS = 900;

/**
 * A Kubernetes cluster of prepared machines, in order: what every node needs (runtime), the first control-plane node, then
 * everything that joins, and what leaves. Each is one idempotent script or request: a changed plan runs it again in place.
 */
export class Cluster extends pulumi.ComponentResource {
  /** What uses the cluster depends on these: every node is a member, and none that is to go. */
  readonly ready: pulumi.Resource[];
  /** Where the API answers inside and outside of the cluster. */
  readonly apiServerUrl: string;

  constructor(name: string, args: ClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:cluster:Cluster', name, {}, opts);
    const { plan, nodes } = args;
    const first = nodes.find(({ plan: { part } }) => part === 'init');
    if (first === undefined) throw new Error(`${args.site}: no node of the plan has the part init`);
    const staying = nodes.filter(({ state }) => state === 'active');
    const runtimes = new Map(nodes.map((node) => [node, this.runtime(name, node, args)]));
    const controlPlanes = new Map(
      staying
        .filter(({ plan: { part } }) => part !== 'join-worker')
        .map((node) => [node, this.controlPlane(name, node, args, runtimes.get(node)!)]),
    );
    const asked = [...controlPlanes.keys()].map(({ machine }) => machine);
    // One after the other: two members of etcd at once, or two nodes of one PodDisruptionBudget, could be one too many.
    const goodbye = (machine: Machine | LostMachine, before: pulumi.Resource[]) =>
      leave(
        `${name}-${machine.name}-leave`,
        {
          machine,
          controlPlanes: asked,
          drainLimitSeconds: Math.round(plan.drainLimitSeconds * args.limitFactor),
          limitSeconds: limitSeconds(args),
        },
        { parent: this, dependsOn: before },
      );
    // The lost first: while they are members, etcd counts them against the majority that a join needs.
    let last = [controlPlanes.get(first)!];
    for (const machine of args.lost) last = [goodbye(machine, last)];

    const members = staying
      .filter((node) => node !== first)
      .map((node) => {
        const before = [...last, runtimes.get(node)!, controlPlanes.get(node)];
        return this.join(
          name,
          node,
          first.machine,
          args,
          before.filter((one) => one !== undefined),
        );
      });
    // Those that leave go last: what takes their place is there by then.
    this.ready = [...last, ...members];
    for (const { machine, state } of nodes) if (state === 'leaving') this.ready = [goodbye(machine, this.ready)];
    this.apiServerUrl = apiServerUrl(plan);
    this.registerOutputs({ apiServerUrl: this.apiServerUrl });
  }

  private runtime(name: string, { machine, plan }: ClusterArgs['nodes'][number], args: ClusterArgs): pulumi.Resource {
    const { bundle, site } = args;
    if (machine.bundle === null) throw new Error(`${machine.name} has no bundle`);
    const script = renderRuntimeScript({
      node: machine.name,
      cluster: args.plan,
      part: plan.part,
      cniConfiguration: plan.cniConfiguration,
      bundle,
      bundlePlace: machine.bundle,
      limitSeconds: limitSeconds(args),
    });
    const programs = neededArtifacts({ cluster: args.plan, part: plan.part, bundle }).programs;
    return remoteScript(
      `${name}-${machine.name}-runtime`,
      machine.connection,
      {
        script: scriptFor(machine, script),
        // A machine of the kit takes everything along.
        ...(machine.owner === null
          ? {
              onDelete: renderClusterRemoveScript(
                site,
                programs.map(({ target }) => target),
              ),
            }
          : {}),
      },
      {
        parent: this,
        dependsOn: [...args.after, machine.bundleReady],
        // Where the kit made the machine, that is protected.
        protect: args.protectEtcd && machine.owner === null && machine.role === 'control-plane',
        ...goneWith(machine),
      },
    );
  }

  private controlPlane(
    name: string,
    { machine, plan }: ClusterArgs['nodes'][number],
    args: ClusterArgs,
    runtime: pulumi.Resource,
  ): pulumi.Resource {
    const settings = nodeSettings(machine, plan, args);
    const members = args.nodes.map((node) => ({
      name: node.machine.name,
      addresses: Object.values(node.plan.nodeIps),
    }));
    return remoteScript(
      `${name}-${machine.name}-control-plane`,
      machine.connection,
      {
        script: scriptFor(
          machine,
          args.pki.apply((pki) =>
            renderControlPlaneScript({ ...settings, pki, members, etcdDisk: machine.disks.etcd }),
          ),
        ),
      },
      { parent: this, dependsOn: [runtime], ...goneWith(machine) },
    );
  }

  private join(
    name: string,
    { machine, plan }: ClusterArgs['nodes'][number],
    first: Machine,
    args: ClusterArgs,
    before: pulumi.Resource[],
  ): pulumi.Resource {
    const settings = nodeSettings(machine, plan, args);
    const request = pulumi.jsonStringify({
      kind: 'join-node',
      name: machine.name,
      target: agentTarget(machine.connection),
      controlPlane: agentTarget(first.connection),
      incarnation: machine.incarnation,
      settings: args.pki.apply((pki) => joinSettings(settings, caCertHash(pki.ca.certificate))),
    });
    return agentRequest(
      `${name}-${machine.name}-join`,
      { request: pulumi.secret(request) },
      { parent: this, dependsOn: before, ...goneWith(machine) },
    );
  }
}

const limitSeconds = ({ limitFactor }: ClusterArgs) => Math.round(LIMIT_SECONDS * limitFactor);

const nodeSettings = (machine: Machine, nodeCluster: NodeClusterPlan, args: ClusterArgs): ClusterNodeSettings => ({
  node: machine.name,
  cluster: args.plan,
  nodeCluster,
  limitSeconds: limitSeconds(args),
});
