import { VcenterError } from './errors';
import type { Credentials } from './login';
import { refused, sessionEnded } from './soap';
import { ask, type Question, type VcenterTrust } from './trust';

const SESSION = '/rest/com/vmware/cis/session';

/** A session of the REST API, which alone knows content libraries. `end` it. */
export class RestSession {
  private constructor(
    private readonly trust: VcenterTrust,
    private readonly id: string,
    /** Who is let in; null: somebody else's session, which stays. */
    private readonly user: string | null,
  ) {}

  static async open(trust: VcenterTrust, credentials: Credentials): Promise<RestSession> {
    if ('session' in credentials) {
      const lent = new RestSession(trust, credentials.session.rest, null);
      await lent.post(`${SESSION}?~action=get`);
      return lent;
    }
    const { user, password } = credentials;
    const Authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
    const fresh = new RestSession(trust, '', user);
    const id = await fresh.value({ method: 'POST', path: SESSION, headers: { Authorization } });
    return new RestSession(trust, String(id), user);
  }

  get(path: string): Promise<unknown> {
    return this.value({ method: 'GET', path, headers: this.headers });
  }

  /** @param body default: none */
  post(path: string, body?: object): Promise<unknown> {
    const headers = { ...this.headers, 'Content-Type': 'application/json' };
    return this.value({ method: 'POST', path, headers, body: body && JSON.stringify(body) });
  }

  async end(): Promise<void> {
    if (this.user === null) return;
    // A session that cannot be ended ends by itself.
    await ask(this.trust, { method: 'DELETE', path: SESSION, headers: this.headers }).catch(() => undefined);
  }

  private get headers(): Record<string, string> {
    return { 'vmware-api-session-id': this.id };
  }

  private async value(question: Question): Promise<unknown> {
    const { server } = this.trust;
    const { status, body } = await ask(this.trust, question);
    if (status === 401) {
      throw this.user === null
        ? sessionEnded(server, 'REST API', 'Unauthorized')
        : refused(server, this.user, 'Unauthorized');
    }
    try {
      if (status === 200) return (JSON.parse(body) as { value: unknown }).value;
    } catch {
      // Told below.
    }
    throw new VcenterError(
      server,
      `its REST API does not answer (status ${status} to ${question.method} ${question.path}): the user needs System.Read on content libraries`,
    );
  }
}
