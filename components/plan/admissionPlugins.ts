import * as semver from 'semver';
import type { SiteSpec } from '../spec/schema';
import { byText, type Findings } from './findings';
import type { SpecPath } from './types';

/** Which admission plugins the API server runs beside those that it has by itself, or without. */

/** Of every minor that can be planned (Kubernetes' pkg/kubeapiserver/options/plugins.go). */
const PLUGINS = [
  'AlwaysAdmit',
  'AlwaysDeny',
  'AlwaysPullImages',
  'CertificateApproval',
  'CertificateSigning',
  'CertificateSubjectRestriction',
  'ClusterTrustBundleAttest',
  'DefaultIngressClass',
  'DefaultStorageClass',
  'DefaultTolerationSeconds',
  'DenyServiceExternalIPs',
  'EventRateLimit',
  'ExtendedResourceToleration',
  'ImagePolicyWebhook',
  'LimitPodHardAntiAffinityTopology',
  'LimitRanger',
  'MutatingAdmissionPolicy',
  'MutatingAdmissionWebhook',
  'NamespaceAutoProvision',
  'NamespaceExists',
  'NamespaceLifecycle',
  'NodeDeclaredFeatureValidator',
  'NodeRestriction',
  'OwnerReferencesPermissionEnforcement',
  'PersistentVolumeClaimResize',
  'PodNodeSelector',
  'PodSecurity',
  'PodTolerationRestriction',
  'PodTopologyLabels',
  'Priority',
  'ResourceQuota',
  'RuntimeClass',
  'ServiceAccount',
  'StorageObjectInUseProtection',
  'TaintNodesByCondition',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionWebhook',
];

/** Those that some minors have, with the first one and the first one without: the API server does not start with a name that it does not know. */
const PLUGINS_SINCE: readonly { name: string; since: string; gone?: string }[] = [
  { name: 'JobValidation', since: '1.36.0', gone: '1.37.0' },
  { name: 'PodGroupProtection', since: '1.36.0' },
  { name: 'PodGroupWorkloadExists', since: '1.36.0', gone: '1.37.0' },
  { name: 'PodResizeValidator', since: '1.36.0' },
];

/** Names that the API server of a version knows. */
export const admissionPluginsOf = (version: string): string[] =>
  [
    ...PLUGINS,
    ...PLUGINS_SINCE.filter(
      ({ since, gone }) => semver.gte(version, since) && (gone === undefined || semver.lt(version, gone)),
    ).map(({ name }) => name),
  ].sort(byText);

const NO_CONFIGURATION = 'the API server does not start without a configuration of it, which a site file cannot give';

const NEVER_ENABLED: Partial<Record<string, string>> = {
  AlwaysAdmit: 'it has no meaning beside others, and Kubernetes has deprecated it',
  AlwaysDeny: 'it refuses every object, those of the cluster itself too',
  AlwaysPullImages:
    'every pod then asks a registry for its image, and those of the kit are in the bundle alone; kubelet lets a pod use a private ' +
    'image only with a log-in that could pull it, without this',
  EventRateLimit: NO_CONFIGURATION,
  ImagePolicyWebhook: NO_CONFIGURATION,
};

const GUARDS =
  'whatever guards the cluster by one, the kit or a program that you install, would be passed over in silence';

const NEVER_DISABLED: Partial<Record<string, string>> = {
  CertificateApproval: 'who may approve one certificate could approve those of any signer',
  CertificateSigning: 'who may sign for one signer could sign for any',
  CertificateSubjectRestriction: 'a certificate could make its owner system:masters, whom no RBAC rule holds back',
  ClusterTrustBundleAttest: 'who may write trust bundles could speak for any signer',
  DefaultIngressClass: 'ingress.defaultClass is written into Ingress objects by it',
  MutatingAdmissionPolicy: `dns.pods is such a policy, and ${GUARDS}`,
  MutatingAdmissionWebhook: GUARDS,
  NamespaceLifecycle: 'objects would come into namespaces that are being deleted, and kube-system could be deleted',
  NodeRestriction: 'a node that is taken over could change every other Node and the pods of all of them',
  PodSecurity: 'kubernetes.podSecurity, and the levels of policy.namespaces, are enforced by it',
  Priority: 'the network, DNS and static pods of the cluster would no longer come before others where a node is full',
  ServiceAccount: 'pods would get no token, and CoreDNS, Calico and others could not reach the API',
  TaintNodesByCondition: 'pods would be placed on a new node before its network is ready',
  ValidatingAdmissionPolicy: `residency is such a policy, and ${GUARDS}`,
  ValidatingAdmissionWebhook: GUARDS,
};

/** kubeadm enables it by itself, unless a list of one's own takes the place of its own. */
const OF_KUBEADM = 'NodeRestriction';

export interface AdmissionPlugins {
  /** All that `enable-admission-plugins` names; empty: what kubeadm writes. */
  enable: string[];
  disable: string[];
}

export function planAdmissionPlugins(spec: SiteSpec, version: string, findings: Findings): AdmissionPlugins {
  const { enable, disable } = spec.kubernetes.admissionPlugins;
  const known = admissionPluginsOf(version);
  const check = (list: 'enable' | 'disable', refused: Partial<Record<string, string>>) =>
    spec.kubernetes.admissionPlugins[list].forEach((name, index) => {
      const path: SpecPath = ['kubernetes', 'admissionPlugins', list, index];
      const why = refused[name];
      if (!known.includes(name)) {
        const allowed = known.filter((each) => refused[each] === undefined);
        findings.error(
          path,
          name,
          `${name} is no admission plugin of Kubernetes ${version}: choose from ${allowed.join(', ')}`,
        );
      } else if (why !== undefined) {
        findings.error(path, name, `${name} cannot be ${list}d: ${why}. Leave it out`);
      }
    });
  check('enable', NEVER_ENABLED);
  check('disable', NEVER_DISABLED);
  enable.forEach((name, index) => {
    if (!disable.includes(name)) return;
    findings.error(
      ['kubernetes', 'admissionPlugins', 'enable', index],
      name,
      `${name} is in kubernetes.admissionPlugins.disable too: keep one of the two`,
    );
  });
  const own = [...new Set(enable)].filter((name) => name !== OF_KUBEADM).sort(byText);
  return { enable: own.length === 0 ? [] : [OF_KUBEADM, ...own], disable: [...new Set(disable)].sort(byText) };
}
