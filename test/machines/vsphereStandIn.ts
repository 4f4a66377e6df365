import * as pulumi from '@pulumi/pulumi';
import type { VsphereAccess, VsphereIds, VspherePackage } from '../../components/machines';
import type { VspherePlan } from '../../components/plan';

/** Registers what the package would: its tokens and the inputs as they are given. The schema test holds it against the provider. */
const resource = (token: string) =>
  class extends pulumi.CustomResource {
    constructor(name: string, args: object, opts?: pulumi.CustomResourceOptions) {
      super(token, name, { ...args }, opts);
    }
  };

export const standIn: VspherePackage = {
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
};

/** Made-up identifiers for every name of a plan. */
export function idsOf(vsphere: VspherePlan): VsphereIds {
  const id = <T extends string | null>(kind: string, name: T) => (name === null ? null : `${kind}-${name}`);
  return {
    template: { uuid: '42000000-0000-4000-8000-000000000001', guestId: 'debian12_64Guest' },
    placements: Object.fromEntries(
      vsphere.placements.map((placement) => [
        placement.name,
        {
          resourcePoolId: `resgroup-${placement.name}`,
          hostSystemId: id('host', placement.host),
          clusterId: id('domain', placement.cluster),
          datastoreId: id('datastore', placement.datastore),
          datastoreClusterId: id('pod', placement.datastoreCluster),
          etcdDatastoreId: id('datastore', placement.etcdDatastore),
          isoDatastoreId: id('datastore', placement.isoDatastore),
          storagePolicyId: id('policy', placement.storagePolicy),
        },
      ]),
    ),
    networks: Object.fromEntries(
      vsphere.networks.map(({ name, datacenters }) => [
        name,
        Object.fromEntries(datacenters.map((datacenter) => [datacenter, `dvportgroup-${datacenter}-${name}`])),
      ]),
    ),
  };
}

/** Planted: nothing may show it. */
export const VCENTER_PASSWORD = 'pw of the vCenter, 7f3a';

export const accessOf = (vsphere: VspherePlan): VsphereAccess => ({
  provider: standIn,
  ids: idsOf(vsphere),
  user: 'sitewright@vsphere.local',
  password: VCENTER_PASSWORD,
});
