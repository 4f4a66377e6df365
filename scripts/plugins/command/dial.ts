import { setTimeout as sleep } from 'node:timers/promises';
import { HostKeyMismatchError, SshSession, type SshTarget } from '../../../components/ssh/session';
import type { CheckFailure, Operation } from '../base';
import { hasUnknown, isObject, plain, type Value, type Values } from '../values';
import type { ConnectionInputs, EndpointInputs } from './inputs';

/** Pauses between tries: 0.1 s, then half as much again, 5 s at most. */
const firstPauseMs = 100;
const pauseGrowth = 1.5;
const longestPauseMs = 5000;

/** A day: what "no limit" means for one try. */
const unlimitedSeconds = 86_400;

/** Logs in, with as many tries as the connection allows. Another host key than the given one ends it at once. */
export async function dial(op: Operation, connection: ConnectionInputs): Promise<SshSession> {
  const target = { ...endpoint(connection), ...(connection.proxy && { jump: endpoint(connection.proxy) }) };
  const limit = connection.dialErrorLimit;
  let pauseMs = firstPauseMs;
  for (let failed = 1; ; failed++) {
    try {
      return await SshSession.connect(target, {
        timeoutSeconds: connection.perDialTimeout || unlimitedSeconds,
        signal: op.signal,
      });
    } catch (error) {
      if (error instanceof HostKeyMismatchError || op.signal.aborted) throw error;
      const reason = (error as Error).message;
      if (limit >= 0 && failed > limit) throw new Error(`after ${failed} failed attempts: ${reason}`);
      op.log('info', `Dial ${failed}/${limit < 0 ? 'inf' : limit} failed: retrying (${reason})`, { ephemeral: true });
      await sleep(pauseMs, undefined, { signal: op.signal }).catch(() => op.signal.throwIfAborted());
      pauseMs = Math.min(pauseMs * pauseGrowth, longestPauseMs);
    }
  }
}

function endpoint(inputs: EndpointInputs): SshTarget {
  return {
    host: inputs.host,
    port: inputs.port,
    user: inputs.user,
    privateKey: inputs.privateKey ?? '',
    privateKeyPassword: inputs.privateKeyPassword,
    password: inputs.password,
    hostKey: inputs.hostKey ?? '',
  };
}

/**
 * Where this plugin is stricter than the official one: a connection needs a host key, and an agent's keys are never used.
 * @param connection the checked input, secrets still marked.
 */
export function checkConnection(connection: Value | undefined): CheckFailure[] {
  if (connection === undefined || (hasUnknown(connection) && !isObject(plain(connection)))) return [];
  const inputs = plain(connection) as Values;
  const failures = checkEndpoint(inputs, 'connection');
  return isObject(inputs.proxy) ? [...failures, ...checkEndpoint(inputs.proxy, 'connection.proxy')] : failures;
}

function checkEndpoint(inputs: Values, path: string): CheckFailure[] {
  const failures: CheckFailure[] = [];
  if (inputs.hostKey === undefined) {
    failures.push({
      property: `${path}.hostKey`,
      reason: 'is required: this plugin connects to no machine it does not know. Give its "ssh-ed25519 AAAA…" line',
    });
  }
  if (inputs.privateKey === undefined && inputs.password === undefined) {
    failures.push({ property: `${path}.privateKey`, reason: 'is required (or a password): no SSH agent is used' });
  }
  return failures;
}
