import { IncompleteError, type Operation, type ReadResult, type ResourceKind } from '../base';
import { hasUnknown, isObject, isSecret, plain, unknown, type Value, type Values } from '../values';
import { createObject, dryRun, relinquish, updateObject, type Applied } from './apply';
import { checkObject, sameNamespace } from './check';
import { ApiError, UnreachableError } from './client';
import { UnknownKindError } from './cluster';
import { driftedInputs, importedInputs } from './drift';
import { fieldManagerOf } from './fieldManager';
import {
  annotation,
  idOf,
  namespaceOf,
  nameOf,
  parseId,
  redacted,
  textOf,
  withSecretMarks,
  withUnderscores,
  type KubeObject,
} from './objects';
import { readinessOf } from './readiness';
import { needsNewObject } from './replaces';
import type { Session } from './session';
import { apiVersionOf, type ResourceType } from './token';
import { limited, NotReadyError, skipsWaiting, untilGone, untilReady } from './wait';

/** One kind of Kubernetes object as a kind of resource. */
export class ObjectKind implements ResourceKind {
  /** @param session asked when it is needed: the engine may ask for kinds before it configures the plugin. */
  constructor(
    private readonly type: ResourceType,
    private readonly session: () => Session,
  ) {}

  async check(inputs: Values, op: Parameters<ResourceKind['check']>[1]) {
    const session = this.session();
    const isNamespaced = await session.isNamespaced(op.signal, this.type);
    return checkObject(inputs, op, { type: this.type, isNamespaced, defaultNamespace: session.settings.namespace });
  }

  comparable(before: Values, after: Values, id: string) {
    return sameNamespace(before, after, parseId(id).namespace, this.session().settings.namespace);
  }

  replaces(path: string, inputs: Values): boolean {
    return needsNewObject(this.type, path, plain(inputs) as KubeObject, this.session().settings);
  }

  /** Two objects cannot have one name in one namespace; one whose name was made here gets a new name. */
  deletesBeforeReplace(before: Values, after: Values): boolean {
    const [old, now] = [plain(before) as KubeObject, plain(after) as KubeObject];
    if (this.type.isPatch || annotation(now, 'pulumi.com/autonamed') === 'true') return false;
    return nameOf(old) === nameOf(now) && namespaceOf(old) === namespaceOf(now);
  }

  async preview(op: Operation, inputs: Values, state: Values | undefined): Promise<Values> {
    if (hasUnknown(inputs) || this.type.isPatch || !this.session().settings.connection) return guess(inputs, state);
    try {
      const result = await this.redacting(inputs, () =>
        this.session().look(() => dryRun(op, this.session(), this.type, plain(inputs) as KubeObject, state)),
      );
      return result ? foreseen(shown(result, inputs), state) : guess(inputs, state);
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error;
      op.log('warning', `previewed from the program alone: ${error.message}`);
      return guess(inputs, state);
    }
  }

  async create(op: Operation, inputs: Values): Promise<{ id: string; outputs: Values }> {
    const object = plain(inputs) as KubeObject;
    const signal = limited(op, object);
    const applied = await this.redacting(inputs, () => createObject(op, signal, this.session(), this.type, object));
    return this.whenReady(op, signal, applied, inputs, apiVersionOf(this.type));
  }

  async update(op: Operation, state: Values, inputs: Values): Promise<Values> {
    const object = plain(inputs) as KubeObject;
    const signal = limited(op, object);
    const applied = await this.redacting(inputs, () =>
      updateObject(op, signal, this.session(), this.type, object, state),
    );
    return (await this.whenReady(op, signal, applied, inputs, initialApiVersion(state, inputs))).outputs;
  }

  async delete(op: Operation, state: Values, id: string): Promise<void> {
    const session = this.session();
    const inputs = plain(state.__inputs ?? {}) as KubeObject;
    const signal = limited(op, inputs);
    try {
      const api = await session.cluster.api(signal, this.type);
      const live = await session.cluster.get(signal, api, id);
      if (!live) return;
      if (this.type.isPatch) {
        return await relinquish(signal, session.cluster, api, live, fieldManagerOf(op.urn, inputs, state));
      }
      await session.cluster.delete(signal, api, id, propagationPolicy(inputs));
      // Only where the official plugin has something to wait for may waiting be left out: names are free only when gone.
      if (skipsWaiting(inputs) && (readinessOf(this.type) || this.type.kind === 'Namespace')) return;
      await untilGone(op, signal, session.cluster, api, live);
    } catch (error) {
      if (error instanceof UnknownKindError) return;
      if (!(error instanceof UnreachableError)) throw error;
      if (!session.settings.deleteUnreachable) throw new Error(`${error.message}. ${ifGone}`);
      op.log('warning', `${error.message}; forgotten without being deleted (deleteUnreachable)`);
    }
  }

