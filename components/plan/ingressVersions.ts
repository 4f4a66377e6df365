import type { SiteSpec } from '../spec/schema';
import type { BundleManifest, IngressImage } from './clusterTypes';
import type { Findings } from './findings';
import type { IngressController } from './ingressTuning';

/** The release of each ingress controller that the kit was made for. */

interface IngressRelease {
  /** Its image has the same name. */
  component: IngressImage;
  version: string;
  reference: string;
  /** Folder of the project's manifests, by its tag. */
  folder: string;
  /** Files in it, by the name that they have in a bundle, with their SHA-256. */
  manifests: Record<string, { file: string; sha256: string }>;
}

const RELEASES: Record<IngressController, IngressRelease> = {
  nginx: {
    component: 'nginx-ingress',
    version: '5.5.4',
    reference: 'docker.io/nginx/nginx-ingress:5.5.4',
    folder: 'https://raw.githubusercontent.com/nginx/kubernetes-ingress/v5.5.4',
    manifests: {
      'nginx-ingress-class.yaml': {
        file: 'deployments/common/ingress-class.yaml',
        sha256: 'b720fb1fe9b5beac1e347a5bb0859eafa1b2fba492d4698789fe13043a3dfa6e',
      },
      'nginx-ingress-config.yaml': {
        file: 'deployments/common/nginx-config.yaml',
        sha256: 'c232ef3d5bd84abe4d40c9a4b86a3f390ea2ec71434b0028d91d6c5bb28e163e',
      },
      'nginx-ingress-crds.yaml': {
        file: 'deploy/crds.yaml',
        sha256: '9a79a8233162a61fc16820c17c62ec6c33f2c1666b69814f30603ef4e0b93098',
      },
      'nginx-ingress-daemonset.yaml': {
        file: 'deployments/daemon-set/nginx-ingress.yaml',
        sha256: 'fe1bce460c73aa2101c2d954fa6610d73fb8329406a4e0c6812f233df0c80788',
      },
      'nginx-ingress-namespace.yaml': {
        file: 'deployments/common/ns-and-sa.yaml',
        sha256: '699c7e4fa9992baa0d30c979d59ac44f23d87dcaacc32cd5748e81bbc0d70f4f',
      },
      'nginx-ingress-rbac.yaml': {
        file: 'deployments/rbac/rbac.yaml',
        sha256: '1f40827042a0f26f7d79f7fecce70b0a43e80cb38e260650df1c4fdad9605920',
      },
    },
  },
  'ingress-nginx': {
    component: 'ingress-nginx',
    version: '1.15.1',
    reference: 'registry.k8s.io/ingress-nginx/controller:v1.15.1',
    folder: 'https://raw.githubusercontent.com/kubernetes/ingress-nginx/controller-v1.15.1',
    manifests: {
      'ingress-nginx.yaml': {
        file: 'deploy/static/provider/baremetal/deploy.yaml',
        sha256: '16b9b62df45b8ed8f1ecaed0341d583b3360e4b63c41fe00413f6a1fa2f95bec',
      },
    },
  },
};

const ARCHIVED = '2026-03-24';

/** The controller of a site; null: it has none. */
export function controllerOf({ ingress }: SiteSpec): IngressController | null {
  return ingress === undefined || ingress.controller === 'none' ? null : ingress.controller;
}

export interface IngressReleasePlan {
  component: IngressImage;
  version: string;
  /** What it adds to the name of a bundle. */
  bundleName: string;
  images: Partial<Record<IngressImage, string>>;
  manifests: BundleManifest[];
}

/** What the bundle of a site with an ingress controller must hold; null without one, or beside a finding. */
export function planIngressRelease(spec: SiteSpec, findings: Findings): IngressReleasePlan | null {
  const controller = controllerOf(spec);
  if (controller === null) return null;
  const path = ['ingress', 'controller'];
  if (spec.artifacts.from === 'source') {
    findings.error(
      path,
      controller,
      `${controller} cannot be built from package registries: set artifacts.from to upstream, or ingress.controller to none`,
    );
    return null;
  }
  if (controller === 'ingress-nginx') {
    findings.warning(
      path,
      controller,
      `ingress-nginx was archived on ${ARCHIVED} and gets no fixes, for Kubernetes 1.31 to 1.35 at most: go to nginx, whose ` +
        'annotations have other names (ingressAnnotations() writes either; nginx.ingress.kubernetes.io ones have no effect there)',
    );
  }
  const { component, version, reference, folder, manifests } = RELEASES[controller];
  return {
    component,
    version,
    bundleName: `${component}-${version}`,
    images: { [component]: reference },
    manifests: Object.entries(manifests).map(([name, { file, sha256 }]) => ({
      name,
      component,
      url: `${folder}/${file}`,
      sha256,
    })),
  };
}
