import { VcenterError } from './errors';
import type { Credentials } from './lookUp';
import { suggestion } from './resolve';
import { refused } from './soap';
import { ask, type Question, type VcenterTrust } from './trust';

/** An item of a content library, or why there is none; neither where it was not looked for. */
export interface FoundItem {
  id: string | null;
  problem: string | null;
}

/** Kinds of items that machines are made from. */
const KINDS = ['vm-template', 'ovf'];

const LIBRARIES = '/rest/com/vmware/content/library';
const ITEMS = '/rest/com/vmware/content/library/item';

/** The item of a content library that the site file names as its template. Libraries are known to the REST API alone. */
export async function findItem(
  trust: VcenterTrust,
  credentials: Credentials,
  { name, library }: { name: string; library: string },
): Promise<FoundItem> {
  return withRest(trust, credentials, async (rest) => {
    const at = 'machines.vsphere.template';
    const libraries = await rest.list(LIBRARIES, LIBRARIES);
    const [home] = libraries.filter((one) => one.name === library);
    if (home === undefined) {
      const names = libraries.map((one) => one.name).sort();
      return {
        id: null,
        problem: `${at}.library: there is no content library ${library}${suggestion(library, names)}`,
      };
    }
    const [item] = await rest.find(ITEMS, { library_id: home.id, name });
    if (item === undefined) {
      // Only for the message: a library can have hundreds.
      const items = await rest.list(`${ITEMS}?library_id=${encodeURIComponent(home.id)}`, ITEMS);
      const names = items.filter(({ type }) => KINDS.includes(type)).map((one) => one.name);
      return {
        id: null,
        problem: `${at}.name: there is no item ${name} in the content library ${library}${suggestion(name, names.sort())}`,
      };
    }
    if (!KINDS.includes(item.type)) {
      return {
        id: null,
        problem: `${at}.name: ${name} of the content library ${library} is ${item.type === '' ? 'of no kind' : `of the kind ${item.type}`}, and machines are made from ${KINDS.join(' or ')}`,
      };
    }
    return { id: item.id, problem: null };
  });
}

interface Named {
  id: string;
  name: string;
  type: string;
}

interface Rest {
  /** Everything that a path lists, with its names. */
  list(listed: string, one: string): Promise<Named[]>;
  find(path: string, spec: Record<string, string>): Promise<Named[]>;
}

async function withRest<T>(
  trust: VcenterTrust,
  { user, password }: Credentials,
  work: (rest: Rest) => Promise<T>,
): Promise<T> {
  const session = '/rest/com/vmware/cis/session';
  const basic = Buffer.from(`${user}:${password}`).toString('base64');
  const id = await value(trust, user, {
    method: 'POST',
    path: session,
    headers: { Authorization: `Basic ${basic}` },
  });
  const headers = { 'vmware-api-session-id': String(id) };
  const get = (path: string) => value(trust, user, { method: 'GET', path, headers });
  const named = async (ids: unknown, path: string) => {
    const found: Named[] = [];
    for (const each of (ids ?? []) as string[]) {
      const { name = '', type = '' } = (await get(`${path}/id:${each}`)) as Partial<Named>;
      found.push({ id: each, name, type });
    }
    return found;
  };
  try {
    return await work({
      list: async (listed, one) => named(await get(listed), one),
      find: async (path, spec) => {
        const question = { method: 'POST' as const, path: `${path}?~action=find`, body: JSON.stringify({ spec }) };
        const json = { ...headers, 'Content-Type': 'application/json' };
        return named(await value(trust, user, { ...question, headers: json }), path);
      },
    });
  } finally {
    // A session that cannot be ended ends by itself.
    await ask(trust, { method: 'DELETE', path: session, headers }).catch(() => undefined);
  }
}

async function value(trust: VcenterTrust, user: string, question: Question): Promise<unknown> {
  const { status, body } = await ask(trust, question);
  if (status === 401) throw refused(trust.server, user, 'Unauthorized');
  try {
    if (status === 200) return (JSON.parse(body) as { value: unknown }).value;
  } catch {
    // Told below.
  }
  throw new VcenterError(
    trust.server,
    `its content libraries cannot be read (status ${status} to ${question.method} ${question.path}): the user needs System.Read on them`,
  );
}
