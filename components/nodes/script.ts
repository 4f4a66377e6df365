import { Address6 } from 'ip-address';
import { INITIALISED_FILE } from '../plan/clusterPaths';
import { sizeOf } from '../plan/machineSize';
import { neededPackages } from '../plan/packages';
import type { NodePlan, OffloadRule, SitePlan, SysctlPlan } from '../plan/types';
import type { Bundle } from '../bundle/lock';
import type { Machine } from '../machines/machine';
import { assignment, quote } from './bash';
import { AS_ROOT } from './prep/asRoot';
import { CERTIFICATES } from './prep/certificates';
import { CORE } from './prep/core';
import { BUNDLE_PACKAGES } from './prep/bundlePackages';
import { FACTS } from './prep/facts';
import { KERNEL } from './prep/kernel';
import { MAIN } from './prep/main';
import { MIRROR_PACKAGES } from './prep/mirrorPackages';
import { NETWORK } from './prep/network';
import { OFFLOAD_RULES_LIBRARY } from './prep/offloadRules';
import { OFFLOADS } from './prep/offloads';
import { bundlePlaceValues, OPEN_BUNDLE } from './prep/openBundle';
import { PORTS } from './prep/ports';
import { PREFLIGHT } from './prep/preflight';
import { SYSTEM } from './prep/system';
import { WAIT_UNTIL } from './prep/waitUntil';

/**
 * The script that prepares one node: what is planned for it as data, then the same functions for every node. It goes to
 * `bash -s` on the node, needs bash 5 and what every Debian has (no jq, no Python), and is idempotent: a run that finds
 * everything as planned writes nothing. stderr carries `step: …` lines and every problem, stdout the facts of the node.
 */

/** What the script needs to know beyond the node: whose machine it is, and the names that every node knows. */
export interface SiteOfNode {
  site: string;
  /** The state's id: a machine that carries another one is refused. */
  stampId: string;
  hosts: SitePlan['hosts'];
}

export const STAMP_FILE = '/etc/sitewright/stamp.json';
export const AUDIT_LOG = '/var/log/sitewright/audit.log';
/** Sorts after everything that distributions ship (they use numbers), so it is read last at boot and wins. */
export const SYSCTL_FILE = '/etc/sysctl.d/k8s-net.conf';
export const MODULES_FILE = '/etc/modules-load.d/k8s-net.conf';
export const OWN_NETWORK_FILE = '/etc/systemd/network/05-sitewright.network';
export const OFFLOAD_HELPER = '/usr/local/sbin/sitewright-offloads';
export const UDEV_RULES_FILE = '/etc/udev/rules.d/90-sitewright-offloads.rules';
export const MASKED_UNITS = '/etc/sitewright/masked-units';
export const HOSTS_BEGIN = '# BEGIN sitewright';
export const HOSTS_END = '# END sitewright';

const EDITS_ARE_UNDONE = 'Edits are undone by the next preparation of this node.';

/** Path below /proc/sys: the first separator of a key decides whether dots or slashes separate. */
export function sysctlPath(key: string): string {
  const firstSeparator = /[./]/.exec(key)?.[0];
  return firstSeparator === '/' ? key : key.replace(/[./]/g, (separator) => (separator === '.' ? '/' : '.'));
}

/** Addresses as the kernel writes them, or they would never be found equal. */
function asKernelWritesIt(addressOrNetwork: string): string {
  const [address = '', prefix] = addressOrNetwork.split('/');
  const text = address.includes(':') ? new Address6(address).correctForm() : address;
  return prefix === undefined ? text : `${text}/${prefix}`;
}

/** Networks as `ip route` writes them: a single host has no prefix length. */
function asRouteShows(network: string): string {
  return asKernelWritesIt(network).replace(network.includes(':') ? /\/128$/ : /\/32$/, '');
}

/** On one line, whatever it holds: a line break would begin another setting of the file. */
function oneLine(text: string): string {
  return text.trim().replace(/\s+/g, ' ');
}

function sysctlFile(sysctls: readonly SysctlPlan[]): string {
  const lines = sysctls.map(({ key, value, reason }) => `# ${oneLine(reason)}\n${key} = ${oneLine(value)}\n`);
  return `# Made by sitewright. ${EDITS_ARE_UNDONE}\n${lines.join('')}`;
}

function modulesFile(node: NodePlan): string {
  const lines = node.modules.map(({ name, reason }) => `# ${oneLine(reason)}\n${name}\n`);
  return `# Made by sitewright. ${EDITS_ARE_UNDONE}\n${lines.join('')}`;
}

