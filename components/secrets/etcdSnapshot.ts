import {
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
  pbkdf2Sync,
  type KeyObject,
} from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { parseJson } from './json';

/**
 * Files of snapshots of etcd. A node has the public half of the site's snapshot key alone: it writes what it cannot read.
 *
 * A file is two lines of text, then bytes. The first line is FORMAT, the second a header as JSON, the rest is what
 * `openssl enc -aes-256-ctr -pbkdf2` makes of the snapshot. Its password is the X25519 secret of the site's key and of one
 * that the node makes for this file, as 64 hexadecimal digits; the header has the public half of the latter. The header
 * also has the sha256 of the snapshot, which nobody can make fit another content without the key.
 */
export const FORMAT = 'sitewright-etcd-snapshot-1';
export const SNAPSHOT_SUFFIX = '.etcd-snapshot';

const headerShape = z.strictObject({
  site: z.string(),
  /** The machine that it was taken on. */
  node: z.string(),
  /** UTC, such as 2026-03-01T12:00:00Z. */
  taken: z.string(),
  /** Of the API server, such as v1.36.1. */
  kubernetes: z.string(),
  revision: z.int(),
  /** etcd's own hash of the keys, as `etcdutl snapshot status` shows it. */
  hash: z.string(),
  keys: z.int(),
  /** Of the snapshot before it was encrypted. */
  sizeBytes: z.int().positive(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Names of the keys of Secrets at rest that the API server knew: what is in the snapshot needs one of them. */
  encryptionKeys: z.array(z.string()),
  /** DER in base64, of the key that was made for this file. */
  publicKey: z.string(),
});
export type SnapshotHeader = z.infer<typeof headerShape>;

/** Not a snapshot of this site, or not whole. The message says which, and holds no key. */
export class SnapshotError extends Error {}

const SECRET_BYTES = 32;
/** DER of a PKCS #8 X25519 private key up to its 32 bytes (RFC 8410, section 7). */
const PKCS8_X25519_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');

/**
 * The key pair that the snapshots of a site are encrypted to: HKDF-SHA256 of the seed of its host keys, which no machine
 * has. So it is known wherever the site's secrets are, and nothing more has to be kept.
 */
export function snapshotKey(hostKeySeed: string): { privateKey: KeyObject; publicKeyPem: string } {
  const seed = Buffer.from(hostKeySeed, 'base64');
  const secret = Buffer.from(hkdfSync('sha256', seed, '', 'sitewright etcd snapshots', SECRET_BYTES));
  const key = Buffer.concat([PKCS8_X25519_PREFIX, secret]);
  const privateKey = createPrivateKey({ key, format: 'der', type: 'pkcs8' });
  const publicKeyPem = createPublicKey(privateKey).export({ format: 'pem', type: 'spki' }).toString();
  return { privateKey, publicKeyPem };
}

/** A file with its header read; `bodyAt` is where the encrypted bytes begin. */
export interface SnapshotFile {
  path: string;
  header: SnapshotHeader;
  bodyAt: number;
}

/** More than any header has; a file that is something else must not be read whole. */
const HEADER_MAX_BYTES = 64 * 1024;

/** Throws SnapshotError where it is no snapshot of the kit. */
export async function openSnapshot(path: string): Promise<SnapshotFile> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER_MAX_BYTES), 0, HEADER_MAX_BYTES, 0);
    const start = buffer.subarray(0, bytesRead);
    const firstEnd = start.indexOf('\n');
    const secondEnd = start.indexOf('\n', firstEnd + 1);
    if (firstEnd < 0 || secondEnd < 0 || start.toString('utf8', 0, firstEnd) !== FORMAT) {
      throw new SnapshotError(`${path} is no snapshot of sitewright: such a file begins with ${FORMAT}`);
    }
    const header = headerShape.safeParse(parseJson(start.toString('utf8', firstEnd + 1, secondEnd)));
    if (!header.success) throw new SnapshotError(`${path} is damaged: its header cannot be read`);
    return { path, header: header.data, bodyAt: secondEnd + 1 };
  } finally {
    await file.close();
  }
}

/** `openssl enc -pbkdf2`: "Salted__", eight bytes of salt, and 10,000 rounds of SHA-256 for the key and the counter. */
const MAGIC = 'Salted__';
const SALT_BYTES = 8;
const ROUNDS = 10_000;
const KEY_BYTES = 32;
const COUNTER_BYTES = 16;

/** The snapshot as etcd wrote it. What comes is not checked: `checkSnapshot` before. */
export async function plainSnapshot(snapshot: SnapshotFile, privateKey: KeyObject): Promise<Readable> {
  const { path, header, bodyAt } = snapshot;
  const salted = Buffer.alloc(MAGIC.length + SALT_BYTES);
  const file = await open(path);
  try {
    await file.read(salted, 0, salted.length, bodyAt);
  } finally {
    await file.close();
  }
  if (salted.toString('latin1', 0, MAGIC.length) !== MAGIC) throw damaged(path);
  const password = sharedSecret(privateKey, header.publicKey, path);
  const salt = salted.subarray(MAGIC.length);
  const derived = pbkdf2Sync(password, salt, ROUNDS, KEY_BYTES + COUNTER_BYTES, 'sha256');
  const decipher = createDecipheriv('aes-256-ctr', derived.subarray(0, KEY_BYTES), derived.subarray(KEY_BYTES));
  // An error of either ends the other, and whoever reads is told.
  pipeline(createReadStream(path, { start: bodyAt + salted.length }), decipher).catch(() => undefined);
  return decipher;
}

function sharedSecret(privateKey: KeyObject, publicKeyBase64: string, path: string): string {
  try {
    const publicKey = createPublicKey({ key: Buffer.from(publicKeyBase64, 'base64'), format: 'der', type: 'spki' });
    return diffieHellman({ privateKey, publicKey }).toString('hex');
  } catch {
    throw damaged(path);
  }
}

/** Reads all of it and throws SnapshotError unless it opens with the key and is what its header says. */
export async function checkSnapshot(snapshot: SnapshotFile, privateKey: KeyObject): Promise<void> {
  const { path, header } = snapshot;
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of await plainSnapshot(snapshot, privateKey)) {
    bytes += (chunk as Buffer).length;
    hash.update(chunk as Buffer);
  }
  if (bytes < header.sizeBytes) {
    throw new SnapshotError(`${path} is cut off: ${bytes} of ${header.sizeBytes} bytes are there`);
  }
  if (bytes !== header.sizeBytes || hash.digest('hex') !== header.sha256) throw damaged(path);
}

const damaged = (path: string) =>
  new SnapshotError(`${path} is damaged, or encrypted for another site: it does not open to what its header says`);
