import { z } from 'zod';
import {
  addressWithPrefix,
  hostKey,
  hostOrIp,
  labelKey,
  labelValue,
  mac,
  name,
  perFamily,
  sha256,
  size,
  text,
} from './values';
import { vsphere } from './vsphereSchema';

/** `machines`: who makes the machines of a site, and what each of them is. */

const sshEndpoint = z.strictObject({
  host: hostOrIp().meta({ description: 'Name or address to connect to.', examples: ['192.0.2.2'] }),
  port: z.int().min(1).max(65535).default(22).meta({ description: 'TCP port.' }),
  user: z
    .string()
    .min(1)
    .default('root')
    .meta({ description: 'User to log in as; needs sudo without a password unless it is root.' }),
  hostKey: hostKey().meta({
    description: "The host's ed25519 public key. Another key is refused, never accepted.",
    examples: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…'],
  }),
});

const machineSize = {
  cpus: z
    .int()
    .min(1)
    .max(512)
    .optional()
    .meta({ unit: 'CPUs', description: 'Virtual CPUs. Growing it needs a restart of the machine.' }),
  memory: size().optional().meta({ description: 'Memory. Growing it needs a restart of the machine.' }),
  rootDisk: size().optional().meta({ description: 'Size of the root disk; it can grow, never shrink.' }),
  etcdDisk: z
    .union([z.literal('none'), size()])
    .optional()
    .meta({
      description: 'Size of a separate disk for etcd on control-plane machines, or none. It can grow, never shrink.',
    }),
};

