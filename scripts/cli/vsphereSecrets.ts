import type { SitePlan } from '../../components/plan';
import { lendSession, type Lending } from '../../components/vcenter/lend';
import {
  credentialsOf,
  howToLend,
  insteadOf,
  parseSession,
  sessionText,
  VSPHERE_SECRETS,
  type Credentials,
  type VsphereSecret,
} from '../../components/vcenter/login';
import { trustOf } from '../../components/vcenter/lookUp';
import { badInput } from './errors';
import type { ConfigValues, SiteStack } from './stack';

/** What lets a site on vSphere in, by what `sitewright secrets set` calls it: user and password, or a session. */
const configKey = (name: VsphereSecret) => `sitewright:${name}`;

export const VSPHERE_SESSION = configKey('vsphereSession');

const isVsphereSecret = (what: string): what is VsphereSecret => VSPHERE_SECRETS.some((name) => name === what);

/** Whether it is a secret of a vCenter, which the site then must have. */
export function isSecretOfVsphere(plan: SitePlan, what: string): what is VsphereSecret {
  if (!isVsphereSecret(what)) return false;
  if (plan.machines.vsphere !== null) return true;
  throw badInput(`${what}: ${plan.site} has no machines on vSphere (machines.provider); nothing was changed`);
}

/**
 * Keeps a secret of a vCenter in the form that the program reads.
 * @returns what it stands in place of, and was removed
 */
export async function setVsphereSecret(
  { stack, config }: { stack: Pick<SiteStack, 'setSecret' | 'removeConfig'>; config: ConfigValues },
  what: VsphereSecret,
  value: string,
): Promise<VsphereSecret[]> {
  await stack.setSecret(configKey(what), value);
  const removed = insteadOf(what).filter((name) => config[configKey(name)] !== undefined);
  for (const name of removed) await stack.removeConfig(configKey(name));
  return removed;
}

/** @throws for what is no session */
export function checkedSession(site: string, text: string): string {
  const session = parseSession(text);
  if (session !== null) return sessionText(session);
  throw badInput(
    `a session is two words: the one of the Web Services API, and the one of the REST API. Nothing was changed. From a shell: ${howToLend(site)}`,
  );
}

/** @throws with what is missing, and how it is given */
export function vsphereCredentials(plan: Pick<SitePlan, 'site' | 'machines'>, config: ConfigValues): Credentials {
  const given = Object.fromEntries(VSPHERE_SECRETS.map((name) => [name, config[configKey(name)]?.value]));
  const found = credentialsOf({ site: plan.site, server: plan.machines.vsphere!.server }, given);
  if (Array.isArray(found)) throw badInput(found.join('\n'));
  return found;
}

/** @throws as `vsphereCredentials` does */
export function checkVsphereSecrets(plan: SitePlan, config: ConfigValues): void {
  if (plan.machines.vsphere !== null) vsphereCredentials(plan, config);
}

/** The session of a site for one operation of the engine; null where the site has none. */
export async function lendVsphereSession(
  plan: Pick<SitePlan, 'site' | 'machines'>,
  config: ConfigValues,
): Promise<Lending | null> {
  const credentials = vsphereCredentials(plan, config);
  return 'session' in credentials ? lendSession(trustOf(plan), credentials.session) : null;
}
