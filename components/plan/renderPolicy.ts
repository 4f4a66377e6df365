import type { PolicyPlan } from './policyTypes';
import { table } from './renderTable';

/** The baseline of policies in a plan: what each namespace lets in and out. */
export function renderPolicy({ namespaces, residencyZone, objects }: PolicyPlan): string {
  const rows = namespaces.map(({ name, personal, policies }) => [
    name,
    personal ? `personal${residencyZone === null ? '' : `, in ${residencyZone}`}` : 'general',
    policies.map(({ metadata }) => (metadata as { name: string }).name.replace('sitewright-', '')).join(', '),
  ]);
  const every = objects.some(({ kind }) => kind === 'GlobalNetworkPolicy');
  return table(
    ['Namespace', 'Data', 'Policies'],
    [...rows, ...(every ? [['every other', '', 'nothing but dns (Calico), except for the cluster itself']] : [])],
    [30, 24, 64],
  );
}
