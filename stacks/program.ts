import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import * as pulumi from '@pulumi/pulumi';
import { computePlan, type SitePlan } from '../components/plan';
import { Site } from '../components/site';
import { formatProblem, loadSite, toProblems } from '../components/spec';
import { labConfig } from '../scripts/lab/lab';

/** The folder of the kit: two levels above bin/stacks. */
const KIT = resolve(__dirname, '../..');

/** An error whose message is meant for the person who wrote the site file; it needs no stack trace. */
class SiteFileError extends pulumi.RunError {}

/**
 * The program of every site: read, validate, plan, register. The name of the stack is the name of the site.
 * `sitewright` runs it through the Automation API, `pulumi up` through its language host; both give the same resources.
 *
 * Environment: SITEWRIGHT_STACKS_DIR, the folder of sites/ and profiles/ (default: stacks/ of the kit).
 * Configuration: `sshPrivateKey` and `hostKeySeed` (secrets), `identity` (set by `sitewright adopt`).
 */
export async function program(): Promise<Record<string, unknown>> {
  const stacksDir = process.env.SITEWRIGHT_STACKS_DIR ?? join(KIT, 'stacks');
  const kitVersion = (JSON.parse(readFileSync(join(KIT, 'package.json'), 'utf8')) as { version: string }).version;
  const loaded = loadSite({ stacksDir, site: pulumi.getStack(), kitVersion });
  if (!loaded.ok) throw new SiteFileError(loaded.problems.map(formatProblem).join('\n'));

  const { plan, findings } = computePlan(loaded.spec, kitVersion);
  if (plan === null) throw new SiteFileError(toProblems(findings, loaded.source).map(formatProblem).join('\n'));
  const backendUrl = process.env.PULUMI_BACKEND_URL;
  if (backendUrl !== undefined && backendUrl !== plan.backendUrl && backendUrl !== expandHome(plan.backendUrl)) {
    throw new SiteFileError(
      `The state of ${plan.site} is in ${plan.backendUrl}, but PULUMI_BACKEND_URL names another place. ` +
        `Unset it, or use: PULUMI_BACKEND_URL='${plan.backendUrl}'`,
    );
  }

  const config = new pulumi.Config('sitewright');
  const site = new Site(plan.site, {
    plan: await withLab(plan),
    secrets: {
      sshPrivateKey: config.requireSecret('sshPrivateKey'),
      hostKeySeed: config.requireSecret('hostKeySeed'),
    },
    identity: config.get('identity') ?? null,
    labImage: null,
  });
  return { nodes: site.nodes, mtu: plan.mtu, proof: site.proof };
}

function expandHome(url: string): string {
  return url.replace(/^file:\/\/~/, `file://${homedir()}`);
}

/** Fills in what a lab's site file leaves to this machine: the image that it built, and what boots a guest here. */
async function withLab(plan: SitePlan): Promise<SitePlan> {
  const { kvm } = plan.machines;
  if (kvm?.image !== 'lab') return plan;
  const lab = await labConfig(plan.site);
  if (lab === undefined) {
    throw new SiteFileError(`the lab of ${plan.site} is not up on this machine. Run ./scripts/up ${plan.site}`);
  }
  const { image, kernel, initrd, kernelArgs } = lab.image;
  return {
    ...plan,
    machines: {
      ...plan.machines,
      kvm: {
        ...kvm,
        hypervisors: kvm.hypervisors.map((hypervisor) => ({
          ...hypervisor,
          domainType: hypervisor.domainType === 'auto' ? lab.accelerator.domainType : hypervisor.domainType,
        })),
        image: {
          path: image.path,
          url: null,
          sha256: image.sha256,
          format: 'qcow2',
          kernel: {
            path: kernel.path,
            sha256: kernel.sha256,
            initrd: initrd.path,
            initrdSha256: initrd.sha256,
            arguments: kernelArgs,
          },
        },
      },
    },
  };
}
