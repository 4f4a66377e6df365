import { labelOf } from '../cli/resources';
import type { RenderDocument, RenderedResource } from '../render/document';
import { lasting, type SingleEffect } from './effects';
import { lineDiff, valueDiff } from './lines';
import { domainOf } from './machineEffects';

/** What the engine runs, as far as machines, files and objects have not told it. */
export function resourceEffects(before: RenderDocument, after: RenderDocument): SingleEffect[] {
  const stays = lasting(before, after);
  const known = [...new Set([...Object.keys(before.nodes), ...Object.keys(after.nodes)])];
  const [old, made] = [before, after].map(
    ({ resources }) => new Map(resources.filter(isTold).map((resource) => [resource.name, resource])),
  ) as [Map<string, RenderedResource>, Map<string, RenderedResource>];
  const newCluster = before.plan.cluster === null || after.plan.cluster === null;
  return [...new Set([...made.keys(), ...old.keys()])].sort().flatMap((name): SingleEffect[] => {
    const { node, what, role } = labelOf(name, after.site, known);
    const isMachines = known.includes(node);
    if (isMachines && !stays.includes(node)) return [];
    const machine = isMachines ? node : null;
    const [from, to] = [old.get(name), made.get(name)];
    if (from !== undefined && to !== undefined) return changesOf({ before, after, from, to, machine, what });
    // A machine that comes or goes brings its own proofs, and a cluster all that makes it.
    if (newCluster || /^proof/.test(role)) return [];
    return [comesOrGoes(machine, what, role, to ?? null, from ?? null)];
  });
}

/** Components do nothing themselves, and objects are told apart. */
const isTold = ({ type }: RenderedResource) => /^(command|vsphere):/.test(type);

function comesOrGoes(
  machine: string | null,
  what: string,
  role: string,
  to: RenderedResource | null,
  from: RenderedResource | null,
): SingleEffect {
  const effect = (impact: SingleEffect['impact'], why: string): SingleEffect => ({
    ...{ machine, what, change: to === null ? 'gone' : 'new', impact, why, lines: [] },
  });
  if (to !== null)
    return role === 'leave'
      ? effect('disruptive', 'its pods are evicted, and it leaves the cluster and etcd')
      : effect('in place', 'it runs for the first time');
  return from!.inputs.delete === undefined
    ? effect('in place', 'it is no longer kept; nothing is undone by it')
    : effect('deletion', 'what it made is undone');
}

interface Pair {
  before: RenderDocument;
  after: RenderDocument;
  from: RenderedResource;
  to: RenderedResource;
  machine: string | null;
  what: string;
}

function changesOf(pair: Pair): SingleEffect[] {
  const { before, after, from, to, machine, what } = pair;
  const effect = (of: Pick<SingleEffect, 'what' | 'impact' | 'why' | 'lines'>): SingleEffect => ({
    machine,
    change: 'changed',
    ...of,
  });
  const isMachine = machine !== null && domainOf(after, machine) === to;
  if (from.urn !== to.urn) {
    if (isMachine) return [];
    const lines = [`- ${from.urn}`, `+ ${to.urn}`];
    const why = 'the engine knows it by another URN: the earlier one is deleted, this one made';
    return [effect({ what, impact: 'replacement', why, lines })];
  }
  const effects: SingleEffect[] = [];
  for (const part of ['script', 'delete'] as const) {
    const [old, made] = [from.inputs[part], to.inputs[part]].map(scriptOf);
    const words = part === 'script' ? what : `${what}: clean-up on removal`;
    const again =
      part === 'script' ? 'the script runs again and changes what differs' : 'it counts when the resource goes';
    if (old === undefined || made === undefined) {
      const lines = valueDiff(from.inputs[part], to.inputs[part], part);
      if (lines.length > 0) effects.push(effect({ what: words, impact: 'in place', why: again, lines }));
      continue;
    }
    const program = old.program === made.program ? [] : lineDiff(textOf(before, old), textOf(after, made));
    if (program.length > 0)
      effects.push(effect({ what: `program of the ${words}`, impact: 'in place', why: again, lines: program }));
    // Of a machine they are told with it.
    if (isMachine) continue;
    const values = Object.keys({ ...old.values, ...made.values }).filter((name) => !TOLD_VALUES.test(name));
    for (const name of values) {
      const lines = valueDiff(old.values[name], made.values[name], name);
      const rule = part === 'script' ? VALUE_RULES.find((one) => one.names.test(name)) : undefined;
      if (lines.length > 0)
        effects.push(
          effect({ what: rule?.what ?? words, impact: rule?.impact ?? 'in place', why: rule?.why ?? again, lines }),
        );
    }
  }
  return [...effects, ...requestChange(pair, effect), ...vcenterChanges(pair, effect), ...optionChanges(pair, effect)];
}

const FROM_NEXT_START = /^((cpu|memory)HotAddEnabled|efiSecureBootEnabled|latencySensitivity)$/;

type Inputs = Record<string, unknown>;

/** What a change of a field means that a vCenter can change. */
export function changeInVcenter(field: string, from: Inputs, to: Inputs): Pick<SingleEffect, 'impact' | 'why'> {
  const hotAdd = { numCpus: 'cpuHotAddEnabled', memory: 'memoryHotAddEnabled' }[field];
  // Whether it can grow while it runs was decided when it started.
  const grows = hotAdd !== undefined && from[hotAdd] === true && Number(to[field]) > Number(from[field]);
  return (hotAdd !== undefined && !grows) || FROM_NEXT_START.test(field)
    ? { impact: 'restart', why: 'the machine has it from its next start' }
    : { impact: 'in place', why: 'vCenter changes it' };
}

