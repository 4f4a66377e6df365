import * as pulumi from '@pulumi/pulumi';
import { VSPHERE_VERSION } from './vsphereVersion';

/**
 * The part of `@pulumi/vsphere` that the kit uses, as an interface of our own: the package is optional, and only sites on
 * vSphere need it. Names and types are the provider's; sizes are in the units that it takes.
 */
export interface VspherePackage {
  Provider: new (name: string, args: ProviderArgs, opts?: pulumi.ResourceOptions) => pulumi.ProviderResource;
  VirtualMachine: ResourceClass<VirtualMachineArgs>;
  File: ResourceClass<FileArgs>;
  ComputeClusterVmAntiAffinityRule: ResourceClass<AntiAffinityArgs>;
  ComputeClusterVmGroup: ResourceClass<VmGroupArgs>;
  ComputeClusterVmHostRule: ResourceClass<VmHostRuleArgs>;
}

type ResourceClass<Args> = new (name: string, args: Args, opts?: pulumi.CustomResourceOptions) => pulumi.CustomResource;

export interface ProviderArgs {
  vsphereServer: string;
  user: pulumi.Input<string>;
  password: pulumi.Input<string>;
  allowUnverifiedSsl: false;
}

export interface VirtualMachineArgs {
  name?: string;
  annotation?: string;
  resourcePoolId: string;
  hostSystemId?: string;
  /** Path below the folder of all machines of the datacenter. */
  folder?: string;
  datastoreId?: string;
  datastoreClusterId?: string;
  storagePolicyId?: string;
  numCpus?: number;
  /** In MiB. */
  memory?: number;
  cpuHotAddEnabled?: boolean;
  memoryHotAddEnabled?: boolean;
  /** In MHz. */
  cpuReservation?: number;
  /** In MiB. */
  memoryReservation?: number;
  latencySensitivity?: 'normal' | 'high';
  firmware?: 'efi' | 'bios';
  efiSecureBootEnabled?: boolean;
  guestId?: string;
  scsiType?: 'pvscsi';
  enableDiskUuid?: boolean;
  networkInterfaces?: { networkId: string; adapterType: 'vmxnet3'; useStaticMac: true; macAddress: string }[];
  disks?: {
    label: string;
    /** In GiB. */
    size: number;
    unitNumber: number;
    thinProvisioned: boolean;
    eagerlyScrub: boolean;
    datastoreId?: string;
    storagePolicyId?: string;
  }[];
  cdroms?: { datastoreId: string; path: string }[];
  /** `templateUuid`: of a machine, or the id of an item of a content library. `timeout` in minutes. */
  clone?: { templateUuid: string; timeout: number };
  extraConfig?: Record<string, pulumi.Input<string>>;
  extraConfigRebootRequired?: boolean;
  /** In minutes; 0 waits for nothing. */
  waitForGuestNetTimeout?: number;
  waitForGuestIpTimeout?: number;
  replaceTrigger?: string;
}

export interface FileArgs {
  datacenter: string;
  datastore: string;
  sourceFile: string;
  destinationFile: string;
  createDirectories: boolean;
}

export interface AntiAffinityArgs {
  computeClusterId: string;
  virtualMachineIds: pulumi.Input<string>[];
  mandatory: boolean;
  enabled: boolean;
  name: string;
}

export interface VmGroupArgs {
  computeClusterId: string;
  virtualMachineIds: pulumi.Input<string>[];
  name: string;
}

export interface VmHostRuleArgs {
  computeClusterId: string;
  vmGroupName: pulumi.Input<string>;
  affinityHostGroupName: string;
  mandatory: boolean;
  enabled: boolean;
  name: string;
}

/**
 * Loads the package. Only here: a site on KVM or on existing machines works without it.
 * @param load for tests; the default is what `require` finds
 */
export function loadVsphere(load: (name: string) => unknown = require): VspherePackage {
  try {
    return load('@pulumi/vsphere') as VspherePackage;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    throw new pulumi.RunError(
      `machines.provider vsphere needs the package @pulumi/vsphere, which is not installed: npm install --no-save @pulumi/vsphere@${VSPHERE_VERSION}. ` +
        'Where the registry does not have it (404), add it to the mirror first. Nothing was changed.',
    );
  }
}
