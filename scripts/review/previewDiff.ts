import type { EngineEvent } from '@pulumi/pulumi/automation';
import type { SitePlan } from '../../components/plan';
import type { KubeObject } from '../plugins/kubernetes/objects';
import { labelOf, MACHINE_ROLE, stepOf, type Operation, type Step } from '../cli/resources';
import { objectKey } from '../render/document';
import { grouped, type SingleEffect } from './effects';
import { worstOf } from './impact';
import { inline, isMap, lineDiff } from './lines';
import { changeOfObject } from './objectEffects';
import { changeInVcenter } from './resourceEffects';
import { added, type SiteDiff } from './siteDiff';

export interface PreviewArgs {
  plan: SitePlan;
  /** Version of Kubernetes that the last `up` left; null: it made no cluster. */
  runs: string | null;
  /** Blanks the secrets of the site. */
  redact(text: string): string;
}

/** What the engine would do to one resource. */
interface Change extends Step {
  inputs: { before: unknown; after: unknown };
}

type Words = Pick<SingleEffect, 'impact' | 'why'>;

/**
 * The preview of the engine in the form of a comparison of files: what differs from the state, and so from what was built.
 * Scripts are secrets as a whole, so of what is in them only the resource is told; `diff` tells the rest.
 */
export function previewDiff(events: readonly EngineEvent[], { plan, runs, redact }: PreviewArgs): SiteDiff {
  const { changes, same } = changesOf(events);
  const names = machineNames(changes, plan);
  const moves = runs !== null && runs !== (plan.cluster?.kubernetesVersion ?? null);
  const effects =
    same === 0 && changes.length > 0 && changes.every(({ operation }) => operation === 'create')
      ? [added(plan.nodes.length)]
      : grouped(effectsOf(changes, { names, plan, moves, redact }));
  return {
    site: plan.site,
    environment: plan.environment,
    // The state does not say which kit wrote it.
    kits: { before: null, after: plan.kitVersion },
    machines: plan.nodes.length,
    settings: [],
    effects,
    worst: worstOf(effects.map(({ impact }) => impact)),
    afterwards: [],
  };
}

/** Each resource once: a replacement is several steps. */
function changesOf(events: readonly EngineEvent[]): { changes: Change[]; same: number } {
  const byUrn = new Map<string, Change>();
  for (const { resourcePreEvent } of events) {
    const metadata = resourcePreEvent?.metadata;
    const step = metadata && stepOf(metadata);
    if (!step || step.operation === 'read') continue;
    const known = byUrn.get(step.urn);
    const operation: Operation = known?.operation === 'replace' ? 'replace' : step.operation;
    byUrn.set(step.urn, {
      ...step,
      operation,
      properties: [...new Set([...(known?.properties ?? []), ...step.properties])].sort(),
      inputs: {
        before: known?.inputs.before ?? metadata!.old?.inputs,
        after: metadata!.new?.inputs ?? known?.inputs.after,
      },
    });
  }
  const all = [...byUrn.values()];
  const changes = all.filter(({ operation }) => operation !== 'same');
  return {
    changes: changes.sort((a, b) => (a.name < b.name ? -1 : 1)),
    same: all.length - changes.length,
  };
}

/** The machines of the plan in their order, then those that are known by what is removed with them. */
function machineNames(changes: Change[], { site, nodes }: SitePlan): string[] {
  const own = new RegExp(`^${site}-machines-(.+)-(${MACHINE_ROLE}|ssh)$`);
  const gone = changes.flatMap(({ name, operation }) => (operation === 'delete' ? (own.exec(name)?.[1] ?? []) : []));
  return [...new Set([...nodes.map(({ name }) => name), ...gone])];
}

interface Reading {
  names: string[];
  plan: SitePlan;
  moves: boolean;
  redact(text: string): string;
}

function effectsOf(changes: Change[], reading: Reading): SingleEffect[] {
  const { names, plan } = reading;
  const label = ({ name }: Change) => labelOf(name, plan.site, names);
  const made = plan.machines.provider !== 'existing';
  /** Machines that are told as a whole. */
  const whole = new Map<string, SingleEffect>();
  for (const change of changes) {
    const { node, role } = label(change);
    if (!names.includes(node) || role !== (made ? MACHINE_ROLE : 'ssh')) continue;
    const told = wholeMachine(change.operation, made);
    if (told !== null) whole.set(node, { machine: node, what: 'machine', lines: linesOf(change, reading), ...told });
  }
  const rest = changes.flatMap((change): SingleEffect[] => {
    const { node, what, role } = label(change);
    const machine = names.includes(node) ? node : null;
    if (machine !== null && whole.has(machine)) return [];
    // A machine that comes or goes brings its own proofs.
    if (change.operation !== 'update' && /^proof/.test(role)) return [];
    const lines = linesOf(change, reading);
    const words = wordsOf(change, role, reading);
    const kind = { create: 'new', delete: 'gone' }[change.operation as string] ?? 'changed';
    return [{ machine, what: whatOf(change, what), change: kind as SingleEffect['change'], ...words, lines }];
  });
  return [...names.flatMap((name) => whole.get(name) ?? []), ...rest];
}

