import { create } from 'xmlbuilder2';

/** Namespace of the stamp in a domain's metadata, as `virsh metadata <domain> <namespace>` takes it. */
export const STAMP_NAMESPACE = 'urn:sitewright:machine:1';

/** How a disk's file is opened. Direct access needs O_DIRECT, which tmpfs and some network file systems do not have. */
export interface DiskAccess {
  cache: string;
  io: string;
}

/**
 * `none` and `native`: etcd waits for every fdatasync, and the page cache of the hypervisor would only stand between
 * them; `native` is possible with direct access alone.
 */
export const DIRECT_ACCESS: DiskAccess = { cache: 'none', io: 'native' };
/** Where O_DIRECT is not to be had. Flushes of the guest still reach the disk. */
export const CACHED_ACCESS: DiskAccess = { cache: 'writeback', io: 'threads' };

export interface DomainSettings {
  domain: string;
  stamp: { site: string; machine: string; hypervisor: string; id: string };
  cpus: number;
  memoryBytes: number;
  /** Of the one network interface. */
  mac: string;
  /** MTU of the host's side; the guest's can never be larger while the machine runs. */
  hostMtuBytes: number;
  attach: { bridge: string } | { libvirtNetwork: string };
  /** virtio-net queues and entries of the receive ring. */
  queues: number;
  rxQueueSize: number;
  hasEtcdDisk: boolean;
  /** Kernel command line of a direct kernel boot; null: the boot loader of the root disk. */
  kernelArguments: string | null;
}

/** What only the hypervisor knows. All of it is text: the script that finds it out puts it in for a placeholder. */
export interface HypervisorFacts {
  uuid: string;
  /** kvm or qemu. */
  domainType: string;
  /** host-passthrough, host-model or maximum. */
  cpuMode: string;
  rootFile: string;
  rootAccess: DiskAccess;
  etcdFile: string;
  etcdAccess: DiskAccess;
  seedFile: string;
  /** Used with a direct kernel boot only. */
  kernelFile: string;
  initrdFile: string;
  /** Fingerprint of the rest of this text: another one is a change of the machine's configuration. */
  configuration: string;
}

/**
 * What QEMU emulates more slowly than programs do without it. Strings that are moved and filled byte by byte (erms, fsrm): the
 * kernel of a guest starts programs in half of the time without, and fills a pipe in a seventh. AVX2: SHA-256 in Go takes a half
 * to a third without, a search for a byte a quarter (QEMU 7.2).
 */
const SLOW_WHEN_EMULATED = ['erms', 'fsrm', 'avx2'];

/** Content of `<cpu>` of an emulated machine. */
export const EMULATED_CPU_FEATURES = SLOW_WHEN_EMULATED.map(
  (name) => `<feature policy="disable" name="${name}"/>`,
).join('');

interface Disk {
  file: string;
  format: 'qcow2' | 'raw';
  access: DiskAccess | null;
  target: string;
  /** The guest's udev makes /dev/disk/by-id/virtio-<serial> of it. */
  serial: 'root' | 'etcd' | 'seed';
  bootOrder?: number;
}

function disk({ file, format, access, target, serial, bootOrder }: Disk) {
  return {
    '@type': 'file',
    '@device': 'disk',
    driver: {
      '@name': 'qemu',
      '@type': format,
      ...(access === null ? {} : { '@cache': access.cache, '@io': access.io, '@discard': 'unmap' }),
    },
    source: { '@file': file },
    target: { '@dev': target, '@bus': 'virtio' },
    ...(access === null ? { readonly: {} } : {}),
    serial,
    ...(bootOrder === undefined ? {} : { boot: { '@order': bootOrder } }),
  };
}

/**
 * libvirt domain of one machine. The seed is a virtio disk and not a CD-ROM: the cloud kernels of the distributions
 * come without a SATA driver.
 */
export function domainXml(settings: DomainSettings, facts: HypervisorFacts): string {
  const attach =
    'bridge' in settings.attach
      ? { type: 'bridge', source: { '@bridge': settings.attach.bridge } }
      : { type: 'network', source: { '@network': settings.attach.libvirtNetwork } };
  const disks = [
    disk({
      file: facts.rootFile,
      format: 'qcow2',
      access: facts.rootAccess,
      target: 'vda',
      serial: 'root',
      bootOrder: 1,
    }),
    ...(settings.hasEtcdDisk
      ? [disk({ file: facts.etcdFile, format: 'raw', access: facts.etcdAccess, target: 'vdb', serial: 'etcd' })]
      : []),
    disk({ file: facts.seedFile, format: 'raw', access: null, target: 'vdc', serial: 'seed' }),
  ];
  return create({
    domain: {
      '@type': facts.domainType,
      name: settings.domain,
      uuid: facts.uuid,
      metadata: {
        'sitewright:machine': {
          '@xmlns:sitewright': STAMP_NAMESPACE,
          '@site': settings.stamp.site,
          '@machine': settings.stamp.machine,
          '@hypervisor': settings.stamp.hypervisor,
          '@stamp': settings.stamp.id,
          '@configuration': facts.configuration,
        },
      },
      memory: { '@unit': 'bytes', '#': settings.memoryBytes },
      vcpu: settings.cpus,
      os: {
        type: { '@arch': 'x86_64', '@machine': 'q35', '#': 'hvm' },
        ...(settings.kernelArguments === null
          ? {}
          : { kernel: facts.kernelFile, initrd: facts.initrdFile, cmdline: settings.kernelArguments }),
      },
      features: { acpi: {}, apic: {} },
      cpu: { '@mode': facts.cpuMode, '@check': 'none' },
      clock: { '@offset': 'utc' },
      on_poweroff: 'destroy',
      on_reboot: 'restart',
      on_crash: 'restart',
      devices: {
        disk: disks,
        controller: { '@type': 'usb', '@model': 'none' },
        interface: {
          '@type': attach.type,
          mac: { '@address': settings.mac },
          source: attach.source,
          model: { '@type': 'virtio' },
          driver: {
            ...(settings.queues > 1 ? { '@queues': settings.queues } : {}),
            '@rx_queue_size': settings.rxQueueSize,
          },
          mtu: { '@size': settings.hostMtuBytes },
        },
        serial: { '@type': 'pty', target: { '@port': 0 } },
        console: { '@type': 'pty', target: { '@type': 'serial', '@port': 0 } },
        // kubelet counts on the memory it saw when it started: nobody may take it back.
        memballoon: { '@model': 'none' },
        rng: { '@model': 'virtio', backend: { '@model': 'random', '#': '/dev/urandom' } },
      },
    },
  }).end({ prettyPrint: true, headless: true });
}
