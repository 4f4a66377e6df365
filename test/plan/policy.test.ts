import { renderPlan, type KubeDocument, type PolicyPlan } from '../../components/plan';
import { BALANCED, ingressSite } from '../addons/ingress/sites';
import { policySite } from '../network/policySites';
import { findingsOf, planOf } from './site';

const policyOf = (site = policySite()): PolicyPlan => planOf(site).cluster!.policy!;
const errors = (site: Record<string, unknown>) => findingsOf(site).filter((line) => line.startsWith('error'));

const rulesOf = ({ policies }: PolicyPlan['namespaces'][number]) =>
  Object.fromEntries(
    policies.map(({ metadata, spec }) => {
      const { podSelector, ...rules } = spec as { podSelector: object };
      expect(podSelector).toEqual({});
      return [(metadata as { name: string }).name.replace('sitewright-', ''), rules];
    }),
  );

const DNS = {
  policyTypes: ['Egress'],
  egress: [
    {
      to: [
        { ipBlock: { cidr: '169.254.20.10/32' } },
        {
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } },
          podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } },
        },
      ],
      ports: [
        { protocol: 'UDP', port: 53 },
        { protocol: 'TCP', port: 53 },
      ],
    },
  ],
};
const DENY = { policyTypes: ['Ingress', 'Egress'] };
const FROM_INGRESS = {
  policyTypes: ['Ingress'],
  ingress: [{ from: [{ ipBlock: { cidr: '192.0.1.21/32' } }, { ipBlock: { cidr: '192.0.2.22/32' } }] }],
};
const MONITORING = {
  policyTypes: ['Ingress'],
  ingress: [{ from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }] }],
};

test('a namespace: nothing but DNS, the API server, ingress, monitoring and its list', () => {
  const [erp] = policyOf().namespaces;
  expect(erp!.namespace.metadata).toEqual({
    name: 'erp',
    labels: {
      'sitewright.internal/data': 'general',
      'pod-security.kubernetes.io/enforce': 'restricted',
      'pod-security.kubernetes.io/audit': 'restricted',
      'pod-security.kubernetes.io/warn': 'restricted',
    },
  });
  expect(rulesOf(erp!)).toEqual({
    'default-deny': DENY,
    dns: DNS,
    'api-server': {
      policyTypes: ['Egress'],
      egress: [{ to: [{ ipBlock: { cidr: '192.0.1.11/32' } }], ports: [{ protocol: 'TCP', port: 6443 }] }],
    },
    ingress: FROM_INGRESS,
    monitoring: MONITORING,
    'egress-1': {
      policyTypes: ['Egress'],
      egress: [
        {
          to: [{ ipBlock: { cidr: '203.0.113.0/28' } }],
          ports: [
            { protocol: 'TCP', port: 443 },
            { protocol: 'TCP', port: 8443 },
          ],
        },
      ],
    },
  });
});

test('personal data: not even the API server, and pods that must ask for the zone', () => {
  const { namespaces, objects, residencyZone } = policyOf();
  expect(rulesOf(namespaces[1]!)).toEqual({
    ...{ 'default-deny': DENY, dns: DNS, ingress: FROM_INGRESS, monitoring: MONITORING },
    'egress-1': { policyTypes: ['Egress'], egress: [{ to: [{ ipBlock: { cidr: '192.0.1.64/28' } }] }] },
  });
  expect(residencyZone).toBe('zone1');
  expect(objects.map(({ kind }) => kind)).toEqual([
    'GlobalNetworkPolicy',
    'ValidatingAdmissionPolicy',
    'ValidatingAdmissionPolicyBinding',
  ]);
});

test('every other namespace: DNS alone, and the cluster itself is left alone', () => {
  const [global] = policyOf().objects as (KubeDocument & { spec: Record<string, unknown> })[];
  expect(global!.spec).toMatchObject({ order: 2000, types: ['Ingress', 'Egress'] });
  expect(global!.spec.namespaceSelector).toBe(
    "projectcalico.org/name not in {'kube-system', 'kube-public', 'kube-node-lease', 'calico-system', 'calico-apiserver', 'tigera-operator', 'nginx-ingress'} && " +
      "!projectcalico.org/name starts with 'sitewright-verify-' && !(kubernetes.io/metadata.name == 'monitoring')",
  );
  expect(global!.spec).not.toHaveProperty('ingress');
  expect(policyOf(policySite({ everyNamespace: false })).objects.map(({ kind }) => kind)).not.toContain(
    'GlobalNetworkPolicy',
  );
});

