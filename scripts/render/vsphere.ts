import * as pulumi from '@pulumi/pulumi';
import type { VsphereAccess, VsphereIds, VspherePackage } from '../../components/machines';
import type { SitePlan, VspherePlan } from '../../components/plan';

/** Registers what the package of the provider would: its types, and the inputs as they are given. */
const resource = (type: string) =>
  class extends pulumi.CustomResource {
    constructor(name: string, args: object, opts?: pulumi.CustomResourceOptions) {
      super(type, name, { ...args }, opts);
    }
  };

/** In place of `@pulumi/vsphere`, which a reviewer's machine may lack. */
export const planned: VspherePackage = {
  Provider: class extends pulumi.ProviderResource {
    constructor(name: string, args: object, opts?: pulumi.ResourceOptions) {
      super('vsphere', name, { ...args }, opts);
    }
  },
  VirtualMachine: resource('vsphere:index/virtualMachine:VirtualMachine'),
  File: resource('vsphere:index/file:File'),
  ComputeClusterVmAntiAffinityRule: resource(
    'vsphere:index/computeClusterVmAntiAffinityRule:ComputeClusterVmAntiAffinityRule',
  ),
  ComputeClusterVmGroup: resource('vsphere:index/computeClusterVmGroup:ComputeClusterVmGroup'),
  ComputeClusterVmHostRule: resource('vsphere:index/computeClusterVmHostRule:ComputeClusterVmHostRule'),
};

/** Names in place of the identifiers that only the vCenter knows. */
export function plannedIds(vsphere: VspherePlan): VsphereIds {
  const id = (kind: string, name: string) => `[id of ${kind} ${name}]`;
  const maybe = (kind: string, name: string | null) => (name === null ? null : id(kind, name));
  return {
    template: {
      uuid: id(vsphere.template.library === null ? 'template' : 'library item', vsphere.template.name),
      guestId: vsphere.template.library === null ? '[guest of the template]' : null,
    },
    placements: Object.fromEntries(
      vsphere.placements.map((placement) => [
        placement.name,
        {
          resourcePoolId: id('resource pool', placement.resourcePool ?? placement.cluster ?? placement.host!),
          hostSystemId: maybe('host', placement.host),
          clusterId: maybe('cluster', placement.cluster),
          datastoreId: maybe('datastore', placement.datastore),
          datastoreClusterId: maybe('datastore cluster', placement.datastoreCluster),
          etcdDatastoreId: maybe('datastore', placement.etcdDatastore),
          isoDatastoreId: maybe('datastore', placement.isoDatastore),
          storagePolicyId: maybe('storage policy', placement.storagePolicy),
          etcdStoragePolicyId: maybe('storage policy', placement.etcdStoragePolicy),
        },
      ]),
    ),
    networks: Object.fromEntries(
      vsphere.networks.map(({ name, portGroup, datacenters }) => [
        name,
        Object.fromEntries(
          datacenters.map((datacenter) => [datacenter, id('port group', `${datacenter}/${portGroup}`)]),
        ),
      ]),
    ),
  };
}

/** The vCenter as far as the repository knows it: nobody is asked. */
export async function plannedVsphere({ machines }: SitePlan): Promise<VsphereAccess | null> {
  const { vsphere } = machines;
  if (vsphere === null) return null;
  return { provider: planned, ids: plannedIds(vsphere), user: '[user]', password: '[password]' };
}
