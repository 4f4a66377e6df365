import { convert } from 'xmlbuilder2';
import { hypervisorScript, hypervisorVariables } from '../machines/hypervisorScript';
import { hostMtuBytes } from '../machines/machineScript';
import { domainName } from '../plan/machines';
import type { KvmPlan, NodePlan, SitePlan } from '../plan/types';
import type { Difference } from './types';

/** Virtual machines as libvirt has them. What cloud-init was given is not looked at: it reaches new machines only. */

type Hypervisor = KvmPlan['hypervisors'][number];

const READ = `
main() {
  local domain defined live
  require_libvirt
  for domain in $domains; do
    defined=$(vir dumpxml --inactive "$domain" 2>/dev/null) || defined=
    live=$(vir dumpxml "$domain" 2>/dev/null) || live=
    printf '%s\\t%s\\t%s\\t%s\\t%s\\n' "$domain" "$(vir domstate "$domain" 2>/dev/null || true)" \\
      "$(vir dominfo "$domain" 2>/dev/null | sed -n 's/^Autostart: *//p' || true)" \\
      "$(printf '%s' "$defined" | base64 -w 0)" "$(printf '%s' "$live" | base64 -w 0)"
  done
}
`;

/** A script for the user of a hypervisor; reads only. One line a machine, for `machineDifferences`. */
export const renderMachinesScript = (hypervisor: Hypervisor, site: string, nodes: readonly NodePlan[]): string =>
  hypervisorScript({
    variables: {
      ...hypervisorVariables(hypervisor),
      domains: nodes.map(({ name }) => domainName(site, name)).join(' '),
    },
    functions: [READ],
    readFrom: 'stdin',
  });

interface Reading {
  state: string;
  autostart: string;
  /** XML of the definition and of the machine that runs. */
  defined: string;
  live: string;
}

/** @param stdout of the script of `renderMachinesScript`, for the same nodes. */
export function machineDifferences(
  { site, machines }: SitePlan,
  nodes: readonly NodePlan[],
  stdout: string,
): Difference[] {
  const text = (part: string | undefined) => Buffer.from(part ?? '', 'base64').toString('utf8');
  const readings = new Map(
    stdout.split('\n').map((line): [string, Reading] => {
      const [domain, state = '', autostart = '', defined, live] = line.split('\t');
      return [domain!, { state, autostart, defined: text(defined), live: text(live) }];
    }),
  );
  return nodes.flatMap((node) => ofMachine(site, machines.kvm!, node, readings.get(domainName(site, node.name))));
}

function ofMachine(site: string, kvm: KvmPlan, node: NodePlan, reading: Reading | undefined): Difference[] {
  const hypervisor = kvm.hypervisors.find(({ name }) => name === node.kvm?.hypervisor)!;
  const domain = domainName(site, node.name);
  const difference = (what: string, wanted: string, found: string, more: Partial<Difference>): Difference[] =>
    wanted === found ? [] : [{ where: node.name, role: null, what, wanted, found, why: '', ...more }];
  if (reading === undefined || reading.defined === '') {
    const why = `${hypervisor.name} has no domain ${domain}; preview shows what is left of it`;
    return difference('virtual machine', 'defined', 'absent', { why });
  }
  const edit = `put it back with: virsh -c '${hypervisor.uri}' edit ${domain}`;
  const restart = 'the definition is as planned; it takes effect when the machine starts again';
  const [defined, live] = [valuesOf(reading.defined), reading.live === '' ? null : valuesOf(reading.live)];
  const planned = plannedValues(kvm, node);
  return [
    ...difference('virtual machine', 'running', reading.state, { role: 'domain' }),
    ...difference('autostart', kvm.autostart ? 'enable' : 'disable', reading.autostart, { role: 'domain' }),
    ...Object.entries(planned).flatMap(([what, wanted]) =>
      defined[what] === wanted
        ? difference(what, wanted, live?.[what] ?? wanted, { why: restart })
        : difference(what, wanted, defined[what] ?? '', { why: edit }),
    ),
  ];
}

type Values = Record<string, string>;

function plannedValues(kvm: KvmPlan, node: NodePlan): Values {
  const { cpus, memoryBytes, attach, queues } = node.kvm!;
  return {
    cpus: String(cpus),
    'memory in bytes': String(memoryBytes),
    'MAC address': node.interface.mac ?? '',
    attachment: 'bridge' in attach ? `bridge ${attach.bridge}` : `network ${attach.libvirtNetwork}`,
    queues: String(queues),
    'receive ring': String(kvm.rxQueueSize),
    'MTU of the host side': String(hostMtuBytes(node.interface.mtuBytes)),
  };
}

type Element = Record<string, unknown>;

/** libvirt writes sizes in KiB, whatever it was given. */
const UNIT_BYTES: Record<string, number> = { b: 1, bytes: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

function valuesOf(xml: string): Values {
  const { domain } = convert({ encoding: 'utf8' }, xml, { format: 'object' }) as unknown as { domain: Element };
  const [nic] = listOf(at(domain, 'devices', 'interface'));
  const memory = at(domain, 'memory');
  const source = at(nic, 'source');
  const bridge = textOf(at(source, '@bridge'));
  const network = textOf(at(source, '@network'));
  return {
    cpus: textOf(at(domain, 'vcpu')),
    'memory in bytes': String(Number(textOf(memory)) * (UNIT_BYTES[textOf(at(memory, '@unit'))] ?? NaN)),
    'MAC address': textOf(at(nic, 'mac', '@address')),
    // The XML of a machine that runs names the bridge of its network too.
    attachment: network !== '' ? `network ${network}` : `bridge ${bridge}`,
    queues: textOf(at(nic, 'driver', '@queues')) || '1',
    'receive ring': textOf(at(nic, 'driver', '@rx_queue_size')),
    'MTU of the host side': textOf(at(nic, 'mtu', '@size')),
  };
}

const at = (element: unknown, ...path: string[]): unknown =>
  path.reduce<unknown>((here, key) => (here as Element | undefined)?.[key], element);
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : value === undefined ? [] : [value]);
/** An element with attributes has its text apart. */
const textOf = (value: unknown): string =>
  typeof value === 'object' && value !== null
    ? textOf((value as Element)['#'])
    : value === undefined
      ? ''
      : String(value);
