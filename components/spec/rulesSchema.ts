import { z } from 'zod';
import { text } from './values';

/** `rules`: what an organisation wants of its sites beyond what must hold for them to work. */

export const RULES = [
  'pod-mtu',
  'host-keys',
  'encryption-at-rest',
  'support-end',
  'etcd-protected',
  'anti-affinity',
  'baseline-policy',
  'personal-data',
  'archived-controller',
] as const;
export type RuleName = (typeof RULES)[number];

const level = z.enum(['error', 'warning', 'off']).optional();

const levels = z
  .strictObject({
    'pod-mtu': level.meta({ description: 'Packets of pods fit the underlay with what wraps them. Default: error.' }),
    'host-keys': level.meta({ description: 'Every SSH host key is known beforehand. Default: error.' }),
    'encryption-at-rest': level.meta({ description: 'Secrets are encrypted in etcd. Default: error.' }),
    'support-end': level.meta({ description: 'Kubernetes still gets fixes. Default: warning.' }),
    'etcd-protected': level.meta({
      description: 'A production cluster has several members of etcd and takes snapshots by itself. Default: warning.',
    }),
    'anti-affinity': level.meta({
      description: 'Production spreads its control plane over hypervisors. Default: warning.',
    }),
    'baseline-policy': level.meta({ description: 'Production has `policy.baseline`. Default: warning.' }),
    'personal-data': level.meta({
      description: 'Namespaces with personal data are kept in a zone (`residency`). Default: error.',
    }),
    'archived-controller': level.meta({
      description: 'No ingress controller whose project has ended. Default: warning.',
    }),
  } satisfies Record<RuleName, unknown>)
  .prefault({});

const exception = z.strictObject({
  name: z.enum(RULES).meta({ description: 'Rule that may be broken; lists merge by it.', examples: ['support-end'] }),
  owner: z
    .string()
    .min(1)
    .meta({ description: 'Who answers for it.', examples: ['platform-team'] }),
  until: text(/^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$/, 'a day in quotes, such as 2027-01-31').meta({
    description: 'Last day that it holds, in UTC; after it `validate` refuses the site.',
    examples: ['2027-01-31'],
  }),
  reason: z
    .string()
    .min(1)
    .meta({ description: 'Why.', examples: ['the upgrade waits for the ERP vendor'] }),
});

export const rules = z.strictObject({
  levels: levels.meta({ description: 'How much each rule counts.' }),
  exceptions: z.array(exception).default([]).meta({
    description: 'Rules that may be broken for a while; what they hide is told as a warning. Merged by name.',
  }),
});
