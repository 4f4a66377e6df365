import type { NodeSpec, SiteSpec, VsphereSpec } from '../spec/schema';
import type { Addressing } from './address';
import { Findings, refuseDuplicates } from './findings';
import { planSize, type MachineSize } from './machineSize';
import { checkSwitches } from './vsphereMtu';
import type { VsphereMachinePlan, VsphereNetworkPlan, VspherePlan } from './vsphereTypes';

/** Driver of the NIC that the kit gives a machine on vSphere, as `ethtool -i` names it. */
export const VSPHERE_NIC_DRIVER = 'vmxnet3';

const MEBIBYTE = 1024 ** 2;
/** vSphere takes the memory of a machine in steps of 4 MiB. */
const MEMORY_STEP_BYTES = 4 * MEBIBYTE;
/** The provider states the sizes of disks in whole GiB. */
const DISK_STEP_BYTES = 1024 * MEBIBYTE;

export interface VspherePlanned {
  plan: VspherePlan;
  machines: VsphereMachinePlan[];
  /** Machines that can be on the same host, by position. */
  neighbours: string[][];
  /** Host of each machine where the site file pins it. */
  hosts: (string | null)[];
}

/** Placement of a machine; null beside a finding. Machines of another provider have none. */
export function placementOf(node: NodeSpec, index: number, spec: SiteSpec, findings: Findings): string | null {
  const placements = spec.machines.vsphere?.placements ?? [];
  if (placements.length === 0) return null;
  const path = ['machines', 'nodes', index, 'placement'];
  const names = placements.map(({ name }) => name).join(', ');
  if (node.placement !== undefined) {
    if (placements.some(({ name }) => name === node.placement)) return node.placement;
    findings.error(
      path,
      node.placement,
      `${node.placement} is not in machines.vsphere.placements: choose one of ${names}`,
    );
    return null;
  }
  if (placements.length === 1) return placements[0].name;
  const ofZone = placements.filter(({ zone }) => zone !== undefined && zone === node.zone);
  if (ofZone.length === 1) return ofZone[0].name;
  findings.error(path, undefined, `${node.name} needs a placement: there are several, ${names}`);
  return null;
}

/** The same site with the zone of each machine filled in from its placement: no other part knows of placements. */
export function withZones(spec: SiteSpec, findings: Findings): SiteSpec {
  const { provider, vsphere, nodes } = spec.machines;
  if (provider !== 'vsphere' || vsphere === undefined) return spec;
  // Placements that are missing or unknown are told of where the machines are planned.
  const unheard = new Findings();
  const zoned = nodes.map((node, index): NodeSpec => {
    const name = placementOf(node, index, spec, unheard);
    const zone = vsphere.placements.find((placement) => placement.name === name)?.zone;
    if (zone === undefined) return node;
    if (node.zone !== undefined && node.zone !== zone) {
      findings.error(
        ['machines', 'nodes', index, 'zone'],
        node.zone,
        `${node.name} is in zone ${zone}, because its placement ${name} is: leave zone out, or choose a placement of zone ${node.zone}`,
      );
    }
    return { ...node, zone };
  });
  return { ...spec, machines: { ...spec.machines, nodes: zoned } };
}

