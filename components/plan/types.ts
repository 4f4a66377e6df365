import type { ClusterPlan, NodeClusterPlan } from './clusterTypes';
import type { MachineSize } from './machineSize';
import type { VsphereMachinePlan, VspherePlan } from './vsphereTypes';

/**
 * The plan of a site: everything computed, plain and JSON-serialisable. No clock, no network, no secrets.
 * `SCHEMA_VERSION` changes when a reader of the JSON would have to change.
 */
export const SCHEMA_VERSION = 1;

export type Family = 'ipv4' | 'ipv6';
/** What really wraps a pod packet on the wire between two nodes. */
export type Encapsulation = 'none' | 'ipip' | 'vxlan' | 'wireguard';
/** `routes`: the nodes' own routes (network.cni routes); the others are what Calico calls them. */
export type Routing = 'routes' | 'bgp' | 'ipip' | 'ipip-cross-subnet' | 'vxlan' | 'vxlan-cross-subnet';
export type SpecPath = readonly (string | number)[];

/** Something wrong with (error) or worth knowing about (warning) the values at `path` of the site file. */
export interface Finding {
  severity: 'error' | 'warning';
  path: SpecPath;
  /** The value as given in the site file; absent when nothing was given. */
  given?: unknown;
  /** What is wrong, what is allowed and how to fix it, in one sentence. */
  message: string;
}

export interface SitePlan {
  schemaVersion: typeof SCHEMA_VERSION;
  kitVersion: string;
  site: string;
  environment: 'lab' | 'staging' | 'production';
  backendUrl: string;
  address: AddressPlan;
  mtu: MtuPlan;
  machines: MachinesPlan;
  /** In the order of the site file, without the dead ones. */
  nodes: NodePlan[];
  /** Machines that are lost: nobody speaks to them, and the cluster forgets them. */
  dead: DeadMachinePlan[];
  /**
   * Lines of every node's /etc/hosts: each node's addresses and the site's own names, sorted by address. Once for the
   * site and not in each node, or the plan would grow with the square of the nodes.
   */
  hosts: { address: string; names: string[] }[];
  proof: ProofPlan;
  /** Null: the site names no `kubernetes.version`, and ends with machines whose network is proved. */
  cluster: ClusterPlan | null;
}

export interface AddressPlan {
  /** Families that the machines have: ipv4, ipv6 or both, in this order. */
  families: Family[];
  subnets: { name: string; cidrs: string[]; gateways: string[]; mtuBytes: number }[];
  podCidrs: string[];
  serviceCidrs: string[];
  vip: string | null;
}

/** One line of the MTU budget, from the underlay down to the pod. `bytes` is what it sets (first step) or takes off (negative). */
export interface MtuStep {
  what: string;
  bytes: number;
  /** Bytes left after this step. */
  leftBytes: number;
  /** Where the figure comes from: a site-file path, a specification, a table. */
  source: string;
}

export interface MtuPlan {
  routing: Routing;
  /** Why this routing: chosen by the site, or by `auto` and for what reason. */
  routingReason: string;
  wireguard: boolean;
  /** Encapsulation between two nodes of one subnet and of two subnets. */
  encapsulation: { sameSubnet: Encapsulation; crossSubnet: Encapsulation };
  steps: MtuStep[];
  /** Smallest underlay MTU on any path between two nodes, in bytes, GRE taken off. */
  underlayMtuBytes: number;
  overheadBytes: number;
  /** MTU of both ends of every pod's veth, in bytes. */
  podMtuBytes: number;
  /** MTU of every device that the pod network makes in this mode, in bytes, sorted by name. */
  devices: { name: string; mtuBytes: number }[];
  /** Largest TCP segment of a pod, in bytes: MTU - 40 (IPv4), - 60 (IPv6). */
  mssBytes: Partial<Record<Family, number>>;
}

export interface SshPlan {
  host: string;
  port: number;
  user: string;
  /** Known from the site file (existing), or null where it is made from the secrets of the site (kvm, vsphere). */
  hostKey: string | null;
}

export interface SshEndpointPlan {
  host: string;
  port: number;
  user: string;
  hostKey: string;
}

export interface MachinesPlan {
  provider: 'kvm' | 'vsphere' | 'existing';
  jump: SshEndpointPlan | null;
  /** Null unless the provider is kvm. */
  kvm: KvmPlan | null;
  /** Null unless the provider is vsphere. */
  vsphere: VspherePlan | null;
}

export interface KvmPlan {
  hypervisors: {
    name: string;
    connection: 'local' | SshEndpointPlan;
    uri: string;
    pool: string;
    etcdPool: string;
    domainType: 'auto' | 'kvm' | 'qemu';
  }[];
  /** `lab`: the image that the lab builds, found when the machines are made. */
  image: 'lab' | KvmImagePlan;
  volumes: 'overlay' | 'copy';
  cpuMode: 'auto' | 'host-passthrough' | 'host-model' | 'maximum';
  rxQueueSize: number;
  autostart: boolean;
}

export interface KvmImagePlan {
  /** Exactly one of path and url is set. */
  path: string | null;
  url: string | null;
  sha256: string;
  format: 'qcow2' | 'raw';
  kernel: { path: string; sha256: string; initrd: string; initrdSha256: string; arguments: string } | null;
}

export interface KvmMachinePlan extends MachineSize {
  hypervisor: string;
  /** Either a bridge or a libvirt network. */
  attach: { bridge: string } | { libvirtNetwork: string };
  queues: number;
}

