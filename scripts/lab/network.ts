/**
 * The lab's network: two namespaces and two bridges.
 *
 *     sitewright-<name>                      sitewright-<name>-mid
 *     node A -- swbr0 -- veth "near0" ===== "far0" -+
 *               (gateway, DNS, NTP)                 | bridge "swmid" (flat) or router (routed)
 *     node B -- swbr1 -- veth "near1" ===== "far1" -+
 *
 * No default route and no link to the machine's own network. Every command may be repeated.
 */
import * as fs from 'node:fs/promises';
import { LabLayout, middleRouter } from './layout';
import { LabError, run } from './run';

export const middleDevices: [string, string] = ['far0', 'far1'];
const nearDevices: [string, string] = ['near0', 'near1'];

export async function inNamespace(namespace: string, command: string, ...args: string[]): Promise<string> {
  return (await run('ip', ['netns', 'exec', namespace, command, ...args])).stdout;
}

export async function namespaceExists(namespace: string): Promise<boolean> {
  const { stdout } = await run('ip', ['netns', 'list'], { allowFailure: true });
  return stdout.split('\n').some((line) => line.split(' ')[0] === namespace);
}

/** Runs a list of `ip` commands in one process, so that a lab is up in a moment. */
async function ipBatch(namespace: string, lines: string[]): Promise<void> {
  await run('ip', ['-n', namespace, '-batch', '-'], { input: lines.join('\n') + '\n' });
}

async function links(namespace: string): Promise<Set<string>> {
  const { stdout } = await run('ip', ['-n', namespace, '-json', 'link', 'show']);
  return new Set((JSON.parse(stdout) as { ifname: string }[]).map((link) => link.ifname));
}

async function setSysctls(namespace: string, values: Record<string, string>): Promise<void> {
  for (const [key, value] of Object.entries(values)) {
    // "=" and "-e": a kernel without bridge netfilter or IPv6 lacks the key, and then there is nothing to switch off.
    await inNamespace(namespace, 'sysctl', '-q', '-e', '-w', `${key}=${value}`);
  }
}

/** A namespace file without a namespace behind it is what a killed `ip netns add` or a reboot leaves. */
async function makeNamespace(namespace: string): Promise<void> {
  if (await namespaceExists(namespace)) {
    const usable = await run('ip', ['-n', namespace, 'link', 'set', 'lo', 'up'], { allowFailure: true });
    if (usable.exitCode === 0) return;
    await run('ip', ['netns', 'del', namespace]);
  }
  await run('ip', ['netns', 'add', namespace]);
  await run('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
}

/**
 * Makes or completes the network of a lab and sets its MTU (bytes, both bridges and everything between them).
 * @throws LabError when the kernel has no bridges or no network namespaces.
 */
export async function makeNetwork(lab: LabLayout, mtuBytes: number): Promise<void> {
  const { namespace, middleNamespace, subnets } = lab;
  const flat = lab.topology === 'flat';
  await makeNamespace(namespace);
  await makeNamespace(middleNamespace);
  const here = await links(namespace);
  const there = await links(middleNamespace);
  const near: string[] = [];
  const middle: string[] = [];

  for (const side of [0, 1] as const) {
    if (!here.has(subnets[side].bridge)) near.push(`link add ${subnets[side].bridge} type bridge forward_delay 0`);
    if (here.has(nearDevices[side]) && !there.has(middleDevices[side])) near.push(`link del ${nearDevices[side]}`);
    if (!here.has(nearDevices[side]) || !there.has(middleDevices[side])) {
      near.push(`link add ${nearDevices[side]} type veth peer name ${middleDevices[side]} netns ${middleNamespace}`);
    }
    near.push(`link set ${nearDevices[side]} master ${subnets[side].bridge}`);
  }
  if (flat && !there.has('swmid')) middle.push('link add swmid type bridge forward_delay 0 mcast_snooping 0');
  await ipBatch(namespace, near);
  if (flat) middle.push(...middleDevices.map((device) => `link set ${device} master swmid`));
  if (middle.length > 0) await ipBatch(middleNamespace, middle);

  await setSysctls(namespace, {
    'net.ipv4.ip_forward': flat ? '0' : '1',
    'net.ipv6.conf.all.forwarding': flat ? '0' : '1',
    'net.ipv4.conf.all.send_redirects': '0',
    'net.ipv4.conf.default.send_redirects': '0',
    'net.bridge.bridge-nf-call-iptables': '0',
    'net.bridge.bridge-nf-call-ip6tables': '0',
  });
  await setSysctls(middleNamespace, {
    'net.ipv4.ip_forward': flat ? '0' : '1',
    'net.ipv6.conf.all.forwarding': flat ? '0' : '1',
    'net.ipv4.conf.all.send_redirects': '0',
    'net.bridge.bridge-nf-call-iptables': '0',
    'net.bridge.bridge-nf-call-ip6tables': '0',
  });

  await ipBatch(namespace, [
    ...nearDevices.map((device) => `link set ${device} mtu ${mtuBytes} up`),
    ...subnets.map((subnet) => `link set ${subnet.bridge} mtu ${mtuBytes} up`),
    ...addressLines(subnets[0].bridge, subnets[0].ipv4Gateway, subnets[0].ipv6Gateway),
    ...(flat
      ? []
      : [
          `route replace ${subnets[1].ipv4} via ${middleRouter.ipv4}`,
          `route replace ${subnets[1].ipv6} via ${middleRouter.ipv6}`,
        ]),
  ]).catch((error: LabError) => {
    throw new LabError(`the lab's network could not be set up: ${error.message}`);
  });
  await ipBatch(middleNamespace, [
    ...middleDevices.map((device) => `link set ${device} mtu ${mtuBytes} up`),
    ...(flat
      ? [`link set swmid mtu ${mtuBytes} up`]
      : [
          ...addressLines(middleDevices[0], middleRouter.ipv4, middleRouter.ipv6),
          ...addressLines(middleDevices[1], subnets[1].ipv4Gateway, subnets[1].ipv6Gateway),
          `route replace default via ${subnets[0].ipv4Gateway}`,
          `route replace ::/0 via ${subnets[0].ipv6Gateway}`,
        ]),
  ]);
  await showWireSizes(lab);
}

function addressLines(device: string, ipv4: string, ipv6: string): string[] {
  return [
    `address replace ${ipv4}/24 dev ${device}`,
    // No duplicate detection: the address must work at once, and nobody else is on this network yet.
    `address replace ${ipv6}/64 dev ${device} nodad`,
  ];
}

/**
 * Between virtual machines one frame can be a whole 64 KiB of TCP, which no wire carries: a size fault in the middle
 * would drop what a real switch passes. Without segmentation offload on the way into the middle, and out of it, frames have their real sizes.
 */
async function showWireSizes(lab: LabLayout): Promise<void> {
  const off = ['tso', 'off', 'gso', 'off', 'gro', 'off'];
  for (const device of nearDevices) await inNamespace(lab.namespace, 'ethtool', '-K', device, ...off);
  for (const device of middleDevices) await inNamespace(lab.middleNamespace, 'ethtool', '-K', device, ...off);
}

/** Processes inside a namespace, by id. */
export async function namespaceProcesses(namespace: string): Promise<number[]> {
  const { stdout } = await run('ip', ['netns', 'pids', namespace], { allowFailure: true });
  return stdout.split('\n').filter(Boolean).map(Number);
}

/** The command line of a process, empty when it has gone. */
export async function processCommand(pid: number): Promise<string> {
  const text = await fs.readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return text.replaceAll('\0', ' ').trim();
}
