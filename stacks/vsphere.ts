import * as pulumi from '@pulumi/pulumi';
import { loadVsphere, type VsphereAccess, type VspherePackage } from '../components/machines';
import type { SitePlan } from '../components/plan';
import { VcenterError } from '../components/vcenter/errors';
import { lookUp, PlacementError, trustOf } from '../components/vcenter/lookUp';
import { pinCertificate } from '../components/vcenter/pin';

/**
 * The vCenter of a site, with everything that the plan names found in it; null where the site has none. What does not fit is
 * told at once, and the program ends before anything is registered.
 * @param load for tests; the default is the package of the provider
 */
export async function withVsphere(
  plan: SitePlan,
  config: pulumi.Config,
  load: () => VspherePackage = loadVsphere,
): Promise<VsphereAccess | null> {
  if (plan.machines.vsphere === null) return null;
  const provider = load();
  const [user, password] = [config.requireSecret('vsphereUser'), config.requireSecret('vspherePassword')];
  try {
    const { ids, warnings } = await lookUp(plan, { user: await plain(user), password: await plain(password) });
    await pinCertificate(trustOf(plan));
    for (const warning of warnings) await pulumi.log.warn(warning);
    return { provider, ids, user, password };
  } catch (error) {
    if (error instanceof VcenterError || error instanceof PlacementError) {
      throw new pulumi.RunError(`${error.message}\nNothing was changed.`);
    }
    throw error;
  }
}

/** Known at once: it comes from the configuration. */
const plain = (secret: pulumi.Output<string>) => new Promise<string>((resolve) => secret.apply(resolve));
