import * as grpc from '@grpc/grpc-js';
import { PluginInfo, type PluginAttach } from '@pulumi/pulumi/proto/plugin_pb';
import * as proto from '@pulumi/pulumi/proto/provider_pb';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import { EngineLog, type Severity } from './engineLog';
import { changes, fromStruct, toStruct, unknown, type ChangeKind, type Values } from './values';

export interface CheckFailure {
  property: string;
  reason: string;
}

/** What runs on behalf of one request. */
export interface Operation {
  /** Name of the resource; the function's token for a call. */
  name: string;
  /** Aborted with a readable reason when the engine cancels or the time limit of the step has passed. */
  signal: AbortSignal;
  log(severity: Severity, message: string, opts?: { ephemeral: boolean }): void;
}

/** One kind of resource. Values still carry their secret marks; outputs must carry them again. */
export interface ResourceKind {
  /** Inputs completed with defaults and secret marks, or what is wrong with them. */
  check(inputs: Values): { inputs: Values; failures: CheckFailure[] };
  /** Whether a change at this property path needs a new resource. */
  replaces(path: string): boolean;
  /** Outputs that only a real run can tell. */
  lateOutputs: string[];
  create(op: Operation, inputs: Values): Promise<{ id: string; outputs: Values }>;
  update(op: Operation, state: Values, inputs: Values): Promise<Values>;
  delete(op: Operation, state: Values): Promise<void>;
}

export type PluginFunction = (op: Operation, args: Values) => Promise<Values>;

export interface Plugin {
  name: string;
  version: string;
  /** Package schema as JSON text. */
  schema: string;
  resources: Record<string, ResourceKind>;
  functions: Record<string, PluginFunction>;
}

type Handler<Q, R> = (request: Q) => Promise<R> | R;

/**
 * Answers the engine's ResourceProvider service for one plugin. There is no Read of real things: a refresh returns the
 * recorded state, as the plugins do that this stands in for.
 */
export class PluginServer {
  readonly log = new EngineLog();
  private readonly cancelled = new AbortController();

  constructor(private readonly plugin: Plugin) {}

  /** Ends everything that runs; called when the engine cancels and when it has gone away. */
  cancel(reason: string): void {
    this.cancelled.abort(new Error(reason));
  }

  /** The handlers by the names of the service definition. */
  service(): grpc.UntypedServiceImplementation {
    return {
      handshake: unary(() => {
        const response = new proto.ProviderHandshakeResponse();
        response.setAcceptSecrets(true);
        response.setAcceptResources(true);
        return response;
      }),
      attach: unary((request: PluginAttach) => {
        this.log.connect(request.getAddress());
        return new Empty();
      }),
      getPluginInfo: unary(() => new PluginInfo().setVersion(this.plugin.version)),
      getSchema: unary(() => new proto.GetSchemaResponse().setSchema(this.plugin.schema)),
      checkConfig: unary((request: proto.CheckRequest) => new proto.CheckResponse().setInputs(request.getNews())),
      diffConfig: unary(() => new proto.DiffResponse().setChanges(proto.DiffResponse.DiffChanges.DIFF_NONE)),
      configure: unary(() => {
        const response = new proto.ConfigureResponse();
        response.setAcceptsecrets(true);
        response.setAcceptresources(true);
        response.setSupportspreview(true);
        return response;
      }),
      check: unary((request: proto.CheckRequest) => this.check(request)),
      diff: unary((request: proto.DiffRequest) => this.diff(request)),
      create: unary((request: proto.CreateRequest) => this.create(request)),
      update: unary((request: proto.UpdateRequest) => this.update(request)),
      delete: unary((request: proto.DeleteRequest) => this.delete(request)),
      read: unary((request: proto.ReadRequest) => {
        const response = new proto.ReadResponse().setId(request.getId());
        response.setProperties(request.getProperties());
        response.setInputs(request.getInputs());
        return response;
      }),
      invoke: unary((request: proto.InvokeRequest) => this.invoke(request)),
      cancel: unary(() => {
        this.cancel('cancelled');
        return new Empty();
      }),
    };
  }

  private check(request: proto.CheckRequest): proto.CheckResponse {
    const { inputs, failures } = this.kind(request.getUrn()).check(fromStruct(request.getNews()));
    const response = new proto.CheckResponse().setInputs(toStruct(inputs));
    response.setFailuresList(
      failures.map(({ property, reason }) => new proto.CheckFailure().setProperty(property).setReason(reason)),
    );
    return response;
  }

