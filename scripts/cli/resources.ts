import type { EngineEvent } from '@pulumi/pulumi/automation';

/** What a resource is to a person: the machine it belongs to and what it does there. */
export interface ResourceLabel {
  /** Name of a machine, or of the site for what belongs to no single one. */
  node: string;
  /** What it is in words, such as `preparation`. */
  what: string;
  /** The same as the resource's name has it. */
  role: string;
}

/** The role of the resource that owns a machine. */
export const MACHINE_ROLE = 'domain';

/** Its name. */
export const machineResource = (site: string, machine: string) => `${site}-machines-${machine}-${MACHINE_ROLE}`;

export type Operation = 'same' | 'create' | 'update' | 'replace' | 'delete' | 'read';

/** Operations in the order in which summaries count them. */
export const OPERATIONS: Operation[] = ['same', 'create', 'update', 'replace', 'delete'];

/** The engine's steps; a replacement is several steps of it and one thing to a person. */
const OPERATION_OF_STEP: Record<string, Operation> = {
  same: 'same',
  create: 'create',
  update: 'update',
  delete: 'delete',
  'delete-replaced': 'replace',
  'create-replacement': 'replace',
  replace: 'replace',
  read: 'read',
  refresh: 'read',
  import: 'create',
};

export interface Step {
  urn: string;
  name: string;
  type: string;
  operation: Operation;
  /** The engine's own word, which tells the halves of a replacement apart. */
  engineStep: string;
  /** Names of the properties that differ, without values. */
  properties: string[];
}

type Metadata = NonNullable<EngineEvent['resourcePreEvent']>['metadata'];

/** A step that does something to the world; undefined for components, providers and the stack itself. */
export function stepOf(metadata: Metadata): Step | undefined {
  const state = metadata.new ?? metadata.old;
  if (state?.custom !== true || metadata.type.startsWith('pulumi:')) return undefined;
  const detailed = Object.keys(metadata.detailedDiff ?? {});
  const properties = detailed.length > 0 ? detailed : (metadata.diffs ?? []);
  return {
    urn: metadata.urn,
    name: nameOf(metadata.urn),
    type: metadata.type,
    operation: OPERATION_OF_STEP[metadata.op] ?? 'read',
    engineStep: metadata.op,
    properties: [...new Set(properties)].sort(),
  };
}

export const nameOf = (urn: string) => urn.slice(urn.lastIndexOf('::') + 2);

/** The last part of a resource's name, in the words of a site. */
const ROLES: Record<string, string> = {
  [MACHINE_ROLE]: 'virtual machine',
  ssh: 'first connection',
  seed: 'removal of the seed',
  prepare: 'preparation',
  runtime: 'Kubernetes programs',
  'control-plane': 'control plane',
  'step-down': 'leave of the virtual address',
  leave: 'leave of the cluster',
  reflectors: 'sessions with the route reflectors',
  'proof-node': 'proof',
  'proof-pair': 'proof',
  'cluster-proof-run': 'proof of the cluster',
};

/** `machines-hv1-image` is the base image on hypervisor `hv1`: the one thing that belongs to a hypervisor. */
const BASE_IMAGE = /^machines-(.+)-image$/;

const words = (part: string) => ROLES[part] ?? part.replace(BASE_IMAGE, 'base image on $1').replace(/-/g, ' ').trim();

/** Finds the machine in a resource's name, which is keyed by machine names: `acme-cp1-prepare` is `preparation` of `cp1`. */
export function labelOf(name: string, site: string, nodes: readonly string[]): ResourceLabel {
  const own = name === site ? '' : name.startsWith(`${site}-`) ? name.slice(site.length + 1) : name;
  // The longest name that fits: `db-1` before `db`.
  const byLength = [...nodes].sort((a, b) => b.length - a.length);
  const node = byLength.find((candidate) => `-${own}-`.includes(`-${candidate}-`));
  if (node === undefined) return { node: site, what: words(own) || 'site', role: own };
  const [before, after] = `-${own}-`.split(`-${node}-`).map((part) => part.replace(/^-+|-+$/g, ''));
  // What stands before a machine's name says which group of the program it is in; alone, it is all there is.
  const role = after || before;
  // A pair of machines counts for the first of the two.
  const first = [before.split('-').pop()!, node].find((part) => nodes.includes(part))!;
  const other = nodes.includes(after) ? after : first !== node ? node : undefined;
  if (other === undefined) return { node, what: words(role) || 'machine', role };
  const group = first === node ? before : before.slice(0, -first.length - 1);
  return { node: first, what: `${words(group)} with ${other}`.trim(), role: group };
}
