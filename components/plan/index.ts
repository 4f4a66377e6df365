import * as semver from 'semver';
import type { SiteSpec } from '../spec/schema';
import { sizeToBytes } from '../spec/units';
import { planAddresses, type Addressing } from './address';
import { planCluster } from './cluster';
import { Findings } from './findings';
import { planHosts } from './hosts';
import { checkSysctls, planModules, planNeededVersions, planSysctls } from './kernel';
import { living, planDead } from './members';
import { planMachines, type MachinePlan } from './machines';
import { sizeOf } from './machineSize';
import { nicMtuBytes, planMtu } from './mtu';
import { offloadNeeds, planOffloads } from './offload';
import { checkPeers, planProof } from './proof';
import type { Subnet } from './subnets';
import { tellClusterKeys } from './withoutCluster';
import { withZones } from './vsphere';
import { SCHEMA_VERSION, type Finding, type NodePlan, type SitePlan } from './types';

export * from './calicoTypes';
export * from './clusterTypes';
export { checkFleet, type FleetFinding, type FleetSite } from './fleet';
export * from './ingressTypes';
export * from './policyTypes';
export { checkRules, type RuleFinding } from './rules';
export * from './types';
export * from './vsphereTypes';
export { IMPACTS, impactOf, type ImpactEntry } from './impact';
export { renderPlan } from './render';

/**
 * Computes everything that a site needs from what its file says: pure, without clock or network, the same bytes for
 * the same input. All findings come at once; with an error among them there is no plan.
 * `kitVersion` is the version of this kit, held against the range that the site was reviewed with.
 */
export function computePlan(site: SiteSpec, kitVersion: string): { plan: SitePlan | null; findings: Finding[] } {
  const { spec, placed } = living(site);
  const ofStates = new Findings();
  const dead = planDead(site, ofStates);
  // Of nothing nothing can be planned.
  if (spec.machines.nodes.length === 0) return { plan: null, findings: ofStates.all };
  const { plan, findings } = planLiving(spec, dead, kitVersion);
  return {
    plan: ofStates.hasErrors() ? null : plan,
    findings: [...ofStates.all, ...findings.all.map(placed)],
  };
}

function planLiving(
  site: SiteSpec,
  dead: SitePlan['dead'],
  kitVersion: string,
): { plan: SitePlan | null; findings: Findings } {
  const findings = new Findings();
  const spec = withZones(site, findings);
  checkKit(spec, kitVersion, findings);
  tellClusterKeys(spec, findings);
  const addressing = planAddresses(spec, findings);
  const { plan: machines, machines: perMachine } = planMachines(spec, addressing, findings);
  const mtu = planMtu(spec, addressing, findings);
  const modules = planModules(spec, mtu);
  const neededVersions = planNeededVersions(spec);
  checkSysctls(spec, addressing, findings);
  checkPeers(spec, addressing, findings);
  const planned = planCluster(spec, addressing, perMachine, mtu, findings);
  const hosts = planHosts(spec, addressing.nodes, planned?.cluster.endpoint ?? null, findings);
  if (findings.hasErrors()) return { plan: null, findings };

  const ingress = planned?.cluster.ingress ?? null;
  const offloads = offloadNeeds(spec, mtu);
  const nodes = spec.machines.nodes.map((node, index): NodePlan => ({
    ...planNode(spec, addressing, perMachine[index], planned?.routes[index] ?? [], index),
    neededVersions,
    modules,
    sysctls: planSysctls(spec, addressing, sizeOf(perMachine[index])?.cpus ?? null),
    offloads: planOffloads(offloads, perMachine[index].driver),
    dns: {
      servers: [...spec.underlay.dns.servers],
      search: [...spec.underlay.dns.search],
    },
    ntpServers: [...spec.underlay.ntp.servers],
    swap: spec.nodePrep.swap,
    journaldMaxUseBytes: sizeToBytes(spec.nodePrep.journald.maxUse),
    sharesHostWith: perMachine[index].sharesHostWith,
    ingressPorts: ingress?.nodes.includes(node.name) ? ingress.ports : [],
    cluster: planned?.nodes[index] ?? null,
  }));
  const plan: SitePlan = {
    schemaVersion: SCHEMA_VERSION,
    kitVersion,
    site: spec.name,
    environment: spec.environment,
    backendUrl: spec.backend.url,
    address: addressing.plan,
    mtu,
    machines,
    nodes,
    dead,
    hosts,
    proof: planProof(
      spec,
      addressing,
      mtu,
      perMachine.map(({ host }) => host),
      planned?.cluster.calico ?? null,
    ),
    cluster: planned?.cluster ?? null,
  };
  return { plan, findings };
}

/** The plan as text: keys in a fixed order, two spaces, a line feed at the end. */
export function planJson(plan: SitePlan): string {
  return `${JSON.stringify(plan, null, 2)}\n`;
}

function checkKit(spec: SiteSpec, kitVersion: string, findings: Findings): void {
  if (semver.satisfies(kitVersion, spec.kit, { includePrerelease: true })) return;
  findings.error(
    ['kit'],
    spec.kit,
    `${spec.kit} does not allow this kit, which is ${kitVersion}: use a kit that it allows, or review ` +
      `\`sitewright plan ${spec.name}\` with this one and set kit to ^${kitVersion}`,
  );
}

type NetworkPart = Pick<
  NodePlan,
  'name' | 'role' | 'state' | 'subnet' | 'addresses' | 'interface' | 'ssh' | 'kvm' | 'vsphere'
>;

function planNode(
  spec: SiteSpec,
  addressing: Addressing,
  machine: MachinePlan,
  podRoutes: { to: string; via: string }[],
  index: number,
): NetworkPart {
  const node = spec.machines.nodes[index];
  const { sorted, subnet: home, mac } = addressing.nodes[index];
  const subnet = home as Subnet;
  return {
    name: node.name,
    role: node.role,
    // The dead are not among them.
    state: node.state === 'leaving' ? 'leaving' : 'active',
    subnet: subnet.name,
    addresses: sorted.map((ip) => `${ip.text}/${ip.prefix}`),
    interface: {
      name: node.interface ?? null,
      mac,
      mtuBytes: nicMtuBytes(spec, subnet),
      gateways: subnet.gateways.map((gateway) => gateway.text),
      routes: addressing.routes
        // A machine that is the next hop itself has its own way there.
        .filter((route) => route.subnet === subnet && !sorted.some((ip) => ip.text === route.via.text))
        .map((route) => ({ to: route.to.text, via: route.via.text })),
      podRoutes,
      driver: machine.driver,
    },
    ssh: machine.ssh,
    kvm: machine.kvm,
    vsphere: machine.vsphere,
  };
}
