import { networkChange, networkState, type NetworkState } from '../../components/plan/networkChange';
import type { SitePlan } from '../../components/plan';
import type { Context } from './context';
import { badInput } from './errors';
import type { SiteStack } from './stack';

/**
 * Says what a change of Calico's network does to pods that run, before anything changes.
 * @throws where it would take from pods that run what they have their network of
 */
export async function tellNetworkChange(
  context: Pick<Context, 'say'>,
  plan: SitePlan,
  stack: Pick<SiteStack, 'outputs'>,
): Promise<void> {
  if ((plan.cluster?.calico ?? null) === null) return;
  const before = (await stack.outputs()) as Partial<NetworkState>;
  // A site whose pods had another network, or none, has no pools.
  if (before.mtu === undefined || before.pools === undefined || before.pools.length === 0) return;
  const { mtu, pools, calico } = before;
  const { disruptive, refused } = networkChange(plan.site, { mtu, pools, calico }, networkState(plan));
  if (refused.length > 0) throw badInput([`${plan.site}: nothing was changed.`, ...refused].join('\n'));
  for (const line of disruptive) context.say(`DISRUPTIVE ${line}`);
}
