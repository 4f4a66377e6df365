import type * as pulumi from '@pulumi/pulumi';
import type { VsphereMachinesArgs } from './vsphere';

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
        name: `sitewright ${stamp.site}: control plane`,
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
      { name: `sitewright ${stamp.site}: ${hostGroup}`, computeClusterId, virtualMachineIds: idsOf(machines) },
      opts,
    );
    new access.provider.ComputeClusterVmHostRule(
      `${name}-hosts-${datacenter}-${cluster}-${hostGroup}`,
      {
        name: `sitewright ${stamp.site}: on ${hostGroup}`,
        computeClusterId,
        vmGroupName: `sitewright ${stamp.site}: ${hostGroup}`,
        affinityHostGroupName: hostGroup,
        // A zone that its machines may leave is none.
        mandatory: true,
        enabled: true,
      },
      { ...opts, dependsOn: [group] },
    );
  }
}