/** @param homes name of each machine's placement; null beside a finding */
export function planVsphere(
  spec: SiteSpec,
  vsphere: VsphereSpec,
  addressing: Addressing,
  homes: (string | null)[],
  findings: Findings,
): VspherePlanned {
  checkNames(vsphere, findings);
  checkTrust(vsphere, findings);
  checkPlacements(spec, vsphere, findings);
  checkHardware(vsphere, findings);
  const machines = spec.machines.nodes.map((node, index): VsphereMachinePlan => {
    const size = planSize(spec, node, ['machines', 'nodes', index], findings);
    checkSteps(spec, node, index, size, findings);
    return {
      placement: homes[index] ?? '',
      network: networkOf(node, index, vsphere, addressing, homes[index], findings),
      ...size,
    };
  });
  checkMacs(spec, findings);
  checkSwitches(spec, vsphere, addressing, machines, findings);
  checkTemplate(vsphere, findings);
  const antiAffinity = planAntiAffinity(spec, vsphere, machines, findings);
  const placements = new Map(vsphere.placements.map((placement) => [placement.name, placement]));
  const hosts = machines.map(({ placement }) => placements.get(placement)?.host ?? null);
  return {
    plan: {
      server: vsphere.server,
      caFile: vsphere.caFile ?? null,
      thumbprint: vsphere.thumbprint?.toUpperCase() ?? null,
      template: { name: vsphere.template.name, library: vsphere.template.library ?? null },
      placements: vsphere.placements.map((placement) => ({
        name: placement.name,
        datacenter: placement.datacenter,
        cluster: placement.cluster ?? null,
        host: placement.host ?? null,
        hostGroup: placement.hostGroup ?? null,
        resourcePool: placement.resourcePool ?? null,
        folder: placement.folder ?? null,
        datastore: placement.datastore ?? null,
        datastoreCluster: placement.datastoreCluster ?? null,
        etcdDatastore: placement.etcdDatastore ?? null,
        storagePolicy: placement.storagePolicy ?? null,
        etcdStoragePolicy: placement.etcdStoragePolicy ?? placement.storagePolicy ?? null,
        isoDatastore: placement.isoDatastore ?? placement.datastore ?? null,
      })),
      networks: vsphere.networks.map((network) => planNetwork(network, vsphere)),
      disks: vsphere.disks,
      firmware: vsphere.firmware,
      secureBoot: vsphere.secureBoot,
      hotAdd: vsphere.hotAdd,
      cpuReservationMegahertz:
        vsphere.cpuReservation === undefined ? null : Number.parseInt(vsphere.cpuReservation, 10),
      reservesMemory: vsphere.memoryReservation === 'all',
      latencySensitivity: vsphere.latencySensitivity,
      antiAffinity,
      hostGroups: planHostGroups(spec, vsphere, machines),
    },
    machines,
    neighbours: machines.map((machine, index) =>
      spec.machines.nodes.flatMap(({ name }, other) => {
        if (other === index) return [];
        const [a, b] = [machine, machines[other]].map(({ placement }) => placements.get(placement));
        if (a === undefined || b === undefined || !canShareHost(a, b)) return [];
        const apart = antiAffinity.some(
          ({ isRequired, machines: names }) =>
            isRequired && names.includes(name) && names.includes(spec.machines.nodes[index].name),
        );
        return apart ? [] : [name];
      }),
    ),
    hosts,
  };
}

type Placement = VsphereSpec['placements'][number];

/** A host can be one of a cluster; which one only vCenter knows, so it counts as possible. */
function canShareHost(a: Placement, b: Placement): boolean {
  if (a.datacenter !== b.datacenter) return false;
  if (a.host !== undefined && b.host !== undefined) return a.host === b.host;
  if (a.host !== undefined || b.host !== undefined) return true;
  const areApart = a.hostGroup !== undefined && b.hostGroup !== undefined && a.hostGroup !== b.hostGroup;
  return a.cluster === b.cluster && !areApart;
}

function checkNames(vsphere: VsphereSpec, findings: Findings): void {
  for (const key of ['placements', 'networks'] as const) {
    refuseDuplicates(
      vsphere[key].map((item, index) => ({
        key: item.name,
        path: ['machines', 'vsphere', key, index, 'name'],
        given: item.name,
        item,
      })),
      findings,
      (name) => `${name} is the name of another item of ${key} too: give each its own`,
    );
  }
}

function checkTrust({ caFile, thumbprint }: VsphereSpec, findings: Findings): void {
  if (caFile === undefined || thumbprint === undefined) return;
  findings.error(
    ['machines', 'vsphere', 'thumbprint'],
    thumbprint,
    'the vCenter is known by its thumbprint and by an authority: keep one of thumbprint and caFile',
  );
}

