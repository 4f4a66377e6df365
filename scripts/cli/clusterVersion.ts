import type { SitePlan } from '../../components/plan';
import { upgradeProblem } from '../../components/plan/versions';
import { toProblems, type SiteSource } from '../../components/spec';
import { day } from './clusterKeys';
import type { Context } from './context';
import { refuseProblems } from './site';
import type { SiteStack } from './stack';

/** Name of the stack's output with the version that the last `up` which ended well has left; null without a cluster. */
export const VERSION_OUTPUT = 'kubernetesVersion';

/**
 * Refuses a version that the cluster of the state cannot go to, while nothing is changed yet. Nodes that an upgrade has reached
 * which did not end know more than the state: what moves them asks them first, too.
 */
export async function checkClusterVersion(
  context: Pick<Context, 'say'>,
  { plan, source }: { plan: SitePlan; source: SiteSource },
  stack: Pick<SiteStack, 'outputs'>,
  now: Date,
): Promise<void> {
  if (plan.cluster === null) return;
  const { kubernetesVersion: wanted, supportedUntil } = plan.cluster;
  if (day(now) > supportedUntil) {
    context.say(`Kubernetes ${wanted} gets no fixes since ${supportedUntil}: go to a newer minor`);
  }
  const runs = (await stack.outputs())[VERSION_OUTPUT];
  const message = typeof runs === 'string' ? upgradeProblem(runs, wanted) : null;
  if (message === null) return;
  throw refuseProblems(
    toProblems([{ severity: 'error', path: ['kubernetes', 'version'], given: wanted, message }], source),
  );
}
