import { renderPlan } from '../../components/plan';
import { clusterSite } from './clusterSite';
import { expectGolden } from './golden';
import { controlPlane, kvmSite, node, planOf, siteOf, subnet } from './site';

const site = kvmSite(
  [controlPlane, node('w1', 1, 12), node('w2', 2, 11)],
  {},
  {
    underlay: { subnets: [subnet(1), subnet(2)] },
    kubernetes: { vip: '192.0.1.10' },
    nodePrep: { sysctls: { 'net.core.somaxconn': 4096 } },
    checks: { peers: [{ name: 'win', address: '203.0.113.9', tcpPort: 443 }], warn: ['etcd-disk'] },
  },
);

test('a small site of virtual machines as tables', () => {
  expectGolden('kvm.txt', renderPlan(planOf(site), { color: false }));
});

test('existing machines as tables: what only the machine knows is said so', () => {
  const existing = siteOf('dual', 1, { network: { routing: 'vxlan', podCidrs: ['10.244.0.0/16'] } });
  expectGolden('existing.txt', renderPlan(planOf(existing), { color: false }));
});

test('colour adds nothing but colour', () => {
  const colored = renderPlan(planOf(site), { color: true });
  expect(colored).toContain('\u001b[1mNodes (3)\u001b[22m');
  // eslint-disable-next-line no-control-regex
  expect(colored.replace(/\u001b\[[0-9]+m/g, '')).toBe(renderPlan(planOf(site), { color: false }));
});

test('a cluster: versions, endpoint, who owns conntrack, DNS, and what each node is', () => {
  const rendered = renderPlan(planOf(clusterSite()), { color: false });
  expectGolden('cluster.txt', rendered.slice(rendered.indexOf('\nCluster\n') + 1));
});
