import { gunzipSync, gzipSync } from 'node:zlib';
import { cloudInitSeed, networkDocument, seedYaml, userDocument, type SeedSettings } from './cloudInit';
import type { Seed } from './cloudInit';

/** Where the udev rule below puts the disks of a machine, whatever the kernel calls them. */
export const VSPHERE_DEVICES = {
  root: '/dev/disk/by-id/sitewright-root',
  etcd: '/dev/disk/by-id/sitewright-etcd',
  bundle: '/dev/disk/by-id/sitewright-bundle',
};

/** Units of the disks on their SCSI controller: the guest sees unit N as target N. */
export const SCSI_UNITS = { root: 0, etcd: 1 };

const link = (device: string) => device.slice('/dev/'.length);
const scsiRule = (unit: number, device: string) =>
  `SUBSYSTEM=="block", ENV{DEVTYPE}=="disk", KERNEL=="sd*", SUBSYSTEMS=="scsi", KERNELS=="*:0:${unit}:0", ATTRS{vendor}=="VMware*", SYMLINK+="${link(device)}"`;

/** The UUID of a disk, which gives it a name of its own, is known to vCenter alone, and later than the plan. */
const DISK_RULES = [
  scsiRule(SCSI_UNITS.root, VSPHERE_DEVICES.root),
  scsiRule(SCSI_UNITS.etcd, VSPHERE_DEVICES.etcd),
  `SUBSYSTEM=="block", KERNEL=="sr0", SYMLINK+="${link(VSPHERE_DEVICES.bundle)}"`,
];

const RULES_FILE = '/etc/udev/rules.d/61-sitewright-disks.rules';

/** Before sshd starts: the first thing that the kit does on the machine may need the disks. */
const WRITE_DISK_RULES = `printf '%s\\n' ${DISK_RULES.map((rule) => `'${rule}'`).join(' ')} >${RULES_FILE} && udevadm control --reload && udevadm trigger --settle --subsystem-match=block`;

/** Keys of a machine's extra configuration that cloud-init reads through VMware's tools. */
export const METADATA_KEY = 'guestinfo.metadata';
export const USER_DATA_KEY = 'guestinfo.userdata';

/**
 * The seed of a machine for cloud-init's data source VMware. `userData` holds a private key: cloud-init is told to redact
 * it as soon as it has read it. The metadata stays, because without any the next start would count as another machine's.
 */
export function guestinfoSeed(settings: SeedSettings): Pick<Seed, 'metaData' | 'userData'> {
  const { metaData } = cloudInitSeed(settings);
  return {
    metaData: metaData + seedYaml({ network: networkDocument(settings), redact: ['userdata'] }),
    userData: `#cloud-config\n${seedYaml({ ...userDocument(settings), bootcmd: [['sh', '-c', WRITE_DISK_RULES]] })}`,
  };
}

/** A document as guestinfo has it. The same text gives the same bytes: there is no time of compression in it. */
export const encoded = (text: string) => gzipSync(text, { level: 9 }).toString('base64');

/** The extra configuration that gives a machine its seed. The value of `guestinfo.userdata` is a secret. */
export function guestinfoConfig({ metaData, userData }: Pick<Seed, 'metaData' | 'userData'>): Record<string, string> {
  return {
    [METADATA_KEY]: encoded(metaData),
    [`${METADATA_KEY}.encoding`]: 'gzip+base64',
    [USER_DATA_KEY]: encoded(userData),
    [`${USER_DATA_KEY}.encoding`]: 'gzip+base64',
  };
}

/** What `guestinfoConfig` encoded; null for a configuration without a seed. */
export function decodedSeed(extraConfig: unknown): Pick<Seed, 'metaData' | 'userData'> | null {
  const { [METADATA_KEY]: metaData, [USER_DATA_KEY]: userData } = (extraConfig ?? {}) as Record<string, unknown>;
  if (typeof metaData !== 'string' || typeof userData !== 'string') return null;
  const decode = (text: string) => gunzipSync(Buffer.from(text, 'base64')).toString('utf8');
  return { metaData: decode(metaData), userData: decode(userData) };
}
