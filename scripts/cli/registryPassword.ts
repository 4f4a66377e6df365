import type { SitePlan } from '../../components/plan';
import { badInput } from './errors';
import { REGISTRY_PASSWORDS, registryPasswordsOf } from './registries';
import type { OpenStack } from './secrets';

/** What `sitewright secrets set` calls the password of a registry, before its name. */
export const REGISTRY_PASSWORD = 'registryPassword-';

type ClusterSite = Pick<SitePlan, 'site' | 'cluster'>;

const loginsOf = ({ cluster }: ClusterSite): string[] =>
  (cluster?.registries ?? []).filter(({ username }) => username !== null).map(({ name }) => name);

/** The name again, or bad input where nobody logs in to it. */
export function registryOf(plan: ClusterSite, registry: string): string {
  const logins = loginsOf(plan);
  if (logins.includes(registry)) return registry;
  throw badInput(
    `${plan.site} has no registry ${registry} with a username: ` +
      `${logins.length === 0 ? 'state it under registries in the site file' : `allowed are ${logins.join(', ')}`}; nothing was changed`,
  );
}

/** Keeps one password; those of registries that left the site file leave with them. */
export async function setRegistryPassword(
  { stack, config }: OpenStack,
  plan: ClusterSite,
  registry: string,
  password: string,
): Promise<void> {
  const logins = loginsOf(plan);
  const kept = Object.entries(registryPasswordsOf(config, plan.site)).filter(
    ([name]) => logins.includes(name) && name !== registry,
  );
  await stack.setSecret(REGISTRY_PASSWORDS, JSON.stringify(Object.fromEntries([...kept, [registry, password]].sort())));
}
