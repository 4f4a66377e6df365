/** Base of everything that can go wrong with a session; `where` is `user@host:port`, with the jump host where there is one. */
export class SshError extends Error {
  constructor(
    readonly where: string,
    message: string,
  ) {
    super(`${where}: ${message}`);
    this.name = new.target.name;
  }
}

/** The server showed another host key than the pinned one. Never retried: either the pin is stale or someone is in the middle. */
export class HostKeyMismatchError extends SshError {
  /** @param given SHA256 fingerprint the server showed, or why it showed none of the pinned type. */
  constructor(
    where: string,
    readonly expected: string,
    readonly given: string,
  ) {
    super(
      where,
      `the host key does not match: expected ${expected}, given ${given}. ` +
        'If the machine was reinstalled on purpose, record its new key; otherwise find out who answers at this address',
    );
  }
}

/** The server is there and is the right one, but refuses the user, the key or the forwarding. */
export class SshAuthError extends SshError {}

/** Nothing answered in time, or a command ran longer than it may. */
export class SshTimeoutError extends SshError {}

/** The connection was lost after it had been established; a command may or may not have finished. */
export class SshDroppedError extends SshError {}

/** Nobody listens (yet), the address cannot be reached, or the server hung up before the log-in was complete. */
export class SshRefusedError extends SshError {}
