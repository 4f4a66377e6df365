import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { machineDifferences, renderMachinesScript } from '../../components/drift/machines';
import { CACHED_ACCESS, domainXml } from '../../components/machines/domainXml';
import { kvmSite, node, planOf } from '../plan/site';

const plan = planOf(kvmSite([node('cp1', 1, 11, { role: 'control-plane' })]));
const [machine] = plan.nodes;

/** As libvirt gives back what the kit defines: sizes in KiB. */
const xml = domainXml(
  {
    domain: 'oslo-cp1',
    stamp: { site: 'oslo', machine: 'cp1', hypervisor: 'hv1', id: '1' },
    cpus: 2,
    memoryBytes: 4 * 1024 ** 3,
    mac: machine.interface.mac!,
    hostMtuBytes: 1501,
    attach: { bridge: 'br0' },
    queues: 2,
    rxQueueSize: plan.machines.kvm!.rxQueueSize,
    hasEtcdDisk: false,
    kernelArguments: null,
  },
  {
    uuid: '00000000-0000-4000-8000-000000000001',
    ...{ domainType: 'kvm', cpuMode: 'host-passthrough', rootFile: '/r', rootAccess: CACHED_ACCESS, etcdFile: '' },
    ...{ etcdAccess: CACHED_ACCESS, seedFile: '/s', kernelFile: '', initrdFile: '', configuration: 'c' },
  },
).replace(/<memory unit="bytes">\d+</, '<memory unit="KiB">4194304<');

/** The script with a virsh that answers from files. */
function read(defined: string, { live = defined, state = 'running', autostart = 'enable' } = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-virsh-'));
  const program = (name: string, text: string) =>
    fs.writeFileSync(path.join(folder, name), `#!/bin/bash\n${text}\n`, { mode: 0o755 });
  fs.writeFileSync(path.join(folder, 'defined'), defined);
  fs.writeFileSync(path.join(folder, 'live'), live);
  program(
    'virsh',
    `case "$*" in
      *' dumpxml --inactive oslo-cp1') [ -s ${folder}/defined ] && cat ${folder}/defined ;;
      *' dumpxml oslo-cp1') [ -s ${folder}/live ] && cat ${folder}/live ;;
      *' domstate oslo-cp1') echo '${state}' ;;
      *' dominfo oslo-cp1') printf 'Id: 1\\nAutostart:      ${autostart}\\n' ;;
      *' uri') echo qemu:///system ;;
      *) exit 1 ;;
    esac`,
  );
  program('qemu-img', '');
  try {
    const script = renderMachinesScript(plan.machines.kvm!.hypervisors[0], plan.site, plan.nodes);
    const env = { ...process.env, PATH: `${folder}:${process.env.PATH}` };
    const { status, stdout, stderr } = spawnSync('bash', ['-s'], { input: script, encoding: 'utf8', env });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return machineDifferences(plan, plan.nodes, stdout).map(
      ({ where, role, what, wanted, found }) => `${where} ${role}: ${what} | ${wanted} | ${found}`,
    );
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

test('a machine as the kit defines it', () => {
  expect(read(xml)).toEqual([]);
});

test.each<[string, () => string[], string[]]>([
  ['fewer CPUs', () => read(xml.replace('<vcpu>2<', '<vcpu>1<')), ['cp1 null: cpus | 2 | 1']],
  [
    'a machine that has not started again since its definition changed',
    () => read(xml, { live: xml.replace('>4194304<', '>2097152<') }),
    ['cp1 null: memory in bytes | 4294967296 | 2147483648'],
  ],
  [
    'another bridge and MAC address',
    () => read(xml.replace('bridge="br0"', 'bridge="br9"').replace(machine.interface.mac!, '52:54:00:ff:ff:ff')),
    [
      `cp1 null: MAC address | ${machine.interface.mac} | 52:54:00:ff:ff:ff`,
      'cp1 null: attachment | bridge br0 | bridge br9',
    ],
  ],
  [
    'one queue, of which libvirt says nothing',
    () => read(xml.replace(' queues="2"', '')),
    ['cp1 null: queues | 2 | 1'],
  ],
  [
    'a lower MTU',
    () => read(xml.replace('size="1501"', 'size="1400"')),
    ['cp1 null: MTU of the host side | 1501 | 1400'],
  ],
  [
    'a machine that is off and would stay off',
    () => read(xml, { live: '', state: 'shut off', autostart: 'disable' }),
    ['cp1 domain: virtual machine | running | shut off', 'cp1 domain: autostart | enable | disable'],
  ],
  ['no machine at all', () => read('', { live: '' }), ['cp1 null: virtual machine | defined | absent']],
])('%s', (_title, found, expected) => {
  expect(found()).toEqual(expected);
});
