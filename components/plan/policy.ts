import type { SiteSpec } from '../spec/schema';
import type { Addressing } from './address';
import { calicoObject } from './calicoBgp';
import { usesCalico } from './calicoModes';
import type { ClusterDnsPlan, KubeDocument } from './clusterTypes';
import { API_PORT } from './endpoint';
import { refuseDuplicateNames, type Findings } from './findings';
import type { IngressPlan } from './ingressTypes';
import { BITS, parseIp } from './ip';
import { planResidency, residencyObjects } from './policyResidency';
import { refuseHostBits } from './subnets';
import type { PolicyNamespace, PolicyPlan } from './policyTypes';
import type { MtuPlan } from './types';

export interface PolicyInput {
  spec: SiteSpec;
  addressing: Addressing;
  mtu: MtuPlan;
  dns: ClusterDnsPlan;
  ingress: IngressPlan | null;
}

type NamespaceSpec = SiteSpec['policy']['namespaces'][number];

/** Label of namespaces by what their pods handle: policies of your own can select by it. */
export const DATA_LABEL = 'sitewright.internal/data';
/** What the cluster is made of; a policy there would be one more thing that it needs to be one. */
const SYSTEM = [
  'kube-system',
  'kube-public',
  'kube-node-lease',
  'calico-system',
  'calico-apiserver',
  'tigera-operator',
];
/** Where `sitewright verify` has its pods. */
const VERIFY = 'sitewright-verify-';
const DNS_PORT = 53;

/** Null without a baseline. Findings first: with an error among them the plan is not used. */
export function planPolicy(input: PolicyInput, findings: Findings): PolicyPlan | null {
  const { spec, ingress } = input;
  const { policy } = spec;
  if (policy.baseline === 'none') {
    tellWithout(spec, findings);
    return null;
  }
  checkEnforced(spec, findings);
  checkNamespaces(spec, ingress, findings);
  checkIngressSource(input, findings);
  const zone = planResidency(spec, input.addressing, findings);
  return {
    residencyZone: zone,
    namespaces: policy.namespaces.map((namespace) => planNamespace(input, namespace)),
    objects: [
      ...(policy.everyNamespace ? [everyNamespace(input)] : []),
      ...(zone === null ? [] : residencyObjects(zone, DATA_LABEL)),
    ],
  };
}

function tellWithout({ policy, residency }: SiteSpec, findings: Findings): void {
  const tell = (path: string[]) =>
    findings.warning(
      path,
      undefined,
      `${path.join('.')} has no effect: set policy.baseline to restricted, or leave it out`,
    );
  if (policy.namespaces.length > 0) tell(['policy', 'namespaces']);
  if (policy.everyNamespace) tell(['policy', 'everyNamespace']);
  if (residency !== undefined) tell(['residency']);
}

function checkEnforced(spec: SiteSpec, findings: Findings): void {
  const { cni } = spec.network;
  const { policy } = spec;
  if (cni === 'routes') {
    findings.error(
      ['policy', 'baseline'],
      policy.baseline,
      'network.cni routes carries no NetworkPolicy out: set it to calico, or policy.baseline to none',
    );
  } else if (cni === 'none') {
    findings.warning(
      ['policy', 'baseline'],
      policy.baseline,
      'whether NetworkPolicies are carried out is up to the network that you install: network.cni is none',
    );
  }
  if (policy.everyNamespace && !usesCalico(spec)) {
    findings.error(
      ['policy', 'everyNamespace'],
      true,
      'a GlobalNetworkPolicy is an object of Calico: set network.cni to calico, or leave policy.everyNamespace out',
    );
  }
}

function checkNamespaces({ policy }: SiteSpec, ingress: IngressPlan | null, findings: Findings): void {
  const at = (index: number, key: string) => ['policy', 'namespaces', index, key];
  refuseDuplicateNames(policy.namespaces, ['policy', 'namespaces'], findings);
  policy.namespaces.forEach(({ name, egress }, index) => {
    if (SYSTEM.includes(name) || name === ingress?.namespace || name.startsWith(VERIFY)) {
      findings.error(at(index, 'name'), name, `${name} is part of the cluster itself: name a namespace of your own`);
    }
    egress.forEach(({ cidr }, rule) => {
      refuseHostBits(cidr, [...at(index, 'egress'), rule, 'cidr'], findings);
    });
  });
}

/** A pod sees a request from another machine's own network under the address of the tunnel, which nobody knows before. */
function checkIngressSource({ spec, ingress, mtu, addressing }: PolicyInput, findings: Findings): void {
  if (ingress === null || ingress.expose !== 'host-network') return;
  const { sameSubnet, crossSubnet } = mtu.encapsulation;
  const subnets = new Set(addressing.nodes.map(({ subnet }) => subnet));
  const tunnel = [sameSubnet, ...(subnets.size > 1 ? [crossSubnet] : [])].find((one) => one !== 'none');
  if (tunnel === undefined) return;
  findings.error(
    ['ingress', 'expose'],
    ingress.expose,
    `host-network does not go with policy.baseline restricted through ${tunnel}: pods of other machines see the address of the tunnel, which no policy can name; ` +
      `set ingress.expose to load-balancer, or a network.routing that wraps nothing between these machines (${spec.network.routing} now)`,
  );
}

