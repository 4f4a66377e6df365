import type { KubeDocument } from './clusterTypes';
import type { Family } from './types';

/** What `network.cni: calico` means for a cluster. Everything that Calico could detect by itself is stated. */
export interface CalicoPlan {
  /** Without a leading v. */
  version: string;
  install: 'operator' | 'manifest';
  dataplane: 'iptables' | 'nftables' | 'bpf';
  /** Who tells the nodes the routes to each other's pods: BIRD by BGP, or Felix alone (VXLAN and WireGuard need no BGP). */
  backend: 'bird' | 'vxlan';
  /** In the order of the site file, or one for each of network.podCidrs. */
  pools: CalicoPool[];
  /** MTU of every device in bytes; null: this mode has no such device. */
  mtuBytes: {
    veth: number;
    ipip: number | null;
    vxlan: number | null;
    vxlanV6: number | null;
    wireguard: number | null;
    wireguardV6: number | null;
  };
  /** Null: no Typha between Felix and the API server. */
  typha: { replicas: number } | null;
  /** Null: no BGP. */
  bgp: CalicoBgpPlan | null;
  /** Of Calico's own pods that do not run everywhere, beside those of the release. */
  tolerations: Toleration[];
  /** Where calico-node asks the API server, without a Service in between. */
  apiServer: { host: string; port: number };
  /** install `manifest`: what is changed in the release manifest. Null with install `operator`. */
  manifest: CalicoManifestEdits | null;
  /** install `operator`: objects of operator.tigera.io/v1, in the order in which they are applied. Empty otherwise. */
  operator: KubeDocument[];
  /** Calico's own objects (crd.projectcalico.org/v1) and what belongs to them, in the order in which they are applied. */
  objects: KubeDocument[];
  /**
   * The same, but only once every node has its sessions with the route reflectors: to turn the mesh off before would leave
   * the nodes without routes.
   */
  lateObjects: KubeDocument[];
}

/** In the notation of Kubernetes; only what is stated. */
export interface ContainerResources {
  requests?: { cpu?: string; memory?: string };
  limits?: { memory: string };
}

/** In the form of Kubernetes. */
export interface Toleration {
  key?: string;
  operator: 'Equal' | 'Exists';
  value?: string;
  effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
}

export interface CalicoPool {
  name: string;
  family: Family;
  cidr: string;
  /** Prefix length of a block; every node takes at least one. */
  blockSize: number;
  ipip: 'Always' | 'CrossSubnet' | 'Never';
  vxlan: 'Always' | 'CrossSubnet' | 'Never';
  natOutgoing: boolean;
  /** Nothing gets a new address of it; what has one keeps it. */
  disabled: boolean;
  /** Selector of Calico, such as all(). */
  nodeSelector: string;
}

export interface CalicoBgpPlan {
  asNumber: number;
  /** Every node speaks to every other; otherwise all speak to the reflectors. */
  mesh: boolean;
  /** Names of the nodes that reflect routes. */
  routeReflectors: string[];
  /** Cluster id of the reflectors, as an IPv4 address; null without any. */
  clusterId: string | null;
  peers: { name: string; address: string; asNumber: number; nodes: string[]; passwordFrom: string | null }[];
}

/** Edits of the parsed objects of a release manifest; a place that is missing there is an error that names it. */
export interface CalicoManifestEdits {
  /** Of the bundle, below manifests/. */
  file: 'calico.yaml' | 'calico-typha.yaml';
  /** Keys of the ConfigMap calico-config that must exist. */
  config: Record<string, string>;
  /** Variables of the container calico-node that must exist; whatever they were becomes this value. */
  nodeEnv: Record<string, string>;
  /** Variables of the container calico-node that are added, or replaced where they exist. */
  nodeEnvAdded: Record<string, string>;
  /** Keys of the first plugin of cni_network_config, merged over what is there. */
  cniPlugin: Record<string, unknown>;
  /** Plugins at the end of the chain of cni_network_config. */
  cniPluginsAdded: KubeDocument[];
  /** Replicas of calico-typha; null: the manifest has none. */
  typhaReplicas: number | null;
  /** What is stated of the resources of the containers of calico-node and Typha; null: they stay as the release has them. */
  resources: { node: ContainerResources | null; typha: ContainerResources | null };
  /** Of calico-kube-controllers, beside those that the release has. */
  tolerations: Toleration[];
  /** Probes of calico-node ask BIRD too. */
  bird: boolean;
  /** False: the bundle has no image of it, so its objects are left out. */
  kubeControllers: boolean;
}
