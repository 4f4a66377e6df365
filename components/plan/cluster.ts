import type { SiteSpec } from '../spec/schema';
import type { Addressing } from './address';
import { planAdmissionPlugins } from './admissionPlugins';
import { AUDIT_POLICY, planAdmission } from './apiServerPolicy';
import type { ClusterPlan, NodeClusterPlan, Taint } from './clusterTypes';
import { planCalico } from './calico';
import { checkPodSysctls, usesCalico } from './calicoModes';
import { cniConfiguration, MASQUERADE_FILE, planCniRoutes, podRuleset, usesRoutes } from './cniRoutes';
import { planContainerd } from './containerd';
import { planDns } from './dns';
import { planEndpoint } from './endpoint';
import { byText, type Findings } from './findings';
import { planIngress } from './ingress';
import { addressNumber, parseIp } from './ip';
import {
  planClusterConfiguration,
  planEtcd,
  planStaticPodProbes,
  planRegistration,
  planSnapshots,
  planTimeouts,
  planUpgradeConfiguration,
  type KubeadmTimeouts,
} from './kubeadm';
import { wholeSeconds, ZONE_LABEL } from './kubeValues';
import { planKubelet } from './kubelet';
import { planKubeProxy } from './kubeProxy';
import type { MachinePlan } from './machines';
import type { MtuPlan } from './types';
import { planPolicy } from './policy';
import { planRegistries } from './registries';
import { hasComponent, planBundle, supportedUntil } from './versions';
import { planVip } from './vip';

/** What the whole cluster shares, and what each node is in it, in the order of the site file. */
export interface PlannedCluster {
  cluster: ClusterPlan;
  nodes: NodeClusterPlan[];
  /** cni `routes`: ways of each node to the pods of the others; empty lists with another CNI. */
  routes: { to: string; via: string }[][];
}

