import * as pulumi from '@pulumi/pulumi';
import { isRpcSecret, unknownValue, unwrapRpcSecret } from '@pulumi/pulumi/runtime';
import { MockMonitor } from '@pulumi/pulumi/runtime/mocks';

/** What a program asked the engine to register: more than mocks show, which see neither options nor secrets. */
export interface RecordedResource {
  type: string;
  name: string;
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
  deleteBeforeReplace: boolean;
  ignoreChanges: string[];
  /** Plain values; secrets are unwrapped and unknown values are `UNKNOWN`. */
  inputs: Record<string, unknown>;
  /** Paths of the inputs that are secret, such as `stdin` or `connection.privateKey`, sorted. */
  secretInputs: string[];
  /** Whether the component called registerOutputs itself; the SDK does it late for one that forgot. */
  outputsRegistered: boolean;
}

export const UNKNOWN = '<unknown>';

export interface RecordOptions {
  /** True: a preview, in which nothing has an id or outputs yet. */
  preview: boolean;
  project?: string;
  stack?: string;
  /** Outputs of a custom resource in an update. Default: its inputs, and `stdout` of commands. */
  outputs?(resource: { type: string; name: string; inputs: Record<string, unknown> }): Record<string, unknown>;
}

/** Runs a program against a monitor that records each registration, and waits until all of it is registered. */
export async function recordProgram(
  program: () => unknown,
  { preview, project = 'sitewright', stack = 'test', outputs }: RecordOptions,
): Promise<RecordedResource[]> {
  const monitor = new RecordingMonitor(preview, outputs ?? defaultOutputs);
  pulumi.runtime.setMockOptions(monitor, project, stack, preview);
  // Without its answers the SDK takes the engine for one that knows neither secrets nor deletedWith.
  await settings.awaitFeatureSupport();
  const registered = new Set<string>();
  const spy = jest.spyOn(components, 'registerOutputs').mockImplementation(function (this: Component, outputs) {
    // The SDK's own call, for every component, gives none.
    if (outputs !== undefined) registered.add(this.__name);
    return registerOutputs.call(this, outputs);
  });
  try {
    await program();
    await settings.waitForRPCs();
  } finally {
    spy.mockRestore();
  }
  return monitor.recorded.map((resource) => ({
    ...resource,
    outputsRegistered: !resource.custom && registered.has(resource.name),
  }));
}

/** What the SDK declares protected or internal. */
interface Component {
  __name: string;
  registerOutputs(outputs?: pulumi.Inputs): void;
}
const components = pulumi.ComponentResource.prototype as unknown as Component;
const { registerOutputs } = components;

/** Both functions are exported by the SDK and left out of its type declarations. */
const settings = jest.requireActual('@pulumi/pulumi/runtime/settings') as {
  awaitFeatureSupport(): Promise<void>;
  waitForRPCs(): Promise<void>;
};

const defaultOutputs: NonNullable<RecordOptions['outputs']> = ({ name, inputs }) => ({
  ...inputs,
  stdout: `stdout of ${name}`,
});

class RecordingMonitor extends MockMonitor {
  readonly recorded: Omit<RecordedResource, 'outputsRegistered'>[] = [];

  constructor(preview: boolean, outputs: NonNullable<RecordOptions['outputs']>) {
    super({
      call: () => ({}),
      newResource: ({ type, name, inputs, custom }) => {
        if (!custom) return { id: undefined, state: {} };
        return preview
          ? { id: undefined, state: inputs }
          : { id: `id-of-${name}`, state: outputs({ type, name, inputs }) };
      },
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
      custom: req.getCustom(),
      parent: nameOf(req.getParent()),
      provider: providerName(req.getProvider()),
      dependencies: (req.getDependenciesList() as string[]).map((urn) => nameOf(urn)!).sort(),
      protect: req.getProtect() === true,
      deletedWith: nameOf(req.getDeletedwith()),
      deleteBeforeReplace: req.getDeletebeforereplace(),
      ignoreChanges: req.getIgnorechangesList(),
      inputs: plain(inputs, '', secretInputs) as Record<string, unknown>,
      secretInputs: secretInputs.sort(),
    });
    return super.registerResource(req, callback);
  }
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
