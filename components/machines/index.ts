export { ExistingMachines, type ExistingMachinesArgs } from './existing';
export { KvmMachines, type KvmMachinesArgs } from './kvm';
export type { Machine, SiteSecrets, Stamp } from './machine';
