import * as semver from 'semver';
import { z } from 'zod';
import { calico } from './calicoSchema';
import { artifacts, dns, kubeProxy, kubernetes } from './clusterSchema';
import { ingress } from './ingressSchema';
import { policy, residency } from './policySchema';
import { registries } from './registriesSchema';
import { rules } from './rulesSchema';
import { machines } from './machinesSchema';
import { checked, cidr, duration, hostName, hostOrIp, ip, name, percent, perFamily, size, text } from './values';

/**
 * What a person may write in a site file. This schema is the one source of the types, of validation and of
 * `stacks/site.schema.json`. A key is here only when something acts on it: unknown keys are errors.
 * Checks that need more than one key (overlaps, sums, versions) belong to components/plan.
 *
 * Beside `description`, keys carry what messages, editors and the key reference are made of: `allowed` says in words
 * what a pattern takes, `unit` is the unit of a plain number, `examples` go into the message about a missing key.
 */

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
  cni: z.enum(['routes', 'calico', 'none']).default('routes').meta({
    description:
      'What connects the pods, where there is a cluster. `routes`: a bridge on every node and routes between the nodes, on one subnet and for at most 20 nodes; `calico`: for any site, with policies; `none`: you install something else.',
  }),
  routing: z.enum(['auto', 'bgp', 'ipip', 'ipip-cross-subnet', 'vxlan', 'vxlan-cross-subnet']).default('auto').meta({
    description:
      'How pod packets travel between nodes. `auto`: as they are on one subnet (routes, or bgp), a cross-subnet tunnel otherwise.',
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
  mssClamp: z.boolean().default(false).meta({
    description:
      'Nodes lower the segment size of TCP connections that they forward to what the route allows: a fallback for paths that lose ICMP, TCP only.',
  }),
  podMtuProbing: z.boolean().default(false).meta({
    description:
      'Pods find the packet size of a path that loses ICMP by themselves (net.ipv4.tcp_mtu_probing=1, which a node does not hand down to its pods).',
  }),
  calico: calico.prefault({}).meta({ description: 'Calico, where `cni` is calico.' }),
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
  'node-ready',
  'kube-proxy',
  'conntrack',
  'etcd',
  'pod-start',
  'pod-mtu',
  'service',
  'pod-dns',
  'calico',
  'egress',
  'policy',
  'ingress',
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
  names: z
    .array(hostName())
    .default([])
    .meta({
      description:
        'Names outside the cluster that its pods must resolve. Without one nothing tells of resolvers that do not work.',
      examples: [['erp.corp.example']],
    }),
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
  lookup: duration().default('1s').meta({
    description: 'Most time that a pod may wait for a name. A question that is lost is asked again after 5 s.',
  }),
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
    joined: z
      .array(name())
      .default([])
      .meta({
        description:
          'Networks that packets of this site travel to other sites on, such as a WAN or a shared data centre, by names of your choice. Sites that name the same one are joined: none of their networks, addresses and AS numbers may meet.',
        examples: [['acme-wan']],
      }),
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
    dns: dns.prefault({}).meta({ description: 'Name resolution of the pods.' }),
    ingress,
    policy: policy.prefault({}).meta({ description: 'What pods may reach, and who may reach them.' }),
    residency,
    rules: rules.prefault({}).meta({ description: 'What your organisation wants of the site; `validate` tells it.' }),
    artifacts: artifacts.prefault({}).meta({ description: 'The programs and images of the cluster.' }),
    registries,
    nodePrep: nodePrep.prefault({}).meta({ description: 'Preparation of the nodes.' }),
    checks: checks.prefault({}).meta({ description: 'What must be true of the network before it is trusted.' }),
  })
  .meta({ title: 'Sitewright site', description: 'One on-premises Kubernetes site.' });

/** A site file after its profiles are merged, defaults filled in and every value validated. Units are still text. */
export type SiteSpec = z.output<typeof siteSchema>;
export type NodeSpec = SiteSpec['machines']['nodes'][number];
export type SubnetSpec = SiteSpec['underlay']['subnets'][number];
export type HypervisorSpec = NonNullable<SiteSpec['machines']['kvm']>['hypervisors'][number];
export type VsphereSpec = NonNullable<SiteSpec['machines']['vsphere']>;
export type ProbeName = (typeof PROBES)[number];
