import { basename } from 'node:path';
import type { Bundle, BundleArtifact } from '../bundle/lock';
import { assignment } from '../nodes/bash';
import { AS_ROOT } from '../nodes/prep/asRoot';
import { CORE } from '../nodes/prep/core';
import { bundlePlaceValues } from '../nodes/prep/openBundle';
import { AUDIT_LOG } from '../nodes/script';
import {
  CNI_CONFIGURATION_FILE,
  CNI_PLUGIN_FOLDER,
  PROGRAM_FOLDER,
  REGISTRY_LOGINS_FILE,
  STATE_FOLDER,
} from '../plan/clusterPaths';
import type { ClusterImage, ClusterPlan, NodeClusterPlan } from '../plan/clusterTypes';
import { REGISTRY_CONFIG_FOLDER } from '../plan/containerd';
import type { Values } from './nodeScripts';
import { BUNDLE } from './node/bundle';
import { CNI_DEVICES } from './node/cniDevices';
import { CLUSTER_CORE } from './node/core';
import { REGISTRIES } from './node/registries';
import { RUNTIME } from './node/runtime';
import { SERVICES } from './node/services';
import { CONTAINERD_UNIT, CRICTL_CONFIG, KUBEADM_DROP_IN, KUBELET_UNIT, masqueradeUnit } from './units';

/**
 * The script that gives a node what kubeadm needs: programs, containerd, images, kubelet and the CNI configuration. In the
 * style of node preparation and with its words: data first, then the same functions for every node; bash 5 and what
 * every Debian has; idempotent.
 */
export interface RuntimeSettings {
  node: string;
  cluster: ClusterPlan;
  part: NodeClusterPlan['part'];
  cniConfiguration: NodeClusterPlan['cniConfiguration'];
  bundle: Bundle;
  /** Where the node has the bundle: a disk with its ISO image, or a folder. */
  bundlePlace: { device: string } | { directory: string };
  /** kubelet's log-ins (components/secrets/registries); empty: nobody logs in. Secret. */
  registryLogins: string;
  /** Of each wait of the script. */
  limitSeconds: number;
}

/** What runs on control-plane nodes alone; the others are spared hundreds of megabytes. */
const CONTROL_PLANE_IMAGES: readonly ClusterImage[] = [
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'etcd',
];

/** Names that Felix and the CNI plugin give their devices. */
const CALICO_DEVICES = ['cali*', 'tunl0', 'vxlan.calico', 'vxlan-v6.calico', 'wireguard.cali', 'wg-v6.cali'];

interface Needed {
  programs: { artifact: BundleArtifact; target: string }[];
  images: { artifact: BundleArtifact; reference: string }[];
}

/** What a node takes from the bundle, which holds all that the plan wants (components/bundle/find). */
export function neededArtifacts({
  cluster,
  part,
  bundle,
}: Pick<RuntimeSettings, 'cluster' | 'part' | 'bundle'>): Needed {
  const { artifacts, name } = bundle.lock;
  const programs = artifacts
    .filter(({ kind }) => kind === 'binary' || kind === 'cni-plugin')
    .map((artifact) => ({
      artifact,
      target: `${artifact.kind === 'binary' ? PROGRAM_FOLDER : CNI_PLUGIN_FOLDER}/${basename(artifact.path)}`,
    }));
  const images = (Object.entries(cluster.bundle.images) as [ClusterImage, string][])
    .filter(([image]) => part !== 'join-worker' || !CONTROL_PLANE_IMAGES.includes(image))
    .map(([, reference]) => {
      const artifact = artifacts.find((one) => one.kind === 'image' && one.reference === reference);
      if (artifact === undefined) throw new Error(`the bundle ${name} lacks the image ${reference}`);
      return { artifact, reference };
    });
  return { programs, images };
}

/** How the scripts of a node find its bundle, and what they take from it. */
export function bundleValues(settings: Pick<RuntimeSettings, 'cluster' | 'part' | 'bundle' | 'bundlePlace'>): Values {
  const { bundle, bundlePlace } = settings;
  const { programs, images } = neededArtifacts(settings);
  return [
    ...bundlePlaceValues(bundle, bundlePlace),
    ['PROGRAMS', programs.map(({ artifact, target }) => `${artifact.sha256} ${artifact.path} ${target}`)],
    ['IMAGES', images.map(({ artifact, reference }) => `${artifact.sha256} ${artifact.path} ${reference}`)],
  ];
}

export function renderRuntimeScript(settings: RuntimeSettings): string {
  const { node, cluster } = settings;
  const { cniConfiguration } = settings;
  const { podMasquerade, registries } = cluster;
  const values: Values = [
    ['KUBERNETES_VERSION', cluster.kubernetesVersion],
    ['CONTAINERD_VERSION', cluster.containerd.version],
    ...bundleValues(settings),
    ['CONTAINERD_CONFIG', cluster.containerd.toml],
    ['CONTAINERD_UNIT', CONTAINERD_UNIT],
    ['REGISTRY_FOLDER', REGISTRY_CONFIG_FOLDER],
    ['REGISTRY_FOLDERS', registries.map(({ folder }) => folder)],
    ['REGISTRY_HOSTS', registries.map(({ hostsToml }) => hostsToml)],
    ['REGISTRY_AUTHORITIES', registries.map(({ ca }) => ca ?? '')],
    ['REGISTRY_LOGINS_FILE', REGISTRY_LOGINS_FILE],
    ['REGISTRY_LOGINS', settings.registryLogins],
    ['CRICTL_CONFIG', CRICTL_CONFIG],
    ['KUBELET_UNIT', KUBELET_UNIT],
    ['KUBEADM_DROP_IN', KUBEADM_DROP_IN],
    ['CNI_FILE', CNI_CONFIGURATION_FILE],
    ['CNI_CONFIG', cniConfiguration === null ? '' : `${JSON.stringify(cniConfiguration, null, 2)}\n`],
    ['CNI_DEVICE_NAMES', cluster.cni === 'calico' ? CALICO_DEVICES.join(' ') : ''],
    ['MASQUERADE_FILE', podMasquerade?.file ?? ''],
    ['MASQUERADE_RULES', podMasquerade?.ruleset ?? ''],
    ['MASQUERADE_UNIT', podMasquerade === null ? '' : masqueradeUnit(podMasquerade.file)],
    ['PROGRAM_FOLDER', PROGRAM_FOLDER],
    ['STATE_FOLDER', STATE_FOLDER],
    ['LIMIT_SECONDS', String(settings.limitSeconds)],
    ['AUDIT_LOG', AUDIT_LOG],
    ['RUN_DIR', '/run/sitewright'],
  ];
  return [
    `# Gives ${node} what it needs as a node of Kubernetes ${cluster.kubernetesVersion}. Made by sitewright.\n${AS_ROOT}`,
    values.map(([name, value]) => assignment(name, value)).join(''),
    CORE,
    CLUSTER_CORE,
    BUNDLE,
    SERVICES,
    CNI_DEVICES,
    REGISTRIES,
    RUNTIME,
    'main </dev/null\n',
  ].join('\n');
}
