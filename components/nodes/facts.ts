/** What was true of a node at the end of its last preparation. Recorded then, and not refreshed in between. */
export interface NodeFacts {
  schemaVersion: 1;
  /** Kernel release, such as 6.1.0-50-cloud-amd64. */
  kernel: string;
  /** ID and VERSION_ID of /etc/os-release, such as `debian 12`. */
  distribution: string;
  cgroup: 'v2';
  interface: {
    name: string;
    mac: string;
    driver: string;
    mtuBytes: number;
    /** With prefix length, link-local ones included. */
    addresses: string[];
    /** The file of systemd-networkd that configures it, or the name of another service. */
    configuredBy: string;
  };
  /** Planned modules: all of them are loaded. */
  modules: string[];
  sysctls: Record<string, string>;
  /** `absent` where the device does not know the feature. Devices that do not exist yet are not listed. */
  offloads: { device: string; name: string; value: string }[];
  memoryBytes: number;
  swapBytes: number;
  clock: {
    service: 'chrony' | 'systemd-timesyncd' | 'none';
    synchronised: boolean;
    /** Null without a synchronised clock. */
    offsetMilliseconds: number | null;
  };
  /** Steal since the machine started. */
  cpu: { count: number; stealPercent: number };
  disks: { name: string; sizeBytes: number; rotational: boolean }[];
  /** Null where nf_conntrack is not loaded. `insertFailed` since the machine started. */
  conntrack: { count: number | null; max: number | null; insertFailed: number };
  /** Packets that the CPUs dropped because net.core.netdev_max_backlog was full, since the machine started. */
  softnetDrops: number;
}

/** Reads what the preparation script printed. Throws when a login script of the node wrote to stdout as well. */
export function parseFacts(node: string, stdout: string): NodeFacts {
  try {
    return JSON.parse(stdout) as NodeFacts;
  } catch {
    throw new Error(
      `${node}: the facts of the node are not JSON: its shell start-up files must write nothing to stdout of a session that is not interactive`,
    );
  }
}
