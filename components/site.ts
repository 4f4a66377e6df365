import * as pulumi from '@pulumi/pulumi';
import { Addons } from './addons/addons';
import { clusterProvider } from './addons/cluster';
import type { Bundle } from './bundle/lock';
import { Cluster } from './cluster/cluster';
import { ClusterProof } from './clusterProbe/clusterProof';
import { reflectorsProbe } from './clusterProbe/request';
import { agentRequest, agentTarget } from './commands';
import { stateIdentity } from './identity';
import type { SiteBundle } from './machines/bundle';
import { ExistingMachines } from './machines/existing';
import { KvmMachines } from './machines/kvm';
import type { LostMachine, Machine, SiteSecrets, Stamp } from './machines/machine';
import { VsphereMachines, type VsphereAccess } from './machines/vsphere';
import { Calico } from './network/calico/calico';
import { Node } from './nodes/node';
import type { CalicoPlan } from './plan/calicoTypes';
import type { SitePlan } from './plan/types';
import { Proof } from './proof/proof';
import { snapshotKey } from './secrets/etcdSnapshot';
import type { RegistryPasswords } from './secrets/registries';
import { kubeconfig, type ClusterPki } from './secrets/pki';

export interface SiteArgs {
  plan: SitePlan;
  secrets: SiteSecrets;
  /** What makes a cluster of the machines; null exactly where the plan has none. */
  cluster: SiteCluster | null;
  /** The vCenter of the site; needed exactly where the plan has one. */
  vsphere?: VsphereAccess | null;
  /** Identity that `sitewright adopt` read from the machines of a lost state; null for every other site. */
  identity: string | null;
  /** Multiplies the time limits; above 1 on a machine that is known to be slow. Default 1. */
  limitFactor?: number;
}

export interface SiteCluster {
  /**
   * Everything that is installed, complete in its folder on the machine of the engine. Folder null: the bundle is not
   * here, and what its manifests hold is left out; for programs that only show a site.
   */
  bundle: Bundle & SiteBundle & { folder: string | null };
  /** Certificate authorities and keys, from the stack's configuration. Secret. */
  pki: pulumi.Output<ClusterPki>;
  /** Of BGP sessions, by the name that the plan has for them. Secret. */
  bgpPasswords: Record<string, pulumi.Output<string>>;
  /** Of registries that somebody logs in to, from the stack's configuration. Secret. */
  registryPasswords: pulumi.Input<RegistryPasswords>;
  /** Private key of the ingress controller's certificate, in PEM; null exactly where the plan has none. Secret. */
  ingressKey: pulumi.Output<string> | null;
}

/** Time for a machine to answer over SSH: an emulated one on a busy host needs some minutes for its first boot. */
const SSH_LIMIT_SECONDS = 900;
/** Its image is on the node already; a node that starts its control plane at the same time takes a while. */
const CALICO_LIMIT_SECONDS = 600;

/** A whole site, in order: identity, machines, prepared nodes, the proof on the wire, the cluster, what runs in it. */
export class Site extends pulumi.ComponentResource {
  readonly nodes: pulumi.Output<unknown>;
  readonly proof: pulumi.Output<unknown>;
  /** Null without a cluster. */
  readonly cluster: Cluster | null;
  /** What was measured of the cluster; null without one. */
  readonly clusterProof: pulumi.Output<unknown> | null;

  constructor(name: string, args: SiteArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:site:Site', name, {}, opts);
    const { plan } = args;
    const stamp: Stamp = { site: plan.site, id: stateIdentity(name, args.identity, { parent: this }) };

    const { machines, lost } = this.machines(name, args, stamp);

    const nodes = plan.nodes.map(
      (node, index) =>
        new Node(
          `${name}-${node.name}`,
          { plan: node, hosts: plan.hosts, machine: machines[index]!, stamp, bundle: args.cluster?.bundle ?? null },
          { parent: this },
        ),
    );

    // Every node first: a probe between a prepared node and one that is still being prepared would measure neither.
    const proof = new Proof(`${name}-proof`, { plan, machines, after: nodes }, { parent: this });

    // The gate: nothing of a cluster is installed on a network that is not what the plan says.
    const { cluster, calico } = this.makeCluster(name, args, { stamp, machines, lost, proof });
    this.cluster = cluster;
    this.clusterProof = null;
    if (cluster !== null) {
      const addons = this.makeAddons(name, args, { stamp, machines, nodes, cluster });
      const late = calico?.late(this.reflectors(name, args, machines, cluster.ready)) ?? [];
      this.clusterProof = new ClusterProof(
        `${name}-cluster-proof`,
        {
          plan,
          machines,
          before: proof.results,
          after: [cluster, addons, ...late],
          limitFactor: args.limitFactor ?? 1,
        },
        { parent: this },
      ).result;
    }

    this.nodes = pulumi.all(nodes.map((node) => node.facts));
    this.proof = proof.results;
    this.registerOutputs({ nodes: this.nodes, proof: this.proof });
  }

  private makeCluster(
    name: string,
    args: SiteArgs,
    { stamp, machines, lost, proof }: { stamp: Stamp; machines: Machine[]; lost: LostMachine[]; proof: Proof },
  ): { cluster: Cluster | null; calico: Calico | null } {
    const { plan, cluster, limitFactor = 1 } = args;
    if (plan.cluster === null) return { cluster: null, calico: null };
    if (cluster === null) throw new Error(`${name}: its cluster needs a bundle and keys`);
    const snapshotKeyPem = args.secrets.hostKeySeed.apply((seed) => snapshotKey(seed).publicKeyPem);
    const nodes = plan.nodes.map(({ cluster: part, state }, index) => ({
      machine: machines[index]!,
      plan: part!,
      state,
    }));
    const { calico: calicoPlan } = plan.cluster;
    let calico: Calico | null = null;
    const made = new Cluster(
      `${name}-cluster`,
      {
        site: plan.site,
        plan: plan.cluster,
        nodes,
        lost,
        ...cluster,
        snapshotKeyPem,
        after: [proof],
        protectedRoles: protectedRoles(plan),
        network: (self, apiAnswers) => {
          if (calicoPlan === null) return [];
          calico = this.makeCalico(name, args, { stamp, calico: calicoPlan, cluster: self, apiAnswers });
          return calico.ready;
        },
        limitFactor,
      },
      { parent: this },
    );
    return { cluster: made, calico };
  }

