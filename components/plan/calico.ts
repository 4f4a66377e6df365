import type { SiteSpec } from '../spec/schema';
import type { Addressing } from './address';
import { bgpConfiguration, bgpObjects, calicoObject, planBgp } from './calicoBgp';
import { checkDataplane, checkOwnPods, checkVxlan, planBackend, planTypha } from './calicoModes';
import { planPools } from './calicoPools';
import { planTolerations } from './calicoTolerations';
import type { CalicoManifestEdits, CalicoPlan, ContainerResources } from './calicoTypes';
import type { BundlePlan, EndpointPlan, KubeDocument } from './clusterTypes';
import type { Findings } from './findings';
import { quantity } from './kubeValues';
import type { Family, MtuPlan } from './types';
import { componentVersion } from './versions';

/** Where calico-node runs, by who installs it. */
export const CALICO_NAMESPACE = { manifest: 'kube-system', operator: 'calico-system' } as const;
/** Where the operator itself runs, and looks for the address of the API server. */
export const OPERATOR_NAMESPACE = 'tigera-operator';

export interface CalicoInput {
  spec: SiteSpec;
  addressing: Addressing;
  mtu: MtuPlan;
  bundle: BundlePlan;
  endpoint: EndpointPlan;
}

/** Findings first: with an error among them the plan is not used. */
export function planCalico(input: CalicoInput, findings: Findings): CalicoPlan {
  const { spec, addressing, mtu, bundle, endpoint } = input;
  const { calico } = spec.network;
  const version = componentVersion(bundle, 'calico');
  const { install, dataplane } = calico;
  checkDataplane(spec, version, findings);
  checkOwnPods(spec, findings);
  checkVxlan(spec, mtu, findings);
  const backend = planBackend(spec, mtu, findings);
  const pools = planPools(spec, mtu, findings);
  const bgp = backend === 'bird' ? planBgp(spec, addressing, findings) : null;
  const typha = planTypha(spec, findings);
  const parts: Omit<CalicoPlan, 'manifest' | 'operator' | 'objects' | 'lateObjects'> = {
    version,
    install,
    dataplane,
    backend,
    pools,
    mtuBytes: deviceMtus(mtu),
    typha,
    bgp,
    tolerations: planTolerations(spec, findings),
    // Before kube-proxy runs, and under dataplane bpf for ever, nobody answers on the address of the Service.
    apiServer: { host: endpoint.address, port: endpoint.port },
  };
  const families = addressing.podFamilies;
  const mesh = bgp === null ? [] : [bgpConfiguration(spec, bgp)];
  const late = bgp !== null && !bgp.mesh;
  return {
    ...parts,
    manifest: install === 'manifest' ? manifestEdits(input, parts) : null,
    operator: install === 'operator' ? [installation(spec, parts, families), ...calicoApiServer(spec)] : [],
    objects: [
      apiServerConfig(parts.apiServer, install === 'manifest' ? CALICO_NAMESPACE.manifest : OPERATOR_NAMESPACE),
      felixConfiguration(spec, parts),
      // The operator makes the pools of its Installation.
      ...(install === 'manifest' ? pools.map(poolObject) : []),
      ...(bgp === null ? [] : bgpObjects(spec, bgp, CALICO_NAMESPACE[install])),
      ...(late ? [] : mesh),
    ],
    lateObjects: late ? mesh : [],
  };
}

type Parts = Omit<CalicoPlan, 'manifest' | 'operator' | 'objects' | 'lateObjects'>;

function deviceMtus(mtu: MtuPlan): CalicoPlan['mtuBytes'] {
  const of = (name: string) => mtu.devices.find((device) => device.name === name)?.mtuBytes ?? null;
  return {
    veth: mtu.podMtuBytes,
    ipip: of('tunl0'),
    vxlan: of('vxlan.calico'),
    vxlanV6: of('vxlan-v6.calico'),
    wireguard: of('wireguard.cali'),
    wireguardV6: of('wg-v6.cali'),
  };
}

/** Entries whose value is there. */
const present = <T>(entries: Record<string, T | null>): Record<string, T> =>
  Object.fromEntries(Object.entries(entries).filter((entry): entry is [string, T] => entry[1] !== null));

const poolObject = (pool: CalicoPlan['pools'][number]): KubeDocument =>
  calicoObject('IPPool', pool.name, {
    cidr: pool.cidr,
    blockSize: pool.blockSize,
    ipipMode: pool.ipip,
    vxlanMode: pool.vxlan,
    natOutgoing: pool.natOutgoing,
    nodeSelector: pool.nodeSelector,
    allowedUses: ['Workload', 'Tunnel'],
    ...(pool.disabled ? { disabled: true } : {}),
  });

