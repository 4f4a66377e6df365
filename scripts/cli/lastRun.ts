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

/** What the last `up` of a site measured, each with the time of its newest probe. Null: nothing yet. */
export interface LastProofs {
  machines: { at: string; results: ProofResult[] } | null;
  cluster: { at: string; result: ClusterProbeResult } | null;
}

interface State {
  resources: Resource[];
  outputs: Record<string, unknown>;
}

type SiteState = Pick<SitePlan, 'site' | 'backendUrl'>;

/**
 * Reads the outputs of a site's state, which are no secrets, without its passphrase and without the engine. Null where that
 * cannot be done: the state is not in a folder of this machine, or there is none.
 */
export function readLastRun(plan: SiteState): LastRun | null {
  const state = readState(plan);
  if (state === null) return null;
  const version = state.outputs[VERSION_OUTPUT];
  const machines = machinesProof(state, plan.site);
  return {
    proof: machines && {
      at: machines.at,
      probes: machines.results.length,
      warnings: machines.results.flatMap(({ findings }) => findings).filter(({ severity }) => severity === 'warn')
        .length,
    },
    kubernetesVersion: typeof version === 'string' ? version : null,
  };
}

/** As `readLastRun`, with everything that was measured. */
export function readLastProofs(plan: SiteState): LastProofs | null {
  const state = readState(plan);
  if (state === null) return null;
  const { clusterProof } = state.outputs;
  const at = newest(state.resources, `${plan.site}-cluster-proof-`);
  const isMeasured = typeof clusterProof === 'object' && clusterProof !== null && 'facts' in clusterProof;
  return {
    machines: machinesProof(state, plan.site),
    cluster: isMeasured && at !== null ? { at, result: clusterProof as ClusterProbeResult } : null,
  };
}

function readState({ site, backendUrl }: SiteState): State | null {
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
  return { resources, outputs: resources.find(({ type }) => type === 'pulumi:pulumi:Stack')?.outputs ?? {} };
}

/** A probe that fails ends the run before its outputs are written, so those that are there have passed. */
function machinesProof({ resources, outputs: { proof } }: State, site: string): LastProofs['machines'] {
  if (!Array.isArray(proof) || proof.length === 0) return null;
  const at = newest(resources, `${site}-proof-`);
  return at === null ? null : { at, results: proof as ProofResult[] };
}

/** When the newest of the resources whose names begin so was made or changed. */
function newest(resources: Resource[], prefix: string): string | null {
  const times = resources.flatMap(({ urn, modified }) =>
    modified !== undefined && nameOf(urn).startsWith(prefix) ? [new Date(modified).toISOString()] : [],
  );
  return times.sort()[times.length - 1] ?? null;
}
