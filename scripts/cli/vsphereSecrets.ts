import type { SitePlan } from '../../components/plan';
import { badInput } from './errors';
import type { ConfigValues } from './stack';

/** User and password of the vCenter of a site, by what `sitewright secrets set` calls them. */
const NAMES = ['vsphereUser', 'vspherePassword'] as const;
const configKey = (name: string) => `sitewright:${name}`;

/** The configuration key of a secret of a vCenter; null for any other secret. */
export function vsphereSecretKey(plan: SitePlan, what: string): string | null {
  if (!NAMES.some((name) => name === what)) return null;
  if (plan.machines.vsphere !== null) return configKey(what);
  throw badInput(`${what}: ${plan.site} has no machines on vSphere (machines.provider); nothing was changed`);
}

/** Of a site that has them. */
export const vsphereCredentials = (config: ConfigValues) => ({
  user: config[configKey('vsphereUser')]?.value ?? '',
  password: config[configKey('vspherePassword')]?.value ?? '',
});

/** @throws with what is missing, and how it is given */
export function checkVsphereSecrets(plan: SitePlan, config: ConfigValues): void {
  if (plan.machines.vsphere === null) return;
  const missing = NAMES.filter((name) => config[configKey(name)] === undefined);
  if (missing.length === 0) return;
  throw badInput(
    missing
      .map(
        (name) =>
          `${plan.site} lacks ${name} for ${plan.machines.vsphere!.server}: sitewright secrets set ${plan.site} ${name}`,
      )
      .join('\n'),
  );
}
