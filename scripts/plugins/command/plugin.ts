import { randomBytes } from 'node:crypto';
import { kindsByToken, type Checked, type Operation, type Plugin, type ResourceKind } from '../base';
import { isSecret, plain, unknown, type Values } from '../values';
import { copy, type CopyInputs } from './copy';
import { checkConnection } from './dial';
import type { ConnectionInputs, LifecycleInputs, LocalRunInputs, RunInputs, RunResult } from './inputs';
import { runLocal } from './local';
import { runRemote } from './remote';
import {
  check,
  copyToRemote,
  localCommand,
  localRunFunction,
  packageSchema,
  plainInputs,
  remoteCommand,
  replaces,
  type Shape,
} from './schema';

/** The version of the official plugin whose tokens, inputs, outputs and ids these are. */
export const version = '1.2.1';

type Run = (
  op: Operation,
  command: string,
  shown: string | undefined,
  values: Values,
  previous: Values,
) => Promise<Values>;

const onThisMachine: Run = (op, command, shown, values, previous) =>
  runLocal(op, command, shown, plainInputs<LocalRunInputs>(values), plainInputs<Partial<RunResult>>(previous));

const overSsh: Run = (op, command, shown, values, previous) =>
  runRemote(
    op,
    command,
    shown,
    plainInputs<RunInputs & { connection: ConnectionInputs }>(values),
    plainInputs<Partial<RunResult>>(previous),
  );

function newId(name: string): string {
  return name + randomBytes(4).toString('hex');
}

/** Nothing of a command depends on more than its own inputs. */
interface CommandKind extends ResourceKind {
  check(inputs: Values): Checked;
  replaces(path: string): boolean;
}

/** A resource whose create, update and delete are commands; without `update`, an update runs `create` again. */
function commandKind(shape: Shape, run: Run): CommandKind {
  const runIf = (op: Operation, which: keyof LifecycleInputs, values: Values, previous: Values) => {
    const command = plain(values[which]) as string;
    return run(op, command, isSecret(values[which]) ? undefined : command, values, previous);
  };
  return {
    check: (inputs) => withConnectionChecked(shape, inputs),
    replaces: (path) => replaces(shape.inputs, path),
    preview: (_op, inputs) => ({ ...inputs, stdout: unknown, stderr: unknown }),
    async create(op, inputs) {
      const result = inputs.create === undefined ? { stdout: '', stderr: '' } : await runIf(op, 'create', inputs, {});
      return { id: newId(op.name), outputs: { ...inputs, ...result } };
    },
    async update(op, state, inputs) {
      const which = inputs.update === undefined ? 'create' : 'update';
      const previous = results(shape, state);
      if (inputs[which] === undefined) return { ...inputs, ...previous };
      return { ...inputs, ...previous, ...(await runIf(op, which, inputs, previous)) };
    },
    async delete(op, state) {
      if (state.delete !== undefined) await runIf(op, 'delete', state, results(shape, state));
    },
  };
}

function results(shape: Shape, state: Values): Values {
  return Object.fromEntries(Object.entries(state).filter(([name]) => name in shape.results));
}

function withConnectionChecked(shape: Shape, given: Values): Checked {
  const { inputs, failures } = check(shape.inputs, given);
  return { inputs, failures: [...failures, ...checkConnection(inputs.connection)] };
}

const copyKind: CommandKind = {
  check(given) {
    const { inputs, failures } = withConnectionChecked(copyToRemote, given);
    const source = plain(inputs.source) as CopyInputs['source'] | undefined;
    if (source && typeof source === 'object' && source.path === undefined && source.text === undefined) {
      failures.push({ property: 'source', reason: 'must be a FileAsset, a StringAsset or a FileArchive' });
    }
    return { inputs, failures };
  },
  replaces: (path) => replaces(copyToRemote.inputs, path),
  preview: (_op, inputs) => inputs,
  async create(op, inputs) {
    await copy(op, plainInputs<CopyInputs>(inputs));
    return { id: newId(''), outputs: inputs };
  },
  async update(op, state, inputs) {
    const before = plainInputs<CopyInputs>(state);
    const after = plainInputs<CopyInputs>(inputs);
    // A changed connection alone copies nothing: the file is where it was.
    if (before.source.hash !== after.source.hash || before.remotePath !== after.remotePath) await copy(op, after);
    return inputs;
  },
  delete: async () => undefined,
};

const resources = {
  'command:local:Command': commandKind(localCommand, onThisMachine),
  'command:remote:Command': commandKind(remoteCommand, overSsh),
  'command:remote:CopyToRemote': copyKind,
};

export const commandPlugin: Plugin & { resources: Record<string, CommandKind> } = {
  name: 'command',
  version,
  schema: packageSchema(version),
  resources,
  kind: kindsByToken('command', resources),
  functions: {
    'command:local:run': async (op, args) => {
      const { inputs, failures } = check(localRunFunction.inputs, args);
      if (failures.length > 0) throw new Error(failures.map((item) => `${item.property}: ${item.reason}`).join('; '));
      const command = plain(inputs.command) as string;
      const result = await onThisMachine(op, command, isSecret(inputs.command) ? undefined : command, inputs, {});
      return { ...inputs, ...result };
    },
  },
};
