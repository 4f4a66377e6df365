import { madeFrom } from '../../components/machines/kvm';
import { madeFrom as madeOnVsphereFrom, VIRTUAL_MACHINE } from '../../components/machines/vsphere';
import type { NodePlan, SitePlan } from '../../components/plan';
import { badInput } from './errors';
import { machineResource, nameOf } from './resources';
import type { SiteStack } from './stack';

/**
 * Members of a living cluster, as the state knows them: the engine deletes what is no longer in the site file and cannot
 * know what that means to a cluster.
 */

interface StateResource {
  urn: string;
  type: string;
  protect?: boolean;
  retainOnDelete?: boolean;
  inputs?: { triggers?: unknown; replaceTrigger?: unknown; delete?: unknown };
}

export interface SiteState {
  deployment?: {
    resources?: StateResource[];
    /** What a killed run was in the middle of. */
    pending_operations?: { type: string; resource: StateResource }[];
  };
}

const resourcesOf = ({ deployment }: SiteState): StateResource[] => deployment?.resources ?? [];

interface Member {
  name: string;
  role: NodePlan['role'];
}

/**
 * Nodes that were made members and have not left. One that joins again has both marks, and one whose join was cut off may
 * be a member as well: in doubt it is one.
 */
export function membersOf(state: SiteState, site: string): Member[] {
  const begun = (state.deployment?.pending_operations ?? [])
    .filter(({ type }) => type === 'creating')
    .map(({ resource }) => resource);
  const roles = new Map<string, NodePlan['role']>();
  for (const { urn } of [...resourcesOf(state), ...begun]) {
    const found = partsOf(nameOf(urn), site, ['join', 'control-plane']);
    if (found === null) continue;
    const isControlPlane = found.part === 'control-plane' || roles.get(found.machine) === 'control-plane';
    roles.set(found.machine, isControlPlane ? 'control-plane' : 'worker');
  }
  return [...roles].map(([name, role]) => ({ name, role }));
}

function partsOf(name: string, site: string, parts: string[]): { machine: string; part: string } | null {
  const prefix = `${site}-cluster-`;
  const part = parts.find((one) => name.endsWith(`-${one}`));
  if (part === undefined || !name.startsWith(prefix)) return null;
  const machine = name.slice(prefix.length, -part.length - 1);
  return machine === '' ? null : { machine, part };
}

/** Throws, before anything is changed, where the site file would take a machine from under a member of the cluster. */
export function refuseLostMembers(state: SiteState, plan: SitePlan): void {
  const members = membersOf(state, plan.site);
  const problems =
    plan.cluster === null && members.length > 0
      ? [
          `kubernetes.version is gone from the site file, and ${members.map(({ name }) => name).join(', ')} are a cluster: ` +
            `put it back; or remove the site with sitewright destroy ${plan.site}`,
        ]
      : members.flatMap((member) => problemOf(member, state, plan));
  problems.push(...secondCluster(members, plan), ...neverMade(state, plan));
  if (problems.length > 0) throw badInput(`${problems.join('\n')}\nNothing was changed.`);
}

function problemOf({ name, role }: Member, state: SiteState, plan: SitePlan): string[] {
  if (plan.dead.some((machine) => machine.name === name)) return [];
  const leave = `state: leaving, then sitewright up ${plan.site}`;
  const node = plan.nodes.find((one) => one.name === name);
  if (node === undefined) {
    return [
      `${name} is no longer in the site file, and it is a member of the cluster: put its lines back with ${leave}, and ` +
        'delete them when it has left; or, if the machine is lost and never starts again, with state: dead',
    ];
  }
  if (node.role !== role) {
    return [
      `${name} is a ${role} node of the cluster and would become a ${node.role} one: give it ${leave}, and change its role when it has left`,
    ];
  }
  const changes = remaking(node, state, plan);
  if (changes.length === 0) return [];
  return [
    `${name} would be made anew with nothing on it (${changes.join('; ')}), and it is a member of the cluster: give it ${leave}, ` +
      'and make the change when it has left',
  ];
}

/** Why the engine would delete the machine of a node, or delete it and make it again; empty where it would not. */
function remaking(node: NodePlan, state: SiteState, plan: SitePlan): string[] {
  const owner = resourcesOf(state).find(({ urn }) => nameOf(urn) === machineResource(plan.site, node.name));
  if (owner === undefined) return [];
  const { kvm, vsphere } = plan.machines;
  if (vsphere !== null && owner.type === VIRTUAL_MACHINE) {
    const was = owner.inputs?.replaceTrigger;
    return changed(typeof was === 'string' ? was.split('; ') : [], madeOnVsphereFrom(node, vsphere));
  }
  const hypervisor = kvm?.hypervisors.find(({ name }) => name === node.kvm?.hypervisor);
  if (hypervisor === undefined) return [`the kit made it, and machines.provider is ${plan.machines.provider} now`];
  if ((owner.type === 'command:local:Command') !== (hypervisor.connection === 'local')) {
    return [`another kind of connection of hypervisor ${hypervisor.name}`];
  }
  const before = Array.isArray(owner.inputs?.triggers) ? (owner.inputs.triggers as unknown[]) : [];
  return changed(before, madeFrom(node, hypervisor));
}

