import { z } from 'zod';
import {
  cidr,
  duration,
  hostName,
  hostOrIp,
  ip,
  labelKey,
  labelValue,
  millicores,
  percent,
  size,
  text,
} from './values';

/** The cluster on the machines: Kubernetes itself, its Service proxy, its DNS, and where its programs come from. */

const kubelet = z.strictObject({
  reserved: z
    .strictObject({
      cpu: millicores()
        .default('200m')
        .meta({ description: 'CPU of every node that no pod may ask for: kubelet, containerd, sshd and the journal.' }),
      memory: size()
        .default('512MiB')
        .meta({
          description:
            'Memory of every node that no pod may ask for. containerd and kubelet take about 200 MiB, the system as much; ' +
            'without it pods fill the node and the kernel kills what it likes.',
        }),
    })
    .prefault({})
    .meta({ description: 'What every node keeps for itself (kubelet systemReserved).' }),
  eviction: z
    .strictObject({
      memory: size()
        .default('100MiB')
        .meta({ description: "Pods are evicted when less memory is available; 100MiB is kubelet's own default." }),
      rootDisk: percent().default('10%').meta({
        description: "Pods are evicted when less of kubelet's file system is free; 10% is kubelet's own default.",
      }),
      imageDisk: percent().default('15%').meta({
        description: "Images are removed when less of containerd's file system is free; 15% is kubelet's own default.",
      }),
    })
    .prefault({})
    .meta({ description: 'When kubelet takes pods off a node at once (evictionHard).' }),
  shutdown: z
    .strictObject({
      gracePeriod: duration()
        .default('30s')
        .meta({
          description:
            'Time that an orderly shutdown of a node gives its pods, in whole seconds; as long as the grace period that ' +
            'Kubernetes gives a deleted pod by default. 0s: pods are cut off.',
        }),
      critical: duration()
        .default('10s')
        .meta({ description: 'The last part of `gracePeriod`, kept for the pods that the node itself needs.' }),
    })
    .prefault({})
    .meta({ description: 'Graceful shutdown of a node (kubelet shutdownGracePeriod).' }),
});

const etcd = z.strictObject({
  quota: z
    .union([z.literal('auto'), size()])
    .default('auto')
    .meta({
      description:
        'Most data that etcd keeps; above it the cluster is read-only. `auto`: half of the smallest etcd disk, because ' +
        "defragmentation needs as much again, at most 8GiB (etcd's own recommendation); 2GiB where the kit makes no such disk.",
    }),
  compaction: duration()
    .default('5m')
    .meta({
      description:
        'How long old revisions of objects are kept, in whole seconds; a watch that was away for longer reads everything ' +
        "again. 5m is the API server's own default.",
    }),
  snapshots: z
    .strictObject({
      every: duration()
        .default('6h')
        .meta({ description: 'Time between two snapshots of a machine, in whole seconds, at least 1m.' }),
      keep: z.int().min(1).max(1000).default(8).meta({
        unit: 'files',
        description: 'Snapshots of each control-plane machine that stay; older ones are removed.',
      }),
      directory: text(/^(\/[A-Za-z0-9._-]+)+$/, 'an absolute path, such as /mnt/backup/etcd').meta({
        description:
          'Folder on every control-plane machine, such as a mounted share. It must be there: the kit does not make it.',
        examples: ['/mnt/backup/etcd'],
      }),
    })
    .optional()
    .meta({
      description:
        "Snapshots by a timer of every control-plane machine, encrypted so that only the site's secrets open them. Without it: by hand.",
    }),
});

const admissionPlugins = (description: string, examples: string[]) =>
  z
    .array(text(/^[A-Z][A-Za-z]*$/, 'the name of an admission plugin, such as DenyServiceExternalIPs'))
    .default([])
    .meta({ description, examples: [examples] });

const timeout = (description: string) => duration().optional().meta({ description });

/** kubeadm.k8s.io/v1beta4 `timeouts`, by the same names. */
const timeouts = z.strictObject({
  controlPlaneComponentHealthCheck: timeout(
    'A new API server, controller manager or scheduler must be healthy within it (kubeadm: 4m, in a lab 15m).',
  ),
  discovery: timeout('A node that joins must have made sure of the API server within it (kubeadm: 5m, in a lab 15m).'),
  etcdAPICall: timeout('A request to etcd must be answered within it (kubeadm: 2m, in a lab 10m).'),
  kubeletHealthCheck: timeout('kubelet of a new node must be healthy within it (kubeadm: 4m, in a lab 10m).'),
  kubernetesAPICall: timeout('A request to the API server must be answered within it (kubeadm: 1m, in a lab 5m).'),
  tlsBootstrap: timeout(
    'kubelet of a node that joins must have its certificate within it (kubeadm: 5m, in a lab 15m).',
  ),
  upgradeManifests: timeout(
    'A static pod must run with its new version within it, in an upgrade (kubeadm: 5m, in a lab 15m).',
  ),
});