const allRoutes = ({ interface: { routes, podRoutes } }: NodePlan) => [...routes, ...podRoutes];

function networkBody(node: NodePlan): string {
  const { gateways } = node.interface;
  const settings = [
    // networkd would otherwise take every address away for a moment whenever this file changes, and with it the routes
    // of pods and the virtual address of the control plane. What leaves the plan is removed by the script.
    'KeepConfiguration=static',
    ...node.addresses.map((address) => `Address=${asKernelWritesIt(address)}`),
    ...gateways.map((gateway) => `Gateway=${asKernelWritesIt(gateway)}`),
    ...node.dns.servers.map((server) => `DNS=${asKernelWritesIt(server)}`),
    ...(node.dns.search.length === 0 ? [] : [`Domains=${oneLine(node.dns.search.join(' '))}`]),
  ];
  const routeSections = allRoutes(node).map(
    ({ to, via }) => `\n[Route]\nDestination=${asKernelWritesIt(to)}\nGateway=${asKernelWritesIt(via)}\n`,
  );
  return `${settings.join('\n')}\n${routeSections.join('')}`;
}

function resolvConf(node: NodePlan): string {
  const search = node.dns.search.length === 0 ? '' : `search ${oneLine(node.dns.search.join(' '))}\n`;
  const servers = node.dns.servers.map((server) => `nameserver ${asKernelWritesIt(server)}\n`).join('');
  return `# Made by sitewright. ${EDITS_ARE_UNDONE}\n${search}${servers}`;
}

/** One line for each value: device, driver, lowest and highest kernel (- for any), option of ethtool, name, value. */
export function offloadLines(rules: readonly OffloadRule[]): string[] {
  return rules.flatMap(({ device, driver, kernel, features, rings }) => {
    const match = [device, driver ?? '-', kernel.min ?? '-', kernel.max ?? '-'].join(' ');
    return [
      ...features.map(({ name, value }) => `${match} -K ${name} ${value}`),
      ...rings.map(({ name, entries }) => `${match} -G ${name} ${entries}`),
    ];
  });
}

/** Run by udev with a device and the name that the rules have for it. */
function offloadHelper(rules: string): string {
  return `#!/bin/bash
# Made by sitewright. ${EDITS_ARE_UNDONE}
# udev runs this when a network device appears: sitewright-offloads <device> <name in the rules>
RULES=${quote(rules)}

${OFFLOAD_RULES_LIBRARY}
set_value() { ! offload_differs "$@" || ethtool "$2" "$1" "$3" "$4"; }

offload_values "$RULES" "$1" "$2" set_value
`;
}

