import type { Difference } from '../drift/types';
import { METADATA_KEY, SCSI_UNITS, USER_DATA_KEY } from '../machines/guestinfo';
import type { NodePlan, SitePlan } from '../plan/types';
import type { VspherePlacementPlan } from '../plan/vsphereTypes';
import type { Inventory } from './inventory';
import type { FoundItem } from './library';
import type { Credentials } from './login';
import { PlacementError, resolved, trustOf } from './lookUp';
import { retrieveOne } from './properties';
import { ruleDifferences } from './rules';
import type { PlacementIds } from '../machines/vsphere';
import {
  attribute,
  childNodes,
  children,
  escapeXml,
  referenceOf,
  textAt,
  textOf,
  VcenterSession,
  type Reference,
  type Xml,
} from './soap';

/** Machines as a vCenter has them, against the plan. Template and seed are not looked at: they reach new machines only. */

const MEBIBYTE = 1024 ** 2;

const WANTED = [
  ...['name', 'parent', 'resourcePool', 'runtime.powerState', 'runtime.host'],
  ...['config.hardware.numCPU', 'config.hardware.memoryMB', 'config.hardware.device', 'config.extraConfig'],
  ...['config.cpuHotAddEnabled', 'config.memoryHotAddEnabled', 'config.cpuAllocation', 'config.memoryAllocation'],
  ...['config.latencySensitivity', 'config.firmware', 'config.bootOptions', 'config.flags'],
];

type Values = Record<string, string>;

/** The template is not compared, so that neither the inventory nor a content library is searched for it. */
const NOT_ASKED: FoundItem = { id: null, problem: null };

/**
 * Reads only.
 * @param uuids of the machines that the state has, by name; one without is not made yet and is told of as absent
 * @throws VcenterError; PlacementError where a place of the plan is not in the vCenter
 */
export async function vsphereDifferences(
  plan: SitePlan,
  credentials: Credentials,
  uuids: Map<string, string>,
): Promise<Difference[]> {
  const session = await VcenterSession.open(trustOf(plan), credentials);
  try {
    const { inventory, placements, networks, clusters, problems } = await resolved(session, plan, NOT_ASKED);
    const differences: Difference[] = [];
    const found = new Map<string, string>();
    for (const node of plan.nodes) {
      const machine = node.vsphere!;
      const placement = plan.machines.vsphere!.placements.find(({ name }) => name === machine.placement)!;
      const ids = placements.get(placement.name);
      const networkId = networks[machine.network]?.[placement.datacenter];
      if (!ids || !networkId) throw new PlacementError(problems.map((problem) => `${session.server}: ${problem}`));
      const reference = await findByUuid(session, uuids.get(node.name));
      if (reference === null) {
        const why = 'preview shows what is left of it';
        differences.push({ ...ofNode(node), what: 'virtual machine', wanted: 'made', found: 'absent', why });
        continue;
      }
      found.set(node.name, reference.id);
      const values = await retrieveOne(session, reference, WANTED);
      differences.push(...compare(plan, node, placement, { ids, networkId }, inventory, values));
    }
    return [...differences, ...(await ruleDifferences(session, plan, clusters, found))];
  } finally {
    await session.end();
  }
}

const ofNode = ({ name }: NodePlan) => ({ where: name, role: null });

async function findByUuid(session: VcenterSession, uuid: string | undefined): Promise<Reference | null> {
  if (uuid === undefined) return null;
  const parameters = `<uuid>${escapeXml(uuid)}</uuid><vmSearch>true</vmSearch><instanceUuid>false</instanceUuid>`;
  const [found] = children(await session.call(session.service.searchIndex, 'FindByUuid', parameters), 'returnval');
  return found === undefined ? null : referenceOf(found);
}

interface Place {
  ids: PlacementIds;
  networkId: string;
}

