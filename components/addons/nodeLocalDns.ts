import * as k8s from '@pulumi/kubernetes';
import * as pulumi from '@pulumi/pulumi';
import { remoteScript } from '../commands';
import { goneWith, scriptFor, type Machine } from '../machines/machine';
import type { ClusterPlan } from '../plan/clusterTypes';
import { IMAGE_PULL_POLICY, NAMESPACE, objectOptions, type ClusterAccess } from './cluster';
import { restricted } from './clusterDns';
import { renderDeviceRemoval, renderDeviceScript } from './nodeLocalDevice';

export interface NodeLocalDnsArgs {
  plan: { nodeLocal: NonNullable<ClusterPlan['dns']['nodeLocal']>; bundle: ClusterPlan['bundle'] };
  /** Every machine of the cluster. */
  machines: Machine[];
  /** Preparation of the machines. */
  after: pulumi.Resource[];
  access: ClusterAccess;
}

const NAME = 'node-local-dns';
const LABELS = { 'k8s-app': NAME };
/** Ports that the planned Corefile opens on the address of the cache, and for metrics on every address of the node. */
const PORTS = { dns: 53, health: 8080, metrics: 9253 };

/**
 * A DNS cache on every node, which is CoreDNS again: pods ask an address of their own node, without NAT and connection
 * tracking, and the cache asks CoreDNS by TCP. Next to it kubelet gives pods the address of the kube-dns Service: where
 * the cache is away, the query is refused at once and the resolver takes the Service.
 */
export class NodeLocalDns extends pulumi.ComponentResource {
  constructor(
    name: string,
    { plan, machines, after, access }: NodeLocalDnsArgs,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super('sitewright:addons:NodeLocalDns', name, {}, opts);
    const options = objectOptions(this, access);
    const metadata = { name: NAME, namespace: NAMESPACE, labels: LABELS };

    const devices = machines.map((machine) =>
      remoteScript(
        `${name}-device-${machine.name}`,
        machine.connection,
        {
          script: scriptFor(machine, renderDeviceScript(plan.nodeLocal.address)),
          onDelete: renderDeviceRemoval(),
        },
        { parent: this, dependsOn: [machine.ready, ...after], ...goneWith(machine) },
      ),
    );
    const corefile = new k8s.core.v1.ConfigMap(
      `${name}-corefile`,
      { metadata, data: { Corefile: plan.nodeLocal.corefile } },
      options,
    );
    new k8s.apps.v1.DaemonSet(
      `${name}-daemonset`,
      {
        metadata,
        spec: {
          selector: { matchLabels: LABELS },
          // Node by node, so that a cache that does not start takes the caches of one node only.
          updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
          template: {
            metadata: {
              labels: LABELS,
              annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': `${PORTS.metrics}` },
            },
            spec: podSpec(plan),
          },
        },
      },
      { ...options, dependsOn: [corefile, ...devices] },
    );
    this.registerOutputs({});
  }
}

function podSpec({ nodeLocal, bundle }: NodeLocalDnsArgs['plan']): k8s.types.input.core.v1.PodSpec {
  return {
    hostNetwork: true,
    dnsPolicy: 'Default',
    priorityClassName: 'system-node-critical',
    // It never speaks to the API server.
    automountServiceAccountToken: false,
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    tolerations: [{ operator: 'Exists' }],
    containers: [
      {
        name: 'cache',
        image: bundle.images.coredns,
        imagePullPolicy: IMAGE_PULL_POLICY,
        args: ['-conf', '/etc/coredns/Corefile'],
        // CPU: what the NodeLocal DNSCache manifest of Kubernetes asks for; memory: kubeadm's figures for CoreDNS.
        resources: { requests: { cpu: '25m', memory: '70Mi' }, limits: { memory: '170Mi' } },
        readinessProbe: {
          tcpSocket: { host: nodeLocal.address, port: PORTS.dns },
          periodSeconds: 5,
          timeoutSeconds: 5,
        },
        livenessProbe: {
          httpGet: { host: nodeLocal.address, path: '/health', port: PORTS.health },
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
