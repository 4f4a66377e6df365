import type { Credentials } from './login';
import { suggestion } from './resolve';
import { RestSession } from './rest';
import type { VcenterTrust } from './trust';

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
  const rest = await RestSession.open(trust, credentials);
  try {
    const found = new Library(rest);
    const at = 'machines.vsphere.template';
    const libraries = await found.list(LIBRARIES, LIBRARIES);
    const [home] = libraries.filter((one) => one.name === library);
    if (home === undefined) {
      const names = libraries.map((one) => one.name).sort();
      return {
        id: null,
        problem: `${at}.library: there is no content library ${library}${suggestion(library, names)}`,
      };
    }
    const [item] = await found.find(ITEMS, { library_id: home.id, name });
    if (item === undefined) {
      // Only for the message: a library can have hundreds.
      const items = await found.list(`${ITEMS}?library_id=${encodeURIComponent(home.id)}`, ITEMS);
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
  } finally {
    await rest.end();
  }
}

interface Named {
  id: string;
  name: string;
  type: string;
}

class Library {
  constructor(private readonly rest: RestSession) {}

  /** Everything that a path lists, with its names. */
  async list(listed: string, one: string): Promise<Named[]> {
    return this.named(await this.rest.get(listed), one);
  }

  async find(path: string, spec: Record<string, string>): Promise<Named[]> {
    return this.named(await this.rest.post(`${path}?~action=find`, { spec }), path);
  }

  private async named(ids: unknown, path: string): Promise<Named[]> {
    const found: Named[] = [];
    for (const id of (ids ?? []) as string[]) {
      const { name = '', type = '' } = (await this.rest.get(`${path}/id:${id}`)) as Partial<Named>;
      found.push({ id, name, type });
    }
    return found;
  }
}
