import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { Command } from 'commander';
import { parse } from 'yaml';
import { apiServerUrl } from '../../../components/plan/endpoint';
import {
  ADMIN_GROUP,
  CLIENT_DAYS,
  expiryOf,
  issueClientCertificate,
  kubeconfig,
  type Credential,
} from '../../../components/secrets/pki';
import { durationToMilliseconds } from '../../../components/spec/units';
import { labLayout } from '../../lab/layout';
import { clusterPkiOf } from '../clusterKeys';
import { contextOf, printJson, shownPath, type Context } from '../context';
import { badInput } from '../errors';
import { livesInLab } from '../lab';
import { openStack } from '../secrets';
import { openSiteAloud } from '../site';

interface KubeconfigOptions {
  user?: string;
  group?: string[];
  ttl?: string;
  admin?: boolean;
  output?: string;
}

/** A working day: what leaks is of little use tomorrow, and nobody asks twice a day. */
const DEFAULT_TTL = '8h';
const MIN_TTL_SECONDS = 60;

export function kubeconfigCommand(): Command {
  return new Command('kubeconfig')
    .description('print a kubeconfig with a short-lived client certificate')
    .argument('<site>')
    .option('--user <name>', 'name of the user, as audit logs and roles have it (default: who you are on this machine)')
    .option('--group <group...>', `groups of the user (default: ${ADMIN_GROUP})`)
    .option('--ttl <duration>', `how long it is valid, such as 30m or 8h, at most 365 days (default: ${DEFAULT_TTL})`)
    .option('--admin', "the kit's own certificate, valid for up to a year, in place of a new one")
    .option('-o, --output <file>', 'write it there, for its owner alone, in place of printing it')
    .addHelpText(
      'after',
      `
Made from the secrets of the site: the cluster need not answer, nor exist. Who can open these secrets can be anybody
in the cluster, so the default group is the one of its administrators; name others to work with less. A certificate
cannot be called back before its end.

Examples:
  $ sitewright kubeconfig acme-prod --output ~/.kube/acme-prod
  $ sitewright kubeconfig acme-prod --user ann --group dev --group ops --ttl 1h
  $ sitewright kubeconfig acme-prod --admin --output /run/secrets/kubeconfig`,
    )
    .action((site: string, options: KubeconfigOptions, command: Command) =>
      makeKubeconfig(contextOf(command), site, options),
    );
}

async function makeKubeconfig(context: Context, site: string, options: KubeconfigOptions): Promise<void> {
  const ttlSeconds = checkOptions(options);
  const { plan } = openSiteAloud(context, site);
  if (plan.cluster === null) throw badInput(`${site} has no cluster: its site file names no kubernetes.version`);
  if (options.output !== undefined) refuseForeignFile(options.output, site);
  const { config } = await openStack(context, plan);
  const pki = clusterPkiOf(config, plan);

  const user = options.user ?? userInfo().username;
  const groups = options.group ?? [ADMIN_GROUP];
  const request = { commonName: user, organizations: groups, ttlSeconds, now: new Date() };
  const client: Credential = options.admin === true ? pki.admin : await issue(pki, request);
  const server = apiServerUrl(plan.cluster);
  const text = kubeconfig({
    site,
    server,
    caPem: pki.ca.certificate,
    clientCertificate: client.certificate,
    clientKey: client.privateKey,
  });
  const expires = expiryOf(client.certificate).toISOString();
  if (options.output !== undefined) writePrivately(options.output, text);

  const whose = options.admin === true ? { admin: true } : { user, groups };
  if (context.json) {
    const place = options.output === undefined ? { kubeconfig: text } : { file: options.output };
    printJson(context, { site, server, ...whose, expires, ...place });
    return;
  }
  if (options.output === undefined) context.out(text);
  else context.out(`${shownPath(options.output)}: ${server}, valid until ${expires}`);
  if (livesInLab(plan)) {
    context.say(`The lab is reached from inside: ip netns exec ${labLayout(site).namespace} kubectl --kubeconfig …`);
  }
}

/** Checks the options, every problem at once, and returns the time in seconds. */
function checkOptions({ user, group, ttl, admin }: KubeconfigOptions): number {
  const problems: string[] = [];
  if (admin === true && (user !== undefined || group !== undefined || ttl !== undefined)) {
    problems.push('--admin is a certificate that exists: --user, --group and --ttl do not go with it');
  }
  if (user === '') problems.push('--user is empty');
  if (group?.includes('') === true) problems.push('--group is empty');
  let seconds = 0;
  try {
    seconds = durationToMilliseconds(ttl ?? DEFAULT_TTL) / 1000;
    if (seconds < MIN_TTL_SECONDS || seconds > CLIENT_DAYS * 86_400) {
      problems.push(`--ttl ${ttl}: allowed are 1m to ${CLIENT_DAYS * 24}h`);
    }
  } catch (error) {
    problems.push(`--ttl: ${(error as Error).message}`);
  }
  if (problems.length > 0) throw badInput(`${problems.join('\n')}\nNothing was made`);
  return seconds;
}

async function issue(...args: Parameters<typeof issueClientCertificate>): Promise<Credential> {
  try {
    return await issueClientCertificate(...args);
  } catch (error) {
    if (error instanceof RangeError) throw badInput(error.message);
    throw error;
  }
}

/** A file that this command made for the same site is made again; any other is somebody's. */
function refuseForeignFile(file: string, site: string): void {
  if (!existsSync(file)) return;
  let found: { clusters?: { name?: unknown }[] } | null;
  try {
    found = parse(readFileSync(file, 'utf8')) as typeof found;
  } catch {
    found = null;
  }
  const clusters = Array.isArray(found?.clusters) ? found.clusters : [];
  if (clusters.length === 1 && clusters[0].name === site) return;
  throw badInput(`--output ${file}: it exists and is no kubeconfig of ${site} alone; nothing was changed`);
}

/** Whole or not at all, and never readable for others. */
function writePrivately(file: string, text: string): void {
  const fresh = `${file}.${process.pid}`;
  try {
    writeFileSync(fresh, text, { mode: 0o600, flag: 'wx' });
    renameSync(fresh, file);
  } catch (error) {
    throw badInput(`--output ${file}: it cannot be written: ${(error as Error).message}`);
  }
}
