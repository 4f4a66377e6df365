import type { SiteSpec } from '../spec/schema';
import type { KubeDocument } from './clusterTypes';

/** What the API server writes down, and what it admits. */

/**
 * Who changed what, without any content: requests can hold passwords, and Secrets hold them. Reads are left out except
 * those of Secrets; so are leases and events, which would be most of the log.
 */
export const AUDIT_POLICY: KubeDocument = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [
    { level: 'None', resources: [{ group: 'coordination.k8s.io', resources: ['leases'] }] },
    { level: 'None', resources: [{ group: '', resources: ['events'] }, { group: 'events.k8s.io' }] },
    { level: 'None', nonResourceURLs: ['/healthz*', '/livez*', '/readyz*', '/metrics', '/version', '/openapi/*'] },
    { level: 'None', userGroups: ['system:nodes'], verbs: ['get', 'list', 'watch'] },
    { level: 'Metadata', resources: [{ group: '', resources: ['secrets'] }] },
    { level: 'None', verbs: ['get', 'list', 'watch'] },
    { level: 'Metadata' },
  ],
};

/** Null where Kubernetes does the same by itself. */
export function planAdmission(spec: SiteSpec): KubeDocument | null {
  const level = spec.kubernetes.podSecurity;
  if (level === 'privileged') return null;
  return {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AdmissionConfiguration',
    plugins: [
      {
        name: 'PodSecurity',
        configuration: {
          apiVersion: 'pod-security.admission.config.k8s.io/v1',
          kind: 'PodSecurityConfiguration',
          defaults: {
            enforce: level,
            'enforce-version': 'latest',
            audit: level,
            'audit-version': 'latest',
            warn: level,
            'warn-version': 'latest',
          },
          // kube-proxy, CoreDNS and the cache of each node need the network of the node.
          exemptions: { usernames: [], runtimeClasses: [], namespaces: ['kube-system'] },
        },
      },
    ],
  };
}
