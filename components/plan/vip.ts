import { createHash } from 'node:crypto';
import type { SiteSpec } from '../spec/schema';
import type { Addressing } from './address';
import type { VipPlan } from './clusterTypes';
import type { Findings } from './findings';
import { parseIp } from './ip';

/** keepalived and haproxy in front of the API servers: who holds the virtual address, and how that is found out. */

/**
 * A node that is silent for three advertisements has lost the address (RFC 9568): some 4 seconds. Emulated machines stand
 * still for longer than that, and must not lose the address each time.
 */
const TIMING = { advertSeconds: 1, checkSeconds: 2 };
const EMULATION_TIMING = { advertSeconds: 5, checkSeconds: 10 };

/** Null without `kubernetes.vip`. */
export function planVip(spec: SiteSpec, addressing: Addressing, findings: Findings): VipPlan | null {
  const { vip, vrid } = spec.kubernetes;
  if (vip === undefined) {
    if (vrid !== undefined) {
      findings.error(
        ['kubernetes', 'vrid'],
        vrid,
        'kubernetes.vrid is the number of a virtual address, and there is none: set kubernetes.vip too, or leave it out',
      );
    }
    return null;
  }
  const { text, family } = parseIp(vip);
  return {
    address: text,
    vrid: vrid ?? vridOf(spec.name),
    members: addressing.nodes.flatMap(({ ips }, index) => {
      const { name, role, state } = spec.machines.nodes[index];
      const own = ips.find((ip) => ip.family === family);
      return role === 'control-plane' && state !== 'leaving' && own ? [{ node: name, address: own.text }] : [];
    }),
    ...(spec.environment === 'lab' ? EMULATION_TIMING : TIMING),
  };
}

/** Sites that share a network should differ, and a site must not change: by its name, 1 to 255. */
const vridOf = (site: string) => (createHash('sha256').update(`vrid/${site}`).digest().readUInt32BE() % 255) + 1;