export const kubernetes = z.strictObject({
  version: text(/^[0-9]+\.[0-9]+\.[0-9]+$/, 'a version of Kubernetes in quotes and without v, such as 1.36.1')
    .optional()
    .meta({
      description: 'Version of Kubernetes. Without it the site ends with machines whose network is proved.',
      examples: ['1.36.1'],
    }),
  vip: ip().optional().meta({
    description: 'Virtual address of the control plane, unused inside the subnet of the control-plane machines.',
  }),
  vrid: z.int().min(1).max(255).optional().meta({
    description:
      'Number of `vip` on its network (VRRP virtual router ID), which nobody else there may have. Default: made of the name of the site.',
  }),
  endpoint: z
    .strictObject({
      host: hostOrIp().meta({
        description: 'Name or address of the load balancer; a name must be resolvable on every machine.',
        examples: ['api.acme.example'],
      }),
      port: z.int().min(1).max(65535).default(6443).meta({ description: 'TCP port of the load balancer.' }),
    })
    .optional()
    .meta({
      description:
        "Somebody else's load balancer in front of the API servers, instead of `vip`. It must pass TLS through.",
    }),
  certSans: z
    .array(z.union([ip(), hostName()]))
    .default([])
    .meta({
      description:
        "Names and addresses of the API server's certificate beyond those that the plan knows: each control-plane machine, the endpoint, the Service.",
    }),
  podSecurity: z.enum(['privileged', 'baseline', 'restricted']).default('privileged').meta({
    description:
      'Pod Security Standard that every namespace enforces unless its labels say otherwise; kube-system is exempt. `privileged` is what Kubernetes does by itself.',
  }),
  admissionPlugins: z
    .strictObject({
      enable: admissionPlugins(
        'Plugins beside those that the API server has by itself and NodeRestriction, such as DenyServiceExternalIPs.',
        ['DenyServiceExternalIPs'],
      ),
      disable: admissionPlugins(
        'Plugins that the API server has by itself and does without. Those that the kit or the security of the cluster relies on are refused.',
        ['DefaultStorageClass'],
      ),
    })
    .prefault({})
    .meta({
      description: 'Admission plugins of the API server (enable-admission-plugins, disable-admission-plugins).',
    }),
  timeouts: timeouts.prefault({}).meta({
    description:
      'How long kubeadm waits when a node comes into the cluster or is upgraded, in whole seconds, for sites with slow disks or hosts. One that is left out is ' +
      "kubeadm's own; in a lab, whose machines may be emulated, a longer one.",
  }),
  drainLimit: duration().default('10m').meta({
    description:
      'Most time that a node may take to give up its pods, in whole seconds. Pods are evicted, so a PodDisruptionBudget can hold them back; what is still there at the end stops `up`.',
  }),
  kubelet: kubelet.prefault({}).meta({ description: 'The agent of Kubernetes on every node.' }),
  upgrade: z
    .strictObject({
      maxUnavailable: z.int().min(1).max(100).default(1).meta({
        unit: 'machines',
        description:
          'Workers that are drained and moved to another version at the same time. The control plane goes one by one, whatever this is.',
      }),
    })
    .prefault({})
    .meta({ description: 'How a cluster moves to another `version`.' }),
  etcd: etcd.prefault({}).meta({ description: 'The data store of the cluster, on the control-plane machines.' }),
});

export const kubeProxy = z.strictObject({
  mode: z
    .enum(['ipvs', 'nftables', 'iptables'])
    .default('ipvs')
    .meta({ description: 'Service proxy; decides which kernel modules the nodes load.' }),
  scheduler: z
    .enum(['rr', 'wrr', 'lc', 'wlc', 'sh', 'dh', 'mh', 'sed', 'nq'])
    .default('rr')
    .meta({ description: 'IPVS scheduler.' }),
  strictARP: z
    .boolean()
    .default(true)
    .meta({
      description:
        'ipvs: a node answers ARP only for the addresses of the interface that was asked. Otherwise every node answers for ' +
        "the external addresses of Services, which breaks whoever announces them; kube-proxy's own default is false.",
    }),
  timeouts: z
    .strictObject({
      tcp: duration().default('15m').meta({
        description:
          'ipvs: an idle TCP connection is forgotten after it. Applications that are silent for longer need more.',
      }),
      tcpFin: duration()
        .default('2m')
        .meta({ description: 'ipvs: a TCP connection that one end has closed is forgotten after it.' }),
      udp: duration().default('5m').meta({ description: 'ipvs: a UDP flow without packets is forgotten after it.' }),
    })
    .prefault({})
    .meta({ description: 'Timeouts of the IPVS table, in whole seconds; the defaults are those of the kernel.' }),
  excludeCIDRs: z.array(cidr()).default([]).meta({
    description:
      'ipvs: networks whose virtual servers kube-proxy leaves alone when it cleans up, beside the virtual address of the control plane.',
  }),
  conntrack: z.enum(['site', 'kube-proxy']).default('site').meta({
    description:
      'Who sets the size of the connection table. `site`: the sysctls of the plan, read back; `kube-proxy`: 32768 a core, at least 131072, whenever it starts; `verify` reads it back.',
  }),
});

