import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderPlan } from '../../components/plan';
import { controlPlane, kvmSite, node, planOf, siteOf, subnet } from './site';

const golden = (name: string) => readFileSync(join(__dirname, 'golden', name), 'utf8');

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
  expect(renderPlan(planOf(site), { color: false })).toBe(golden('kvm.txt'));
});

test('existing machines as tables: what only the machine knows is said so', () => {
  expect(
    renderPlan(planOf(siteOf('dual', 1, { network: { routing: 'vxlan', podCidrs: ['10.244.0.0/16'] } })), {
      color: false,
    }),
  ).toBe(golden('existing.txt'));
});

test('colour adds nothing but colour', () => {
  const colored = renderPlan(planOf(site), { color: true });
  expect(colored).toContain('\u001b[1mNodes (3)\u001b[22m');
  // eslint-disable-next-line no-control-regex
  expect(colored.replace(/\u001b\[[0-9]+m/g, '')).toBe(golden('kvm.txt'));
});
