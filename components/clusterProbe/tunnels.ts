import { likelyCause } from '../proof/cause';
import type { ProofFinding } from '../proof/facts';
import type { Family } from '../plan/types';
import type { CalicoFacts, CalicoProbe } from './calicoFacts';
import { TUNNEL_DEVICES } from './calicoJudge';
import type { LayerSize } from './layers';
import { familyOf } from './states';

/**
 * The packets of pods without pods: each machine has an address of its own at its end of a tunnel, and what passes between
 * two of these passes between pods. For sites whose bundle has no image that a pod could be probed with.
 */

export interface TunnelWay {
  from: string;
  to: string;
  family: Family;
  /** Null: nothing wraps packets on this way, and the machines' own addresses are asked. */
  device: string | null;
  address: string;
}

/** Of packets as large as a pod's. */
export type TunnelFacts = Omit<TunnelWay, 'address'> & LayerSize;

/** Every way between two machines on which an address is known. */
export function tunnelWays(
  plan: Pick<CalicoProbe, 'encapsulation' | 'families' | 'subnets'>,
  nodes: CalicoFacts['nodes'],
  addresses: Record<string, string[]>,
): TunnelWay[] {
  const names = Object.keys(plan.subnets);
  return names.flatMap((from) =>
    names.flatMap((to) =>
      plan.families.flatMap((family): TunnelWay[] => {
        const { sameSubnet, crossSubnet } = plan.encapsulation;
        const kind = plan.subnets[from] === plan.subnets[to] ? sameSubnet : crossSubnet;
        const device = kind === 'none' ? null : TUNNEL_DEVICES[kind][family];
        const found = nodes[to];
        const known = device === null ? addresses[to] : found && 'devices' in found ? found.addresses?.[device] : [];
        const address = known?.find((one) => familyOf(one) === family);
        return from === to || address === undefined ? [] : [{ from, to, family, device, address }];
      }),
    ),
  );
}

/**
 * Where smaller packets pass, a full one that does not is the fault that this kit looks for. Where none do it may be a
 * filter for the machines' own packets, which says nothing of pods.
 */
export function judgeTunnels(facts: TunnelFacts[], severity: ProofFinding['severity']): ProofFinding[] {
  return facts.flatMap(({ from, to, family, device, wantedBytes, largestBytes }): ProofFinding[] => {
    const where = `${from} -> ${to}`;
    const way = device === null ? 'between the machines' : `through ${device}`;
    if (largestBytes === null) {
      const message = `${family}: no echo request is answered ${way}: the packet size of pods is not proved on this way`;
      return [{ probe: 'pod-mtu', severity: 'info', where, message }];
    }
    if (largestBytes >= wantedBytes) return [];
    const cause = likelyCause(wantedBytes, largestBytes);
    const message = `${family}: ${wantedBytes} does not pass ${way}, ${largestBytes} does: ${cause}`;
    return [{ probe: 'pod-mtu', severity, where, message }];
  });
}
