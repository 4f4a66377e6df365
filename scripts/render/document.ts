import { createHash } from 'node:crypto';
import { decodedSeed } from '../../components/machines/guestinfo';
import { VIRTUAL_MACHINE } from '../../components/machines/vsphere';
import { renderPlan, type SitePlan } from '../../components/plan';
import type { SiteSpec } from '../../components/spec';
import { labelOf } from '../cli/resources';
import type { RecordedResource } from './monitor';
import { mark } from './redact';
import { scriptOfArgument, takeApart, writtenFiles } from './scriptParts';

/** Grows when a reader of the document would have to change. */
export const DOCUMENT_VERSION = 1;

/** Text of several lines is a list of them: the document is JSON, and people read and compare it. */
export type Text = string | string[];

/** The desired state of a site: what its files say, without state and without the site itself. */
export interface RenderDocument {
  schemaVersion: typeof DOCUMENT_VERSION;
  about: string;
  site: string;
  environment: SitePlan['environment'];
  kitVersion: string;
  /** Settings of the site file and its profiles with all defaults. */
  settings: SiteSpec;
  plan: SitePlan;
  /** The plan as `sitewright plan` shows it. */
  tables: Text;
  /** By machine, in the order of the site file. */
  nodes: Record<string, RenderedNode>;
  /** Objects of Kubernetes by `<kind> <namespace>/<name>`. */
  objects: Record<string, unknown>;
  /** Everything that the program registers, sorted by URN. */
  resources: RenderedResource[];
  /** Programs that scripts share, by the name that the resources have for them. */
  programs: Record<string, Text>;
  /** What the document cannot hold, one line each. */
  leftOut: string[];
}

export interface RenderedNode {
  /** By path. */
  files: Record<string, { mode: string; content: unknown }>;
  /** What a virtual machine is made of; its cloud-init reaches new machines only. */
  machine: { cloudInit: Record<string, unknown>; domainXml?: unknown } | null;
}

export type RenderedResource = Omit<RecordedResource, 'secretInputs' | 'custom'>;

const ABOUT =
  'The desired state of a site as its files say it, without state and without the site: it shows no drift. Secrets are ' +
  'marks of their kind; values that only a machine knows stay placeholders.';

export interface DocumentArgs {
  spec: SiteSpec;
  plan: SitePlan;
  resources: RecordedResource[];
  redact(text: string): string;
}

