import { createHash } from 'node:crypto';
import { constants as osConstants } from 'node:os';
import { Readable, type Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, utils, type AuthenticationType, type ClientChannel, type SFTPWrapper } from 'ssh2';
import {
  HostKeyMismatchError,
  SshAuthError,
  SshDroppedError,
  SshError,
  SshRefusedError,
  SshTimeoutError,
} from './errors';

export * from './errors';

/** Where to log in, as whom, and which key the machine must show. */
export interface SshTarget {
  /** Name or address, IPv4 or IPv6 without brackets. */
  host: string;
  port: number;
  user: string;
  /** OpenSSH or PEM private key. Empty only where `password` is given. */
  privateKey: string;
  /** Passphrase of an encrypted `privateKey`. */
  privateKeyPassword?: string;
  /** Used only where there is no `privateKey`. */
  password?: string;
  /** `ssh-ed25519 AAAA…`, with or without a comment. The only key that is accepted, and the only algorithm that is offered. */
  hostKey: string;
  /** Logged in to first; the connection then goes through it. Its own host key is checked just the same. */
  jump?: SshTarget;
}

export interface ConnectOptions {
  /** For the whole log-in, a jump host's included. Default 30. */
  timeoutSeconds?: number;
  signal?: AbortSignal;
}

export interface ExecOptions {
  /**
   * Sent whole, then closed; a stream as fast as the far side takes it, and its error ends the command. Without it the
   * command reads an empty standard input.
   */
  stdin?: string | Buffer | Readable;
  /** Variables for the command; sshd drops those its AcceptEnv does not name, without an error. */
  env?: Record<string, string>;
  /** No limit by default. */
  timeoutSeconds?: number;
  signal?: AbortSignal;
  /** Each complete line as it arrives, without its line end. */
  onStdoutLine?(line: string): void;
  /** Takes standard output as it comes, and is not ended; the result's is then empty. Its error ends the command. */
  stdout?: Writable;
  onStderrLine?(line: string): void;
}

export interface ExecResult {
  /** Exit code; 128 + the signal's number where a signal ended the command, as a shell counts. */
  code: number;
  stdout: string;
  stderr: string;
}

/** Four silent answers at this distance (a minute) mean a dead peer; emulated machines under load need that much. */
const keepaliveIntervalSeconds = 15;
const keepaliveMissesAllowed = 3;
const defaultConnectTimeoutSeconds = 30;

/** `SHA256:…` as `ssh-keygen -l` prints it, from the wire form of a public key. */
export function hostKeyFingerprint(wireKey: Buffer): string {
  return `SHA256:${createHash('sha256').update(wireKey).digest('base64').replace(/=+$/, '')}`;
}

/** One authenticated connection; commands may run on it side by side. */
export class SshSession {
  /** What ended the connection; commands that still run are rejected with it. */
  private lost: SshError | undefined;
  private readonly running = new Set<(error: SshError) => void>();

  // Truly private: the client holds the private key, and printing a session must not show it.
  readonly #client: Client;
  readonly #jump: SshSession | undefined;

  private constructor(
    readonly where: string,
    client: Client,
    jump: SshSession | undefined,
  ) {
    this.#client = client;
    this.#jump = jump;
    client.on('error', (error) => this.drop(`the connection was lost: ${error.message}`));
    client.on('close', () => this.drop('the connection was closed'));
  }

  /**
   * Logs in. Throws HostKeyMismatchError, SshAuthError, SshTimeoutError or SshRefusedError; the signal's reason where it
   * was aborted. No agent, no known_hosts file and no ssh_config is read: the target says everything.
   */
  static async connect(target: SshTarget, opts: ConnectOptions = {}): Promise<SshSession> {
    const timeoutSeconds = opts.timeoutSeconds ?? defaultConnectTimeoutSeconds;
    const deadline = Date.now() + timeoutSeconds * 1000;
    opts.signal?.throwIfAborted();
    const jump = target.jump && (await SshSession.connect(target.jump, opts));
    const where = describe(target);
    try {
      const sock = jump && (await limited(jump.forward(target.host, target.port, where), deadline, where, opts.signal));
      const client = await login(target, where, sock, deadline, timeoutSeconds, opts.signal);
      return new SshSession(where, client, jump);
    } catch (error) {
      jump?.end();
      throw error;
    }
  }

