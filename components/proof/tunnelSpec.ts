import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { Encapsulation, Family } from '../plan/types';

/** What the node-side probe needs to make its end of the temporary pod network. */
export interface TunnelSpec {
  family: Family;
  kind: Encapsulation;
  local: string;
  remote: string;
  podMtuBytes: number;
  pod: string;
  podGateway: string;
  peerPod: string;
  inner: string;
  peerInner: string;
  vni: number;
  port: number;
  wireguard: { privateKey: string; peerPublicKey: string } | null;
}

/** VXLAN and WireGuard use the very ports that Calico will use: a filter can know the one and not the other. */
const PORTS: Record<Encapsulation, Record<Family, number>> = {
  none: { ipv4: 0, ipv6: 0 },
  ipip: { ipv4: 0, ipv6: 0 },
  vxlan: { ipv4: 4789, ipv6: 4789 },
  wireguard: { ipv4: 51820, ipv6: 51821 },
};

/** Calico's own VNI is 4096; these are far above, so that a node with both never mixes them. */
const FIRST_VNI = 0xf00000;

/**
 * Both ends for one family. `seed` (16 bits) tells pairs apart that run at the same time; it picks a block of 16
 * addresses of 198.18.0.0/15 (RFC 2544: measurements) or of a unique local prefix (RFC 4193).
 */
export function tunnelSpecs(
  family: Family,
  kind: Encapsulation,
  addresses: { a: string; b: string },
  podMtuBytes: number,
  seed: number,
): { a: TunnelSpec; b: TunnelSpec } {
  const at = (offset: number) => {
    const host = (seed % 0x1000) * 16 + offset;
    return family === 'ipv4'
      ? `198.18.${host >> 8}.${host & 255}`
      : `fdc5:7377:7070:${(seed & 0xffff).toString(16)}::${offset.toString(16)}`;
  };
  const keys = kind === 'wireguard' ? { a: newKeys(), b: newKeys() } : null;
  const common = { family, kind, podMtuBytes, vni: FIRST_VNI + (seed & 0xffff), port: PORTS[kind][family] };
  return {
    a: {
      ...common,
      local: addresses.a,
      remote: addresses.b,
      podGateway: at(1),
      pod: at(2),
      peerPod: at(6),
      inner: at(9),
      peerInner: at(10),
      wireguard: keys && { privateKey: keys.a.privateKey, peerPublicKey: keys.b.publicKey },
    },
    b: {
      ...common,
      local: addresses.b,
      remote: addresses.a,
      podGateway: at(5),
      pod: at(6),
      peerPod: at(2),
      inner: at(10),
      peerInner: at(9),
      wireguard: keys && { privateKey: keys.b.privateKey, peerPublicKey: keys.a.publicKey },
    },
  };
}

/** WireGuard's own form of an X25519 pair: the raw 32 bytes of each, in base64. They live as long as the tunnel. */
function newKeys(): { privateKey: string; publicKey: string } {
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  const raw = (key: KeyObject, field: 'd' | 'x') =>
    Buffer.from(key.export({ format: 'jwk' })[field] ?? '', 'base64url');
  return { privateKey: raw(privateKey, 'd').toString('base64'), publicKey: raw(publicKey, 'x').toString('base64') };
}
