import { at, type KubeObject } from './objects';
import type { ResourceType } from './token';
import type { Settings } from './configuration';

/** Fields that the API server does not let change, by kind: the ones for which the official plugin makes a new object. */
const byKind: Record<string, string[]> = {
  'apps/DaemonSet': ['spec.selector'],
  'apps/Deployment': ['spec.selector'],
  'apps/StatefulSet': [
    'spec.podManagementPolicy',
    'spec.revisionHistoryLimit',
    'spec.selector',
    'spec.serviceName',
    'spec.volumeClaimTemplates',
  ],
  'batch/Job': ['spec.completions', 'spec.parallelism', 'spec.selector', 'spec.template'],
  'rbac.authorization.k8s.io/ClusterRoleBinding': ['roleRef'],
  'rbac.authorization.k8s.io/RoleBinding': ['roleRef'],
  'storage.k8s.io/StorageClass': ['parameters', 'provisioner', 'reclaimPolicy', 'volumeBindingMode'],
  '/PersistentVolumeClaim': ['spec.accessModes', 'spec.selector', 'spec.storageClassName', 'spec.volumeName'],
  '/ResourceQuota': ['spec.scopes'],
  '/Secret': ['type'],
  '/Service': ['spec.clusterIP'],
};

/** Of a Pod nearly everything is fixed; what can be changed is fewer (documentation of Kubernetes, "Pod update and replacement"). */
const changeableOfPods = /^spec\.((initC|c)ontainers\[\d+\]\.image|activeDeadlineSeconds|tolerations)(?![A-Za-z])/;

/** What a volume lies on cannot be changed. */
const changeableOfVolumes =
  /^spec\.(accessModes|capacity|claimRef|mountOptions|persistentVolumeReclaimPolicy|storageClassName|volumeMode|nodeAffinity|volumeAttributesClassName)(?![A-Za-z])/;

const identity = ['apiVersion', 'kind', 'metadata.name', 'metadata.namespace'];

/** Whether a change at this path of the inputs needs a new object. */
export function needsNewObject(type: ResourceType, path: string, inputs: KubeObject, settings: Settings): boolean {
  // Another version of the same kind is the same object seen differently, so apiVersion alone never replaces.
  if (within(path, identity.slice(1))) return true;
  if (type.isPatch) return false;
  const kind = `${type.group}/${type.kind}`;
  if (within(path, byKind[kind] ?? [])) return true;
  switch (kind) {
    case '/ConfigMap':
      return isFixedData(path, ['data', 'binaryData'], inputs, settings.enableConfigMapMutable);
    case '/Secret':
      return isFixedData(path, ['data', 'stringData'], inputs, settings.enableSecretMutable);
    case '/Pod':
      return within(path, ['spec']) && !changeableOfPods.test(path);
    case '/PersistentVolume':
      return within(path, ['spec']) && !changeableOfVolumes.test(path);
    default:
      return false;
  }
}

/**
 * Data that is read once, at the start of a program, is made anew under a new name, so that what uses it starts again;
 * the provider's settings turn that off.
 */
function isFixedData(path: string, data: string[], inputs: KubeObject, isMutableEnabled: boolean): boolean {
  const isImmutable = at(inputs, 'immutable') === true;
  // An object can become immutable, but never mutable again.
  if (path === 'immutable') return !isImmutable;
  return within(path, data) && (isImmutable || !isMutableEnabled);
}

/** Whether the path is one of these or below one: `a.b` and `a.b.c` and `a.b[0]` are within `a.b`, `a.bc` is not. */
function within(path: string, roots: string[]): boolean {
  return roots.some((root) => path === root || (path.startsWith(root) && /^[.[]/.test(path.slice(root.length))));
}
