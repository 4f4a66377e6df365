import * as pulumi from '@pulumi/pulumi';
import * as monitor from '../../scripts/render/monitor';

/** As the kit's own monitor records it, and what only tests ask. */
export interface RecordedResource extends monitor.RecordedResource {
  /** Whether the component called registerOutputs itself; the SDK does it late for one that forgot. */
  outputsRegistered: boolean;
}

export const { UNKNOWN } = monitor;

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
  { preview, project = 'sitewright', stack = 'test', outputs = defaultOutputs }: RecordOptions,
): Promise<RecordedResource[]> {
  const registered = new Set<string>();
  const spy = jest.spyOn(components, 'registerOutputs').mockImplementation(function (this: Component, given) {
    // The SDK's own call, for every component, gives none.
    if (given !== undefined) registered.add(this.__name);
    return registerOutputs.call(this, given);
  });
  try {
    const recorded = await monitor.recordProgram(program, {
      preview,
      project,
      stack,
      answer: (resource) => ({ id: `id-of-${resource.name}`, outputs: outputs(resource) }),
    });
    return recorded.map((resource) => ({
      ...resource,
      outputsRegistered: !resource.custom && registered.has(resource.name),
    }));
  } finally {
    spy.mockRestore();
  }
}

/** What the SDK declares protected or internal. */
interface Component {
  __name: string;
  registerOutputs(outputs?: pulumi.Inputs): void;
}
const components = pulumi.ComponentResource.prototype as unknown as Component;
const { registerOutputs } = components;

const defaultOutputs: NonNullable<RecordOptions['outputs']> = ({ name, inputs }) => ({
  ...inputs,
  stdout: `stdout of ${name}`,
});
