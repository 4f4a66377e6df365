import type { BundleComponent, BundlePlan, ClusterImage } from '../plan/clusterTypes';
import { hasComponent } from '../plan/versions';
import type { BundleArtifact, BundleLock } from './lock';

/** What a bundle must hold for a plan: its place, what it is, and which version of what it is from. */
export type WantedArtifact = Pick<BundleArtifact, 'path' | 'kind' | 'component' | 'version' | 'reference'>;

/** Programs of the node by the component that they are part of. */
export const PROGRAMS = {
  kubernetes: ['kubeadm', 'kubectl', 'kubelet'],
  // Nothing on a node runs etcd itself outside its image; these read, save and restore its data.
  etcd: ['etcdctl', 'etcdutl'],
  'cri-tools': ['crictl'],
  containerd: ['containerd', 'containerd-shim-runc-v2', 'ctr'],
  runc: ['runc'],
} as const satisfies Partial<Record<BundleComponent, readonly string[]>>;

/** What the `routes` network and the loopback device of every pod need. */
export const CNI_PLUGINS = ['bridge', 'host-local', 'loopback', 'portmap'] as const;
/** What the chain of Calico's CNI configuration needs beside Calico's own and `portmap`. */
export const CALICO_CNI_PLUGINS = ['bandwidth', 'tuning'] as const;

/** CNI plugins of a bundle. */
export const cniPlugins = (plan: BundlePlan): string[] => [
  ...CNI_PLUGINS,
  ...(hasComponent(plan, 'calico') ? CALICO_CNI_PLUGINS : []),
];

export const IMAGE_COMPONENTS: Record<ClusterImage, BundleComponent> = {
  'kube-apiserver': 'kubernetes',
  'kube-controller-manager': 'kubernetes',
  'kube-scheduler': 'kubernetes',
  'kube-proxy': 'kubernetes',
  etcd: 'etcd',
  coredns: 'coredns',
  pause: 'pause',
  toolbox: 'toolbox',
  calico: 'calico',
  'calico-node': 'calico',
  'calico-cni': 'calico',
  'calico-kube-controllers': 'calico',
  'calico-typha': 'calico',
  'calico-apiserver': 'calico',
  'tigera-operator': 'calico',
  'nginx-ingress': 'nginx-ingress',
  'ingress-nginx': 'ingress-nginx',
};

export const versionOf = (plan: BundlePlan, component: BundleComponent): string => {
  const found = plan.components.find(({ name }) => name === component);
  if (found === undefined) throw new Error(`the plan of bundle ${plan.name} has no version of ${component}`);
  return found.version;
};

/** Where the packages of a distribution are. */
export const packageFolder = (distribution: string) => `packages/${distribution}`;
export const packagePath = (distribution: string, name: string) => `${packageFolder(distribution)}/${name}.deb`;
export const packageIndex = (distribution: string) => `${packageFolder(distribution)}/Packages`;

/**
 * Everything that a bundle of this plan holds, sorted by path; of packages only their index, because the archive decides
 * which ones come along.
 */
export function wantedArtifacts(plan: BundlePlan): WantedArtifact[] {
  const programs = Object.entries(PROGRAMS).flatMap(([component, names]) =>
    names.map((name) => ({
      path: `bin/${name}`,
      kind: 'binary' as const,
      component,
      version: versionOf(plan, component as BundleComponent),
    })),
  );
  const plugins = cniPlugins(plan).map((name) => ({
    path: `cni/${name}`,
    kind: 'cni-plugin' as const,
    component: 'cni-plugins',
    version: versionOf(plan, 'cni-plugins'),
  }));
  const images = Object.entries(plan.images).map(([name, reference]) => ({
    path: `images/${name}.tar`,
    kind: 'image' as const,
    component: IMAGE_COMPONENTS[name as ClusterImage],
    version: versionOf(plan, IMAGE_COMPONENTS[name as ClusterImage]),
    reference,
  }));
  const manifests = plan.manifests.map(({ name, component }) => ({
    path: `manifests/${name}`,
    kind: 'manifest' as const,
    component,
    version: versionOf(plan, component),
  }));
  const indexes = plan.packages.map(({ distribution }) => ({
    path: packageIndex(distribution),
    kind: 'package-index' as const,
    component: distribution,
    version: distribution.slice(distribution.indexOf('-') + 1),
  }));
  return [...programs, ...plugins, ...images, ...manifests, ...indexes].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** What a bundle lacks of a plan, one line each; empty where it has everything in the planned versions. */
export function lacking(lock: BundleLock, plan: BundlePlan): string[] {
  const found = new Map(lock.artifacts.map((artifact) => [artifact.path, artifact]));
  const packages = plan.packages.flatMap(({ distribution, names }) =>
    names
      .map((name) => packagePath(distribution, name))
      .filter((path) => !found.has(path))
      .map((path) => `${path} is missing`),
  );
  const others = wantedArtifacts(plan).flatMap((wanted) => {
    const { path, component, version } = wanted;
    const there = found.get(path);
    if (there === undefined) return [`${path} (${component} ${version}) is missing`];
    const differs = (['kind', 'component', 'version', 'reference'] as const).filter(
      (key) => there[key] !== wanted[key],
    );
    return differs.map((key) => `${path}: ${key} is ${there[key] ?? 'none'}, the plan wants ${wanted[key] ?? 'none'}`);
  });
  return [...others, ...packages];
}
