import type { SiteSpec, VsphereSpec } from '../spec/schema';
import type { Addressing } from './address';
import type { Findings } from './findings';
import { nicMtuBytes } from './mtu';
import type { Subnet } from './subnets';
import type { VsphereMachinePlan } from './vsphereTypes';

/** The most that virtual switches and every version of vmxnet3 carry. */
const MOST_BYTES = 9000;

interface Attached {
  subnet: Subnet;
  mtuBytes: number;
  network: VsphereSpec['networks'][number];
  datacenter: string;
}

/** Holds the MTU of the machines against that of the switches behind their port groups. */
export function checkSwitches(
  spec: SiteSpec,
  vsphere: VsphereSpec,
  addressing: Addressing,
  machines: VsphereMachinePlan[],
  findings: Findings,
): void {
  const attached = machines.flatMap((machine, index): Attached[] => {
    const { subnet } = addressing.nodes[index];
    const network = vsphere.networks.find(({ name }) => name === machine.network);
    const placement = vsphere.placements.find(({ name }) => name === machine.placement);
    if (subnet === null || network === undefined || placement === undefined) return [];
    return [{ subnet, mtuBytes: nicMtuBytes(spec, subnet), network, datacenter: placement.datacenter }];
  });
  checkUnknown(vsphere, addressing, findings);
  const seen = new Set<string>();
  for (const one of attached) {
    const key = JSON.stringify([one.network.name, one.subnet.name]);
    if (seen.has(key)) continue;
    seen.add(key);
    checkAgainstSwitch(one, findings);
  }
  checkSameOnPortGroup(attached, findings);
}

function checkUnknown(vsphere: VsphereSpec, addressing: Addressing, findings: Findings): void {
  const subnets = addressing.plan.subnets.map(({ name }) => name);
  const placements = vsphere.placements.map(({ name }) => name);
  vsphere.networks.forEach((network, index) => {
    const check = (key: 'subnets' | 'placements', known: string[], where: string) =>
      network[key]?.forEach((name, at) => {
        if (known.includes(name)) return;
        findings.error(
          ['machines', 'vsphere', 'networks', index, key, at],
          name,
          `${name} is not in ${where}: choose one of ${known.join(', ')}`,
        );
      });
    check('subnets', subnets, 'underlay.subnets');
    check('placements', placements, 'machines.vsphere.placements');
  });
}

const mtuPath = ({ mtuSource, path }: Subnet) =>
  mtuSource === 'underlay.mtu' ? ['underlay', 'mtu'] : [...path, 'mtu'];

function checkAgainstSwitch({ subnet, mtuBytes, network }: Attached, findings: Findings): void {
  const { portGroup, switchMtu } = network;
  if (mtuBytes > switchMtu) {
    const most =
      mtuBytes > MOST_BYTES
        ? `vSphere switches and vmxnet3 carry at most ${MOST_BYTES}`
        : `raise the switch and then switchMtu of network ${network.name}, or lower it to ${switchMtu}`;
    findings.error(
      mtuPath(subnet),
      subnet.mtuBytes,
      `${subnet.mtuBytes} is too large for subnet ${subnet.name}: its machines would have an MTU of ${mtuBytes} and the switch of port group ` +
        `${portGroup} carries ${switchMtu}; ${most}`,
    );
  } else if (mtuBytes < switchMtu) {
    findings.warning(
      mtuPath(subnet),
      subnet.mtuBytes,
      `the machines of subnet ${subnet.name} have an MTU of ${mtuBytes} and the switch of port group ${portGroup} carries ${switchMtu}: ` +
        'that is fine as long as nobody on this network sends them more, for ESXi from 6.7 U2 on drops frames above the MTU of ' +
        'the machine; the proof sends one byte more and shows what becomes of it',
    );
  }
}

/** Two subnets of one port group share a wire: what one machine sends there the other has to take. */
function checkSameOnPortGroup(attached: Attached[], findings: Findings): void {
  const first = new Map<string, Attached>();
  for (const one of attached) {
    const key = JSON.stringify([one.datacenter, one.network.portGroup]);
    const other = first.get(key);
    if (other === undefined) {
      first.set(key, one);
    } else if (other.mtuBytes !== one.mtuBytes) {
      first.set(key, one);
      findings.error(
        mtuPath(one.subnet),
        one.subnet.mtuBytes,
        `the machines of subnets ${other.subnet.name} and ${one.subnet.name} share port group ${one.network.portGroup} and would have ` +
          `MTUs of ${other.mtuBytes} and ${one.mtuBytes}: the larger frames would be dropped; give both subnets the same, or a port group each`,
      );
    }
  }
}
