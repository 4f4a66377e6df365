import * as pulumi from '@pulumi/pulumi';
import { findBundle } from '../components/bundle/find';
import type { Bundle } from '../components/bundle/lock';
import { BundleError } from '../components/bundle/parse';
import { cachedBundles } from '../components/bundle/store';
import type { SitePlan } from '../components/plan';

/**
 * The bundle of a site as it lies on this machine; null where the site has no cluster.
 * @param stacksDir folder of bundles/, with the locks that the team has agreed on
 */
export async function withBundle(
  plan: SitePlan,
  stacksDir: string,
): Promise<(Bundle & { folder: string; isoSha256: string }) | null> {
  if (plan.cluster === null) return null;
  try {
    return await findBundle(cachedBundles(), stacksDir, plan.site, plan.cluster.bundle);
  } catch (error) {
    if (error instanceof BundleError) throw new pulumi.RunError(error.message);
    throw error;
  }
}
