import type { SiteSpec } from '../spec/schema';
import { sizeToBytes } from '../spec/units';
import type { Addressing } from './address';
import type { BundlePlan, IngressImage, KubeDocument, Taint } from './clusterTypes';
import type { Findings } from './findings';
import { checkIngressCertificate, checkIngressTuning } from './ingressChecks';
import { planLoadBalancer } from './ingressLoadBalancer';
import { ingressConfig, type IngressController } from './ingressTuning';
import type { IngressManifestEdits, IngressPlan } from './ingressTypes';
import { controllerOf } from './ingressVersions';
import { quantity } from './kubeValues';
import { parseIp } from './ip';
import { componentVersion, hasComponent } from './versions';

type IngressSpec = NonNullable<SiteSpec['ingress']>;

/** What both releases call their IngressClass. */
const CLASS = 'nginx';

/** What the two releases call things, and what each needs to be told. */
interface Facts {
  component: IngressImage;
  namespace: string;
  /** Labels of the controller's pods that nothing else has. */
  labels: Record<string, string>;
  names: IngressManifestEdits['names'];
  /** TCP ports that a pod listens on, on every address. */
  ports: number[];
  removed: Pick<IngressManifestEdits, 'argumentsRemoved' | 'portsRemoved' | 'volumesRemoved' | 'objectsRemoved'>;
  arguments: string[];
  config: Record<string, string>;
}

const ADMISSION = 'ingress-nginx-admission';

const FACTS: Record<IngressController, Facts> = {
  nginx: {
    component: 'nginx-ingress',
    namespace: 'nginx-ingress',
    labels: { app: 'nginx-ingress' },
    names: {
      workload: 'nginx-ingress',
      container: 'nginx-ingress',
      configMap: 'nginx-config',
      image: 'nginx-ingress',
    },
    // HTTP, HTTPS and -ready-status-port.
    ports: [80, 443, 8081],
    removed: {
      // The address that is reported is a key of the ConfigMap.
      argumentsRemoved: ['-external-service=nginx-ingress'],
      // Nobody listens there without -enable-prometheus-metrics.
      portsRemoved: ['prometheus'],
      volumesRemoved: [],
      objectsRemoved: [],
    },
    arguments: [
      '-enable-snippets=false',
      // Nothing of a site reports to anybody outside.
      '-enable-telemetry-reporting=false',
      // Its port, 8080, belongs to the DNS cache of the node.
      '-nginx-status=false',
    ],
    config: {},
  },
  'ingress-nginx': {
    component: 'ingress-nginx',
    namespace: 'ingress-nginx',
    labels: { 'app.kubernetes.io/component': 'controller', 'app.kubernetes.io/name': 'ingress-nginx' },
    names: {
      workload: 'ingress-nginx-controller',
      container: 'controller',
      configMap: 'ingress-nginx-controller',
      image: 'ingress-nginx',
    },
    // HTTP, HTTPS, --default-server-port, --status-port, --stream-port, --healthz-port.
    ports: [80, 443, 8181, 10246, 10247, 10254],
    removed: {
      // The webhook hands every Ingress of everybody to NGINX as configuration (CVE-2025-1974), and its certificate is
      // made by Jobs that delete themselves. Annotations are checked by the controller too.
      argumentsRemoved: [
        '--validating-webhook=:8443',
        '--validating-webhook-certificate=/usr/local/certificates/cert',
        '--validating-webhook-key=/usr/local/certificates/key',
      ],
      portsRemoved: ['webhook'],
      volumesRemoved: ['webhook-cert'],
      objectsRemoved: [
        `ServiceAccount ${ADMISSION}`,
        `Role ${ADMISSION}`,
        `ClusterRole ${ADMISSION}`,
        `RoleBinding ${ADMISSION}`,
        `ClusterRoleBinding ${ADMISSION}`,
        `Job ${ADMISSION}-create`,
        `Job ${ADMISSION}-patch`,
        `ValidatingWebhookConfiguration ${ADMISSION}`,
        'Service ingress-nginx-controller-admission',
        'Service ingress-nginx-controller',
      ],
    },
    arguments: ['--profiling=false'],
    config: { 'allow-snippet-annotations': 'false', 'annotations-risk-level': 'High' },
  },
};