function checkPlacements(spec: SiteSpec, vsphere: VsphereSpec, findings: Findings): void {
  vsphere.placements.forEach((placement, index) => {
    const path = ['machines', 'vsphere', 'placements', index];
    const { name } = placement;
    for (const [one, other] of [
      ['cluster', 'host'],
      ['datastore', 'datastoreCluster'],
    ] as const) {
      if (placement[one] === undefined && placement[other] === undefined) {
        findings.error([...path, one], undefined, `placement ${name} needs a ${one} or a ${other}: state one of them`);
      }
      if (placement[one] !== undefined && placement[other] !== undefined) {
        findings.error(
          [...path, other],
          placement[other],
          `placement ${name} has a ${one} and a ${other}: keep one of them`,
        );
      }
    }
    if (placement.hostGroup !== undefined && placement.cluster === undefined) {
      findings.error(
        [...path, 'hostGroup'],
        placement.hostGroup,
        `placement ${name} has a hostGroup and no cluster, and host groups are those of a cluster: state the cluster, or leave hostGroup out`,
      );
    }
    // The group of the machines has its name, and the provider splits the id of a group at colons.
    if (placement.hostGroup?.includes(':')) {
      findings.error(
        [...path, 'hostGroup'],
        placement.hostGroup,
        `the provider loses groups with a colon in their names, and the kit makes one for these hosts: rename the host group in the vCenter`,
      );
    }
    if (placement.datastoreCluster === undefined) return;
    if (placement.etcdDatastore !== undefined) {
      findings.error(
        [...path, 'etcdDatastore'],
        placement.etcdDatastore,
        `placement ${name} leaves its disks to the datastore cluster ${placement.datastoreCluster}, which moves them all: ` +
          'leave etcdDatastore out, or state a datastore',
      );
    }
    if (placement.isoDatastore === undefined && spec.kubernetes.version !== undefined) {
      findings.error(
        [...path, 'isoDatastore'],
        undefined,
        `placement ${name} needs an isoDatastore: the image of the bundle is one file on one datastore, and Storage DRS places machines only`,
      );
    }
  });
}

/** vCenter deploys an item of a library to a datastore; Storage DRS has no part in it. */
function checkTemplate({ template, placements }: VsphereSpec, findings: Findings): void {
  if (template.library === undefined) return;
  placements.forEach(({ name, datastoreCluster }, index) => {
    if (datastoreCluster === undefined) return;
    findings.error(
      ['machines', 'vsphere', 'placements', index, 'datastoreCluster'],
      datastoreCluster,
      `an item of a content library is deployed to one datastore: state a datastore for placement ${name}, or a template of the inventory`,
    );
  });
}

function checkHardware(vsphere: VsphereSpec, findings: Findings): void {
  const at = (key: string) => ['machines', 'vsphere', key];
  if (vsphere.secureBoot && vsphere.firmware === 'bios') {
    findings.error(
      at('secureBoot'),
      true,
      'secure boot is a part of EFI: set firmware to efi, or leave secureBoot out',
    );
  }
  if (vsphere.latencySensitivity === 'high') {
    const missing = [
      ...(vsphere.memoryReservation === 'all' ? [] : ['memoryReservation: all']),
      ...(vsphere.cpuReservation === undefined ? ['a cpuReservation'] : []),
    ];
    if (missing.length > 0) {
      findings.error(
        at('latencySensitivity'),
        'high',
        `a machine with high latency sensitivity does not start without ${missing.join(' and ')}: state it`,
      );
    }
    if (vsphere.hotAdd) {
      findings.error(
        at('hotAdd'),
        true,
        'vSphere adds no CPU to a machine with high latency sensitivity: leave hotAdd out',
      );
    }
  }
}

function checkSteps(spec: SiteSpec, node: NodeSpec, index: number, size: MachineSize, findings: Findings): void {
  const check = (key: 'memory' | 'rootDisk' | 'etcdDisk', bytes: number | null, step: number, shown: string) => {
    const given = node[key] ?? spec.machines.defaults[key];
    if (given === undefined || bytes === null || bytes % step === 0) return;
    findings.error(
      node[key] === undefined ? ['machines', 'defaults', key] : ['machines', 'nodes', index, key],
      given,
      `${given} is no multiple of ${shown}, and vSphere takes nothing else as ${key} of ${node.name}`,
    );
  };
  check('memory', size.memoryBytes, MEMORY_STEP_BYTES, '4MiB');
  check('rootDisk', size.rootDiskBytes, DISK_STEP_BYTES, '1GiB');
  check('etcdDisk', size.etcdDiskBytes, DISK_STEP_BYTES, '1GiB');
}

/** What vCenter accepts as a static address; it makes up others of its prefix itself. */
const STATIC_MAC = /^00:50:56:[0-3][0-9a-f]:/;

function checkMacs(spec: SiteSpec, findings: Findings): void {
  spec.machines.nodes.forEach(({ mac }, index) => {
    if (mac === undefined || STATIC_MAC.test(mac)) return;
    findings.error(
      ['machines', 'nodes', index, 'mac'],
      mac,
      `${mac} is none that vSphere takes as a static address: choose one from 00:50:56:00:00:00 to 00:50:56:3f:ff:ff, or leave it out to have it made`,
    );
  });
}

