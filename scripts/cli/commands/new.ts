import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { publicKeyOf } from '../../../components/secrets/hostKey';
import type { SitePlan } from '../../../components/plan';
import { listProfiles } from '../../../components/spec';
import { contextOf, printJson, shownPath, type Context } from '../context';
import { badInput } from '../errors';
import { siteFile, type Scaffold } from '../scaffold';
import { ensureSecrets, hasSecrets, lacksClusterKeys, SSH_PRIVATE_KEY } from '../secrets';
import { checkSiteName, openSite } from '../site';
import { readSettings } from '../stack';

interface NewOptions {
  provider?: 'kvm' | 'existing' | 'vsphere';
  profile?: string;
  secretsProvider: string;
}

const ENVIRONMENTS = ['lab', 'staging', 'production'] as const;

export function newCommand(): Command {
  return new Command('new')
    .description('write a commented site file and make the secrets of the site, encrypted')
    .argument('<site>', 'name of the site: lower-case letters, digits and dashes')
    .addOption(new Option('--provider <provider>', 'who makes the machines').choices(['kvm', 'existing', 'vsphere']))
    .option('--profile <profile>', 'profile to start from: lab, staging, production or one of your own')
    .option(
      '--secrets-provider <provider>',
      'what encrypts the secrets: passphrase, or any that Pulumi knows',
      'passphrase',
    )
    .addHelpText(
      'after',
      `
The passphrase comes from PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE, else it is asked for.
A site that exists is never changed; one that lacks its secrets gets them.

Examples:
  $ sitewright new acme-prod --provider kvm --profile production
  $ sitewright new acme-prod --provider existing --profile staging --secrets-provider 'awskms://alias/acme'`,
    )
    .action(async (site: string, options: NewOptions, command: Command) => newSite(contextOf(command), site, options));
}

async function newSite(context: Context, site: string, options: NewOptions): Promise<void> {
  checkSiteName(site);
  const file = join(context.stacksDir, 'sites', `${site}.yaml`);
  const existed = existsSync(file);
  if (existed && hasSecrets(context, site) && !lacksClusterKeys(context, openSite(context, site).plan)) {
    throw badInput(`${shownPath(file)} exists and has its secrets; nothing was changed`);
  }
  const text = existed ? null : siteFile(scaffoldOf(context, site, options));
  // The file comes first: it names the backend that the secrets' stack goes to.
  if (text !== null) writeFileSync(file, text, { flag: 'wx' });
  const { plan, stack, made } = await makeSecrets(context, site, options.secretsProvider).catch((error: unknown) => {
    // Nothing followed, so nothing stays: the same command can be given again.
    if (text !== null && readSettings(context.stacksDir, site) === null) rmSync(file);
    throw error;
  });
  const publicKey = publicKeyOf((await stack.config())[SSH_PRIVATE_KEY].value);

  const settings = join(context.stacksDir, `Pulumi.${site}.yaml`);
  if (context.json) {
    printJson(context, { site, file, settings, made: [...(existed ? [] : ['site file']), ...made], publicKey });
    return;
  }
  const user = userWithKey(plan);
  context.out(
    [
      existed ? `${shownPath(file)} was there and is kept` : `written: ${shownPath(file)}`,
      `secrets: ${shownPath(settings)} (${made.join(', ')})`,
      '',
      'Next:',
      `  1. Fill in the lines marked CHANGE in ${shownPath(file)}`,
      ...(user === null ? [] : [`     Let the user ${user} accept this key: ${publicKey} sitewright ${site}`]),
      ...(plan.machines.vsphere === null
        ? []
        : [
            `     Give it a user of the vCenter: sitewright secrets set ${site} vsphereUser, and vspherePassword (or vsphereSession)`,
          ]),
      `  2. sitewright validate ${site}, then sitewright plan ${site}`,
      '  3. Commit both files: the secrets are encrypted',
      `  4. sitewright preview ${site}, then sitewright up ${site}`,
    ].join('\n'),
  );
}

/** Who must accept the key of the site beforehand; null for nobody: machines of the kit get it when they are made. */
function userWithKey({ nodes, machines: { provider, kvm } }: SitePlan): string | null {
  if (provider === 'existing') return `${nodes[0].ssh.user} of every machine`;
  for (const { connection } of kvm?.hypervisors ?? []) {
    if (connection !== 'local') return `${connection.user} of every hypervisor`;
  }
  return null;
}

async function makeSecrets(context: Context, site: string, provider: string) {
  const { plan } = openSite(context, site);
  return { plan, ...(await ensureSecrets(context, plan, provider)) };
}

/** Checks what a new file is made of; every problem of the options at once. */
function scaffoldOf(context: Context, site: string, options: NewOptions): Scaffold {
  const profiles = listProfiles(context.stacksDir);
  const { provider, profile } = options;
  const problems: string[] = [];
  if (provider === undefined) problems.push('--provider is missing: kvm, vsphere or existing');
  if (profile === undefined) problems.push(`--profile is missing: ${profiles.join(', ')}`);
  else if (!profiles.includes(profile)) {
    problems.push(`--profile ${profile}: there is no such profile; allowed: ${profiles.join(', ')}`);
  }
  if (problems.length > 0) throw badInput(problems.join('\n'));
  const environment = ENVIRONMENTS.find((known) => known === profile) ?? 'production';
  return {
    site,
    provider: provider!,
    profile: profile!,
    environment,
    kitVersion: context.kitVersion,
  };
}
