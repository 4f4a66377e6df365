import type { NodeEnd, PingFacts, ProofFinding } from '../proof/facts';
import type { ConntrackRule } from '../plan/conntrack';
import type { Family, ProofPlan } from '../plan/types';
import type { CalicoFacts, CalicoProbe } from './calicoFacts';
import type { Fence, FenceFacts } from './fences';
import type { IngressFacts, IngressProbe } from './ingress';
import type { PathBefore, PathFacts } from './layers';

/** What the probes of a live cluster are asked and what they measured. Requests hold private keys; facts never do. */

/** It holds the slice of the plan that is held against the cluster and nothing else. */
export interface ClusterProbeRequest {
  kind: 'probe-cluster';
  /** Every node of the cluster, in the order of the site file. */
  nodes: ClusterNodeEnd[];
  /** What the probe's pods run: it does nothing. */
  pauseImage: string;
  podMtuBytes: number;
  podFamilies: Family[];
  serviceFamilies: Family[];
  kubeProxy: {
    mode: 'ipvs' | 'nftables' | 'iptables';
    /** Of mode ipvs. */
    scheduler: string;
    /** Where each node's kube-proxy answers `/proxyMode`, such as 127.0.0.1:10249. */
    metricsAddress: string;
    /** What it sets nf_conntrack_max to; null: the site does. */
    conntrack: ConntrackRule | null;
  };
  /** Services that every cluster has, each with one address. */
  services: { name: string; address: string; port: number; protocols: ('tcp' | 'udp')[] }[];
  /** Names that pods must resolve: those of the cluster, then those of `checks.names`. */
  names: string[];
  /** Zones with servers of their own (dns.stubZones), which pods must reach through the DNS of the cluster. */
  zones: { zone: string; servers: string[] }[];
  peers: ProofPlan['peers'];
  /** Name servers of the machines, outside the cluster: what pods ask them comes back only where their way out works. */
  nameServers: string[];
  /** Null: another CNI. */
  calico: CalicoProbe | null;
  /** What the baseline of policies is to keep apart; empty without one. */
  fences: Fence[];
  /** Null: no ingress controller. */
  ingress: IngressProbe | null;
  /** Smallest packet that every two machines must exchange, whatever the pods do. */
  underlayMtuBytes: number;
  /** What the proof of the machines gave, before there was a cluster; empty where it is not known. */
  before: PathBefore[];
  thresholds: Pick<ProofPlan['thresholds'], 'etcdFsyncP99Milliseconds' | 'lookupMilliseconds'>;
  /** Probes whose failure is a warning. */
  warn: string[];
  /**
   * Of pods that run with another MTU than planned: they have that of their start. A change is not undone because of them,
   * and `sitewright rollout mtu` makes them anew; whoever verifies a site counts them.
   */
  olderPods: 'error' | 'warn';
  /** Multiplies the time limits. */
  limitFactor: number;
}

export interface ClusterNodeEnd extends NodeEnd {
  /** Of the machine, without prefix length. */
  addresses: string[];
  /** nf_conntrack_max where the site owns it, else null. */
  conntrackMax: number | null;
}

export interface ClusterFacts {
  kind: 'cluster';
  /** In the order of the request. */
  nodes: ClusterNodeFacts[];
  pods: { measured: PodFacts[] };
  /** Null: another CNI. */
  calico: CalicoFacts | null;
  /** What lies below each measured way between pods. Absent in results of versions that did not look. */
  paths?: PathFacts[];
  fences?: FenceFacts[];
  /** Null: no ingress controller. */
  ingress?: IngressFacts | null;
}

export interface ClusterNodeFacts {
  node: string;
  role: 'control-plane' | 'worker';
  /** Null: the cluster does not know it. */
  object: NodeObjectFacts | null;
  /** Why the node itself could not be asked; its own facts are then absent. */
  error?: string;
  machine?: MachineFacts;
  /** Of control-plane nodes. */
  etcd?: EtcdFacts | { error: string };
}

export interface NodeObjectFacts {
  ready: boolean;
  /** Message of the Ready condition where it is not true; other conditions that are true, such as DiskPressure. */
  reasons: string[];
  cordoned: boolean;
}