function compare(
  plan: SitePlan,
  node: NodePlan,
  placement: VspherePlacementPlan,
  place: Place,
  inventory: Inventory,
  found: Map<string, Xml | string>,
): Difference[] {
  const wanted = plannedValues(plan, node, placement, place, inventory);
  const real = realValues(placement, inventory, found);
  const what = Object.keys(wanted).filter((key) => (real[key] ?? '') !== wanted[key]);
  return what.map((key) => ({
    ...ofNode(node),
    what: key,
    wanted: wanted[key]!,
    found: real[key] ?? '',
    why: adviceOf(key, wanted[key]!, real[key]),
  }));
}

function adviceOf(key: string, wanted: string, found = ''): string {
  if (/disk in bytes$/.test(key) && Number(found) > Number(wanted))
    return 'a disk never shrinks: write its size into the site file';
  if (key === 'virtual machine') return 'start it in the vCenter';
  if (key === USER_DATA_KEY) return 'it holds the host key of the machine: remove it in the vCenter';
  return 'put it back in the vCenter';
}

const ON_OFF = (value: boolean) => (value ? 'on' : 'off');

/** Empty where the plan leaves it to the vCenter; such keys are left out of both sides. */
function plannedValues(
  { machines }: SitePlan,
  node: NodePlan,
  placement: VspherePlacementPlan,
  { ids, networkId }: Place,
  inventory: Inventory,
): Values {
  const vsphere = machines.vsphere!;
  const { cpus, memoryBytes, rootDiskBytes, etcdDiskBytes } = node.vsphere!;
  const named = (id: string | null) => (id === null ? '' : nameOf(inventory, id));
  return {
    'virtual machine': 'poweredOn',
    cpus: String(cpus),
    'memory in bytes': String(memoryBytes),
    'hot add': ON_OFF(vsphere.hotAdd),
    'CPU reservation in MHz': String(vsphere.cpuReservationMegahertz ?? 0),
    'memory reservation in bytes': String(vsphere.reservesMemory ? memoryBytes : 0),
    'latency sensitivity': vsphere.latencySensitivity,
    firmware: vsphere.firmware,
    ...(vsphere.firmware === 'efi' ? { 'secure boot': ON_OFF(vsphere.secureBoot) } : {}),
    'UUIDs of disks': ON_OFF(true),
    'network card': 'VirtualVmxnet3',
    'MAC address': node.interface.mac ?? '',
    'port group': named(networkId),
    'disk controller': 'ParaVirtualSCSIController',
    'root disk in bytes': String(rootDiskBytes),
    'etcd disk in bytes': etcdDiskBytes === null ? '' : String(etcdDiskBytes),
    'resource pool': named(ids.resourcePoolId),
    ...(placement.host === null ? {} : { host: named(ids.hostSystemId) }),
    folder: placement.folder ?? '',
    // Storage DRS moves disks between the datastores of a cluster.
    ...(ids.datastoreId === null ? {} : { 'datastore of the root disk': named(ids.datastoreId) }),
    ...(ids.datastoreId === null || etcdDiskBytes === null
      ? {}
      : { 'datastore of the etcd disk': named(ids.etcdDatastoreId ?? ids.datastoreId) }),
    [USER_DATA_KEY]: 'cleared',
    [METADATA_KEY]: 'set',
  };
}

const nameOf = (inventory: Inventory, id: string) => {
  const entity = inventory.get(id);
  return entity === undefined ? id : inventory.path(entity);
};

