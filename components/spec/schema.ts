import { Address4, Address6 } from 'ip-address';
import * as semver from 'semver';
import { z } from 'zod';
import { DURATION_PATTERN, PERCENT_PATTERN, SIZE_PATTERN } from './units';

/**
 * What a person may write in a site file. This schema is the one source of the types, of validation and of
 * `stacks/site.schema.json`. A key is here only when something acts on it: unknown keys are errors.
 * Checks that need more than one key (overlaps, sums, versions) belong to components/plan.
 *
 * Beside `description`, keys carry what messages, editors and the key reference are made of: `allowed` says in words
 * what a pattern takes, `unit` is the unit of a plain number, `examples` go into the message about a missing key.
 */

const text = (pattern: RegExp, allowed: string) =>
  z
    .string()
    .regex(pattern, { error: `allowed: ${allowed}` })
    .meta({ allowed });
const checked = (valid: (value: string) => boolean, allowed: string) =>
  z
    .string()
    .refine(valid, { error: `allowed: ${allowed}` })
    .meta({ allowed });

/** Names become host names, libvirt domains and Pulumi resource names: RFC 1123 labels. */
const name = () => text(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'lower-case letters, digits and dashes, at most 63');
const size = () => text(SIZE_PATTERN, 'a whole number and B, KiB, MiB, GiB or TiB, such as 4GiB');
const duration = () => text(DURATION_PATTERN, 'a number and ms, s, m or h, such as 15s');
const percent = () => text(PERCENT_PATTERN, 'a number and %, such as 0.5%');
const sha256 = () => text(/^[0-9a-f]{64}$/, 'the 64 hexadecimal digits that sha256sum prints');
const mac = () => text(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/, 'six lower-case hexadecimal bytes, such as 52:54:00:12:34:56');

const isIp = (value: string) => !value.includes('/') && (Address4.isValid(value) || Address6.isValid(value));
const isPrefix = (value: string) => value.includes('/') && (Address4.isValid(value) || Address6.isValid(value));
const ip = () => checked(isIp, 'an IPv4 or IPv6 address without a prefix length, such as 192.0.2.11');
const hostOrIp = () => text(/^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$/, 'a host name or an address');
const addressWithPrefix = () => checked(isPrefix, 'an address and its prefix length, such as 192.0.2.11/24');
/** The plan checks that no host bits are set. */
const cidr = () => checked(isPrefix, 'a network and its prefix length, such as 10.244.0.0/16');
/** One per family at most: the plan refuses two of the same. */
const perFamily = <T extends z.ZodType>(item: T) => z.array(item).min(1).max(2);

const hostKey = () =>
  text(/^ssh-ed25519 [A-Za-z0-9+/]+=*$/, 'the line of ssh_host_ed25519_key.pub without its comment: ssh-ed25519 AAAA…');

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
  ...machineSize,
  ssh: z
    .strictObject({
      host: hostOrIp().optional().meta({ description: 'Address to connect to. Default: the first of `addresses`.' }),
      port: z.int().min(1).max(65535).default(22).meta({ description: 'TCP port.' }),
      hostKey: hostKey().optional().meta({
        description: "existing: the machine's ed25519 public key (required). kvm: made from the site's secrets.",
      }),
    })
    .optional()
    .meta({ description: 'How to reach this machine where it differs from `machines.ssh`.' }),
});

const machines = z.strictObject({
  provider: z
    .enum(['kvm', 'existing'])
    .meta({ description: 'Who makes the machines: libvirt, or nobody (they are there).', examples: ['kvm'] }),
  ssh: z
    .strictObject({
      user: name()
        .default('sitewright')
        .meta({ description: 'User the kit logs in as; made by cloud-init on kvm. Needs sudo without a password.' }),
      jump: sshEndpoint.optional().meta({ description: 'Jump host, when the machines cannot be reached directly.' }),
    })
    .prefault({})
    .meta({ description: 'SSH access to the machines. The key is one of the secrets of the site.' }),
  defaults: z.strictObject(machineSize).prefault({}).meta({
    description: 'Sizes of machines that do not state their own. kvm needs cpus, memory and rootDisk from either.',
  }),
  kvm: kvm.optional().meta({ description: 'libvirt settings; required with provider kvm.' }),
  nodes: z
    .array(node)
    .min(1)
    .meta({
      description: 'The machines. Merged by name.',
      examples: [[{ name: 'cp1', role: 'control-plane', addresses: ['192.0.2.11/24'] }]],
    }),
});

const subnet = z.strictObject({
  name: name().meta({ description: 'Name of the subnet (one L2 segment). Lists merge by it.', examples: ['rack1'] }),
  cidrs: perFamily(cidr()).meta({
    description: 'Networks of the segment, one per family.',
    examples: [['192.0.2.0/24']],
  }),
  gateways: z
    .array(ip())
    .max(2)
    .default([])
    .meta({ description: 'Gateways, one per family. None: the site has no way out of this subnet.' }),
  mtu: z
    .int()
    .min(576)
    .max(65535)
    .optional()
    .meta({ unit: 'bytes', description: 'MTU of this segment in bytes. Default: `underlay.mtu`.' }),
});

