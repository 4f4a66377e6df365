/** What a resource's type token says: `kubernetes:<group>/<version>:<Kind>`, the group of the core kinds being `core`. */
export interface ResourceType {
  group: string;
  version: string;
  /** Without the `Patch` of a patch resource. */
  kind: string;
  /** Of a resource that owns some fields of an object which somebody else made. */
  isPatch: boolean;
}

const useObjects = 'register one resource for each object instead, such as apiextensions.CustomResource';

/** Parts of the official plugin that this one stands in for without. */
const refusedModules: Record<string, string> = {
  'helm.sh': `Helm charts and releases are not supported by this plugin: render the chart beforehand and ${useObjects}`,
  yaml: `YAML files and groups are not supported by this plugin: parse the file in the program and ${useObjects}`,
  kustomize: `kustomizations are not supported by this plugin: build them beforehand and ${useObjects}`,
};

const functionModules = ['yaml:decode', 'helm:template', 'kustomize:directory', 'kustomize:buildDirectory'];

/** Functions that the SDK's own components call, and why they are refused. */
export const refusedFunctions: Record<string, string> = Object.fromEntries(
  functionModules.map((name) => {
    const module = name.split(':')[0];
    return [`kubernetes:${name}`, refusedModules[module === 'helm' ? 'helm.sh' : module]];
  }),
);

/** @throws Error with the reason where this is no kind of object or one that this plugin refuses. */
export function parseToken(token: string): ResourceType {
  const [, module = '', name = ''] = token.split(':');
  const parts = module.split('/');
  const [group, version] = parts.length === 2 ? parts : ['core', module];
  const refused = refusedModules[group] ?? refusedModules[module];
  if (refused) throw new Error(`${token}: ${refused}`);
  if (!/^v\d/.test(version) || name === '') {
    throw new Error(`${token} is no kind of object: a token is kubernetes:<group>/<version>:<Kind>`);
  }
  // A custom kind may be called something with List; the built-in ones are only what a list request answers.
  if (name.endsWith('List') && isBuiltInGroup(group === 'core' ? '' : group)) {
    throw new Error(`${token}: a list is no object of its own; register one resource for each of its items`);
  }
  const isPatch = name.endsWith('Patch');
  return {
    group: group === 'core' ? '' : group,
    version,
    kind: isPatch ? name.slice(0, -'Patch'.length) : name,
    isPatch,
  };
}

export function apiVersionOf(type: Pick<ResourceType, 'group' | 'version'>): string {
  return type.group ? `${type.group}/${type.version}` : type.version;
}

/** The groups of Kubernetes itself; others that end with k8s.io are custom resources. */
const builtInGroups = [
  '',
  'admissionregistration.k8s.io',
  'apiextensions.k8s.io',
  'apiregistration.k8s.io',
  'apps',
  'authentication.k8s.io',
  'authorization.k8s.io',
  'autoscaling',
  'batch',
  'certificates.k8s.io',
  'coordination.k8s.io',
  'discovery.k8s.io',
  'events.k8s.io',
  'flowcontrol.apiserver.k8s.io',
  'networking.k8s.io',
  'node.k8s.io',
  'policy',
  'rbac.authorization.k8s.io',
  'resource.k8s.io',
  'scheduling.k8s.io',
  'storage.k8s.io',
];

const clusterScopedKinds = [
  'APIService',
  'CSIDriver',
  'CSINode',
  'CertificateSigningRequest',
  'ClusterRole',
  'ClusterRoleBinding',
  'ClusterTrustBundle',
  'CustomResourceDefinition',
  'DeviceClass',
  'FlowSchema',
  'IPAddress',
  'IngressClass',
  'MutatingAdmissionPolicy',
  'MutatingAdmissionPolicyBinding',
  'MutatingWebhookConfiguration',
  'Namespace',
  'Node',
  'PersistentVolume',
  'PriorityClass',
  'PriorityLevelConfiguration',
  'ResourceSlice',
  'RuntimeClass',
  'ServiceCIDR',
  'StorageClass',
  'StorageVersionMigration',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
  'ValidatingWebhookConfiguration',
  'VolumeAttachment',
  'VolumeAttributesClass',
];

/**
 * Whether objects of a built-in kind lie in namespaces, told without asking anybody: a plan must be possible before there
 * is a cluster. Undefined for custom kinds. The kinds are those of Kubernetes 1.36 (`kubectl api-resources`).
 */
export function isBuiltInNamespaced(type: ResourceType): boolean | undefined {
  return isBuiltInGroup(type.group) ? !clusterScopedKinds.includes(type.kind) : undefined;
}

function isBuiltInGroup(group: string): boolean {
  return builtInGroups.includes(group);
}
