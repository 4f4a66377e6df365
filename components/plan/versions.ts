import * as semver from 'semver';
import type { SiteSpec } from '../spec/schema';
import type { BundleComponent, BundlePlan, ContainerdPlan, IngressImage } from './clusterTypes';
import { planCalicoRelease } from './calicoVersions';
import { byText, type Findings } from './findings';
import { planIngressRelease } from './ingressVersions';
import { planPackages } from './packages';

/** The one table of versions: what the kit builds a cluster from, by Kubernetes minor and by origin. */

type Origin = SiteSpec['artifacts']['from'];
type Companions = Record<Exclude<BundleComponent, OptionalComponent>, string> & { toolbox?: string };
type OptionalComponent = 'kubernetes' | 'toolbox' | 'calico' | IngressImage;

interface Release {
  minor: string;
  /** End of life (kubernetes.io/releases). */
  supportedUntil: string;
  /**
   * Patches that can be built: module versions that the package registries have. Upstream has every patch, and its
   * checksums are in the lock of the bundle.
   */
  sourcePatches: readonly string[];
  /** Null: this minor cannot be had from there. */
  companions: Record<Origin, Companions | null>;
  /** Tag of the etcd image of registry.k8s.io, which counts its own builds. */
  upstreamEtcdTag: string;
}

/**
 * etcd, CoreDNS and pause of `upstream` are what kubeadm of that minor asks for (its app/constants), from 1.36 on the CNI
 * plugins and crictl what Kubernetes tests with (its build/dependencies.yaml), containerd and runc a pair that containerd is
 * tested with (its script/setup/runc-version). `source` takes containerd and runc from the
 * packages of Debian 12, because they need cgo, and what else can be built from Go modules.
 */
const RELEASES: readonly Release[] = [
  {
    minor: '1.35',
    supportedUntil: '2027-02-28',
    sourcePatches: [],
    companions: {
      source: null,
      upstream: {
        'cni-plugins': '1.9.1',
        containerd: '2.2.9',
        coredns: '1.13.1',
        'cri-tools': '1.35.0',
        etcd: '3.6.6',
        pause: '3.10.1',
        runc: '1.3.6',
      },
    },
    upstreamEtcdTag: '3.6.6-0',
  },
  {
    minor: '1.36',
    supportedUntil: '2027-06-28',
    sourcePatches: ['1.36.1', '1.36.3'],
    companions: {
      source: {
        'cni-plugins': '1.9.1',
        containerd: '1.6.20',
        coredns: '1.14.7',
        'cri-tools': '1.36.0',
        etcd: '3.6.5',
        pause: '3.10.2',
        runc: '1.1.5',
        // The release of Debian whose packages are in it.
        toolbox: 'bookworm',
      },
      upstream: {
        'cni-plugins': '1.9.1',
        containerd: '2.3.7',
        coredns: '1.14.2',
        'cri-tools': '1.35.0',
        etcd: '3.6.8',
        pause: '3.10.2',
        runc: '1.5.2',
      },
    },
    upstreamEtcdTag: '3.6.8-0',
  },
  {
    minor: '1.37',
    supportedUntil: '2027-10-28',
    sourcePatches: [],
    companions: {
      // containerd has 2.3 and newer for this minor (its RELEASES.md, "Kubernetes Support"), and Debian 12 has 1.6.
      source: null,
      upstream: {
        'cni-plugins': '1.9.1',
        containerd: '2.3.7',
        coredns: '1.14.6',
        'cri-tools': '1.36.0',
        etcd: '3.7.0',
        pause: '3.10.2',
        runc: '1.5.2',
      },
    },
    upstreamEtcdTag: '3.7.0-0',
  },
];

/** Images of a source bundle are made by the kit: a name that no registry has, so that nobody takes them for others. */
const REPOSITORY: Record<Origin, string> = { source: 'bundle.sitewright.internal', upstream: 'registry.k8s.io' };

export const minorOf = (version: string) => version.split('.').slice(0, 2).join('.');

const releaseOf = (version: string) => RELEASES.find(({ minor }) => minor === minorOf(version));

/** Day of the last fixes of the minor of a version that can be planned. */
export const supportedUntil = (version: string): string => releaseOf(version)!.supportedUntil;

