import type { Values } from '../values';
import { ApiClient, ApiError, type Answer } from './client';
import { nameOf, namespaceOf, objectsOf, parseId, textOf, type KubeObject } from './objects';
import { apiVersionOf, type ResourceType } from './token';

/** What the API server says of one kind. */
export interface Api {
  /** Below it are the objects, or `namespaces/<namespace>/<plural>`: such as /apis/apps/v1. */
  root: string;
  plural: string;
  namespaced: boolean;
}

/** The API server does not know the kind: its definition has not been made yet, or is gone. */
export class UnknownKindError extends Error {
  constructor(type: ResourceType) {
    super(
      `the API server has no kind ${type.kind} in ${apiVersionOf(type)}: ` +
        `make its CustomResourceDefinition first (dependsOn), or correct the apiVersion`,
    );
    this.name = 'UnknownKindError';
  }
}

export interface ApplyOptions {
  fieldManager: string;
  force: boolean;
  dryRun?: boolean;
}

/** Objects of one cluster. What the server says of its kinds is asked once in a run. */
export class Cluster {
  private readonly kinds = new Map<string, Promise<Values[]>>();

  constructor(private readonly client: ApiClient) {}

  /** @throws UnknownKindError */
  async api(signal: AbortSignal, type: ResourceType): Promise<Api> {
    const root = type.group ? `/apis/${type.group}/${type.version}` : `/api/${type.version}`;
    const found = (await this.kindsBelow(signal, root)).find(
      (item) => item.kind === type.kind && !String(item.name).includes('/'),
    );
    if (!found) {
      this.kinds.delete(root);
      throw new UnknownKindError(type);
    }
    return { root, plural: String(found.name), namespaced: found.namespaced === true };
  }

  private kindsBelow(signal: AbortSignal, root: string): Promise<Values[]> {
    const known = this.kinds.get(root);
    if (known) return known;
    const asked = this.client
      .request(signal, 'GET', root)
      .then(({ body }) => objectsOf(body.resources))
      .catch((error) => {
        this.kinds.delete(root);
        if (error instanceof ApiError && error.status === 404) return [];
        throw error;
      });
    this.kinds.set(root, asked);
    return asked;
  }

  /** Undefined where it does not exist. */
  async get(signal: AbortSignal, api: Api, id: string): Promise<KubeObject | undefined> {
    try {
      return (await this.client.request(signal, 'GET', pathOf(api, id))).body;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** Server-side apply: makes the object or changes the fields that differ. */
  apply(signal: AbortSignal, api: Api, object: KubeObject, opts: ApplyOptions): Promise<Answer> {
    const query = new URLSearchParams({ fieldManager: opts.fieldManager, force: String(opts.force) });
    query.set('fieldValidation', 'Warn');
    if (opts.dryRun) query.set('dryRun', 'All');
    const { name, namespace } = { name: nameOf(object), namespace: namespaceOf(object) };
    const path = `${pathOf(api, namespace ? `${namespace}/${name}` : name)}?${query}`;
    return this.client.request(signal, 'PATCH', path, object, 'application/apply-patch+yaml');
  }

  async patch(signal: AbortSignal, api: Api, id: string, operations: unknown[]): Promise<void> {
    await this.client.request(signal, 'PATCH', pathOf(api, id), operations, 'application/json-patch+json');
  }

  /** Does nothing where it is gone already. */
  async delete(signal: AbortSignal, api: Api, id: string, propagationPolicy: string): Promise<void> {
    const options = { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy };
    await this.client.request(signal, 'DELETE', pathOf(api, id), options).catch((error) => {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    });
  }

  /** Objects of a built-in kind in a namespace, at most `limit`. */
  async list(signal: AbortSignal, collection: string, labelSelector: string, limit: number): Promise<KubeObject[]> {
    const query = new URLSearchParams({ labelSelector, limit: String(limit) });
    return objectsOf((await this.client.request(signal, 'GET', `${collection}?${query}`)).body.items);
  }
}

function pathOf(api: Api, id: string): string {
  const { namespace, name } = parseId(id);
  const scope = api.namespaced ? `/namespaces/${encodeURIComponent(namespace ?? 'default')}` : '';
  return `${api.root}${scope}/${api.plural}/${encodeURIComponent(name)}`;
}

/** `a=b,c=d` of a selector's matchLabels; undefined where it selects by expressions too. */
export function labelSelector(selector: Values): string | undefined {
  const labels = Object.entries((selector.matchLabels ?? {}) as Values);
  if (selector.matchExpressions !== undefined || labels.length === 0) return undefined;
  return labels.map(([name, value]) => `${name}=${textOf(value) ?? ''}`).join(',');
}
