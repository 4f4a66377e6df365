import { randomBytes } from 'node:crypto';
import { connectWhenReady, SshTimeoutError, type SshSession, type SshTarget } from '../ssh/session';
import { nodeProgram } from './node/program';

/** A node answered a request of the probe with an error of its own. */
export class NodeProbeError extends Error {}

/** A pair takes seconds, under software emulation a minute or two; a probe that lives longer has lost its engine. */
const NODE_TIME_LIMIT_SECONDS = 900;
/** Python and sudo can take many seconds to start on an emulated machine under load. */
const START_LIMIT_SECONDS = 120;
const REQUEST_LIMIT_SECONDS = 120;
const QUIT_LIMIT_SECONDS = 15;
/** A node that came up a moment ago, or whose link is being set, gets a little patience. */
const CONNECT_LIMIT_SECONDS = 60;

interface Answer {
  id?: number;
  ready?: boolean;
  swept?: string[];
  result?: unknown;
  error?: string;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** The probe that runs on one node for the time of one proof. Requests may run side by side. */
export class NodeProbe {
  /** Run directories of dead runs that the start removed. */
  swept: string[] = [];
  private nextId = 1;
  private readonly waiting = new Map<number, Waiting>();
  private ended: Promise<void> = Promise.resolve();
  /** Requests are written one after another: a pipe takes 4 KiB in one piece, and two longer ones would mix. */
  private posting: Promise<void> = Promise.resolve();
  private failure: Error | undefined;

  private constructor(
    readonly node: string,
    private readonly session: SshSession,
    private readonly asRoot: (command: string) => string,
    /** Its files and devices on the node are named after it: `swp-<run>`. */
    readonly run: string,
  ) {}

  /** Logs in and starts the probe. Throws SshError, or NodeProbeError where the node cannot run it. */
  static async start(node: string, target: SshTarget, signal?: AbortSignal): Promise<NodeProbe> {
    const session = await connectWhenReady(target, { limitSeconds: CONNECT_LIMIT_SECONDS, signal });
    const asRoot = (command: string) => (target.user === 'root' ? `exec ${command}` : `exec sudo -n ${command}`);
    const probe = new NodeProbe(node, session, asRoot, randomBytes(4).toString('hex'));
    try {
      await probe.launch(signal);
      return probe;
    } catch (error) {
      await probe.stop();
      throw error;
    }
  }

  private launch(signal?: AbortSignal): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new SshTimeoutError(this.session.where, `the probe did not start in ${START_LIMIT_SECONDS} s`)),
        START_LIMIT_SECONDS * 1000,
      );
      const fail = (error: Error) => {
        this.failure ??= error;
        reject(error);
        for (const { reject: refuse } of this.waiting.values()) refuse(error);
        this.waiting.clear();
      };
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      const finished = this.session.exec(this.asRoot(`python3 -u - ${this.run} ${NODE_TIME_LIMIT_SECONDS}`), {
        stdin: nodeProgram,
        onStdoutLine: (line) => {
          const answer = parse(line);
          if (answer?.ready) {
            this.swept = answer.swept ?? [];
            clearTimeout(timer);
            resolve();
          } else if (answer?.id !== undefined) {
            this.settle(answer.id, answer);
          }
        },
      });
      this.ended = finished
        .then(
          (result) => fail(new NodeProbeError(`${this.node}: the probe ended early: ${lastLine(result.stderr)}`)),
          (error: Error) => fail(error),
        )
        .finally(() => clearTimeout(timer));
    });
  }

  private settle(id: number, answer: Answer): void {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if (answer.error !== undefined) waiting?.reject(new NodeProbeError(`${this.node}: ${answer.error}`));
    else waiting?.resolve(answer.result);
  }

  /** Runs one request on the node. The type of the answer is what the caller knows of the operation. */
  async call<Result>(op: string, args: Record<string, unknown> = {}, signal?: AbortSignal): Promise<Result> {
    signal?.throwIfAborted();
    if (this.failure) throw this.failure;
    const id = this.nextId++;
    return new Promise<Result>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(
          new SshTimeoutError(this.session.where, `the probe gave no answer in ${REQUEST_LIMIT_SECONDS} s (${op})`),
        );
      }, REQUEST_LIMIT_SECONDS * 1000);
      const onAbort = () => done(() => reject(signal?.reason));
      const done = (finish: () => void) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        finish();
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.waiting.set(id, {
        resolve: (value) => done(() => resolve(value as Result)),
        reject: (error) => done(() => reject(error)),
      });
      const post = () => this.post({ id, op, args }, REQUEST_LIMIT_SECONDS);
      this.posting = this.posting.then(post).catch((error) => {
        this.waiting.get(id)?.reject(this.failure ?? error);
        this.waiting.delete(id);
      });
    });
  }

  /** The probe reads requests from a FIFO of its run directory: a channel of its own, so its output stays one stream. */
  private async post(request: unknown, timeoutSeconds: number): Promise<void> {
    const fifo = `/run/swp-${this.run}/ctl`;
    const result = await this.session.exec(this.asRoot(`sh -c 'test -p ${fifo} && exec cat > ${fifo}'`), {
      stdin: `${JSON.stringify(request)}\n`,
      timeoutSeconds,
    });
    if (result.code !== 0) throw new NodeProbeError(`${this.node}: the probe is gone: ${lastLine(result.stderr)}`);
  }

  /** Ends the probe, waits for its clean-up and closes the connection. Never throws: it runs after failures too. */
  async stop(): Promise<void> {
    if (this.failure === undefined) {
      // A probe that died a moment ago has left a FIFO that nobody reads: its end is awaited as well as the request's.
      this.post({ id: 0, op: 'quit' }, QUIT_LIMIT_SECONDS).catch(() => undefined);
      let timer: NodeJS.Timeout | undefined;
      const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, QUIT_LIMIT_SECONDS * 1000)));
      await Promise.race([this.ended, limit]);
      clearTimeout(timer);
    }
    // Where the probe did not end by itself, it does now: its guardian sees the connection go.
    this.session.end();
  }
}

function parse(line: string): Answer | undefined {
  try {
    return JSON.parse(line) as Answer;
  } catch {
    return undefined;
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').pop() || 'it said nothing';
}