  /**
   * Runs one command with the log-in shell of the user. Resolves with its exit code, whatever that is.
   * Throws SshDroppedError (connection lost), SshTimeoutError (asked to stop, channel closed) or the signal's reason.
   */
  exec(command: string, opts: ExecOptions = {}): Promise<ExecResult> {
    return new Promise((resolve, reject) => {
      if (opts.signal?.aborted) return reject(opts.signal.reason);
      if (this.lost) return reject(this.lost);
      let channel: ClientChannel | undefined;
      let timer: NodeJS.Timeout | undefined;
      const settle = (finish: () => void) => {
        clearTimeout(timer);
        opts.signal?.removeEventListener('abort', onAbort);
        this.running.delete(onLost);
        if (opts.stdin instanceof Readable) opts.stdin.destroy();
        finish();
      };
      const onLost = (error: SshError) => settle(() => reject(error));
      const stop = (why: unknown) => {
        // OpenSSH passes the signal on to commands of ordinary users, not to root's. Closing then takes a command's
        // output away: it ends at its next write. What must end for certain on the far side needs `timeout` there.
        channel?.signal('TERM');
        channel?.close();
        settle(() => reject(why));
      };
      const onAbort = () => stop(opts.signal?.reason);
      this.running.add(onLost);
      opts.signal?.addEventListener('abort', onAbort, { once: true });
      if (opts.timeoutSeconds !== undefined) {
        const limit = opts.timeoutSeconds;
        timer = setTimeout(
          () => stop(new SshTimeoutError(this.where, `the command was stopped: it ran longer than ${limit} s`)),
          limit * 1000,
        );
      }

      this.#client.exec(command, { env: opts.env }, (error, opened) => {
        if (error) return onLost(new SshDroppedError(this.where, `the command could not be started: ${error.message}`));
        if (!this.running.has(onLost)) return opened.close();
        channel = opened;
        opts.stdout?.once('error', stop);
        collect(opened, opts).then(
          (result) =>
            settle(() =>
              result ? resolve(result) : reject(this.lost ?? new SshDroppedError(this.where, lostMidCommand)),
            ),
          (reason) => settle(() => reject(reason)),
        );
        if (opts.stdin instanceof Readable) opts.stdin.once('error', stop).pipe(opened);
        else opened.end(opts.stdin ?? '');
      });
    });
  }

  /** File transfer over the same connection. */
  sftp(): Promise<SFTPWrapper> {
    return new Promise((resolve, reject) => {
      if (this.lost) return reject(this.lost);
      this.#client.sftp((error, sftp) =>
        error ? reject(new SshError(this.where, `no file transfer: ${error.message}`)) : resolve(sftp),
      );
    });
  }

  /** Closes the connection, a jump host's after it. Commands that still run are rejected. */
  end(): void {
    this.#client.end();
    this.#jump?.end();
  }

  private forward(host: string, port: number, where: string): Promise<ClientChannel> {
    return new Promise((resolve, reject) => {
      this.#client.forwardOut('127.0.0.1', 0, host, port, (error, channel) => {
        if (!error) return resolve(channel);
        // Reason 1 of RFC 4254 section 5.1: prohibited, as with AllowTcpForwarding no. Waiting does not change that.
        const prohibited = (error as { reason?: number }).reason === 1;
        const Kind = prohibited ? SshAuthError : SshRefusedError;
        reject(new Kind(where, `the jump host ${this.where} cannot open the connection: ${error.message}`));
      });
    });
  }

  private drop(message: string): void {
    this.lost ??= new SshDroppedError(this.where, message);
    for (const reject of [...this.running]) reject(this.lost);
    this.#jump?.end();
  }
}

