import type { SiteSpec } from '../spec/schema';
import { usesBpf } from './calicoModes';
import type { MtuPlan, OffloadRule } from './types';

/** What of a site decides about its offloads. */
export interface OffloadNeeds {
  /** Packets between nodes travel in VXLAN, those of pods or of Services alone. */
  vxlan: boolean;
  /** Devices of VXLAN that Calico makes on every node. */
  devices: string[];
  esxi: NonNullable<SiteSpec['machines']['vsphere']>['esxi'] | undefined;
  txChecksumIpGeneric: SiteSpec['network']['calico']['vxlan']['txChecksumIpGeneric'];
}

export const offloadNeeds = (spec: SiteSpec, mtu: Pick<MtuPlan, 'routing' | 'devices'>): OffloadNeeds => ({
  vxlan: mtu.routing.startsWith('vxlan') || usesBpf(spec),
  devices: mtu.devices.map(({ name }) => name).filter((name) => name.startsWith('vxlan')),
  esxi: spec.machines.vsphere?.esxi,
  txChecksumIpGeneric: spec.network.calico.vxlan.txChecksumIpGeneric,
});

/** A rule of the table and the condition under which a site needs it. */
interface TableRow {
  rule: OffloadRule;
  appliesTo: (needs: OffloadNeeds) => boolean;
}

const always = () => true;
const withVxlan = ({ vxlan }: OffloadNeeds) => vxlan;

/** Each device once, and its rule on the kernels that need it. */
const vxlanChecksum = (device: string): TableRow[] => [
  {
    appliesTo: ({ devices }) => devices.includes(device),
    rule: {
      id: `${device === 'vxlan.calico' ? 'vxlan' : 'vxlan-v6'}-checksum`,
      device,
      driver: null,
      kernel: { min: null, max: '5.7' },
      features: [{ name: 'tx-checksum-ip-generic', value: 'off' }],
      rings: [],
      reason:
        'ClusterIP connections over VXLAN stall for 63 s (calico#3145); what Felix does with ChecksumOffloadBroken',
    },
  },
  {
    // Where the site file says so: whether VXLAN is slow only a measurement tells, and elsewhere it costs throughput.
    appliesTo: ({ devices, txChecksumIpGeneric }) => devices.includes(device) && txChecksumIpGeneric === 'off',
    rule: {
      id: `${device === 'vxlan.calico' ? 'vxlan' : 'vxlan-v6'}-slow`,
      device,
      driver: null,
      kernel: { min: '6.12', max: null },
      features: [{ name: 'tx-checksum-ip-generic', value: 'off' }],
      rings: [],
      reason: 'network.calico.vxlan: VXLAN carries 50 to 300 Mbit/s with it on these kernels (calico#11435)',
    },
  },
];

/**
 * NIC settings by driver, kernel and encapsulation. GRO, GSO and TSO stay on everywhere; of these every driver can switch
 * GRO, so it is held on, where notes made for LRO often had it switched off as well.
 */
const TABLE: readonly TableRow[] = [
  {
    appliesTo: always,
    rule: {
      id: 'vmxnet3-lro',
      device: 'nic',
      driver: 'vmxnet3',
      kernel: { min: null, max: null },
      features: [{ name: 'lro', value: 'off' }],
      rings: [],
      reason: 'frames that LRO merged exceed the MTU of the next hop, and a node forwards: requests stall for seconds',
    },
  },
  {
    appliesTo: always,
    rule: {
      id: 'gro',
      device: 'nic',
      driver: null,
      kernel: { min: null, max: null },
      features: [{ name: 'gro', value: 'on' }],
      rings: [],
      reason: 'unlike LRO it keeps what splits merged frames again; without it each frame crosses the stack alone',
    },
  },
  {
    appliesTo: withVxlan,
    rule: {
      id: 'vmxnet3-vxlan',
      device: 'nic',
      driver: 'vmxnet3',
      kernel: { min: null, max: null },
      features: [
        { name: 'tx-udp_tnl-segmentation', value: 'off' },
        { name: 'tx-udp_tnl-csum-segmentation', value: 'off' },
      ],
      rings: [],
      reason:
        'vmxnet3 breaks VXLAN packets it segments, and only ICMP passes (calico#4727, calico#9433, kubespray#8992)',
    },
  },
  {
    // Where the site file says so: on later hosts it costs throughput for nothing.
    appliesTo: ({ vxlan, esxi }) => vxlan && esxi === '6.7',
    rule: {
      id: 'vmxnet3-vxlan-esxi67',
      device: 'nic',
      driver: 'vmxnet3',
      kernel: { min: null, max: null },
      features: [{ name: 'tx-checksum-ip-generic', value: 'off' }],
      rings: [],
      reason: 'ESXi 6.7 with hardware version 14 or later also breaks the checksums of VXLAN packets',
    },
  },
  ...vxlanChecksum('vxlan.calico'),
  ...vxlanChecksum('vxlan-v6.calico'),
  {
    appliesTo: always,
    rule: {
      id: 'vmxnet3-rings',
      device: 'nic',
      driver: 'vmxnet3',
      kernel: { min: null, max: null },
      features: [],
      rings: [{ name: 'rx', entries: 1024 }],
      reason: 'a shorter ring drops packets under bursts; up to 4096 are possible',
    },
  },
];

/**
 * Rules for a machine. A rule for another driver is left out where the kit knows the driver; where only the machine
 * knows it (null), and for kernel bounds, the node decides.
 */
export function planOffloads(needs: OffloadNeeds, driver: string | null): OffloadRule[] {
  return TABLE.filter(({ appliesTo }) => appliesTo(needs))
    .map(({ rule }) => rule)
    .filter((rule) => rule.driver === null || driver === null || rule.driver === driver);
}
