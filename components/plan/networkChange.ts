import type { CalicoPool } from './calicoTypes';
import { poolProblems } from './calicoPools';
import type { ClusterPlan } from './clusterTypes';
import type { MtuPlan } from './types';

/** What a change of the pods' network means for pods that run. */

export interface NetworkState {
  mtu: Pick<MtuPlan, 'routing' | 'wireguard' | 'podMtuBytes' | 'devices'>;
  pools: CalicoPool[];
}

/** Of a plan; the outputs of a stack have it, so that the next plan can be compared with what was built. */
export const networkState = ({ mtu, cluster }: { mtu: MtuPlan; cluster: ClusterPlan | null }) => ({
  mtu,
  pools: cluster?.calico?.pools ?? [],
});

export interface NetworkChange {
  /** What happens to what runs, and what keeps its old value until when. One line each. */
  disruptive: string[];
  /** What cannot be changed, with the way to get there. One line each. */
  refused: string[];
}

export function networkChange(site: string, before: NetworkState, after: NetworkState): NetworkChange {
  return { disruptive: disruptions(site, before, after), refused: poolProblems(before.pools, after.pools) };
}

function disruptions(site: string, before: NetworkState, after: NetworkState): string[] {
  const [old, made] = [tunnelOf(before.mtu), tunnelOf(after.mtu)];
  const [oldBytes, bytes] = [before.mtu.podMtuBytes, after.mtu.podMtuBytes];
  return [
    ...(old === made
      ? []
      : [
          `routing ${old} becomes ${made}: connections between machines break while calico-node goes from one to the next, and ` +
            'machines of the old and the new routing may not reach the pods of each other until all have it',
        ]),
    ...deviceChanges(before.mtu, after.mtu),
    ...(oldBytes === bytes
      ? []
      : [
          `pods: MTU ${oldBytes} becomes ${bytes} for new pods alone; those that run keep ${oldBytes} until they are made anew: ` +
            `sitewright rollout mtu ${site}`,
        ]),
    ...before.pools.flatMap((pool) => poolChange(pool, after.pools)),
  ];
}

const tunnelOf = ({ routing, wireguard }: NetworkState['mtu']) => `${routing}${wireguard ? ' with WireGuard' : ''}`;

/** Tunnel devices change at once; what has packets of the old size in it does not. */
function deviceChanges(before: NetworkState['mtu'], after: NetworkState['mtu']): string[] {
  const names = [...new Set([...before.devices, ...after.devices].map(({ name }) => name))].filter(
    (name) => name !== 'veth',
  );
  const of = (mtu: NetworkState['mtu'], name: string) => mtu.devices.find((device) => device.name === name)?.mtuBytes;
  return names.flatMap((name) => {
    const [old, made] = [of(before, name), of(after, name)];
    if (old === made) return [];
    if (made === undefined) return [`${name} goes away on every machine`];
    return [`${name}: MTU ${old ?? 'none yet'} becomes ${made} on every machine as soon as calico-node has it`];
  });
}

function poolChange(pool: CalicoPool, after: CalicoPool[]): string[] {
  const made = after.find(({ name }) => name === pool.name);
  if (made !== undefined) return [];
  return [
    `pool ${pool.name} (${pool.cidr}) goes away: pods that have an address of it keep it, and lose their way between machines; move them first`,
  ];
}
