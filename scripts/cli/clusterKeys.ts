import type { SitePlan } from '../../components/plan';
import {
  adminIsDue,
  authoritiesAreDue,
  expiryOf,
  parsePki,
  renewAdmin,
  type ClusterPki,
} from '../../components/secrets/pki';
import { badInput } from './errors';
import type { OpenStack } from './secrets';
import type { ConfigValues, SiteStack } from './stack';

/** Key of the stack's configuration: the keys and certificates of the cluster, as JSON. stacks/program.ts reads it. */
export const CLUSTER_PKI = 'sitewright:clusterPki';

type ClusterSite = Pick<SitePlan, 'site' | 'cluster'>;

/** The keys of a site's cluster. Refuses a site without a cluster or without keys, and keys that cannot be used. */
export function clusterPkiOf(config: ConfigValues, { site, cluster }: ClusterSite): ClusterPki {
  if (cluster === null) throw badInput(`${site} has no cluster: its site file names no kubernetes.version`);
  const entry = config[CLUSTER_PKI];
  if (entry === undefined) {
    throw badInput(`${site} has no keys of its cluster yet (${CLUSTER_PKI}): sitewright new ${site} makes them`);
  }
  try {
    return parsePki(entry.value);
  } catch (error) {
    throw badInput(
      `${(error as Error).message}\nBring stacks/Pulumi.${site}.yaml back as it was: ${CLUSTER_PKI} is not edited by hand`,
    );
  }
}

/**
 * Before the engine runs on a cluster: refuses authorities that have expired, because nothing could join or be renewed.
 * Returns the keys; null for a site without a cluster.
 */
export function checkedClusterPki(config: ConfigValues, plan: ClusterSite, now: Date): ClusterPki | null {
  if (plan.cluster === null) return null;
  const pki = clusterPkiOf(config, plan);
  const expired = (['ca', 'etcdCa', 'frontProxyCa'] as const).filter((name) => expiryOf(pki[name].certificate) <= now);
  if (expired.length === 0) return pki;
  throw badInput(
    [
      ...expired.map(
        (name) => `the authority ${name} of ${plan.site} expired on ${day(expiryOf(pki[name].certificate))}`,
      ),
      `Nothing was changed. The clock of this machine may be wrong; if it is right: sitewright certs ${plan.site} --renew-authorities, then sitewright up ${plan.site}`,
    ].join('\n'),
  );
}

/**
 * Makes the kit's own certificate anew when it is due, so that a site that is kept up never finds it expired. The one it
 * follows stays valid to its end: settings that are lost cost nothing. Returns whether it did.
 */
export async function renewAdminWhenDue(open: OpenStack, pki: ClusterPki, now: Date): Promise<boolean> {
  if (!adminIsDue(pki, now)) return false;
  await storePki(open, await renewAdmin(pki, now));
  return true;
}

/** What is to be done about authorities that end within a year; null: nothing. */
export function dueAuthorities(pki: ClusterPki, site: string, now: Date): string | null {
  if (!authoritiesAreDue(pki, now)) return null;
  return `the authorities of ${site} end on ${day(expiryOf(pki.ca.certificate))}, and nothing that they sign outlives them: sitewright certs ${site} --renew-authorities`;
}

/** Keeps changed keys beside the site file and in what is open. */
export async function storePki({ stack, config, secrets }: OpenStack, pki: ClusterPki): Promise<void> {
  const value = JSON.stringify(pki);
  await stack.setSecret(CLUSTER_PKI, value);
  config[CLUSTER_PKI] = { value, secret: true };
  secrets.push(value, ...pkiSecrets(config));
}

/** What must not be shown of the keys: the JSON escapes line ends, and a kubeconfig has them in base64. */
export function pkiSecrets(config: ConfigValues): string[] {
  const text = config[CLUSTER_PKI]?.value;
  if (text === undefined) return [];
  let pki: ClusterPki;
  try {
    pki = parsePki(text);
  } catch {
    // Who uses them is told; here the whole text is blanked out already.
    return [];
  }
  const keys = [pki.ca, pki.etcdCa, pki.frontProxyCa, pki.serviceAccount, pki.admin].map(
    ({ privateKey }) => privateKey,
  );
  return [
    ...keys,
    ...keys.map((key) => Buffer.from(key).toString('base64')),
    ...pki.encryptionKeys.map(({ secret }) => secret),
  ];
}

/** New keys for a cluster that exists would be trusted by none of its machines. */
export async function refuseBuiltCluster(stack: SiteStack, { site }: ClusterSite): Promise<void> {
  const { deployment } = JSON.parse(await stack.exportState()) as { deployment?: { resources?: { type: string }[] } };
  const built = (deployment?.resources ?? []).some(({ type }) => type.startsWith(CLUSTER_TYPE));
  if (!built) return;
  throw badInput(
    `the cluster of ${site} is built, but its keys (${CLUSTER_PKI}) are missing: bring stacks/Pulumi.${site}.yaml back ` +
      'from version control. New ones would be trusted by none of its machines. Nothing was changed',
  );
}

/** Every component of the cluster; a state has one from the first time that the program ran with these keys. */
const CLUSTER_TYPE = 'sitewright:cluster:';

/** `2026-03-01`, in UTC. */
export const day = (date: Date): string => date.toISOString().slice(0, 10);
