import type { PlacementIds, VsphereIds } from '../machines/vsphere';
import { domainName } from '../plan/machines';
import type { SitePlan } from '../plan/types';
import type { VspherePlacementPlan, VspherePlan } from '../plan/vsphereTypes';
import { didYouMean } from '../spec/problem';
import type { Entity, Inventory } from './inventory';
import type { FoundItem } from './library';
import { textOf } from './soap';

const GIBIBYTE = 1024 ** 3;
/** Names in a message: more do not help. */
const MOST_SHOWN = 12;
const NETWORKS = ['Network', 'DistributedVirtualPortgroup', 'OpaqueNetwork'];

export interface Resolved {
  /** Null beside a problem. */
  ids: VsphereIds | null;
  /** Null beside a problem, and for an item of a content library. */
  template: Entity | null;
  /** By name of the placement; null beside a problem. */
  placements: Map<string, PlacementIds | null>;
  /** As in `VsphereIds`; empty beside a problem. */
  networks: VsphereIds['networks'];
  /** Ids of clusters, by name of the placement. */
  clusters: Map<string, string>;
  /** Hosts that can run machines of the site. */
  hosts: Entity[];
  /** Each with its place in the site file, what is there, and what to do. */
  problems: string[];
}

/** What other services of the vCenter know. */
export interface Elsewhere {
  /** Null: the template is in the inventory. */
  item: FoundItem | null;
  /** Ids of storage policies, by name. */
  policies: Map<string, string>;
}

/** What the names of a plan stand for on one vCenter; everything that does not fit at once. Pure. */
export function resolveNames(
  inventory: Inventory,
  { site, nodes, machines }: SitePlan,
  { item, policies }: Elsewhere,
): Resolved {
  const vsphere = machines.vsphere!;
  const finder = new Finder(inventory);
  const clusters = new Map<string, string>();
  const placements = new Map(
    vsphere.placements.map((placement) => [placement.name, resolvePlacement(finder, placement, policies, clusters)]),
  );
  const networks = Object.fromEntries(
    vsphere.networks.map(({ name, portGroup, datacenters, switchMtuBytes }) => [
      name,
      Object.fromEntries(
        datacenters.map((datacenter) => {
          const where = `machines.vsphere.networks[${name}]`;
          const found = finder.find(
            `${where}.portGroup`,
            'port group',
            NETWORKS,
            portGroup,
            finder.datacenter(null, datacenter),
          );
          if (found !== null) checkSwitch(finder, `${where}.switchMtu`, found, switchMtuBytes);
          return [datacenter, found?.id ?? ''];
        }),
      ),
    ]),
  );
  const template = item === null ? findTemplate(finder, vsphere) : null;
  if (item !== null && item.problem !== null) finder.tell(item.problem);
  const source =
    template !== null
      ? { uuid: textOf(template.values.get('config.uuid')), guestId: textOf(template.values.get('config.guestId')) }
      : item !== null && item.id !== null
        ? { uuid: item.id, guestId: null }
        : null;
  checkRoom(finder, site, nodes, placements);
  const complete = finder.problems.length === 0;
  return {
    problems: finder.problems,
    template,
    placements,
    networks,
    clusters,
    hosts: inventory.entities.filter(
      (host) =>
        host.type === 'HostSystem' &&
        [...placements.values()].some((ids) => {
          const place = ids?.hostSystemId ?? ids?.clusterId;
          return place !== null && place !== undefined && inventory.isBelow(host, place);
        }),
    ),
    ids:
      complete && source !== null
        ? {
            template: source,
            placements: Object.fromEntries([...placements].map(([name, ids]) => [name, ids!])),
            networks,
          }
        : null,
  };
}

/** Finds things by name or path and collects why not. */
class Finder {
  readonly problems: string[] = [];
  private readonly told = new Set<string>();

  constructor(readonly inventory: Inventory) {}

  tell(problem: string): void {
    if (this.told.has(problem)) return;
    this.told.add(problem);
    this.problems.push(problem);
  }

  /** @param where null: somebody else tells that it is missing */
  datacenter(where: string | null, name: string): Entity | null {
    const all = this.inventory.entities.filter(({ type }) => type === 'Datacenter');
    return this.choose(where, 'datacenter', all, name, '');
  }

