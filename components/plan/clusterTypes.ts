import type { SiteSpec } from '../spec/schema';
import type { CalicoPlan } from './calicoTypes';
import type { IngressPlan } from './ingressTypes';
import type { PodDnsConfig } from './podDns';
import type { PolicyPlan } from './policyTypes';
import type { Family } from './types';

/**
 * The part of the plan that makes a cluster of prepared machines. Null where the site file names no
 * `kubernetes.version`: the kit then ends with machines whose network is proved.
 */

/** A Kubernetes-style document (apiVersion, kind, …) as a plain object; it becomes YAML where it is written. */
export type KubeDocument = Record<string, unknown>;

export interface ClusterPlan {
  /** Without a leading v. */
  kubernetesVersion: string;
  /** DNS domain of the cluster. */
  domain: string;
  endpoint: EndpointPlan;
  /** Exactly where the endpoint is of the kind `vip`. */
  vip: VipPlan | null;
  /** First address of each service network: what `kubernetes.default` answers on. */
  apiServiceAddresses: string[];
  bundle: BundlePlan;
  kubeadm: {
    /** kubeadm.k8s.io/v1beta4 ClusterConfiguration; every control-plane node gets the same one. */
    clusterConfiguration: KubeDocument;
    /** kubelet.config.k8s.io/v1beta1 KubeletConfiguration. */
    kubeletConfiguration: KubeDocument;
    /** kubeadm.k8s.io/v1beta4 UpgradeConfiguration, to this version from another. */
    upgradeConfiguration: KubeDocument;
  };
  /** Day of the last fixes of this minor of Kubernetes, such as 2027-06-28. */
  supportedUntil: string;
  upgrade: {
    /** Workers that are drained and moved to another version at the same time. */
    maxUnavailable: number;
  };
  /** Snapshots that each control-plane node takes by itself; null: none. */
  etcdSnapshots: { everySeconds: number; keep: number; directory: string } | null;
  /** audit.k8s.io/v1 Policy. */
  auditPolicy: KubeDocument;
  /** apiserver.config.k8s.io/v1 AdmissionConfiguration; null: the defaults of Kubernetes. */
  admissionConfiguration: KubeDocument | null;
  /** What kubelet asks static pods; null: as kubeadm has it, which is 8 and 1. */
  staticPodProbes: {
    /** Failed checks in a row, one every 10 s, after which a static pod is restarted. */
    livenessFailures: number;
    /** Between two questions whether one is ready. */
    readinessPeriodSeconds: number;
  } | null;
  containerd: ContainerdPlan;
  /** Where nodes get the images of the site's own pods; those of the cluster are in the bundle. */
  registries: RegistryPlan[];
  kubeProxy: KubeProxyPlan;
  dns: ClusterDnsPlan;
  /** Most time that a node may take to give up its pods. */
  drainLimitSeconds: number;
  cni: 'routes' | 'none' | 'calico';
  /** Null with another CNI. */
  calico: CalicoPlan | null;
  /** Null without an ingress controller. */
  ingress: IngressPlan | null;
  /** Null without a baseline of policies. */
  policy: PolicyPlan | null;
  /**
   * nftables ruleset that every node loads at boot and whenever it changes (`nft -f <file>`; it replaces its own table at
   * once): with cni `routes` so that pods reach what is outside the cluster, which another CNI does itself, and for
   * network.mssClamp. Null where there is nothing of both.
   */
  podMasquerade: { file: string; ruleset: string } | null;
}

export interface EndpointPlan {
  /** `controlPlaneEndpoint` from the first day; /etc/hosts of every node resolves it. */
  name: string;
  port: number;
  /** What the name resolves to, and what a kubeconfig from outside the cluster connects to. */
  address: string;
  /** `node`: the only control-plane node; `vip`: keepalived and haproxy hold it; `external`: somebody else's load balancer. */
  kind: 'node' | 'vip' | 'external';
}

/** The virtual address of the control plane: keepalived moves it between the members, haproxy on each leads to all of them. */
export interface VipPlan {
  address: string;
  /** Virtual router ID, 1 to 255: of this virtual address alone on its network. */
  vrid: number;
  /** Every control-plane node that stays, in the order of the site file, with its address of the same family. */
  members: { node: string; address: string }[];
  /** Between two advertisements of the node that holds the address. */
  advertSeconds: number;
  /** Between two looks at an API server. */
  checkSeconds: number;
}

/** What a bundle must hold for this cluster. */
export interface BundlePlan {
  from: 'source' | 'upstream';
  /** Name of the bundle and of its lock file, such as source-1.36.1. */
  name: string;
  /** Sorted by name. */
  components: { name: BundleComponent; version: string }[];
  /** What every image reference of this bundle begins with, such as registry.k8s.io. */
  imageRepository: string;
  /** `toolbox` is left out where the origin has none: the machines' own tools look into pods then. Calico's are there with it. */
  images: Record<Exclude<ClusterImage, OptionalImage>, string> & Partial<Record<OptionalImage, string>>;
  /** Files of `manifests/` in the bundle, sorted by name. */
  manifests: BundleManifest[];
  /** Packages of distributions for machines that lack some, sorted by distribution. Empty: the bundle has none. */
  packages: BundlePackages[];
}