  private diff(request: proto.DiffRequest): proto.DiffResponse {
    const kind = this.kind(request.getUrn());
    const before = fromStruct(request.getOldInputs());
    const after = withIgnored(before, fromStruct(request.getNews()), request.getIgnorechangesList());
    const response = new proto.DiffResponse().setHasdetaileddiff(true);
    const found = changes(before, after);
    for (const [path, change] of found) {
      const replaces = kind.replaces(path);
      response.addDiffs(path);
      if (replaces) response.addReplaces(path);
      response
        .getDetaileddiffMap()
        .set(path, new proto.PropertyDiff().setKind(diffKind(change, replaces)).setInputdiff(true));
    }
    const { DIFF_SOME, DIFF_NONE } = proto.DiffResponse.DiffChanges;
    return response.setChanges(found.size > 0 ? DIFF_SOME : DIFF_NONE);
  }

  private async create(request: proto.CreateRequest): Promise<proto.CreateResponse> {
    const kind = this.kind(request.getUrn());
    const inputs = fromStruct(request.getProperties());
    if (request.getPreview()) {
      return new proto.CreateResponse().setProperties(toStruct({ ...inputs, ...late(kind) }));
    }
    const { id, outputs } = await this.run(request.getUrn(), request.getTimeout(), (op) => kind.create(op, inputs));
    return new proto.CreateResponse().setId(id).setProperties(toStruct(outputs));
  }

  private async update(request: proto.UpdateRequest): Promise<proto.UpdateResponse> {
    const kind = this.kind(request.getUrn());
    const before = fromStruct(request.getOldInputs());
    const inputs = withIgnored(before, fromStruct(request.getNews()), request.getIgnorechangesList());
    if (request.getPreview()) {
      return new proto.UpdateResponse().setProperties(toStruct({ ...inputs, ...late(kind) }));
    }
    const state = fromStruct(request.getOlds());
    const outputs = await this.run(request.getUrn(), request.getTimeout(), (op) => kind.update(op, state, inputs));
    return new proto.UpdateResponse().setProperties(toStruct(outputs));
  }

  private async delete(request: proto.DeleteRequest): Promise<Empty> {
    const kind = this.kind(request.getUrn());
    const state = fromStruct(request.getProperties());
    await this.run(request.getUrn(), request.getTimeout(), (op) => kind.delete(op, state));
    return new Empty();
  }

  private async invoke(request: proto.InvokeRequest): Promise<proto.InvokeResponse> {
    const token = request.getTok();
    const call = this.plugin.functions[token];
    if (!call) throw new Error(`the ${this.plugin.name} plugin has no function ${token}`);
    const result = await this.run('', 0, (op) => call({ ...op, name: token }, fromStruct(request.getArgs())));
    return new proto.InvokeResponse().setReturn(toStruct(result));
  }

  private kind(urn: string): ResourceKind {
    const type = urn.split('::')[2].split('$').pop() as string;
    const kind = this.plugin.resources[type];
    if (!kind) throw new Error(`the ${this.plugin.name} plugin has no resource ${type}`);
    return kind;
  }

  /** @param timeoutSeconds 0 where the program set no time limit. */
  private async run<T>(urn: string, timeoutSeconds: number, work: (op: Operation) => Promise<T>): Promise<T> {
    const overdue = new AbortController();
    const timer =
      timeoutSeconds > 0
        ? setTimeout(
            () => overdue.abort(new Error(`stopped: not finished within its time limit of ${timeoutSeconds} s`)),
            timeoutSeconds * 1000,
          )
        : undefined;
    const signal = AbortSignal.any([this.cancelled.signal, overdue.signal]);
    try {
      signal.throwIfAborted();
      return await work({
        name: urn.split('::').slice(3).join('::'),
        signal,
        log: (severity, message, opts) => this.log.write(urn, severity, message, opts?.ephemeral ?? false),
      });
    } finally {
      clearTimeout(timer);
      await this.log.flush();
    }
  }
}

function late(kind: ResourceKind): Values {
  return Object.fromEntries(kind.lateOutputs.map((name) => [name, unknown]));
}

/** The engine resets ignored paths itself; older engines leave top-level names to the plugin. */
function withIgnored(before: Values, after: Values, ignored: string[]): Values {
  const result = { ...after };
  for (const name of ignored) {
    if (name in before) result[name] = before[name];
  }
  return result;
}

function diffKind(change: ChangeKind, replaces: boolean): proto.PropertyDiff.Kind {
  const { Kind } = proto.PropertyDiff;
  switch (change) {
    case 'add':
      return replaces ? Kind.ADD_REPLACE : Kind.ADD;
    case 'delete':
      return replaces ? Kind.DELETE_REPLACE : Kind.DELETE;
    case 'update':
      return replaces ? Kind.UPDATE_REPLACE : Kind.UPDATE;
  }
}

function unary<Q, R>(handle: Handler<Q, R>): grpc.handleUnaryCall<Q, R> {
  return async (call, callback) => {
    try {
      callback(null, await handle(call.request));
    } catch (error) {
      callback({ code: grpc.status.UNKNOWN, details: error instanceof Error ? error.message : String(error) });
    }
  };
}
