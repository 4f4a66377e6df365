import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import { seedOfNode } from '../../components/machines/cloudInit';
import { EMULATED_CPU_FEATURES } from '../../components/machines/domainXml';
import { guestinfoConfig, guestinfoSeed, METADATA_KEY, USER_DATA_KEY } from '../../components/machines/guestinfo';
import type { NodePlan } from '../../components/plan';
import { deriveHostKey, publicKeyOf } from '../../components/secrets/hostKey';
import { makeContext } from '../../scripts/cli/context';
import { openStack } from '../../scripts/cli/secrets';
import { openSite } from '../../scripts/cli/site';
import { detectAccelerator } from '../../scripts/lab/accelerator';
import type { LabImage } from '../../scripts/lab/image';
import { labLayout } from '../../scripts/lab/layout';
import { expectExit, Lab, NODES, run, until } from './lab';
import { story } from './story';

/**
 * The guestinfo of a machine on vSphere, in a machine that calls itself one of VMware: the same cloud-init, the same data
 * source, disks that show the same vendor. What stands in is the hypervisor's store of keys, which is a folder of the machine.
 */

const SITE = 'guestinfo';
const DOMAIN = `${SITE}-lab1`;
/** None that a network card has by itself. */
const MTU_BYTES = 1450;
const ETCD_DISK_BYTES = 256 * 1024 ** 2;
const CASE_LIMIT_MILLISECONDS = 25 * 60 * 1000;
const START_LIMIT_SECONDS = 15 * 60;

jest.setTimeout(CASE_LIMIT_MILLISECONDS);

const STORE = '/var/lib/guestinfo';
const RPCTOOL = `#!/bin/sh
# info-get KEY, info-set KEY VALUE: as one argument.
action=\${1%% *} rest=\${1#* }
key=\${rest%% *}
case $action in
  info-get) cat "${STORE}/$key" 2>/dev/null || { echo 'No value found' >&2; exit 1; } ;;
  info-set) value=\${rest#"$key"}; printf '%s' "\${value# }" >"${STORE}/$key" ;;
esac
`;

const lab = new Lab(SITE);
const step = story();

/** The site of the lab on a vCenter that nobody asks: what a machine gets is known without it. */
function onVsphere(text: string): string {
  const document = parseDocument(text);
  document.deleteIn(['machines', 'kvm']);
  document.setIn(['machines', 'provider'], 'vsphere');
  document.setIn(['underlay', 'mtu'], MTU_BYTES);
  document.setIn(['machines', 'vsphere'], {
    server: 'vcenter.example',
    template: { name: 'debian-12' },
    placements: [{ name: 'main', datacenter: 'DC1', cluster: 'compute', datastore: 'vsan' }],
    networks: [{ name: 'nodes', portGroup: 'nodes', subnets: ['lab'] }],
  });
  return document.toString();
}

/** What the program registers as the extra configuration of the machine. */
async function guestinfo(): Promise<{ node: NodePlan; config: Record<string, string> }> {
  const context = makeContext({ stacks: lab.stacksDir });
  const { plan } = openSite(context, SITE);
  const { config } = await openStack(context, plan);
  const node = plan.nodes.find(({ name }) => name === 'lab1')!;
  const seed = guestinfoSeed({
    instanceId: '3f0c2a52-6f6a-5c1e-9b6e-0d6c1f3f8e11',
    authorizedKey: publicKeyOf(config['sitewright:sshPrivateKey']!.value),
    hostKey: deriveHostKey(config['sitewright:hostKeySeed']!.value, node.name),
    ...seedOfNode(node),
  });
  return { node, config: guestinfoConfig(seed) };
}

