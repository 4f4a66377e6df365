import type { IngressPlan, SitePlan } from '../../components/plan';
import { renderPlan } from '../../components/plan';
import { mintPki } from '../../components/secrets/pki';
import { BALANCED, ingressSite } from '../addons/ingress/sites';
import { osloWith, problemsOf, removeStacksFolders } from '../spec/stacksFolder';
import { compute, findingsOf, planOf } from './site';

afterAll(removeStacksFolders);

const planned = (ingress: object | undefined, more: Record<string, unknown> = {}): SitePlan =>
  planOf(ingressSite(ingress, more));
const ingressOf = (ingress: object, more: Record<string, unknown> = {}): IngressPlan =>
  planned(ingress, more).cluster!.ingress!;
const errors = (ingress: object, more: Record<string, unknown> = {}) =>
  findingsOf(ingressSite(ingress, more)).filter((line) => line.startsWith('error'));
const warnings = (ingress: object) =>
  findingsOf(ingressSite(ingress)).filter((line) => line.startsWith('warning ingress'));

test.each([undefined, { controller: 'none' }])('%j: no controller, nothing of it in the bundle', (ingress) => {
  const { cluster, nodes } = planned(ingress);
  expect(cluster!.ingress).toBeNull();
  expect(cluster!.bundle.name).toBe('upstream-1.36.1-calico-3.32.1');
  expect(cluster!.bundle.manifests.every(({ component }) => component === 'calico')).toBe(true);
  expect(nodes.flatMap(({ ingressPorts }) => ingressPorts)).toEqual([]);
});

test('F5 in the network of every machine without a taint', () => {
  const { cluster, nodes } = planned({});
  const { edits, ...plan } = cluster!.ingress!;
  expect(plan).toMatchObject({ controller: 'nginx', version: '5.5.4', nodes: ['w1', 'w2'], address: '192.0.1.21' });
  expect(edits.pod).toEqual({
    hostNetwork: true,
    dnsPolicy: 'ClusterFirstWithHostNet',
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    tolerations: [],
  });
  expect(edits.config).toEqual({ 'external-status-address': '192.0.1.21' });
  expect(edits.argumentsAdded).toContain('-enable-snippets=false');
  // A DaemonSet has no scale, so that only a number of pods can be kept.
  expect(plan.objects).toMatchObject([{ kind: 'PodDisruptionBudget', spec: { minAvailable: 1 } }]);
  expect(nodes.map(({ name, ingressPorts }) => [name, ingressPorts])).toEqual([
    ['cp1', []],
    ['w1', [80, 443, 8081]],
    ['w2', [80, 443, 8081]],
    ['w3', []],
  ]);
  expect(cluster!.bundle).toMatchObject({
    name: 'upstream-1.36.1-calico-3.32.1-nginx-ingress-5.5.4',
    images: { 'nginx-ingress': 'docker.io/nginx/nginx-ingress:5.5.4' },
  });
  expect(cluster!.bundle.manifests.filter(({ component }) => component === 'nginx-ingress')).toHaveLength(6);
});

test('machines by their labels, with their taints', () => {
  const plan = ingressOf({ nodes: { 'acme.example/edge': 'gpu' } });
  expect(plan.nodes).toEqual(['w3']);
  expect(plan.edits.pod).toMatchObject({
    nodeSelector: { 'kubernetes.io/os': 'linux', 'acme.example/edge': 'gpu' },
    tolerations: [{ key: 'dedicated', operator: 'Equal', value: 'gpu', effect: 'NoSchedule' }],
  });
  // One pod: a budget could only forbid.
  expect(plan.objects).toEqual([]);
});

test('ingress-nginx: allowed, with the date and the way out', () => {
  const plan = ingressOf({ controller: 'ingress-nginx' });
  expect(plan).toMatchObject({ version: '1.15.1', address: null, ports: [80, 443, 8181, 10246, 10247, 10254] });
  expect(plan.edits.argumentsAdded).toContain('--report-node-internal-ip-address');
  expect(plan.edits.config).toEqual({ 'allow-snippet-annotations': 'false', 'annotations-risk-level': 'High' });
  expect(warnings({ controller: 'ingress-nginx' })).toEqual([
    expect.stringMatching(/archived on 2026-03-24 and gets no fixes, .* go to nginx, .*ingressAnnotations\(\)/),
  ]);
});

test('behind an address: a Deployment, a pool of one address, a Service that Calico tells of', () => {
  const { edits, objects, lateObjects, ports, address } = ingressOf(BALANCED);
  expect({ replicas: edits.replicas, ports, address }).toEqual({ replicas: 2, ports: [], address: '203.0.113.10' });
  expect(edits.pod).toMatchObject({ hostNetwork: false, dnsPolicy: 'ClusterFirst' });
  expect(edits.namespaceLabels).toEqual({ 'pod-security.kubernetes.io/enforce': 'baseline' });
  expect(objects).toMatchObject([
    { kind: 'PodDisruptionBudget', spec: { maxUnavailable: 1 } },
    { kind: 'IPPool', spec: { cidr: '203.0.113.10/32', allowedUses: ['LoadBalancer'], assignmentMode: 'Manual' } },
  ]);
  expect(lateObjects).toMatchObject([
    {
      kind: 'Service',
      metadata: { annotations: { 'projectcalico.org/loadBalancerIPs': '["203.0.113.10"]' } },
      spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Local' },
    },
  ]);
});

test('one address leads to one machine, unless a name leads to all', () => {
  expect(warnings({})).toEqual([expect.stringMatching(/192\.0\.1\.21 of w1 alone: write the name .* all 2 machines/)]);
  expect(warnings({ address: 'shop.acme.example' })).toEqual([]);
  expect(ingressOf({ address: 'shop.acme.example' }).edits.config).toEqual({
    'external-status-address': 'shop.acme.example',
  });
  expect(ingressOf({ controller: 'ingress-nginx', address: '192.0.2.9' }).edits.argumentsAdded).toContain(
    '--publish-status-address=192.0.2.9',
  );
});

