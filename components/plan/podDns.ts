import * as semver from 'semver';
import type { SiteSpec } from '../spec/schema';
import type { PodDnsPlan } from './clusterTypes';
import type { Findings } from './findings';

/** What a pod's resolver reads beyond its name servers: the same for programs and for the admission policy of a site. */

export interface PodDnsSettings {
  /** Names with fewer dots are tried with every search domain first. 0 to 15; Kubernetes' own value is 5. */
  ndots?: number;
  /**
   * glibc asks for A and AAAA from a new port each: two questions from one port can meet in connection tracking, and
   * the one that is lost is asked again after 5 s. Default false.
   */
  singleRequestReopen?: boolean;
  /** Search domains after those of the cluster. At most 29: a pod has 32 and the cluster puts three of its own first. */
  searches?: string[];
}

/** `dnsConfig` of a pod. Values of options are text, as in resolv.conf. */
export interface PodDnsConfig {
  options: { name: string; value?: string }[];
  searches?: string[];
}

/** resolv.conf(5): RES_MAXNDOTS. */
const MAX_NDOTS = 15;
/** Kubernetes allows 32 search domains and 2048 characters; the cluster's own are <namespace>.svc.<domain> and two more. */
const MAX_SEARCHES = 29;
const MAX_SEARCH_CHARACTERS = 2048 - 3 * 253;

/**
 * The `dnsConfig` for a pod of any program, to stand beside `dnsPolicy: ClusterFirst`, which adds the name servers and
 * the search domains of the cluster:
 *
 *     spec: { dnsPolicy: 'ClusterFirst', dnsConfig: podDnsConfig({ ndots: 2 }), containers: [...] }
 *
 * With ndots 2 `service.namespace` is still found through the search domains, and `www.example.com` is asked for once
 * instead of four times. `service.namespace.svc` has two dots: it is asked for as it stands first.
 *
 * musl (Alpine) reads ndots and the search domains, and differs from glibc in two ways. It has no single-request-reopen:
 * it sends A and AAAA from one port always, so there the node-local cache is the cure. And it never tries the search
 * domains after a name with enough dots was not found: with ndots 2, `service.namespace.svc` does not resolve in it.
 * musl speaks TCP, which answers of more than 512 bytes can need, from 1.2.4 on.
 *
 * Throws RangeError with everything that a pod could not have.
 */
export function podDnsConfig(settings: PodDnsSettings): PodDnsConfig {
  const problems = podDnsProblems(settings);
  if (problems.length > 0) throw new RangeError(problems.join('; '));
  const { ndots, singleRequestReopen = false, searches = [] } = settings;
  return {
    options: [
      ...(ndots === undefined ? [] : [{ name: 'ndots', value: `${ndots}` }]),
      ...(singleRequestReopen ? [{ name: 'single-request-reopen' }] : []),
    ],
    ...(searches.length === 0 ? {} : { searches }),
  };
}

function podDnsProblems({ ndots, searches = [] }: PodDnsSettings): string[] {
  const problems: string[] = [];
  if (ndots !== undefined && !(Number.isInteger(ndots) && ndots >= 0 && ndots <= MAX_NDOTS))
    problems.push(`ndots is ${ndots}: a whole number from 0 to ${MAX_NDOTS}`);
  if (searches.length > MAX_SEARCHES)
    problems.push(`${searches.length} search domains: at most ${MAX_SEARCHES} beside those of the cluster`);
  if (searches.join(' ').length > MAX_SEARCH_CHARACTERS)
    problems.push(`the search domains have more than ${MAX_SEARCH_CHARACTERS} characters: use fewer or shorter ones`);
  return problems;
}

/** The policy is of admissionregistration.k8s.io/v1 from this version on. */
const POLICY_VERSION = '1.36.0';

/** What the pods of chosen namespaces get; null where the site asks for nothing, or beside a finding. */
export function planPodDns(spec: SiteSpec, version: string, findings: Findings): PodDnsPlan | null {
  const { pods } = spec.dns;
  if (pods === undefined) return null;
  const path = ['dns', 'pods'];
  if (semver.lt(version, POLICY_VERSION)) {
    findings.error(
      path,
      pods,
      `pods get it by a MutatingAdmissionPolicy (v1), which is there from Kubernetes ${POLICY_VERSION} on, and this is ${version}: ` +
        'take dns.pods out and give pods a dnsConfig of their own (podDnsConfig() makes it in a Pulumi program)',
    );
  }
  const problems = podDnsProblems(pods);
  for (const problem of problems) findings.error(path, pods, problem);
  if (problems.length > 0) return null;
  const config = podDnsConfig(pods);
  if (config.options.length === 0 && config.searches === undefined) {
    findings.error(path, pods, 'it sets nothing: set ndots, singleRequestReopen or searches, or take dns.pods out');
  }
  return { config, namespaceLabels: pods.namespaces };
}
