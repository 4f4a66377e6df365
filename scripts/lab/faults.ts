/**
 * Faults in the middle of the path between the lab's two bridges: what a switch, a tunnel or a filter of somebody else's
 * network does to packets, where neither end sees it.
 */
import { existingLayout } from './lab';
import { LabLayout } from './layout';
import { inNamespace, middleDevices, namespaceExists } from './network';
import { LabError, run } from './run';

export interface Fault {
  /** Largest IP packet that passes, in bytes. */
  mtuBytes?: number;
  /**
   * `send`: the router answers "fragmentation needed" (routed labs). `drop`: no ICMP or ICMPv6 error crosses or leaves the middle.
   * Default: `send` where the middle is a router; a bridge is always silent.
   */
  icmp?: 'send' | 'drop';
  /** Added in each direction, in milliseconds. Needs the kernel's sch_netem. */
  delayMilliseconds?: number;
  /** Share of packets lost at random in each direction, in percent. */
  lossPercent?: number;
  /** IP addresses whose packets do not pass, in either direction. */
  cut?: string[];
}

const table = 'sitewright_fault';
const allowedKeys = ['mtu=1450', 'icmp=drop|send', 'delay=50ms', 'loss=5%', 'cut=<address>'];

/** @throws LabError (exit 2) with every argument that cannot be understood. */
export function parseFault(settings: string[]): Fault {
  const fault: Fault = {};
  const wrong: string[] = [];
  for (const setting of settings) {
    const match =
      /^(mtu)=(\d{2,5})$/.exec(setting) ??
      /^(icmp)=(drop|send)$/.exec(setting) ??
      /^(delay)=(\d{1,5})ms$/.exec(setting) ??
      /^(loss)=(\d{1,3}(?:\.\d)?)%$/.exec(setting) ??
      /^(cut)=([0-9a-fA-F:.]+)$/.exec(setting);
    if (match === null) wrong.push(setting);
    else if (match[1] === 'mtu') fault.mtuBytes = Number(match[2]);
    else if (match[1] === 'icmp') fault.icmp = match[2] as 'drop' | 'send';
    else if (match[1] === 'delay') fault.delayMilliseconds = Number(match[2]);
    else if (match[1] === 'loss') fault.lossPercent = Number(match[2]);
    else fault.cut = [...(fault.cut ?? []), match[2]];
  }
  if (fault.lossPercent !== undefined && fault.lossPercent > 100) wrong.push(`loss=${fault.lossPercent}%`);
  if (wrong.length > 0 || settings.length === 0) {
    const given = wrong.length > 0 ? `not understood: ${wrong.join(' ')}; ` : 'nothing to set; ';
    throw new LabError(`fault: ${given}allowed: ${allowedKeys.join(', ')}`, 2);
  }
  return fault;
}

/** The nftables table of a fault, for the bridge (flat) or the router (routed) in the middle. */
export function renderFault(lab: LabLayout, fault: Fault): string {
  const flat = lab.topology === 'flat';
  const rules: string[] = [];
  for (const address of fault.cut ?? []) {
    const ipv6 = address.includes(':');
    rules.push(`${ipv6 ? 'ip6' : 'ip'} saddr ${address} drop`, `${ipv6 ? 'ip6' : 'ip'} daddr ${address} drop`);
    // A node that is cut off does not answer for its address either.
    if (flat && !ipv6) rules.push(`arp saddr ip ${address} drop`, `arp daddr ip ${address} drop`);
    if (flat && ipv6)
      rules.push(`icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } icmpv6 taddr ${address} drop`);
  }
  // What the machine itself says to a node goes another way than what nodes say to each other, as on a site with a network
  // for management: the fault is found over connections that do not suffer from it.
  for (const address of [lab.servers.ipv4, lab.servers.ipv6]) {
    const family = address.includes(':') ? 'ip6' : 'ip';
    rules.push(`${family} saddr ${address} accept`, `${family} daddr ${address} accept`);
  }
  if (fault.lossPercent !== undefined) {
    rules.push(`numgen random mod 1000 < ${Math.round(fault.lossPercent * 10)} drop`);
  }
  // A bridge has nobody to answer; a router's links carry the MTU themselves and answer, so there is nothing to filter.
  // `meta length` counts the IP packet alone on a bridge's forward hook: the Ethernet header is not part of it.
  if (flat && fault.mtuBytes !== undefined) rules.push(`meta length > ${fault.mtuBytes} drop`);
  const errors = [
    'icmp type { destination-unreachable, time-exceeded, parameter-problem } drop',
    'icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } drop',
  ];
  if (fault.icmp === 'drop') rules.push(...errors);
  const family = flat ? 'bridge' : 'inet';
  const chains = [
    `chain forward {`,
    `  type filter hook forward priority 0; policy accept;`,
    ...rules.map((r) => `  ${r}`),
    '}',
  ];
  if (!flat && fault.icmp === 'drop') {
    chains.push(
      'chain output {',
      '  type filter hook output priority 0; policy accept;',
      ...errors.map((r) => `  ${r}`),
      '}',
    );
  }
  return [`table ${family} ${table} {`, ...chains.map((line) => `  ${line}`), '}', ''].join('\n');
}

