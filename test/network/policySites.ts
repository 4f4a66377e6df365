import { HOST_KEY, node, subnet } from '../plan/site';

/** Two zones, Calico without a tunnel, two namespaces; keys of `policy` and of the site can be changed. */
export function policySite(policy: object = {}, more: Record<string, unknown> = {}): Record<string, unknown> {
  const machine = (name: string, segment: number, host: number, keys: object = {}) =>
    node(name, segment, host, { ssh: { hostKey: HOST_KEY }, zone: `zone${segment}`, ...keys });
  return {
    name: 'oslo',
    kit: '^0.1.0',
    environment: 'staging',
    underlay: { subnets: [subnet(1), subnet(2)] },
    machines: {
      provider: 'existing',
      nodes: [machine('cp1', 1, 11, { role: 'control-plane' }), machine('w1', 1, 21), machine('w2', 2, 22)],
    },
    kubernetes: { version: '1.36.1' },
    kubeProxy: { mode: 'iptables' },
    network: { cni: 'calico', routing: 'bgp' },
    policy: {
      baseline: 'restricted',
      everyNamespace: true,
      namespaces: [
        { name: 'erp', egress: [{ cidr: '203.0.113.0/28', ports: [443, 8443] }] },
        { name: 'patients', data: 'personal', podSecurity: 'baseline', egress: [{ cidr: '192.0.1.64/28' }] },
      ],
      ...policy,
    },
    residency: { zone: 'zone1' },
    ingress: { address: 'apps.acme.example' },
    ...more,
  };
}