const underlay = z.strictObject({
  mtu: z.int().min(576).max(65535).default(1500).meta({
    unit: 'bytes',
    description: 'Largest IP packet in bytes that every path between two machines carries. The proof measures it.',
  }),
  gre: z.boolean().default(false).meta({
    description: 'The paths run through a GRE tunnel that `mtu` does not account for yet: 24 bytes are taken off.',
  }),
  protocol4: z
    .enum(['allowed', 'blocked'])
    .default('allowed')
    .meta({ description: 'Whether firewalls between the machines let IP protocol 4 (IP-in-IP) pass.' }),
  subnets: z
    .array(subnet)
    .min(1)
    .meta({
      description: 'The L2 segments of the machines. Merged by name.',
      examples: [[{ name: 'rack1', cidrs: ['192.0.2.0/24'], gateways: ['192.0.2.1'] }]],
    }),
  routes: z
    .array(
      z.strictObject({
        to: cidr().meta({ description: 'Destination network.', examples: ['198.51.100.0/24'] }),
        via: ip().meta({ description: 'Next hop.', examples: ['192.0.2.254'] }),
      }),
    )
    .default([])
    .meta({ description: 'Static routes of every machine whose subnet holds the next hop.' }),
  dns: z
    .strictObject({
      servers: z
        .array(ip())
        .max(3)
        .default([])
        .meta({ description: 'Resolvers of the machines, at most 3 (glibc reads no more).' }),
      search: z.array(z.string().min(1)).max(32).default([]).meta({ description: 'Search domains.' }),
    })
    .prefault({})
    .meta({ description: 'Name resolution of the machines.' }),
  ntp: z
    .strictObject({
      servers: z.array(hostOrIp()).default([]).meta({ description: "Time servers. None: the distribution's own." }),
    })
    .prefault({})
    .meta({ description: 'Time synchronisation of the machines.' }),
});

const network = z.strictObject({
  routing: z.enum(['auto', 'bgp', 'ipip', 'ipip-cross-subnet', 'vxlan', 'vxlan-cross-subnet']).default('auto').meta({
    description: 'How pod packets travel between nodes. `auto`: bgp on one subnet, a cross-subnet tunnel otherwise.',
  }),
  wireguard: z
    .boolean()
    .default(false)
    .meta({ description: 'Encrypt pod traffic between nodes; replaces the tunnel between them.' }),
  podCidrs: perFamily(cidr()).default(['10.244.0.0/16']).meta({ description: 'Networks of the pods, one per family.' }),
  serviceCidrs: perFamily(cidr())
    .default(['10.96.0.0/12'])
    .meta({ description: 'Networks of the Services, one per family.' }),
  podMtu: z
    .union([z.literal('auto'), z.int().min(576).max(65535).meta({ unit: 'bytes' })])
    .default('auto')
    .meta({ description: 'MTU of the pods in bytes. `auto`: computed. A number above what fits is refused.' }),
});

const kubernetes = z.strictObject({
  vip: ip().optional().meta({
    description: 'Virtual address of the control plane, unused inside the subnet of the control-plane machines.',
  }),
});

const kubeProxy = z.strictObject({
  mode: z
    .enum(['ipvs', 'nftables', 'iptables'])
    .default('ipvs')
    .meta({ description: 'Service proxy; decides which kernel modules the nodes load.' }),
  scheduler: z
    .enum(['rr', 'wrr', 'lc', 'wlc', 'sh', 'dh', 'mh', 'sed', 'nq'])
    .default('rr')
    .meta({ description: 'IPVS scheduler.' }),
});

const nodePrep = z.strictObject({
  modules: z
    .array(text(/^[a-z0-9_]+$/, 'the name of a kernel module'))
    .default([])
    .meta({ description: 'Kernel modules to load beyond those that the plan computes.' }),
  sysctls: z
    .record(
      text(/^[a-z0-9_]+([./][A-Za-z0-9_*-]+)+$/, 'a sysctl key such as net.core.somaxconn'),
      z.union([z.int(), z.string()]),
    )
    .default({})
    .meta({ description: 'Sysctls to add or to override. An override that breaks what the cluster needs is refused.' }),
  swap: z
    .enum(['off', 'keep'])
    .default('off')
    .meta({ description: 'kubelet refuses to start with swap unless it is configured for it.' }),
  journald: z
    .strictObject({ maxUse: size().default('500MiB').meta({ description: 'Most disk that the journal may use.' }) })
    .prefault({})
    .meta({ description: 'Limits of the system journal.' }),
  hosts: z
    .record(hostOrIp(), ip())
    .default({})
    .meta({ description: 'Names to add to /etc/hosts of every node, beside the nodes themselves.' }),
});

