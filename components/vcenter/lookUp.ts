import type { VsphereIds } from '../machines/vsphere';
import type { SitePlan } from '../plan/types';
import { VcenterError } from './errors';
import { hostGroupProblems } from './hostGroups';
import { Inventory, type Entity } from './inventory';
import { findItem, type FoundItem } from './library';
import type { Credentials } from './login';
import { storagePolicies } from './policies';
import { retrieveOne } from './properties';
import { resolveNames, type Resolved } from './resolve';
import { attribute, childNodes, children, referenceOf, textAt, textOf, VcenterSession } from './soap';
import type { VcenterTrust } from './trust';

/** Names or sizes of a site that do not fit what its vCenter has. One line a problem. */
export class PlacementError extends Error {
  constructor(readonly problems: string[]) {
    super(problems.join('\n'));
    this.name = 'PlacementError';
  }
}

export interface LookedUp {
  ids: VsphereIds;
  /** What is worth knowing and stops nothing. */
  warnings: string[];
}

/**
 * Finds everything that a plan names on its vCenter. Reads only.
 * @throws PlacementError with all that does not fit; VcenterError where the vCenter cannot be asked
 */
export async function lookUp(plan: SitePlan, credentials: Credentials): Promise<LookedUp> {
  const session = await VcenterSession.open(trustOf(plan), credentials);
  try {
    const { name, library } = plan.machines.vsphere!.template;
    const item = library === null ? null : await findItem(session.trust, credentials, { name, library });
    const { ids, template, hosts, problems } = await resolved(session, plan, item);
    if (template !== null) problems.push(...(await templateProblems(session, template, plan)));
    if (ids === null || problems.length > 0)
      throw new PlacementError(problems.map((problem) => `${session.server}: ${problem}`));
    return { ids, warnings: await hostsWithLro(session, hosts) };
  } finally {
    await session.end();
  }
}

/** What the names of a plan stand for; `item` as in `Elsewhere`. */
export async function resolved(
  session: VcenterSession,
  plan: SitePlan,
  item: FoundItem | null,
): Promise<Resolved & { inventory: Inventory }> {
  const vsphere = plan.machines.vsphere!;
  const inventory = await Inventory.read(session);
  const usesPolicies = vsphere.placements.some((one) => (one.storagePolicy ?? one.etcdStoragePolicy) !== null);
  const policies = usesPolicies ? await storagePolicies(session) : new Map<string, string>();
  const found = resolveNames(inventory, plan, { item, policies });
  found.problems.push(...(await hostGroupProblems(session, inventory, vsphere, found.clusters)));
  return { ...found, inventory };
}

export const trustOf = ({ machines }: Pick<SitePlan, 'machines'>): VcenterTrust => {
  const { server, caFile, thumbprint } = machines.vsphere!;
  return { server, caFile, thumbprint };
};

/** A clone has the disks of its template, and a disk never shrinks. */
async function templateProblems(session: VcenterSession, template: Entity, { nodes }: SitePlan): Promise<string[]> {
  const values = await retrieveOne(session, { type: template.type, id: template.id }, ['config.hardware.device']);
  const devices = values.get('config.hardware.device');
  const disks = (
    devices === undefined || typeof devices === 'string' ? [] : childNodes(devices, 'VirtualDevice')
  ).filter((device) => String(attribute(device, 'type')) === 'VirtualDisk');
  if (disks.length !== 1) {
    return [
      `machines.vsphere.template: ${template.name} has ${disks.length} disks, and the kit counts on one, the root disk: the etcd disk is added to the clone`,
    ];
  }
  const bytes = Number(textAt(disks[0]!, 'capacityInBytes') ?? Number(textAt(disks[0]!, 'capacityInKB') ?? 0) * 1024);
  return nodes.flatMap(({ name, vsphere }) =>
    vsphere!.rootDiskBytes >= bytes
      ? []
      : [
          `rootDisk of ${name}: it is smaller than that of the template ${template.name}, which has ${Math.ceil(bytes / 1024 ** 3)} GiB: a disk never shrinks`,
        ],
  );
}

const LRO_OPTIONS = ['Net.Vmxnet3HwLRO', 'Net.Vmxnet3SwLRO'];

/** Advice, where the user may look: node preparation turns LRO off in every guest, whatever the host does. */
async function hostsWithLro(session: VcenterSession, hosts: Entity[]): Promise<string[]> {
  const warnings: string[] = [];
  for (const host of hosts) {
    const options = host.values.get('configManager.advancedOption');
    if (options === undefined) continue;
    const on: string[] = [];
    for (const option of LRO_OPTIONS) {
      try {
        const answer = await session.call(referenceOf(options), 'QueryOptions', `<name>${option}</name>`);
        const [value] = childNodes(answer, 'returnval');
        if (value !== undefined && textOf(children(value, 'value')[0]) === '1') on.push(option);
      } catch (error) {
        if (!(error instanceof VcenterError)) throw error;
        break;
      }
    }
    if (on.length > 0) {
      warnings.push(
        `host ${host.name} has ${on.join(' and ')} on: the kit turns LRO off in its machines; other guests that forward packets need 0 there and a restart of the host`,
      );
    }
  }
  return warnings;
}