/** The lab's image, asked to look for guestinfo only, with the stand-in of the tool and what its store holds. */
async function makeDisk(image: LabImage, config: Record<string, string>): Promise<string> {
  const disk = join(labLayout(SITE).poolDirectory, `${DOMAIN}.raw`);
  expectExit(await run('qemu-img', ['convert', '-O', 'raw', image.image.path, disk]), 0);
  const files: Record<string, { content: string; mode: string }> = {
    '/usr/bin/vmware-rpctool': { content: RPCTOOL, mode: '0100755' },
    '/etc/cloud/ds-identify.cfg': { content: 'policy: enabled\ndatasource: VMware\n', mode: '0100644' },
    '/etc/cloud/cloud.cfg.d/90_vmware.cfg': {
      content:
        'datasource_list: [VMware]\n' +
        'cloud_init_modules: [bootcmd, write-files, growpart, resizefs, set_hostname, users-groups, ssh]\n',
      mode: '0100644',
    },
  };
  for (const [key, value] of Object.entries(config)) files[`${STORE}/${key}`] = { content: value, mode: '0100600' };
  const sources = join(lab.folder, 'files');
  mkdirSync(sources, { mode: 0o700 });
  const commands = Object.entries(files).flatMap(([path, { content, mode }], index) => {
    const source = join(sources, String(index));
    writeFileSync(source, content, { mode: 0o600 });
    return [`rm ${path}`, `write ${source} ${path}`, `set_inode_field ${path} mode ${mode}`];
  });
  const script = join(lab.folder, 'debugfs');
  writeFileSync(script, [`mkdir ${STORE}`, ...commands, ''].join('\n'));
  // It goes on after a file that was not there to be removed; whether all is written is seen below.
  await run('/usr/sbin/debugfs', ['-w', '-f', script, disk]);
  for (const path of Object.keys(files)) {
    const { stdout } = await run('/usr/sbin/debugfs', ['-R', `cat ${path}`, disk]);
    expect(stdout).toBe(files[path]!.content);
  }
  return disk;
}

interface Disks {
  root: string;
  etcd: string;
}

const scsiDisk = (file: string, target: number) => `
  <disk type='file' device='disk'>
    <driver name='qemu' type='raw' cache='unsafe'/>
    <source file='${file}'/>
    <target dev='sd${'ab'[target]}' bus='scsi'/>
    <vendor>VMware</vendor>
    <product>Virtual disk</product>
    <address type='drive' controller='0' bus='0' target='${target}' unit='0'/>
  </disk>`;

/** The name of the product is what cloud-init knows VMware by; units of disks are where the kit puts them on vSphere. */
const domainXml = (image: LabImage, domainType: string, mac: string, disks: Disks) => `
<domain type='${domainType}'>
  <name>${DOMAIN}</name>
  <memory unit='MiB'>1024</memory>
  <vcpu>2</vcpu>
  <sysinfo type='smbios'>
    <system>
      <entry name='manufacturer'>VMware, Inc.</entry>
      <entry name='product'>VMware7,1</entry>
    </system>
  </sysinfo>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>${image.kernel.path}</kernel>
    <initrd>${image.initrd.path}</initrd>
    <cmdline>${image.kernelArgs}</cmdline>
    <smbios mode='sysinfo'/>
  </os>
  <features><acpi/><apic/></features>
  ${domainType === 'kvm' ? `<cpu mode='host-passthrough' check='none'/>` : `<cpu mode='maximum' check='none'>${EMULATED_CPU_FEATURES}</cpu>`}
  <devices>${scsiDisk(disks.root, 0)}${scsiDisk(disks.etcd, 1)}
    <controller type='scsi' index='0' model='virtio-scsi'/>
    <controller type='usb' model='none'/>
    <interface type='bridge'>
      <mac address='${mac}'/>
      <source bridge='${labLayout(SITE).subnets[0].bridge}'/>
      <model type='virtio'/>
    </interface>
    <serial type='pty'><target port='0'/></serial>
    <memballoon model='none'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>`;

/** Whether the machine lets the site's user in, by the key that the kit knows before the first connection. */
const answers = () =>
  lab.ssh('lab1', 'true').then(
    () => true,
    () => false,
  );