const PROBES = [
  'underlay-mtu',
  'tunnel-mtu',
  'tcp-transfer',
  'loss',
  'jitter',
  'ports',
  'peers',
  'etcd-disk',
  'round-trip',
  'cpu-steal',
  'clock',
  'duplicate-address',
  'dns',
  'ntp',
] as const;

const checks = z.strictObject({
  peers: z
    .array(
      z.strictObject({
        name: name().meta({ description: 'Name of the peer; lists merge by it.', examples: ['erp'] }),
        address: ip().meta({
          description: 'Address of a host outside the cluster that pods must talk to.',
          examples: ['192.0.2.200'],
        }),
        mtu: z
          .int()
          .min(576)
          .max(65535)
          .optional()
          .meta({ unit: 'bytes', description: 'Packet size in bytes that must pass. Default: `underlay.mtu`.' }),
        tcpPort: z
          .int()
          .min(1)
          .max(65535)
          .optional()
          .meta({ description: 'TCP port that must accept a connection. Default: none is tried.' }),
      }),
    )
    .default([])
    .meta({ description: 'Hosts outside the cluster that its pods must talk to. Merged by name.' }),
  warn: z
    .array(z.enum(PROBES))
    .default([])
    .meta({ description: 'Probes whose failure is a warning and does not stop `up`.' }),
  loss: percent()
    .default('0%')
    .meta({ description: 'Most packets that may be lost between two nodes. Default 0 %: a LAN loses none when idle.' }),
  jitter: duration().default('5ms').meta({ description: 'Most mean deviation of the round trip between two nodes.' }),
  etcdFsyncP99: duration().default('10ms').meta({
    description: "Most time for the 99th percentile of fdatasync on the etcd disk (etcd's own recommendation: 10 ms).",
  }),
  controlPlaneRoundTrip: duration().default('10ms').meta({
    description: "Most mean round trip between control-plane nodes; etcd's heartbeat of 100 ms wants a tenth of it.",
  }),
  cpuSteal: percent()
    .default('5%')
    .meta({ description: 'Most CPU time that the hypervisor may take; above it shows as network jitter.' }),
  clockOffset: duration()
    .default('500ms')
    .meta({ description: 'Most difference between the clock of a node and its time servers.' }),
});

const backend = z.strictObject({
  url: text(
    /^(file|s3|gs|azblob|postgres|https?):\/\//,
    'a Pulumi backend: file://, s3://, gs://, azblob://, postgres:// or https://',
  )
    .default('file://~/.local/share/sitewright/state')
    .meta({
      description: "Where the state of the site lives. Teams name a shared one; the default is for one person's lab.",
    }),
});

export const siteSchema = z
  .strictObject({
    name: name().meta({
      description: 'Name of the site and of its Pulumi stack; the file is named after it.',
      examples: ['oslo'],
    }),
    extends: name().optional().meta({ description: 'Profile in stacks/profiles whose values this file starts from.' }),
    kit: checked((range) => semver.validRange(range) !== null, 'a version range, such as ^0.1.0').meta({
      description: 'Kit versions that this site was reviewed with. Another version refuses the site.',
      examples: ['^0.1.0'],
    }),
    environment: z
      .enum(['lab', 'staging', 'production'])
      .meta({ description: 'What the site is used for.', examples: ['production'] }),
    backend: backend.prefault({}).meta({ description: 'State of the site.' }),
    underlay: underlay.meta({
      description: 'The network the machines are on.',
      examples: [{ subnets: [{ name: 'rack1', cidrs: ['192.0.2.0/24'] }] }],
    }),
    machines: machines.meta({
      description: 'The machines of the site.',
      examples: [
        { provider: 'existing', nodes: [{ name: 'cp1', role: 'control-plane', addresses: ['192.0.2.11/24'] }] },
      ],
    }),
    network: network.prefault({}).meta({ description: 'The network of the pods.' }),
    kubernetes: kubernetes.prefault({}).meta({ description: 'The cluster.' }),
    kubeProxy: kubeProxy.prefault({}).meta({ description: 'The Service proxy.' }),
    nodePrep: nodePrep.prefault({}).meta({ description: 'Preparation of the nodes.' }),
    checks: checks.prefault({}).meta({ description: 'What must be true of the network before it is trusted.' }),
  })
  .meta({ title: 'Sitewright site', description: 'One on-premises Kubernetes site.' });

/** A site file after its profiles are merged, defaults filled in and every value validated. Units are still text. */
export type SiteSpec = z.output<typeof siteSchema>;
export type NodeSpec = SiteSpec['machines']['nodes'][number];
export type SubnetSpec = SiteSpec['underlay']['subnets'][number];
export type HypervisorSpec = NonNullable<SiteSpec['machines']['kvm']>['hypervisors'][number];
export type ProbeName = (typeof PROBES)[number];
