import { randomBytes } from 'node:crypto';
import type { SitePlan } from '../../components/plan';
import { generateSshKey } from '../../components/secrets/hostKey';
import { mintPki } from '../../components/secrets/pki';
import { CLUSTER_PKI, pkiSecrets, refuseBuiltCluster } from './clusterKeys';
import type { Context } from './context';
import { badInput, failed } from './errors';
import { findPassphrase } from './passphrase';
import { registrySecrets } from './registries';
import { readSettings, SiteStack, type ConfigValues } from './stack';

/** Keys of the stack's configuration; stacks/program.ts reads them. */
export const SSH_PRIVATE_KEY = 'sitewright:sshPrivateKey';
export const HOST_KEY_SEED = 'sitewright:hostKeySeed';
export const IDENTITY = 'sitewright:identity';

const SECRET_KEYS = [SSH_PRIVATE_KEY, HOST_KEY_SEED];
const HOST_KEY_SEED_BYTES = 32;

type StackPlan = Pick<SitePlan, 'site' | 'environment' | 'backendUrl' | 'cluster' | 'machines'>;

/** Whether the secrets that open the machines of a site are there, encrypted beside the site file. */
export function hasSecrets(context: Context, site: string): boolean {
  const keys = readSettings(context.stacksDir, site)?.keys ?? [];
  return SECRET_KEYS.every((key) => keys.includes(key));
}

/** Whether a site has a cluster and the cluster no keys yet: its file has got a `kubernetes.version` since the other secrets were made. */
export function lacksClusterKeys(context: Context, plan: StackPlan): boolean {
  return plan.cluster !== null && readSettings(context.stacksDir, plan.site)?.keys.includes(CLUSTER_PKI) !== true;
}

/**
 * Makes what is missing of a site's stack and secrets; what is there is kept. Returns the stack and what was made.
 * @param secretsProvider `passphrase`, or any other that Pulumi knows; used only where the stack is new.
 */
export async function ensureSecrets(
  context: Context,
  plan: StackPlan,
  secretsProvider = 'passphrase',
): Promise<{ stack: SiteStack; made: string[] }> {
  const settings = readSettings(context.stacksDir, plan.site);
  const usesPassphrase = settings?.usesPassphrase ?? secretsProvider === 'passphrase';
  const fresh = settings === null;
  const passphrase = usesPassphrase ? await findPassphrase(context, { ...plan, fresh }) : {};
  const stack = await SiteStack.open(context, plan, passphrase);

  const resources = await stack.resourceCount();
  if (resources !== null && resources > 0 && !hasSecrets(context, plan.site)) {
    throw badInput(
      `${plan.site} is built (its state in ${plan.backendUrl} has ${resources} resources), but its secrets are missing: ` +
        `bring stacks/Pulumi.${plan.site}.yaml back from version control. New ones would not open its machines`,
    );
  }
  const mintsPki = lacksClusterKeys(context, plan);
  if (mintsPki && resources !== null) await refuseBuiltCluster(stack, plan);
  const made: string[] = [];
  if (resources === null) {
    await stack.init(secretsProvider);
    made.push('stack');
  }
  const keys = readSettings(context.stacksDir, plan.site)?.keys ?? [];
  if (!keys.includes(SSH_PRIVATE_KEY)) {
    await stack.setSecret(SSH_PRIVATE_KEY, generateSshKey(`sitewright ${plan.site}`).privateKey);
    made.push('SSH user key');
  }
  if (!keys.includes(HOST_KEY_SEED)) {
    await stack.setSecret(HOST_KEY_SEED, randomBytes(HOST_KEY_SEED_BYTES).toString('base64'));
    made.push('host-key seed');
  }
  if (mintsPki) {
    await stack.setSecret(CLUSTER_PKI, JSON.stringify(await mintPki(plan.site, new Date())));
    made.push('keys of the cluster');
  }
  return { stack, made };
}

export interface OpenStack {
  stack: SiteStack;
  config: ConfigValues;
  /** Values that must never be shown. */
  secrets: string[];
}

/**
 * Opens the stack of a site whose secrets exist and decrypts its configuration: a wrong passphrase ends here.
 * @param create false: a site without a state is refused. Default: it gets an empty one.
 */
export async function openStack(context: Context, plan: StackPlan, { create = true } = {}): Promise<OpenStack> {
  const { site, backendUrl } = plan;
  if (!hasSecrets(context, site)) {
    throw badInput(`${site} has no secrets yet (stacks/Pulumi.${site}.yaml): make them with: sitewright new ${site}`);
  }
  const usesPassphrase = readSettings(context.stacksDir, site)?.usesPassphrase === true;
  const passphrase = usesPassphrase ? await findPassphrase(context, { ...plan, fresh: false }) : {};
  const stack = await SiteStack.open(context, plan, passphrase);
  let config = await stack.configIfThere();
  if (config === null) {
    if (!create) {
      throw failed(`${site} is not built: there is no state of it in ${backendUrl}. sitewright up ${site} builds it`);
    }
    // The settings beside the site file are kept, and say what protects the secrets.
    await stack.init('passphrase');
    config = await stack.config();
  }
  const values = Object.values(config)
    .filter((entry) => entry.secret)
    .map((entry) => entry.value);
  return { stack, config, secrets: [...values, ...pkiSecrets(config), ...registrySecrets(config, plan)] };
}