async function middleOf(name: string): Promise<LabLayout> {
  const lab = await existingLayout(name);
  if (!(await namespaceExists(lab.middleNamespace))) {
    throw new LabError(`lab ${name} is not up: start it with ./scripts/up lab`, 2);
  }
  return lab;
}

/** Sets the whole fault of a lab: what an earlier call set and this one does not is gone. */
export async function setFault(name: string, fault: Fault): Promise<void> {
  const lab = await middleOf(name);
  const flat = lab.topology === 'flat';
  if (flat && fault.icmp === 'send') {
    throw new LabError('fault: icmp=send needs a routed lab: a bridge cannot answer (up --topology routed)', 2);
  }
  await clearFault(name);
  if (!flat && fault.mtuBytes !== undefined) {
    await inNamespace(lab.middleNamespace, 'ip', 'link', 'set', middleDevices[1], 'mtu', String(fault.mtuBytes));
  }
  await run('ip', ['netns', 'exec', lab.middleNamespace, 'nft', '-f', '-'], { input: renderFault(lab, fault) });
  if (fault.delayMilliseconds !== undefined) {
    for (const device of middleDevices) await delay(lab, device, fault.delayMilliseconds);
  }
}

async function delay(lab: LabLayout, device: string, milliseconds: number): Promise<void> {
  const args = ['-n', lab.middleNamespace, 'qdisc', 'replace', 'dev', device, 'root', 'netem', 'limit', '10000'];
  const result = await run('tc', [...args, 'delay', `${milliseconds}ms`], { allowFailure: true });
  if (result.exitCode !== 0) {
    throw new LabError(`fault: delay needs the kernel's sch_netem on this machine: ${result.stderr.trim()}`);
  }
}

/** Takes every fault away. */
export async function clearFault(name: string): Promise<void> {
  const lab = await middleOf(name);
  const family = lab.topology === 'flat' ? 'bridge' : 'inet';
  const near = lab.subnets[1].bridge;
  // "add" first: nft refuses to delete a table that is not there.
  await run('ip', ['netns', 'exec', lab.middleNamespace, 'nft', '-f', '-'], {
    input: `add table ${family} ${table}\ndelete table ${family} ${table}\n`,
  });
  for (const device of middleDevices) {
    await run('tc', ['-n', lab.middleNamespace, 'qdisc', 'del', 'dev', device, 'root'], { allowFailure: true });
  }
  // A fault in a router lowers the MTU of its far link; the bridge on the other side still has the planned one.
  const planned = JSON.parse(await inNamespace(lab.namespace, 'ip', '-json', 'link', 'show', near)) as {
    mtu: number;
  }[];
  await inNamespace(lab.middleNamespace, 'ip', 'link', 'set', middleDevices[1], 'mtu', String(planned[0].mtu));
}
