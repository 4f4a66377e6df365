/**
 * What other Pulumi programs use of this kit: read a site file, compute its plan, register its resources.
 *
 *     import { version as kitVersion } from 'sitewright/package.json';
 *     const loaded = loadSite({ stacksDir: 'stacks', site: 'oslo', kitVersion });
 *     if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
 *     const { plan, findings } = computePlan(loaded.spec, kitVersion);
 *     if (plan === null) throw new Error(toProblems(findings, loaded.source).map(formatProblem).join('\n'));
 *     const site = new Site(plan.site, { plan, secrets, cluster: null, identity: null });
 *
 * Such a program runs where `require('sitewright/agent')` resolves: the engine starts the agent, which waits for
 * machines and proves the network, from the program's working directory.
 */

/** Reads and validates `<stacksDir>/sites/<site>.yaml` with its profiles; never throws for a mistake in a file. */
export { loadSite, type LoadArgs, type LoadResult, type SiteSpec } from './spec';
/** Problems as text: file:line:column, path, what is wrong, how to fix it. Findings of a plan become problems first. */
export { formatProblem, toProblems, type Problem } from './spec';

/** The plan is pure and JSON-serialisable; null where a finding is an error. `impactOf` tells what a change of a key means. */
export { computePlan, impactOf, renderPlan, type Finding, type ImpactEntry } from './plan';
export type { KvmImagePlan, MtuPlan, NodePlan, ProofPlan, SitePlan } from './plan';

/** The whole site as one component. Its name is the name of the site: every resource below it is called `<name>-…`. */
export { Site, type SiteArgs, type SiteCluster } from './site';
export type { SiteSecrets } from './machines';

/** A site on vSphere also needs its vCenter (`SiteArgs.vsphere`): the provider's package, what the names of the plan stand for, and a user. */
export { loadVsphere, type VsphereAccess, type VsphereIds, type VspherePackage } from './machines';

/** Resolver settings for the pods of a program; the site file's `dns.pods` gives the same to pods that have none. */
export { podDnsConfig, type PodDnsConfig, type PodDnsSettings } from './plan/podDns';

/** Annotations of an Ingress for either controller; the site file's `ingress.tuning` is for those that have none. */
export { ingressAnnotations, type IngressController, type IngressTuning } from './plan/ingressTuning';
