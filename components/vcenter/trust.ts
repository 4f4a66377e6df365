import { readFileSync } from 'node:fs';
import * as https from 'node:https';
import * as net from 'node:net';
import * as tls from 'node:tls';
import { VcenterError } from './errors';

/** How a vCenter is known. With neither, the authorities of the system vouch for it. */
export interface VcenterTrust {
  /** Name or address, with a port where it is not 443. */
  server: string;
  /** PEM file of an authority. */
  caFile: string | null;
  /** SHA-256 of the certificate, upper case, with colons. */
  thumbprint: string | null;
}

const CONNECT_LIMIT_SECONDS = 30;
const ANSWER_LIMIT_SECONDS = 120;

export function endpointOf(server: string): { host: string; port: number } {
  const { hostname, port } = new URL(`https://${net.isIPv6(server) ? `[${server}]` : server}`);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 443 : Number(port) };
}

/**
 * A TLS connection to the vCenter that the site file means. The certificate is judged here and before a byte is sent, so
 * that a refusal can say what was shown: nobody should have to turn the check off to find out.
 */
export function openTrusted({ server, caFile, thumbprint }: VcenterTrust): Promise<tls.TLSSocket> {
  const { host, port } = endpointOf(server);
  const ca = caFile === null ? undefined : readAuthority(server, caFile);
  return new Promise((resolve, reject) => {
    const servername = net.isIP(host) === 0 ? host : '';
    const socket = tls.connect({ host, port, servername, ca, rejectUnauthorized: false });
    const refuse = (message: string) => {
      socket.destroy();
      reject(new VcenterError(server, message));
    };
    socket.setTimeout(CONNECT_LIMIT_SECONDS * 1000, () => refuse(`no answer for ${CONNECT_LIMIT_SECONDS} seconds`));
    socket.once('error', (error) => refuse(`cannot be reached: ${error.message}`));
    socket.once('secureConnect', () => {
      socket.setTimeout(0);
      const certificate = socket.getPeerCertificate();
      const shown = certificate.fingerprint256;
      if (thumbprint !== null) {
        if (shown === thumbprint) return resolve(socket);
        return refuse(
          `shows a certificate with the SHA-256 fingerprint ${shown}, and machines.vsphere.thumbprint is ${thumbprint}: ` +
            'find out why it was changed before you write the new one there',
        );
      }
      const problem = socket.authorized
        ? tls.checkServerIdentity(host, certificate)?.message
        : String(socket.authorizationError);
      if (problem === undefined) return resolve(socket);
      return refuse(
        `its certificate is not trusted (${problem}): name the file of its authority as machines.vsphere.caFile, or compare the ` +
          `SHA-256 fingerprint ${shown} with the one that its console shows and write it as machines.vsphere.thumbprint`,
      );
    });
  });
}

function readAuthority(server: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new VcenterError(server, `machines.vsphere.caFile cannot be read: ${(error as Error).message}`);
  }
}

export interface Answer {
  status: number;
  cookies: string[];
  body: string;
}

export interface Question {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  headers: Record<string, string>;
  /** Default: none. */
  body?: string;
}

/** One question on a connection of its own. Nothing of it but the path is shown where it fails: it can hold the password. */
export async function ask(trust: VcenterTrust, { method, path, headers, body = '' }: Question): Promise<Answer> {
  const socket = await openTrusted(trust);
  return new Promise((resolve, reject) => {
    const fail = (message: string) => {
      socket.destroy();
      reject(new VcenterError(trust.server, message));
    };
    const request = https.request(
      {
        method,
        path,
        headers: { ...headers, Host: trust.server, Connection: 'close', 'Content-Length': Buffer.byteLength(body) },
        createConnection: () => socket,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', (error) => fail(error.message));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            cookies: response.headers['set-cookie'] ?? [],
            body: Buffer.concat(chunks).toString('utf8'),
          }),
        );
      },
    );
    request.setTimeout(ANSWER_LIMIT_SECONDS * 1000, () => fail(`no answer for ${ANSWER_LIMIT_SECONDS} seconds`));
    request.on('error', (error) => fail(error.message));
    request.end(body);
  });
}
