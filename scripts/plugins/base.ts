import * as grpc from '@grpc/grpc-js';
import { PluginInfo, type PluginAttach } from '@pulumi/pulumi/proto/plugin_pb';
import * as proto from '@pulumi/pulumi/proto/provider_pb';
import { Status } from '@pulumi/pulumi/proto/status_pb';
import { Any } from 'google-protobuf/google/protobuf/any_pb';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import { EngineLog, type Severity } from './engineLog';
import { changes, fromStruct, toStruct, type ChangeKind, type Values } from './values';

export interface CheckFailure {
  property: string;
  reason: string;
}

/** What runs on behalf of one request. */
export interface Operation {
  /** Name of the resource; the function's token for a call. */
  name: string;
  /** Empty for a call. */
  urn: string;
  /** Time limit that the program set for the step; 0 where it set none. */
  timeoutSeconds: number;
  /** Aborted with a readable reason when the engine cancels or the time limit of the step has passed. */
  signal: AbortSignal;
  log(severity: Severity, message: string, opts?: { ephemeral: boolean }): void;
}

/** A Check: what the last one gave, and what a name may be made from. */
export interface CheckOperation extends Operation {
  /** The inputs of the recorded resource; undefined where a new one is made. */
  before: Values | undefined;
  /** The same in the preview and in the run that follows it; empty where the engine gives none. */
  randomSeed: Buffer;
  /** The name the engine wants, or `disabled` where the program must give one. */
  autonaming: { proposedName: string } | 'disabled' | undefined;
}

export interface Checked {
  inputs: Values;
  failures: CheckFailure[];
}

/** One kind of resource. Values still carry their secret marks; outputs must carry them again. */
export interface ResourceKind {
  /** Inputs completed with defaults and secret marks, or what is wrong with them. */
  check(inputs: Values, op: CheckOperation): Checked | Promise<Checked>;
  /** Both sides of a comparison in one form; by default they are compared as they are. */
  comparable?(before: Values, after: Values, id: string): { before: Values; after: Values };
  /** Whether a change at this property path needs a new resource with these inputs. */
  replaces(path: string, inputs: Values): boolean;
  /** Whether the old resource has to go before its replacement can be made. */
  deletesBeforeReplace?(before: Values, after: Values): boolean;
  /** Outputs as far as they can be told without a change. `state` is undefined where a new resource is made. */
  preview(op: Operation, inputs: Values, state: Values | undefined): Values | Promise<Values>;
  create(op: Operation, inputs: Values): Promise<{ id: string; outputs: Values }>;
  update(op: Operation, state: Values, inputs: Values, id: string): Promise<Values>;
  delete(op: Operation, state: Values, id: string): Promise<void>;
  /**
   * The resource as it is now; undefined where it is gone. `inputs` is empty for an import. Without this, a refresh
   * returns the recorded state.
   */
  read?(op: Operation, id: string, inputs: Values, state: Values): Promise<ReadResult | undefined>;
}

export interface ReadResult {
  inputs: Values;
  outputs: Values;
}

/** The resource is there and has to be recorded, but it is not as it should be: the next run updates it. */
export class IncompleteError extends Error {
  constructor(
    reason: string,
    readonly id: string,
    readonly outputs: Values,
    /** For a read: the inputs that were found. */
    readonly inputs?: Values,
  ) {
    super(reason);
    this.name = 'IncompleteError';
  }
}

/** What the program gave the provider. */
export interface Configuration {
  check(inputs: Values): Checked;
  /** Names of the settings that changed, and of those whose change means that every resource must be made again. */
  diff(before: Values, after: Values): { changed: string[]; replaces: string[] };
  configure(inputs: Values): void;
}

export type PluginFunction = (op: Operation, args: Values) => Promise<Values>;

export interface Plugin {
  name: string;
  version: string;
  /** Package schema as JSON text. */
  schema: string;
  /** Absent where there is nothing to set. */
  configuration?: Configuration;
  /** The kind behind a type token; throws with the reason where there is none. */
  kind(type: string): ResourceKind;
  functions: Record<string, PluginFunction>;
  /** Whether names are made as the engine's configuration of automatic names says. */
  autonaming?: boolean;
}

type Handler<Q, R> = (request: Q) => Promise<R> | R;

