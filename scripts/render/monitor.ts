import * as pulumi from '@pulumi/pulumi';
import { isRpcSecret, unknownValue, unwrapRpcSecret } from '@pulumi/pulumi/runtime';
import { MockMonitor } from '@pulumi/pulumi/runtime/mocks';
import { registerAll, sdk, UncaughtErrors } from '../engine/registerAll';

/** What a program asked the engine to register: more than mocks show, which see neither options nor secrets. */
export interface RecordedResource {
  type: string;
  name: string;
  /** As the engine makes it, with the types of all its parents. */
  urn: string;
  custom: boolean;
  /** Name of the parent resource; null for the stack and for resources without one. */
  parent: string | null;
  /** Name of the provider resource that it goes to; null: the default one of its package. */
  provider: string | null;
  /** Names of the resources that it depends on, sorted; the children of a component stand for it. */
  dependencies: string[];
  protect: boolean;
  /** Name; null: not set. */
  deletedWith: string | null;
  /** It stays when the program no longer registers it. */
  retainOnDelete: boolean;
  deleteBeforeReplace: boolean;
  ignoreChanges: string[];
  replaceOnChanges: string[];
  /** Plain values; secrets are unwrapped and unknown values are `UNKNOWN`. */
  inputs: Record<string, unknown>;
  /** Paths of the inputs that are secret, such as `stdin` or `connection.privateKey`, sorted. */
  secretInputs: string[];
}

export const UNKNOWN = '<unknown>';

export interface MonitorOptions {
  /** True: a preview, in which nothing has an id or outputs yet. */
  preview: boolean;
  project: string;
  stack: string;
  /** Id and outputs of a custom resource in an update. */
  answer(resource: { type: string; name: string; inputs: Record<string, unknown> }): {
    id: string;
    outputs: Record<string, unknown>;
  };
}

/**
 * Runs a program against a monitor in this process that records each registration, and waits until all of it is
 * registered. No engine, plugin or network. The only place that knows the SDK's own mock monitor; one program at a time,
 * because the SDK keeps its settings for the whole process.
 */
export async function recordProgram(program: () => unknown, options: MonitorOptions): Promise<RecordedResource[]> {
  const monitor = new RecordingMonitor(options);
  pulumi.runtime.setMockOptions(monitor, options.project, options.stack, options.preview);
  // Without its answers the SDK takes the engine for one that knows neither secrets nor deletedWith.
  await sdk.awaitFeatureSupport();
  const uncaught = new UncaughtErrors();
  try {
    await registerAll(program, uncaught);
  } finally {
    uncaught.dispose();
  }
  return monitor.recorded;
}

class RecordingMonitor extends MockMonitor {
  readonly recorded: RecordedResource[] = [];

  constructor({ preview, project, stack, answer }: MonitorOptions) {
    super({
      call: () => ({}),
      newResource: ({ type, name, inputs, custom }) => {
        if (!custom) return { id: undefined, state: {} };
        if (preview) return { id: undefined, state: inputs };
        const { id, outputs } = answer({ type, name, inputs });
        return { id, state: outputs };
      },
    });
    // The SDK's own knows the type of the nearest parent only. It is private there.
    Object.assign(this, {
      newUrn: (parent: string, type: string, name: string) => engineUrn({ project, stack, parent, type, name }),
    });
  }

  // The SDK has no types for the requests of its own monitor.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  override async registerResource(req: any, callback: any): Promise<void> {
    // As it goes over the wire: the SDK's own reader would mark the whole object around a secret.
    const inputs = req.getObject().toJavaScript() as Record<string, unknown>;
    const secretInputs: string[] = [];
    this.recorded.push({
      type: req.getType(),
      name: req.getName(),
      urn: (this as unknown as { newUrn(...of: string[]): string }).newUrn(
        req.getParent(),
        req.getType(),
        req.getName(),
      ),
      custom: req.getCustom(),
      parent: nameOf(req.getParent()),
      provider: providerName(req.getProvider()),
      dependencies: (req.getDependenciesList() as string[]).map((urn) => nameOf(urn)!).sort(),
      protect: req.getProtect() === true,
      deletedWith: nameOf(req.getDeletedwith()),
      retainOnDelete: req.getRetainondelete() === true,
      deleteBeforeReplace: req.getDeletebeforereplace(),
      ignoreChanges: req.getIgnorechangesList(),
      replaceOnChanges: req.getReplaceonchangesList(),
      inputs: plain(inputs, '', secretInputs) as Record<string, unknown>,
      secretInputs: secretInputs.sort(),
    });
    return super.registerResource(req, callback);
  }
}

/** The stack itself is a parent that leaves no trace in the types of its children. */
function engineUrn(of: { project: string; stack: string; parent: string; type: string; name: string }): string {
  const parentTypes = of.parent ? of.parent.split('::')[2]! : '';
  const types = parentTypes === '' || parentTypes === 'pulumi:pulumi:Stack' ? of.type : `${parentTypes}$${of.type}`;
  return ['urn:pulumi:' + of.stack, of.project, types, of.name].join('::');
}

function nameOf(urn: string): string | null {
  return urn ? urn.split('::').pop()! : null;
}

/** A reference to a provider is its URN and its id, joined by two colons. */
function providerName(reference: string): string | null {
  return reference ? reference.split('::').at(-2)! : null;
}

function plain(value: unknown, path: string, secrets: string[]): unknown {
  if (isRpcSecret(value)) {
    secrets.push(path);
    return plain(unwrapRpcSecret(value), path, secrets);
  }
  if (value === unknownValue) return UNKNOWN;
  if (Array.isArray(value)) return value.map((item, index) => plain(item, `${path}[${index}]`, secrets));
  if (typeof value === 'object' && value !== null) {
    const within = path === '' ? '' : `${path}.`;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item, within + key, secrets)]));
  }
  return value;
}
