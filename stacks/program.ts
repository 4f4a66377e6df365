import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as pulumi from '@pulumi/pulumi';
import { computePlan, type SitePlan } from '../components/plan';
import { networkState } from '../components/plan/networkChange';
import { Site, type SiteCluster } from '../components/site';
import { formatProblem, loadSite, toProblems } from '../components/spec';
import { INGRESS_KEY } from '../components/secrets/ingressKey';
import { parsePki } from '../components/secrets/pki';
import {
  parseRegistryPasswords,
  passwordMissing,
  withoutPassword,
  type RegistryPasswords,
} from '../components/secrets/registries';
import { withBundle } from './bundle';
import { BGP_PASSWORD } from '../scripts/cli/bgpPasswords';
import { expandBackend } from '../scripts/cli/backend';
import { ETCD_OUTPUT, VERSION_OUTPUT } from '../scripts/cli/clusterVersion';
import { withLab } from './lab';
import { withVsphere } from './vsphere';

/** The folder of the kit: two levels above bin/stacks. */
const KIT = resolve(__dirname, '../..');

/** An error whose message is meant for the person who wrote the site file; it needs no stack trace. */
class SiteFileError extends pulumi.RunError {}

/**
 * The program of every site: read, validate, plan, register. The name of the stack is the name of the site.
 * `sitewright` runs it through the Automation API, `pulumi up` through its language host; both give the same resources.
 *
 * Environment: SITEWRIGHT_STACKS_DIR, the folder of sites/ and profiles/ (default: stacks/ of the kit).
 * Configuration: `sshPrivateKey`, `hostKeySeed` and, for a cluster, `clusterPki`, `registryPasswords`, `ingressKey` and
 * `bgpPassword-<name>`, for machines on vSphere `vsphereUser` and `vspherePassword` (secrets), `identity` (set by `sitewright adopt`).
 */
export const program = () =>
  siteProgram({
    stacksDir: process.env.SITEWRIGHT_STACKS_DIR ?? join(KIT, 'stacks'),
    kitVersion: (JSON.parse(readFileSync(join(KIT, 'package.json'), 'utf8')) as { version: string }).version,
    backendUrl: process.env.PULUMI_BACKEND_URL,
    withLab,
    withBundle,
    withVsphere,
  });

/** What is around a site while its program runs. */
export interface Surroundings {
  /** Folder of sites/, profiles/ and bundles/. */
  stacksDir: string;
  kitVersion: string;
  /** Where the engine keeps the state; undefined: nothing is said about it. */
  backendUrl: string | undefined;
  withLab: typeof withLab;
  withBundle(plan: SitePlan, stacksDir: string): Promise<SiteCluster['bundle'] | null>;
  withVsphere: typeof withVsphere;
}

/** The same with surroundings that are given: a site is rendered by what its files say, wherever that is done. */
export async function siteProgram(around: Surroundings): Promise<Record<string, unknown>> {
  const { stacksDir, kitVersion, backendUrl } = around;
  const loaded = loadSite({ stacksDir, site: pulumi.getStack(), kitVersion });
  if (!loaded.ok) throw new SiteFileError(loaded.problems.map(formatProblem).join('\n'));

  const { plan, findings } = computePlan(loaded.spec, kitVersion);
  if (plan === null) throw new SiteFileError(toProblems(findings, loaded.source).map(formatProblem).join('\n'));
  if (backendUrl !== undefined && backendUrl !== plan.backendUrl && backendUrl !== expandBackend(plan.backendUrl)) {
    throw new SiteFileError(
      `The state of ${plan.site} is in ${plan.backendUrl}, but PULUMI_BACKEND_URL names another place. ` +
        `Unset it, or use: PULUMI_BACKEND_URL='${plan.backendUrl}'`,
    );
  }

  const { plan: built, limitFactor } = await around.withLab(plan);
  const bundle = await around.withBundle(built, stacksDir);
  const config = new pulumi.Config('sitewright');
  const vsphere = await around.withVsphere(built, config);
  const passwordNames = built.cluster?.calico?.bgp?.peers.flatMap(({ passwordFrom }) => passwordFrom ?? []) ?? [];
  const bgpPasswords = Object.fromEntries(
    passwordNames.map((name) => [name, config.requireSecret(`${BGP_PASSWORD}${name}`)]),
  );
  const site = new Site(plan.site, {
    plan: built,
    secrets: {
      sshPrivateKey: config.requireSecret('sshPrivateKey'),
      hostKeySeed: config.requireSecret('hostKeySeed'),
    },
    cluster:
      bundle === null
        ? null
        : {
            bundle,
            pki: config.requireSecret('clusterPki').apply(parsePki),
            bgpPasswords,
            registryPasswords: registryPasswords(config, plan),
            ingressKey:
              (built.cluster?.ingress?.certificate ?? null) === null ? null : config.requireSecret(INGRESS_KEY),
          },
    vsphere,
    identity: config.get('identity') ?? null,
    limitFactor,
  });
  return {
    nodes: site.nodes,
    ...networkState(plan),
    proof: site.proof,
    ...(site.clusterProof === null ? {} : { clusterProof: site.clusterProof }),
    [VERSION_OUTPUT]: site.cluster?.version ?? null,
    [ETCD_OUTPUT]: site.cluster?.etcdVersion ?? null,
  };
}

/** Refuses a site that lacks one: the engine ends here before it has changed anything. */
function registryPasswords(config: pulumi.Config, { site, cluster }: SitePlan): pulumi.Output<RegistryPasswords> {
  return pulumi.secret(config.getSecret('registryPasswords') ?? '{}').apply((text) => {
    const passwords = parseRegistryPasswords(text);
    const missing = withoutPassword(cluster!.registries, passwords);
    if (missing.length > 0) throw new SiteFileError(missing.map((name) => passwordMissing(site, name)).join('\n'));
    return passwords;
  });
}