const bootId = () => lab.ssh('lab1', 'cat /proc/sys/kernel/random/boot_id');
const stored = (key: string) => lab.ssh('lab1', `sudo cat '${STORE}/${key}'`);

afterAll(async () => {
  await lab.host('down', '--name', SITE);
  lab.remove();
});

describe('the guestinfo of a machine', () => {
  let node: NodePlan;
  let config: Record<string, string>;

  step(
    'starts it with its addresses, its MTU, the host key that is known before, and names for its disks',
    async () => {
      await lab.host('down', '--name', SITE);
      expectExit(await lab.host('up', '--name', SITE), 0);
      lab.edit(onVsphere);
      expectExit(await lab.sitewright('new', SITE, '--json'), 0);
      ({ node, config } = await guestinfo());

      const printed = await lab.host('image');
      expectExit(printed, 0);
      const image = JSON.parse(printed.stdout) as LabImage;
      const { domainType } = await detectAccelerator(image.kernel.path);
      const root = await makeDisk(image, config);
      const etcd = join(labLayout(SITE).poolDirectory, `${DOMAIN}-etcd.raw`);
      expectExit(await run('qemu-img', ['create', '-f', 'raw', etcd, String(ETCD_DISK_BYTES)]), 0);
      const definition = join(lab.folder, 'domain.xml');
      writeFileSync(definition, domainXml(image, domainType, node.interface.mac!, { root, etcd }));
      expect(await lab.virsh('define', definition)).toContain('defined');
      await lab.virsh('start', DOMAIN);
      await until('SSH of the machine answers', START_LIMIT_SECONDS, answers);

      expect(await lab.ssh('lab1', 'hostname')).toBe('lab1');
      expect(await lab.ssh('lab1', 'sudo cat /var/lib/cloud/instance/datasource')).toContain('DataSourceVMware');
      const links = JSON.parse(await lab.ssh('lab1', 'ip -j addr show')) as {
        address: string;
        mtu: number;
        addr_info: { local: string; prefixlen: number; scope: string }[];
      }[];
      const card = links.find(({ address }) => address === node.interface.mac)!;
      expect(card.mtu).toBe(MTU_BYTES);
      const addresses = card.addr_info.filter(({ scope }) => scope === 'global');
      expect(addresses.map(({ local, prefixlen }) => `${local}/${prefixlen}`).sort()).toEqual(
        [...node.addresses].sort(),
      );
      expect(node.addresses.map((address) => address.split('/')[0])).toContain(NODES.lab1);

      const device = (link: string) =>
        lab.ssh('lab1', `lsblk -dnbo TYPE,SIZE "$(readlink -f /dev/disk/by-id/${link})"`);
      expect(await device('sitewright-etcd')).toMatch(new RegExp(`^disk +${ETCD_DISK_BYTES}$`));
      expect(await lab.ssh('lab1', 'lsblk -no MOUNTPOINT "$(readlink -f /dev/disk/by-id/sitewright-root)"')).toBe('/');
    },
  );

  step(
    'is without the private key once it was read, and the next start is the same machine with the same key',
    async () => {
      expect(await stored(USER_DATA_KEY)).toBe('---');
      expect(await stored(METADATA_KEY)).toBe(config[METADATA_KEY]);

      const before = await bootId();
      const instance = await lab.ssh('lab1', 'sudo cat /var/lib/cloud/data/instance-id');
      // The connection goes down with the machine.
      await lab.ssh('lab1', 'sudo systemctl reboot').catch(() => undefined);
      await until('the machine has started again', START_LIMIT_SECONDS, async () => {
        const now = await bootId().catch(() => before);
        return now !== before;
      });
      expect(await lab.ssh('lab1', 'sudo cat /var/lib/cloud/data/instance-id')).toBe(instance);
      expect(await lab.ssh('lab1', 'cat /sys/class/net/*/mtu')).toMatch(new RegExp(`^${MTU_BYTES}$`, 'm'));
      expect(await stored(USER_DATA_KEY)).toBe('---');
    },
  );
});
