import * as pulumi from '@pulumi/pulumi';
import { agentRequest, agentTarget } from '../commands';
import type { Machine } from '../machines/machine';
import type { NodePlan, PairPlan, ProofPlan, SitePlan } from '../plan/types';
import type { NodeRequest, PairRequest, ProofResult } from './facts';

export interface ProofArgs {
  plan: Pick<SitePlan, 'proof' | 'nodes'>;
  /** One for every node of the plan. */
  machines: Machine[];
  /** The preparation of every node. An option of the component would not reach its commands. */
  after: pulumi.Resource[];
}

/**
 * The gate between prepared nodes and everything that trusts their network. One command per node and one per pair; a
 * probe that fails fails its command, so nothing that depends on the proof begins.
 *
 * A request holds the slice of the plan that its probe measures and nothing else, so a probe runs again when that
 * changes and at no other time. Pairs that share a node run one after another, in the order of the plan's rounds:
 * their transfers would disturb each other.
 */
export class Proof extends pulumi.ComponentResource {
  /** Facts and findings: of the nodes in the order given, then of the pairs in the order of the plan. */
  readonly results: pulumi.Output<ProofResult[]>;

  constructor(name: string, args: ProofArgs, opts?: pulumi.ComponentResourceOptions) {
    super('sitewright:proof:Proof', name, {}, opts);
    const { proof, nodes } = args.plan;
    const machineOf = (node: string) => found(args.machines, node);
    const commands: ReturnType<typeof agentRequest>[] = [];
    // What ran last on a node: the next command there waits for it, whatever runs on other nodes meanwhile.
    const last = new Map<string, pulumi.Resource>();

    for (const node of nodes) {
      const request = nodeRequest(proof, node, machineOf(node.name));
      const command = agentRequest(`${name}-node-${node.name}`, { request }, { parent: this, dependsOn: args.after });
      commands.push(command);
      last.set(node.name, command);
    }
    const rounds = [...proof.pairs].sort((one, other) => one.round - other.round);
    const ofPair = new Map<PairPlan, ReturnType<typeof agentRequest>>();
    for (const pair of rounds) {
      const before = [last.get(pair.a), last.get(pair.b)].filter((one): one is pulumi.Resource => one !== undefined);
      const dependsOn = [...args.after, ...before];
      const request = pairRequest(proof, pair, machineOf(pair.a), machineOf(pair.b));
      const command = agentRequest(`${name}-pair-${pair.a}-${pair.b}`, { request }, { parent: this, dependsOn });
      ofPair.set(pair, command);
      last.set(pair.a, command);
      last.set(pair.b, command);
    }
    for (const pair of proof.pairs) commands.push(ofPair.get(pair) as ReturnType<typeof agentRequest>);

    // The request is secret because of the keys in it; what was measured holds none and is for everyone to read.
    const outputs = commands.map(({ stdout }) => pulumi.unsecret(stdout));
    this.results = pulumi.all(outputs).apply((texts) => texts.map((text) => JSON.parse(text) as ProofResult));
    this.registerOutputs({ results: this.results });
  }
}

function found(machines: Machine[], name: string): Machine {
  const machine = machines.find((one) => one.name === name);
  if (machine === undefined) throw new Error(`the proof names ${name}, and no such machine was given`);
  return machine;
}

/** Rounds say when a pair is probed and not what is probed: a node more must not repeat the proof of the others. */
function pairRequest(plan: ProofPlan, pair: PairPlan, a: Machine, b: Machine): pulumi.Output<string> {
  const measured: Partial<PairPlan> = { ...pair };
  delete measured.round;
  const { lossPercent, jitterMilliseconds, controlPlaneRoundTripMilliseconds } = plan.thresholds;
  const end = (machine: Machine) => ({
    name: machine.name,
    role: machine.role,
    target: agentTarget(machine.connection),
    incarnation: machine.incarnation,
  });
  const request: Record<keyof PairRequest, unknown> = {
    kind: 'prove-pair',
    pair: measured,
    a: end(a),
    b: end(b),
    ports: plan.ports,
    thresholds: { lossPercent, jitterMilliseconds, controlPlaneRoundTripMilliseconds },
    warn: plan.warn,
  };
  return pulumi.output(request).apply((resolved) => JSON.stringify(resolved));
}

function nodeRequest(plan: ProofPlan, node: NodePlan, machine: Machine): pulumi.Output<string> {
  const { etcdFsyncP99Milliseconds, cpuStealPercent, clockOffsetMilliseconds } = plan.thresholds;
  const request: Record<Exclude<keyof NodeRequest, 'withoutDisk'>, unknown> = {
    kind: 'prove-node',
    node: {
      name: node.name,
      role: node.role,
      target: agentTarget(machine.connection),
      incarnation: machine.incarnation,
      addresses: node.addresses.map((address) => address.replace(/\/.*/, '')),
      etcdDisk: machine.disks.etcd,
    },
    peers: plan.peers,
    dnsServers: plan.dnsServers,
    ntpServers: plan.ntpServers,
    thresholds: { etcdFsyncP99Milliseconds, cpuStealPercent, clockOffsetMilliseconds },
    warn: plan.warn,
  };
  return pulumi.output(request).apply((resolved) => JSON.stringify(resolved));
}