function apiServerConfig({ host, port }: CalicoPlan['apiServer'], namespace: string): KubeDocument {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'kubernetes-services-endpoint', namespace },
    data: { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: String(port) },
  };
}

function felixConfiguration(spec: SiteSpec, { install, dataplane, version, mtuBytes }: Parts): KubeDocument {
  const { felix } = spec.network.calico;
  // The operator sets these itself, by the dataplane of its Installation.
  const chosen =
    install === 'operator'
      ? {}
      : {
          bpfEnabled: dataplane === 'bpf',
          ...(hasNftablesMode(version) ? { nftablesMode: dataplane === 'nftables' ? 'Enabled' : 'Disabled' } : {}),
        };
  return calicoObject('FelixConfiguration', 'default', {
    ...present({
      ipipMTU: mtuBytes.ipip,
      vxlanMTU: mtuBytes.vxlan,
      vxlanMTUV6: mtuBytes.vxlanV6,
      wireguardMTU: mtuBytes.wireguard,
      wireguardMTUV6: mtuBytes.wireguardV6,
    }),
    wireguardEnabled: mtuBytes.wireguard !== null,
    wireguardEnabledV6: mtuBytes.wireguardV6 !== null,
    ...chosen,
    ...(dataplane === 'bpf'
      ? {
          bpfExternalServiceMode: felix.bpf.externalServiceMode,
          bpfLogLevel: felix.bpf.logLevel,
          // kube-proxy stays; its rules are without effect, and must not be cleaned away in turns.
          bpfKubeProxyIptablesCleanupEnabled: false,
        }
      : {}),
    logSeverityScreen: felix.logLevel,
    prometheusMetricsEnabled: felix.prometheus,
    ...(felix.featureDetectOverride === undefined ? {} : { featureDetectOverride: felix.featureDetectOverride }),
  });
}

const hasNftablesMode = (version: string) => !version.startsWith('3.28.');

function manifestEdits({ spec, addressing, bundle }: CalicoInput, parts: Parts): CalicoManifestEdits {
  const { mtuBytes, backend, typha, pools } = parts;
  const has = (family: Family) => addressing.podFamilies.includes(family);
  const mode = (family: Family, key: 'ipip' | 'vxlan') =>
    pools.find((pool) => pool.family === family)?.[key] ?? 'Never';
  const address = (family: Family) => (has(family) ? 'autodetect' : 'none');
  return {
    file: typha === null ? 'calico.yaml' : 'calico-typha.yaml',
    config: {
      veth_mtu: String(mtuBytes.veth),
      calico_backend: backend,
      typha_service_name: typha === null ? 'none' : 'calico-typha',
    },
    nodeEnv: {
      IP: address('ipv4'),
      CALICO_IPV4POOL_IPIP: mode('ipv4', 'ipip'),
      CALICO_IPV4POOL_VXLAN: mode('ipv4', 'vxlan'),
      CALICO_IPV6POOL_VXLAN: mode('ipv6', 'vxlan'),
      FELIX_IPV6SUPPORT: String(has('ipv6')),
      ...present({
        FELIX_IPINIPMTU: textOf(mtuBytes.ipip),
        FELIX_VXLANMTU: textOf(mtuBytes.vxlan),
        FELIX_WIREGUARDMTU: textOf(mtuBytes.wireguard),
      }),
    },
    nodeEnvAdded: {
      // The pools are objects of the kit. What calico-node would make in a moment without any is something else.
      NO_DEFAULT_POOLS: 'true',
      // The first address that it finds can be a virtual one (calico#6711).
      ...(has('ipv4') ? { IP_AUTODETECTION_METHOD: 'kubernetes-internal-ip' } : {}),
      ...(has('ipv6') ? { IP6: 'autodetect', IP6_AUTODETECTION_METHOD: 'kubernetes-internal-ip' } : {}),
      ...(has('ipv4') ? {} : { CALICO_ROUTER_ID: 'hash' }),
      ...present({ FELIX_VXLANMTUV6: textOf(mtuBytes.vxlanV6), FELIX_WIREGUARDMTUV6: textOf(mtuBytes.wireguardV6) }),
    },
    cniPlugin: {
      ipam: { type: 'calico-ipam', assign_ipv4: String(has('ipv4')), assign_ipv6: String(has('ipv6')) },
    },
    cniPluginsAdded: spec.network.podMtuProbing
      ? [{ type: 'tuning', sysctl: { 'net.ipv4.tcp_mtu_probing': '1' } }]
      : [],
    typhaReplicas: typha?.replicas ?? null,
    resources: {
      node: containerResources(spec, 'node'),
      typha: typha === null ? null : containerResources(spec, 'typha'),
    },
    tolerations: parts.tolerations,
    bird: backend === 'bird',
    kubeControllers: bundle.images['calico-kube-controllers'] !== undefined || bundle.images.calico !== undefined,
  };
}

