export { ExistingMachines, type ExistingMachinesArgs } from './existing';
export { KvmMachines, type KvmMachinesArgs } from './kvm';
export { loadVsphere, type VspherePackage } from './vspherePackage';
export { VsphereMachines, type VsphereAccess, type VsphereIds, type VsphereMachinesArgs } from './vsphere';
export type { Machine, SiteSecrets, Stamp } from './machine';