/** Null where there is none to plan. Findings first: with an error among them the plan is not used. */
export function planIngress(
  spec: SiteSpec,
  addressing: Addressing,
  bundle: BundlePlan,
  findings: Findings,
): IngressPlan | null {
  const controller = controllerOf(spec);
  // Without its release in the bundle there is a finding of that already.
  if (controller === null || !hasComponent(bundle, FACTS[controller].component)) return null;
  const ingress = spec.ingress!;
  const facts = FACTS[controller];
  const { expose } = ingress;
  const hostNetwork = expose === 'host-network';
  checkIngressTuning(ingress, findings);
  checkIngressCertificate(ingress, findings);
  checkResources(ingress, findings);
  const chosen = chooseNodes(spec, ingress, findings);
  const names = chosen.map((index) => spec.machines.nodes[index].name);
  if (hostNetwork) checkHostNetwork(ingress, findings);
  const balancer = hostNetwork ? null : planLoadBalancer(spec, ingress, bundle, findings);
  const address = hostNetwork
    ? reportedAddress(spec, addressing, controller, chosen, findings)
    : (ingress.address ?? null);
  const { namespace, labels } = facts;
  return {
    controller,
    version: componentVersion(bundle, facts.component),
    expose,
    namespace,
    className: CLASS,
    defaultClass: ingress.defaultClass,
    nodes: names,
    address,
    certificate: ingress.certificate === undefined ? null : `${ingress.certificate.trim()}\n`,
    ports: hostNetwork ? facts.ports : [],
    edits: edits(spec, ingress, controller, { chosen, address }),
    objects: [
      ...budget({ namespace, labels, machines: hostNetwork ? names.length : null }),
      ...(balancer === null ? [] : [balancer.pool]),
    ],
    lateObjects: balancer === null ? [] : [balancer.service({ namespace, labels })],
  };
}

function edits(
  spec: SiteSpec,
  ingress: IngressSpec,
  controller: IngressController,
  { chosen, address }: { chosen: number[]; address: string | null },
): IngressManifestEdits {
  const facts = FACTS[controller];
  const hostNetwork = ingress.expose === 'host-network';
  const { cpu, memory, memoryLimit } = ingress.resources;
  return {
    names: facts.names,
    config: {
      ...facts.config,
      ...ingressConfig(ingress.tuning, controller),
      ...(controller === 'nginx' && address !== null ? { 'external-status-address': address } : {}),
    },
    ...facts.removed,
    argumentsAdded: [
      ...facts.arguments,
      ...(ingress.certificate === undefined ? [] : CERTIFICATE_ARGUMENTS[controller]),
      ...(controller === 'nginx' ? [] : [statusArgument(address)]),
    ],
    namespaceLabels: {
      // The network of the node is more than `baseline` allows, and the site may enforce that everywhere.
      'pod-security.kubernetes.io/enforce': hostNetwork ? 'privileged' : 'baseline',
    },
    pod: {
      hostNetwork,
      // Otherwise a pod in the network of its node has the node's resolvers, and no name of the cluster.
      dnsPolicy: hostNetwork ? 'ClusterFirstWithHostNet' : 'ClusterFirst',
      nodeSelector: { 'kubernetes.io/os': 'linux', ...ingress.nodes },
      tolerations: tolerations(spec, ingress, chosen),
    },
    resources: {
      requests: { cpu, memory: quantity(memory) },
      limits: { memory: quantity(memoryLimit) },
    },
    replicas: hostNetwork ? null : (ingress.replicas ?? 2),
  };
}

/** Name of the Secret with `ingress.certificate` and its key, in the namespace of the controller. */
export const CERTIFICATE_SECRET = 'default-certificate';
const CERTIFICATE = `$(POD_NAMESPACE)/${CERTIFICATE_SECRET}`;
const CERTIFICATE_ARGUMENTS: Record<IngressController, string[]> = {
  // Of hosts that nobody has, and of those whose Ingress has TLS without a Secret.
  nginx: [`-default-server-tls-secret=${CERTIFICATE}`, `-wildcard-tls-secret=${CERTIFICATE}`],
  'ingress-nginx': [`--default-ssl-certificate=${CERTIFICATE}`],
};

const statusArgument = (address: string | null) =>
  address === null ? '--report-node-internal-ip-address' : `--publish-status-address=${address}`;

