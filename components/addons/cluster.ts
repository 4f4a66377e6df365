import * as k8s from '@pulumi/kubernetes';
import * as pulumi from '@pulumi/pulumi';
import type { ManifestObject } from '../network/manifest';

/** Everything that the kit puts into a cluster is in this namespace, beside what kubeadm puts there. */
export const NAMESPACE = 'kube-system';

/**
 * Images come with the bundle and are imported before kubelet starts. `Never`: an image that is missing is an error that
 * names it (ErrImageNeverPull), where `IfNotPresent` would send the node out to a registry that it is not to reach.
 */
export const IMAGE_PULL_POLICY = 'Never';

/** The way into a cluster for the components that put objects there. */
export interface ClusterAccess {
  provider: k8s.Provider;
  /** Deleted together with the cluster: its objects are then gone too and are not deleted one by one. */
  cluster: pulumi.Resource;
  /** Most time for a change to reach every node, or for a Deployment to be ready. */
  rolloutLimitSeconds: number;
}

export interface ClusterProviderArgs {
  /** Secret; known before the cluster is, because it is made of the secrets of the site. */
  kubeconfig: pulumi.Output<string>;
  /** Identity of the state: one state has one cluster, so nothing but another identity means another cluster. */
  stateId: pulumi.Output<string>;
}

/**
 * The provider of everything in the cluster. It judges whether the API answers when it starts, so it has to come after
 * what makes the cluster: `dependsOn` in `opts`.
 */
export function clusterProvider(
  name: string,
  { kubeconfig, stateId }: ClusterProviderArgs,
  opts: pulumi.ResourceOptions,
): k8s.Provider {
  return new k8s.Provider(
    `${name}-provider`,
    {
      kubeconfig: pulumi.secret(kubeconfig),
      // Without it a renewed certificate in the kubeconfig would look like another cluster, and replace every object.
      clusterIdentifier: stateId,
      // Otherwise a changed ConfigMap is replaced, and with it whatever depends on it.
      enableConfigMapMutable: true,
      enableSecretMutable: true,
      // Objects here are the kit's own. What a run made that was cut off before it was recorded, or that belongs to a
      // state that was lost, is taken over, with the fields that the plugin of that run or somebody by hand has set.
      upsertExistingObjects: true,
      enablePatchForce: true,
    },
    opts,
  );
}

/** Options of one object. Rollouts wait until the pods are ready, within the limit. */
export function objectOptions(
  parent: pulumi.Resource,
  { provider, cluster, rolloutLimitSeconds }: ClusterAccess,
): pulumi.CustomResourceOptions {
  const limit = `${rolloutLimitSeconds}s`;
  return { parent, provider, deletedWith: cluster, customTimeouts: { create: limit, update: limit } };
}

/** One object of any kind. */
export const manifestResource = (
  name: string,
  object: ManifestObject,
  options: pulumi.CustomResourceOptions,
): pulumi.Resource =>
  new k8s.apiextensions.CustomResource(`${name}-${object.kind.toLowerCase()}-${object.metadata.name}`, object, options);
