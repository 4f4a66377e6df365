import * as pulumi from '@pulumi/pulumi';
import { manifestResource, objectOptions, type ClusterAccess } from '../addons/cluster';
import type { PolicyPlan } from '../plan/policyTypes';
import type { ManifestObject } from './manifest';

export interface PolicyArgs {
  plan: PolicyPlan;
  access: ClusterAccess;
}

/** The baseline of policies: one resource for each object. */
export class Policy extends pulumi.ComponentResource {
  constructor(name: string, { plan, access }: PolicyArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:network:Policy', name, {}, opts);
    const options = objectOptions(this, access);
    const cluster = plan.objects as ManifestObject[];
    const made = cluster.map((object) => manifestResource(name, object, options));
    for (const { name: namespace, namespace: object, policies } of plan.namespaces) {
      const scope = `${name}-${namespace}`;
      // What is in it is not the kit's: a line that is taken out of a site file must not delete it.
      const keep = { ...options, retainOnDelete: true, dependsOn: made };
      const owner = manifestResource(scope, object as ManifestObject, keep);
      for (const policy of policies as ManifestObject[]) {
        manifestResource(scope, policy, { ...options, dependsOn: [owner] });
      }
    }
    this.registerOutputs({});
  }
}