export interface ModulePlan {
  name: string;
  reason: string;
}

/** What preparation refuses a machine for, before it changes anything. */
export interface NeededVersion {
  what: 'kernel' | 'nft';
  atLeast: string;
  /** What needs it, with the key of the site file that asks for that. */
  by: string;
}

export interface SysctlPlan {
  key: string;
  value: string;
  reason: string;
}

/**
 * A NIC setting, as data: the node applies it to a device whose driver and kernel match, now and when such a device
 * appears later, and reads it back.
 */
export interface OffloadRule {
  id: string;
  /** `nic`: the interface that carries the node's address. Otherwise a device name such as vxlan.calico. */
  device: string;
  /** Kernel driver as `ethtool -i` names it; null: any. */
  driver: string | null;
  /** Kernel versions, both inclusive; null: no bound. A bound of two numbers covers every patch release of it. */
  kernel: { min: string | null; max: string | null };
  /** Features by the name that `ethtool -K` takes (`lro`, `tx-udp_tnl-segmentation`); rings of `ethtool -G`. */
  features: { name: string; value: 'on' | 'off' }[];
  rings: { name: 'rx' | 'tx'; entries: number }[];
  reason: string;
}

/** What is left to know of a machine that is lost. */
export interface DeadMachinePlan {
  name: string;
  role: 'control-plane' | 'worker';
  /** Without prefix length. */
  addresses: string[];
  ssh: SshPlan;
  /** Hypervisor (kvm) or placement (vsphere). Null: the kit did not make it. */
  hypervisor: string | null;
}

export interface NodePlan {
  name: string;
  role: 'control-plane' | 'worker';
  /** `leaving`: the machine is kept as every other, and its node is taken out of the cluster. */
  state: 'active' | 'leaving';
  /** Subnet of the first address. */
  subnet: string;
  /** Addresses with prefix length, IPv4 first. */
  addresses: string[];
  interface: {
    /** Null: the interface that has `mac` (kvm, vsphere) or the first address (existing). */
    name: string | null;
    mac: string | null;
    mtuBytes: number;
    gateways: string[];
    routes: { to: string; via: string }[];
    /** cni `routes`: ways to the pods of the other nodes. Apart, because a machine needs none of them to start. */
    podRoutes: { to: string; via: string }[];
    /** Kernel driver where the kit makes the machine (virtio_net, vmxnet3); null where only the machine knows. */
    driver: string | null;
  };
  ssh: SshPlan;
  /** One of the two where the kit makes the machine. */
  kvm: KvmMachinePlan | null;
  vsphere: VsphereMachinePlan | null;
  neededVersions: NeededVersion[];
  modules: ModulePlan[];
  sysctls: SysctlPlan[];
  offloads: OffloadRule[];
  dns: { servers: string[]; search: string[] };
  ntpServers: string[];
  swap: 'off' | 'keep';
  journaldMaxUseBytes: number;
  /**
   * Nodes on the same hypervisor, or in one cluster of vSphere, which may put them on one: their packets never meet a wire
   * then and can be 64 KB. Empty when unknown.
   */
  sharesHostWith: string[];
  /** TCP ports that the ingress controller listens on in the network of this node; nothing else may. */
  ingressPorts: number[];
  /** Null exactly where the plan of the site has no cluster. */
  cluster: NodeClusterPlan | null;
}

export interface PairPlan {
  /** Names of the two nodes, in site-file order. Both directions are probed. */
  a: string;
  b: string;
  /** Pairs of one round share no node and run at the same time; rounds run one after another, from 0. */
  round: number;
  sameSubnet: boolean;
  sameHost: boolean;
  /** Addresses without prefix length, by family, of both ends. */
  addresses: { family: Family; a: string; b: string }[];
  underlayMtuBytes: number;
  /** Encapsulation that pod packets between these two have, and the pod MTU that must pass through it. */
  encapsulation: Encapsulation;
  podMtuBytes: number;
  /** Families of the pods' own addresses. In another one no pod packet is tried: the pod MTU leaves no room for its headers. */
  podFamilies: Family[];
}

export interface PortProbe {
  protocol: 'tcp' | 'udp' | 'ip';
  /** Port, or the protocol number for `ip` (4 IP-in-IP, 112 VRRP). */
  number: number;
  what: string;
  /** From and to which roles; `any` for all nodes. */
  between: 'any' | 'control-plane' | 'any-to-control-plane';
}

export interface ProofPlan {
  pairs: PairPlan[];
  /** Null when every pair is probed; otherwise how the sample was chosen. */
  sample: string | null;
  ports: PortProbe[];
  peers: { name: string; address: string; family: Family; mtuBytes: number; tcpPort: number | null }[];
  /** Names outside the cluster that pods must resolve. */
  names: string[];
  dnsServers: string[];
  ntpServers: string[];
  warn: string[];
  thresholds: {
    lossPercent: number;
    jitterMilliseconds: number;
    etcdFsyncP99Milliseconds: number;
    controlPlaneRoundTripMilliseconds: number;
    cpuStealPercent: number;
    clockOffsetMilliseconds: number;
    lookupMilliseconds: number;
  };
}

/** What a change of a planned value means for a running site. */
export type Impact = 'in place' | 'restart' | 'disruptive' | 'replacement' | 'new machines only';