/** What the bundle of a site must hold, or null beside a finding. */
export function planBundle(spec: SiteSpec, version: string, findings: Findings): BundlePlan | null {
  const { from } = spec.artifacts;
  const release = releaseOf(version);
  const companions = release?.companions[from];
  if (!release || !companions || (from === 'source' && !release.sourcePatches.includes(version))) {
    findings.error(
      ['kubernetes', 'version'],
      version,
      `${version} is not supported with artifacts.from ${from}: choose ${allowedVersions(from)}`,
    );
    return null;
  }
  const repository = REPOSITORY[from];
  const kubernetes = (name: string) => `${repository}/${name}:v${version}`;
  const images: BundlePlan['images'] = {
    'kube-apiserver': kubernetes('kube-apiserver'),
    'kube-controller-manager': kubernetes('kube-controller-manager'),
    'kube-scheduler': kubernetes('kube-scheduler'),
    'kube-proxy': kubernetes('kube-proxy'),
    etcd: `${repository}/etcd:${from === 'source' ? companions.etcd : release.upstreamEtcdTag}`,
    coredns: `${repository}${from === 'source' ? '' : '/coredns'}/coredns:v${companions.coredns}`,
    pause: `${repository}/pause:${companions.pause}`,
    ...(companions.toolbox === undefined ? {} : { toolbox: `${repository}/toolbox:${companions.toolbox}` }),
  };
  const calico = spec.network.cni === 'calico' ? planCalicoRelease(spec, findings) : null;
  const ingress = planIngressRelease(spec, findings);
  const packages = planPackages(spec, findings);
  const components = Object.entries({
    ...companions,
    kubernetes: version,
    ...(calico === null ? {} : { calico: calico.version }),
    ...(ingress === null ? {} : { [ingress.component]: ingress.version }),
  }) as [BundleComponent, string][];
  // Not every site has these, and what a lock pins belongs to one list of files.
  const added = [calico, ingress].filter((part) => part !== null);
  return {
    from,
    name: [
      from,
      version,
      ...added.map(({ bundleName }) => bundleName),
      ...packages.map(({ distribution }) => distribution),
    ].join('-'),
    components: components.map(([name, each]) => ({ name, version: each })).sort((a, b) => byText(a.name, b.name)),
    imageRepository: repository,
    images: Object.assign({}, images, ...added.map((part) => part.images)) as BundlePlan['images'],
    manifests: added.flatMap((part) => part.manifests),
    packages,
  };
}

function allowedVersions(from: Origin): string {
  const all = RELEASES.filter((release) => release.companions[from] !== null).flatMap(({ minor, sourcePatches }) =>
    from === 'source' ? sourcePatches : [`${minor}.x`],
  );
  return all.join(' or ');
}

export const hasComponent = (bundle: BundlePlan, name: BundleComponent): boolean =>
  bundle.components.some((component) => component.name === name);

/** Version of a component of a bundle. */
export function componentVersion(bundle: Pick<BundlePlan, 'components'>, name: BundleComponent): string {
  return bundle.components.find((component) => component.name === name)!.version;
}

/** Layout of config.toml that a containerd reads without migrating it (its RELEASES.md, "Daemon Configuration"). */
export function containerdConfigVersion(version: string): ContainerdPlan['configVersion'] {
  if (semver.gte(version, '2.3.0')) return 4;
  return semver.gte(version, '2.0.0') ? 3 : 2;
}

/** Whether a containerd tells kubelet which images are pinned: 1.6 keeps the label and tells nobody (tried with 1.6.20). */
export const knowsPinnedImages = (version: string): boolean => semver.gte(version, '2.0.0');

/** What a proxy mode means with a Kubernetes version. */
export interface ProxyGate {
  /** Feature gates that kube-proxy needs for it. */
  featureGates: Record<string, boolean>;
  problem: { severity: 'error' | 'warning'; message: string } | null;
}

const IPVS_DEPRECATED = '1.35.0';
const IPVS_GATE = { name: 'KubeProxyIPVS', needed: '1.40.0', gone: '1.43.0' };
const INSTEAD = 'set kubeProxy.mode to nftables, which needs kernel 5.13 on every node';

/** IPVS is deprecated since 1.35, behind a gate that is off from 1.40 on, and removed in 1.43. */
export function proxyGate(mode: SiteSpec['kubeProxy']['mode'], version: string): ProxyGate {
  if (mode !== 'ipvs' || semver.lt(version, IPVS_DEPRECATED)) return { featureGates: {}, problem: null };
  if (semver.gte(version, IPVS_GATE.gone)) {
    return {
      featureGates: {},
      problem: { severity: 'error', message: `ipvs is gone from Kubernetes 1.43, and this is ${version}: ${INSTEAD}` },
    };
  }
  return {
    featureGates: semver.gte(version, IPVS_GATE.needed) ? { [IPVS_GATE.name]: true } : {},
    problem: {
      severity: 'warning',
      message: `ipvs is deprecated since Kubernetes 1.35, off by default from 1.40 and gone from 1.43: before that ${INSTEAD}`,
    },
  };
}

/**
 * Why the data of an etcd cannot be given to another one, or null. kubeadm refuses it within an upgrade and goes on without;
 * the static pod of a changed plan would start the older one.
 */
export function etcdProblem(
  from: string,
  { name, components }: Pick<BundlePlan, 'name' | 'components'>,
): string | null {
  const to = componentVersion({ components }, 'etcd');
  if (semver.gte(to, from)) return null;
  return (
    `the bundle ${name} has etcd ${to}, and ${from} runs: what it wrote may not be read by an older one. Keep the version and ` +
    `artifacts.from that run, or choose some whose etcd is ${from} or newer`
  );
}

/** Why a cluster cannot go from one version to another, or null: one minor at a time, and never back. */
export function upgradeProblem(from: string, to: string): string | null {
  if (semver.lt(to, from)) {
    return `${to} is older than the ${from} that runs: etcd and the API objects cannot go back; restore a snapshot of before instead`;
  }
  if (semver.major(to) === semver.major(from) && semver.minor(to) - semver.minor(from) <= 1) return null;
  const next = `${semver.major(from)}.${semver.minor(from) + 1}`;
  return `${to} is more than one minor away from the ${from} that runs: go to ${next} first`;
}
