import * as k8s from '@pulumi/kubernetes';
import * as pulumi from '@pulumi/pulumi';
import type { ClusterPlan } from '../plan/clusterTypes';
import { IMAGE_PULL_POLICY, NAMESPACE, objectOptions, type ClusterAccess } from './cluster';

export interface ClusterDnsArgs {
  plan: Pick<ClusterPlan, 'dns' | 'bundle'>;
  access: ClusterAccess;
}

const NAME = 'coredns';
/** What every Kubernetes cluster calls its DNS: network policies and dashboards select by it. */
const SERVICE_NAME = 'kube-dns';
const LABELS = { 'k8s-app': SERVICE_NAME };
/** Ports that the planned Corefile opens: CoreDNS's own defaults. */
const PORTS = { dns: 53, metrics: 9153, health: 8080, ready: 8181 };

/**
 * The DNS of the cluster. A changed Corefile is an edit of the ConfigMap in place: kubelet brings it to the pods within
 * about a minute, and CoreDNS reloads it without a gap, or keeps the old one and logs why.
 */
export class ClusterDns extends pulumi.ComponentResource {
  constructor(name: string, { plan, access }: ClusterDnsArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:addons:ClusterDns', name, {}, opts);
    const { dns } = plan;
    const options = objectOptions(this, access);
    const metadata = { name: NAME, namespace: NAMESPACE, labels: LABELS };

    const account = new k8s.core.v1.ServiceAccount(`${name}-account`, { metadata }, options);
    const role = new k8s.rbac.v1.ClusterRole(
      `${name}-role`,
      {
        metadata: { name: 'system:coredns' },
        rules: [
          { apiGroups: [''], resources: ['services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
          { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
        ],
      },
      options,
    );
    const binding = new k8s.rbac.v1.ClusterRoleBinding(
      `${name}-binding`,
      {
        metadata: { name: 'system:coredns' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:coredns' },
        subjects: [{ kind: 'ServiceAccount', name: NAME, namespace: NAMESPACE }],
      },
      options,
    );
    const corefile = new k8s.core.v1.ConfigMap(
      `${name}-corefile`,
      { metadata, data: { Corefile: dns.corefile } },
      options,
    );

    const addresses = dns.serviceAddresses;
    new k8s.core.v1.Service(
      `${name}-service`,
      {
        metadata: {
          name: SERVICE_NAME,
          namespace: NAMESPACE,
          labels: { ...LABELS, 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' },
          annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': `${PORTS.metrics}` },
        },
        spec: {
          clusterIP: addresses[0]!,
          clusterIPs: addresses,
          ipFamilies: addresses.map((address) => (address.includes(':') ? 'IPv6' : 'IPv4')),
          ipFamilyPolicy: addresses.length > 1 ? 'RequireDualStack' : 'SingleStack',
          selector: LABELS,
          ports: [
            { name: 'dns', port: PORTS.dns, targetPort: PORTS.dns, protocol: 'UDP' },
            { name: 'dns-tcp', port: PORTS.dns, targetPort: PORTS.dns, protocol: 'TCP' },
            { name: 'metrics', port: PORTS.metrics, targetPort: PORTS.metrics, protocol: 'TCP' },
          ],
        },
      },
      options,
    );
    if (dns.replicas > 1) {
      new k8s.policy.v1.PodDisruptionBudget(
        `${name}-budget`,
        { metadata, spec: { maxUnavailable: 1, selector: { matchLabels: LABELS } } },
        options,
      );
    }
    new k8s.apps.v1.Deployment(
      `${name}-deployment`,
      {
        metadata,
        spec: {
          replicas: dns.replicas,
          strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
          selector: { matchLabels: LABELS },
          template: { metadata: { labels: LABELS }, spec: podSpec(plan) },
        },
      },
      { ...options, dependsOn: [account, role, binding, corefile] },
    );
    this.registerOutputs({});
  }
}

function podSpec({ bundle }: ClusterDnsArgs['plan']): k8s.types.input.core.v1.PodSpec {
  return {
    serviceAccountName: NAME,
    priorityClassName: 'system-cluster-critical',
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    tolerations: [
      { key: 'CriticalAddonsOnly', operator: 'Exists' },
      { key: 'node-role.kubernetes.io/control-plane', operator: 'Exists', effect: 'NoSchedule' },
    ],
    // Apart where there is room: a site with one node has all replicas on it. By template hash, so that the pods of the
    // version before do not count during an update.
    topologySpreadConstraints: ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'].map((topologyKey) => ({
      maxSkew: 1,
      topologyKey,
      whenUnsatisfiable: 'ScheduleAnyway',
      labelSelector: { matchLabels: LABELS },
      matchLabelKeys: ['pod-template-hash'],
    })),
    // The resolvers of the node: cluster DNS cannot be the upstream of itself.
    dnsPolicy: 'Default',
    containers: [
      {
        name: NAME,
        image: bundle.images.coredns,
        imagePullPolicy: IMAGE_PULL_POLICY,
        args: ['-conf', '/etc/coredns/Corefile'],
        // kubeadm's figures for CoreDNS.
        resources: { requests: { cpu: '100m', memory: '70Mi' }, limits: { memory: '170Mi' } },
        ports: [
          { name: 'dns', containerPort: PORTS.dns, protocol: 'UDP' },
          { name: 'dns-tcp', containerPort: PORTS.dns, protocol: 'TCP' },
          { name: 'metrics', containerPort: PORTS.metrics, protocol: 'TCP' },
        ],
        // Also waits for the first list of the API server, without which it would answer that names do not exist.
        readinessProbe: { httpGet: { path: '/ready', port: PORTS.ready }, periodSeconds: 5, timeoutSeconds: 5 },
        livenessProbe: {
          httpGet: { path: '/health', port: PORTS.health },
          initialDelaySeconds: 60,
          timeoutSeconds: 5,
          failureThreshold: 5,
        },
        securityContext: restricted(),
        volumeMounts: [{ name: 'corefile', mountPath: '/etc/coredns', readOnly: true }],
      },
    ],
    volumes: [{ name: 'corefile', configMap: { name: NAME, items: [{ key: 'Corefile', path: 'Corefile' }] } }],
  };
}

/** CoreDNS needs port 53 and nothing else of root. */
export function restricted(): k8s.types.input.core.v1.SecurityContext {
  return {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] },
    seccompProfile: { type: 'RuntimeDefault' },
  };
}
