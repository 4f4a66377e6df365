import { convert } from 'xmlbuilder2';
import { VcenterError } from './errors';
import { howToLend, type Credentials } from './login';
import { ask, type VcenterTrust } from './trust';

/**
 * The few calls of the vSphere Web Services API that the kit makes. Every version of vCenter and ESXi serves it; the newer
 * REST API knows no MTU of a switch.
 */

/** A managed object: `VirtualMachine` and `vm-42`. */
export interface Reference {
  type: string;
  id: string;
}

/** An element as the converter gives it: lists of children by name, attributes with `@`, text under `#`. */
export interface Xml {
  [name: string]: (Xml | string)[] | string | undefined;
}

export const children = (node: Xml, name: string): (Xml | string)[] => {
  const found = node[name];
  return Array.isArray(found) ? found : [];
};
export const childNodes = (node: Xml, name: string): Xml[] =>
  children(node, name).filter((child): child is Xml => typeof child !== 'string');
/** The converter leaves the entities of a text as they are. */
const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const unescapeXml = (text: string) =>
  text.replace(
    /&(?:#x([0-9a-f]+)|#([0-9]+)|(amp|lt|gt|quot|apos));/gi,
    (_, hex: string, decimal: string, name: string) =>
      name !== undefined
        ? ENTITIES[name]!
        : String.fromCodePoint(hex !== undefined ? parseInt(hex, 16) : Number(decimal)),
  );

export const textOf = (node: Xml | string | undefined): string => unescapeXml(rawText(node));

const rawText = (node: Xml | string | undefined): string => {
  if (node === undefined || typeof node === 'string') return node ?? '';
  const text = node['#'];
  return Array.isArray(text) ? text.map((part) => (typeof part === 'string' ? part : '')).join('') : (text ?? '');
};
export const textAt = (node: Xml, name: string): string | undefined => {
  const [first] = children(node, name);
  return first === undefined ? undefined : textOf(first);
};

/** The prefix of an attribute is the server's own choice. */
export const attribute = (node: Xml, name: string): unknown =>
  Object.entries(node).find(([key]) => key.startsWith('@') && key.endsWith(`:${name}`))?.[1];

export const escapeXml = (text: string) =>
  text.replace(/[&<>"]/g, (found) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[found]!);

export const referenceXml = (name: string, { type, id }: Reference) =>
  `<${name} type="${type}">${escapeXml(id)}</${name}>`;
export const referenceOf = (node: Xml | string): Reference => ({
  type: typeof node === 'string' ? '' : String(node['@type'] ?? ''),
  id: textOf(node),
});

/** Services of one vCenter, each with a path and a namespace of its own. */
const ENDPOINTS = {
  vim: { path: '/sdk', namespace: 'urn:vim25', action: 'urn:vim25/6.7' },
  /** Storage policies. */
  pbm: { path: '/pbm', namespace: 'urn:pbm', action: 'urn:pbm/2.0' },
};

const SERVICE: Reference = { type: 'ServiceInstance', id: 'ServiceInstance' };

export interface Service {
  rootFolder: Reference;
  propertyCollector: Reference;
  viewManager: Reference;
  sessionManager: Reference;
  searchIndex: Reference;
}

export const refused = (server: string, user: string, fault: string) =>
  new VcenterError(
    server,
    `it does not let ${user} in: check user and password (sitewright secrets set <site> vsphereUser, vspherePassword)`,
    fault,
  );

export const sessionEnded = (server: string, api: string, fault: string) =>
  new VcenterError(
    server,
    `it does not know the session of its ${api} that vsphereSession holds: it was ended, or unused for too long. ` +
      `Make a new one and set it: ${howToLend('<site>')}`,
    fault,
  );

/** A session that is logged in. `end` it: a vCenter has room for some hundred. */
export class VcenterSession {
  private cookie = '';
  service!: Service;
  /** What the vCenter says of its services, as it says it. */
  content!: Xml;

  private constructor(
    readonly trust: VcenterTrust,
    /** Somebody else's: it stays. */
    private readonly isLent: boolean,
  ) {}

  get server(): string {
    return this.trust.server;
  }

  static async open(trust: VcenterTrust, credentials: Credentials): Promise<VcenterSession> {
    const session = new VcenterSession(trust, 'session' in credentials);
    if ('session' in credentials) session.cookie = `vmware_soap_session=${credentials.session.soap}`;
    const [content] = childNodes(await session.call(SERVICE, 'RetrieveServiceContent'), 'returnval');
    if (content === undefined) throw new VcenterError(trust.server, 'it does not answer as a vCenter does');
    session.content = content;
    const reference = (name: string) => referenceOf(children(content, name)[0] ?? '');
    session.service = {
      rootFolder: reference('rootFolder'),
      propertyCollector: reference('propertyCollector'),
      viewManager: reference('viewManager'),
      sessionManager: reference('sessionManager'),
      searchIndex: reference('searchIndex'),
    };
    if ('session' in credentials) {
      // Whoever is not logged in is not told.
      await session.call(SERVICE, 'CurrentTime');
      return session;
    }
    const { user, password } = credentials;
    const login = `<userName>${escapeXml(user)}</userName><password>${escapeXml(password)}</password>`;
    await session.call(session.service.sessionManager, 'Login', login).catch((error: unknown) => {
      if (!(error instanceof VcenterError) || error.fault !== 'InvalidLogin') throw error;
      throw refused(trust.server, user, error.fault);
    });
    return session;
  }

  async end(): Promise<void> {
    if (this.isLent) return;
    // A session that cannot be ended ends by itself.
    await this.call(this.service.sessionManager, 'Logout').catch(() => undefined);
  }

  /** @param parameters children of the call, as XML in the order of the API */
  async call(
    target: Reference,
    method: string,
    parameters = '',
    endpoint: keyof typeof ENDPOINTS = 'vim',
  ): Promise<Xml> {
    const { path, namespace, action } = ENDPOINTS[endpoint];
    const body =
      '<?xml version="1.0" encoding="UTF-8"?>' +
      '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">' +
      (endpoint === 'vim'
        ? ''
        : `<soapenv:Header><vcSessionCookie>${escapeXml(this.sessionId())}</vcSessionCookie></soapenv:Header>`) +
      `<soapenv:Body><${method} xmlns="${namespace}">${referenceXml('_this', target)}${parameters}</${method}></soapenv:Body></soapenv:Envelope>`;
    const headers = {
      'Content-Type': 'text/xml; charset=utf-8',
      SOAPAction: action,
      ...(this.cookie === '' ? {} : { Cookie: this.cookie }),
    };
    const answer = await ask(this.trust, { method: 'POST', path, headers, body });
    // To a session that it no longer knows a vCenter answers with a new one, which nobody is logged in to.
    if (answer.cookies.length > 0 && !this.isLent)
      this.cookie = answer.cookies.map((cookie) => cookie.split(';')[0]).join('; ');
    return this.bodyOf(method, answer.status, answer.body);
  }

  /** The other services know the session by the value of its cookie. */
  private sessionId(): string {
    return /vmware_soap_session="?([^";]*)/.exec(this.cookie)?.[1] ?? '';
  }

  private bodyOf(method: string, status: number, text: string): Xml {
    let envelope: Xml;
    try {
      envelope = convert(text, { format: 'object', verbose: true }) as unknown as Xml;
    } catch {
      throw new VcenterError(this.server, `it does not answer as a vCenter does (status ${status} to ${method})`);
    }
    const root = Object.values(envelope).find(Array.isArray) as Xml[] | undefined;
    const body = root?.[0] === undefined ? undefined : named(root[0], 'Body')[0];
    const fault = body === undefined ? undefined : named(body, 'Fault')[0];
    if (fault !== undefined) {
      const detail = childNodes(fault, 'detail')[0] ?? {};
      const kind = Object.keys(detail)
        .find((key) => !key.startsWith('@'))
        ?.replace(/^.*:/, '');
      const type = kind?.replace(/Fault$/, '') ?? null;
      if (this.isLent && type === 'NotAuthenticated') throw sessionEnded(this.server, 'Web Services API', type);
      throw new VcenterError(this.server, `${method}: ${textAt(fault, 'faultstring') || type || 'refused'}`, type);
    }
    const response = body === undefined ? undefined : named(body, `${method}Response`)[0];
    if (response === undefined) {
      throw new VcenterError(this.server, `it does not answer as a vCenter does (status ${status} to ${method})`);
    }
    return response;
  }
}

/** Children by their name without its prefix, which every server chooses for itself. */
function named(node: Xml, name: string): Xml[] {
  const key = Object.keys(node).find((candidate) => candidate === name || candidate.endsWith(`:${name}`));
  if (key === undefined) return [];
  return children(node, key).map((child) => (typeof child === 'string' ? {} : child));
}
