import type { SiteSpec } from '../spec/schema';
import type { Findings } from './findings';
import { parseIp } from './ip';
import { homeOf, planSsh } from './machines';
import type { DeadMachinePlan, Finding } from './types';

/** Machines that come to a cluster, leave it, or are lost to it. */

type Node = SiteSpec['machines']['nodes'][number];

const isControlPlane = ({ role }: Node) => role === 'control-plane';

/** The same site without its dead machines: no other part of the plan knows that there are any. */
export interface Living {
  spec: SiteSpec;
  /** A finding about the living, at its place in the site file. */
  placed: (finding: Finding) => Finding;
}

export function living(spec: SiteSpec): Living {
  const { nodes } = spec.machines;
  const places = nodes.flatMap(({ state }, index) => (state === 'dead' ? [] : [index]));
  const placed = (finding: Finding): Finding => {
    const [machines, list, index, ...rest] = finding.path;
    if (machines !== 'machines' || list !== 'nodes' || typeof index !== 'number') return finding;
    return { ...finding, path: [machines, list, places[index], ...rest] };
  };
  return { spec: { ...spec, machines: { ...spec.machines, nodes: places.map((index) => nodes[index]) } }, placed };
}

/** @param spec with its dead machines. */
export function planDead(spec: SiteSpec, findings: Findings): DeadMachinePlan[] {
  checkStates(spec, findings);
  const { nodes } = spec.machines;
  return nodes.flatMap((node, index): DeadMachinePlan[] => {
    if (node.state !== 'dead') return [];
    const { name, role } = node;
    return [
      {
        name,
        role,
        addresses: node.addresses.map((address) => parseIp(address).text),
        ssh: planSsh(spec, node, ['machines', 'nodes', index], findings),
        hypervisor: homeOf(node, index, spec, findings),
      },
    ];
  });
}

function checkStates(spec: SiteSpec, findings: Findings): void {
  const { nodes } = spec.machines;
  const at = (node: Node) => ['machines', 'nodes', nodes.indexOf(node), 'state'];
  const parting = nodes.filter(({ state }) => state !== 'active');
  if (spec.kubernetes.version === undefined) {
    for (const node of parting) {
      findings.error(
        at(node),
        node.state,
        `${node.name} is in no cluster, for the site names no kubernetes.version: leave state out, or delete the lines of a machine that is not wanted`,
      );
    }
    return;
  }
  for (const node of nodes.filter(({ state }) => state === 'dead')) {
    if (!nodes.some((other) => other !== node && other.name === node.name)) continue;
    findings.error(
      at(node),
      node.state,
      `${node.name} is dead and there is another machine of that name, which would be taken out of the cluster in its place: give the new one a name of its own`,
    );
  }
  checkCount(nodes.filter(isControlPlane), findings);
  checkQuorum(nodes.filter(isControlPlane), at, findings);
}

const COUNTS = [1, 3, 5];

/** While machines leave, their number is one on the way to another. */
function checkCount(members: Node[], findings: Findings): void {
  const active = members.filter(({ state }) => state === 'active').length;
  const isOnTheWay = active < members.length && active <= Math.max(...COUNTS);
  // None at all is a finding of the machines, with or without a cluster.
  if (members.length === 0 || COUNTS.includes(members.length) || isOnTheWay) return;
  const { length: count } = members;
  const isEven = count % 2 === 0;
  findings.error(
    ['machines', 'nodes'],
    undefined,
    `${count} control-plane machines: etcd needs a majority, so a cluster has 1, 3 or 5; ` +
      (isEven ? `${count} survive no more failures than ${count - 1}` : 'more than 5 only slow it down') +
      (isEven ? '. On the way down, the lines of one that has left go in the edit that lets the next one leave' : ''),
  );
}

/**
 * Whether etcd keeps its majority while the machines go one after another. A living member gives its consent to its own
 * removal, so that two become one; a dead one counts against the majority until it is out.
 */
function checkQuorum(members: Node[], at: (node: Node) => (string | number)[], findings: Findings): void {
  const [active, leaving, dead] = (['active', 'leaving', 'dead'] as const).map((wanted) =>
    members.filter(({ state }) => state === wanted),
  );
  const parting = [...leaving, ...dead];
  if (parting.length === 0) return;
  const last = parting[parting.length - 1];
  const refuse = (message: string) => findings.error(at(last), last.state, message);
  const all = `the ${members.length} control-plane machines of the site file`;
  const majority = Math.floor(members.length / 2) + 1;
  if (active.length === 0) {
    refuse(
      members.length === 1
        ? `${last.name} is the only control-plane machine, and the cluster ends without it: add another one first, or remove the site with sitewright destroy`
        : `none of ${all} stays: leave at least one active`,
    );
  } else if (active.length + leaving.length < majority) {
    refuse(
      `${dead.length} of ${all} are dead, so etcd has no majority left that could take them out: restore etcd from a snapshot first`,
    );
  } else if (active.length < majority && !(members.length === 2 && leaving.length === 1)) {
    refuse(
      `${active.length} of ${all} would stay, and etcd needs a majority of ${majority} at every moment: let one leave at a time; ` +
        'once it has left, delete its lines in the edit that lets the next one leave, or add a machine that takes its place',
    );
  }
}
