import { SshSession, type SshTarget } from './session';

export interface FirstOptions<Host> {
  signal?: AbortSignal;
  /** Why an answering host will not do, or null. Default: every one will. */
  unfit?(session: SshSession, host: Host): Promise<string | null>;
  /** Called with each host that will not do, and why. */
  onSkipped?(host: Host, error: Error): void;
}

/**
 * A session with the first host that answers and will do; null where none is left. Throws at once when the signal aborts,
 * and what `onSkipped` throws.
 */
export async function connectFirst<Host extends { target: SshTarget }>(
  hosts: readonly Host[],
  { signal, unfit, onSkipped }: FirstOptions<Host>,
): Promise<{ host: Host; session: SshSession } | null> {
  for (const host of hosts) {
    let session: SshSession | undefined;
    try {
      session = await SshSession.connect(host.target, { signal });
      const reason = (await unfit?.(session, host)) ?? null;
      if (reason === null) return { host, session };
      onSkipped?.(host, new Error(reason));
    } catch (error) {
      session?.end();
      if (signal?.aborted === true) throw error;
      onSkipped?.(host, error as Error);
      continue;
    }
    session.end();
  }
  return null;
}