/** Answers the engine's ResourceProvider service for one plugin. */
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
      checkConfig: unary((request: proto.CheckRequest) => this.checkConfig(request)),
      diffConfig: unary((request: proto.DiffRequest) => this.diffConfig(request)),
      configure: unary((request: proto.ConfigureRequest) => {
        this.plugin.configuration?.configure(fromStruct(request.getArgs()));
        const response = new proto.ConfigureResponse();
        response.setAcceptsecrets(true);
        response.setAcceptresources(true);
        response.setSupportspreview(true);
        response.setSupportsAutonamingConfiguration(this.plugin.autonaming ?? false);
        return response;
      }),
      check: unary((request: proto.CheckRequest) => this.check(request)),
      diff: unary((request: proto.DiffRequest) => this.diff(request)),
      create: unary((request: proto.CreateRequest) => this.create(request)),
      update: unary((request: proto.UpdateRequest) => this.update(request)),
      delete: unary((request: proto.DeleteRequest) => this.delete(request)),
      read: unary((request: proto.ReadRequest) => this.read(request)),
      construct: unary((request: proto.ConstructRequest) => {
        this.plugin.kind(request.getType());
        throw new Error(`${request.getType()} is no component of the ${this.plugin.name} plugin`);
      }),
      invoke: unary((request: proto.InvokeRequest) => this.invoke(request)),
      cancel: unary(() => {
        this.cancel('cancelled');
        return new Empty();
      }),
    };
  }

  private checkConfig(request: proto.CheckRequest): proto.CheckResponse {
    const inputs = fromStruct(request.getNews());
    return checkResponse(this.plugin.configuration?.check(inputs) ?? { inputs, failures: [] });
  }

  private diffConfig(request: proto.DiffRequest): proto.DiffResponse {
    const { DIFF_SOME, DIFF_NONE } = proto.DiffResponse.DiffChanges;
    const before = fromStruct(request.getOldInputs() ?? request.getOlds());
    const found = this.plugin.configuration?.diff(before, fromStruct(request.getNews()));
    if (!found || found.changed.length === 0) return new proto.DiffResponse().setChanges(DIFF_NONE);
    const response = new proto.DiffResponse().setChanges(DIFF_SOME);
    return response.setDiffsList(found.changed).setReplacesList(found.replaces);
  }

  private async check(request: proto.CheckRequest): Promise<proto.CheckResponse> {
    const olds = request.getOlds();
    const before = olds && fromStruct(olds);
    const autonaming = request.getAutonaming();
    const { DISABLE } = proto.CheckRequest.AutonamingOptions.Mode;
    return this.run(request.getUrn(), 0, async (op) => {
      const checked = await this.kind(request.getUrn()).check(fromStruct(request.getNews()), {
        ...op,
        before: before && Object.keys(before).length > 0 ? before : undefined,
        randomSeed: Buffer.from(request.getRandomseed_asU8()),
        autonaming:
          autonaming &&
          (autonaming.getMode() === DISABLE ? 'disabled' : { proposedName: autonaming.getProposedName() }),
      });
      return checkResponse(checked);
    });
  }

  private diff(request: proto.DiffRequest): proto.DiffResponse {
    const kind = this.kind(request.getUrn());
    const recorded = fromStruct(request.getOldInputs());
    const wanted = withIgnored(recorded, fromStruct(request.getNews()), request.getIgnorechangesList());
    const { before, after } = kind.comparable?.(recorded, wanted, request.getId()) ?? {
      before: recorded,
      after: wanted,
    };
    const response = new proto.DiffResponse().setHasdetaileddiff(true);
    const found = changes(before, after);
    for (const [path, change] of found) {
      const replaces = kind.replaces(path, after);
      if (replaces) response.addReplaces(path);
      response
        .getDetaileddiffMap()
        .set(path, new proto.PropertyDiff().setKind(diffKind(change, replaces)).setInputdiff(true));
    }
    // The engine's short form of a diff knows names of properties only.
    response.setDiffsList([...new Set([...found.keys()].map((path) => path.split(/[.[]/)[0]))]);
    if (response.getReplacesList().length > 0 && kind.deletesBeforeReplace?.(before, after)) {
      response.setDeletebeforereplace(true);
    }
    const { DIFF_SOME, DIFF_NONE } = proto.DiffResponse.DiffChanges;
    return response.setChanges(found.size > 0 ? DIFF_SOME : DIFF_NONE);
  }

  private async create(request: proto.CreateRequest): Promise<proto.CreateResponse> {
    const kind = this.kind(request.getUrn());
    const inputs = fromStruct(request.getProperties());
    return this.run(request.getUrn(), request.getTimeout(), async (op) => {
      if (request.getPreview()) {
        return new proto.CreateResponse().setProperties(toStruct(await kind.preview(op, inputs, undefined)));
      }
      const { id, outputs } = await kind.create(op, inputs);
      return new proto.CreateResponse().setId(id).setProperties(toStruct(outputs));
    });
  }

  private async update(request: proto.UpdateRequest): Promise<proto.UpdateResponse> {
    const kind = this.kind(request.getUrn());
    const before = fromStruct(request.getOldInputs());
    const inputs = withIgnored(before, fromStruct(request.getNews()), request.getIgnorechangesList());
    const state = fromStruct(request.getOlds());
    return this.run(request.getUrn(), request.getTimeout(), async (op) => {
      const outputs = request.getPreview()
        ? await kind.preview(op, inputs, state)
        : await kind.update(op, state, inputs, request.getId());
      return new proto.UpdateResponse().setProperties(toStruct(outputs));
    });
  }

  private async delete(request: proto.DeleteRequest): Promise<Empty> {
    const kind = this.kind(request.getUrn());
    const state = fromStruct(request.getProperties());
    await this.run(request.getUrn(), request.getTimeout(), (op) => kind.delete(op, state, request.getId()));
    return new Empty();
  }

  private async read(request: proto.ReadRequest): Promise<proto.ReadResponse> {
    const response = new proto.ReadResponse();
    const kind = this.kind(request.getUrn());
    if (!kind.read) {
      response.setId(request.getId()).setProperties(request.getProperties()).setInputs(request.getInputs());
      return response;
    }
    const [inputs, state] = [fromStruct(request.getInputs()), fromStruct(request.getProperties())];
    const found = await this.run(request.getUrn(), request.getTimeout(), (op) =>
      kind.read!(op, request.getId(), inputs, state),
    );
    // No id is how the engine learns that the resource is gone.
    if (!found) return response;
    return response.setId(request.getId()).setProperties(toStruct(found.outputs)).setInputs(toStruct(found.inputs));
  }

  private async invoke(request: proto.InvokeRequest): Promise<proto.InvokeResponse> {
    const token = request.getTok();
    const call = this.plugin.functions[token];
    if (!call) throw new Error(`the ${this.plugin.name} plugin has no function ${token}`);
    const result = await this.run('', 0, (op) => call({ ...op, name: token }, fromStruct(request.getArgs())));
    return new proto.InvokeResponse().setReturn(toStruct(result));
  }

  private kind(urn: string): ResourceKind {
    return this.plugin.kind(urn.split('::')[2].split('$').pop() as string);
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
        urn,
        timeoutSeconds,
        signal,
        log: (severity, message, opts) => this.log.write(urn, severity, message, opts?.ephemeral ?? false),
      });
    } finally {
      clearTimeout(timer);
      await this.log.flush();
    }
  }
}

