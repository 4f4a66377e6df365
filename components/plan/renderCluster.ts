import type { ClusterPlan } from './clusterTypes';
import { conntrackText, proxyConntrack } from './conntrack';
import { byText } from './findings';
import { packageNames } from './packages';
import { renderCalico } from './renderCalico';
import { renderIngress } from './renderIngress';
import { renderPolicy } from './renderPolicy';
import { table } from './renderTable';
import type { NodePlan, SitePlan } from './types';
import { minorOf } from './versions';

const ENDPOINT_KIND = {
  node: 'the only control-plane machine',
  vip: 'virtual address of the control-plane machines',
  external: 'load balancer of the site',
} as const;

/** The cluster part of a plan: versions, endpoint, Services, DNS, and what each node is. */
export function renderCluster(plan: SitePlan): string[] {
  if (plan.cluster === null) return ['None: the site names no kubernetes.version.'];
  const { calico, ingress, policy } = plan.cluster;
  return [
    summary(plan.cluster),
    ...packages(plan.cluster, plan.nodes),
    ...(calico === null ? [] : renderCalico(calico)),
    ...(ingress === null ? [] : [renderIngress(ingress)]),
    ...(policy === null ? [] : [renderPolicy(policy)]),
    members(plan.nodes),
  ];
}

function summary({
  kubernetesVersion,
  endpoint,
  bundle,
  containerd,
  registries,
  kubeProxy,
  dns,
  cni,
  ...rest
}: ClusterPlan): string {
  const components = bundle.components.map(({ name, version }) => `${name} ${version}`).join(', ');
  const conntrack =
    kubeProxy.conntrackOwner === 'site'
      ? 'the site sets nf_conntrack_max, kube-proxy leaves it alone'
      : `kube-proxy sets nf_conntrack_max when it starts (${conntrackText(proxyConntrack(kubernetesVersion))}); node preparation ` +
        'leaves it alone, and verify reads it back';
  return table(
    ['Cluster', ''],
    [
      ['Kubernetes', `${kubernetesVersion}; fixes of ${minorOf(kubernetesVersion)} until ${rest.supportedUntil}`],
      ['bundle', `${bundle.name}: ${components}`],
      ['images', `${bundle.imageRepository}, never pulled: all of them are in the bundle`],
      ['endpoint', `${endpoint.name}:${endpoint.port} is ${endpoint.address}, ${ENDPOINT_KIND[endpoint.kind]}`],
      ...virtualAddress(rest),
      ['API Service', rest.apiServiceAddresses.join(', ')],
      ['containerd', `${containerd.version}, configuration version ${containerd.configVersion}`],
      ...(registries.length === 0
        ? []
        : [
            [
              'registries',
              registries.map(({ name, username }) => (username === null ? name : `${name} as ${username}`)).join(', '),
            ],
          ]),
      ['pods', podNetwork({ cni, ...rest })],
      ['kube-proxy', `mode ${kubeProxy.mode}; ${conntrack}`],
      [
        'DNS',
        `${dns.replicas} x CoreDNS on ${dns.serviceAddresses.join(', ')}; pods ask ${dns.clusterDnsAddresses.join(', then ')}`,
      ],
      ['cache on every node', dns.nodeLocal === null ? 'none' : `${dns.nodeLocal.address}, asks CoreDNS by TCP`],
    ],
    [22, 96],
  );
}

/** What machines that lack it are given, by role. */
function packages({ bundle }: ClusterPlan, nodes: NodePlan[]): string[] {
  if (bundle.packages.length === 0) return [];
  const distributions = bundle.packages.map(({ distribution }) => distribution.replace('-', ' ')).join(', ');
  const roles = (['control-plane', 'worker'] as const).map((role): [string, string[]] => [
    role,
    nodes.filter((node) => node.role === role).flatMap(packageNames),
  ]);
  return [
    table(
      ['Role', `Packages of ${distributions} that the bundle has for machines that lack them`],
      roles
        .filter(([, names]) => names.length > 0)
        .map(([role, names]) => [role, [...new Set(names)].sort(byText).join(', ')]),
      [22, 96],
    ),
  ];
}

function podNetwork({ cni, calico, podMasquerade }: Pick<ClusterPlan, 'cni' | 'calico' | 'podMasquerade'>): string {
  if (cni === 'routes') return `bridge and routes${masquerade({ podMasquerade })}`;
  if (calico === null) return 'no network of the kit: install one';
  const { version, install, dataplane } = calico;
  const clamp = podMasquerade === null ? '' : '; TCP segments are clamped to the route (nftables)';
  return `Calico ${version} by its ${install}, dataplane ${dataplane}${clamp}`;
}

const virtualAddress = ({ vip }: Pick<ClusterPlan, 'vip'>) =>
  vip === null
    ? []
    : [['virtual address', `VRRP ${vip.vrid}, held in turn by ${vip.members.map(({ node }) => node).join(', ')}`]];

const masquerade = ({ podMasquerade }: Pick<ClusterPlan, 'podMasquerade'>) =>
  podMasquerade === null ? '' : '; outside the cluster pods have the address of their node (nftables)';

function members(nodes: NodePlan[]): string {
  return table(
    ['Node', 'Part', 'Pods', 'Labels', 'Taints'],
    nodes.flatMap(({ name, cluster }) =>
      cluster === null
        ? []
        : [
            [
              name,
              cluster.part,
              cluster.podCidrs.join('\n'),
              Object.entries(cluster.labels)
                .map(([key, value]) => (value === '' ? key : `${key}=${value}`))
                .join('\n'),
              cluster.taints
                .map(({ key, value, effect }) => `${key}${value === undefined ? '' : `=${value}`}:${effect}`)
                .join('\n'),
            ],
          ],
    ),
  );
}
