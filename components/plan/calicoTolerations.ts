import type { SiteSpec } from '../spec/schema';
import type { Toleration } from './calicoTypes';
import type { Findings } from './findings';

/** Where Calico's own pods may run that do not run everywhere. */

type TolerationSpec = SiteSpec['network']['calico']['tolerations'][number];
type TaintSpec = SiteSpec['machines']['nodes'][number]['taints'][number];

/** Of the release, beside the taint of the control plane: calico-kube-controllers of the manifest and of the operator. */
const OWN: TolerationSpec = { key: 'CriticalAddonsOnly', operator: 'Exists' };

export function planTolerations(spec: SiteSpec, findings: Findings): Toleration[] {
  const { tolerations } = spec.network.calico;
  const path = ['network', 'calico', 'tolerations'];
  if (spec.artifacts.from === 'source') {
    if (tolerations.length > 0)
      findings.error(path, undefined, 'a bundle from source has no pods of Calico that need them: leave them out');
    return [];
  }
  tolerations.forEach((one, index) => {
    const refuse = (key: keyof TolerationSpec, message: string) =>
      findings.error([...path, index, key], one[key], message);
    if (one.operator === 'Exists' && one.value !== undefined)
      refuse('value', 'Exists takes any value: leave value out, or operator');
    if (one.operator === 'Equal' && one.key === undefined)
      refuse('key', 'without a key every taint is meant: set operator to Exists, or name a key');
  });
  const all = [OWN, ...tolerations];
  const active = spec.machines.nodes.filter(({ state }) => state === 'active');
  const open = active.some(({ taints }) =>
    taints.every((taint) => taint.effect === 'PreferNoSchedule' || all.some((one) => tolerates(one, taint))),
  );
  if (!open) {
    findings.warning(
      path,
      undefined,
      'every machine has a taint that calico-kube-controllers does not tolerate, so it would stay Pending, and nothing gives back the ' +
        'addresses of machines that are gone: tolerate one here',
    );
  }
  return tolerations.map((one): Toleration => ({ ...one }));
}

/** As the scheduler does it (core/v1 ToleratesTaint). */
const tolerates = ({ key, operator, value = '', effect }: TolerationSpec, taint: TaintSpec): boolean =>
  (effect === undefined || effect === taint.effect) &&
  (key === undefined || key === taint.key) &&
  (operator === 'Exists' || value === (taint.value ?? ''));
