import { kubeadmDocuments } from '../cluster/documents';
import {
  KUBELET_CERTIFICATES_PROGRAM,
  KUBELET_CERTIFICATES_SERVICE,
  KUBELET_CERTIFICATES_TEXT,
  KUBELET_CERTIFICATES_TIMER,
  KUBELET_CERTIFICATES_UNIT,
} from '../cluster/kubeletCertificates';
import { staticPodFiles, KUBEADM_FILE } from '../cluster/nodeScripts';
import { CONTAINERD_UNIT, CRICTL_CONFIG, KUBEADM_DROP_IN, KUBELET_UNIT, masqueradeUnit } from '../cluster/units';
import {
  HAPROXY_FILE,
  HAPROXY_SERVICE,
  HAPROXY_UNIT,
  haproxyConfiguration,
  HEALTH_FILE,
  HEALTH_SCRIPT,
  KEEPALIVED_SERVICE,
  KEEPALIVED_UNIT,
} from '../cluster/vipFiles';
import { ADMISSION_FILE, AUDIT_POLICY_FILE, CNI_CONFIGURATION_FILE } from '../plan/clusterPaths';
import type { ClusterPlan, NodeClusterPlan } from '../plan/clusterTypes';

/** Files of a node that hold no secret and whose text the plan alone decides, as the cluster's scripts write them. */

export type PlannedFile = [path: string, content: string];

const unit = (name: string) => `/etc/systemd/system/${name}`;

/** Of every node (components/cluster/runtimeScript). */
export function runtimeFiles(
  { containerd, podMasquerade, registries }: ClusterPlan,
  { cniConfiguration }: NodeClusterPlan,
): PlannedFile[] {
  return [
    ['/etc/containerd/config.toml', containerd.toml],
    [unit('containerd.service'), CONTAINERD_UNIT],
    ['/etc/crictl.yaml', CRICTL_CONFIG],
    [unit('kubelet.service'), KUBELET_UNIT],
    [unit('kubelet.service.d/10-kubeadm.conf'), KUBEADM_DROP_IN],
    ...registries.map(({ folder, hostsToml }): PlannedFile => [`${folder}/hosts.toml`, hostsToml]),
    ...(podMasquerade === null
      ? []
      : ([
          [podMasquerade.file, podMasquerade.ruleset],
          [unit('sitewright-pod-masquerade.service'), masqueradeUnit(podMasquerade.file)],
        ] as PlannedFile[])),
    ...(cniConfiguration === null
      ? []
      : ([[CNI_CONFIGURATION_FILE, `${JSON.stringify(cniConfiguration, null, 2)}\n`]] as PlannedFile[])),
  ];
}

/** Of control-plane nodes beyond those (components/cluster/nodeScripts); empty for others. */
export function controlPlaneFiles(cluster: ClusterPlan, node: NodeClusterPlan): PlannedFile[] {
  if (node.part === 'join-worker') return [];
  const { auditPolicy, admissionConfiguration, patches } = staticPodFiles(cluster);
  const { endpoint, vip } = cluster;
  return [
    [AUDIT_POLICY_FILE, auditPolicy],
    ...(admissionConfiguration === '' ? [] : ([[ADMISSION_FILE, admissionConfiguration]] as PlannedFile[])),
    ...patches,
    [KUBEADM_FILE, kubeadmDocuments(cluster, node)],
    [KUBELET_CERTIFICATES_PROGRAM, KUBELET_CERTIFICATES_TEXT],
    [unit(`${KUBELET_CERTIFICATES_UNIT}.service`), KUBELET_CERTIFICATES_SERVICE],
    [unit(`${KUBELET_CERTIFICATES_UNIT}.timer`), KUBELET_CERTIFICATES_TIMER],
    ...(vip === null || !node.sharesVip
      ? []
      : ([
          [HEALTH_FILE, HEALTH_SCRIPT],
          [HAPROXY_FILE, haproxyConfiguration({ endpoint, vip })],
          [unit(`${HAPROXY_UNIT}.service`), HAPROXY_SERVICE],
          [unit(`${KEEPALIVED_UNIT}.service`), KEEPALIVED_SERVICE],
        ] as PlannedFile[])),
  ];
}
