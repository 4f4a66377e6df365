import * as k8s from '@pulumi/kubernetes';
import * as pulumi from '@pulumi/pulumi';
import { stringify } from 'yaml';
import { sha256OfText } from '../bundle/checksum';
import type { ClusterPlan } from '../plan/clusterTypes';
import { IMAGE_PULL_POLICY, NAMESPACE, objectOptions, type ClusterAccess } from './cluster';
import { cleanupScript, KUBE_PROXY, rulesScript } from './kubeProxyScripts';

export interface KubeProxyArgs {
  plan: Pick<ClusterPlan, 'kubeProxy' | 'endpoint' | 'apiServiceAddresses' | 'bundle'>;
  access: ClusterAccess;
}

const NAME = 'kube-proxy';
/** Not kubeadm's name for it: where kubeadm finds its own, an upgrade puts its own kube-proxy in place of this one. */
const CONFIGURATION_NAME = 'kube-proxy-config';
const LABELS = { 'k8s-app': NAME };
/** Where kube-proxy reads its configuration; the planned configuration names the kubeconfig below it. */
const CONFIGURATION_FOLDER = '/var/lib/kube-proxy';
const SERVICE_ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';
/** kube-proxy's default `healthzBindAddress`. */
const HEALTH_PORT = 10256;

/**
 * kube-proxy on every node. It reads its configuration when it starts; a changed one changes a note on the pods, so the
 * DaemonSet goes from node to node, on to the next one only when the rules of the new configuration are on this one.
 */
export class KubeProxy extends pulumi.ComponentResource {
  constructor(name: string, { plan, access }: KubeProxyArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:addons:KubeProxy', name, {}, opts);
    const options = objectOptions(this, access);

    const account = new k8s.core.v1.ServiceAccount(
      `${name}-account`,
      { metadata: { name: NAME, namespace: NAMESPACE } },
      options,
    );
    const binding = new k8s.rbac.v1.ClusterRoleBinding(
      `${name}-binding`,
      {
        metadata: { name: 'sitewright:node-proxier' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:node-proxier' },
        subjects: [{ kind: 'ServiceAccount', name: NAME, namespace: NAMESPACE }],
      },
      options,
    );

    const data = configurationFiles(plan);
    const configuration = new k8s.core.v1.ConfigMap(
      `${name}-configuration`,
      { metadata: { name: CONFIGURATION_NAME, namespace: NAMESPACE, labels: LABELS }, data },
      options,
    );
    new k8s.apps.v1.DaemonSet(
      `${name}-daemonset`,
      {
        metadata: { name: NAME, namespace: NAMESPACE, labels: LABELS },
        spec: {
          selector: { matchLabels: LABELS },
          updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
          template: {
            metadata: { labels: LABELS, annotations: { 'sitewright.internal/configuration-sha256': sha256(data) } },
            spec: podSpec(plan),
          },
        },
      },
      { ...options, dependsOn: [account, binding, configuration] },
    );
    this.registerOutputs({});
  }
}

/** The files of the ConfigMap. */
export function configurationFiles({ kubeProxy, endpoint }: KubeProxyArgs['plan']): Record<string, string> {
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'default',
        cluster: {
          'certificate-authority': `${SERVICE_ACCOUNT_FOLDER}/ca.crt`,
          server: `https://${endpoint.name}:${endpoint.port}`,
        },
      },
    ],
    contexts: [{ name: 'default', context: { cluster: 'default', namespace: 'default', user: 'default' } }],
    'current-context': 'default',
    users: [{ name: 'default', user: { tokenFile: `${SERVICE_ACCOUNT_FOLDER}/token` } }],
  };
  // A pod has a copy of the node's /etc/hosts from its start. The address is no setting here; as a part of the content it
  // makes new pods when the endpoint moves.
  const resolved = `# ${endpoint.name} is ${endpoint.address}\n`;
  return { 'config.conf': stringify(kubeProxy.configuration), 'kubeconfig.conf': resolved + stringify(kubeconfig) };
}

const sha256 = (files: Record<string, string>) => sha256OfText(JSON.stringify(files));

function podSpec(plan: KubeProxyArgs['plan']): k8s.types.input.core.v1.PodSpec {
  const { kubeProxy, bundle, apiServiceAddresses } = plan;
  const mounts = [
    { name: 'configuration', mountPath: CONFIGURATION_FOLDER, readOnly: true },
    { name: 'xtables-lock', mountPath: '/run/xtables.lock' },
    { name: 'lib-modules', mountPath: '/lib/modules', readOnly: true },
  ];
  const container = {
    image: bundle.images['kube-proxy'],
    imagePullPolicy: IMAGE_PULL_POLICY,
    // It loads modules, sets sysctls and writes the rules of the node.
    securityContext: { privileged: true },
    volumeMounts: mounts,
  };
  const cleanup = cleanupScript(kubeProxy.mode);
  return {
    hostNetwork: true,
    // The endpoint is in /etc/hosts; kube-proxy must not need the DNS that needs kube-proxy.
    dnsPolicy: 'Default',
    priorityClassName: 'system-node-critical',
    serviceAccountName: NAME,
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    tolerations: [{ operator: 'Exists' }],
    initContainers: cleanup === null ? [] : [{ ...container, name: 'old-rules', command: ['/bin/sh', '-c', cleanup] }],
    containers: [
      {
        ...container,
        name: NAME,
        command: [KUBE_PROXY, `--config=${CONFIGURATION_FOLDER}/config.conf`, '--hostname-override=$(NODE_NAME)'],
        env: [{ name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
        startupProbe: {
          exec: { command: ['/bin/sh', '-c', rulesScript(kubeProxy, apiServiceAddresses[0]!)] },
          periodSeconds: 2,
          // A process in a container starts slowly on an emulated machine.
          timeoutSeconds: 30,
          failureThreshold: 150,
        },
        // /healthz also tells that the node is to be deleted; that is no reason to restart.
        livenessProbe: { httpGet: { path: '/livez', port: HEALTH_PORT }, timeoutSeconds: 10, failureThreshold: 6 },
        readinessProbe: { httpGet: { path: '/healthz', port: HEALTH_PORT }, timeoutSeconds: 10 },
      },
    ],
    volumes: [
      { name: 'configuration', configMap: { name: CONFIGURATION_NAME } },
      { name: 'xtables-lock', hostPath: { path: '/run/xtables.lock', type: 'FileOrCreate' } },
      { name: 'lib-modules', hostPath: { path: '/lib/modules' } },
    ],
  };
}
