import { existsSync, readFileSync } from 'node:fs';
import { Command } from 'commander';
import { INGRESS_KEY } from '../../../components/secrets/ingressKey';
import { checkPassword, givenSecretKey } from '../bgpPasswords';
import { contextOf, printJson, type Context } from '../context';
import { badInput, failed } from '../errors';
import { readIngressKey } from '../ingressKey';
import { askTwice } from '../passphrase';
import { REGISTRY_PASSWORD, registryOf, setRegistryPassword } from '../registryPassword';
import { rotateEncryptionKey } from '../rotateEncryptionKey';
import { rotateSshKey } from '../rotateSshKey';
import { openStack } from '../secrets';
import { openSite } from '../site';
import { readSettings } from '../stack';
import { checkedSession, isSecretOfVsphere, setVsphereSecret } from '../vsphereSecrets';

export function secretsCommand(): Command {
  const rotate = new Command('rotate')
    .description('replace the SSH key of a site, the passphrase of its secrets, or the key of Secrets in etcd')
    .argument('<site>')
    .argument('<what>', 'ssh-key, passphrase or encryption-key')
    .option('--new-passphrase-file <file>', 'file with the new passphrase (default: asked for)')
    .addHelpText(
      'after',
      `
Examples:
  $ sitewright secrets rotate acme-prod ssh-key
  $ sitewright secrets rotate acme-prod encryption-key
  $ sitewright secrets rotate acme-prod passphrase --new-passphrase-file /run/secrets/acme`,
    )
    .action((site: string, what: string, options: { newPassphraseFile?: string }, command: Command) =>
      rotateSecret(contextOf(command), site, what, options.newPassphraseFile),
    );
  const set = new Command('set')
    .description('give a secret that the site file asks for, such as the password of a BGP session or of a registry')
    .argument('<site>')
    .argument(
      '<what>',
      'vsphereUser, vspherePassword, or vsphereSession in place of both; bgpPassword-<name>, by passwordFrom of the peer; registryPassword-<name of the registry>; ingressKey, of ingress.certificate',
    )
    .option('--file <file>', 'file with the secret, on one line unless it is a key (default: asked for)')
    .addHelpText('after', '\nExamples:\n  $ sitewright secrets set acme-prod bgpPassword-tor --file /run/secrets/tor')
    .action((site: string, what: string, options: { file?: string }, command: Command) =>
      setSecret(contextOf(command), site, what, options.file),
    );
  return new Command('secrets').description('set and rotate the secrets of a site').addCommand(set).addCommand(rotate);
}

async function setSecret(context: Context, site: string, what: string, file: string | undefined): Promise<void> {
  const { plan } = openSite(context, site);
  if (what === INGRESS_KEY) {
    const { key, value } = readIngressKey(plan, file);
    const { stack } = await openStack(context, plan);
    await stack.setSecret(key, value);
    return tellSet(context, site, what);
  }
  if (isSecretOfVsphere(plan, what)) {
    const isSession = what === 'vsphereSession';
    const given = await askOrRead(context, site, what, file, isSession ? 2 : 1);
    const value = isSession ? checkedSession(site, given) : given;
    const removed = await setVsphereSecret(await openStack(context, plan), what, value);
    return tellSet(context, site, what, removed);
  }
  const registry = what.startsWith(REGISTRY_PASSWORD) ? what.slice(REGISTRY_PASSWORD.length) : null;
  const key = registry === null ? givenSecretKey(plan, what) : registryOf(plan, registry);
  const value = await askOrRead(context, site, what, file);
  const open = await openStack(context, plan);
  if (registry === null) {
    checkPassword(value);
    await open.stack.setSecret(key, value);
  } else await setRegistryPassword(open, plan, registry, value);
  tellSet(context, site, what);
}

function askOrRead(
  context: Context,
  site: string,
  what: string,
  file: string | undefined,
  mostLines = 1,
): Promise<string> | string {
  if (file !== undefined) return readSecretFile('--file', file, mostLines);
  if (context.terminal && process.stdin.isTTY === true) return askTwice(`${what} of ${site}`);
  throw badInput('without a terminal, give the secret with --file; nothing was changed');
}

/** @param removed what it stands in place of */
function tellSet(context: Context, site: string, what: string, removed: readonly string[] = []): void {
  if (context.json) printJson(context, { site, set: what, ...(removed.length === 0 ? {} : { removed }) });
  else {
    const instead = removed.length === 0 ? '' : ` in place of ${removed.join(' and ')}`;
    context.out(`${what} of ${site} is set${instead}; the next up uses it. Commit stacks/Pulumi.${site}.yaml`);
  }
}

async function rotateSecret(context: Context, site: string, what: string, file: string | undefined): Promise<void> {
  if (what === 'ssh-key') return rotateSshKey(context, site);
  if (what === 'encryption-key') return rotateEncryptionKey(context, site);
  if (what === 'passphrase') return rotatePassphrase(context, site, file);
  throw badInput(`secrets rotate ${site} ${what}: allowed are ssh-key, passphrase and encryption-key`);
}

async function rotatePassphrase(context: Context, site: string, file: string | undefined): Promise<void> {
  const { plan } = openSite(context, site);
  const settings = readSettings(context.stacksDir, site);
  if (settings !== null && !settings.usesPassphrase) {
    throw badInput(`the secrets of ${site} are protected by a key service, not by a passphrase; nothing was changed`);
  }
  const { stack, config } = await openStack(context, plan, { create: false });
  const fresh = file === undefined ? await newPassphrase(context, site) : readSecretFile('--new-passphrase-file', file);
  await stack.changePassphrase(fresh);
  // Said only once it is so: every secret opens with the new one, and with nothing else.
  const reopened = await stack.withPassphrase(fresh).config();
  const lost = Object.keys(config).filter((key) => reopened[key]?.value !== config[key].value);
  if (lost.length > 0) throw failed(`these do not open with the new passphrase: ${lost.join(', ')}`);
  if (context.json) printJson(context, { site, rotated: 'passphrase' });
  else {
    context.out(
      `the passphrase of ${site} is changed. Commit stacks/Pulumi.${site}.yaml, and give everyone the new passphrase.\n` +
        'Older versions of that file still open with the old one.',
    );
  }
}

async function newPassphrase(context: Context, site: string): Promise<string> {
  if (!context.terminal || process.stdin.isTTY !== true) {
    throw badInput('without a terminal, give the new passphrase with --new-passphrase-file; nothing was changed');
  }
  return askTwice(`New passphrase for the secrets of ${site}`);
}

function readSecretFile(option: string, file: string, mostLines = 1): string {
  if (!existsSync(file)) throw badInput(`${option} ${file}: there is no such file; nothing was changed`);
  // As the engine reads PULUMI_CONFIG_PASSPHRASE_FILE: without white space around.
  const fresh = readFileSync(file, 'utf8').trim();
  if (fresh === '' || fresh.split('\n').length > mostLines) {
    throw badInput(
      `${option} ${file}: it must hold ${mostLines === 1 ? 'one line' : `at most ${mostLines} lines`}; nothing was changed`,
    );
  }
  return fresh;
}
