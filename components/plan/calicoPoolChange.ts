import { BLOCK_SIZE } from './calicoPools';
import type { CalicoPool } from './calicoTypes';
import { BITS, networkNumber, parseIp } from './ip';

/** How the pools of a running site may change. Calico takes any change of its objects, whatever becomes of pods. */

/**
 * Why pools cannot go from what runs to what is planned, one line each. Calico refuses to change some fields, and an
 * object that is deleted while pods have addresses of it leaves these to others.
 */
export function poolProblems(before: CalicoPool[], after: CalicoPool[]): string[] {
  return before.flatMap((old) => {
    const made = after.find(({ name }) => name === old.name);
    if (made === undefined) {
      // A family that the pods lose takes its pools along.
      if (old.disabled || after.every(({ family }) => family !== old.family)) return [];
      return [
        `pool ${old.name} (${old.cidr}) would go away while pods may have addresses of it, and these would lose their way between machines. ` +
          moveSteps(old),
      ];
    }
    const changed = (['cidr', 'blockSize'] as const).filter((key) => old[key] !== made[key]);
    if (changed.length === 0) return [];
    const what = changed.map((key) => `${key} ${old[key]} to ${made[key]}`).join(' and ');
    return [`pool ${old.name}: ${what} cannot be changed. ${moveSteps(old)}`];
  });
}

/** What becomes of pods, one line each. */
export function poolDisruptions(before: CalicoPool[], after: CalicoPool[]): string[] {
  return before.flatMap((old) => {
    const made = after.find(({ name }) => name === old.name);
    if (made === undefined) {
      return [
        `pool ${old.name} (${old.cidr}) goes away: a pod that still has an address of it loses its way between machines; ${stillThere(old)} must find none`,
      ];
    }
    if (!made.disabled || old.disabled) return [];
    return [
      `pool ${old.name} (${old.cidr}) is disabled: pods that have an address of it keep it until they are made anew`,
    ];
  });
}

/** Calico's own order: a new pool, no more addresses of the old one, its pods anew, and only then the old one away. */
function moveSteps(old: CalicoPool): string {
  return [
    'In two edits:',
    `  1. In network.calico.pools have ${entry(old)}, with what else it has there now, and beside it a pool with another name that takes its place. ` +
      'Both lie in network.podCidrs and share no address: where it has no room, widen it in the same edit' +
      `${widened(old)}. Then up, and drain one machine after another: pods that are made anew get addresses of the new pool.`,
    `  2. Once ${stillThere(old)} finds none, take ${old.name} out, and up.`,
  ].join('\n');
}

function entry({ name, cidr, blockSize, family }: CalicoPool): string {
  const size = blockSize === BLOCK_SIZE[family].initial ? '' : `, blockSize: ${blockSize}`;
  return `{name: ${name}, cidr: ${cidr}${size}, disabled: true}`;
}

/** The network that holds as much again, which is the least that a pool of this size needs beside it. */
function widened({ cidr }: CalicoPool): string {
  const { family, first, prefix } = parseIp(cidr).network;
  if (prefix === 0) return '';
  const all = { family, first: 0n, last: (1n << BigInt(BITS[family])) - 1n, prefix: 0, text: '' };
  return ` (${networkNumber(all, prefix - 1, first >> BigInt(BITS[family] - prefix + 1))} has as much again)`;
}

/** Pods of host networks have no address of a pool; those of the others are in the status. */
const stillThere = ({ cidr }: CalicoPool) => `a look through \`kubectl get pods -A -o wide\` for addresses of ${cidr}`;
