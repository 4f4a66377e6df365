/** Where everything of a lab lives: names, paths and addresses. Pure, so that `down` finds what an interrupted `up` made. */
import { LabError } from './run';

/** How the two halves of the lab meet. */
export type LabTopology =
  /** One layer-2 subnet; the middle is a bridge. What does not fit disappears silently. */
  | 'flat'
  /** Two subnets; the middle is a router, which answers "fragmentation needed" unless told not to. */
  | 'routed';

export interface LabSubnet {
  bridge: string;
  /** With prefix length, as `192.0.2.0/24`. */
  ipv4: string;
  ipv4Gateway: string;
  ipv6: string;
  ipv6Gateway: string;
}

export interface LabLayout {
  name: string;
  topology: LabTopology;
  /** The namespace with libvirtd, the bridges and the lab's DNS and NTP. */
  namespace: string;
  /** The namespace every frame between the two bridges passes through. */
  middleNamespace: string;
  /** First: the bridge of the hypervisor's side. Second: the one behind the middle. Same addresses when flat. */
  subnets: [LabSubnet, LabSubnet];
  /** The lab's DNS and NTP server: the first subnet's gateway. */
  servers: { ipv4: string; ipv6: string };
  runDirectory: string;
  stateDirectory: string;
  /** Directory of the default storage pool `default`. */
  poolDirectory: string;
  libvirtSocket: string;
  libvirtUri: string;
  configFile: string;
  lockFile: string;
}

/** Documentation ranges (RFC 5737, RFC 3849): they can never collide with a network that is in use. */
const firstSubnet: LabSubnet = {
  bridge: 'swbr0',
  ipv4: '192.0.2.0/24',
  ipv4Gateway: '192.0.2.1',
  ipv6: '2001:db8:0:2::/64',
  ipv6Gateway: '2001:db8:0:2::1',
};
const secondSubnetRouted: LabSubnet = {
  bridge: 'swbr1',
  ipv4: '198.51.100.0/24',
  ipv4Gateway: '198.51.100.1',
  ipv6: '2001:db8:0:51::/64',
  ipv6Gateway: '2001:db8:0:51::1',
};
/** The router's own addresses on the first subnet (routed only). */
export const middleRouter = { ipv4: '192.0.2.254', ipv6: '2001:db8:0:2::fe' };

export const defaultLabName = 'lab';
/** Bridges take at most 65535; IPv6 needs at least 1280. */
export const mtuRangeBytes = { min: 1280, max: 65535 };

/** @throws LabError (exit 2) for a name that is no safe part of a path and of a namespace's name. */
export function labLayout(name: string = defaultLabName, topology: LabTopology = 'flat'): LabLayout {
  if (!/^[a-z][a-z0-9-]{0,20}$/.test(name)) {
    throw new LabError(
      `lab name "${name}": allowed are a lower-case letter, then letters, digits and "-", 21 characters at most`,
      2,
    );
  }
  // "lab-mid" as a lab would own the middle of "lab".
  if (name.endsWith('-mid')) throw new LabError(`lab name "${name}": must not end in "-mid"`, 2);
  const runDirectory = `/run/sitewright/${name}`;
  const stateDirectory = `/var/lib/sitewright/${name}`;
  const libvirtSocket = `${runDirectory}/libvirt/libvirt-sock`;
  return {
    name,
    topology,
    namespace: `sitewright-${name}`,
    middleNamespace: `sitewright-${name}-mid`,
    subnets: [firstSubnet, topology === 'flat' ? { ...firstSubnet, bridge: 'swbr1' } : secondSubnetRouted],
    servers: { ipv4: firstSubnet.ipv4Gateway, ipv6: firstSubnet.ipv6Gateway },
    runDirectory,
    stateDirectory,
    poolDirectory: `${stateDirectory}/pool`,
    libvirtSocket,
    libvirtUri: `qemu+unix:///system?socket=${libvirtSocket}`,
    configFile: `${stateDirectory}/lab.json`,
    lockFile: `/run/sitewright/${name}.lock`,
  };
}
