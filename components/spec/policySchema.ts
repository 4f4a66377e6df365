import { z } from 'zod';
import { cidr, labelKey, labelValue, name } from './values';

/** `policy` and `residency`: what pods may reach, who may reach them, and where those with personal data run. */

const egress = z.strictObject({
  cidr: cidr().meta({ description: 'Network that pods may reach.', examples: ['192.0.2.64/28'] }),
  protocol: z.enum(['TCP', 'UDP', 'SCTP']).default('TCP').meta({ description: 'Protocol of `ports`.' }),
  ports: z.array(z.int().min(1).max(65535)).default([]).meta({
    description: 'Ports there. None: everything, of any protocol.',
  }),
});

const namespace = z.strictObject({
  name: name().meta({
    description:
      'Name of the Namespace, which the kit makes; lists merge by it. It stays, with all in it, when it is taken out here.',
    examples: ['erp'],
  }),
  data: z.enum(['general', 'personal']).default('general').meta({
    description:
      '`personal`: pods reach DNS and `egress`, and not even the API server; with `residency` they run in its zone and reach nothing outside it.',
  }),
  podSecurity: z.enum(['privileged', 'baseline', 'restricted']).default('restricted').meta({
    description: 'Pod Security Standard that the Namespace enforces.',
  }),
  egress: z.array(egress).default([]).meta({ description: 'Networks outside the cluster that its pods may reach.' }),
});

export const policy = z.strictObject({
  baseline: z.enum(['none', 'restricted']).default('none').meta({
    description:
      '`restricted`: in each of `namespaces` nothing gets in or out but DNS, the API server, the ingress controller and monitoring; your own NetworkPolicies add to it.',
  }),
  everyNamespace: z.boolean().default(false).meta({
    description:
      'In every other namespace too nothing gets in or out but DNS, by a GlobalNetworkPolicy of Calico, except in those of the cluster itself and of monitoring.',
  }),
  monitoring: z
    .record(labelKey(), z.union([z.literal(''), labelValue()]))
    .default({ 'kubernetes.io/metadata.name': 'monitoring' })
    .meta({ description: 'Labels of the namespaces whose pods may reach every pod, to read metrics; {}: none.' }),
  namespaces: z.array(namespace).default([]).meta({ description: 'Namespaces with the baseline. Merged by name.' }),
});

export const residency = z
  .strictObject({
    zone: name().meta({
      description: 'Zone (`machines.nodes[].zone`) that personal data stays in.',
      examples: ['oslo1'],
    }),
    networks: z.array(cidr()).default([]).meta({
      description: 'Networks outside the cluster that are in the zone, beside the subnets of its machines.',
    }),
  })
  .optional()
  .meta({ description: 'Where namespaces with `data: personal` are kept.' });