  anywhere(where: string, what: string, wanted: string, name: string): Entity | null {
    const all = this.inventory.entities.filter(({ type }) => type === wanted);
    return this.choose(where, what, all, name, '');
  }

  /** One entity of some types below another one; null beside a problem, and where `below` is one. */
  find(where: string, what: string, types: string[], name: string, below: Entity | null): Entity | null {
    if (below === null) return null;
    const all = this.inventory.entities.filter(
      (entity) => types.includes(entity.type) && entity.id !== below.id && this.inventory.isBelow(entity, below.id),
    );
    return this.choose(where, what, all, name, ` in ${below.name}`);
  }

  private choose(where: string | null, what: string, all: Entity[], name: string, within: string): Entity | null {
    const wanted = `/${name.replace(/^\/+/, '')}`;
    const matching = all.filter((entity) => entity.name === name || this.inventory.path(entity).endsWith(wanted));
    if (matching.length === 1) return matching[0];
    if (where === null) return null;
    if (matching.length > 1) {
      const paths = matching.map((entity) => this.inventory.path(entity)).sort();
      this.tell(
        `${where}: ${name} is the name of several${within}: write the path of the one that is meant, ${paths.join(' or ')}`,
      );
      return null;
    }
    const names = [...new Set(all.map((entity) => entity.name))].sort();
    this.tell(`${where}: there is no ${what} ${name}${within}${suggestion(name, names)}`);
    return null;
  }
}

/** The nearest name and all that there are, for somebody who does not see the vCenter. */
export function suggestion(name: string, names: string[]): string {
  if (names.length === 0) return '; the user sees none at all';
  const more = names.length > MOST_SHOWN ? ` and ${names.length - MOST_SHOWN} more` : '';
  const near = didYouMean(name, names);
  return `${near}${near === '' ? '; there are' : ' There are'} ${names.slice(0, MOST_SHOWN).join(', ')}${more}`;
}

function resolvePlacement(
  finder: Finder,
  placement: VspherePlacementPlan,
  policies: Map<string, string>,
  clusters: Map<string, string>,
): PlacementIds | null {
  const { inventory } = finder;
  const at = (key: string) => `machines.vsphere.placements[${placement.name}].${key}`;
  const datacenter = finder.datacenter(at('datacenter'), placement.datacenter);
  const optional = (key: string, what: string, type: string, name: string | null) =>
    name === null ? null : finder.find(at(key), what, [type], name, datacenter);

  const cluster = optional('cluster', 'cluster', 'ClusterComputeResource', placement.cluster);
  if (cluster !== null) clusters.set(placement.name, cluster.id);
  const host = optional('host', 'host', 'HostSystem', placement.host);
  const compute = cluster ?? (host === null ? null : (inventory.get(host.parentId ?? '') ?? null));
  const root = compute === null ? null : (inventory.get(inventory.reference(compute, 'resourcePool') ?? '') ?? null);
  const pool =
    placement.resourcePool === null
      ? root
      : finder.find(at('resourcePool'), 'resource pool', ['ResourcePool'], placement.resourcePool, root);
  if (compute !== null && root === null)
    finder.tell(`${at('cluster')}: the user sees no resource pool of ${compute.name}`);
  if (placement.folder !== null && datacenter !== null) checkFolder(finder, at('folder'), placement.folder, datacenter);
  const datastore = optional('datastore', 'datastore', 'Datastore', placement.datastore);
  const datastoreCluster = optional('datastoreCluster', 'datastore cluster', 'StoragePod', placement.datastoreCluster);
  const etcd = optional('etcdDatastore', 'datastore', 'Datastore', placement.etcdDatastore);
  const { isoDatastore } = placement;
  const iso =
    isoDatastore === placement.datastore ? datastore : optional('isoDatastore', 'datastore', 'Datastore', isoDatastore);
  const policy = (key: 'storagePolicy' | 'etcdStoragePolicy') => {
    const name = placement[key];
    if (name === null) return null;
    const id = policies.get(name);
    if (id === undefined)
      finder.tell(`${at(key)}: there is no storage policy ${name}${suggestion(name, [...policies.keys()].sort())}`);
    return id ?? null;
  };
  // The one of the machines is that of etcd disks too where they have none of their own: it is told once.
  const [storagePolicyId, etcdStoragePolicyId] = [
    policy('storagePolicy'),
    placement.etcdStoragePolicy === placement.storagePolicy ? null : policy('etcdStoragePolicy'),
  ];
  if (pool === null || (datastore === null && datastoreCluster === null)) return null;
  return {
    resourcePoolId: pool.id,
    hostSystemId: host?.id ?? null,
    clusterId: compute?.type === 'ClusterComputeResource' ? compute.id : null,
    datastoreId: datastore?.id ?? null,
    datastoreClusterId: datastoreCluster?.id ?? null,
    etcdDatastoreId: etcd?.id ?? null,
    isoDatastoreId: iso?.id ?? null,
    storagePolicyId,
    etcdStoragePolicyId: etcdStoragePolicyId ?? storagePolicyId,
  };
}

