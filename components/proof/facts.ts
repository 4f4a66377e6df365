import type { Encapsulation, Family, PairPlan, PortProbe, ProofPlan } from '../plan/types';
import type { SshTarget } from '../ssh/session';

/** What the probes are asked and what they measured. Requests hold private keys; facts and findings never do. */

export interface NodeEnd {
  name: string;
  role: 'control-plane' | 'worker';
  target: SshTarget;
  /** Another one for a machine that was made anew: its proof is due again. The probes do not read it. */
  incarnation?: string;
}

export type Thresholds = ProofPlan['thresholds'];

/**
 * One pair of nodes. It holds the slice of the plan that the probe needs and nothing else: whatever is in it repeats the
 * probe when it changes.
 */
export interface PairRequest {
  kind: 'prove-pair';
  pair: Omit<PairPlan, 'round'>;
  a: NodeEnd;
  b: NodeEnd;
  ports: PortProbe[];
  thresholds: Pick<Thresholds, 'lossPercent' | 'jitterMilliseconds' | 'controlPlaneRoundTripMilliseconds'>;
  /** Probes whose failure is a warning. */
  warn: string[];
}

export interface NodeRequest {
  kind: 'prove-node';
  node: NodeEnd & {
    /** Without prefix length. */
    addresses: string[];
    /** Stable path of the etcd disk; null: etcd will live on the root disk. */
    etcdDisk: string | null;
  };
  peers: ProofPlan['peers'];
  dnsServers: string[];
  ntpServers: string[];
  /** On a live cluster nothing writes to the disk of etcd, whose own metrics say more. */
  withoutDisk?: true;
  thresholds: Pick<Thresholds, 'etcdFsyncP99Milliseconds' | 'cpuStealPercent' | 'clockOffsetMilliseconds'>;
  warn: string[];
}

/**
 * What became of one byte more than the wanted size. `passed`: the path carries more than planned. `fragmented`: only in
 * outer fragments. `lost`: it left and did not arrive. `refused`: the sending node itself refused it.
 * `not provable`: the sender's device cannot be raised, so nothing was learnt about the path.
 */
export interface AboveFact {
  sizeBytes: number;
  outcome: 'passed' | 'fragmented' | 'lost' | 'refused' | 'not provable';
  detail: string | null;
}

/** Packets with DF in one direction, counted at the receiver. Sizes are those of whole IP packets, in bytes. */
export interface SizeFacts {
  wantedBytes: number;
  sent: number;
  /** Of the wanted size, unfragmented. */
  arrived: number;
  /** Outer fragments from the sender that the capture saw meanwhile. */
  fragments: number;
  /** What the kernels' own counters of fragments gained meanwhile: made by the sender, seen by the receiver, of any traffic. */
  counters: { created: number; received: number };
  /** Whether even the smallest packets arrive. */
  anyArrived: boolean;
  /** Why the sender's own stack refused the wanted size (an errno name), or null. */
  refused: string | null;
  /** MTU of the sender's device. */
  deviceMtuBytes: number;
  /** Largest size that arrived whole; null where none did. */
  largestBytes: number | null;
  above: AboveFact | null;
}

export interface TransferFacts {
  bytes: number;
  seconds: number;
  retransmits: number | null;
  /** Null where everything arrived. */
  error: string | null;
}

export interface DirectionFacts {
  from: string;
  to: string;
  family: Family;
  fromAddress: string;
  toAddress: string;
  underlay: SizeFacts;
  tunnel: SizeFacts | { skipped: string };
  tcp: TransferFacts | null;
  /** Of the datagrams of the round-trip probe that this direction carried. */
  lossPercent: number | null;
  ports: PortFacts[];
}

export interface PortFacts extends Omit<PortProbe, 'between'> {
  outcome: 'reachable' | 'refused' | 'silent' | 'filtered by the receiver' | 'not sent';
  detail: string | null;
}

export interface RoundTripFacts {
  family: Family;
  sent: number;
  answered: number;
  meanMilliseconds: number;
  /** Mean of the distances from the mean. */
  deviationMilliseconds: number;
  maxMilliseconds: number;
}

export interface PairFacts {
  kind: 'pair';
  a: string;
  b: string;
  encapsulation: Encapsulation;
  sameHost: boolean;
  bothControlPlane: boolean;
  directions: DirectionFacts[];
  roundTrips: RoundTripFacts[];
}

export interface EtcdDiskFacts {
  tool?: string;
  target?: string;
  count?: number;
  p99Milliseconds?: number;
  skipped?: string;
  error?: string;
}

export interface PingFacts {
  sizeBytes: number;
  sent: number;
  answered: number;
  refused: string | null;
  milliseconds: number | null;
}

export interface NodeFacts {
  kind: 'node';
  node: string;
  role: 'control-plane' | 'worker';
  addresses: { address: string; owners: string[] }[];
  dns: { server: string; error: string | null; milliseconds?: number }[];
  ntp: { server: string; error: string | null; offsetMilliseconds?: number }[];
  peers: {
    name: string;
    address: string;
    wantedBytes: number;
    small: PingFacts;
    full: PingFacts;
    /** Largest size that is answered; null where nothing is. */
    largestBytes: number | null;
    tcp: { port: number; error: string | null; milliseconds?: number } | null;
  }[];
  steal: { percent: number; windowSeconds: number };
  /** Null: not a control-plane node. */
  etcd: EtcdDiskFacts | null;
  /**
   * Distance of the node's clock from that of the machine that runs the engine, and how much of it the way there may
   * explain.
   */
  engineClock: { offsetMilliseconds: number; uncertaintyMilliseconds: number };
}

export interface ProofFinding {
  /** Name of the probe as `checks.warn` knows it. */
  probe: string;
  /** `info`: worth knowing, never a failure. */
  severity: 'error' | 'warn' | 'info';
  /** `a -> b`, or the name of a node. */
  where: string;
  message: string;
}

export interface ProofResult<Facts extends PairFacts | NodeFacts = PairFacts | NodeFacts> {
  facts: Facts;
  findings: ProofFinding[];
}
