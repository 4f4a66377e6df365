import * as https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Values } from '../values';
import type { Connection } from './kubeconfig';

/** Long enough for an API server in an emulated machine that is busy starting. */
const requestTimeoutSeconds = 60;

/** A host that does not exist never answers; one that does accepts a connection at once, however busy it is. */
const connectTimeoutSeconds = 10;

/** Answers that ask for another try, and how often that is done. */
const retriedStatuses = [429, 503, 504];
const maxTries = 5;

/**
 * How long a server that answered before may be away: while it is restarted by a change of its static pod, or while the
 * address of a control plane moves. On an emulated machine a start takes more than a minute. Every request here can be
 * sent twice.
 */
const awaySeconds = 120;
const awayPauseMs = 1000;

export interface Cause {
  reason?: string;
  message?: string;
  field?: string;
}

/** An answer of the API server that is not a success. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    /** Such as NotFound, Conflict, Invalid. */
    readonly reason: string,
    readonly causes: Cause[] = [],
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

/** No answer at all. */
export class UnreachableError extends Error {
  constructor(server: string, cause: NodeJS.ErrnoException) {
    super(`the Kubernetes API at ${server} cannot be reached (${cause.code ?? cause.message}): ${advice(cause.code)}`);
    this.name = 'UnreachableError';
  }
}

function advice(code = ''): string {
  switch (code) {
    case 'ECONNREFUSED':
      return 'nothing listens there. Check that kube-apiserver runs on the control plane (crictl ps) and that the port is right';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'its name does not resolve here. Check the address in the kubeconfig and the name service of this machine';
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'CERT_SIGNATURE_FAILURE':
      return "its certificate is not signed by the kubeconfig's certificate authority. Check that the address is this cluster's";
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'its certificate does not name this address. Connect by a name in it, or set tls-server-name';
    default:
      return 'check that this machine has a route to it, that no firewall is in between, and that the control plane is up';
  }
}

export interface Answer {
  body: Values;
  /** What the API server has to say besides, such as a deprecated version or an unknown field. */
  warnings: string[];
}

/** JSON requests to one API server. */
export class ApiClient {
  private readonly agent: https.Agent;
  private hasAnswered = false;

  constructor(private readonly connection: Connection) {
    this.agent = new https.Agent({
      keepAlive: true,
      maxSockets: 20,
      ca: connection.caCertificate,
      cert: connection.clientCertificate,
      key: connection.clientKey,
      servername: connection.tlsServerName,
    });
  }

  get server(): string {
    return this.connection.server;
  }

  /**
   * @param path with its query.
   * @throws ApiError for an answer that is no success, UnreachableError for none, the signal's reason when aborted.
   */
  async request(
    signal: AbortSignal,
    method: string,
    path: string,
    body?: unknown,
    contentType = 'application/json',
  ): Promise<Answer> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const limit = Date.now() + awaySeconds * 1000;
    for (let tries = 1; ; tries++) {
      const { status, content, headers } = await this.patiently(signal, () =>
        this.exchange(signal, method, path, text, contentType),
      );
      if (status >= 200 && status < 300) {
        return { body: content ? (JSON.parse(content) as Values) : {}, warnings: warningsIn(headers.warning) };
      }
      // A server that starts forbids everything until it has read who may do what.
      const isStarting = status === 403 && Date.now() < limit && (tries === 1 || !(await this.isReady(signal)));
      if (!isStarting && (!retriedStatuses.includes(status) || tries >= maxTries)) {
        throw errorOf(status, content, method, path);
      }
      await pause(1000 * Math.min(Number(headers['retry-after']) || tries, 10), signal);
    }
  }

  private async isReady(signal: AbortSignal): Promise<boolean> {
    const { status } = await this.patiently(signal, () =>
      this.exchange(signal, 'GET', '/readyz', undefined, 'text/plain'),
    );
    return status === 200;
  }

  private async patiently<T>(signal: AbortSignal, exchange: () => Promise<T>): Promise<T> {
    const limit = Date.now() + awaySeconds * 1000;
    for (;;) {
      try {
        const answer = await exchange();
        this.hasAnswered = true;
        return answer;
      } catch (error) {
        if (!(error instanceof UnreachableError) || !this.hasAnswered || Date.now() > limit) throw error;
        await pause(awayPauseMs, signal);
      }
    }
  }

  private exchange(
    signal: AbortSignal,
    method: string,
    path: string,
    text: string | undefined,
    contentType: string,
  ): Promise<{ status: number; content: string; headers: { warning?: string; 'retry-after'?: string } }> {
    const { server, token } = this.connection;
    const headers = {
      Accept: 'application/json',
      'User-Agent': 'sitewright',
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
      ...(text === undefined ? {} : { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(text) }),
    };
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const options = { method, headers, agent: this.agent, timeout: requestTimeoutSeconds * 1000, signal };
      const request = https.request(server + path, options, (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            content: Buffer.concat(pieces).toString('utf8'),
            headers: response.headers as { warning?: string; 'retry-after'?: string },
          }),
        );
        response.on('error', fail);
      });
      const fail = (error: Error) => reject(signal.aborted ? signal.reason : new UnreachableError(server, error));
      request.on('timeout', () => request.destroy(new Error(`no answer within ${requestTimeoutSeconds} s`)));
      request.on('socket', (socket) => {
        if (!socket.connecting) return;
        const timer = setTimeout(
          () => request.destroy(new Error(`no connection within ${connectTimeoutSeconds} s`)),
          connectTimeoutSeconds * 1000,
        );
        socket.once('connect', () => clearTimeout(timer)).once('close', () => clearTimeout(timer));
      });
      request.on('error', fail);
      request.end(text);
    });
  }
}

/** @throws the signal's reason when aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}

function errorOf(status: number, content: string, method: string, path: string): ApiError {
  if (status === 401) {
    const text =
      "the API server does not accept the kubeconfig's credentials: they are another cluster's, or have expired";
    return new ApiError(text, status, 'Unauthorized');
  }
  try {
    const { message, reason, details } = JSON.parse(content) as {
      message?: string;
      reason?: string;
      details?: { causes?: Cause[] };
    };
    if (message) return new ApiError(message, status, reason ?? '', details?.causes);
  } catch {
    // A proxy or a server that is still starting answers in plain text.
  }
  return new ApiError(`${method} ${path.split('?')[0]}: ${status} ${content.trim().slice(0, 300)}`, status, '');
}

/** RFC 7234 warnings as Kubernetes sends them: `299 - "text"`, more of them separated by commas. */
function warningsIn(header = ''): string[] {
  return [...header.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, text]) => text.replace(/\\(.)/g, '$1'));
}