const hypervisor = z.strictObject({
  name: name().meta({
    description: 'Name of the hypervisor; lists merge by it and machines refer to it.',
    examples: ['hv1'],
  }),
  connection: z.union([z.literal('local'), sshEndpoint]).meta({
    description: '`local` for the machine that runs the program, or the SSH endpoint of a libvirt host.',
    examples: ['local'],
  }),
  uri: text(/^(qemu|test)(\+unix)?:\/\//, 'a libvirt URI on that host, such as qemu:///system')
    .default('qemu:///system')
    .meta({ description: 'libvirt connection URI, as seen on that host.' }),
  pool: z
    .string()
    .default('default')
    .meta({ description: 'libvirt storage pool (type dir) for root disks, seeds and base images.' }),
  etcdPool: z
    .string()
    .optional()
    .meta({ description: 'libvirt storage pool for etcd disks, on fast media (NVMe). Default: `pool`.' }),
  domainType: z
    .enum(['auto', 'kvm', 'qemu'])
    .default('auto')
    .meta({ description: '`kvm`, `qemu` (software emulation), or `auto`: kvm where the host offers it.' }),
});

const image = z.strictObject({
  path: z.string().optional().meta({ description: 'File on the hypervisor. One of `path` and `url` is required.' }),
  url: text(/^https?:\/\//, 'an http or https URL')
    .optional()
    .meta({ description: 'URL the hypervisor downloads the image from, once per content.' }),
  sha256: sha256().meta({
    description: 'Checksum of the image file. Another content is refused.',
    examples: ['the 64 digits that sha256sum prints'],
  }),
  format: z.enum(['qcow2', 'raw']).default('qcow2').meta({ description: 'Format of the image file.' }),
  kernel: z
    .strictObject({
      path: z
        .string()
        .meta({ description: 'Kernel file on the hypervisor.', examples: ['/var/lib/libvirt/images/vmlinuz'] }),
      sha256: sha256().meta({
        description: 'Checksum of the kernel file.',
        examples: ['the 64 digits that sha256sum prints'],
      }),
      initrd: z
        .string()
        .meta({ description: 'Initial RAM disk on the hypervisor.', examples: ['/var/lib/libvirt/images/initrd.img'] }),
      initrdSha256: sha256().meta({
        description: 'Checksum of the initial RAM disk.',
        examples: ['the 64 digits that sha256sum prints'],
      }),
      arguments: z.string().default('root=LABEL=root ro console=ttyS0').meta({ description: 'Kernel command line.' }),
    })
    .optional()
    .meta({ description: 'Boot this kernel directly, for images without a boot loader.' }),
});

const kvm = z.strictObject({
  hypervisors: z
    .array(hypervisor)
    .min(1)
    .meta({
      description: 'Hosts that run the machines. Merged by name.',
      examples: [[{ name: 'hv1', connection: 'local' }]],
    }),
  image: z.union([z.literal('lab'), image]).meta({
    description:
      'Base image with cloud-init, or `lab`: the image that the lab builds on this machine, whose path and checksum differ from machine to machine. A change reaches new machines only.',
    examples: [{ path: '/var/lib/libvirt/images/debian-12.qcow2', sha256: 'the 64 digits that sha256sum prints' }],
  }),
  volumes: z
    .enum(['overlay', 'copy'])
    .default('overlay')
    .meta({ description: '`overlay`: root disks share the base image; `copy`: each has a full copy.' }),
  network: z
    .union([
      z.strictObject({
        bridge: z
          .string()
          .min(1)
          .max(15)
          .meta({ description: 'Name of a Linux bridge on every hypervisor.', examples: ['br0'] }),
      }),
      z.strictObject({
        libvirtNetwork: z
          .string()
          .min(1)
          .meta({ description: 'Name of a libvirt network on every hypervisor.', examples: ['default'] }),
      }),
    ])
    .meta({
      description: 'What the network interface of every machine is attached to. A machine can name its own bridge.',
      examples: [{ bridge: 'br0' }],
    }),
  queues: z
    .union([z.literal('auto'), z.int().min(1).max(64)])
    .default('auto')
    .meta({ description: 'virtio-net queues; `auto` is one per CPU, at most 8.' }),
  rxQueueSize: z
    .union([z.literal(256), z.literal(512), z.literal(1024)])
    .default(1024)
    .meta({
      unit: 'descriptors',
      description: 'virtio-net receive ring in descriptors, set on the host side; 1024 avoids drops under bursts.',
    }),
  cpuMode: z
    .enum(['auto', 'host-passthrough', 'host-model', 'maximum'])
    .default('auto')
    .meta({ description: '`auto`: host-passthrough with kvm, maximum with software emulation.' }),
  autostart: z.boolean().default(true).meta({ description: 'Start the machines when the hypervisor starts.' }),
  antiAffinity: z
    .enum(['warn', 'off'])
    .default('warn')
    .meta({ description: 'Warn about several control-plane machines on one hypervisor.' }),
});

const node = z.strictObject({
  name: name().meta({
    description: 'Host name and Kubernetes node name. Lists merge by it; a new name is a new machine.',
    examples: ['cp1'],
  }),
  role: z
    .enum(['control-plane', 'worker'])
    .meta({ description: 'Role in the cluster. control-plane machines hold etcd.', examples: ['control-plane'] }),
  state: z.enum(['active', 'leaving', 'dead']).default('active').meta({
    description:
      'Place in the cluster. `leaving`: `up` drains the node and takes it out; then its lines can be deleted. `dead`: the machine is lost and never starts again; `up` takes it out without asking it.',
  }),
  addresses: perFamily(addressWithPrefix()).meta({
    description: 'Static addresses with prefix length, one per family, each inside a subnet of `underlay.subnets`.',
    examples: [['192.0.2.11/24']],
  }),
  mac: mac()
    .optional()
    .meta({ description: 'MAC address of the network interface. Default: made from the site and the name.' }),
  interface: text(/^[a-z][a-z0-9]{0,14}$/, 'the name of a network interface, such as ens192')
    .optional()
    .meta({ description: 'Interface that carries the addresses. Default: the one that has them.' }),
  hypervisor: name().optional().meta({ description: 'kvm: hypervisor that runs it. Default: the only one.' }),
  bridge: z
    .string()
    .min(1)
    .max(15)
    .optional()
    .meta({ description: 'kvm: attach to this bridge instead of `kvm.network`.' }),
  placement: name().optional().meta({
    description: 'vsphere: item of `vsphere.placements` that runs it. Default: the only one, or the one of its zone.',
  }),
  ...machineSize,
  zone: labelValue().optional().meta({
    description:
      'Failure zone (label topology.kubernetes.io/zone), such as a rack: Services and replicas spread over them.',
  }),
  labels: z
    .record(labelKey(), z.union([z.literal(''), labelValue()]))
    .default({})
    .meta({ description: 'Labels of the node in the cluster.' }),
  taints: z
    .array(
      z.strictObject({
        key: labelKey().meta({ description: 'Key of the taint.', examples: ['dedicated'] }),
        value: labelValue().optional().meta({ description: 'Value of the taint. Default: none.' }),
        effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).meta({
          description: 'What happens to pods that do not tolerate it.',
          examples: ['NoSchedule'],
        }),
      }),
    )
    .default([])
    .meta({ description: 'Taints of the node in the cluster, beside that of the control plane.' }),
  ssh: z
    .strictObject({
      host: hostOrIp().optional().meta({ description: 'Address to connect to. Default: the first of `addresses`.' }),
      port: z.int().min(1).max(65535).default(22).meta({ description: 'TCP port.' }),
      hostKey: hostKey().optional().meta({
        description:
          "existing: the machine's ed25519 public key (required). kvm, vsphere: made from the site's secrets.",
      }),
    })
    .optional()
    .meta({ description: 'How to reach this machine where it differs from `machines.ssh`.' }),
});

export const machines = z.strictObject({
  provider: z
    .enum(['kvm', 'vsphere', 'existing'])
    .meta({ description: 'Who makes the machines: libvirt, vCenter, or nobody (they are there).', examples: ['kvm'] }),
  ssh: z
    .strictObject({
      user: name().default('sitewright').meta({
        description: 'User the kit logs in as; made by cloud-init on kvm and vsphere. Needs sudo without a password.',
      }),
      jump: sshEndpoint.optional().meta({ description: 'Jump host, when the machines cannot be reached directly.' }),
    })
    .prefault({})
    .meta({ description: 'SSH access to the machines. The key is one of the secrets of the site.' }),
  defaults: z.strictObject(machineSize).prefault({}).meta({
    description:
      'Sizes of machines that do not state their own. kvm and vsphere need cpus, memory and rootDisk from either.',
  }),
  kvm: kvm.optional().meta({ description: 'libvirt settings; required with provider kvm.' }),
  vsphere: vsphere.optional().meta({ description: 'vSphere settings; required with provider vsphere.' }),
  nodes: z
    .array(node)
    .min(1)
    .meta({
      description: 'The machines. Merged by name.',
      examples: [[{ name: 'cp1', role: 'control-plane', addresses: ['192.0.2.11/24'] }]],
    }),
});
