import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { ClusterProbeResult } from '../../components/clusterProbe';
import type { SitePlan } from '../../components/plan';
import type { ProofResult } from '../../components/proof/facts';
import { backendFolder } from './backend';
import { VERSION_OUTPUT } from './clusterVersion';
import { nameOf } from './resources';
import { PROJECT } from './stack';

/** What the last `up` of a site left, also one that did not come to its end. */
export interface LastRun {
  /** Null: no run has proved the network yet. `at` is the time of its newest probe, as ISO 8601 in UTC. */
  proof: { at: string; probes: number; warnings: number } | null;
  /** Null: no cluster has come to its end. */
  kubernetesVersion: string | null;
  /** Everything that was measured, with the time of the newest probe. Null: nothing yet. */
  machines: { at: string; results: ProofResult[] } | null;
  cluster: { at: string; result: ClusterProbeResult } | null;
}

interface Checkpoint {
  checkpoint?: { latest?: { resources?: Resource[] } | null };
}
interface Resource {
  urn: string;
  type: string;
  modified?: string;
  outputs?: Record<string, unknown>;
}

/**
 * Reads the outputs of a site's state, which are no secrets, without its passphrase and without the engine. Null where that
 * cannot be done: the state is not in a folder of this machine, or there is none.
 */
export function readLastRun({ site, backendUrl }: Pick<SitePlan, 'site' | 'backendUrl'>): LastRun | null {
  const folder = backendFolder(backendUrl);
  if (folder === undefined) return null;
  const file = join(folder, '.pulumi/stacks', PROJECT, `${site}.json`);
  const text = existsSync(file)
    ? readFileSync(file)
    : existsSync(`${file}.gz`)
      ? gunzipSync(readFileSync(`${file}.gz`))
      : null;
  if (text === null) return null;
  const resources = (JSON.parse(text.toString('utf8')) as Checkpoint).checkpoint?.latest?.resources ?? [];
  const outputs = (type: string) => resources.find((resource) => resource.type === type)?.outputs ?? {};
  const version = outputs('pulumi:pulumi:Stack')[VERSION_OUTPUT];
  // Of the components and not of the stack: a run that ended between the two proofs has written the first one there.
  const { results } = outputs('sitewright:proof:Proof');
  const { result } = outputs('sitewright:clusterProbe:ClusterProof');
  const provedAt = newest(resources, `${site}-proof-`);
  const probedAt = newest(resources, `${site}-cluster-proof-`);
  const machines =
    Array.isArray(results) && results.length > 0 && provedAt !== null
      ? { at: provedAt, results: results as ProofResult[] }
      : null;
  return {
    proof: machines && {
      at: machines.at,
      probes: machines.results.length,
      warnings: machines.results.flatMap(({ findings }) => findings).filter(({ severity }) => severity === 'warn')
        .length,
    },
    kubernetesVersion: typeof version === 'string' ? version : null,
    machines,
    cluster: isMeasured(result) && probedAt !== null ? { at: probedAt, result } : null,
  };
}

/** The engine writes the outputs of a component when all of them are known, so probes that are there have ended. */
const isMeasured = (result: unknown): result is ClusterProbeResult =>
  typeof result === 'object' && result !== null && 'facts' in result;

/** When the newest of the resources whose names begin so was made or changed. */
function newest(resources: Resource[], prefix: string): string | null {
  const times = resources.flatMap(({ urn, modified }) =>
    modified !== undefined && nameOf(urn).startsWith(prefix) ? [new Date(modified).toISOString()] : [],
  );
  return times.sort()[times.length - 1] ?? null;
}