/** The provider takes the path from the folder of all machines on, and nothing shorter. */
function checkFolder(finder: Finder, where: string, folder: string, datacenter: Entity): void {
  const { inventory } = finder;
  const start = `/${inventory.path(datacenter).slice(1)}/vm/`;
  const folders = inventory.entities
    .filter(({ type }) => type === 'Folder')
    .map((entity) => inventory.path(entity))
    .filter((path) => path.startsWith(start))
    .map((path) => path.slice(start.length))
    .sort();
  if (folders.includes(folder)) return;
  finder.tell(`${where}: there is no folder ${folder} of machines in ${datacenter.name}${suggestion(folder, folders)}`);
}

function checkSwitch(finder: Finder, where: string, portGroup: Entity, saidBytes: number): void {
  for (const { name, mtuBytes } of finder.inventory.switchMtus(portGroup)) {
    if (mtuBytes >= saidBytes) continue;
    finder.tell(
      `${where}: ${saidBytes} is too large: switch ${name} of port group ${portGroup.name} carries ${mtuBytes}; raise the switch, or correct it`,
    );
  }
}

function findTemplate(finder: Finder, { template, firmware }: VspherePlan): Entity | null {
  const found = finder.anywhere(
    'machines.vsphere.template.name',
    'template or machine',
    'VirtualMachine',
    template.name,
  );
  const real = found === null ? '' : textOf(found.values.get('config.firmware'));
  if (found !== null && real !== '' && real !== firmware) {
    finder.tell(
      `machines.vsphere.firmware: ${firmware} does not start the template ${found.name}, which was made with ${real}`,
    );
  }
  return found;
}

/** Machines that are not there yet need room for the whole size of their disks: a full datastore stops all that is on it. */
function checkRoom(
  finder: Finder,
  site: string,
  nodes: SitePlan['nodes'],
  placements: Map<string, PlacementIds | null>,
): void {
  const { inventory } = finder;
  const there = new Set(inventory.entities.filter(({ type }) => type === 'VirtualMachine').map(({ name }) => name));
  const needed = new Map<string, { bytes: number; names: string[] }>();
  const need = (id: string | null | undefined, bytes: number | null, name: string) => {
    if (!id || bytes === null) return;
    const entry = needed.get(id) ?? { bytes: 0, names: [] };
    needed.set(id, { bytes: entry.bytes + bytes, names: [...new Set([...entry.names, name])] });
  };
  for (const { name, vsphere } of nodes) {
    const ids = placements.get(vsphere!.placement);
    if (!ids || there.has(domainName(site, name))) continue;
    need(ids.datastoreId, vsphere!.rootDiskBytes, name);
    need(ids.etcdDatastoreId ?? ids.datastoreId, vsphere!.etcdDiskBytes, name);
  }
  for (const [id, { bytes, names }] of needed) {
    const datastore = inventory.get(id);
    const free = Number(textOf(datastore?.values.get('summary.freeSpace')));
    if (datastore === undefined || !(free >= 0) || free >= bytes) continue;
    const gib = (amount: number) => `${Math.floor(amount / GIBIBYTE)} GiB`;
    finder.tell(
      `datastore ${datastore.name} is too small: the disks of ${names.join(', ')} need ${gib(bytes)}, thin or not, and ${gib(free)} are free`,
    );
  }
}
