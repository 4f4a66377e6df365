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

/** What each wants. */
export const RULE_TEXTS: Record<RuleName, string> = {
  'pod-mtu': 'Packets of pods fit the underlay with what wraps them.',
  'host-keys': 'Every SSH host key is known beforehand.',
  'encryption-at-rest': 'Secrets are encrypted in etcd.',
  'support-end': 'Kubernetes still gets fixes.',
  'etcd-protected': 'A production cluster has several members of etcd and takes snapshots by itself.',
  'anti-affinity': 'Production spreads its control plane over hypervisors.',
  'baseline-policy': 'Production has `policy.baseline`.',
  'personal-data': 'Namespaces with personal data are kept in a zone (`residency`).',
  'archived-controller': 'No ingress controller whose project has ended.',
};

const level = (name: RuleName, otherwise: 'error' | 'warning') =>
  z
    .enum(['error', 'warning', 'off'])
    .optional()
    .meta({ description: `${RULE_TEXTS[name]} Default: ${otherwise}.` });

const levels = z
  .strictObject({
    'pod-mtu': level('pod-mtu', 'error'),
    'host-keys': level('host-keys', 'error'),
    'encryption-at-rest': level('encryption-at-rest', 'error'),
    'support-end': level('support-end', 'warning'),
    'etcd-protected': level('etcd-protected', 'warning'),
    'anti-affinity': level('anti-affinity', 'warning'),
    'baseline-policy': level('baseline-policy', 'warning'),
    'personal-data': level('personal-data', 'error'),
    'archived-controller': level('archived-controller', 'warning'),
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