  async read(op: Operation, id: string, inputs: Values, state: Values): Promise<ReadResult | undefined> {
    const session = this.session();
    let live: KubeObject | undefined;
    try {
      const api = await session.cluster.api(op.signal, this.type);
      live = await session.cluster.get(op.signal, api, id);
    } catch (error) {
      if (error instanceof UnknownKindError) return undefined;
      if (!(error instanceof UnreachableError)) throw error;
      if (!session.settings.deleteUnreachable) throw new Error(`${error.message}. ${ifGone}`);
      op.log('warning', `${error.message}; forgotten (deleteUnreachable)`);
      return undefined;
    }
    if (!live) return undefined;
    const isImport = Object.keys(inputs).length === 0;
    const found = isImport ? importedInputs(live) : driftedInputs(inputs, plain(state) as KubeObject, live);
    const marked = withSecretMarks(found, inputs);
    const outputs = recorded(live, marked, fieldManagerOf(op.urn, live, state), initialApiVersion(state, marked));
    if (!isImport) await this.reportUnready(op, live, marked, outputs);
    return { inputs: marked, outputs };
  }

  /** One look, without waiting: a refresh must not forget that an object never became ready. */
  private async reportUnready(op: Operation, live: KubeObject, inputs: Values, outputs: Values): Promise<void> {
    const look = readinessOf(this.type);
    if (!look || skipsWaiting(plain(inputs) as KubeObject)) return;
    const { ready, message } = await look(live, this.session().cluster, op.signal);
    if (!ready) throw new IncompleteError(`it is not ready: ${message}`, idOf(live), outputs, inputs);
  }

  private async whenReady(
    op: Operation,
    signal: AbortSignal,
    applied: Applied,
    inputs: Values,
    apiVersion: string,
  ): Promise<{ id: string; outputs: Values }> {
    const { cluster } = this.session();
    const { api, live, fieldManager } = applied;
    const id = idOf(live);
    const look = readinessOf(this.type);
    if (!look || skipsWaiting(plain(inputs) as KubeObject)) {
      return { id, outputs: recorded(live, inputs, fieldManager, apiVersion) };
    }
    try {
      const ready = await untilReady(
        op,
        signal,
        live,
        (limit) => cluster.get(limit, api, id),
        (object, limit) => look(object, cluster, limit),
      );
      return { id, outputs: recorded(ready, inputs, fieldManager, apiVersion) };
    } catch (error) {
      if (!(error instanceof NotReadyError)) throw error;
      throw new IncompleteError(error.message, id, recorded(error.object, inputs, fieldManager, apiVersion));
    }
  }

  /** The API server quotes values that it does not accept. */
  private async redacting<T>(inputs: Values, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof ApiError) throw new Error(redacted(error.message, inputs));
      throw error;
    }
  }
}

const ifGone =
  'If the cluster is gone for good, PULUMI_K8S_DELETE_UNREACHABLE=true (deleteUnreachable of the provider) forgets its objects';

function propagationPolicy(inputs: KubeObject): string {
  const wanted = annotation(inputs, 'pulumi.com/deletionPropagationPolicy') ?? 'foreground';
  return wanted[0].toUpperCase() + wanted.slice(1).toLowerCase();
}

function initialApiVersion(state: Values, inputs: Values): string {
  return textOf(state.__initialApiVersion) ?? textOf(inputs.apiVersion) ?? '';
}

/** The whole object, in the spelling of the SDK. */
function shown(live: KubeObject, inputs: Values): Values {
  return withUnderscores(withSecretMarks(live, inputs)) as Values;
}

/** What the state holds: the whole object, and beside it what the official plugin keeps there under the same names. */
function recorded(live: KubeObject, inputs: Values, fieldManager: string, apiVersion: string): Values {
  return {
    ...shown(live, inputs),
    __inputs: withUnderscores(inputs),
    __initialApiVersion: apiVersion,
    __fieldManager: fieldManager,
  };
}

/** Given anew to each object. */
const newToEach = ['uid', 'resourceVersion', 'creationTimestamp', 'managedFields', 'generation'];

/** The result of a dry run without what will be different in the run. */
function foreseen(result: Values, state: Values | undefined): Values {
  const { status, ...outputs } = result;
  const metadata = { ...(outputs.metadata as Values) };
  delete metadata.managedFields;
  delete metadata.generation;
  metadata.resourceVersion = unknown;
  if (state === undefined) for (const name of ['uid', 'creationTimestamp']) metadata[name] = unknown;
  return state === undefined || status === undefined ? { ...outputs, metadata } : { ...outputs, metadata, status };
}

/** Outputs as far as the inputs tell them. */
function guess(inputs: Values, state: Values | undefined): Values {
  const { metadata } = inputs;
  if (!isObject(metadata) || isSecret(metadata)) return inputs;
  const before = isObject(state?.metadata) && !isSecret(state.metadata) ? state.metadata : {};
  const later = newToEach
    .filter((name) => name !== 'managedFields')
    .map((name): [string, Value] => [name, name === 'resourceVersion' ? unknown : (before[name] ?? unknown)]);
  return { ...inputs, metadata: { ...metadata, ...Object.fromEntries(later) } };
}
