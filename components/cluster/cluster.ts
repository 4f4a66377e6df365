import * as pulumi from '@pulumi/pulumi';
import type { Bundle } from '../bundle/lock';
import { agentRequest, agentTarget, remoteScript } from '../commands';
import { goneWith, scriptFor, type LostMachine, type Machine } from '../machines/machine';
import type { ClusterPlan, NodeClusterPlan } from '../plan/clusterTypes';
import { apiServerUrl } from '../plan/endpoint';
import type { NodePlan } from '../plan/types';
import { componentVersion } from '../plan/versions';
import { caCertHash, type ClusterPki } from '../secrets/pki';
import { leave } from './leave';
import { renderStepDownScript } from './leaveScripts';
import { registryLogins, type RegistryPasswords } from '../secrets/registries';
import { joinSettings, renderControlPlaneScript, type ClusterNodeSettings } from './nodeScripts';
import { renderClusterRemoveScript } from './removeScript';
import { neededArtifacts, renderRuntimeScript, type RuntimeSettings } from './runtimeScript';
import { upgradeSettings } from './upgradeScripts';

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
  /** PEM; snapshots of etcd are encrypted to it. */
  snapshotKeyPem: pulumi.Output<string>;
  /** Secret. */
  registryPasswords: pulumi.Input<RegistryPasswords>;
  /** The proof of the network. An option of the component would not reach its commands. */
  after: pulumi.Resource[];
  /** Of the nodes for which the engine protects what would take them apart where their lines are deleted. */
  protectedRoles: readonly Machine['role'][];
  /** Makes what a node is Ready by inside the cluster, when its API answers: nodes join after it. Default: nothing. */
  network?(cluster: Cluster, apiAnswers: pulumi.Resource): pulumi.Resource[];
  /** Multiplies the time limits. */
  limitFactor: number;
}

/** Of each wait: an emulated control plane on a busy machine needs some minutes for its first answer. */
const LIMIT_SECONDS = 900;

/**
 * A Kubernetes cluster of prepared machines, in order: the move of a living one to another version (upgrade), what every
 * node needs (runtime), the first control-plane node, then everything that joins, and what leaves. Each is one idempotent
 * script or request: a changed plan runs it again in place.
 */
export class Cluster extends pulumi.ComponentResource {
  /** What uses the cluster depends on these: every node is a member, and none that is to go. */
  readonly ready: pulumi.Resource[];
  /** Of Kubernetes, once every node runs it. */
  readonly version: pulumi.Output<string>;
  /** Of etcd, the same way. */
  readonly etcdVersion: pulumi.Output<string>;
  /** Where the API answers inside and outside of the cluster. */
  readonly apiServerUrl: string;

  constructor(name: string, args: ClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:cluster:Cluster', name, {}, opts);
    const { plan, nodes } = args;
    this.apiServerUrl = apiServerUrl(plan);
    const first = nodes.find(({ plan: { part } }) => part === 'init');
    if (first === undefined) throw new Error(`${args.site}: no node of the plan has the part init`);
    const staying = nodes.filter(({ state }) => state === 'active');
    const upgrade = this.upgrade(name, first.machine, args);
    const runtimes = new Map(nodes.map((node) => [node, this.runtime(name, node, args, upgrade)]));
    const controlPlane = [first, ...staying.filter(({ plan: { part } }) => part === 'join-control-plane')];
    const asked = controlPlane.map(({ machine }) => machine);
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
    // Before the others forget those that leave.
    const steppedDown = nodes.flatMap((node) => this.stepDown(name, node, args, [runtimes.get(node)!]));
    // The lost first: while they are members, etcd counts them against the majority that a join needs.
    const firstReady = this.controlPlane(name, first, args, [runtimes.get(first)!, ...steppedDown]);
    let living = firstReady;
    for (const machine of args.lost) living = goodbye(machine, [living]);

    const network = args.network?.(this, firstReady) ?? [];
    this.ready = [living, ...network];
    // Control-plane nodes one after another too, whether they join or take a change over: etcd takes in one member at a
    // time, and an API server that is restarted is never the second one.
    let last = living;
    for (const node of controlPlane.slice(1)) {
      const files = this.controlPlane(name, node, args, [runtimes.get(node)!, last]);
      last = this.join(name, node, asked, args, [files, last, ...network]);
      this.ready.push(last);
    }
    for (const node of staying.filter(({ plan: { part } }) => part === 'join-worker'))
      this.ready.push(this.join(name, node, asked, args, [runtimes.get(node)!, living, ...network]));
    // Those that leave go last: what takes their place is there by then.
    for (const { machine, state } of nodes) if (state === 'leaving') this.ready = [goodbye(machine, this.ready)];
    const made = pulumi.all(this.ready.map(({ urn }) => urn));
    this.version = made.apply(() => plan.kubernetesVersion);
    this.etcdVersion = made.apply(() => componentVersion(plan.bundle, 'etcd'));
    this.registerOutputs({ apiServerUrl: this.apiServerUrl });
  }