function wholeMachine(operation: Operation, made: boolean): (Words & Pick<SingleEffect, 'change'>) | null {
  if (operation === 'create')
    return {
      ...{ change: 'new', impact: 'in place' },
      why: made ? 'it is made, prepared and proved' : 'it is prepared and proved',
    };
  if (operation === 'delete')
    return {
      ...{ change: 'gone', impact: 'deletion' },
      why: made ? 'it is removed with its disks' : 'its preparation is undone; the machine stays',
    };
  // What is replaced of an existing machine is the look whether it answers.
  if (operation === 'replace' && made)
    return { change: 'changed', impact: 'replacement', why: 'it is removed with all that is on it and made anew' };
  return null;
}

const isObject = ({ type }: Change) => type.startsWith('kubernetes:');

const whatOf = (change: Change, what: string): string => {
  const inputs = change.inputs.after ?? change.inputs.before;
  return isObject(change) && isMap(inputs) && isMap(inputs.metadata) ? objectKey(inputs) : what;
};

/** Roles of resources whose update does more than run a script again. */
const UPDATES: { role: RegExp; words: Words }[] = [
  {
    role: new RegExp(`^${MACHINE_ROLE}$`),
    words: { impact: 'restart', why: 'what cannot change in a running machine it has from its next start' },
  },
  {
    role: /^runtime$/,
    words: { impact: 'restart', why: 'kubelet or containerd is started again where something of it differs' },
  },
  {
    role: /^control-plane$/,
    words: { impact: 'in place', why: 'static pods are started again where it concerns them, one node after another' },
  },
  { role: /^(cluster-)?proof/, words: { impact: 'in place', why: 'it is repeated with the new values' } },
];

/** How a resource is reached or removed, which touches nothing of what it made. */
const WAYS = /^(connection|delete|environment|create|update|addPreviousOutputInEnv|logging)\b/;

function wordsOf(change: Change, role: string, { moves }: Reading): Words {
  const { operation, properties } = change;
  if (operation === 'create')
    return role === 'leave'
      ? { impact: 'disruptive', why: 'its pods are evicted, and it leaves the cluster and etcd' }
      : { impact: 'in place', why: isObject(change) ? 'it is made' : 'it runs for the first time' };
  if (operation === 'delete') {
    if (isObject(change)) return { impact: 'deletion', why: 'it is deleted' };
    const undoes = isMap(change.inputs.before) && change.inputs.before.delete !== undefined;
    return undoes || change.type.startsWith('vsphere:')
      ? { impact: 'deletion', why: 'what it made is undone' }
      : { impact: 'in place', why: 'it is no longer kept; nothing is undone by it' };
  }
  if (operation === 'replace') return { impact: 'replacement', why: 'it is removed and made anew' };
  if (change.type.startsWith('vsphere:')) return vcenterWords(change);
  if (isObject(change)) return changeOfObject(change.inputs.after as KubeObject, properties);
  if (properties.length > 0 && properties.every((property) => WAYS.test(property)))
    return { impact: 'in place', why: 'how the engine reaches and keeps it' };
  if (role.endsWith('upgrade') && moves)
    return { impact: 'disruptive', why: 'the machines move to the other version one after another, drained first' };
  const known = UPDATES.find((one) => one.role.test(role))?.words;
  return known ?? { impact: 'in place', why: 'the script runs again and changes what differs' };
}

function vcenterWords({ properties, inputs }: Change): Words {
  const [from, to] = [inputs.before, inputs.after].map((side) => (isMap(side) ? side : {}));
  const fields = properties.map((property) => changeInVcenter(property.split(/[.[]/)[0]!, from!, to!));
  return fields.find(({ impact }) => impact === 'restart') ?? { impact: 'in place', why: 'vCenter changes it' };
}

const SECRET = '[secret]';

/** The properties that differ, with their values unless they are secrets. */
function linesOf({ operation, properties, inputs }: Change, { redact }: Reading): string[] {
  if (operation !== 'update' && operation !== 'replace') return [];
  return properties.flatMap((property) => {
    const [before, after] = [inputs.before, inputs.after].map((value) => shown(valueAt(value, property)));
    if (before === after || [before, after].some((text) => text!.includes(SECRET))) return [`~ ${property}: ${SECRET}`];
    return [`  ${property}:`, ...lineDiff(redact(before!).split('\n'), redact(after!).split('\n'))];
  });
}

const shown = (value: unknown) => (typeof value === 'string' && value !== '' ? value : inline(value));

/** The engine writes paths as `spec.containers[0].image` and `metadata.labels["a.b/c"]`. */
function valueAt(value: unknown, path: string): unknown {
  const steps = [...path.matchAll(/\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.[\]]+)/g)];
  return steps.reduce<unknown>((here, [, quoted, index, name]) => {
    if (typeof here !== 'object' || here === null) return undefined;
    return (here as Record<string, unknown>)[quoted ?? index ?? name!];
  }, value);
}
