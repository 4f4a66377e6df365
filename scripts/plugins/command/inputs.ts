/** Inputs as the commands use them: checked, completed with defaults, secrets unwrapped. */
export interface EndpointInputs {
  host: string;
  port: number;
  user: string;
  password?: string;
  privateKey?: string;
  privateKeyPassword?: string;
  agentSocketPath?: string;
  hostKey?: string;
  /** Tries beyond the first; -1 for no limit. */
  dialErrorLimit: number;
  /** Seconds for each try; 0 for no limit. */
  perDialTimeout: number;
}

export interface ConnectionInputs extends EndpointInputs {
  proxy?: EndpointInputs;
}

export type Logging = 'stdout' | 'stderr' | 'stdoutAndStderr' | 'none';

export interface RunInputs {
  stdin?: string;
  logging?: Logging;
  environment?: Record<string, string>;
  /** Default true. */
  addPreviousOutputInEnv?: boolean;
}

export interface LifecycleInputs {
  create?: string;
  update?: string;
  delete?: string;
}

export interface LocalRunInputs extends RunInputs {
  dir?: string;
  interpreter?: string[];
  assetPaths?: string[];
  archivePaths?: string[];
}

export interface RunResult {
  stdout: string;
  stderr: string;
}

export function logs(stream: 'stdout' | 'stderr', logging: Logging = 'stdoutAndStderr'): boolean {
  return logging === stream || logging === 'stdoutAndStderr';
}

/** The environment a run adds to its own: the given variables, and what the last run printed where that is wanted. */
export function runEnvironment(inputs: RunInputs, previous: Partial<RunResult>): Record<string, string> {
  const withPrevious = inputs.addPreviousOutputInEnv ?? true;
  return {
    ...inputs.environment,
    ...(withPrevious && previous.stdout ? { PULUMI_COMMAND_STDOUT: previous.stdout } : {}),
    ...(withPrevious && previous.stderr ? { PULUMI_COMMAND_STDERR: previous.stderr } : {}),
  };
}

/** Results are what was printed without the last line end, as a shell's `$(...)` gives one. */
export function withoutLastLineEnd(text: string): string {
  return text.endsWith('\n') ? text.slice(0, -1) : text;
}

/** A command as an error names it: never one that is a secret, and only the output that may be logged. */
export function failure(how: string, command: string | undefined, output: RunResult, logging?: Logging): Error {
  const shown = [logs('stdout', logging) ? output.stdout : '', logs('stderr', logging) ? output.stderr : ''].filter(
    Boolean,
  );
  const withheld = shown.length === 0 && (output.stdout || output.stderr);
  const tail = withheld ? `(output withheld: logging is "${logging}")` : shown.join('\n');
  return new Error(`${how}: running ${command === undefined ? '[secret]' : JSON.stringify(command)}:\n${tail}`);
}
