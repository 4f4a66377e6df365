import { runRequest, type AgentRequest } from '../../components/agent/main';
import {
  ClusterProbeError,
  clusterProbeRequest,
  KubectlError,
  renderClusterProbe,
  type ClusterProbeResult,
  type PathBefore,
} from '../../components/clusterProbe';
import type { NodeRequest, PairRequest, ProofResult } from '../../components/proof/facts';
import { renderProof } from '../../components/proof/render';
import { VSPHERE_DEVICES } from '../../components/machines/guestinfo';
import type { NodePlan, SitePlan } from '../../components/plan';
import { SshError } from '../../components/ssh/errors';
import { labConfig } from '../lab/lab';
import type { Context } from './context';
import { failed } from './errors';
import { Interruption } from './interrupt';
import { redactor } from './redact';
import type { ConfigValues } from './stack';
import { keysOf, nodeTargets } from './targets';

/** A probe that could not be made at all. */
export interface Unanswered {
  where: string;
  message: string;
}

export interface Proved {
  /** Probes that failed or could not be made. */
  failures: number;
  results: (ProofResult | ClusterProbeResult)[];
  unanswered: Unanswered[];
  text: string;
}

/** Where a machine of the kit has its etcd disk; elsewhere the disk is not known. */
function etcdDiskOf({ kvm, vsphere }: NodePlan): string | null {
  if (kvm !== null) return kvm.etcdDiskBytes === null ? null : '/dev/disk/by-id/virtio-etcd';
  return vsphere !== null && vsphere.etcdDiskBytes !== null ? VSPHERE_DEVICES.etcd : null;
}

/**
 * Runs the probes of a site again, in rounds as `up` does: two probes of one node at once would measure each other. A site
 * that has become a cluster is probed as one: fio and tunnels of the proof before it could cost etcd its leader. `before`
 * is what that proof gave, to be set beside what pods get now.
 */
export async function prove(
  context: Context,
  plan: SitePlan,
  config: ConfigValues,
  secrets: readonly string[],
  before: PathBefore[],
): Promise<Proved> {
  const redact = redactor(secrets);
  const interruption = new Interruption(
    (text) => context.say(text),
    'Stopping: what was made is removed. Ctrl-C once more ends at once and leaves it.',
  );
  const results: Proved['results'] = [];
  const unanswered: Unanswered[] = [];
  try {
    for (const round of requestsOf(plan, config, await limitFactorOf(plan), before)) {
      const names = round.map(nameOf);
      const found = await Promise.allSettled(
        round.map((request, index) =>
          runRequest(request, {
            signal: interruption.signal,
            onProgress: (step) => {
              if (context.verbose || request.kind === 'probe-cluster') context.say(redact(`${names[index]}: ${step}`));
            },
          }),
        ),
      );
      if (interruption.happened) throw failed(`verify ${plan.site} was stopped.`);
      for (const [index, outcome] of found.entries()) {
        if (outcome.status === 'rejected') unanswered.push({ where: names[index], message: reasonOf(outcome.reason) });
        else if ('findings' in outcome.value) results.push(outcome.value);
        if (!context.json) context.say(`${names[index]}: ${outcome.status === 'rejected' ? 'no answer' : 'measured'}`);
      }
    }
  } finally {
    interruption.dispose();
  }
  const failures = results.flatMap((result) => result.findings).filter(({ severity }) => severity === 'error').length;
  const clusters = results.filter(isCluster);
  const proofs = results.filter((result): result is ProofResult => !isCluster(result));
  const text = [
    ...(proofs.length > 0 ? [renderProof(proofs, { color: context.color })] : []),
    ...clusters.map((result) => renderClusterProbe(result, { color: context.color })),
    ...unanswered.map(({ where, message }) => `no answer from ${where}: ${message}`),
  ];
  return { failures: failures + unanswered.length, results, unanswered, text: redact(text.join('\n')) };
}

const isCluster = (result: ProofResult | ClusterProbeResult): result is ClusterProbeResult =>
  result.facts.kind === 'cluster';

/** How much slower than a machine of the kit's time limits the machines of a lab are. */
export async function limitFactorOf({ site, machines }: SitePlan): Promise<number> {
  if (machines.kvm?.image !== 'lab') return 1;
  return (await labConfig(site))?.accelerator.speedFactor ?? 1;
}

/** What keeps an answer from being had is for the user; anything else is a defect. */
function reasonOf(error: unknown): string {
  if (error instanceof SshError || error instanceof ClusterProbeError || error instanceof KubectlError)
    return error.message;
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ');
  throw error;
}

const nameOf = (request: AgentRequest) => {
  if (request.kind === 'prove-pair') return `${request.pair.a} <-> ${request.pair.b}`;
  if (request.kind === 'probe-cluster') return 'cluster';
  return request.kind === 'prove-node' ? request.node.name : request.name;
};

/**
 * Requests by round: the pairs as planned, then every node by itself. Of a cluster: what is cheap to read of every node,
 * and the cluster as a whole; its peers are probed from pods.
 */
export function requestsOf(
  plan: SitePlan,
  config: ConfigValues,
  limitFactor: number,
  before: PathBefore[],
): AgentRequest[][] {
  const targets = new Map(nodeTargets(plan, keysOf(config, plan.site)).map(({ name, target }) => [name, target]));
  const ends = new Map(plan.nodes.map(({ name, role }) => [name, { name, role, target: targets.get(name)! }] as const));
  const { ports, thresholds, warn, peers, dnsServers, ntpServers } = plan.proof;
  const rounds: AgentRequest[][] = [];
  const isLive = plan.cluster !== null;
  for (const { round, ...pair } of isLive ? [] : plan.proof.pairs) {
    const request: PairRequest = {
      kind: 'prove-pair',
      pair,
      a: ends.get(pair.a)!,
      b: ends.get(pair.b)!,
      ports,
      thresholds,
      warn,
    };
    (rounds[round] ??= []).push(request);
  }
  for (const node of plan.nodes) {
    const request: NodeRequest = {
      kind: 'prove-node',
      node: {
        ...ends.get(node.name)!,
        addresses: node.addresses.map((address) => address.split('/')[0]),
        etcdDisk: etcdDiskOf(node),
      },
      peers: isLive ? [] : peers,
      dnsServers,
      ntpServers,
      thresholds,
      warn,
      ...(isLive ? { withoutDisk: true } : {}),
    };
    rounds.push([request]);
  }
  if (isLive) rounds.push([clusterProbeRequest(plan, ends, limitFactor, before)]);
  return rounds.filter((round) => round !== undefined);
}
