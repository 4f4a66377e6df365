import { table } from './renderTable';
import type { NodePlan, SitePlan } from './types';
import type { VspherePlacementPlan, VspherePlan } from './vsphereTypes';

/** Which nodes are or can be on one host, and what that means for the packets between them. */
export function sharedHosts({ nodes, mtu, machines: { vsphere } }: SitePlan): string {
  const meaning = [
    'Packets between them never meet a wire: TCP segments of up to 64 KB arrive unsplit. With LRO off on every NIC that',
    `forwards this is harmless; the pod MTU stays ${mtu.podMtuBytes}.`,
  ];
  if (vsphere !== null) return onVsphere(nodes, vsphere, meaning);
  const byHost = new Map<string, string[]>();
  for (const node of nodes) {
    if (!node.kvm || node.sharesHostWith.length === 0) continue;
    byHost.set(node.kvm.hypervisor, [...(byHost.get(node.kvm.hypervisor) ?? []), node.name]);
  }
  if (byHost.size === 0) {
    return nodes.some((node) => node.kvm) ? 'None.' : 'Unknown: the machines were there before the kit.';
  }
  return [
    table(
      ['Hypervisor', 'Nodes'],
      [...byHost].map(([host, names]) => [host, names.join(', ')]),
      [22, 96],
    ),
    ...meaning,
  ].join('\n');
}

const place = ({ datacenter, cluster, host, hostGroup }: VspherePlacementPlan) =>
  host !== null
    ? `${datacenter}: host ${host}`
    : `${datacenter}: cluster ${cluster}${hostGroup === null ? '' : `, hosts ${hostGroup}`}`;

/** vCenter decides, and decides anew while the machines run: what is not kept apart can meet at any time. */
function onVsphere(nodes: NodePlan[], vsphere: VspherePlan, meaning: string[]): string {
  const byPlace = new Map<string, string[]>();
  for (const { name, vsphere: machine } of nodes) {
    const placement = vsphere.placements.find((one) => one.name === machine?.placement);
    if (placement === undefined) continue;
    byPlace.set(place(placement), [...(byPlace.get(place(placement)) ?? []), name]);
  }
  const rules = vsphere.antiAffinity.map(
    ({ datacenter, cluster, machines, isRequired }) =>
      `${machines.join(', ')} are kept apart in ${datacenter}, cluster ${cluster}: ` +
      (isRequired ? 'a rule that must hold.' : 'a rule that vCenter breaks where it has too few hosts.'),
  );
  // Each pair is in the lists of both its nodes.
  const pairs = nodes.reduce((sum, { sharesHostWith }) => sum + sharesHostWith.length, 0) / 2;
  const all = (nodes.length * (nodes.length - 1)) / 2;
  return [
    table(
      ['Can meet on a host of', 'Nodes'],
      [...byPlace].map(([where, names]) => [where, names.join(', ')]),
      [34, 84],
    ),
    ...rules,
    `${pairs} of ${all} pairs can be on one host, and vMotion changes which while they run.`,
    ...meaning,
  ].join('\n');
}
