import type { SiteSpec } from '../spec/schema';
import type { Addressing } from './address';
import type { KubeDocument } from './clusterTypes';
import type { Findings } from './findings';
import { parseIp, within, type Network } from './ip';
import { ZONE_LABEL } from './kubeValues';

/** Personal data stays in one zone: its pods run there, and reach nothing outside it. */

/** The zone; null without one. Every network that such a namespace may reach must lie in it. */
export function planResidency(spec: SiteSpec, addressing: Addressing, findings: Findings): string | null {
  const { residency, policy } = spec;
  if (residency === undefined) return null;
  const { zone } = residency;
  const there = spec.machines.nodes.flatMap((node, index) => (node.zone === zone ? [index] : []));
  if (there.length === 0) {
    const zones = [...new Set(spec.machines.nodes.flatMap((node) => node.zone ?? []))];
    findings.error(
      ['residency', 'zone'],
      zone,
      `no machine is in ${zone}: ${zones.length === 0 ? 'none has a zone (machines.nodes[].zone)' : `zones are ${zones.join(', ')}`}`,
    );
  }
  const networks: Network[] = [
    ...residency.networks.map((text) => parseIp(text).network),
    ...there.flatMap((index) => addressing.nodes[index].ips.map(({ network }) => network)),
  ];
  policy.namespaces.forEach(({ name, data, egress }, index) => {
    if (data !== 'personal') return;
    egress.forEach(({ cidr }, rule) => {
      if (networks.some((network) => within(network, parseIp(cidr).network))) return;
      findings.error(
        ['policy', 'namespaces', index, 'egress', rule, 'cidr'],
        cidr,
        `${cidr} is not in the zone ${zone}, which the personal data of ${name} must not leave: in it are ` +
          `${networks.map(({ text }) => text).join(', ') || 'no networks'} (residency.networks, and the subnets of its machines)`,
      );
    });
  });
  return zone;
}

const NAME = 'sitewright-residency';

/**
 * Every pod of such a namespace must ask for the zone itself, so that its manifest says where it runs; kubelet refuses what
 * is put onto a machine of another zone past the scheduler.
 */
export function residencyObjects(zone: string, dataLabel: string): KubeDocument[] {
  const apiVersion = 'admissionregistration.k8s.io/v1';
  const selector = `'${ZONE_LABEL}' in object.spec.nodeSelector && object.spec.nodeSelector['${ZONE_LABEL}'] == '${zone}'`;
  return [
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name: NAME },
      spec: {
        failurePolicy: 'Fail',
        matchConstraints: {
          namespaceSelector: { matchLabels: { [dataLabel]: 'personal' } },
          resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['CREATE'] }],
        },
        validations: [
          {
            expression: `has(object.spec.nodeSelector) && ${selector}`,
            message: `pods of this namespace have personal data, which stays in the zone ${zone}: give them the nodeSelector ${ZONE_LABEL}: ${zone}`,
          },
        ],
      },
    },
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name: NAME },
      spec: { policyName: NAME, validationActions: ['Deny'] },
    },
  ];
}
