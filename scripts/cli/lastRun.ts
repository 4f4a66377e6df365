import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { SitePlan } from '../../components/plan';
import type { ProofResult } from '../../components/proof/facts';
import { backendFolder } from './backend';
import { VERSION_OUTPUT } from './clusterVersion';
import { nameOf } from './resources';
import { PROJECT } from './stack';

/** What the last `up` of a site left. */
export interface LastRun {
  /** Null: no run has proved the network yet. `at` is the time of its newest probe, as ISO 8601 in UTC. */
  proof: { at: string; probes: number; warnings: number } | null;
  /** Null: no cluster has come to its end. */
  kubernetesVersion: string | null;
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
  const outputs = resources.find(({ type }) => type === 'pulumi:pulumi:Stack')?.outputs ?? {};
  const version = outputs[VERSION_OUTPUT];
  return {
    proof: proofOf(outputs.proof, resources, site),
    kubernetesVersion: typeof version === 'string' ? version : null,
  };
}

/** A probe that fails ends the run before its outputs are written, so those that are there have passed. */
function proofOf(results: unknown, resources: Resource[], site: string): LastRun['proof'] {
  if (!Array.isArray(results) || results.length === 0) return null;
  const findings = (results as ProofResult[]).flatMap((result) => result.findings);
  const times = resources.flatMap(({ urn, modified }) =>
    modified !== undefined && nameOf(urn).startsWith(`${site}-proof-`) ? [modified] : [],
  );
  if (times.length === 0) return null;
  return {
    at: times.map((time) => new Date(time).toISOString()).sort()[times.length - 1],
    probes: results.length,
    warnings: findings.filter(({ severity }) => severity === 'warn').length,
  };
}