function realValues(
  { datacenter }: VspherePlacementPlan,
  inventory: Inventory,
  found: Map<string, Xml | string>,
): Values {
  const text = (path: string) => textOf(found.get(path));
  const at = (path: string, key: string) => {
    const value = found.get(path);
    return value === undefined || typeof value === 'string' ? '' : (textAt(value, key) ?? '');
  };
  const list = (path: string, item: string) => {
    const value = found.get(path);
    return value === undefined || typeof value === 'string' ? [] : childNodes(value, item);
  };
  const devices = list('config.hardware.device', 'VirtualDevice').map((device) => ({
    device,
    type: String(attribute(device, 'type')),
  }));
  // Cards and disks that were added by hand come after the planned ones.
  const [card] = devices.filter(({ device }) => textAt(device, 'macAddress') !== undefined);
  const disk = (unit: number) =>
    devices.find(({ device, type }) => type === 'VirtualDisk' && textAt(device, 'unitNumber') === String(unit))?.device;
  const [root, etcd] = [disk(SCSI_UNITS.root), disk(SCSI_UNITS.etcd)];
  const controller = devices.find(
    ({ device }) => root !== undefined && textAt(device, 'key') === textAt(root, 'controllerKey'),
  );
  const reference = (path: string) => {
    const value = found.get(path);
    return value === undefined ? '' : nameOf(inventory, referenceOf(value).id);
  };
  const seed = new Map(
    list('config.extraConfig', 'OptionValue').map((option) => [
      textAt(option, 'key') ?? '',
      textOf(children(option, 'value')[0]).trim(),
    ]),
  );
  // What cloud-init leaves in place of a value that it redacted.
  const isSet = (key: string) => !['', '---'].includes(seed.get(key) ?? '');
  const megabytes = (amount: string) => (amount === '' ? '' : String(Number(amount) * MEBIBYTE));
  const hotAdd = [text('config.cpuHotAddEnabled'), text('config.memoryHotAddEnabled')];
  return {
    'virtual machine': text('runtime.powerState'),
    cpus: text('config.hardware.numCPU'),
    'memory in bytes': megabytes(text('config.hardware.memoryMB')),
    'hot add': hotAdd[0] === hotAdd[1] ? ON_OFF(hotAdd[0] === 'true') : 'of one of CPUs and memory',
    'CPU reservation in MHz': at('config.cpuAllocation', 'reservation') || '0',
    'memory reservation in bytes': megabytes(at('config.memoryAllocation', 'reservation') || '0'),
    'latency sensitivity': at('config.latencySensitivity', 'level') || 'normal',
    firmware: text('config.firmware'),
    'secure boot': ON_OFF(at('config.bootOptions', 'efiSecureBootEnabled') === 'true'),
    'UUIDs of disks': ON_OFF(at('config.flags', 'diskUuidEnabled') === 'true'),
    'network card': card?.type ?? '',
    'MAC address': card === undefined ? '' : (textAt(card.device, 'macAddress') ?? ''),
    'port group': card === undefined ? '' : portGroupOf(inventory, card.device),
    'disk controller': controller?.type ?? '',
    'root disk in bytes': bytesOf(root),
    'etcd disk in bytes': bytesOf(etcd),
    'resource pool': reference('resourcePool'),
    host: reference('runtime.host'),
    folder: reference('parent').replace(new RegExp(`^/(?:.*/)?${escaped(datacenter)}/vm/?`), ''),
    'datastore of the root disk': datastoreOf(inventory, root),
    'datastore of the etcd disk': datastoreOf(inventory, etcd),
    [USER_DATA_KEY]: isSet(USER_DATA_KEY) ? 'set' : 'cleared',
    [METADATA_KEY]: isSet(METADATA_KEY) ? 'set' : 'cleared',
  };
}

/** The last part of a path names a datacenter. */
const escaped = (datacenter: string) => datacenter.replace(/^.*\//, '').replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

const bytesOf = (disk: Xml | undefined): string => {
  if (disk === undefined) return '';
  return textAt(disk, 'capacityInBytes') ?? String(Number(textAt(disk, 'capacityInKB') ?? NaN) * 1024);
};

const datastoreOf = (inventory: Inventory, disk: Xml | undefined): string => {
  const [backing] = disk === undefined ? [] : childNodes(disk, 'backing');
  const [datastore] = backing === undefined ? [] : children(backing, 'datastore');
  return datastore === undefined ? '' : nameOf(inventory, referenceOf(datastore).id);
};

/** A distributed port group is known by its key, which is its id; a standard one by a reference. */
const portGroupOf = (inventory: Inventory, card: Xml): string => {
  const [backing] = childNodes(card, 'backing');
  if (backing === undefined) return '';
  const [port] = childNodes(backing, 'port');
  if (port !== undefined) return nameOf(inventory, textAt(port, 'portgroupKey') ?? '');
  const [network] = children(backing, 'network');
  return network === undefined ? '' : nameOf(inventory, referenceOf(network).id);
};
