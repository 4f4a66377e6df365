import type { Difference } from '../../components/drift/types';
import type { SitePlan } from '../../components/plan';
import type { Context } from './context';
import { operate } from './operate';
import { markToRunAgain, type ExportedState } from './repair';
import { MACHINE_ROLE, nameOf } from './resources';
import type { OpenStack } from './secrets';

/**
 * Does again what puts the differences right, and nothing else: the scripts of machines are marked in the state, by which the
 * engine runs them again; objects of the cluster are read back by the engine first, so that it sees what is missing. Until
 * that has ended well, `preview` shows them as changes. Returns the names of what was done.
 */
export async function repairSite(
  context: Context,
  plan: SitePlan,
  open: OpenStack,
  differences: readonly Difference[],
): Promise<string[]> {
  const state = JSON.parse(await open.stack.exportState()) as ExportedState;
  const resources = state.deployment?.resources ?? [];
  const scripts = new Set(differences.flatMap((difference) => scriptsOf(plan.site, difference)));
  const marked = resources.filter(({ urn }) => scripts.has(nameOf(urn)));
  const objects = differences.some(({ where }) => where === plan.site)
    ? resources.filter(({ type, urn }) => type.startsWith('kubernetes:') && !urn.includes('pulumi:providers'))
    : [];
  const targets = [...marked, ...objects].map(({ urn }) => urn);
  if (targets.length === 0) return [];
  if (marked.length > 0) {
    markToRunAgain(marked);
    await open.stack.importState(JSON.stringify(state));
  }
  const common = { site: plan.site, nodes: plan.nodes.map(({ name }) => name), secrets: open.secrets };
  const next = ['What is left is marked in the state: preview shows it, and the next up does it.'];
  if (objects.length > 0) {
    const target = objects.map(({ urn }) => urn);
    await operate(context, open.stack, {
      ...{ ...common, verb: 'repair of', next },
      run: (stack, operation) => stack.refresh({ ...operation, target }),
    });
  }
  await operate(context, open.stack, {
    ...{ ...common, verb: 'repair of', next },
    run: (stack, operation) => stack.up({ ...operation, target: targets }),
  });
  return targets.map(nameOf);
}

/** Names of the resources whose scripts write what a difference is about. */
function scriptsOf(site: string, { where, role }: Difference): string[] {
  if (role === null) return [];
  if (role === 'prepare') return [`${site}-${where}-prepare`];
  if (role === 'domain') return [`${site}-machines-${where}-${MACHINE_ROLE}`];
  return [`${site}-cluster-${where}-${role}`];
}