function containerResources(spec: SiteSpec, which: 'node' | 'typha'): ContainerResources | null {
  const { cpu, memory, memoryLimit } = spec.network.calico.resources[which];
  const requests = {
    ...(cpu === undefined ? {} : { cpu }),
    ...(memory === undefined ? {} : { memory: quantity(memory) }),
  };
  const stated: ContainerResources = {
    ...(Object.keys(requests).length === 0 ? {} : { requests }),
    ...(memoryLimit === undefined ? {} : { limits: { memory: quantity(memoryLimit) } }),
  };
  return Object.keys(stated).length === 0 ? null : stated;
}

/** The operator's own form of it: a workload, cut down to the container and what is stated of it. */
function operatorResources(spec: SiteSpec): Record<string, unknown> {
  const workload = (key: string, name: string, resources: ContainerResources | null) =>
    resources === null ? {} : { [key]: { spec: { template: { spec: { containers: [{ name, resources }] } } } } };
  return {
    ...workload('calicoNodeDaemonSet', 'calico-node', containerResources(spec, 'node')),
    ...workload('typhaDeployment', 'calico-typha', containerResources(spec, 'typha')),
  };
}

const calicoApiServer = (spec: SiteSpec): KubeDocument[] =>
  spec.network.calico.apiServer
    ? [{ apiVersion: 'operator.tigera.io/v1', kind: 'APIServer', metadata: { name: 'default' }, spec: {} }]
    : [];

const textOf = (bytes: number | null) => (bytes === null ? null : String(bytes));

const DATAPLANES = { iptables: 'Iptables', nftables: 'Nftables', bpf: 'BPF' } as const;

function installation(
  spec: SiteSpec,
  { pools, mtuBytes, backend, dataplane, tolerations }: Parts,
  families: Family[],
): KubeDocument {
  const { felix } = spec.network.calico;
  return {
    apiVersion: 'operator.tigera.io/v1',
    kind: 'Installation',
    metadata: { name: 'default' },
    spec: {
      variant: 'Calico',
      // And no ImageSet with digests: the operator wants those of its FlexVolume and CSI drivers in it too, which no site
      // runs and no bundle has. The lock of the bundle pins what its tags mean on a node.
      registry: 'quay.io/',
      // Nothing in a site uses them, and each would be one more image on every node.
      flexVolumePath: 'None',
      kubeletVolumePluginPath: 'None',
      cni: { type: 'Calico', ipam: { type: 'Calico' } },
      ...(felix.prometheus ? { nodeMetricsPort: 9091 } : {}),
      ...operatorResources(spec),
      ...(tolerations.length === 0 ? {} : { controlPlaneTolerations: tolerations }),
      calicoNetwork: {
        bgp: backend === 'bird' ? 'Enabled' : 'Disabled',
        linuxDataplane: DATAPLANES[dataplane],
        mtu: mtuBytes.veth,
        hostPorts: 'Enabled',
        ...(families.includes('ipv4') ? { nodeAddressAutodetectionV4: { kubernetes: 'NodeInternalIP' } } : {}),
        ...(families.includes('ipv6') ? { nodeAddressAutodetectionV6: { kubernetes: 'NodeInternalIP' } } : {}),
        ipPools: pools.map((pool) => ({
          name: pool.name,
          cidr: pool.cidr,
          blockSize: pool.blockSize,
          encapsulation: encapsulation(pool),
          natOutgoing: pool.natOutgoing ? 'Enabled' : 'Disabled',
          nodeSelector: pool.nodeSelector,
          // What the operator writes into the list where it is not stated: a list has one owner, and it would be drift.
          allowedUses: ['Workload', 'Tunnel'],
          assignmentMode: 'Automatic',
          disableNewAllocations: pool.disabled,
        })),
      },
    },
  };
}

function encapsulation({ ipip, vxlan }: CalicoPlan['pools'][number]): string {
  const suffix = (mode: string) => (mode === 'CrossSubnet' ? 'CrossSubnet' : '');
  if (ipip !== 'Never') return `IPIP${suffix(ipip)}`;
  return vxlan === 'Never' ? 'None' : `VXLAN${suffix(vxlan)}`;
}
