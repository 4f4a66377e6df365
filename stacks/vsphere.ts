import * as pulumi from '@pulumi/pulumi';
import { loadVsphere, type VsphereAccess, type VspherePackage } from '../components/machines';
import type { SitePlan } from '../components/plan';
import { VcenterError } from '../components/vcenter/errors';
import { lentSession } from '../components/vcenter/lend';
import { credentialsOf } from '../components/vcenter/login';
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
  const { server } = plan.machines.vsphere;
  const credentials = credentialsOf(
    { site: plan.site, server },
    {
      vsphereUser: await plain(config.getSecret('vsphereUser')),
      vspherePassword: await plain(config.getSecret('vspherePassword')),
      vsphereSession: await plain(config.getSecret('vsphereSession')),
    },
  );
  if (Array.isArray(credentials)) throw new pulumi.RunError(`${credentials.join('\n')}\nNothing was changed.`);
  try {
    // Refused here rather than by the plugin, which would try to log nobody in.
    if ('session' in credentials) lentSession(server);
    const { ids, warnings } = await lookUp(plan, credentials);
    await pinCertificate(trustOf(plan));
    for (const warning of warnings) await pulumi.log.warn(warning);
    const [user, password] =
      'session' in credentials ? [null, null] : [pulumi.secret(credentials.user), pulumi.secret(credentials.password)];
    return { provider, ids, user, password };
  } catch (error) {
    if (error instanceof VcenterError || error instanceof PlacementError) {
      throw new pulumi.RunError(`${error.message}\nNothing was changed.`);
    }
    throw error;
  }
}

/** Known at once: it comes from the configuration. */
const plain = async (secret: pulumi.Output<string> | undefined) =>
  secret && new Promise<string>((resolve) => secret.apply(resolve));
