import { artifacts, dns, kubeProxy, kubernetes } from '../spec/clusterSchema';
import { policy } from '../spec/policySchema';
import type { SiteSpec } from '../spec/schema';
import type { Findings } from './findings';
import { controllerOf } from './ingressVersions';
import type { SpecPath } from './types';

/** What of these decides modules, sysctls, addresses or ports of the machines has its effect with or without a cluster. */
const OF_MACHINES: Record<string, readonly string[]> = {
  kubernetes: ['version', 'vip'],
  kubeProxy: ['mode', 'scheduler', 'conntrack'],
  dns: [],
  artifacts: [],
  policy: [],
};
const SECTIONS = { kubernetes, kubeProxy, dns, artifacts, policy };
const OF_NODES = ['zone', 'labels', 'taints'] as const;

/** Without a version there is no cluster, and who wrote the rest of it should know. A default that was written is not told from one that was not. */
export function tellClusterKeys(spec: SiteSpec, findings: Findings): void {
  if (spec.kubernetes.version !== undefined) return;
  const tell = (path: SpecPath) =>
    findings.warning(
      path,
      undefined,
      `${path[path.length - 1]} has no effect: it is for a cluster, and the site names no kubernetes.version; state the version, or leave this out`,
    );
  for (const [section, schema] of Object.entries(SECTIONS)) {
    const defaults = schema.parse({}) as Record<string, unknown>;
    for (const [key, value] of Object.entries(spec[section as keyof typeof SECTIONS])) {
      if (!OF_MACHINES[section].includes(key) && differs(value, defaults[key])) tell([section, key]);
    }
  }
  if (spec.registries.length > 0) tell(['registries']);
  if (controllerOf(spec) !== null) tell(['ingress']);
  if (spec.residency !== undefined) tell(['residency']);
  spec.machines.nodes.forEach((node, index) => {
    for (const key of OF_NODES) if (!isEmpty(node[key])) tell(['machines', 'nodes', index, key]);
  });
}

const differs = (a: unknown, b: unknown) => JSON.stringify(a) !== JSON.stringify(b);
const isEmpty = (value: unknown) => value === undefined || Object.keys(value as object).length === 0;
