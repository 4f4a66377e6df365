import type { SiteSpec } from '../spec/schema';
import type { MtuPlan, OffloadRule } from './types';

type Esxi = NonNullable<SiteSpec['machines']['vsphere']>['esxi'];

/** A rule of the table and the condition under which a site needs it. */
interface TableRow {
  rule: OffloadRule;
  appliesTo: (routing: MtuPlan['routing'], esxi: Esxi | undefined) => boolean;
}

const always = () => true;
const withVxlan = (routing: MtuPlan['routing']) => routing.startsWith('vxlan');

/**
 * NIC settings by driver, kernel and encapsulation. GRO, GSO and TSO stay on everywhere; of these every driver can switch
 * GRO, so it is held on, where notes made for LRO often had it switched off as well.
 *
 * Left out on purpose, because they depend on what only a measurement or the hypervisor's administrator can tell:
 * `tx-checksum-ip-generic off` on vxlan.calico from kernel 6.12 on where VXLAN is slow (calico#11435): it costs every other
 * site throughput.
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
    appliesTo: (routing, esxi) => withVxlan(routing) && esxi === '6.7',
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
  {
    appliesTo: withVxlan,
    rule: {
      id: 'vxlan-checksum',
      device: 'vxlan.calico',
      driver: null,
      kernel: { min: null, max: '5.7' },
      features: [{ name: 'tx-checksum-ip-generic', value: 'off' }],
      rings: [],
      reason:
        'ClusterIP connections over VXLAN stall for 63 s (calico#3145); what Felix does with ChecksumOffloadBroken',
    },
  },
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
export function planOffloads(routing: MtuPlan['routing'], driver: string | null, esxi?: Esxi): OffloadRule[] {
  return TABLE.filter(({ appliesTo }) => appliesTo(routing, esxi))
    .map(({ rule }) => rule)
    .filter((rule) => rule.driver === null || driver === null || rule.driver === driver);
}
