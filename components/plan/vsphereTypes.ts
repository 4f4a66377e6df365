import type { MachineSize } from './machineSize';

/** Part of the plan of a site whose machines a vCenter makes. */
export interface VspherePlan {
  /** Name or address, with a port where it is not 443. */
  server: string;
  /** Both null: the certificate is checked against the authorities of the system. */
  caFile: string | null;
  /** SHA-256, upper case, with colons. */
  thumbprint: string | null;
  template: {
    name: string;
    /** Content library that has it as an item; null: it is in the inventory. */
    library: string | null;
  };
  placements: VspherePlacementPlan[];
  networks: VsphereNetworkPlan[];
  disks: 'thin' | 'thick' | 'eager';
  firmware: 'efi' | 'bios';
  secureBoot: boolean;
  hotAdd: boolean;
  /** Null: none. */
  cpuReservationMegahertz: number | null;
  reservesMemory: boolean;
  latencySensitivity: 'normal' | 'high';
  /** One for each cluster that has several control-plane machines. */
  antiAffinity: { datacenter: string; cluster: string; machines: string[]; isRequired: boolean }[];
  /** Machines that have to run on the hosts of a group; groups without machines are left out. */
  hostGroups: { datacenter: string; cluster: string; hostGroup: string; machines: string[] }[];
}

/** Names and inventory paths, as the site file has them: vCenter knows what they stand for. */
export interface VspherePlacementPlan {
  name: string;
  datacenter: string;
  /** Exactly one of the two is set. */
  cluster: string | null;
  host: string | null;
  /** Group of hosts of the cluster; null: any of its hosts. */
  hostGroup: string | null;
  /** Null: the root pool. */
  resourcePool: string | null;
  /** Null: the folder of all machines of the datacenter. */
  folder: string | null;
  /** Exactly one of the two is set. */
  datastore: string | null;
  datastoreCluster: string | null;
  /** Null: with the other disks. */
  etcdDatastore: string | null;
  /** Null: the one of the datastore. */
  storagePolicy: string | null;
  /** Of etcd disks. */
  etcdStoragePolicy: string | null;
  /** Where the image of a bundle lies; null only without a cluster. */
  isoDatastore: string | null;
}

export interface VsphereNetworkPlan {
  name: string;
  portGroup: string;
  /** Datacenters of the placements that use it. */
  datacenters: string[];
  /** What the site file says about the virtual switch; held against the real one before anything is made. */
  switchMtuBytes: number;
}

export interface VsphereMachinePlan extends MachineSize {
  placement: string;
  network: string;
}