test('behind an address requests come from the pods of the controller', () => {
  const namespaces = [{ name: 'erp' }];
  const site = ingressSite(BALANCED, { policy: { baseline: 'restricted', namespaces } });
  expect(rulesOf(policyOf(site).namespaces[0]!).ingress).toEqual({
    policyTypes: ['Ingress'],
    ingress: [{ from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'nginx-ingress' } } }] }],
  });
});

test('what is not there is not let in or out', () => {
  const site = policySite({ monitoring: {} }, { ingress: undefined, dns: { nodeLocal: false } });
  const rules = rulesOf(policyOf(site).namespaces[0]!);
  expect(Object.keys(rules)).toEqual(['default-deny', 'dns', 'api-server', 'egress-1']);
  expect(JSON.stringify(rules.dns)).not.toContain('ipBlock');
});

test.each<[site: Record<string, unknown>, message: RegExp]>([
  [
    policySite({ everyNamespace: false }, { network: {}, ingress: undefined, underlay: policySite().underlay }),
    /policy\.baseline: network\.cni routes carries no NetworkPolicy out: set it to calico/,
  ],
  [
    policySite({}, { network: { cni: 'calico', routing: 'vxlan' } }),
    /ingress\.expose: host-network does not go with policy\.baseline restricted through vxlan: .* load-balancer/,
  ],
  [
    policySite({}, { network: { cni: 'calico', routing: 'ipip-cross-subnet' } }),
    /ingress\.expose: host-network does not go with policy\.baseline restricted through ipip/,
  ],
  [policySite({ namespaces: [{ name: 'kube-system' }] }), /namespaces\.0\.name: kube-system is part of the cluster/],
  [policySite({ namespaces: [{ name: 'nginx-ingress' }] }), /nginx-ingress is part of the cluster itself/],
  [
    policySite({ namespaces: [{ name: 'erp', egress: [{ cidr: '192.0.2.1/24' }] }] }),
    /egress\.0\.cidr: 192\.0\.2\.1\/24 is an address inside a network: write the network itself, 192\.0\.2\.0\/24/,
  ],
  [
    policySite({ namespaces: [{ name: 'x', data: 'personal', egress: [{ cidr: '203.0.113.0/28' }] }] }),
    /203\.0\.113\.0\/28 is not in the zone zone1, which the personal data of x must not leave: in it are 192\.0\.1\.0\/24/,
  ],
  [
    policySite({ namespaces: [] }, { residency: { zone: 'zone3' } }),
    /residency\.zone: no machine is in zone3: zones are zone1, zone2/,
  ],
])('%#: refused with the reason', (site, message) => {
  expect(errors(site)).toContainEqual(expect.stringMatching(message));
});

test('networks of the zone beside its machines may be reached', () => {
  const site = policySite(
    { namespaces: [{ name: 'x', data: 'personal', egress: [{ cidr: '203.0.113.0/28' }] }] },
    { residency: { zone: 'zone1', networks: ['203.0.113.0/24'] } },
  );
  expect(errors(site)).toEqual([]);
});

test('without a baseline the rest has no effect, and the site is told so', () => {
  const site = policySite({ baseline: 'none' });
  expect(planOf(site).cluster!.policy).toBeNull();
  expect(findingsOf(site).filter((line) => line.includes('has no effect'))).toEqual(
    ['policy.namespaces', 'policy.everyNamespace', 'residency'].map((key) =>
      expect.stringContaining(`warning ${key}: ${key} has no effect: set policy.baseline to restricted`),
    ),
  );
});

test('a plan shows what each namespace lets through', () => {
  const text = renderPlan(planOf(policySite()), { color: false });
  expect(text).toMatch(/patients +│ personal, in zone1 +│ default-deny, dns, ingress, monitoring, egress-1/);
  expect(text).toMatch(/every other +│ +│ nothing but dns/);
});
