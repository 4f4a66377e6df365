import { poolDisruptions, poolProblems } from './calicoPoolChange';
import type { CalicoPlan, CalicoPool } from './calicoTypes';
import type { ClusterPlan, EndpointPlan } from './clusterTypes';
import type { MtuPlan } from './types';

/** What a change of the pods' network, or of where the API is, means for what runs. */

export interface NetworkState {
  mtu: Pick<MtuPlan, 'routing' | 'wireguard' | 'podMtuBytes' | 'devices'>;
  pools: CalicoPool[];
  /** Null: the pods have no Calico. Absent in what a kit has built that did not tell it. */
  calico?: { install: CalicoPlan['install']; apiServer: boolean } | null;
  /** Null: no cluster. Absent in what a kit has built that did not tell it. */
  endpoint?: Pick<EndpointPlan, 'name' | 'port'> | null;
}

/** Of a plan; the outputs of a stack have it, so that the next plan can be compared with what was built. */
export const networkState = ({ mtu, cluster }: { mtu: MtuPlan; cluster: ClusterPlan | null }) => {
  const calico = cluster?.calico ?? null;
  return {
    mtu,
    pools: calico?.pools ?? [],
    endpoint: cluster === null ? null : { name: cluster.endpoint.name, port: cluster.endpoint.port },
    calico:
      calico === null
        ? null
        : { install: calico.install, apiServer: calico.operator.some(({ kind }) => kind === 'APIServer') },
  };
};

export interface NetworkChange {
  /** What happens to what runs, and what keeps its old value until when. One line each. */
  disruptive: string[];
  /** What cannot be changed, with the way to get there. One line each. */
  refused: string[];
}

export function networkChange(site: string, before: NetworkState, after: NetworkState): NetworkChange {
  return {
    disruptive: disruptions(site, before, after),
    refused: [
      ...installProblems(before, after),
      ...operatorProblems(before, after),
      ...poolProblems(before.pools, after.pools),
    ],
  };
}

/** The kubeconfigs of the machines hold name and port; the address behind a name of the kit's own is theirs to follow. */
export function endpointProblems(
  { endpoint: before }: Pick<NetworkState, 'endpoint'>,
  { endpoint: after }: Pick<NetworkState, 'endpoint'>,
): string[] {
  if (before === undefined || before === null || after === undefined || after === null) return [];
  if (before.name === after.name && before.port === after.port) return [];
  const [old, made] = [before, after].map(({ name, port }) => `${name}:${port}`);
  return [
    `kubernetes.endpoint: ${old} cannot become ${made} on a site that runs: kubelets and kubeconfigs of its machines hold ${old}, and would lose the ` +
      `API. Set it back, and have ${before.name} lead where the API is to be; kubernetes.vip needs no other name`,
  ];
}

/**
 * Calico's operator takes a cluster of the manifest over, and nothing leads back. What it takes are resources of the stack:
 * the kit would delete them at the same time, IPPools under running pods among them.
 */
function installProblems({ calico: before }: NetworkState, { calico: after }: NetworkState): string[] {
  if (before === undefined || before === null || after === undefined || after === null) return [];
  if (before.install === after.install) return [];
  const why =
    after.install === 'operator'
      ? "up would delete calico-node and the IPPools of the manifest, and running pods would lose their network. Calico's own migration has the " +
        'operator take these objects over, and they are resources of this stack, so the kit cannot follow it'
      : 'up would delete the Installation, and with it the calico-node of every machine; Calico has no migration to the manifest';
  return [
    `network.calico.install: ${before.install} cannot become ${after.install} on a site that runs: ${why}. Set it back to ${before.install}; for ` +
      `${after.install}, build a site of its own with it and move what runs there`,
  ];
}

/** The operator makes the first pools itself, and writes to them later through Calico's own API server alone. */
function operatorProblems(before: NetworkState, after: NetworkState): string[] {
  if (after.calico?.install !== 'operator' || after.calico.apiServer) return [];
  const texts = (pools: CalicoPool[]) => pools.map(poolText).sort().join('\n');
  if (texts(before.pools) === texts(after.pools)) return [];
  return [
    "pools change, and Calico's operator changes those that are there through Calico's own API server alone: " +
      'set network.calico.apiServer to true in the same edit',
  ];
}

/** A kit that could not disable pools has told nothing of it. */
const poolText = ({ name, cidr, blockSize, ipip, vxlan, natOutgoing, disabled, nodeSelector }: CalicoPool) =>
  JSON.stringify([name, cidr, blockSize, ipip, vxlan, natOutgoing, Boolean(disabled), nodeSelector]);

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
    ...poolDisruptions(before.pools, after.pools),
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