export interface ReadyOptions {
  /** How long the machine may take until it answers. */
  limitSeconds: number;
  signal?: AbortSignal;
  /** Called after each try that failed, with a line for people and the seconds since the start. */
  onProgress?(line: string, elapsedSeconds: number): void;
}

/**
 * Waits for a machine that is still starting: refused, unreachable and silent are tried again until the limit, with pauses of 1 to 5 s.
 * A host key that differs and a refused log-in fail at once: waiting cures neither.
 */
export async function connectWhenReady(target: SshTarget, opts: ReadyOptions): Promise<SshSession> {
  const start = Date.now();
  for (let pauseSeconds = 1; ; pauseSeconds = Math.min(pauseSeconds * 1.5, 5)) {
    const leftSeconds = opts.limitSeconds - (Date.now() - start) / 1000;
    try {
      const timeoutSeconds = Math.max(Math.min(leftSeconds, defaultConnectTimeoutSeconds), 1);
      return await SshSession.connect(target, { timeoutSeconds, signal: opts.signal });
    } catch (error) {
      const worthAnotherTry =
        error instanceof SshRefusedError || error instanceof SshTimeoutError || error instanceof SshDroppedError;
      if (!worthAnotherTry) throw error;
      const elapsedSeconds = (Date.now() - start) / 1000;
      if (elapsedSeconds + pauseSeconds > opts.limitSeconds) {
        throw new SshTimeoutError(
          describe(target),
          `no SSH session within ${opts.limitSeconds} s; the last try said: ${error.message}`,
        );
      }
      opts.onProgress?.(`waiting for SSH: ${error.message}`, elapsedSeconds);
      await sleep(pauseSeconds * 1000, undefined, { signal: opts.signal });
    }
  }
}

const lostMidCommand = 'the connection was lost before the command reported how it ended';

function describe(target: SshTarget): string {
  const address = target.host.includes(':') ? `[${target.host}]` : target.host;
  const via = target.jump ? ` via ${target.jump.host}:${target.jump.port}` : '';
  return `${target.user}@${address}:${target.port}${via}`;
}

/** The wire form of the pinned key; anything but ed25519 is refused here, before a connection is made. */
function pinnedKey(target: SshTarget, where: string): Buffer {
  const [type, base64] = target.hostKey.trim().split(/\s+/);
  const key = Buffer.from(base64 ?? '', 'base64');
  // 4 + 11 bytes of type name, 4 + 32 bytes of key (RFC 8709 section 4).
  if (type !== 'ssh-ed25519' || key.length !== 51 || key.toString('latin1', 4, 15) !== 'ssh-ed25519') {
    throw new SshError(where, `the host key must be an ed25519 public key ("ssh-ed25519 AAAA…"), given "${type}"`);
  }
  return key;
}

function login(
  target: SshTarget,
  where: string,
  sock: ClientChannel | undefined,
  deadline: number,
  timeoutSeconds: number,
  signal: AbortSignal | undefined,
): Promise<Client> {
  const pinned = pinnedKey(target, where);
  const auth = credentials(target, where);
  const client = new Client();
  return new Promise<Client>((resolve, reject) => {
    let mismatch: HostKeyMismatchError | undefined;
    const finish = (error?: unknown) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      client.removeAllListeners();
      if (!error) return resolve(client);
      // A late error of a client nobody listens to any more would end the process.
      client.on('error', () => undefined);
      client.destroy();
      reject(mismatch ?? error);
    };
    const onAbort = () => finish(signal?.reason);
    const timer = setTimeout(
      () => finish(new SshTimeoutError(where, `no SSH session within ${timeoutSeconds} s`)),
      Math.max(deadline - Date.now(), 0),
    );
    signal?.addEventListener('abort', onAbort, { once: true });
    client.once('ready', () => finish());
    client.once('error', (error) => finish(connectError(error, where, pinned)));
    client.once('close', () => finish(new SshRefusedError(where, 'the server hung up before the log-in was complete')));
    client.connect({
      host: target.host,
      port: target.port,
      username: target.user,
      sock,
      readyTimeout: 0,
      keepaliveInterval: keepaliveIntervalSeconds * 1000,
      keepaliveCountMax: keepaliveMissesAllowed,
      algorithms: { serverHostKey: ['ssh-ed25519'] },
      hostVerifier: (key: Buffer) => {
        if (key.equals(pinned)) return true;
        mismatch = new HostKeyMismatchError(where, hostKeyFingerprint(pinned), hostKeyFingerprint(key));
        return false;
      },
      authHandler: [auth],
    });
  });
}

