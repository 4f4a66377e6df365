import type { Family, NodePlan } from '../../components/plan';
import type { SizeFacts } from '../../components/proof/facts';
import type { Dated, Evidence } from './evidence';
import { groupBy } from './groupBy';

/** One direction between two machines or their pods, in one family of addresses. Sizes are those of whole IP packets. */
export interface Path {
  from: string;
  to: string;
  family: Family;
  wantedBytes: number;
  /** Largest that arrives whole; null: none does. */
  largestBytes: number | null;
  passes: boolean;
}

/** One kind of packets that were sent between the machines. */
export interface Layer {
  title: string;
  about: string;
  source: Omit<Dated<unknown>, 'found'>;
  paths: Path[];
}

/** The kinds that were measured, from the wire up. */
export function layersOf({ pairs, cluster }: Evidence): Layer[] {
  const directions = (pairs?.found ?? []).flatMap(({ facts }) => facts.directions);
  const pods = cluster?.found.facts.pods.measured ?? [];
  const layers: (Layer | null)[] = [
    pairs && {
      title: 'Between machines',
      about: 'Packets of the size of the underlay, which may not be split on their way.',
      source: pairs,
      paths: directions.map(({ from, to, family, underlay }) => ({ from, to, family, ...sizeOf(underlay) })),
    },
    pairs && {
      title: 'Between pods, before there is a cluster',
      about: 'Packets of the size of a pod, in the encapsulation that the plan has between the two machines.',
      source: pairs,
      paths: directions.flatMap(({ from, to, family, tunnel }) =>
        'skipped' in tunnel ? [] : [{ from, to, family, ...sizeOf(tunnel) }],
      ),
    },
    cluster && {
      title: 'Between pods of the cluster',
      about: 'Packets of the size of a pod, from a pod on one machine to a pod on the other.',
      source: cluster,
      paths: pods.flatMap(({ node, measured }) =>
        (measured?.sizes ?? []).map(({ node: to, family, full, above, largestBytes }) => ({
          ...{ from: node, to, family, wantedBytes: full.sizeBytes, largestBytes },
          passes: full.answered > 0 && above.answered === 0,
        })),
      ),
    },
  ];
  return layers.filter((layer) => layer !== null).filter(({ paths }) => paths.length > 0);
}

const sizeOf = ({ wantedBytes, largestBytes, arrived, fragments }: SizeFacts) => ({
  ...{ wantedBytes, largestBytes },
  passes: arrived > 0 && fragments === 0,
});

export interface Group {
  name: string;
  nodes: NodePlan[];
}

/** As many rows and columns a table may have that a person is to read. */
const MOST_GROUPS = 24;

/** Machines by what parts them best: zone, then subnet, then host; all of them together where nothing does. */
export function groupsOf(nodes: readonly NodePlan[]): {
  by: 'zone' | 'subnet' | 'host' | 'placement' | 'site';
  groups: Group[];
} {
  for (const [by, nameOf] of PARTS) {
    const groups = groupBy(nodes, nameOf);
    if (groups.size < 2 || groups.size > MOST_GROUPS) continue;
    return {
      by: by === 'host' ? hostWord(nodes) : by,
      groups: [...groups].map(([name, members]) => ({ name, nodes: members })),
    };
  }
  return { by: 'site', groups: [{ name: 'all machines', nodes: [...nodes] }] };
}

const PARTS: [by: 'zone' | 'subnet' | 'host', name: (node: NodePlan) => string][] = [
  ['zone', ({ cluster }) => cluster?.labels['topology.kubernetes.io/zone'] ?? 'no zone'],
  ['subnet', ({ subnet }) => subnet],
  ['host', (node) => hostOf(node) ?? 'unknown'],
];

/** What `hostOf` names: a placement may be a cluster of hosts, and only vCenter knows which of them a machine is on. */
export const hostWord = (nodes: readonly NodePlan[]): 'host' | 'placement' =>
  nodes.some(({ vsphere }) => vsphere !== null) ? 'placement' : 'host';

/** Hypervisor, or placement in a vCenter; null for a machine that was there before the kit. */
export const hostOf = ({ kvm, vsphere }: NodePlan): string | null => kvm?.hypervisor ?? vsphere?.placement ?? null;
