import * as command from '@pulumi/command';
import * as pulumi from '@pulumi/pulumi';

/**
 * The only place that creates command resources. What it guarantees for every one of them:
 * - the host key is pinned and the address of the agent socket plays no part;
 * - the script, which can hold secrets, travels by stdin and is a secret in the state; `create` is a short constant
 *   line, because the official plugin prints the whole command when it fails;
 * - create and update run the same idempotent script, and an edit of the script never replaces the resource;
 * - the previous output is not copied into the environment.
 */

/** How to reach a host over SSH. `hostKey` is the line of its ed25519 public key; `privateKey` is a secret. */
export interface SshConnection {
  host: pulumi.Input<string>;
  port: number;
  user: string;
  privateKey: pulumi.Output<string>;
  hostKey: pulumi.Input<string>;
  jump?: SshConnection;
}

export interface ScriptArgs {
  /** Bash script of create and update. Reads nothing from stdin: it is stdin. */
  script: pulumi.Input<string>;
  /** Bash script of delete; recorded, so it must need nothing that a later program knows. Default: nothing to undo. */
  onDelete?: pulumi.Input<string>;
  /** Values whose change replaces the resource; it is deleted before it is made again unless the options say not. Default: none. */
  replaceOn?: string[];
}

/** A single line of a script over SSH stays below this: longer ones are cut by the pseudo-terminals and logs of some hosts. */
const MAX_LINE_BYTES = 64 * 1024;

/**
 * sshd can refuse connections for some minutes while a machine boots. Waiting for a machine is `awaitSsh`'s work, which
 * has a time limit; this covers a dropped connection in between.
 */
const DIAL_ERROR_LIMIT = 20;
const PER_DIAL_TIMEOUT_SECONDS = 30;

const READ_SCRIPT_FROM_STDIN = 'exec bash -s';

function connectionArgs(connection: SshConnection): Record<string, pulumi.Input<unknown>> {
  return {
    host: connection.host,
    port: connection.port,
    user: connection.user,
    privateKey: pulumi.secret(connection.privateKey),
    hostKey: connection.hostKey,
    dialErrorLimit: DIAL_ERROR_LIMIT,
    perDialTimeout: PER_DIAL_TIMEOUT_SECONDS,
  };
}

function checkedScript(name: string, script: pulumi.Input<string>): pulumi.Output<string> {
  return pulumi.secret(pulumi.output(script).apply((text) => requireShortLines(name, text)));
}

/** Returns the script, or throws when a line of it could be cut on its way. */
export function requireShortLines(name: string, script: string): string {
  if (script.split('\n').some((line) => Buffer.byteLength(line) > MAX_LINE_BYTES)) {
    throw new Error(`${name}: a line of the script is longer than ${MAX_LINE_BYTES} bytes`);
  }
  return script;
}

/** Commands of delete are not secrets and have no stdin of their own: they go in as one quoted argument. */
function deleteLine(script: pulumi.Input<string>): pulumi.Output<string> {
  return pulumi.output(script).apply((text) => `exec bash -c '${text.replace(/'/g, `'\\''`)}'`);
}

function common(name: string, args: ScriptArgs) {
  return {
    create: READ_SCRIPT_FROM_STDIN,
    update: READ_SCRIPT_FROM_STDIN,
    ...(args.onDelete === undefined ? {} : { delete: deleteLine(args.onDelete) }),
    ...(args.replaceOn === undefined ? {} : { triggers: args.replaceOn }),
    stdin: checkedScript(name, args.script),
    addPreviousOutputInEnv: false,
  };
}

function options(args: ScriptArgs, opts: pulumi.CustomResourceOptions): pulumi.CustomResourceOptions {
  return args.replaceOn === undefined ? opts : { deleteBeforeReplace: true, ...opts };
}

/** Runs a script on a host over SSH. Progress that the script writes to stderr is shown; stdout is its result. */
export function remoteScript(
  name: string,
  connection: SshConnection,
  args: ScriptArgs,
  opts: pulumi.CustomResourceOptions,
): command.remote.Command {
  const connectionInput = {
    ...connectionArgs(connection),
    ...(connection.jump === undefined ? {} : { proxy: connectionArgs(connection.jump) }),
  } as unknown as command.types.input.remote.ConnectionArgs;
  return new command.remote.Command(
    name,
    { connection: connectionInput, ...common(name, args), logging: command.remote.Logging.Stderr },
    options(args, opts),
  );
}

/** Runs a script on the machine that runs the engine, in the engine's working directory and environment. */
export function localScript(name: string, args: ScriptArgs, opts: pulumi.CustomResourceOptions): command.local.Command {
  return new command.local.Command(
    name,
    { ...common(name, args), logging: command.local.Logging.Stderr },
    options(args, opts),
  );
}

/**
 * Runs one request of the engine-side agent (components/agent), which speaks SSH to several nodes at once. It is found
 * by package name from the working directory, so that no path of this checkout gets into the state.
 */
export function agentRequest(
  name: string,
  args: { request: pulumi.Input<string> },
  opts: pulumi.CustomResourceOptions,
): command.local.Command {
  const run = `exec node -e 'require("sitewright/agent").main()'`;
  return new command.local.Command(
    name,
    {
      create: run,
      update: run,
      stdin: pulumi.secret(args.request),
      addPreviousOutputInEnv: false,
      logging: command.local.Logging.Stderr,
    },
    opts,
  );
}

/** A connection in the form that the agent's requests have it. */
export function agentTarget({ host, port, user, privateKey, hostKey, jump }: SshConnection): Record<string, unknown> {
  return { host, port, user, privateKey, hostKey, ...(jump === undefined ? {} : { jump: agentTarget(jump) }) };
}
