import type { SiteSpec } from '../spec/schema';
import type { RegistryPlan } from './clusterTypes';
import { refuseDuplicateNames, type Findings } from './findings';
import { certificatesProblem } from './pem';
import { CONTAINERD_HEAD, REGISTRY_CONFIG_FOLDER } from './containerd';

/** Registries of the site's own images: what containerd reads for each, in every version of its configuration. */
export function planRegistries(spec: SiteSpec, findings: Findings): RegistryPlan[] {
  refuseDuplicateNames(spec.registries, ['registries'], findings);
  return spec.registries.map(({ name, mirrors, ca, username }, index) => {
    if (ca !== undefined) checkCertificates(ca, index, findings);
    const folder = `${REGISTRY_CONFIG_FOLDER}/${name}`;
    const caFile = ca === undefined ? null : `${folder}/ca.crt`;
    return {
      name,
      username: username ?? null,
      folder,
      hostsToml: hostsToml(mirrors.length > 0 ? mirrors : [`https://${hostOf(name)}`], caFile),
      ca: ca === undefined ? null : `${ca.trim()}\n`,
    };
  });
}

/** The one registry whose images have another name than its server. */
const hostOf = (name: string) => (name === 'docker.io' ? 'registry-1.docker.io' : name);

function checkCertificates(ca: string, index: number, findings: Findings): void {
  const wrong = certificatesProblem(ca, 'authorities');
  if (wrong === null) return;
  // Given is left out: a key pasted here by mistake must not be in a message.
  findings.error(
    ['registries', index, 'ca'],
    undefined,
    `it holds ${wrong}: allowed are certificates in PEM, as -----BEGIN CERTIFICATE----- begins them`,
  );
}

/**
 * docs/hosts.md of containerd, which reads it at every pull. `server` is what is asked after all others, and would
 * otherwise be the registry itself. The last one is there twice, because containerd 1.6 takes no file without a host.
 */
function hostsToml(urls: string[], caFile: string | null): string {
  const settings = (url: string) =>
    [
      'capabilities = ["pull", "resolve"]',
      ...(caFile === null ? [] : [`ca = "${caFile}"`]),
      // What has a path is given whole; containerd adds /v2 to the others.
      ...(/^https:\/\/[^/]+\//.test(url) ? ['override_path = true'] : []),
    ].join('\n');
  const last = urls[urls.length - 1];
  return [
    `${CONTAINERD_HEAD}server = "${last}"\n${settings(last)}\n`,
    ...urls.map((url) => `\n[host."${url}"]\n${settings(url).replace(/^/gm, '  ')}\n`),
  ].join('');
}
