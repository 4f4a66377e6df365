/** Arithmetic of packet sizes on a path that carries less than it should: the search, and what usually lies behind it. */

/**
 * Sizes to try next when `passesBytes` is known to pass and `failsBytes` not to: up to `ways` of them, evenly spread,
 * ascending. Empty when the two are neighbours. With one way this is binary search; more ways ask more of one round,
 * and a round costs more than its packets.
 */
export function nextSizes(passesBytes: number, failsBytes: number, ways: number): number[] {
  const gap = failsBytes - passesBytes;
  const count = Math.min(ways, gap - 1);
  return Array.from(
    { length: Math.max(count, 0) },
    (_, index) => passesBytes + Math.floor(((index + 1) * gap) / (count + 1)),
  );
}

/**
 * The bounds after a round: the largest size that arrived below the smallest larger one that did not. A path with random
 * loss can miss a size below one that passes; the larger one then counts, as it did pass.
 */
export function narrow(
  bounds: { passesBytes: number; failsBytes: number },
  tried: number[],
  arrived: ReadonlySet<number>,
): { passesBytes: number; failsBytes: number } {
  const passesBytes = Math.max(bounds.passesBytes, ...tried.filter((size) => arrived.has(size)));
  const failsBytes = Math.min(bounds.failsBytes, ...tried.filter((size) => size > passesBytes));
  return { passesBytes, failsBytes };
}

/**
 * Bytes that something in between takes, by who usually takes them. Sources: RFC 2784 (GRE 4 + 20), RFC 2003 (IP-in-IP 20),
 * RFC 2516 (PPPoE 8), RFC 7348 (VXLAN 8 + UDP 8 + IP 20 + Ethernet 14 = 50; + 20 over IPv6), RFC 8926 (GENEVE, the same
 * without options), WireGuard's protocol (16 + 16 + UDP 8 + IP 20 = 60; over IPv6 80), IEEE 802.1Q (4), RFC 2473 (40).
 */
const OVERHEADS: ReadonlyMap<number, string> = new Map([
  [4, 'a VLAN tag or an MPLS label does'],
  [8, 'PPPoE does'],
  [20, 'IP-in-IP does'],
  [24, 'GRE does'],
  [28, 'GRE with a key does'],
  [38, 'GRE that carries Ethernet does'],
  [40, 'a tunnel over IPv6 does'],
  [42, 'GRE with a key that carries Ethernet (NVGRE) does'],
  [44, 'GRE over IPv6 does'],
  [50, 'VXLAN does'],
  [54, 'VXLAN with a VLAN tag inside does'],
  [58, 'GENEVE with one option does'],
  [60, 'WireGuard does'],
  [70, 'VXLAN over IPv6 does'],
  [80, 'WireGuard over IPv6 does'],
]);

/** One clause for a person: why a path that should carry `wantedBytes` may carry `largestBytes` only. */
export function likelyCause(wantedBytes: number, largestBytes: number): string {
  const missing = wantedBytes - largestBytes;
  const known = OVERHEADS.get(missing);
  if (known !== undefined) return `something between them adds ${missing} bytes, as ${known}`;
  // 1500 is what every port has that nobody set: on a jumbo path it is no tunnel.
  if (largestBytes === 1500) return 'a switch, bridge or host between them was left at the default of 1500';
  if (missing > 44 && missing <= 84)
    return `something between them takes ${missing} bytes; IPsec takes 50 to 80 by cipher`;
  return `a device between them has an MTU of ${largestBytes}`;
}
