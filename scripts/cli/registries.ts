import type { SitePlan } from '../../components/plan';
import {
  parseRegistryPasswords,
  passwordMissing,
  withoutPassword,
  type RegistryPasswords,
} from '../../components/secrets/registries';
import { badInput } from './errors';
import type { ConfigValues } from './stack';

/** Key of the stack's configuration: the passwords of registries, as JSON. stacks/program.ts reads it. */
export const REGISTRY_PASSWORDS = 'sitewright:registryPasswords';

/** Throws bad input where the secret is damaged. */
export function registryPasswordsOf(config: ConfigValues, site: string): RegistryPasswords {
  try {
    return parseRegistryPasswords(config[REGISTRY_PASSWORDS]?.value);
  } catch (error) {
    throw badInput(
      `${REGISTRY_PASSWORDS} of ${site}: ${(error as Error).message}; bring stacks/Pulumi.${site}.yaml back`,
    );
  }
}

/** Before the engine runs: every registry with a username has its password. */
export function checkRegistryPasswords(
  config: ConfigValues,
  { site, cluster }: Pick<SitePlan, 'site' | 'cluster'>,
): void {
  if (cluster === null) return;
  const missing = withoutPassword(cluster.registries, registryPasswordsOf(config, site));
  if (missing.length > 0) throw badInput(missing.map((name) => passwordMissing(site, name)).join('\n'));
}

/** What must not be shown of the passwords: kubelet has them in base64, after the name of the user. */
export function registrySecrets(config: ConfigValues, { cluster }: Pick<SitePlan, 'cluster'>): string[] {
  let passwords: RegistryPasswords;
  try {
    passwords = parseRegistryPasswords(config[REGISTRY_PASSWORDS]?.value);
  } catch {
    // Who uses them is told; the whole text is blanked out already.
    return [];
  }
  const logins = (cluster?.registries ?? []).flatMap(({ name, username }) =>
    username === null || passwords[name] === undefined
      ? []
      : [Buffer.from(`${username}:${passwords[name]}`).toString('base64')],
  );
  return [...Object.values(passwords), ...logins];
}
