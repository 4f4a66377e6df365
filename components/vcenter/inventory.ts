import { retrieveAll } from './properties';
import { childNodes, referenceOf, textAt, textOf, type VcenterSession, type Xml } from './soap';

/** One thing that vCenter knows by a name. */
export interface Entity {
  type: string;
  /** Managed object id, such as datastore-59. */
  id: string;
  name: string;
  parentId: string | null;
  values: ReadonlyMap<string, Xml | string>;
}

const PLACE = ['name', 'parent'];
/** The whole of `config` of a switch: its MTU belongs to a subtype, which some servers do not name. */
const WANTED: Record<string, string[]> = {
  Datacenter: PLACE,
  Folder: PLACE,
  ComputeResource: [...PLACE, 'resourcePool'],
  HostSystem: [...PLACE, 'config.network.portgroup', 'config.network.vswitch', 'configManager.advancedOption'],
  ResourcePool: PLACE,
  Datastore: [...PLACE, 'summary.freeSpace'],
  StoragePod: PLACE,
  Network: PLACE,
  DistributedVirtualPortgroup: [...PLACE, 'config.distributedVirtualSwitch'],
  DistributedVirtualSwitch: [...PLACE, 'config'],
  VirtualMachine: [...PLACE, 'config.uuid', 'config.guestId', 'config.firmware'],
};

/** vCenter writes these characters of a name in hexadecimal. */
const decoded = (name: string) => name.replace(/%2f/gi, '/').replace(/%5c/gi, '\\').replace(/%25/g, '%');

/** What a vCenter has, as far as the user may see it. */
export class Inventory {
  private readonly byId: Map<string, Entity>;

  constructor(readonly entities: Entity[]) {
    this.byId = new Map(entities.map((entity) => [entity.id, entity]));
  }

  static async read(session: VcenterSession): Promise<Inventory> {
    const found = await retrieveAll(session, WANTED);
    return new Inventory(
      found.map(({ object, values }) => ({
        ...object,
        name: decoded(textOf(values.get('name'))),
        parentId: values.has('parent') ? referenceOf(values.get('parent')!).id : null,
        values,
      })),
    );
  }

  get(id: string): Entity | undefined {
    return this.byId.get(id);
  }

  /** Itself first. */
  ancestors(entity: Entity): Entity[] {
    const chain = [entity];
    for (let parent = this.parentOf(entity); parent !== undefined; parent = this.parentOf(parent)) chain.push(parent);
    return chain;
  }

  isBelow(entity: Entity, id: string): boolean {
    return this.ancestors(entity).some((one) => one.id === id);
  }

  /** As vCenter and its tools write it: /DC1/network/k8s-nodes. */
  path(entity: Entity): string {
    return `/${this.ancestors(entity)
      .map(({ name }) => name)
      .reverse()
      .join('/')}`;
  }

  reference(entity: Entity, property: string): string | undefined {
    const value = entity.values.get(property);
    return value === undefined ? undefined : referenceOf(value).id;
  }

  /** MTU in bytes of the switch of a port group, for each switch that has it; empty where it cannot be seen. */
  switchMtus(portGroup: Entity): { name: string; mtuBytes: number }[] {
    const distributed = this.get(this.reference(portGroup, 'config.distributedVirtualSwitch') ?? '');
    if (distributed !== undefined) {
      const config = distributed.values.get('config');
      const mtu = config === undefined || typeof config === 'string' ? undefined : textAt(config, 'maxMtu');
      return mtu === undefined || mtu === '0' ? [] : [{ name: distributed.name, mtuBytes: Number(mtu) }];
    }
    return this.entities.flatMap((host) => {
      if (host.type !== 'HostSystem') return [];
      const ofHost = listOf(host, 'config.network.portgroup', 'HostPortGroup').flatMap((group) =>
        childNodes(group, 'spec'),
      );
      const switchName = ofHost.find((spec) => textAt(spec, 'name') === portGroup.name);
      if (switchName === undefined || this.datacenterOf(host) !== this.datacenterOf(portGroup)) return [];
      const vswitch = listOf(host, 'config.network.vswitch', 'HostVirtualSwitch').find(
        (one) => textAt(one, 'name') === textAt(switchName, 'vswitchName'),
      );
      const mtu = vswitch === undefined ? undefined : textAt(vswitch, 'mtu');
      return mtu === undefined ? [] : [{ name: `${textAt(vswitch!, 'name')} of ${host.name}`, mtuBytes: Number(mtu) }];
    });
  }

  datacenterOf(entity: Entity): Entity | undefined {
    return this.ancestors(entity).find(({ type }) => type === 'Datacenter');
  }

  private parentOf({ parentId }: Entity): Entity | undefined {
    return parentId === null ? undefined : this.byId.get(parentId);
  }
}

function listOf(entity: Entity, property: string, item: string): Xml[] {
  const value = entity.values.get(property);
  return value === undefined || typeof value === 'string' ? [] : childNodes(value, item);
}
