import type { KubeDocument } from '../plan/clusterTypes';
import type { Encapsulation, Family } from '../plan/types';

/** What of a plan with Calico is held against the living cluster, and what was found. */

export interface CalicoProbe {
  site: string;
  /** Where calico-node runs. */
  namespace: string;
  /** What wraps a pod packet between two nodes of one subnet and of two. */
  encapsulation: { sameSubnet: Encapsulation; crossSubnet: Encapsulation };
  /** Name of the subnet of each node. */
  subnets: Record<string, string>;
  /** Families of the pods. */
  families: Family[];
  /** Devices that every node has for it, such as vxlan.calico, and both ends of every pod's own link. */
  devices: { name: string; mtuBytes: number }[];
  podMtuBytes: number;
  /** Null: no BGP. */
  bgp: BgpProbe | null;
  /** What the kit put there: apiVersion, kind, name, namespace where it has one, and what its spec must say. */
  objects: KubeDocument[];
}

/** Who is to speak BGP with whom. */
export interface BgpProbe {
  /** Addresses of each node in the families of the pods. */
  addresses: Record<string, string[]>;
  /** Nodes that reflect routes: all others speak to these and not to each other. Empty: every node speaks to every other. */
  reflectors: string[];
  /** Routers of the site, each with the nodes that speak to it. */
  routers: { name: string; address: string; nodes: string[] }[];
}

export interface CalicoFacts {
  /** Why calico-node is not ready, by node; null: it is. Nodes without a pod of it are absent. */
  agents: Record<string, string | null>;
  /** Blocks of addresses, each with the node whose pods have them. */
  blocks: { node: string; cidr: string }[];
  /** Of the planned objects, by `kind name`: what differs, or null where the object is gone. */
  objects: Record<string, string[] | null>;
  /** By node; why it could not be asked. */
  nodes: Record<string, CalicoNodeFacts | { error: string }>;
}

export interface CalicoNodeFacts {
  /** MTU of the node's devices that the plan names. */
  devices: Record<string, number>;
  /** Both ends of every pod's link. The pod's is null where its network namespace is gone. */
  links: CalicoLink[];
  routes: CalicoRoute[];
  /** Null: the node has no WireGuard device. Seconds since the last handshake of each peer; null: none so far. */
  wireguardPeers: (number | null)[] | null;
  /** Null: no BIRD runs there. */
  bgpSessions: BgpSession[] | null;
}

export interface CalicoLink {
  device: string;
  mtuBytes: number;
  podMtuBytes: number | null;
  /** namespace/name, asked for where its MTU is not the planned one. */
  pod?: string;
}

export interface BgpSession {
  address: string;
  /** Established, or how far it came, such as Active. */
  state: string;
  /** BIRD's own words of what went wrong last; null: nothing. */
  error: string | null;
}

export interface CalicoRoute {
  cidr: string;
  device: string;
}
