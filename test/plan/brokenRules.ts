import { checkRules, type RuleFinding, type SitePlan } from '../../components/plan';
import { siteSchema } from '../../components/spec/schema';
import type { RuleName } from '../../components/spec/rulesSchema';
import { clusterSite, smallCluster } from './clusterSite';
import { planOf } from './site';

export type Site = Record<string, unknown>;

export const TODAY = '2026-11-21';
/** Something that carries out policies. */
export const CALICO = { network: { cni: 'calico' }, more: { kubeProxy: { mode: 'iptables' } } };

/** Keeps every rule. */
export const production: Site = {
  ...clusterSite({ ...CALICO, kubernetes: { etcd: { snapshots: { every: '6h', directory: '/backup' } } } }),
  environment: 'production',
  policy: { baseline: 'restricted' },
  rules: { levels: { 'anti-affinity': 'off' } },
};

interface Circumstances {
  today?: string;
  /** Stands for a plan that nothing can make today. */
  edit?: (plan: SitePlan) => void;
}

export function findingsOf(site: Site, { today = TODAY, edit }: Circumstances = {}): RuleFinding[] {
  const plan = structuredClone(planOf(site));
  edit?.(plan);
  return checkRules({ spec: siteSchema.parse(site), plan, today });
}

/** A site that breaks each rule; some break it at several places. */
export const BROKEN: Record<RuleName, [site: Site, circumstances?: Circumstances]> = {
  'pod-mtu': [production, { edit: (plan) => (plan.mtu.podMtuBytes += 1) }],
  'host-keys': [production, { edit: ({ machines }) => (machines.provider = 'existing') }],
  'encryption-at-rest': [production, { edit: ({ cluster }) => (cluster!.kubeadm.clusterConfiguration = {}) }],
  'support-end': [production, { today: '2027-06-29' }],
  'etcd-protected': [{ ...production, ...smallCluster(CALICO), environment: 'production' }],
  'anti-affinity': [{ ...production, rules: {} }],
  'baseline-policy': [{ ...production, policy: {} }],
  'personal-data': [
    { ...production, policy: { baseline: 'restricted', namespaces: [{ name: 'erp', data: 'personal' }] } },
  ],
  'archived-controller': [
    production,
    { edit: ({ cluster }) => Object.assign(cluster!, { ingress: { controller: 'ingress-nginx' } }) },
  ],
};