export function makeDocument({ spec, plan, resources, redact }: DocumentArgs): RenderDocument {
  const show = shower(redact);
  const machines = plan.nodes.map(({ name }) => name);
  const nodes: RenderDocument['nodes'] = Object.fromEntries(
    machines.map((name) => [name, { files: {}, machine: null }]),
  );
  const objects: RenderDocument['objects'] = {};
  const programs: RenderDocument['programs'] = {};

  const script = (text: string, of: RecordedResource) => {
    const parts = takeApart(text);
    const values: Record<string, unknown> = { ...parts.values };
    const node = nodes[labelOf(of.name, plan.site, machines).node];
    for (const { path, mode, variable } of node === undefined ? [] : writtenFiles(parts)) {
      if (values[variable] === '') continue;
      node!.files[path] ??= { mode, content: show(parts.values[variable]) };
      values[variable] = `the file ${path}`;
    }
    if (node !== undefined && 'domainXml' in values && 'userData' in values) {
      const { domainXml, userData, metaData, networkConfig } = values;
      const cloudInit = { 'user-data': userData, 'meta-data': metaData, 'network-config': networkConfig };
      node.machine = { cloudInit: show(cloudInit) as Record<string, unknown>, domainXml: show(domainXml) };
      for (const name of ['domainXml', 'userData', 'metaData', 'networkConfig']) values[name] = 'the machine';
    }
    const program = redact(parts.program);
    const name = createHash('sha256').update(program).digest('hex').slice(0, 12);
    programs[name] ??= asText(program);
    return { program: name, values: show(values) };
  };

  const inputsOf = (resource: RecordedResource): Record<string, unknown> => {
    if (resource.type.startsWith('kubernetes:')) {
      const key = objectKey(resource.inputs);
      objects[key] = show(withoutSecrets(resource.inputs, resource.secretInputs));
      return { object: key };
    }
    const seed = resource.type === VIRTUAL_MACHINE ? decodedSeed(resource.inputs.extraConfig) : null;
    const node = nodes[labelOf(resource.name, plan.site, machines).node];
    if (seed !== null && node !== undefined) {
      node.machine = {
        cloudInit: show({ 'user-data': seed.userData, 'meta-data': seed.metaData }) as Record<string, unknown>,
      };
    }
    const inputs = withoutSecrets(
      resource.inputs,
      // The first is taken apart; the second is secret as a whole because of the key in it.
      resource.secretInputs.filter((path) => path !== 'stdin' && path !== 'connection'),
    ) as Record<string, unknown>;
    return Object.fromEntries(
      Object.entries(inputs).map(([name, value]): [string, unknown] => {
        if (name === 'extraConfig' && seed !== null) return [name, 'the machine'];
        if (typeof value !== 'string') return [name, show(value)];
        if (name === 'stdin')
          return value.startsWith('{') ? ['request', show(JSON.parse(value))] : ['script', script(value, resource)];
        const argument = name === 'delete' ? scriptOfArgument(value) : undefined;
        return [name, argument === undefined ? show(value) : script(argument, resource)];
      }),
    );
  };

  const rendered = [...resources]
    .sort((a, b) => (a.urn < b.urn ? -1 : 1))
    .map((resource): RenderedResource => {
      const { urn, name, type, parent, provider, dependencies, protect, deletedWith } = resource;
      const { retainOnDelete, deleteBeforeReplace, ignoreChanges, replaceOnChanges } = resource;
      return {
        ...{ urn, name, type, parent, provider, dependencies, protect, deletedWith },
        ...{ retainOnDelete, deleteBeforeReplace, ignoreChanges, replaceOnChanges },
        inputs: inputsOf(resource),
      };
    });
  return {
    schemaVersion: DOCUMENT_VERSION,
    about: ABOUT,
    site: plan.site,
    environment: plan.environment,
    kitVersion: plan.kitVersion,
    settings: show(spec) as SiteSpec,
    plan: show(plan) as SitePlan,
    tables: asText(redact(renderPlan(plan, { color: false }))),
    nodes: Object.fromEntries(
      Object.entries(nodes).map(([name, node]) => [name, { ...node, files: sorted(node.files) }]),
    ),
    objects: sorted(objects),
    resources: rendered,
    programs: sorted(programs),
    leftOut: leftOut(plan),
  };
}

/** The document as text: the same bytes for the same desired state. */
export const documentText = (document: RenderDocument): string => `${JSON.stringify(document, null, 2)}\n`;

function leftOut({ cluster }: SitePlan): string[] {
  if (cluster === null) return [];
  const manifests = cluster.bundle.manifests.map(({ name }) => name);
  return manifests.length === 0
    ? []
    : [
        `the objects of ${manifests.join(', ')}: the bundle has them; what the kit changes in them is in plan.cluster.calico`,
      ];
}

const sorted = <T>(map: Record<string, T>): Record<string, T> =>
  Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));

const asText = (text: string): Text => (text.includes('\n') ? text.split('\n') : text);

/** Every text in a value without its secrets, those of several lines as lists. */
function shower(redact: (text: string) => string): (value: unknown) => unknown {
  const show = (value: unknown): unknown => {
    if (typeof value === 'string') return asText(redact(value));
    if (Array.isArray(value)) return value.map(show);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, show(item)]));
  };
  return show;
}

/** What is secret as a whole, by the last part of its path. */
function withoutSecrets(value: unknown, secretPaths: readonly string[]): unknown {
  const secret = new Set(secretPaths);
  const visit = (item: unknown, path: string): unknown => {
    if (secret.has(path)) return mark(path.split('.').pop()!);
    if (Array.isArray(item)) return item.map((one, index) => visit(one, `${path}[${index}]`));
    if (typeof item !== 'object' || item === null) return item;
    const within = path === '' ? '' : `${path}.`;
    return Object.fromEntries(Object.entries(item).map(([key, one]) => [key, visit(one, within + key)]));
  };
  return visit(value, '');
}

/** What an object is known by in a document. */
export function objectKey(inputs: Record<string, unknown>): string {
  const { kind, metadata } = inputs as { kind: string; metadata: { name: string; namespace?: string } };
  return `${kind} ${metadata.namespace === undefined ? '' : `${metadata.namespace}/`}${metadata.name}`;
}
