import { z } from 'zod';
import { checked, cidr, duration, ip, labelKey, labelValue, millicores, name, size, text } from './values';

/** `network.calico`: what a site may say about Calico. What is left out is computed. */

const pool = z.strictObject({
  name: name().meta({ description: 'Name of the IPPool; lists merge by it.', examples: ['rack1'] }),
  cidr: cidr().meta({
    description: 'Network of the pool, inside one of `network.podCidrs`. It cannot be changed later.',
    examples: ['10.244.0.0/17'],
  }),
  blockSize: z.int().min(20).max(128).optional().meta({
    unit: 'bits',
    description:
      'Prefix length of the blocks that nodes take from the pool: 20 to 32, default 26 (IPv4); 116 to 128, default 122 (IPv6). It cannot be changed later.',
  }),
  zone: name().optional().meta({
    description: 'Only nodes of this zone take addresses from the pool. None: every node.',
  }),
  natOutgoing: z.boolean().default(true).meta({
    description: 'Packets of these pods to what is outside all pools get the address of their node.',
  }),
  disabled: z.boolean().default(false).meta({
    description:
      'Nothing gets a new address of the pool; pods that have one keep it. A pool has to be disabled, and its pods made anew, before it is taken out.',
  }),
});

const peer = z.strictObject({
  name: name().meta({ description: 'Name of the BGPPeer; lists merge by it.', examples: ['tor-rack1'] }),
  address: ip().meta({ description: 'Address of the router.', examples: ['192.0.2.1'] }),
  port: z.int().min(1).max(65535).default(179).meta({ description: 'TCP port of the router.' }),
  asNumber: z
    .int()
    .min(1)
    .max(4294967294)
    .meta({
      description: "AS number of the router. The nodes' own one makes the session internal.",
      examples: [64601],
    }),
  zone: name().optional().meta({ description: 'Only nodes of this zone (a rack) speak to the router.' }),
  node: name().optional().meta({ description: 'Only this machine speaks to the router. Neither: every node does.' }),
  passwordFrom: name().optional().meta({
    description:
      'Name of the TCP MD5 password of the session among the secrets of the site (`sitewright secrets set <site> bgpPassword-<name>`). Passwords never stand here.',
  }),
  filters: z
    .array(name())
    .default([])
    .meta({ description: 'Names of `network.calico.bgp.filters` that the session goes through, in order.' }),
  gracefulRestart: duration().optional().meta({
    description: "How long the router keeps a node's routes while its BIRD restarts, in whole seconds. BIRD: 120s.",
  }),
});

const filterRule = z.strictObject({
  cidr: cidr().meta({ description: 'Network that routes are compared with.', examples: ['10.244.0.0/16'] }),
  match: z.enum(['In', 'NotIn', 'Equal', 'NotEqual']).default('In').meta({
    description: 'How: inside the network or outside it, the network itself or any other.',
  }),
  action: z.enum(['Accept', 'Reject']).meta({ description: 'What happens to the route.', examples: ['Accept'] }),
});

const filter = z.strictObject({
  name: name().meta({ description: 'Name of the BGPFilter; lists merge by it.', examples: ['only-pods'] }),
  import: z
    .array(filterRule)
    .default([])
    .meta({ description: 'Rules for routes from the peer, the first match counts.' }),
  export: z
    .array(filterRule)
    .default([])
    .meta({ description: 'Rules for routes to the peer, the first match counts.' }),
});

const bgp = z.strictObject({
  mode: z.enum(['auto', 'on', 'off']).default('auto').meta({
    description: 'Whether nodes speak BGP. `auto`: where the routing, a peer or an advertised address needs it.',
  }),
  asNumber: z.int().min(1).max(4294967294).default(64512).meta({
    description: 'AS number of every node; 64512 is the first of the private ones.',
  }),
  routeReflectorLabel: labelKey().default('route-reflector').meta({
    description:
      'Nodes with this label (`machines.nodes[].labels`, any value) reflect the routes of all others. With any of them, and in any site of more than 100 nodes, nodes do not speak to each other directly.',
  }),
  clusterId: ip().default('244.0.0.1').meta({ description: 'Cluster id of the route reflectors (RFC 4456).' }),
  peers: z.array(peer).default([]).meta({ description: 'Routers that nodes speak to. Merged by name.' }),
  advertise: z
    .strictObject({
      serviceIps: z.boolean().default(false).meta({ description: 'Tell the peers `network.serviceCidrs`.' }),
      externalCidrs: z
        .array(cidr())
        .default([])
        .meta({ description: 'Tell the peers external addresses of Services inside these.' }),
      loadBalancerCidrs: z
        .array(cidr())
        .default([])
        .meta({ description: 'Tell the peers load-balancer addresses of Services inside these.' }),
    })
    .prefault({})
    .meta({ description: 'Addresses of Services that peers learn.' }),
  filters: z.array(filter).default([]).meta({ description: 'Filters that peers may name. Merged by name.' }),
});