/** The kinds of a plugin whose tokens are known beforehand. */
export function kindsByToken(plugin: string, kinds: Record<string, ResourceKind>): Plugin['kind'] {
  return (type) => {
    if (!kinds[type]) throw new Error(`the ${plugin} plugin has no resource ${type}`);
    return kinds[type];
  };
}

function checkResponse({ inputs, failures }: Checked): proto.CheckResponse {
  const response = new proto.CheckResponse().setInputs(toStruct(inputs));
  return response.setFailuresList(
    failures.map(({ property, reason }) => new proto.CheckFailure().setProperty(property).setReason(reason)),
  );
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
      const details = error instanceof Error ? error.message : String(error);
      const metadata = error instanceof IncompleteError ? incompleteDetails(error) : undefined;
      callback({ code: grpc.status.UNKNOWN, details, metadata });
    }
  };
}

/** What was made goes with the error, in the trailer in which the engine looks for it. */
function incompleteDetails(error: IncompleteError): grpc.Metadata {
  const detail = new proto.ErrorResourceInitFailed().setId(error.id).setReasonsList([error.message]);
  detail.setProperties(toStruct(error.outputs));
  if (error.inputs) detail.setInputs(toStruct(error.inputs));
  const packed = new Any();
  packed.pack(detail.serializeBinary(), 'pulumirpc.ErrorResourceInitFailed');
  const status = new Status().setCode(grpc.status.UNKNOWN).setMessage(error.message);
  status.addDetails(packed);
  const metadata = new grpc.Metadata();
  metadata.add('grpc-status-details-bin', Buffer.from(status.serializeBinary()));
  return metadata;
}
