import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { BundlePlan, ClusterPlan } from '../../../components/plan';
import { compute, HOST_KEY, lines, node, subnet } from '../../plan/site';

/** Three existing machines with Calico by BGP and whatever the test says of `ingress`. */
export function ingressSite(ingress: object | undefined, more: Record<string, unknown> = {}): Record<string, unknown> {
  const machine = (name: string, host: number, keys: object) =>
    node(name, 1, host, { ssh: { hostKey: HOST_KEY }, ...keys });
  return {
    name: 'oslo',
    kit: '^0.1.0',
    environment: 'staging',
    underlay: { subnets: [subnet(1)] },
    machines: {
      provider: 'existing',
      nodes: [
        machine('cp1', 11, { role: 'control-plane' }),
        machine('w1', 21, { labels: { 'acme.example/edge': '' } }),
        machine('w2', 22, { labels: { 'acme.example/edge': '' } }),
        machine('w3', 23, {
          labels: { 'acme.example/edge': 'gpu' },
          taints: [{ key: 'dedicated', value: 'gpu', effect: 'NoSchedule' }],
        }),
      ],
    },
    kubernetes: { version: '1.36.1' },
    kubeProxy: { mode: 'iptables' },
    network: {
      cni: 'calico',
      routing: 'bgp',
      calico: {
        bgp: {
          peers: [{ name: 'tor', address: '192.0.1.1', asNumber: 64601 }],
          advertise: { loadBalancerCidrs: ['203.0.113.0/26'] },
        },
      },
    },
    ...(ingress === undefined ? {} : { ingress }),
    ...more,
  };
}

export const BALANCED = { expose: 'load-balancer', address: '203.0.113.10' };

export function clusterOf(ingress: object, more: Record<string, unknown> = {}): ClusterPlan {
  const { plan, findings } = compute(ingressSite(ingress, more));
  if (plan === null) throw new Error(lines(findings).join('\n'));
  return plan.cluster!;
}

const UPSTREAM = resolve(__dirname, '../../../../shared/upstream');

/** A release manifest as its project publishes it: the very bytes that a bundle would carry. */
export function releaseText({ manifests, components }: BundlePlan, name: string): string {
  const { url, sha256, component } = manifests.find((one) => one.name === name)!;
  const { version } = components.find((one) => one.name === component)!;
  const folder = component === 'nginx-ingress' ? 'nginx-kubernetes-ingress' : component;
  const file = join(UPSTREAM, `${folder}-v${version}`, url.split('/').pop()!);
  const text = readFileSync(file, 'utf8');
  const found = createHash('sha256').update(text).digest('hex');
  if (found !== sha256) throw new Error(`${file} has the sha256 ${found}, the plan wants ${sha256}`);
  return text;
}

/** The manifests of the controller, below a folder, as a bundle has them. */
export function writeBundle(folder: string, bundle: BundlePlan): void {
  mkdirSync(join(folder, 'manifests'), { recursive: true });
  for (const { name, component } of bundle.manifests) {
    if (component !== 'calico') writeFileSync(join(folder, 'manifests', name), releaseText(bundle, name));
  }
}