const felix = z.strictObject({
  logLevel: z.enum(['Debug', 'Info', 'Warning', 'Error']).default('Info').meta({
    description: 'Least severity that Felix logs.',
  }),
  prometheus: z.boolean().default(false).meta({ description: 'Felix serves metrics on TCP port 9091 of every node.' }),
  featureDetectOverride: checked(
    (value) => /^[A-Za-z]+=(true|false)(,[A-Za-z]+=(true|false))*$/.test(value),
    'names of features with true or false, such as ChecksumOffloadBroken=true',
  )
    .optional()
    .meta({
      description:
        'What Felix is not to find out itself. Default: nothing; kernels up to 5.7 get ChecksumOffloadBroken=true on the device.',
    }),
  bpf: z
    .strictObject({
      externalServiceMode: z.enum(['Tunnel', 'DSR']).default('Tunnel').meta({
        description: 'dataplane bpf: how the answer of a Service goes back, by the node that was asked or directly.',
      }),
      logLevel: z
        .enum(['Off', 'Info', 'Debug'])
        .default('Off')
        .meta({ description: 'dataplane bpf: what the programs log.' }),
    })
    .prefault({})
    .meta({ description: 'Settings of the dataplane bpf.' }),
});

const resources = z.strictObject({
  cpu: millicores()
    .optional()
    .meta({ description: 'CPU that each pod asks for.', examples: ['250m'] }),
  memory: size()
    .optional()
    .meta({ description: 'Memory that each pod asks for.', examples: ['256MiB'] }),
  memoryLimit: size()
    .optional()
    .meta({ description: 'Memory above which a pod is killed.', examples: ['1GiB'] }),
});

const toleration = z.strictObject({
  key: labelKey()
    .optional()
    .meta({ description: 'Key of the taint. None: every key, with operator Exists.', examples: ['dedicated'] }),
  operator: z.enum(['Equal', 'Exists']).default('Equal').meta({
    description: 'Whether the value of the taint must be `value`, or may be any.',
  }),
  value: labelValue().optional().meta({ description: 'Value of the taint. Default: none.' }),
  effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).optional().meta({
    description: 'Effect of the taint. None: every effect.',
  }),
});

export const calico = z.strictObject({
  version: text(/^[0-9]+\.[0-9]+\.[0-9]+$/, 'a version of Calico in quotes and without v, such as 3.32.1')
    .optional()
    .meta({
      description: 'Version of Calico. Default: 3.32.1 (upstream), 3.28.5 (source).',
      examples: ['3.32.1'],
    }),
  install: z.enum(['manifest', 'operator']).default('manifest').meta({
    description:
      "Who installs it: the kit by Calico's release manifest, or Calico's own operator, which then owns what it makes (from 3.32 on).",
  }),
  dataplane: z.enum(['iptables', 'nftables', 'bpf']).default('iptables').meta({
    description:
      'What carries policy out: iptables, nftables (kernel 5.13) or eBPF programs, which also do Services and replace kube-proxy. `bpf` is planned and rendered but not tested end to end.',
  }),
  pools: z.array(pool).default([]).meta({
    description: 'IP pools. Merged by name. None: one for each of `network.podCidrs`.',
  }),
  vxlan: z
    .strictObject({
      txChecksumIpGeneric: z.enum(['auto', 'off']).default('auto').meta({
        description:
          '`off`: tx-checksum-ip-generic of ethtool is off on vxlan.calico and vxlan-v6.calico also from kernel 6.12 on (Debian 13), where VXLAN may carry 50 to 300 Mbit/s with it (calico#11435). Elsewhere that costs throughput: measure before and after. `auto`: off on kernels up to 5.7 alone.',
      }),
    })
    .prefault({})
    .meta({ description: "Calico's devices of VXLAN." }),
  bgp: bgp.prefault({}).meta({ description: 'BGP between the nodes, and to routers.' }),
  typha: z
    .union([z.literal('auto'), z.int().min(0).max(20).meta({ unit: 'pods' })])
    .default('auto')
    .meta({
      description:
        'Pods of Typha, which ask the API server once for many nodes; 0: none. `auto`: from 50 nodes on, one for every 200 and at least 3. With install operator only `auto`.',
    }),
  felix: felix.prefault({}).meta({ description: 'The agent of Calico on every node.' }),
  resources: z
    .strictObject({
      node: resources.prefault({}).meta({ description: 'Pods of calico-node, one on every machine.' }),
      typha: resources.prefault({}).meta({ description: 'Pods of Typha, where there are any.' }),
    })
    .prefault({})
    .meta({ description: "CPU and memory of Calico's own pods. What is left out stays as the release has it." }),
  tolerations: z.array(toleration).default([]).meta({
    description:
      "Taints that Calico's own pods tolerate beside those of the release (the control plane's): kube-controllers, and with install operator the API server. calico-node and Typha tolerate all.",
  }),
  apiServer: z.boolean().default(false).meta({
    description:
      "Calico's own API server, with which kubectl reads and writes objects of projectcalico.org/v3. With install operator only.",
  }),
});
