/** One value that is not as the plan has it. Plain; holds no secret. */
export interface Difference {
  /** Name of a machine, or of the site for what belongs to the cluster as a whole. */
  where: string;
  /** Which resource of it puts it right, by the last part of its name; null: none does. */
  role: DriftRole | null;
  /** Such as `sysctl net.ipv4.ip_forward`, or the path of a file. */
  what: string;
  /** As planned; empty: nothing. One line. */
  wanted: string;
  /** As found; empty: nothing. One line. */
  found: string;
  /** What helps, where it is known; else empty. */
  why: string;
}

/**
 * Preparation of the machine; programs and services of Kubernetes; the node's part of the cluster, of the first control-plane
 * node and of those that joined; the virtual machine.
 */
export type DriftRole = 'prepare' | 'runtime' | 'control-plane' | 'join' | 'domain';

/** What one machine answers. */
export interface NodeReading {
  differences: Omit<Difference, 'where'>[];
  /** Kernel release, such as 6.1.0-50-cloud-amd64. */
  kernel: string;
  /** Mode of kube-proxy; null: it does not run, or the site has no cluster. */
  proxyMode: string | null;
}
