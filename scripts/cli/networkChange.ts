import {
  endpointProblems,
  networkChange,
  networkState,
  type NetworkChange,
  type NetworkState,
} from '../../components/plan/networkChange';
import type { SitePlan } from '../../components/plan';
import type { Context } from './context';
import { badInput } from './errors';
import type { SiteStack } from './stack';

/**
 * Says what a change of Calico's network does to pods that run, before anything changes.
 * @throws where it would take from pods that run what they have their network of, or from machines their API
 */
export async function tellNetworkChange(
  context: Pick<Context, 'say'>,
  plan: SitePlan,
  stack: Pick<SiteStack, 'outputs'>,
): Promise<void> {
  if (plan.cluster === null) return;
  const before = (await stack.outputs()) as Partial<NetworkState>;
  const after = networkState(plan);
  const { disruptive, refused } = ofCalico(plan, before, after);
  const problems = [...endpointProblems(before, after), ...refused];
  if (problems.length > 0) throw badInput([`${plan.site}: nothing was changed.`, ...problems].join('\n'));
  for (const line of disruptive) context.say(`DISRUPTIVE ${line}`);
}

function ofCalico(plan: SitePlan, { mtu, pools, calico }: Partial<NetworkState>, after: NetworkState): NetworkChange {
  // A site whose pods had another network, or none, has no pools.
  if (plan.cluster?.calico === null || mtu === undefined || pools === undefined || pools.length === 0) {
    return { disruptive: [], refused: [] };
  }
  return networkChange(plan.site, { mtu, pools, calico }, after);
}
