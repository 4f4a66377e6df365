import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { VcenterError } from './errors';
import { howToLend, LENT_USER, parseSession, sessionText, type LentSession } from './login';
import { RestSession } from './rest';
import { childNodes, children, referenceOf, textOf, VcenterSession, type Xml } from './soap';
import type { VcenterTrust } from './trust';

/**
 * A session reaches the provider's plugin and the agent by files, for as long as an operation takes: so it is in no resource,
 * and a new one of every day is no change of a site. The plugin keeps sessions as govc does, and takes one that it finds.
 */

/** Names the file that the agent reads, in the environment of the engine. */
export const LENT_SESSION = 'SITEWRIGHT_VSPHERE_SESSION';

export interface Lending {
  /** What the engine needs in its environment: names of files and folders. */
  env: Record<string, string>;
  /** Removes the files; the session stays. */
  end(): void;
}

/**
 * Sees that the vCenter knows a session and writes it to where the plugin and the agent look, in a folder of this user alone.
 * @throws VcenterError for one that it does not know
 */
export async function lendSession(trust: VcenterTrust, session: LentSession): Promise<Lending> {
  const { content } = await VcenterSession.open(trust, { session });
  await RestSession.open(trust, { session });
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-vcenter-'));
  const remove = () => fs.rmSync(folder, { recursive: true, force: true });
  // Also where a second interrupt ends this process at once.
  process.once('exit', remove);
  const files = {
    vim: path.join(folder, 'vim', keyOf(trust.server, '/sdk')),
    rest: path.join(folder, 'rest', keyOf(trust.server, '/rest')),
    agent: path.join(folder, 'session'),
  };
  write(files.vim, JSON.stringify(vimClient(trust.server, session, content)));
  write(files.rest, JSON.stringify(restClient(trust.server, session)));
  write(files.agent, sessionText(session));
  return {
    env: {
      VSPHERE_PERSIST_SESSION: 'true',
      VSPHERE_VIM_SESSION_PATH: path.dirname(files.vim),
      VSPHERE_REST_SESSION_PATH: path.dirname(files.rest),
      [LENT_SESSION]: files.agent,
    },
    end: () => {
      process.removeListener('exit', remove);
      remove();
    },
  };
}

/** In a process of the engine: the session that `lendSession` left for it. */
export function lentSession(server: string): LentSession {
  const file = process.env[LENT_SESSION];
  const session = file === undefined || !fs.existsSync(file) ? null : parseSession(fs.readFileSync(file, 'utf8'));
  if (session === null) {
    throw new VcenterError(server, `no session was lent: sitewright up and preview do it, with ${howToLend('<site>')}`);
  }
  return session;
}

function write(file: string, text: string): void {
  fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  fs.writeFileSync(file, text, { mode: 0o600, flag: 'wx' });
}

/** As govmomi names the files of its sessions: by address, user and whether certificates are checked. */
const keyOf = (server: string, at: string) =>
  createHash('sha256').update(`https://${LENT_USER}@${server}${at}#insecure=false`).digest('hex');

/** govmomi's `vim25.Client` as JSON, which holds what the vCenter says of its services. */
function vimClient(server: string, { soap }: LentSession, content: Xml): object {
  const about = childNodes(content, 'about')[0] ?? {};
  return {
    SoapClient: {
      Cookies: [{ Name: 'vmware_soap_session', Value: soap }],
      URL: { Scheme: 'https', Host: server, Path: '/sdk' },
      Insecure: false,
      Version: textOf(children(about, 'apiVersion')[0]),
    },
    ServiceContent: plainObject(content),
  };
}

/** govmomi's `rest.Client` as JSON. */
const restClient = (server: string, { rest }: LentSession): object => ({
  SoapClient: { Cookies: [], URL: { Scheme: 'https', Host: server, Path: '/rest' }, Insecure: false },
  SessionID: rest,
});

/** References, texts, and objects of them. */
function plainObject(node: Xml): object {
  return Object.fromEntries(
    Object.keys(node)
      .filter((name) => !name.startsWith('@') && name !== '#')
      .map((name) => {
        const value = children(node, name)[0] ?? '';
        if (typeof value === 'string') return [name, textOf(value)];
        if (value['@type'] !== undefined) {
          const { type, id } = referenceOf(value);
          return [name, { type, value: id }];
        }
        const isText = Object.keys(value).every((key) => key === '#' || key.startsWith('@'));
        return [name, isText ? textOf(value) : plainObject(value)];
      }),
  );
}
