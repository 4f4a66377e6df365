import * as k8s from '@pulumi/kubernetes';
import * as pulumi from '@pulumi/pulumi';
import type { PodDnsPlan } from '../plan/clusterTypes';
import type { PodDnsConfig } from '../plan/podDns';
import { NAMESPACE, objectOptions, type ClusterAccess } from './cluster';

export interface PodDnsArgs {
  plan: PodDnsPlan;
  access: ClusterAccess;
}

const NAME = 'sitewright-pod-dns';

/**
 * Gives new pods of the chosen namespaces a `dnsConfig`, by a policy that the API server itself carries out: there is no
 * webhook that could be away. A pod that states its own `dnsConfig`, or another policy than ClusterFirst, keeps it. Pods
 * that exist are as they are until they are made anew.
 */
export class PodDns extends pulumi.ComponentResource {
  constructor(name: string, { plan, access }: PodDnsArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:addons:PodDns', name, {}, opts);
    const options = objectOptions(this, access);
    const policy = new k8s.admissionregistration.v1.MutatingAdmissionPolicy(
      `${name}-policy`,
      {
        metadata: { name: NAME },
        spec: {
          // A pod without these settings works; a pod that is refused does not.
          failurePolicy: 'Ignore',
          reinvocationPolicy: 'Never',
          matchConstraints: {
            namespaceSelector: {
              matchLabels: plan.namespaceLabels,
              // The pods that make up the cluster.
              matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: [NAMESPACE] }],
            },
            resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['CREATE'] }],
          },
          matchConditions: [
            { name: 'no-dns-config-of-its-own', expression: '!has(object.spec.dnsConfig)' },
            {
              name: 'cluster-first',
              expression: `!has(object.spec.dnsPolicy) || object.spec.dnsPolicy == 'ClusterFirst'`,
            },
            // There ClusterFirst means the resolver of the node.
            { name: 'network-of-its-own', expression: '!has(object.spec.hostNetwork) || !object.spec.hostNetwork' },
          ],
          // An apply configuration cannot set these lists: they are atomic.
          mutations: [{ patchType: 'JSONPatch', jsonPatch: { expression: patchExpression(plan.config) } }],
        },
      },
      options,
    );
    new k8s.admissionregistration.v1.MutatingAdmissionPolicyBinding(
      `${name}-binding`,
      { metadata: { name: NAME }, spec: { policyName: policy.metadata.name } },
      options,
    );
    this.registerOutputs({});
  }
}

/** CEL that adds `config` to a pod without one. JSON strings are strings of CEL too. */
export function patchExpression({ options, searches }: PodDnsConfig): string {
  const text = (value: string) => JSON.stringify(value);
  const optionTexts = options.map(
    ({ name, value }) =>
      `Object.spec.dnsConfig.options{name: ${text(name)}${value === undefined ? '' : `, value: ${text(value)}`}}`,
  );
  const fields = [
    ...(options.length === 0 ? [] : [`options: [${optionTexts.join(', ')}]`]),
    ...(searches === undefined ? [] : [`searches: [${searches.map(text).join(', ')}]`]),
  ];
  const value = `Object.spec.dnsConfig{${fields.join(', ')}}`;
  return `[JSONPatch{op: "add", path: "/spec/dnsConfig", value: ${value}}]`;
}
