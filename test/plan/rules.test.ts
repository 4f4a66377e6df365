import type { RuleFinding } from '../../components/plan';
import { RULES, type RuleName } from '../../components/spec/rulesSchema';
import { BROKEN, CALICO, findingsOf, production, TODAY, type Site } from './brokenRules';
import { clusterSite } from './clusterSite';

const shown = (findings: RuleFinding[]) =>
  findings.map(({ severity, path, message }) => `${severity} ${path.join('.')}: ${message}`);
const check = (site: Site) => shown(findingsOf(site));
const withRules = (rules: object): Site => ({ ...production, rules });

test('a site that keeps every rule', () => {
  expect(check(production)).toEqual([]);
});

const FIRST_SAID: Record<RuleName, string> = {
  'pod-mtu':
    'error network.podMtu: pods have packets of 1501 bytes and 1500 fit the underlay: set network.podMtu to auto (rule pod-mtu)',
  'host-keys':
    'error machines.nodes.0.ssh.hostKey: cp1 has no host key that its first connection is checked by: state ssh.hostKey (rule host-keys)',
  'encryption-at-rest':
    'error kubernetes.version: the API server writes Secrets to etcd as they are: it has no argument encryption-provider-config (rule encryption-at-rest)',
  'support-end':
    'warning kubernetes.version: 1.36.1 gets no fixes since 2027-06-28: go to a newer minor (rule support-end)',
  'etcd-protected':
    'warning machines.nodes: 1 control-plane machine in production: etcd is gone with its disk; use 3 or 5 (rule etcd-protected)',
  'anti-affinity':
    'warning machines.kvm.antiAffinity: control-plane machines of production may share a hypervisor: leave machines.kvm.antiAffinity out (rule anti-affinity)',
  'baseline-policy':
    'warning policy.baseline: every pod of production may reach every other: set policy.baseline to restricted (rule baseline-policy)',
  'personal-data':
    'error policy.namespaces.0.data: erp handles personal data, and no zone is stated that it stays in: state residency.zone (rule personal-data)',
  'archived-controller':
    'warning ingress.controller: ingress-nginx is archived and gets no fixes: set ingress.controller to nginx (rule archived-controller)',
};

test.each(RULES)('%s', (rule) => {
  const found = findingsOf(...BROKEN[rule]);
  expect(shown(found)[0]).toBe(FIRST_SAID[rule]);
  expect(new Set(found.map((one) => one.rule))).toEqual(new Set([rule]));
});

test('nobody takes snapshots of etcd', () => {
  expect(
    check({ ...clusterSite(CALICO), environment: 'production', policy: production.policy, rules: production.rules }),
  ).toEqual([expect.stringMatching(/^warning kubernetes.etcd.snapshots: nobody takes snapshots/)]);
});

test('what is for production says nothing of staging', () => {
  expect(check({ ...clusterSite(), environment: 'staging' })).toEqual([]);
});

describe('levels and exceptions', () => {
  const exception = (until: string) => ({ name: 'anti-affinity', owner: 'ops', until, reason: 'new host in May' });

  test('a level makes a rule an error, or silent', () => {
    expect(check(withRules({ levels: { 'anti-affinity': 'error' } }))).toEqual([
      expect.stringMatching(/^error machines/),
    ]);
    expect(check(withRules({ levels: { 'anti-affinity': 'off' } }))).toEqual([]);
  });

  test('an exception makes it a warning with its owner, to the end of its day', () => {
    const rules = { levels: { 'anti-affinity': 'error' }, exceptions: [exception(TODAY)] };
    expect(check(withRules(rules))).toEqual([
      expect.stringMatching(
        /^warning machines.kvm.antiAffinity: .*\(rule anti-affinity, accepted by ops until 2026-11-21: new host in May\)$/,
      ),
    ]);
  });

  test('one whose day is over is bad input, and hides nothing', () => {
    expect(check(withRules({ exceptions: [exception('2026-11-20')] }))).toEqual([
      'error rules.exceptions.0.until: the exception from anti-affinity ended on 2026-11-20: do what the rule wants and take it out, or ask ops for a later day',
      expect.stringMatching(/^warning machines.kvm.antiAffinity: .*\(rule anti-affinity\)$/),
    ]);
  });

  test('every rule can be given a level', () => {
    const levels = Object.fromEntries(RULES.map((name) => [name, 'off']));
    expect(check({ ...clusterSite(), environment: 'production', rules: { levels } })).toEqual([]);
  });
});