test.each<[ingress: object, message: RegExp, more?: Record<string, unknown>]>([
  [
    {},
    /controller: nginx cannot be built from package registries: set artifacts\.from to upstream/,
    { artifacts: { from: 'source' }, network: {} },
  ],
  [{ nodes: { 'acme.example/edge': 'cpu' } }, /nodes: no machine has acme\.example\/edge: cpu among its labels/],
  [{ replicas: 2 }, /replicas: with ingress\.expose host-network there is one pod on each chosen machine/],
  [{ resources: { memory: '2GiB' } }, /memoryLimit: 1GiB is less than the 2GiB that every pod asks for/],
  [{ expose: 'load-balancer' }, /address: load-balancer needs an address .*loadBalancerCidrs \(203\.0\.113\.0\/26\)/],
  [{ ...BALANCED, address: '203.0.113.64' }, /address: load-balancer needs an address/],
  [{ ...BALANCED, address: '203.0.113' }, /address: load-balancer needs an address/],
  [BALANCED, /expose: load-balancer needs Calico, which gives the address/, { network: {} }],
  [{ tuning: { proxyProtocol: true } }, /realIpRanges: proxyProtocol needs the networks of the load balancers/],
  [{ tuning: { realIpRanges: ['0.0.0.0/0'] } }, /realIpRanges\.0: 0\.0\.0\.0\/0 is everybody/],
  [
    { tuning: { realIpRanges: ['192.0.2.1/24'] } },
    /realIpRanges\.0: 192\.0\.2\.1\/24 has host bits set: write 192\.0\.2\.0\/24/,
  ],
  [
    { tuning: { readTimeout: '1500ms' } },
    /tuning\.readTimeout: 1500ms is not a whole number of seconds above 0: write 2s/,
  ],
])('%j is refused', (ingress, message, more = {}) => {
  const found = errors(ingress, more);
  expect(found).toEqual([expect.stringMatching(message)]);
  expect(found[0]).toMatch(/^error ingress\./);
});

test('a key or anything else in place of a certificate is refused, and not repeated', async () => {
  const { ca } = await mintPki('oslo', new Date());
  expect(ingressOf({ certificate: ca.certificate }).certificate).toBe(ca.certificate);
  expect(ingressOf({ certificate: ca.certificate }).edits.argumentsAdded).toEqual(
    expect.arrayContaining([
      '-default-server-tls-secret=$(POD_NAMESPACE)/default-certificate',
      '-wildcard-tls-secret=$(POD_NAMESPACE)/default-certificate',
    ]),
  );
  const wrong: [string, RegExp][] = [
    [`${ca.certificate}${ca.privateKey}`, /it holds a private key, which is then known to everybody/],
    ['certificate.pem', /it holds what is no certificate/],
    [ca.certificate.replace('MII', 'MIX'), /it holds a certificate that cannot be read/],
  ];
  for (const [certificate, message] of wrong) {
    const { findings } = compute(ingressSite({ certificate }));
    const found = findings.filter(({ severity }) => severity === 'error');
    expect(found.map(({ path, message: text }) => [path, text])).toEqual([
      [['ingress', 'certificate'], expect.stringMatching(message)],
    ]);
    expect(JSON.stringify(found)).not.toContain('BEGIN PRIVATE');
  }
});

test('an older Calico gives Services no addresses', () => {
  const site = ingressSite(BALANCED);
  const network = site.network as { calico: object };
  const older = { network: { ...network, calico: { ...network.calico, version: '3.28.5' } } };
  expect(errors(BALANCED, older)).toEqual([
    expect.stringMatching(/Calico 3\.28\.5 gives Services no addresses: use Calico 3\.30\.0/),
  ]);
});

test('values in a form that no controller takes are refused where they stand', () => {
  const ingress = `ingress:
  tuning:
    bodySize: 50MB
    readTimeout: 600
    buffers: { size: 8K, count: 2 }
    buffering: 'on'
`;
  expect(problemsOf(osloWith(ingress))).toEqual([
    expect.stringMatching(/16:15 ingress\.tuning\.bodySize: "50MB" is not allowed.*k, m or g, such as 50m/),
    expect.stringMatching(/17:18 ingress\.tuning\.readTimeout: 600 .*such as 15s/),
    expect.stringMatching(/18:22 ingress\.tuning\.buffers\.size: "8K" .*such as 8k/),
    expect.stringMatching(/18:33 ingress\.tuning\.buffers\.count: 2 is too small/),
    expect.stringMatching(/19:16 ingress\.tuning\.buffering: .*true or false/),
  ]);
});

test('without a cluster it has no effect, and the site is told so', () => {
  const { findings } = compute(ingressSite({}, { kubernetes: {} }));
  expect(findings.map(({ path, message }) => [path.join('.'), message])).toContainEqual([
    'ingress',
    expect.stringMatching(/^ingress has no effect/),
  ]);
});

test('a plan shows where it listens, what it reports and its configuration', () => {
  const text = renderPlan(planned({ tuning: { bodySize: '50m' } }), { color: false });
  expect(text).toMatch(/controller +│ nginx 5\.5\.4, class nginx, also of an Ingress without one/);
  expect(text).toMatch(/machines +│ w1, w2: one on each/);
  expect(text).toMatch(/listens on +│ TCP ports 80, 443, 8081 of these machines/);
  expect(text).toMatch(/Ingress objects report +│ 192\.0\.1\.21/);
  expect(text).toMatch(/client-max-body-size +│ 50m/);
});
