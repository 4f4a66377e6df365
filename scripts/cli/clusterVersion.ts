import type { SitePlan } from '../../components/plan';
import { etcdProblem, upgradeProblem } from '../../components/plan/versions';
import { toProblems, type SiteSource } from '../../components/spec';
import { day } from './clusterKeys';
import type { Context } from './context';
import { refuseProblems } from './site';
import type { SiteStack } from './stack';

/** Name of the stack's output with the version that the last `up` which ended well has left; null without a cluster. */
export const VERSION_OUTPUT = 'kubernetesVersion';
/** The same of its etcd. */
export const ETCD_OUTPUT = 'etcdVersion';

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
  const { [VERSION_OUTPUT]: runs, [ETCD_OUTPUT]: etcd } = await stack.outputs();
  const message =
    (typeof runs === 'string' ? upgradeProblem(runs, wanted) : null) ??
    (typeof etcd === 'string' ? etcdProblem(etcd, plan.cluster.bundle) : null);
  if (message === null) return;
  throw refuseProblems(
    toProblems([{ severity: 'error', path: ['kubernetes', 'version'], given: wanted, message }], source),
  );
}
