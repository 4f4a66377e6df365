import { cniPlugins, PROGRAMS, versionOf } from '../../components/bundle/contents';
import type { BundleComponent, BundlePlan } from '../../components/plan/clusterTypes';
import { targetArch } from './goParts';

/** One file that a project publishes, and what a bundle takes of it. */
export interface Release {
  component: BundleComponent;
  version: string;
  url: string;
  /** Where the project publishes its SHA-256: a line with the file's name, or the checksum alone. */
  checksumUrl: string;
  /** Paths in the bundle, and for an archive the member that each one is; a single file has no member. */
  files: { path: string; member?: string }[];
}

const github = (repository: string, version: string) =>
  `https://github.com/${repository}/releases/download/v${version}`;

/**
 * What each project publishes for Linux, by the words of its own release pages.
 * containerd 2 publishes only static archives with everything below bin/; etcd puts its programs into a folder.
 */
export function releasesOf(plan: BundlePlan): Release[] {
  const arch = targetArch;
  const version = (component: BundleComponent) => versionOf(plan, component);
  const release = (component: BundleComponent, url: string, checksumUrl: string, files: Release['files']): Release => ({
    component,
    version: version(component),
    url,
    checksumUrl,
    files,
  });

  const kubernetes = PROGRAMS.kubernetes.map((program) => {
    const url = `https://dl.k8s.io/release/v${version('kubernetes')}/bin/linux/${arch}/${program}`;
    return release('kubernetes', url, `${url}.sha256`, [{ path: `bin/${program}` }]);
  });
  const containerd = `${github('containerd/containerd', version('containerd'))}/containerd-${version('containerd')}-linux-${arch}.tar.gz`;
  const runc = github('opencontainers/runc', version('runc'));
  const cni = `${github('containernetworking/plugins', version('cni-plugins'))}/cni-plugins-linux-${arch}-v${version('cni-plugins')}.tgz`;
  const crictl = `${github('kubernetes-sigs/cri-tools', version('cri-tools'))}/crictl-v${version('cri-tools')}-linux-${arch}.tar.gz`;
  const etcd = github('etcd-io/etcd', version('etcd'));
  const etcdFolder = `etcd-v${version('etcd')}-linux-${arch}`;
  return [
    ...kubernetes,
    release(
      'containerd',
      containerd,
      `${containerd}.sha256sum`,
      PROGRAMS.containerd.map((name) => ({ path: `bin/${name}`, member: `bin/${name}` })),
    ),
    release('runc', `${runc}/runc.${arch}`, `${runc}/runc.sha256sum`, [{ path: 'bin/runc' }]),
    release(
      'cni-plugins',
      cni,
      `${cni}.sha256`,
      cniPlugins(plan).map((name) => ({ path: `cni/${name}`, member: name })),
    ),
    release('cri-tools', crictl, `${crictl}.sha256`, [{ path: 'bin/crictl', member: 'crictl' }]),
    release(
      'etcd',
      `${etcd}/${etcdFolder}.tar.gz`,
      `${etcd}/SHA256SUMS`,
      PROGRAMS.etcd.map((name) => ({ path: `bin/${name}`, member: `${etcdFolder}/${name}` })),
    ),
  ];
}

/** The checksum of a file in what a project publishes beside it; undefined where it is not there. */
export function publishedChecksum(text: string, fileName: string): string | undefined {
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/));
  const named = lines.find(([, name]) => name?.replace(/^[*]?(\.\/)?/, '') === fileName);
  const alone = lines.filter((line) => line.length === 1 && line[0] !== '');
  const found = named?.[0] ?? (alone.length === 1 ? alone[0][0] : undefined);
  return found !== undefined && /^[0-9a-f]{64}$/.test(found) ? found : undefined;
}
