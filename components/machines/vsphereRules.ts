import type * as pulumi from '@pulumi/pulumi';
import type { VsphereMachinesArgs } from './vsphere';

/** What a cluster knows the rules and groups of a site by. */
export const RULE_NAMES = {
  apart: (site: string) => `sitewright ${site}: control plane`,
  /** Without a colon: the provider splits the id of a group there, and would never find it again. */
  group: (site: string, hostGroup: string) => `sitewright ${site} on ${hostGroup}`,
  onHosts: (site: string, hostGroup: string) => `sitewright ${site}: on ${hostGroup}`,
};

/**
 * The rules of clusters that say where machines run: control-plane machines on different hosts, and the machines of a host
 * group on its hosts. They come after the machines, which vCenter then moves while they run.
 * @param vms by name of the machine
 */
export function placementRules(
  name: string,
  { vsphere, access, stamp }: Pick<VsphereMachinesArgs, 'vsphere' | 'access' | 'stamp'>,
  vms: Map<string, pulumi.CustomResource>,
  opts: pulumi.CustomResourceOptions,
): void {
  const clusterId = (datacenter: string, cluster: string) => {
    const { name: placement } = vsphere.placements.find(
      (one) => one.datacenter === datacenter && one.cluster === cluster,
    )!;
    return access.ids.placements[placement].clusterId!;
  };
  const idsOf = (machines: string[]) => machines.map((machine) => vms.get(machine)!.id);
  for (const { datacenter, cluster, machines, isRequired } of vsphere.antiAffinity) {
    new access.provider.ComputeClusterVmAntiAffinityRule(
      `${name}-apart-${datacenter}-${cluster}`,
      {
        name: RULE_NAMES.apart(stamp.site),
        computeClusterId: clusterId(datacenter, cluster),
        virtualMachineIds: idsOf(machines),
        mandatory: isRequired,
        enabled: true,
      },
      opts,
    );
  }
  for (const { datacenter, cluster, hostGroup, machines } of vsphere.hostGroups) {
    const computeClusterId = clusterId(datacenter, cluster);
    const group = new access.provider.ComputeClusterVmGroup(
      `${name}-group-${datacenter}-${cluster}-${hostGroup}`,
      { name: RULE_NAMES.group(stamp.site, hostGroup), computeClusterId, virtualMachineIds: idsOf(machines) },
      opts,
    );
    new access.provider.ComputeClusterVmHostRule(
      `${name}-hosts-${datacenter}-${cluster}-${hostGroup}`,
      {
        name: RULE_NAMES.onHosts(stamp.site, hostGroup),
        computeClusterId,
        vmGroupName: RULE_NAMES.group(stamp.site, hostGroup),
        affinityHostGroupName: hostGroup,
        // A zone that its machines may leave is none.
        mandatory: true,
        enabled: true,
      },
      { ...opts, dependsOn: [group] },
    );
  }
}
