import type { SiteSpec } from '../spec/schema';
import type { BundleManifest, CalicoImage } from './clusterTypes';
import type { Findings } from './findings';

/** What a release of Calico consists of, by version. */

type Origin = SiteSpec['artifacts']['from'];
type Install = SiteSpec['network']['calico']['install'];

/** `many`: an image for each program; `one`: calico/calico has them all (from 3.33 on), and mirrors made for others lack it. */
export type CalicoLayout = 'many' | 'one';

interface CalicoRelease {
  version: string;
  layout: CalicoLayout;
  /** Version of the operator that installs this one; null: the kit knows no manifest of it. */
  operator: string | null;
  /** SHA-256 of the project's release manifests, by name. */
  manifests: Record<string, string>;
}

/** Newest first: the first is the default of `upstream`. */
const RELEASES: readonly CalicoRelease[] = [
  {
    version: '3.32.1',
    layout: 'many',
    operator: '1.42.3',
    manifests: {
      'calico-typha.yaml': '7ecc42a5ca2bd47764384f5c52b89b007c06cbf907fd3214c1cf4abc75ead76f',
      'calico.yaml': 'a1df919d9721cf667accdc3e72848911b0cb25cfab7d2478ad0c996302c95744',
      'operator-crds.yaml': '192f8b2d934ef24b62e86b7e1a6e1762d1c8af26a916f78057bc13fa5ed60f71',
      'tigera-operator.yaml': 'f18e073794207d372606bc3ea6f8fd73972f86d6828f4ba666dfe0d4aa8ab07f',
    },
  },
  {
    version: '3.28.5',
    layout: 'many',
    operator: null,
    manifests: {
      'calico-typha.yaml': '0126ae47ad72cd8c6266f5ea07a299c0ab0ff56a6f06743d26494b10291080f0',
      'calico.yaml': '206678e7adb2e931bb97385300c408490635616f371941d68468207d6e0f9713',
    },
  },
];

/** The only version whose Go module has the manifests of a release, byte for byte, and builds. */
const SOURCE_VERSION = '3.28.5';
const INSTALL_MANIFESTS: Record<Install, readonly string[]> = {
  manifest: ['calico-typha.yaml', 'calico.yaml'],
  operator: ['operator-crds.yaml', 'tigera-operator.yaml'],
};

export interface CalicoReleasePlan {
  version: string;
  /** What it adds to the name of a bundle. */
  bundleName: string;
  images: Partial<Record<CalicoImage, string>>;
  manifests: BundleManifest[];
}

/** What the bundle of a site with Calico must hold, or null beside a finding. */
export function planCalicoRelease(spec: SiteSpec, findings: Findings): CalicoReleasePlan | null {
  const { from } = spec.artifacts;
  const { install, apiServer } = spec.network.calico;
  const version = spec.network.calico.version ?? (from === 'source' ? SOURCE_VERSION : RELEASES[0].version);
  const path = ['network', 'calico'];
  const release = RELEASES.find((one) => one.version === version);
  if (!release || (from === 'source' && version !== SOURCE_VERSION)) {
    const allowed = from === 'source' ? SOURCE_VERSION : RELEASES.map((one) => one.version).join(' or ');
    findings.error(
      [...path, 'version'],
      version,
      `${version} is not supported with artifacts.from ${from}: choose ${allowed}, or leave it out`,
    );
    return null;
  }
  if (install === 'operator' && (from === 'source' || release.operator === null)) {
    const why =
      from === 'source'
        ? 'the operator cannot be built from package registries'
        : `the kit knows no operator of Calico ${version}`;
    findings.error([...path, 'install'], install, `${why}: set network.calico.install to manifest`);
    return null;
  }
  return {
    version,
    bundleName: `calico-${version}${install === 'operator' ? `-operator${apiServer ? '-apiserver' : ''}` : ''}`,
    images: calicoImages(version, release.layout, from, {
      operator: install === 'operator' ? release.operator : null,
      apiServer,
    }),
    manifests: INSTALL_MANIFESTS[install].map((name) => ({
      name,
      component: 'calico',
      url: `https://raw.githubusercontent.com/projectcalico/calico/v${version}/manifests/${name}`,
      sha256: release.manifests[name],
    })),
  };
}

/**
 * Images of a release. From source there are the two that a node needs: kube-controllers does not compile as a Go module
 * and Typha is for sites that are larger than what a source bundle is for.
 */
export function calicoImages(
  version: string,
  layout: CalicoLayout,
  from: Origin,
  { operator, apiServer }: { operator: string | null; apiServer: boolean },
): Partial<Record<CalicoImage, string>> {
  const repository = from === 'source' ? 'bundle.sitewright.internal/calico' : 'quay.io/calico';
  const image = (name: string) => `${repository}/${name}:v${version}`;
  const programs: Partial<Record<CalicoImage, string>> =
    layout === 'one'
      ? { calico: image('calico') }
      : {
          'calico-node': image('node'),
          'calico-cni': image('cni'),
          ...(from === 'source'
            ? {}
            : { 'calico-kube-controllers': image('kube-controllers'), 'calico-typha': image('typha') }),
        };
  if (operator === null) return programs;
  return {
    ...programs,
    ...(apiServer && layout === 'many' ? { 'calico-apiserver': image('apiserver') } : {}),
    'tigera-operator': `quay.io/tigera/operator:v${operator}`,
  };
}