/** Of kubeadm, kubelet and CoreDNS by default; nothing in a site depends on another. */
const DOMAIN = 'cluster.local';
const CONTROL_PLANE_TAINT: Taint = { key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' };

/** Null without a `kubernetes.version`, and beside findings that leave nothing to plan. */
export function planCluster(
  spec: SiteSpec,
  addressing: Addressing,
  machines: MachinePlan[],
  mtu: MtuPlan,
  findings: Findings,
): PlannedCluster | null {
  const { version } = spec.kubernetes;
  if (version === undefined) return null;
  const bundle = planBundle(spec, version, findings);
  const endpoint = planEndpoint(spec, addressing, findings);
  const vip = planVip(spec, addressing, findings);
  const kubeProxy = planKubeProxy(spec, version, addressing.plan, findings);
  const routes = usesRoutes(spec) ? planCniRoutes(spec, addressing, findings) : null;
  checkPodSysctls(spec, findings);
  const calico =
    usesCalico(spec) && bundle !== null && hasComponent(bundle, 'calico')
      ? planCalico({ spec, addressing, mtu, bundle, endpoint }, findings)
      : null;
  checkLabels(spec, findings);
  const dns = planDns(spec, version, DOMAIN, addressing, findings);
  const kubelet = planKubelet(spec, DOMAIN, dns, bundle, findings);
  const etcd = planEtcd(spec, machines, findings);
  const admissionPlugins = planAdmissionPlugins(spec, version, findings);
  const timeouts = planTimeouts(spec, findings);
  const etcdSnapshots = planSnapshots(spec, findings);
  const drainLimitSeconds = wholeSeconds(spec.kubernetes.drainLimit, ['kubernetes', 'drainLimit'], findings);
  const registries = planRegistries(spec, findings);
  const ingress = bundle === null ? null : planIngress(spec, addressing, bundle, findings);
  const policy = planPolicy({ spec, addressing, mtu, dns, ingress }, findings);
  if (bundle === null || findings.hasErrors()) return null;

  const admissionConfiguration = planAdmission(spec);
  const admission = admissionConfiguration !== null;
  const { mssClamp } = spec.network;
  const cluster: ClusterPlan = {
    kubernetesVersion: version,
    domain: DOMAIN,
    endpoint,
    vip,
    apiServiceAddresses: addressing.plan.serviceCidrs.map((cidr) => addressNumber(parseIp(cidr).network, 1n)),
    bundle,
    kubeadm: {
      clusterConfiguration: planClusterConfiguration({
        spec,
        version,
        domain: DOMAIN,
        endpoint,
        bundle,
        addressing,
        etcd,
        admission,
        admissionPlugins,
      }),
      kubeletConfiguration: kubelet,
      upgradeConfiguration: planUpgradeConfiguration(spec, version, timeouts),
    },
    supportedUntil: supportedUntil(version),
    upgrade: spec.kubernetes.upgrade,
    etcdSnapshots,
    auditPolicy: AUDIT_POLICY,
    admissionConfiguration,
    staticPodProbes: planStaticPodProbes(spec),
    containerd: planContainerd(bundle),
    registries,
    kubeProxy,
    dns,
    drainLimitSeconds,
    cni: spec.network.cni,
    calico,
    ingress,
    policy,
    podMasquerade:
      routes === null && !mssClamp
        ? null
        : {
            file: MASQUERADE_FILE,
            ruleset: podRuleset({ masquerade: routes === null ? [] : addressing.plan.podCidrs, mssClamp }),
          },
  };
  const nodes = spec.machines.nodes.map((_, index) =>
    planNode({ spec, addressing, index, podCidrs: routes?.podCidrs[index], mtu, timeouts }),
  );
  return { cluster, nodes, routes: routes?.routes ?? spec.machines.nodes.map(() => []) };
}

interface NodeArgs {
  spec: SiteSpec;
  addressing: Addressing;
  index: number;
  podCidrs: string[] | undefined;
  mtu: MtuPlan;
  timeouts: KubeadmTimeouts;
}

function planNode({ spec, addressing, index, podCidrs, mtu, timeouts }: NodeArgs): NodeClusterPlan {
  const node = spec.machines.nodes[index];
  const first = spec.machines.nodes.findIndex(({ role, state }) => role === 'control-plane' && state === 'active');
  const part = index === first ? 'init' : node.role === 'control-plane' ? 'join-control-plane' : 'join-worker';
  // In the order of the pod networks: the first family is the primary one of the cluster.
  const nodeIps = Object.fromEntries(
    addressing.plan.podCidrs.map((cidr) => {
      const { family } = parseIp(cidr);
      return [family, addressing.nodes[index].ips.find((ip) => ip.family === family)!.text];
    }),
  );
  const taints = planTaints(spec, index);
  return {
    part,
    registration: planRegistration({ spec, index, part, nodeIps, taints, timeouts }),
    sharesVip: part !== 'join-worker' && node.state !== 'leaving' && spec.kubernetes.vip !== undefined,
    podCidrs: podCidrs ?? [],
    cniConfiguration: podCidrs ? cniConfiguration(podCidrs, mtu.podMtuBytes) : null,
    labels: planLabels(spec, index),
    taints,
    nodeIps,
  };
}

/** Without a worker nothing could run beside the control plane if its taint stayed. */
function planTaints(spec: SiteSpec, index: number): Taint[] {
  const node = spec.machines.nodes[index];
  const hasWorker = spec.machines.nodes.some(({ role, state }) => role === 'worker' && state === 'active');
  const own = node.role === 'control-plane' && hasWorker ? [CONTROL_PLANE_TAINT] : [];
  const stated = node.taints.map(({ key, value, effect }): Taint =>
    value === undefined ? { key, effect } : { key, value, effect },
  );
  return [...own, ...stated];
}

function planLabels(spec: SiteSpec, index: number): Record<string, string> {
  const { labels, zone } = spec.machines.nodes[index];
  const all = zone === undefined ? labels : { ...labels, [ZONE_LABEL]: zone };
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => byText(a, b)));
}

/** Labels that kubelet or the kit sets: two owners of one label would take turns. */
const OWNED_LABELS = /^(kubernetes\.io\/(hostname|os|arch)|node-role\.kubernetes\.io\/.*)$/;

function checkLabels(spec: SiteSpec, findings: Findings): void {
  spec.machines.nodes.forEach((node, index) => {
    const path = ['machines', 'nodes', index];
    for (const [key, value] of Object.entries(node.labels)) {
      const owner = key === ZONE_LABEL ? 'zone of the machine' : OWNED_LABELS.test(key) ? 'cluster itself' : null;
      if (owner === null) continue;
      const instead = key === ZONE_LABEL ? `write zone: ${value}` : 'leave it out';
      findings.error([...path, 'labels', key], value, `${key} is set by the ${owner}: ${instead}`);
    }
    node.taints.forEach((taint, at) => {
      const same = node.taints.findIndex(({ key, effect }) => key === taint.key && effect === taint.effect);
      const own = taint.key === CONTROL_PLANE_TAINT.key;
      if (same === at && !own) return;
      findings.error(
        [...path, 'taints', at, 'key'],
        taint.key,
        own
          ? `${taint.key} is set by the cluster itself, where there are workers: leave it out`
          : `${taint.key} with effect ${taint.effect} is there twice: keep one`,
      );
    });
  });
}
