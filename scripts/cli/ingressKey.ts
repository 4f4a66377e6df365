import { existsSync, readFileSync } from 'node:fs';
import type { SitePlan } from '../../components/plan';
import { INGRESS_KEY, ingressKeyProblem } from '../../components/secrets/ingressKey';
import { badInput } from './errors';
import type { ConfigValues } from './stack';

/** The private key of the site's own certificate for its ingress controller. */

const CONFIG_KEY = `sitewright:${INGRESS_KEY}`;

type ClusterSite = Pick<SitePlan, 'site' | 'cluster'>;

const certificateOf = ({ cluster }: ClusterSite) => cluster?.ingress?.certificate ?? null;

/** Before the engine runs: the certificate of the site file has its key. */
export function checkIngressKey(plan: ClusterSite, config: ConfigValues): void {
  const certificate = certificateOf(plan);
  if (certificate === null) return;
  const given = config[CONFIG_KEY];
  const how = `sitewright secrets set ${plan.site} ${INGRESS_KEY} --file <key.pem>`;
  if (given === undefined) throw badInput(`${plan.site} lacks the private key of ingress.certificate: ${how}`);
  const problem = ingressKeyProblem(certificate, given.value);
  if (problem !== null) throw badInput(`${INGRESS_KEY} of ${plan.site}: ${problem}: ${how}`);
}

/** The key in a file, and where it is kept. Refuses what does not belong to the certificate of the site file. */
export function readIngressKey(plan: ClusterSite, file: string | undefined): { key: string; value: string } {
  const certificate = certificateOf(plan);
  if (certificate === null) {
    throw badInput(
      `the site file of ${plan.site} has no ingress.certificate that a key would be of; nothing was changed`,
    );
  }
  if (file === undefined) throw badInput(`give ${INGRESS_KEY} with --file: it has many lines; nothing was changed`);
  if (!existsSync(file)) throw badInput(`--file ${file}: there is no such file; nothing was changed`);
  const value = `${readFileSync(file, 'utf8').trim()}\n`;
  const problem = ingressKeyProblem(certificate, value);
  if (problem !== null) throw badInput(`--file ${file}: ${problem}; nothing was changed`);
  return { key: CONFIG_KEY, value };
}
