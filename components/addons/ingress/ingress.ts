import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as k8s from '@pulumi/kubernetes';
import * as pulumi from '@pulumi/pulumi';
import { inStages, parseManifest, type ManifestObject } from '../../network/manifest';
import type { BundleComponent, BundlePlan } from '../../plan/clusterTypes';
import { CERTIFICATE_SECRET } from '../../plan/ingress';
import type { IngressPlan } from '../../plan/ingressTypes';
import { manifestResource, objectOptions, type ClusterAccess } from '../cluster';
import { editIngress } from './manifest';

export interface IngressArgs {
  plan: IngressPlan;
  bundle: Pick<BundlePlan, 'images' | 'manifests'>;
  /** Folder of the bundle on the machine of the engine, its files held against its lock; null: its objects are left out. */
  bundleFolder: string | null;
  access: ClusterAccess;
  /** Private key of the planned certificate, in PEM; null exactly where there is none. Secret. */
  key: pulumi.Input<string> | null;
  /** The controller asks the API server by its Service, so kube-proxy comes first. */
  after: pulumi.Resource[];
}

const INGRESS_COMPONENTS: readonly BundleComponent[] = ['nginx-ingress', 'ingress-nginx'];

/** The ingress controller: one resource for each object, in order: kinds, what its pods read, its pods, their Service. */
export class Ingress extends pulumi.ComponentResource {
  constructor(name: string, args: IngressArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:addons:Ingress', name, {}, opts);
    const { plan, access, after } = args;
    const options = objectOptions(this, access);
    const register = (objects: ManifestObject[], dependsOn: pulumi.Resource[]) =>
      objects.map((object) => manifestResource(name, object, { ...options, dependsOn }));

    const { bundle, bundleFolder } = args;
    const released =
      bundleFolder === null ? [] : editIngress(releasedObjects(bundle, bundleFolder), plan, bundle.images);
    const { kinds, basis, workloads } = inStages(released);
    const madeKinds = register(kinds, []);
    const madeBasis = register([...basis, ...(plan.objects as ManifestObject[])], madeKinds);
    const certificate = certificateSecret(name, args, { ...options, dependsOn: madeKinds });
    const pods = register(workloads, [...madeBasis, ...certificate, ...after]);
    register(plan.lateObjects as ManifestObject[], pods);
    this.registerOutputs({});
  }
}

/** Before the pods: F5's do not start without the Secret that they are told of. */
function certificateSecret(
  name: string,
  { plan: { certificate, namespace }, key }: IngressArgs,
  options: pulumi.CustomResourceOptions,
): pulumi.Resource[] {
  if (certificate === null || key === null) return [];
  return [
    new k8s.core.v1.Secret(
      `${name}-certificate`,
      {
        metadata: { name: CERTIFICATE_SECRET, namespace },
        type: 'kubernetes.io/tls',
        stringData: { 'tls.crt': certificate, 'tls.key': pulumi.secret(key) },
      },
      options,
    ),
  ];
}

/** The objects of the controller's release, in a bundle on this machine. */
export function releasedObjects(bundle: Pick<BundlePlan, 'manifests'>, bundleFolder: string): ManifestObject[] {
  return bundle.manifests
    .filter(({ component }) => INGRESS_COMPONENTS.includes(component))
    .flatMap(({ name }) => parseManifest(name, readFileSync(join(bundleFolder, 'manifests', name), 'utf8')));
}
