import * as semver from 'semver';
import type { SiteSpec } from '../spec/schema';
import { sizeToBytes } from '../spec/units';
import type { Findings } from './findings';
import type { MtuPlan } from './types';

/** Which modes of Calico go together, and why others do not. */

export const usesCalico = (spec: SiteSpec) => spec.kubernetes.version !== undefined && spec.network.cni === 'calico';

/** Its programs carry what comes for a Service to the node of its pod in VXLAN, whatever the routing is. */
export const usesBpf = (spec: SiteSpec) => usesCalico(spec) && spec.network.calico.dataplane === 'bpf';

/** Why a routing that BIRD carries out cannot be had, or null. */
export function noBirdReason(spec: SiteSpec): string | null {
  if (!usesCalico(spec)) return null;
  if (spec.network.calico.bgp.mode === 'off') return 'network.calico.bgp.mode is off';
  return spec.artifacts.from === 'source' ? 'a bundle from source has no BIRD' : null;
}

/** Nodes with the label of route reflectors, in the order of the site file; those that leave reflect until they have. */
export const labelledReflectors = (spec: SiteSpec): SiteSpec['machines']['nodes'] =>
  spec.machines.nodes.filter((node) => spec.network.calico.bgp.routeReflectorLabel in node.labels);

/** Whether routers are told of any addresses of Services. */
export function advertisesServices(spec: SiteSpec): boolean {
  const { serviceIps, externalCidrs, loadBalancerCidrs } = spec.network.calico.bgp.advertise;
  return serviceIps || externalCidrs.length + loadBalancerCidrs.length > 0;
}

/** VXLAN needs no BGP: Felix knows from the API which blocks a node has. */
const needsBgp = (routing: MtuPlan['routing']) => !routing.startsWith('vxlan');

export function planBackend(spec: SiteSpec, mtu: MtuPlan, findings: Findings): 'bird' | 'vxlan' {
  const { mode, peers } = spec.network.calico.bgp;
  const path = ['network', 'calico', 'bgp'];
  const asked = [
    ...(needsBgp(mtu.routing) ? [`routing ${mtu.routing}`] : []),
    ...(peers.length > 0 ? ['network.calico.bgp.peers'] : []),
    ...(advertisesServices(spec) ? ['network.calico.bgp.advertise'] : []),
    ...(labelledReflectors(spec).length > 0
      ? [`the label ${spec.network.calico.bgp.routeReflectorLabel} of nodes`]
      : []),
  ];
  const wanted = mode === 'on' || asked.length > 0;
  if (!wanted) return 'vxlan';
  const reason = noBirdReason(spec);
  if (reason !== null) {
    const what = asked.length > 0 ? asked.join(' and ') : 'network.calico.bgp.mode on';
    findings.error(
      [...path, 'mode'],
      mode,
      `${what} needs BGP, and ${reason}: use routing vxlan or vxlan-cross-subnet and leave the rest out` +
        (mode === 'off' ? ', or leave network.calico.bgp.mode out' : ', or set artifacts.from to upstream'),
    );
  }
  return 'bird';
}

/** Calico's nftables dataplane: in the API from 3.29 on. */
const NFTABLES_FROM = '3.29.0';

export function checkDataplane(spec: SiteSpec, version: string, findings: Findings): void {
  const { dataplane } = spec.network.calico;
  const { mode } = spec.kubeProxy;
  const path = ['network', 'calico', 'dataplane'];
  const refuse = (message: string) => findings.error(path, dataplane, message);
  if (dataplane === 'nftables' && semver.lt(version, NFTABLES_FROM)) {
    refuse(`Calico ${version} has no nftables dataplane: use iptables, or Calico 3.29 or later`);
  }
  if (dataplane === 'nftables' && mode !== 'nftables') {
    refuse(
      `nftables does not go with kubeProxy.mode ${mode}, whose iptables rules would judge packets before Calico's: ` +
        'set kubeProxy.mode to nftables too (kernel 5.13), or use the dataplane iptables',
    );
  }
  if (dataplane === 'iptables' && mode === 'nftables') {
    refuse(
      'iptables does not go with kubeProxy.mode nftables: Calico supports both in the same mode only; set ' +
        'network.calico.dataplane to nftables too, or kubeProxy.mode to ipvs or iptables',
    );
  }
  if (dataplane !== 'bpf') return;
  if (mode !== 'iptables') {
    refuse(
      `bpf does not go with kubeProxy.mode ${mode}: its programs take Services over before kube-proxy sees a packet, and Calico ` +
        'allows that beside mode iptables only; set kubeProxy.mode to iptables',
    );
  }
  if (spec.artifacts.from === 'source') {
    refuse(
      'a bundle from source has no eBPF programs (they need clang): use iptables, or set artifacts.from to upstream',
    );
  }
  findings.warning(path, dataplane, 'bpf is planned and rendered, but the kit does not test it end to end');
}