/** The one network that carries the subnet of a machine in its placement; empty beside a finding. */
function networkOf(
  node: NodeSpec,
  index: number,
  vsphere: VsphereSpec,
  addressing: Addressing,
  placement: string | null,
  findings: Findings,
): string {
  const subnet = addressing.nodes[index].subnet?.name;
  if (subnet === undefined || placement === null) return '';
  const here = vsphere.networks.filter(({ placements }) => placements === undefined || placements.includes(placement));
  const carrying = here.filter(({ subnets }) => subnets.includes(subnet));
  if (carrying.length === 1) return carrying[0].name;
  const path = ['machines', 'nodes', index, 'addresses'];
  const [address] = node.addresses;
  const listed = (networks: typeof here) =>
    networks.map((network) => `${network.portGroup} carries ${network.subnets.join(', ')}`).join('; ');
  if (carrying.length === 0) {
    const known = here.length === 0 ? 'it has none' : listed(here);
    findings.error(
      path,
      node.addresses,
      `${address} is in subnet ${subnet}, and no port group of placement ${placement} carries it (${known}): correct the ` +
        'address or the placement, or add the subnet to machines.vsphere.networks',
    );
  } else {
    findings.error(
      path,
      node.addresses,
      `${address} is in subnet ${subnet}, and several port groups of placement ${placement} carry it (${listed(carrying)}): ` +
        'say with `placements` which of them is meant',
    );
  }
  return '';
}

function planNetwork(network: VsphereSpec['networks'][number], vsphere: VsphereSpec): VsphereNetworkPlan {
  const users = vsphere.placements.filter(({ name }) => network.placements?.includes(name) ?? true);
  return {
    name: network.name,
    portGroup: network.portGroup,
    datacenters: [...new Set(users.map(({ datacenter }) => datacenter))],
    switchMtuBytes: network.switchMtu,
  };
}

function planAntiAffinity(
  spec: SiteSpec,
  vsphere: VsphereSpec,
  machines: VsphereMachinePlan[],
  findings: Findings,
): VspherePlan['antiAffinity'] {
  if (vsphere.antiAffinity === 'off') return [];
  const groups = new Map<string, VspherePlan['antiAffinity'][number]>();
  spec.machines.nodes.forEach((node, index) => {
    const placement = vsphere.placements.find(({ name }) => name === machines[index].placement);
    if (node.role !== 'control-plane' || placement === undefined) return;
    const { datacenter, cluster, host } = placement;
    // A host can be outside every cluster, and a rule belongs to a cluster.
    const key = JSON.stringify([datacenter, cluster ?? null, host ?? null]);
    const group = groups.get(key) ?? {
      datacenter,
      cluster: cluster ?? '',
      machines: [],
      isRequired: vsphere.antiAffinity === 'required',
    };
    group.machines.push(node.name);
    groups.set(key, group);
    if (host !== undefined && group.machines.length === 2) {
      findings.warning(
        ['machines', 'nodes', index, 'placement'],
        node.placement,
        `${group.machines.join(', ')} are control-plane machines on one host, ${host}: losing it can cost the majority of etcd; ` +
          'spread them, or set machines.vsphere.antiAffinity to off',
      );
    }
  });
  return [...groups.values()].filter(({ cluster, machines: names }) => cluster !== '' && names.length > 1);
}

function planHostGroups(
  spec: SiteSpec,
  vsphere: VsphereSpec,
  machines: VsphereMachinePlan[],
): VspherePlan['hostGroups'] {
  const groups = new Map<string, VspherePlan['hostGroups'][number]>();
  spec.machines.nodes.forEach((node, index) => {
    const placement = vsphere.placements.find(({ name }) => name === machines[index].placement);
    if (placement?.cluster === undefined || placement.hostGroup === undefined) return;
    const { datacenter, cluster, hostGroup } = placement;
    const key = JSON.stringify([datacenter, cluster, hostGroup]);
    const group = groups.get(key) ?? { datacenter, cluster, hostGroup, machines: [] };
    group.machines.push(node.name);
    groups.set(key, group);
  });
  return [...groups.values()];
}