export const dns = z.strictObject({
  upstreams: z.array(ip()).max(15).default([]).meta({
    description:
      'Resolvers for names outside the cluster. None: those of `underlay.dns.servers`, else those of each existing machine.',
  }),
  stubZones: z
    .record(hostName(), z.array(ip()).min(1).max(15))
    .default({})
    .meta({ description: 'Zones that have resolvers of their own, such as corp.example: [192.0.2.53].' }),
  cacheTtl: duration()
    .default('30s')
    .meta({ description: 'Longest time that an answer is kept, in whole seconds; 30s is what kubeadm gives CoreDNS.' }),
  replicas: z
    .union([z.literal('auto'), z.int().min(1).max(100).meta({ unit: 'pods' })])
    .default('auto')
    .meta({
      description:
        'Pods of CoreDNS. `auto`: by the nodes of the site, one for every 16 and at least 2 (1 with one node).',
    }),
  nodeLocal: z.boolean().default(true).meta({
    description:
      'A cache on every node, on 169.254.20.10, which asks CoreDNS by TCP: no conntrack entry, so no 5 s delays, and most answers never leave the node.',
  }),
  pods: z
    .strictObject({
      ndots: z.int().min(0).max(15).optional().meta({
        unit: 'dots',
        description:
          'Names with fewer dots are tried with every search domain first; Kubernetes gives pods 5, so most names from outside are asked for four times. Default: left as it is.',
      }),
      singleRequestReopen: z.boolean().default(false).meta({
        description:
          'glibc asks for A and AAAA from a port each, so that neither is lost in connection tracking. musl has no such option.',
      }),
      searches: z
        .array(hostName())
        .max(29)
        .default([])
        .meta({ description: 'Search domains after those of the cluster, at most 29.' }),
      namespaces: z
        .record(labelKey(), z.union([z.literal(''), labelValue()]))
        .default({})
        .meta({
          description:
            'Only namespaces with all of these labels. None: every namespace but kube-system. A new namespace has its name as kubernetes.io/metadata.name.',
        }),
    })
    .optional()
    .meta({
      description:
        'Resolver settings that new pods get unless they have a dnsConfig or a dnsPolicy of their own; from Kubernetes 1.36.',
    }),
});

const archiveUrl = () =>
  text(
    /^https?:\/\/[A-Za-z0-9.-]+(:[0-9]+)?(\/[A-Za-z0-9._~-]+)*$/,
    'a URL without a final slash, and no log-in in it',
  );

export const artifacts = z.strictObject({
  from: z.enum(['upstream', 'source']).default('upstream').meta({
    description:
      'Where the programs and images of the cluster come from: `upstream` are released ones, `source` are built on this machine from package registries.',
  }),
  packages: z
    .array(
      z.strictObject({
        name: z.enum(['debian-12', 'debian-13', 'ubuntu-22.04', 'ubuntu-24.04']).meta({
          description: 'ID and VERSION_ID of /etc/os-release; lists merge by it.',
          examples: ['debian-12'],
        }),
        archive: archiveUrl().meta({
          description:
            "The distribution's archive or a mirror of it; what it gives must be signed by the distribution.",
          examples: ['https://mirror.acme.example/debian'],
        }),
        securityArchive: archiveUrl().meta({
          description: 'The same for its security updates; with Ubuntu it can be one with `archive`.',
          examples: ['https://mirror.acme.example/debian-security'],
        }),
      }),
    )
    .default([])
    .meta({
      description:
        'Distributions whose packages the bundle holds as well (such as conntrack, haproxy and keepalived, with all that they ' +
        'depend on): machines that lack some then get them from the bundle, without a network. Without it they are in the ' +
        'image of a machine, or come from its own package mirror. With `from: upstream` only.',
    }),
});