/** What of one distribution a bundle holds; all that these packages depend on is there with them. */
export interface BundlePackages {
  /** ID and VERSION_ID of /etc/os-release, such as debian-12. */
  distribution: Distribution;
  /** URLs of its archive, and of the one of its security updates. */
  archive: string;
  securityArchive: string;
  /** Sorted. */
  names: string[];
}

export type Distribution = SiteSpec['artifacts']['packages'][number]['name'];

/** A release manifest of another project, which the bundle carries as it is. */
export interface BundleManifest {
  /** Such as calico.yaml. */
  name: string;
  component: BundleComponent;
  /** Where its project publishes it; a bundle from source may find the same bytes elsewhere. */
  url: string;
  sha256: string;
}

export type BundleComponent =
  | 'kubernetes'
  | 'etcd'
  | 'coredns'
  | 'pause'
  | 'cni-plugins'
  | 'containerd'
  | 'runc'
  | 'cri-tools'
  | 'toolbox'
  | 'calico'
  | IngressImage;

/**
 * Container images by the name of their program; the values are whole references with a tag. `toolbox` has none: it is a
 * small root with what a pod is looked into with.
 */
export type ClusterImage =
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'kube-scheduler'
  | 'kube-proxy'
  | 'etcd'
  | 'coredns'
  | 'pause'
  | OptionalImage;

/** Images that not every bundle has. Calico's: one for each program, or `calico` alone for all of them, from 3.33 on. */
export type OptionalImage = 'toolbox' | CalicoImage | IngressImage;
/** One for each controller, called as its component. */
export type IngressImage = 'nginx-ingress' | 'ingress-nginx';
export type CalicoImage =
  | 'calico'
  | 'calico-node'
  | 'calico-cni'
  | 'calico-kube-controllers'
  | 'calico-typha'
  | 'calico-apiserver'
  | 'tigera-operator';

export interface ContainerdPlan {
  version: string;
  /** Of /etc/containerd/config.toml: 2 for containerd 1.x, 3 for 2.0 to 2.2, 4 from 2.3. */
  configVersion: 2 | 3 | 4;
  /** The whole of /etc/containerd/config.toml. Holds no credentials. */
  toml: string;
}

export interface RegistryPlan {
  /** As image references begin with it. */
  name: string;
  /** Null: nobody logs in. The password is a secret of the stack. */
  username: string | null;
  /** What containerd reads of it is here: hosts.toml and, where there are authorities of its own, ca.crt. */
  folder: string;
  hostsToml: string;
  /** Certificates in PEM; null: those that the node trusts. */
  ca: string | null;
}

export interface KubeProxyPlan {
  mode: 'ipvs' | 'nftables' | 'iptables';
  /** kubeproxy.config.k8s.io/v1alpha1 KubeProxyConfiguration. */
  configuration: KubeDocument;
  /** Who sets nf_conntrack_max: the site (maxPerCore 0) or kube-proxy. */
  conntrackOwner: 'site' | 'kube-proxy';
}

export interface ClusterDnsPlan {
  /** Address of the kube-dns Service, the first service family. */
  serviceAddress: string;
  /** Every address that the kube-dns Service has, one per service family. */
  serviceAddresses: string[];
  /** What kubelet gives to pods, in order: the node-local cache first where there is one. */
  clusterDnsAddresses: string[];
  /** Zones with resolvers of their own, sorted by name. */
  stubZones: { zone: string; servers: string[] }[];
  /** Text of the Corefile of CoreDNS. */
  corefile: string;
  replicas: number;
  /** Null: no node-local cache. */
  nodeLocal: { address: string; corefile: string } | null;
  /** Null: pods have what Kubernetes gives them. */
  pods: PodDnsPlan | null;
}

/** What new pods get unless they say otherwise. */
export interface PodDnsPlan {
  config: PodDnsConfig;
  /** Namespaces with all of these labels; empty: every one but kube-system. */
  namespaceLabels: Record<string, string>;
}

export interface Taint {
  key: string;
  value?: string;
  effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
}

/** What one node is in the cluster. */
export interface NodeClusterPlan {
  part: 'init' | 'join-control-plane' | 'join-worker';
  /**
   * kubeadm.k8s.io/v1beta4 InitConfiguration (part `init`) or JoinConfiguration without `discovery`, which holds the token
   * that is made for this one join.
   */
  registration: KubeDocument;
  /** cni `routes`: networks of this node's pods, one per family of the pods, in their order. Empty with another CNI. */
  podCidrs: string[];
  /** cni `routes`: /etc/cni/net.d/10-sitewright.conflist. Null with another CNI. */
  cniConfiguration: KubeDocument | null;
  /** Labels that the cluster keeps on the Node, beyond what kubelet and kubeadm set. Sorted by key. */
  labels: Record<string, string>;
  /** Every taint that the Node has, that of the control plane included; the same as in `registration`. */
  taints: Taint[];
  /** Whether the node is one of those that hold the virtual address of the control plane. */
  sharesVip: boolean;
  /** Addresses of the node by family: what kubelet's --node-ip gets, joined by a comma. */
  nodeIps: Partial<Record<Family, string>>;
}