  /** A node is Ready only with it, so it comes before anything joins, and does not wait for Services. */
  private makeCalico(
    name: string,
    { plan, cluster: site, limitFactor = 1 }: SiteArgs,
    {
      stamp,
      calico,
      cluster,
      apiAnswers,
    }: { stamp: Stamp; calico: CalicoPlan; cluster: Cluster; apiAnswers: pulumi.Resource },
  ): Calico {
    const { bundle, pki, bgpPasswords } = site!;
    return new Calico(
      `${name}-calico`,
      {
        plan: calico,
        bundle: plan.cluster!.bundle,
        bundleFolder: bundle.folder,
        access: {
          provider: clusterProvider(
            `${name}-calico`,
            { kubeconfig: adminKubeconfig(plan.site, cluster, pki), stateId: stamp.id },
            { parent: this, dependsOn: [apiAnswers] },
          ),
          cluster,
          rolloutLimitSeconds: Math.round(CALICO_LIMIT_SECONDS * limitFactor),
        },
        bgpPasswords,
        limitFactor,
      },
      { parent: this },
    );
  }

  /** What the mesh ends after: on a living cluster the members are there, and the route reflectors may be new. */
  private reflectors(
    name: string,
    { plan, limitFactor = 1 }: SiteArgs,
    machines: Machine[],
    after: pulumi.Resource[],
  ): pulumi.Resource[] {
    const bgp = reflectorsProbe(plan);
    if (bgp === null) return after;
    const members = machines.filter((machine) => machine.name in bgp.addresses);
    const request = pulumi.jsonStringify({
      kind: 'await-reflectors',
      name: plan.site,
      nodes: members.map((machine) => ({
        name: machine.name,
        target: agentTarget(machine.connection),
        incarnation: machine.incarnation,
      })),
      bgp,
      limitSeconds: Math.round(CALICO_LIMIT_SECONDS * limitFactor),
    });
    return [
      agentRequest(`${name}-reflectors`, { request: pulumi.secret(request) }, { parent: this, dependsOn: after }),
    ];
  }

  private makeAddons(
    name: string,
    { plan, cluster: site, limitFactor = 1 }: SiteArgs,
    { stamp, machines, nodes, cluster }: { stamp: Stamp; machines: Machine[]; nodes: Node[]; cluster: Cluster },
  ): Addons {
    return new Addons(
      `${name}-addons`,
      {
        plan: plan.cluster!,
        machines,
        controlPlane: plan.nodes.find(({ cluster: part }) => part?.part === 'init')!.name,
        prepared: nodes,
        bundleFolder: site!.bundle.folder,
        ingressKey: site!.ingressKey,
        kubeconfig: adminKubeconfig(plan.site, cluster, site!.pki),
        stateId: stamp.id,
        cluster,
        after: cluster.ready,
        limitFactor,
      },
      { parent: this },
    );
  }

  private machines(
    name: string,
    { plan, secrets, cluster, vsphere: access = null, limitFactor = 1 }: SiteArgs,
    stamp: Stamp,
  ): { machines: Machine[]; lost: LostMachine[] } {
    const { kvm, vsphere, jump } = plan.machines;
    const group = `${name}-machines`;
    const bundle = cluster?.bundle ?? null;
    const sshLimitSeconds = Math.round(SSH_LIMIT_SECONDS * limitFactor);
    const made = {
      nodes: plan.nodes,
      dead: plan.dead,
      jump,
      stamp,
      secrets,
      protectedRoles: protectedRoles(plan),
      sshLimitSeconds,
    };
    if (vsphere !== null) {
      if (access === null) throw new Error(`${name}: its machines need a vCenter`);
      const image =
        cluster === null ? null : { ...cluster.bundle, isoFile: `${cluster.bundle.folder ?? cluster.bundle.id}.iso` };
      return new VsphereMachines(group, { ...made, vsphere, access, bundle: image }, { parent: this });
    }
    if (kvm === null) {
      const { machines } = new ExistingMachines(
        group,
        { nodes: plan.nodes, jump, secrets, sshLimitSeconds, bundle },
        { parent: this },
      );
      return { machines, lost: plan.dead.map((machine) => ({ ...machine, owner: null })) };
    }
    return new KvmMachines(group, { ...made, kvm, bundle }, { parent: this });
  }
}

/**
 * A member of a cluster keeps its machine until it has left, whichever command is run; the machines of a lab come and go.
 * Where there is no cluster, a control-plane machine may hold the etcd of somebody else's.
 */
const protectedRoles = ({ environment, cluster }: SitePlan): Machine['role'][] => {
  if (environment === 'lab') return [];
  return cluster === null ? ['control-plane'] : ['control-plane', 'worker'];
};

/** Of an administrator; secret. */
const adminKubeconfig = (site: string, { apiServerUrl }: Cluster, pki: pulumi.Output<ClusterPki>) =>
  pki.apply(({ ca, admin }) =>
    kubeconfig({
      site,
      server: apiServerUrl,
      caPem: ca.certificate,
      clientCertificate: admin.certificate,
      clientKey: admin.privateKey,
    }),
  );