/** What is planned for a node, as variables of its script. */
export function nodeData(node: NodePlan, site: SiteOfNode): string {
  const rules = offloadLines(node.offloads).join('\n');
  const ntp = node.ntpServers.join(' ');
  const hosts = site.hosts.map(({ address, names }) => `${asKernelWritesIt(address)} ${names.join(' ')}\n`).join('');
  const values: [name: string, value: string | readonly string[]][] = [
    ['SITE', site.site],
    ['STAMP_ID', site.stampId],
    ['MADE_BY_KIT', sizeOf(node) === null ? 'no' : 'yes'],
    ['PACKAGES', neededPackages(node).map(({ command, name }) => `${command} ${name}`)],
    ['NEEDED_VERSIONS', node.neededVersions.map(({ what, atLeast, by }) => `${what} ${atLeast} ${by}`)],
    ['MODULES', node.modules.map(({ name }) => name)],
    ['MODULES_CONTENT', modulesFile(node)],
    ['SYSCTL_KEYS', node.sysctls.map(({ key }) => key)],
    ['SYSCTL_PATHS', node.sysctls.map(({ key }) => sysctlPath(key))],
    ['SYSCTL_VALUES', node.sysctls.map(({ value }) => oneLine(value))],
    ['SYSCTL_CONTENT', sysctlFile(node.sysctls)],
    ['INGRESS_PORTS', node.ingressPorts.map(String)],
    ['SWAP', node.swap],
    ['NTP_SERVERS', node.ntpServers],
    ['CHRONY_SOURCES', node.ntpServers.map((server) => `server ${server} iburst prefer\n`).join('')],
    ['TIMESYNCD_CONF', `# Made by sitewright. ${EDITS_ARE_UNDONE}\n[Time]\nNTP=\nNTP=${ntp}\n`],
    ['JOURNALD_MAX_USE_BYTES', String(node.journaldMaxUseBytes)],
    [
      'JOURNALD_CONF',
      `# Made by sitewright. ${EDITS_ARE_UNDONE}\n[Journal]\nSystemMaxUse=${node.journaldMaxUseBytes}\n`,
    ],
    ['IF_NAME', node.interface.name ?? ''],
    ['IF_MAC', node.interface.mac ?? ''],
    ['IF_MTU_BYTES', String(node.interface.mtuBytes)],
    ['ADDRESSES', node.addresses.map(asKernelWritesIt)],
    ['GATEWAYS', node.interface.gateways.map(asKernelWritesIt)],
    ['ROUTES', allRoutes(node).map(({ to, via }) => `${asRouteShows(to)} ${asKernelWritesIt(via)}`)],
    ['DNS_SERVERS', node.dns.servers.map(asKernelWritesIt)],
    ['RESOLV_CONF', resolvConf(node)],
    ['NETWORK_LINK', `[Link]\nMTUBytes=${node.interface.mtuBytes}\n`],
    ['NETWORK_BODY', networkBody(node)],
    ['NETWORKD_CONF', '[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n'],
    ['CLOUD_CFG', '# The network belongs to sitewright once the machine has started.\nnetwork: {config: disabled}\n'],
    ['OFFLOAD_RULES', rules],
    ['OFFLOAD_HELPER_TEXT', offloadHelper(rules)],
    ['HOSTS_BLOCK', hosts],
    ['INITIALISED', INITIALISED_FILE],
    ['STAMP_FILE', STAMP_FILE],
    ['AUDIT_LOG', AUDIT_LOG],
    ['MODULES_FILE', MODULES_FILE],
    ['SYSCTL_FILE', SYSCTL_FILE],
    ['OWN_NETWORK_FILE', OWN_NETWORK_FILE],
    ['OFFLOAD_HELPER', OFFLOAD_HELPER],
    ['UDEV_RULES_FILE', UDEV_RULES_FILE],
    ['MASKED_UNITS', MASKED_UNITS],
    ['HOSTS_BEGIN', HOSTS_BEGIN],
    ['HOSTS_END', HOSTS_END],
    ['RUN_DIR', '/run/sitewright'],
  ];
  return values.map(([name, value]) => assignment(name, value)).join('');
}

export const SURROUNDINGS = `# Client address, client port, address and port that this session came to.
read -r _ _ SESSION_HOST _ <<<"\${1-\${SSH_CONNECTION-}}"
read -r KERNEL </proc/sys/kernel/osrelease
`;

/** The functions of preparation, in the order in which they use each other. */
export const PREPARATION = [
  CORE,
  OFFLOAD_RULES_LIBRARY,
  PORTS,
  CERTIFICATES,
  PREFLIGHT,
  KERNEL,
  SYSTEM,
  NETWORK,
  OFFLOADS,
  FACTS,
];

/** Where a machine finds the packages that it lacks. */
export interface BundledPackages {
  bundle: Bundle;
  place: { device: string } | { directory: string };
}

/** Null where the bundle holds none, or the site has no bundle: then machines get theirs as their own apt does. */
export const bundledPackages = (bundle: Bundle | null, place: Machine['bundle']): BundledPackages | null =>
  bundle !== null && place !== null && bundle.lock.artifacts.some(({ kind }) => kind === 'package-index')
    ? { bundle, place }
    : null;

function packageData({ bundle, place }: BundledPackages): string {
  const indexes = bundle.lock.artifacts.filter(({ kind }) => kind === 'package-index');
  const values: [name: string, value: string | readonly string[]][] = [
    ...bundlePlaceValues(bundle, place),
    ['PACKAGE_INDEXES', indexes.map(({ sha256, path }) => `${sha256} ${path}`)],
  ];
  return values.map(([name, value]) => assignment(name, value)).join('');
}

/** The script of one node. Nothing runs before all of it has arrived: the call of `main` is its last line. */
export function renderNodeScript(node: NodePlan, site: SiteOfNode, packages: BundledPackages | null = null): string {
  return [
    `# Prepares ${node.name} of site ${site.site} as a Kubernetes node. Made by sitewright.\n${AS_ROOT}${SURROUNDINGS}`,
    nodeData(node, site) + (packages === null ? '' : packageData(packages)),
    ...PREPARATION,
    ...(packages === null ? [MIRROR_PACKAGES] : [WAIT_UNTIL, OPEN_BUNDLE, BUNDLE_PACKAGES]),
    MAIN,
    'main </dev/null\n',
  ].join('\n');
}