/** What of Calico's own pods cannot be had, or would be asked for and never given. */
export function checkOwnPods(spec: SiteSpec, findings: Findings): void {
  const { install, apiServer, resources } = spec.network.calico;
  const path = ['network', 'calico'];
  if (apiServer && install === 'manifest') {
    findings.error(
      [...path, 'apiServer'],
      apiServer,
      'only the operator installs the API server of Calico: set network.calico.install to operator, or leave it out',
    );
  }
  for (const [name, { memory, memoryLimit }] of Object.entries(resources)) {
    if (memory === undefined || memoryLimit === undefined || sizeToBytes(memory) <= sizeToBytes(memoryLimit)) continue;
    findings.error(
      [...path, 'resources', name, 'memoryLimit'],
      memoryLimit,
      `${memoryLimit} is less than the ${memory} that every pod asks for (memory beside it): raise it`,
    );
  }
}

export function checkVxlan(spec: SiteSpec, mtu: MtuPlan, findings: Findings): void {
  const { txChecksumIpGeneric } = spec.network.calico.vxlan;
  if (txChecksumIpGeneric === 'auto' || mtu.routing.startsWith('vxlan')) return;
  findings.error(
    ['network', 'calico', 'vxlan', 'txChecksumIpGeneric'],
    txChecksumIpGeneric,
    `routing ${mtu.routing} has no device of VXLAN to set it on: leave it out`,
  );
}

export function checkPodSysctls(spec: SiteSpec, findings: Findings): void {
  const { podMtuProbing, cni, calico } = spec.network;
  if (!podMtuProbing) return;
  const path = ['network', 'podMtuProbing'];
  if (cni !== 'calico') {
    findings.error(
      path,
      podMtuProbing,
      `network.cni ${cni} cannot set sysctls of pods: set it to false, or network.cni to calico`,
    );
  } else if (calico.install === 'operator') {
    findings.error(
      path,
      podMtuProbing,
      "Calico's operator lets pods have net.ipv4.tcp_keepalive_* and no other sysctl: set it to false, or network.calico.install to manifest",
    );
  }
}

/** From this many nodes on Calico's project recommends Typha. */
const TYPHA_FROM_NODES = 50;
const TYPHA = { nodesEach: 200, least: 3, most: 20 };

export function planTypha(spec: SiteSpec, findings: Findings): { replicas: number } | null {
  const { typha: stated, install } = spec.network.calico;
  const nodes = spec.machines.nodes.length;
  const path = ['network', 'calico', 'typha'];
  const refuse = (message: string) => findings.error(path, stated, message);
  if (install === 'operator') {
    if (stated !== 'auto') refuse('the operator sets the number of Typhas by itself: leave it out');
    // As its own code has it.
    const many = Math.max(TYPHA.least, Math.floor(nodes / TYPHA.nodesEach) + 2);
    return { replicas: nodes <= 2 ? 1 : nodes <= 4 ? 2 : many };
  }
  if (stated === 0) return null;
  if (spec.artifacts.from === 'source') {
    if (stated !== 'auto') refuse('a bundle from source has no Typha: leave it out, or set artifacts.from to upstream');
    return null;
  }
  if (stated !== 'auto') {
    if (stated >= nodes)
      refuse(
        `${stated} is too many: each runs on a node of its own, and a rollout needs a free one, so at most ${nodes - 1}`,
      );
    return { replicas: stated };
  }
  if (nodes < TYPHA_FROM_NODES) return null;
  return { replicas: Math.min(Math.max(Math.ceil(nodes / TYPHA.nodesEach), TYPHA.least), TYPHA.most) };
}
