import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { parse } from 'yaml';

/** How to reach one API server and who to be there. */
export interface Connection {
  /** https:// and nothing behind the port but a path, without a slash at the end. */
  server: string;
  /** PEM. */
  caCertificate?: string;
  /** Name to expect in the server's certificate, where it is not the host of `server`. */
  tlsServerName?: string;
  clientCertificate?: string;
  clientKey?: string;
  token?: string;
  /** Namespace of the context. */
  namespace?: string;
}

export interface Overrides {
  context?: string;
  cluster?: string;
}

type Fields = Record<string, unknown>;
interface Named {
  name: string;
  cluster?: Fields;
  context?: Fields;
  user?: Fields;
}
interface Kubeconfig {
  'current-context'?: string;
  clusters?: Named[];
  contexts?: Named[];
  users?: Named[];
}

/**
 * The connection of a kubeconfig's context.
 * @param given the text of a kubeconfig, or the path of one; paths inside it are relative to its folder.
 * @throws Error with everything that is missing or not supported here; it never holds a credential.
 */
export function connectionOf(given: string, overrides: Overrides): Connection {
  const { document, folder } = load(given);
  const wanted = overrides.context || document['current-context'];
  const context = wanted === undefined ? undefined : named(document.contexts, wanted)?.context;
  if (!wanted) throw new Error('the kubeconfig has no current-context, and the provider names no context');
  if (!context) throw new Error(`the kubeconfig has no context ${JSON.stringify(wanted)}; ${known(document.contexts)}`);

  const clusterName = overrides.cluster || String(context.cluster);
  const cluster = named(document.clusters, clusterName)?.cluster;
  if (!cluster) {
    throw new Error(`the kubeconfig has no cluster ${JSON.stringify(clusterName)}; ${known(document.clusters)}`);
  }
  const user = named(document.users, String(context.user))?.user ?? {};

  const problems = [...refused(cluster, refusedOfClusters), ...refused(user, refusedOfUsers)];
  const server = text(cluster.server)?.replace(/\/+$/, '') ?? '';
  if (!server.startsWith('https://')) {
    problems.push(`server is ${JSON.stringify(server)}; it must be an https:// address`);
  }
  const [clientCertificate, clientKey] = [
    material(user, 'client-certificate', folder),
    material(user, 'client-key', folder),
  ];
  const tokenFile = text(user.tokenFile);
  const token = text(user.token) ?? (tokenFile && fs.readFileSync(path.resolve(folder, tokenFile), 'utf8').trim());
  if (!clientCertificate !== !clientKey) problems.push('client-certificate and client-key must be given together');
  if (!clientCertificate && !token && problems.length === 0) {
    problems.push('the user has neither a client certificate nor a token');
  }
  if (problems.length > 0) {
    throw new Error(`the kubeconfig's context ${JSON.stringify(wanted)} cannot be used: ${problems.join('; ')}`);
  }
  return {
    server,
    caCertificate: material(cluster, 'certificate-authority', folder),
    tlsServerName: text(cluster['tls-server-name']),
    clientCertificate,
    clientKey,
    token,
    namespace: text(context.namespace),
  };
}

const refusedOfClusters: Record<string, string> = {
  'insecure-skip-tls-verify': "the server's certificate is always checked: give certificate-authority-data",
  'proxy-url': 'proxies are not supported by this plugin',
};

const login = 'this plugin starts no login programs: use a client certificate or a token';
const refusedOfUsers: Record<string, string> = {
  exec: login,
  'auth-provider': login,
  username: 'Kubernetes has no passwords any more: use a client certificate or a token',
  as: 'impersonation is not supported by this plugin',
};

function refused(fields: Fields, reasons: Record<string, string>): string[] {
  return Object.entries(reasons).flatMap(([name, reason]) => (fields[name] ? [`${name}: ${reason}`] : []));
}

function load(given: string): { document: Kubeconfig; folder: string } {
  const isText = /[\n{]/.test(given);
  const file = isText ? '' : path.resolve(given.replace(/^~(?=\/)/, os.homedir()));
  if (!isText && !fs.existsSync(file)) throw new Error(`the kubeconfig ${file} does not exist`);
  const document = parseQuietly(isText ? given : fs.readFileSync(file, 'utf8'));
  if (typeof document !== 'object' || document === null) throw new Error('the kubeconfig is not a YAML document');
  return { document: document as Kubeconfig, folder: isText ? process.cwd() : path.dirname(file) };
}

/** The parser's own message quotes lines, which may be keys. */
function parseQuietly(content: string): unknown {
  try {
    return parse(content);
  } catch {
    throw new Error('the kubeconfig is not valid YAML');
  }
}

/** PEM from `<name>-data` (base64) or from the file that `<name>` names. */
function material(fields: Fields, name: string, folder: string): string | undefined {
  const data = text(fields[`${name}-data`]);
  if (data) return Buffer.from(data, 'base64').toString('utf8');
  const file = text(fields[name]);
  return file && fs.readFileSync(path.resolve(folder, file), 'utf8');
}

function named(list: Named[] | undefined, name: string): Named | undefined {
  return list?.find((item) => item.name === name);
}

function known(list: Named[] | undefined): string {
  return `it has ${list?.map((item) => item.name).join(', ') || 'none'}`;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