function checkResources({ resources }: IngressSpec, findings: Findings): void {
  const { memory, memoryLimit } = resources;
  if (sizeToBytes(memory) <= sizeToBytes(memoryLimit)) return;
  findings.error(
    ['ingress', 'resources', 'memoryLimit'],
    memoryLimit,
    `${memoryLimit} is less than the ${memory} that every pod asks for (ingress.resources.memory): raise it`,
  );
}

function checkHostNetwork({ replicas }: IngressSpec, findings: Findings): void {
  if (replicas === undefined) return;
  findings.error(
    ['ingress', 'replicas'],
    replicas,
    'with ingress.expose host-network there is one pod on each chosen machine: leave it out, and choose machines by ingress.nodes',
  );
}

const keepsAway = ({ effect }: Pick<Taint, 'effect'>) => effect !== 'PreferNoSchedule';

/** Taints of a machine that keep pods away, the control plane's own included. */
function taintsOf(spec: SiteSpec, index: number): Taint[] {
  const { role, taints } = spec.machines.nodes[index];
  const hasWorker = spec.machines.nodes.some((node) => node.role === 'worker' && node.state === 'active');
  const own: Taint[] =
    role === 'control-plane' && hasWorker
      ? [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }]
      : [];
  return [...own, ...taints].filter(keepsAway);
}

/** Indexes of the machines that the controller runs on. */
function chooseNodes(spec: SiteSpec, { nodes: labels }: IngressSpec, findings: Findings): number[] {
  const wanted = Object.entries(labels);
  const active = spec.machines.nodes.flatMap(({ state }, index) => (state === 'active' ? [index] : []));
  const found = active.filter((index) =>
    wanted.length === 0
      ? taintsOf(spec, index).length === 0
      : wanted.every(([key, value]) => spec.machines.nodes[index].labels[key] === value),
  );
  if (found.length === 0) {
    findings.error(
      ['ingress', 'nodes'],
      wanted.length === 0 ? undefined : labels,
      wanted.length === 0
        ? 'every machine has a taint that keeps pods away: give some a label (machines.nodes[].labels) and write it in ingress.nodes'
        : `no machine has ${wanted.map(([key, value]) => `${key}: ${value}`).join(', ')} among its labels (machines.nodes[].labels)`,
    );
  }
  return found;
}

/** Those of machines that were named; without any name machines with taints are left alone. */
function tolerations(
  spec: SiteSpec,
  { nodes: labels }: IngressSpec,
  chosen: number[],
): IngressManifestEdits['pod']['tolerations'] {
  if (Object.keys(labels).length === 0) return [];
  const all = chosen.flatMap((index) => taintsOf(spec, index));
  const unique = [...new Map(all.map((taint) => [JSON.stringify(taint), taint])).values()];
  return unique.map(({ key, value, effect }) =>
    value === undefined ? { key, operator: 'Exists', effect } : { key, operator: 'Equal', value, effect },
  );
}

function reportedAddress(
  spec: SiteSpec,
  addressing: Addressing,
  controller: IngressController,
  chosen: number[],
  findings: Findings,
): string | null {
  const { address } = spec.ingress!;
  if (address !== undefined) return address;
  // It finds the address of each machine by itself; the other one is told a single address.
  if (controller === 'ingress-nginx' || chosen.length === 0) return null;
  const { family } = parseIp(addressing.plan.podCidrs[0]);
  const first = addressing.nodes[chosen[0]].ips.find((ip) => ip.family === family)!.text;
  if (chosen.length > 1) {
    findings.warning(
      ['ingress', 'address'],
      undefined,
      `Ingress objects report one address, which is ${first} of ${spec.machines.nodes[chosen[0]].name} alone: ` +
        `write the name or address that leads to all ${chosen.length} machines`,
    );
  }
  return first;
}

/**
 * A DaemonSet cannot be scaled, so that a budget of its pods has to be a number of them and cannot be what may be missing.
 * Null machines: a Deployment.
 */
function budget({
  namespace,
  labels,
  machines,
}: {
  namespace: string;
  labels: Record<string, string>;
  machines: number | null;
}): KubeDocument[] {
  if (machines !== null && machines < 2) return [];
  return [
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'ingress-controller', namespace },
      spec: {
        ...(machines === null ? { maxUnavailable: 1 } : { minAvailable: machines - 1 }),
        selector: { matchLabels: labels },
      },
    },
  ];
}
