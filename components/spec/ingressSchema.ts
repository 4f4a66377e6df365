import { z } from 'zod';
import { cidr, duration, hostOrIp, labelKey, labelValue, millicores, size, text } from './values';

/** `ingress`: how requests from outside come to Services, and how NGINX treats them. */

const offset = () => text(/^(0|[1-9][0-9]*[kmg])$/, 'a whole number and k, m or g, such as 50m, or 0 for any');
const buffer = () => text(/^[1-9][0-9]*[km]$/, 'a whole number and k or m, such as 8k');

const tuning = z.strictObject({
  bodySize: offset().optional().meta({ description: 'Largest body of a request. Default of both controllers: 1m.' }),
  connectTimeout: duration().optional().meta({
    description:
      'Time for a connection to a pod, in whole seconds; NGINX rarely waits longer than 75s. Default: 60s (nginx), 5s (ingress-nginx).',
  }),
  readTimeout: duration().optional().meta({
    description: "Most time between two parts of a pod's answer, in whole seconds. Default of both controllers: 60s.",
  }),
  sendTimeout: duration().optional().meta({
    description:
      'Most time between two parts of a request that a pod takes, in whole seconds. Default of both controllers: 60s.',
  }),
  buffering: z.boolean().optional().meta({
    description: 'Answers of pods are read ahead of the client. Default: true (nginx), false (ingress-nginx).',
  }),
  buffers: z
    .strictObject({
      count: z.int().min(3).max(1024).default(4).meta({ unit: 'buffers', description: 'Buffers of one answer.' }),
      size: buffer().meta({
        description: 'Size of each; the headers of an answer must fit into one.',
        examples: ['8k'],
      }),
    })
    .optional()
    .meta({ description: "Buffers of one answer. Default: NGINX's own (nginx), 4 of 4k (ingress-nginx)." }),
  proxyProtocol: z.boolean().default(false).meta({
    description:
      'Connections begin with a PROXY protocol header, by a load balancer in front. It needs `realIpRanges`, and nothing without the header gets in.',
  }),
  realIpRanges: z.array(cidr()).default([]).meta({
    description:
      "Networks of load balancers in front, whose word for the client's address is taken (X-Forwarded-For, or the PROXY protocol header).",
  }),
});

export const ingress = z
  .strictObject({
    controller: z.enum(['nginx', 'ingress-nginx', 'none']).default('nginx').meta({
      description:
        'What reads Ingress objects of the class nginx: `nginx` is the NGINX Ingress Controller of F5; `ingress-nginx` was archived on 2026-03-24 and is for sites that have it; `none` takes away what a profile has.',
    }),
    expose: z.enum(['host-network', 'load-balancer']).default('host-network').meta({
      description:
        'Where it listens: `host-network` on ports 80 and 443 of every chosen machine; `load-balancer` on `address`, which Calico tells its BGP peers.',
    }),
    nodes: z
      .record(labelKey(), z.union([z.literal(''), labelValue()]))
      .default({})
      .meta({
        description:
          'Only machines with all of these labels (`machines.nodes[].labels`), taints or not. None: every machine without a taint that keeps pods away.',
      }),
    address: hostOrIp()
      .optional()
      .meta({
        description:
          "What Ingress objects have as their address. host-network: such as the name of a load balancer in front; default: the machines' own (nginx: of the first). load-balancer: an address inside `network.calico.bgp.advertise.loadBalancerCidrs`.",
        examples: ['203.0.113.10'],
      }),
    replicas: z.int().min(1).max(100).optional().meta({
      unit: 'pods',
      description: 'Pods with `load-balancer`; with host-network there is one on each machine. Default: 2.',
    }),
    defaultClass: z.boolean().default(true).meta({
      description: 'An Ingress that names no class belongs to it too.',
    }),
    certificate: z.string().optional().meta({
      description:
        'Certificate for hosts whose Ingress names none, in PEM, the authorities between after it. Its key is a secret of the site: `sitewright secrets set <site> ingressKey --file <key.pem>`. None: nginx refuses TLS there, ingress-nginx shows one of its own.',
    }),
    resources: z
      .strictObject({
        cpu: millicores().default('100m').meta({ description: 'CPU that every pod asks for; there is no limit.' }),
        memory: size()
          .default('128MiB')
          .meta({ description: 'Memory that every pod asks for; the default is that of the F5 release.' }),
        memoryLimit: size().default('1GiB').meta({
          description: 'Memory above which a pod is killed; each worker of NGINX takes some tens of MiB.',
        }),
      })
      .prefault({})
      .meta({ description: 'CPU and memory of every pod.' }),
    tuning: tuning
      .prefault({})
      .meta({ description: 'For every Ingress that says nothing else (`ingressAnnotations()` for one of a program).' }),
  })
  .optional()
  .meta({ description: 'The ingress controller. Without it there is none.' });
