import type { SitePlan } from '../../components/plan';
import { badInput } from './errors';
import type { ConfigValues } from './stack';

/** Passwords of BGP sessions: secrets of the site, by the names that its file has for them. */

export const BGP_PASSWORD = 'bgpPassword-';
const configKey = (name: string) => `sitewright:${BGP_PASSWORD}${name}`;

/** The kernel takes no longer key for TCP MD5 (TCP_MD5SIG_MAXKEYLEN). */
const MOST_CHARACTERS = 80;

/** Names of the passwords that a plan asks for, with the peers that do. */
function asked(plan: SitePlan): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { name, passwordFrom } of plan.cluster?.calico?.bgp?.peers ?? []) {
    if (passwordFrom !== null) found.set(passwordFrom, [...(found.get(passwordFrom) ?? []), name]);
  }
  return found;
}

/** @throws with every password that is missing, and how it is given */
export function checkBgpPasswords(plan: SitePlan, config: ConfigValues): void {
  const missing = [...asked(plan)].filter(([name]) => config[configKey(name)] === undefined);
  if (missing.length === 0) return;
  throw badInput(
    missing
      .map(
        ([name, peers]) =>
          `${plan.site} lacks the password ${name} of its BGP peer ${peers.join(', ')}: ` +
          `sitewright secrets set ${plan.site} ${BGP_PASSWORD}${name}`,
      )
      .join('\n'),
  );
}

/** The configuration key of a secret that a person gives, by what the command line calls it. */
export function givenSecretKey(plan: SitePlan, what: string): string {
  const names = [...asked(plan).keys()];
  const found = names.find((name) => what === `${BGP_PASSWORD}${name}`);
  if (found !== undefined) return configKey(found);
  const allowed = names.map((name) => `${BGP_PASSWORD}${name}`).join(', ');
  throw badInput(
    `${what}: ${allowed === '' ? `the site file of ${plan.site} asks for no secret (passwordFrom)` : `allowed: ${allowed}`}`,
  );
}

/** @throws where no router would take it; the message never has it */
export function checkPassword(value: string): void {
  if (value === '' || /\s/.test(value) || value.length > MOST_CHARACTERS) {
    throw badInput(`a password of BGP has 1 to ${MOST_CHARACTERS} characters and no white space; nothing was changed`);
  }
}