type Credentials =
  | { type: 'publickey'; username: string; key: string; passphrase?: string }
  | { type: 'password'; username: string; password: string };

function credentials(target: SshTarget, where: string): Credentials & { type: AuthenticationType } {
  if (!target.privateKey && target.password !== undefined) {
    return { type: 'password', username: target.user, password: target.password };
  }
  const parsed = utils.parseKey(target.privateKey, target.privateKeyPassword);
  // The parser's message names the format problem only, never key material.
  if (parsed instanceof Error) throw new SshAuthError(where, `the private key cannot be used: ${parsed.message}`);
  return {
    type: 'publickey',
    username: target.user,
    key: target.privateKey,
    passphrase: target.privateKeyPassword,
  };
}

function connectError(error: Error & { level?: string; code?: string }, where: string, pinned: Buffer): SshError {
  if (error.level === 'client-authentication') {
    return new SshAuthError(where, 'the log-in was refused: this user or key is not accepted');
  }
  if (/no matching (server )?host key/i.test(error.message)) {
    return new HostKeyMismatchError(where, hostKeyFingerprint(pinned), 'no ed25519 key at all');
  }
  return new SshRefusedError(where, error.message);
}

/** Resolves when the channel is closed: with the result, or undefined where no exit status ever came. */
function collect(channel: ClientChannel, opts: ExecOptions): Promise<ExecResult | undefined> {
  return new Promise((resolve) => {
    const stdout = opts.stdout === undefined ? capture(channel, opts.onStdoutLine) : passOn(channel, opts.stdout);
    const stderr = capture(channel.stderr, opts.onStderrLine);
    let code: number | undefined;
    channel.on('exit', (exitCode: number | null, signalName?: string) => {
      code = exitCode ?? 128 + (osConstants.signals[signalName as NodeJS.Signals] ?? 0);
    });
    // A command that ends without reading all of its input is not an error of the session.
    channel.on('error', () => undefined);
    channel.on('close', () => resolve(code === undefined ? undefined : { code, stdout: stdout(), stderr: stderr() }));
  });
}

function passOn(channel: ClientChannel, to: Writable): () => string {
  channel.pipe(to, { end: false });
  return () => '';
}

/** Keeps everything and hands out whole lines on the way; the returned function gives the text, last partial line flushed. */
function capture(stream: NodeJS.ReadableStream, onLine?: (line: string) => void): () => string {
  const decoder = new StringDecoder('utf8');
  const chunks: string[] = [];
  let partial = '';
  const take = (text: string) => {
    chunks.push(text);
    if (!onLine) return;
    const lines = (partial + text).split('\n');
    partial = lines.pop() ?? '';
    for (const line of lines) onLine(line.replace(/\r$/, ''));
  };
  stream.on('data', (data: Buffer) => take(decoder.write(data)));
  return () => {
    take(decoder.end());
    if (partial) onLine?.(partial);
    return chunks.join('');
  };
}

/** A jump host that accepts a forwarding request and then never answers must not hold us up. */
function limited<T>(work: Promise<T>, deadline: number, where: string, signal?: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new SshTimeoutError(where, 'the jump host did not open the connection in time')),
      Math.max(deadline - Date.now(), 0),
    );
    const onAbort = () => reject(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    });
  });
}