  /** Before everything else of the cluster: the scripts of the nodes find the planned version, or a machine that has none. */
  private upgrade(name: string, first: Machine, args: ClusterArgs): pulumi.Resource {
    const request = pulumi.jsonStringify({
      kind: 'upgrade-cluster',
      name: args.site,
      maxUnavailable: args.plan.upgrade.maxUnavailable,
      nodes: args.nodes.map(({ machine, plan }) => ({
        target: agentTarget(machine.connection),
        incarnation: machine.incarnation,
        settings: pulumi
          .output(args.registryPasswords)
          .apply((passwords: RegistryPasswords) =>
            upgradeSettings(
              nodeSettings(machine, plan, args),
              runtimeSettings(machine, plan, args, passwords),
              Math.round(args.plan.drainLimitSeconds * args.limitFactor),
            ),
          ),
      })),
    });
    const dependsOn = [...args.after, ...args.nodes.map(({ machine }) => machine.bundleReady)];
    return agentRequest(
      `${name}-upgrade`,
      { request: pulumi.secret(request) },
      { parent: this, dependsOn, ...goneWith(first) },
    );
  }

  private runtime(
    name: string,
    { machine, plan }: ClusterArgs['nodes'][number],
    args: ClusterArgs,
    upgrade: pulumi.Resource,
  ): pulumi.Resource {
    const { bundle, site } = args;
    const script = pulumi
      .output(args.registryPasswords)
      .apply((passwords: RegistryPasswords) => renderRuntimeScript(runtimeSettings(machine, plan, args, passwords)));
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
        dependsOn: [upgrade, ...args.after, machine.bundleReady],
        // Where the kit made the machine, that is protected.
        protect: machine.owner === null && args.protectedRoles.includes(machine.role),
        ...goneWith(machine),
      },
    );
  }

  private controlPlane(
    name: string,
    { machine, plan }: ClusterArgs['nodes'][number],
    args: ClusterArgs,
    before: pulumi.Resource[],
  ): pulumi.Resource {
    const { site } = args;
    const settings = nodeSettings(machine, plan, args);
    const members = args.nodes.map((node) => ({
      name: node.machine.name,
      addresses: Object.values(node.plan.nodeIps),
    }));
    const peers = args.nodes.flatMap((node) =>
      node.machine === machine || node.plan.part === 'join-worker' ? [] : [Object.values(node.plan.nodeIps)[0]!],
    );
    return remoteScript(
      `${name}-${machine.name}-control-plane`,
      machine.connection,
      {
        script: scriptFor(
          machine,
          pulumi.all([args.pki, args.snapshotKeyPem]).apply(([pki, snapshotKeyPem]) =>
            renderControlPlaneScript({
              ...settings,
              site,
              pki,
              members,
              peers,
              snapshotKeyPem,
              etcdDisk: machine.disks.etcd,
            }),
          ),
        ),
      },
      { parent: this, dependsOn: before, ...goneWith(machine) },
    );
  }

  /** Of a control-plane node that leaves, where the control plane has a virtual address. */
  private stepDown(
    name: string,
    { machine, plan: { part }, state }: ClusterArgs['nodes'][number],
    args: ClusterArgs,
    before: pulumi.Resource[],
  ): pulumi.Resource[] {
    const { vip } = args.plan;
    if (vip === null || state !== 'leaving' || part === 'join-worker') return [];
    const script = renderStepDownScript({ node: machine.name, limitSeconds: limitSeconds(args) }, vip);
    return [
      remoteScript(
        `${name}-${machine.name}-step-down`,
        machine.connection,
        { script: scriptFor(machine, script) },
        { parent: this, dependsOn: before, ...goneWith(machine) },
      ),
    ];
  }

  private join(
    name: string,
    { machine, plan }: ClusterArgs['nodes'][number],
    controlPlane: Machine[],
    args: ClusterArgs,
    before: pulumi.Resource[],
  ): pulumi.Resource {
    const settings = nodeSettings(machine, plan, args);
    const request = pulumi.jsonStringify({
      kind: 'join-node',
      name: machine.name,
      target: agentTarget(machine.connection),
      controlPlanes: controlPlane.filter((one) => one !== machine).map(({ connection }) => agentTarget(connection)),
      incarnation: machine.incarnation,
      settings: args.pki.apply(({ ca }) => joinSettings(settings, ca.certificate, caCertHash(ca.certificate))),
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

function runtimeSettings(
  machine: Machine,
  plan: NodeClusterPlan,
  args: ClusterArgs,
  passwords: RegistryPasswords,
): RuntimeSettings {
  if (machine.bundle === null) throw new Error(`${machine.name} has no bundle`);
  return {
    node: machine.name,
    cluster: args.plan,
    part: plan.part,
    cniConfiguration: plan.cniConfiguration,
    bundle: args.bundle,
    bundlePlace: machine.bundle,
    registryLogins: registryLogins(args.plan.registries, passwords),
    limitSeconds: limitSeconds(args),
  };
}