function planNamespace(input: PolicyInput, namespace: NamespaceSpec): PolicyNamespace {
  const { name, data, podSecurity } = namespace;
  const level = Object.fromEntries(['enforce', 'audit', 'warn'].map((mode) => [`${POD_SECURITY}${mode}`, podSecurity]));
  return {
    name,
    personal: data === 'personal',
    namespace: { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { [DATA_LABEL]: data, ...level } } },
    policies: namespacePolicies(input, namespace),
  };
}

const POD_SECURITY = 'pod-security.kubernetes.io/';

const ofNamespaces = (matchLabels: Record<string, string>) => ({ namespaceSelector: { matchLabels } });
const named = (name: string) => ofNamespaces({ 'kubernetes.io/metadata.name': name });
const block = (address: string) => ({ ipBlock: { cidr: `${address}/${BITS[parseIp(address).family]}` } });
const ports = (protocols: string[], numbers: number[]) =>
  numbers.flatMap((port) => protocols.map((protocol) => ({ protocol, port })));

function namespacePolicies(input: PolicyInput, { name: namespace, data, egress }: NamespaceSpec): KubeDocument[] {
  const { spec, ingress } = input;
  const policy = (name: string, rules: object): KubeDocument => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: `sitewright-${name}`, namespace },
    spec: { podSelector: {}, ...rules },
  });
  const out = (name: string, to: object[], portList: object[]) =>
    policy(name, {
      policyTypes: ['Egress'],
      egress: [{ to, ...(portList.length === 0 ? {} : { ports: portList }) }],
    });
  const into = (name: string, from: object[]) => policy(name, { policyTypes: ['Ingress'], ingress: [{ from }] });
  return [
    policy('default-deny', { policyTypes: ['Ingress', 'Egress'] }),
    out('dns', dnsPeers(input), ports(['UDP', 'TCP'], [DNS_PORT])),
    ...(data === 'personal' ? [] : [out('api-server', controlPlane(input).map(block), ports(['TCP'], [API_PORT]))]),
    ...(ingress === null ? [] : [into('ingress', ingressPeers(input, ingress))]),
    // An empty selector would be every namespace.
    ...(Object.keys(spec.policy.monitoring).length === 0
      ? []
      : [into('monitoring', [ofNamespaces(spec.policy.monitoring)])]),
    ...egress.map(({ cidr, protocol, ports: numbers }, index) =>
      out(`egress-${index + 1}`, [{ ipBlock: { cidr: parseIp(cidr).network.text } }], ports([protocol], numbers)),
    ),
  ];
}

/** The cache of the node, and CoreDNS behind the Service that a pod asks where the cache is away. */
function dnsPeers({ dns }: PolicyInput): object[] {
  return [
    ...(dns.nodeLocal === null ? [] : [block(dns.nodeLocal.address)]),
    { ...named('kube-system'), podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } },
  ];
}

const addressesOf = ({ addressing }: PolicyInput, wanted: (index: number) => boolean): string[] =>
  addressing.nodes.flatMap(({ ips }, index) => (wanted(index) ? ips.map(({ text }) => text) : []));

/** Policies are judged by where a packet goes after the Service: the machines of the API servers. */
const controlPlane = (input: PolicyInput) =>
  addressesOf(input, (index) => input.spec.machines.nodes[index].role === 'control-plane');

const ingressPeers = (input: PolicyInput, { expose, namespace, nodes }: IngressPlan): object[] =>
  expose === 'load-balancer'
    ? [named(namespace)]
    : addressesOf(input, (index) => nodes.includes(input.spec.machines.nodes[index].name)).map(block);

/**
 * The tier is part of the name: Calico up to 3.31 stores its policies so, and its own tools find no other. From 3.32 on new
 * ones have no prefix, and this one is shown with it; it is not renamed, because only what Calico's API wrote is.
 */
const EVERY_NAMESPACE = 'default.sitewright-baseline';

/** After every standard NetworkPolicy (order 1000), so that whatever those let through stays so. */
const AFTER_NETWORK_POLICIES = 2000;

function everyNamespace({ spec, dns, ingress }: PolicyInput): KubeDocument {
  const system = [...SYSTEM, ...(ingress === null ? [] : [ingress.namespace])];
  const monitoring = Object.entries(spec.policy.monitoring).map(([key, value]) => `${key} == '${value}'`);
  const destinations = [
    ...(dns.nodeLocal === null
      ? []
      : [{ nets: [`${dns.nodeLocal.address}/${BITS[parseIp(dns.nodeLocal.address).family]}`] }]),
    { namespaceSelector: "projectcalico.org/name == 'kube-system'", selector: "k8s-app == 'kube-dns'" },
  ];
  return calicoObject('GlobalNetworkPolicy', EVERY_NAMESPACE, {
    order: AFTER_NETWORK_POLICIES,
    namespaceSelector: [
      `projectcalico.org/name not in {${system.map((name) => `'${name}'`).join(', ')}}`,
      `!projectcalico.org/name starts with '${VERIFY}'`,
      ...(monitoring.length === 0 ? [] : [`!(${monitoring.join(' && ')})`]),
    ].join(' && '),
    types: ['Ingress', 'Egress'],
    egress: destinations.flatMap((destination) =>
      ['UDP', 'TCP'].map((protocol) => ({
        action: 'Allow',
        protocol,
        destination: { ...destination, ports: [DNS_PORT] },
      })),
    ),
  });
}
