import { kvmSite, node } from './site';

/** A site whose nodes, network and other keys can be changed one by one. */
export interface ClusterSiteChanges {
  nodes?: Record<string, unknown>[];
  kubernetes?: object;
  network?: object;
  machines?: Record<string, unknown>;
  more?: Record<string, unknown>;
}

export const controlPlanes = (count: number) =>
  Array.from({ length: count }, (_, index) => node(`cp${index + 1}`, 1, 11 + index, { role: 'control-plane' }));

/** Three control-plane machines behind a virtual address and two workers, released programs. */
export function clusterSite({ nodes, kubernetes, network, machines, more }: ClusterSiteChanges = {}) {
  const workers = [
    node('w1', 1, 21, { zone: 'rack1', labels: { 'acme.example/disk': 'ssd' } }),
    node('w2', 1, 22, { taints: [{ key: 'dedicated', value: 'gpu', effect: 'NoSchedule' }] }),
  ];
  const kvm = {
    hypervisors: [{ name: 'hv1', connection: 'local' }],
    image: 'lab',
    network: { bridge: 'br0' },
    antiAffinity: 'off',
  };
  return kvmSite(
    nodes ?? [...controlPlanes(3), ...workers],
    { kvm, ...machines },
    {
      kubernetes: { version: '1.36.1', vip: '192.0.1.10', ...kubernetes },
      kubeProxy: { mode: 'nftables' },
      network: network ?? {},
      ...more,
    },
  );
}

/** One control-plane machine and one worker. */
export const smallCluster = (changes: ClusterSiteChanges = {}) =>
  clusterSite({
    nodes: [...controlPlanes(1), node('w1', 1, 21)],
    ...changes,
    kubernetes: { vip: undefined, ...changes.kubernetes },
  });
