import { Address4, Address6 } from 'ip-address';
import type { Family } from './types';

/** An address, with the network it was written with (`192.0.2.11/24`), or a network of one address without a prefix. */
export interface Ip {
  family: Family;
  value: bigint;
  prefix: number;
  /** Without prefix length, in its shortest form. */
  text: string;
  network: Network;
}

/** An inclusive range of addresses with one prefix. */
export interface Network {
  family: Family;
  first: bigint;
  last: bigint;
  prefix: number;
  /** `192.0.2.0/24` */
  text: string;
}

export const BITS: Record<Family, number> = { ipv4: 32, ipv6: 128 };
export const FAMILY_NAME: Record<Family, string> = { ipv4: 'IPv4', ipv6: 'IPv6' };
export const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

/** Parses what the schema has already accepted as an address, with or without a prefix length. */
export function parseIp(text: string): Ip {
  const family: Family = text.includes(':') ? 'ipv6' : 'ipv4';
  const address = family === 'ipv6' ? new Address6(text) : new Address4(text);
  const prefix = address.subnetMask;
  return {
    family,
    value: address.bigInt(),
    prefix,
    text: address.correctForm(),
    network: {
      family,
      first: address._startAddress(),
      last: address._endAddress(),
      prefix,
      text: `${address.startAddress().correctForm()}/${prefix}`,
    },
  };
}

/** An address or network of a family in its shortest form. */
function correctForm(family: Family, value: bigint): string {
  return (family === 'ipv6' ? Address6.fromBigInt(value) : Address4.fromBigInt(value)).correctForm();
}

/** Address `number` of a network, counted from 0, which is the network itself. */
export const addressNumber = (network: Network, number: bigint) => correctForm(network.family, network.first + number);

/** Network `number` of those with this prefix length that a network is made of, counted from 0. */
export const networkNumber = (network: Network, prefix: number, number: bigint) =>
  `${correctForm(network.family, network.first + (number << BigInt(BITS[network.family] - prefix)))}/${prefix}`;

export const contains = (network: Network, ip: { family: Family; value: bigint }) =>
  network.family === ip.family && network.first <= ip.value && ip.value <= network.last;

export const within = (outer: Network, inner: Network) =>
  outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last;

export const sameAddress = (a: Ip, b: Ip) => a.family === b.family && a.value === b.value;

/**
 * What an address is to its network when no host may have it, or null. A /31 and /127 (RFC 3021, RFC 6164) and a
 * single address have no such addresses.
 */
export function reservedRole(network: Network, ip: Ip): string | null {
  if (BITS[network.family] - network.prefix <= 1) return null;
  if (ip.value === network.first) {
    return ip.family === 'ipv4' ? 'the network address' : 'the subnet-router anycast address (RFC 4291)';
  }
  if (ip.family === 'ipv4' && ip.value === network.last) return 'the broadcast address';
  return null;
}

/** Why no machine can own an address, or null. */
export function unusableKind(ip: Ip): string | null {
  const address = ip.family === 'ipv6' ? new Address6(ip.text) : new Address4(ip.text);
  if (address.isMulticast()) return 'a multicast address';
  if (address.isLoopback()) return 'a loopback address';
  if (address.isLinkLocal()) return 'a link-local address';
  if (address.isUnspecified()) return 'the unspecified address';
  return null;
}

/**
 * Every pair of networks that overlap, outer first. Two networks are either nested or apart, so one pass over the
 * sorted list with the enclosing ones on a stack finds all of them.
 */
export function overlaps<T extends { network: Network }>(items: readonly T[]): { outer: T; inner: T }[] {
  const found: { outer: T; inner: T }[] = [];
  for (const family of FAMILIES) {
    const sorted = items
      .filter((item) => item.network.family === family)
      .sort((a, b) => compare(a.network.first, b.network.first) || a.network.prefix - b.network.prefix);
    const enclosing: T[] = [];
    for (const item of sorted) {
      while (enclosing.length > 0 && enclosing[enclosing.length - 1].network.last < item.network.first) enclosing.pop();
      for (const outer of enclosing) found.push({ outer, inner: item });
      enclosing.push(item);
    }
  }
  return found;
}

const compare = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0);

/** Sorts addresses: IPv4 first, then by number. */
export const byAddress = (a: Ip, b: Ip) =>
  BITS[a.family] - BITS[b.family] || compare(a.value, b.value) || a.prefix - b.prefix;

/** An address as it stands before a port: IPv6 in brackets. */
export const bracketed = (address: string): string => (address.includes(':') ? `[${address}]` : address);