/** What a vCenter has of the site; the options of the resource say what a change of a field is. */
function vcenterChanges({ from, to, what }: Pair, effect: Make): SingleEffect[] {
  if (!to.type.startsWith('vsphere:')) return [];
  const [was, is] = [from, to].map(({ inputs }) => String(inputs.replaceTrigger ?? '').split('; ')) as [
    string[],
    string[],
  ];
  const anew = lineDiff(was, is);
  if (anew.length > 0) {
    const why = 'it is removed with all that is on it and made anew: it cannot change while the machine stays';
    return [effect({ what, impact: 'replacement', why, lines: anew })];
  }
  const fields = [...new Set([...Object.keys(from.inputs), ...Object.keys(to.inputs)])];
  return fields.flatMap((field) => {
    const lines = valueDiff(from.inputs[field], to.inputs[field], field);
    const isOne = (path: string) => path === field || path.startsWith(`${field}.`) || path.startsWith(`${field}[`);
    if (lines.length === 0) return [];
    if (to.ignoreChanges.some(isOne))
      return [effect({ what, impact: 'new machines only', why: `${field} counts when it is made`, lines })];
    if (to.replaceOnChanges.some(isOne))
      return [effect({ what, impact: 'replacement', why: `${field} cannot change while it stays`, lines })];
    return [effect({ what, ...changeInVcenter(field, from.inputs, to.inputs), lines })];
  });
}

type Make = (of: Pick<SingleEffect, 'what' | 'impact' | 'why' | 'lines'>) => SingleEffect;

interface RenderedScript {
  program: string;
  values: Record<string, unknown>;
}

const scriptOf = (input: unknown): RenderedScript | undefined =>
  typeof input === 'object' && input !== null && 'program' in input ? (input as RenderedScript) : undefined;

const textOf = ({ programs }: RenderDocument, { program }: RenderedScript): string[] => {
  const text = programs[program] ?? [];
  return typeof text === 'string' ? [text] : text;
};

/** Told one by one as what they are: sysctls, modules, offloads; or nothing but a fingerprint of something told. */
const TOLD_VALUES =
  /^(SYSCTL_|MODULES$|OFFLOAD_|KUBELET_CONFIG_SUM$|CONTROL_PLANE_SUM$|SERVING_CERTIFICATE_SUM$|BUNDLE_ID$)/;

const VALUE_RULES: { names: RegExp; what: string; impact: SingleEffect['impact']; why: string }[] = [
  {
    names: /^KUBERNETES_VERSION$/,
    what: 'version of Kubernetes',
    impact: 'disruptive',
    why: 'the machines move one after another, drained first',
  },
  {
    names: /^(PROGRAMS|CONTAINERD_VERSION)$/,
    what: 'programs of Kubernetes',
    impact: 'restart',
    why: 'kubelet or containerd is started again where its program differs',
  },
  { names: /^IMAGES$/, what: 'images', impact: 'in place', why: 'they are imported before anything uses them' },
  { names: /^HOSTS_BLOCK$/, what: '/etc/hosts', impact: 'in place', why: 'every machine knows the names of all' },
  {
    names: /^(IF_MTU_BYTES|NETWORK_LINK)$/,
    what: 'MTU of the network card',
    impact: 'disruptive',
    why: 'switches rise before machines and machines shrink before switches',
  },
  {
    names: /^(ADDRESSES|GATEWAYS|IF_NAME|IF_MAC)$/,
    what: 'addresses of the machine',
    impact: 'disruptive',
    why: 'a node, its certificates and etcd are known by its addresses',
  },
  {
    names: /^(ROUTES|NETWORK_BODY)$/,
    what: 'network settings',
    impact: 'in place',
    why: 'addresses and routes that differ are set one by one',
  },
];

/** Requests of the agent on the engine's side. */
function requestChange({ before, after, from, to, what }: Pair, effect: Make): SingleEffect[] {
  const [old, made] = [from.inputs.request, to.inputs.request] as ({ kind?: string } | undefined)[];
  const lines = valueDiff(old, made);
  if (lines.length === 0) return [];
  const kind = made?.kind ?? '';
  if (kind.startsWith('prove-') || kind === 'probe-cluster')
    return [effect({ what: 'proof', impact: 'in place', why: 'it is repeated with the new values', lines })];
  if (kind === 'upgrade-cluster') {
    const moves = before.plan.cluster?.kubernetesVersion !== after.plan.cluster?.kubernetesVersion;
    const why = moves ? 'every machine moves to the other version' : 'it asks every machine again and moves none';
    // What every machine would get is told with the machines.
    return [effect({ what, impact: moves ? 'disruptive' : 'in place', why, lines: [] })];
  }
  return [effect({ what, impact: 'in place', why: 'it is asked for again; what is done already stays', lines })];
}

function optionChanges({ from, to, what }: Pair, effect: Make): SingleEffect[] {
  const options = (one: RenderedResource) => {
    const { protect, deletedWith, deleteBeforeReplace, ignoreChanges, replaceOnChanges } = one;
    const { connection, environment, create, update } = one.inputs;
    return {
      protect,
      deletedWith,
      deleteBeforeReplace,
      ignoreChanges,
      replaceOnChanges,
      connection,
      environment,
      create,
      update,
    };
  };
  const lines = valueDiff(options(from), options(to));
  const why = 'how the engine reaches and keeps it';
  return lines.length === 0 ? [] : [effect({ what, impact: 'in place', why, lines })];
}
