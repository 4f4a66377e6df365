import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as k8s from '@pulumi/kubernetes';
import * as pulumi from '@pulumi/pulumi';
import { manifestResource, objectOptions, type ClusterAccess } from '../../addons/cluster';
import { BGP_SECRET } from '../../plan/calicoBgp';
import { CALICO_NAMESPACE } from '../../plan/calico';
import type { CalicoPlan } from '../../plan/calicoTypes';
import type { BundlePlan } from '../../plan/clusterTypes';
import { inStages, parseManifest, type ManifestObject } from '../manifest';
import { editManifest } from './manifest';

export interface CalicoArgs {
  plan: CalicoPlan;
  bundle: Pick<BundlePlan, 'images' | 'manifests'>;
  /** Folder of the bundle on the machine of the engine; its files were held against its lock. Null: it is not here. */
  bundleFolder: string | null;
  access: ClusterAccess;
  /** Passwords of BGP sessions, by the name that the plan has for them. Secret. */
  bgpPasswords: Record<string, pulumi.Input<string>>;
  /** Multiplies the periods of probes. Default 1. */
  limitFactor?: number;
}

/**
 * Calico: one resource for each object, so that a preview names what changes and what somebody took away comes back.
 * In order: kinds before objects of them, what calico-node reads before calico-node.
 */
export class Calico extends pulumi.ComponentResource {
  constructor(name: string, args: CalicoArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:network:Calico', name, {}, opts);
    const { plan } = args;
    const options = objectOptions(this, args.access);
    const register = (objects: ManifestObject[], after: pulumi.Resource[]) =>
      objects.map((object) => customResource(name, object, { ...options, dependsOn: after }));

    const { kinds, basis, workloads } = inStages(releaseObjects(args));
    const madeKinds = register(kinds, []);
    const madeBasis = register(basis, madeKinds);
    const own = inStages(plan.objects as ManifestObject[]);
    const places = [...madeBasis, ...register(own.kinds, madeKinds)];
    const objects = register(own.basis, places);
    const passwords = passwordSecret(name, args, { ...options, dependsOn: places });
    const made = register(workloads, [...objects, ...passwords]);
    register(plan.operator as ManifestObject[], made);
    this.registerOutputs({});
  }
}

export interface CalicoLateArgs {
  plan: CalicoPlan;
  access: ClusterAccess;
}

/** What must wait until calico-node is ready on every node, as it is once all have joined. */
export class CalicoLate extends pulumi.ComponentResource {
  constructor(name: string, { plan, access }: CalicoLateArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:network:CalicoLate', name, {}, opts);
    const options = objectOptions(this, access);
    for (const object of plan.lateObjects as ManifestObject[]) customResource(name, object, options);
    this.registerOutputs({});
  }
}

/** Every object of the release as it is applied; none without the bundle. Throws where a manifest is not what the plan was made for. */
export function releaseObjects({
  plan,
  bundle,
  bundleFolder,
  limitFactor = 1,
}: Pick<CalicoArgs, 'plan' | 'bundle' | 'bundleFolder' | 'limitFactor'>): ManifestObject[] {
  if (bundleFolder === null) return [];
  const read = (file: string) => parseManifest(file, readFileSync(join(bundleFolder, 'manifests', file), 'utf8'));
  const own = bundle.manifests.filter(({ component }) => component === 'calico');
  if (plan.manifest === null) return own.flatMap(({ name }) => read(name));
  return editManifest(read(plan.manifest.file), { edits: plan.manifest, images: bundle.images, limitFactor });
}

function customResource(name: string, object: ManifestObject, options: pulumi.CustomResourceOptions): pulumi.Resource {
  const { kind, metadata } = object;
  // Typha wants more nodes than the first, kube-controllers a Service, the operator both: all of it comes later.
  const notAwaited = kind === 'Deployment' ? { annotations: { 'pulumi.com/skipAwait': 'true' } } : {};
  return manifestResource(name, { ...object, metadata: { ...metadata, ...notAwaited } }, options);
}

function passwordSecret(
  name: string,
  { plan, bgpPasswords }: CalicoArgs,
  options: pulumi.CustomResourceOptions,
): pulumi.Resource[] {
  const names = [...new Set((plan.bgp?.peers ?? []).flatMap(({ passwordFrom }) => passwordFrom ?? []))];
  if (names.length === 0) return [];
  return [
    new k8s.core.v1.Secret(
      `${name}-bgp-passwords`,
      {
        metadata: { name: BGP_SECRET, namespace: CALICO_NAMESPACE[plan.install] },
        stringData: Object.fromEntries(names.map((key) => [key, pulumi.secret(bgpPasswords[key]!)])),
      },
      options,
    ),
  ];
}
