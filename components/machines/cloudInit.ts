import { stringify } from 'yaml';
import type { NodePlan } from '../plan/types';
import type { SshKeyPair } from '../secrets/hostKey';

/**
 * The NoCloud seed of a machine. cloud-init reads it once, on the first boot: an edit reaches new machines only, and what
 * must follow an edit on a living machine belongs to node preparation.
 */
export interface SeedSettings {
  /** Of a domain its UUID. To another one cloud-init is a new machine, and begins anew. */
  instanceId: string;
  hostName: string;
  user: string;
  /** Public key line of the user. */
  authorizedKey: string;
  hostKey: SshKeyPair;
  mac: string;
  mtuBytes: number;
  /** With prefix length. */
  addresses: string[];
  gateways: string[];
  routes: { to: string; via: string }[];
  dns: { servers: string[]; search: string[] };
  ntpServers: string[];
}

/** What the plan of a machine that the kit makes says of its seed. */
export const seedOfNode = ({ name, ssh, interface: nic, addresses, dns, ntpServers }: NodePlan) => ({
  hostName: name,
  user: ssh.user,
  mac: nic.mac!,
  mtuBytes: nic.mtuBytes,
  addresses,
  gateways: nic.gateways,
  routes: nic.routes,
  dns,
  ntpServers,
});

/** The three files of the seed. `userData` holds a private key. */
export interface Seed {
  metaData: string;
  networkConfig: string;
  userData: string;
}

/**
 * cloud-init reads YAML 1.1, in which a bare MAC address of digits is a number in base 60 and `no` is false. Long lines stay
 * whole: a folded key is read back with a space in it by some parsers.
 */
export const seedYaml = (value: unknown) => stringify(value, { version: '1.1', lineWidth: 0 });

export function cloudInitSeed(settings: SeedSettings): Seed {
  return {
    metaData: metaData(settings),
    networkConfig: seedYaml(networkDocument(settings)),
    userData: `#cloud-config\n${seedYaml(userDocument(settings))}`,
  };
}

function metaData({ instanceId, hostName }: SeedSettings): string {
  return seedYaml({ 'instance-id': instanceId, 'local-hostname': hostName });
}

/**
 * Default routes are written as gateway4 and gateway6, which every version knows. As routes they come out wrong on cloud-init
 * 22 (Debian 12): it does not take the word `default`, and makes ::/64 of ::/0.
 */
export function networkDocument({ mac, mtuBytes, addresses, gateways, routes, dns }: SeedSettings) {
  const gatewayKeys = gateways.map((gateway) => [gateway.includes(':') ? 'gateway6' : 'gateway4', gateway]);
  const hasDns = dns.servers.length > 0 || dns.search.length > 0;
  return {
    version: 2,
    ethernets: {
      primary: {
        match: { macaddress: mac },
        dhcp4: false,
        dhcp6: false,
        'accept-ra': false,
        mtu: mtuBytes,
        addresses,
        ...Object.fromEntries(gatewayKeys),
        ...(routes.length === 0 ? {} : { routes: routes.map(({ to, via }) => ({ to, via })) }),
        ...(hasDns ? { nameservers: { addresses: dns.servers, search: dns.search } } : {}),
      },
    },
  };
}

export function userDocument({ hostName, user, authorizedKey, hostKey, ntpServers }: SeedSettings) {
  return {
    hostname: hostName,
    preserve_hostname: false,
    // Node preparation owns /etc/hosts.
    manage_etc_hosts: false,
    disable_root: true,
    ssh_pwauth: false,
    users: [
      {
        name: user,
        shell: '/bin/bash',
        sudo: 'ALL=(ALL) NOPASSWD:ALL',
        lock_passwd: true,
        ssh_authorized_keys: [authorizedKey],
      },
    ],
    // Keys of the image and of the first boot go: the only host key is the one that the site knows already.
    ssh_deletekeys: true,
    ssh_keys: { ed25519_private: hostKey.privateKey, ed25519_public: `${hostKey.publicKey}\n` },
    growpart: { mode: 'auto', devices: ['/'] },
    resize_rootfs: true,
    ...(ntpServers.length === 0 ? {} : { ntp: { enabled: true, servers: ntpServers, pools: [] } }),
  };
}
