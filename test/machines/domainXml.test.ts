import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CACHED_ACCESS,
  DIRECT_ACCESS,
  domainXml,
  type DomainSettings,
  type HypervisorFacts,
} from '../../components/machines/domainXml';
import { expectGolden } from './golden';

const settings: DomainSettings = {
  domain: 'acme-cp1',
  stamp: { site: 'acme', machine: 'cp1', hypervisor: 'hv1', id: '4b1d' },
  cpus: 4,
  memoryBytes: 8 * 1024 ** 3,
  mac: '52:54:00:12:34:56',
  hostMtuBytes: 9001,
  attach: { bridge: 'br0' },
  queues: 4,
  rxQueueSize: 1024,
  hasEtcdDisk: true,
  kernelArguments: null,
};

const facts: HypervisorFacts = {
  uuid: '6f1c8f8e-3f0a-5d3b-9a53-5f2f3f1c9a11',
  domainType: 'kvm',
  cpuMode: 'host-passthrough',
  rootFile: '/var/lib/libvirt/images/acme-cp1-root.qcow2',
  rootAccess: DIRECT_ACCESS,
  etcdFile: '/nvme/acme-cp1-etcd.raw',
  etcdAccess: DIRECT_ACCESS,
  seedFile: '/var/lib/libvirt/images/acme-cp1-seed.iso',
  kernelFile: '/var/lib/libvirt/images/sitewright-base-cdcdcdcdcdcd.kernel',
  initrdFile: '/var/lib/libvirt/images/sitewright-base-efefefefefef.initrd',
  configuration: '0'.repeat(64),
};

const emulated: [DomainSettings, HypervisorFacts] = [
  {
    ...settings,
    attach: { libvirtNetwork: 'lab' },
    queues: 1,
    rxQueueSize: 256,
    hasEtcdDisk: false,
    kernelArguments: 'root=LABEL=root ro console=ttyS0',
  },
  { ...facts, domainType: 'qemu', cpuMode: 'maximum', rootAccess: CACHED_ACCESS },
];

test('a control-plane machine on kvm, from its boot loader', () => {
  expectGolden('domain-kvm.xml', domainXml(settings, facts));
});

test('an emulated worker that boots a kernel', () => {
  expectGolden('domain-qemu.xml', domainXml(...emulated));
});

test('values are escaped, whatever they hold', () => {
  const xml = domainXml({ ...emulated[0], kernelArguments: 'a<b & "c"' }, emulated[1]);
  expect(xml).toContain('<cmdline>a&lt;b &amp; "c"</cmdline>');
});

// virt-xml-validate comes with libvirt-clients and needs xmllint; where they are missing the goldens stand alone.
const hasValidator = spawnSync('sh', ['-c', 'command -v virt-xml-validate && command -v xmllint']).status === 0;
test.each(hasValidator ? [[settings, facts] as const, emulated] : [])("libvirt's schema accepts it", (...machine) => {
  const folder = mkdtempSync(join(tmpdir(), 'domain-'));
  try {
    const file = join(folder, 'domain.xml');
    writeFileSync(file, domainXml(...machine));
    execFileSync('virt-xml-validate', [file, 'domain'], { stdio: 'pipe' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
