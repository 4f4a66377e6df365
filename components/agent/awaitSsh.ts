import { connectWhenReady, type SshTarget } from '../ssh/session';

/** Waits until a machine lets us in, under the host key that it must have. */
export interface AwaitSshRequest {
  kind: 'await-ssh';
  name: string;
  target: SshTarget;
  limitSeconds: number;
}

export interface RunOptions {
  signal?: AbortSignal;
  /** One step that began, in words; no line end. */
  onProgress?(step: string): void;
}

export interface AwaitSshResult {
  kind: 'ssh';
  name: string;
}

const PROGRESS_EVERY_SECONDS = 10;

/** Throws SshError: at once for a wrong host key or a refused log-in, at the limit for a machine that does not answer. */
export async function awaitSsh(request: AwaitSshRequest, opts: RunOptions): Promise<AwaitSshResult> {
  let told = 0;
  const session = await connectWhenReady(request.target, {
    limitSeconds: request.limitSeconds,
    signal: opts.signal,
    onProgress: (line, elapsedSeconds) => {
      if (elapsedSeconds < told + PROGRESS_EVERY_SECONDS) return;
      told = elapsedSeconds;
      opts.onProgress?.(`${request.name}: ${line} (${Math.round(elapsedSeconds)} s of ${request.limitSeconds} s)`);
    },
  });
  session.end();
  return { kind: 'ssh', name: request.name };
}
