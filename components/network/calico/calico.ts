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
  /** What calico-node runs by. Nodes join after these, and not after the component: what waits for them is part of it too. */
  readonly ready: pulumi.Resource[];
  private readonly options: pulumi.CustomResourceOptions;

  constructor(
    private readonly name: string,
    private readonly args: CalicoArgs,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super('sitewright:network:Calico', name, {}, opts);
    const { plan } = args;
    this.options = objectOptions(this, args.access);
    const register = (objects: ManifestObject[], after: pulumi.Resource[]) => this.register(objects, after);

    const { kinds, basis, workloads } = inStages(releaseObjects(args));
    const madeKinds = register(kinds, []);
    const madeBasis = register(basis, madeKinds);
    const own = inStages(plan.objects as ManifestObject[]);
    // Where calico-node of the operator runs. The kit makes it for its passwords; without these it is not the kit's to delete.
    const namespaces = this.register(own.kinds, madeKinds, { retainOnDelete: true });
    const places = [...madeBasis, ...namespaces];
    const objects = register(own.basis, places);
    const passwords = passwordSecret(name, args, { ...this.options, dependsOn: places });
    const made = register(workloads, [...objects, ...passwords]);
    const installed = register(plan.operator as ManifestObject[], made);
    this.ready = [...places, ...madeKinds, ...objects, ...passwords, ...made, ...installed];
    this.registerOutputs({});
  }

  /**
   * What must wait. It is made here under any topology: in another component it would be another resource to the engine,
   * which deletes the object by its name after it has made it anew.
   */
  late(after: pulumi.Resource[]): pulumi.Resource[] {
    return this.register(this.args.plan.lateObjects as ManifestObject[], after);
  }

  private register(objects: ManifestObject[], after: pulumi.Resource[], more: pulumi.CustomResourceOptions = {}) {
    return objects.map((object) => customResource(this.name, object, { ...this.options, dependsOn: after, ...more }));
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