function changed(before: unknown[], after: string[]): string[] {
  return after
    .map((now, index) => ({ now, was: before[index] }))
    .filter(({ now, was }) => typeof was === 'string' && was !== now)
    .map(({ now, was }) => `${String(was)} becomes ${now}`);
}

/** The first control-plane machine that stays begins the cluster where it is no member: beside a living one it must be. */
function secondCluster(members: Member[], plan: SitePlan): string[] {
  const first = plan.nodes.find(({ cluster }) => cluster?.part === 'init');
  const living = members.filter(
    ({ name, role }) => role === 'control-plane' && plan.nodes.some((node) => node.name === name),
  );
  if (first === undefined || living.length === 0 || members.some(({ name }) => name === first.name)) return [];
  return [
    `${first.name} would begin a second cluster, for it comes first among the control-plane machines that stay and is no member ` +
      `yet: keep ${living[0].name} active and before it until it has joined`,
  ];
}

function neverMade(state: SiteState, plan: SitePlan): string[] {
  const names = new Set(resourcesOf(state).map(({ urn }) => nameOf(urn)));
  return plan.dead
    .filter(({ name }) => !names.has(machineResource(plan.site, name)) && !names.has(`${plan.site}-${name}-prepare`))
    .filter(({ name }) => !names.has(`${plan.site}-cluster-${name}-leave`))
    .map(({ name }) => `${name} is declared dead and the state of ${plan.site} has no such machine: delete its lines`);
}

/**
 * What was done to a machine of somebody else is undone over SSH where its lines are deleted, and a lost one does not answer:
 * its resources are only forgotten. The engine has no other way to be told than its state.
 */
export async function forgetLostMachines(stack: SiteStack, plan: SitePlan): Promise<void> {
  if (plan.machines.provider !== 'existing' || plan.dead.length === 0) return;
  const state = JSON.parse(await stack.exportState()) as SiteState;
  if (!retainLost(state, plan)) return;
  await stack.importState(JSON.stringify(state));
}

/** Whether the state was changed. */
export function retainLost(state: SiteState, plan: Pick<SitePlan, 'site' | 'dead'>): boolean {
  const undone = resourcesOf(state).filter(
    ({ urn, inputs, retainOnDelete }) =>
      inputs?.delete !== undefined &&
      retainOnDelete !== true &&
      plan.dead.some(({ name }) => isOf(nameOf(urn), plan.site, name)),
  );
  for (const resource of undone) {
    resource.retainOnDelete = true;
    resource.protect = false;
  }
  return undone.length > 0;
}

/** Names of resources are keyed by machine: in the middle, or at the end. */
const isOf = (name: string, site: string, machine: string) =>
  [`${site}-${machine}-prepare`, `${site}-cluster-${machine}-runtime`].includes(name) ||
  (name.startsWith(`${site}-addons-`) && name.endsWith(`-${machine}`)) ||
  name === `${site}-machines-${machine}-bundle`;

/** Machines whose node has left: what the engine protects of them may go with their lines. */
export function partedResources(state: SiteState, { site }: Pick<SitePlan, 'site'>): string[] {
  const members = memberNames(state, site);
  const parted = resourcesOf(state).flatMap(({ urn }) => partsOf(nameOf(urn), site, ['leave'])?.machine ?? []);
  return guardedResources(
    state,
    site,
    parted.filter((name) => !members.has(name)),
  );
}

/**
 * Workers that an `up` which failed could not make members: what the engine protects of them since then may be made anew or go.
 * What it protected before stays: a refusal of the engine can take the mark of a member out of the state. So does a
 * control-plane machine: one whose join failed may be a member of etcd all the same.
 */
export function unjoinedResources(
  before: SiteState,
  after: SiteState,
  { site, nodes }: Pick<SitePlan, 'site' | 'nodes'>,
): string[] {
  const members = memberNames(after, site);
  const workers = nodes.filter(({ role, name }) => role === 'worker' && !members.has(name)).map(({ name }) => name);
  const earlier = new Set(guardedResources(before, site, workers));
  return guardedResources(after, site, workers).filter((urn) => !earlier.has(urn));
}

const memberNames = (state: SiteState, site: string) => new Set(membersOf(state, site).map(({ name }) => name));

function guardedResources(state: SiteState, site: string, machines: string[]): string[] {
  const names = new Set(machines.flatMap((name) => [machineResource(site, name), `${site}-cluster-${name}-runtime`]));
  return resourcesOf(state)
    .filter(({ urn, protect }) => protect === true && names.has(nameOf(urn)))
    .map(({ urn }) => urn);
}