export interface MachineFacts {
  /** What kube-proxy says its mode is, or why it says nothing. */
  proxyMode: string | { error: string };
  /** Rules of Services by `protocol address:port`, or why they cannot be read. */
  services: { rules: Record<string, ServiceRule> } | { error: string };
  conntrackMax: number;
  conntrackCount: number;
  /** As kube-proxy counts them. Absent in results of versions that did not look. */
  cpus?: number;
}

/** In modes other than ipvs a rule has neither scheduler nor servers of its own. */
export interface ServiceRule {
  scheduler: string | null;
  realServers: number | null;
}

export interface EtcdFacts {
  hasLeader: boolean;
  databaseBytes: number;
  quotaBytes: number;
  /** 99th percentile of fsync of the write-ahead log; null where it has written nothing. */
  fsyncP99Milliseconds: number | null;
  /** How many of them, and whether during this run (else since etcd started). */
  fsyncCount: number;
  duringRun: boolean;
}

export interface PodFacts {
  node: string;
  /** Why the pod did not start or its probe failed; everything else is then absent. */
  error?: string;
  measured?: PodMeasurements;
}

export interface PodMeasurements {
  /** MTU of the pod's own device. */
  deviceMtuBytes: number;
  sizes: PodSizeFacts[];
  services: PodServiceFacts[];
  names: NameFacts[];
  /** Absent in results of versions that did not ask. */
  zones?: ZoneFacts[];
  peers: PodPeerFacts[];
  nameServers: NameServerFacts[];
  reach: ReachFacts[];
}

/** A question about a zone itself to the resolver of a pod; whatever the zone's own servers say counts. */
export interface ZoneFacts {
  zone: string;
  /** Null: its servers were reached. */
  error: string | null;
  answer?: 'NOERROR' | 'NXDOMAIN';
  milliseconds?: number;
}

/** A question to a server outside the cluster; any answer counts. */
export interface NameServerFacts {
  address: string;
  error: string | null;
  milliseconds?: number;
}

/** A connection that is either to be made or not to be. */
export interface ReachFacts {
  name: string;
  family: Family;
  /** Null: it was made. */
  error: string | null;
}

/** Echo requests with DF to the pod of another node. */
export interface PodSizeFacts {
  node: string;
  family: Family;
  full: PingFacts;
  /** One byte more. */
  above: PingFacts;
  /** Largest size that is answered; null where nothing is. */
  largestBytes: number | null;
}

export interface PodServiceFacts {
  family: Family;
  address: string;
  /** Connections by the node of the pod that answered. */
  reached: Record<string, number>;
  /** Connections that failed after the first that did not, by reason. */
  failed: Record<string, number>;
  slowestMilliseconds: number;
  /** Null: no connection led to a pod of another node. */
  transfer: ServiceTransferFacts | null;
}

export interface ServiceTransferFacts {
  node: string;
  bytes: number;
  seconds: number;
  /** Null where everything arrived, both ways. */
  error: string | null;
  /** What the kernel of either end says of its own direction; absent after an error. */
  up?: TcpFacts;
  down?: TcpFacts;
}

export interface TcpFacts {
  /** Path MTU that the connection ended with, and largest payload of its segments. */
  pathMtuBytes: number;
  segmentBytes: number;
  /** Segments with payload, repeated ones included. */
  segments: number;
  retransmits: number;
}

export interface NameFacts {
  name: string;
  /** One after another, or ten at once. */
  way: 'sequence' | 'parallel';
  count: number;
  failed: number;
  /** Of the last failure. */
  error: string | null;
  p50Milliseconds: number;
  p99Milliseconds: number;
  maxMilliseconds: number;
  overOneSecond: number;
}

export interface PodPeerFacts {
  name: string;
  full: PingFacts;
  small: PingFacts;
  largestBytes: number | null;
  tcp: { error: string | null; milliseconds?: number } | null;
}

export interface ClusterProbeResult {
  facts: ClusterFacts;
  findings: ProofFinding[];
}
