import { createHash, createPrivateKey, createPublicKey, hkdfSync, randomBytes } from 'node:crypto';
import { utils } from 'ssh2';

/**
 * The SSH keys of a site. The host key of a machine is derived, not drawn: the same seed and name give the same bytes
 * on every run, so the key is known before the machine exists and a plan never shows a change that nobody made.
 */

export interface SshKeyPair {
  /** Unencrypted, in OpenSSH's own format, with a final newline. */
  privateKey: string;
  /** `ssh-ed25519 AAAA…`; a derived key has no comment. */
  publicKey: string;
}

const KEY_TYPE = 'ssh-ed25519';
const SEED_BYTES = 32;
const SECRET_BYTES = 32;

/** DER of a PKCS #8 ed25519 private key up to its 32 bytes (RFC 8410, section 7): the one import format that Node takes. */
const PKCS8_ED25519_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
/** DER of an ed25519 SubjectPublicKeyInfo before its 32 bytes (RFC 8410, section 4). */
const SPKI_ED25519_PREFIX_BYTES = 12;

/**
 * The ed25519 host key of one machine: HKDF-SHA256 of the seed of the site, with the name of the machine as its info.
 * Throws when the seed is not 32 bytes of base64.
 */
export function deriveHostKey(seedBase64: string, machineName: string): SshKeyPair {
  const seed = Buffer.from(seedBase64, 'base64');
  if (seed.length !== SEED_BYTES) {
    throw new Error(`hostKeySeed must be ${SEED_BYTES} bytes in base64; this one has ${seed.length}`);
  }
  return sshKeyPair(Buffer.from(hkdfSync('sha256', seed, '', `sitewright ssh host key ${machineName}`, SECRET_BYTES)));
}

/**
 * A new ed25519 key for a user. Not by ssh2's own generator: 1.17.0 takes leading zero bytes off the public key, and one
 * key in 256 then opens nothing.
 */
export function generateSshKey(comment: string): SshKeyPair {
  const { privateKey, publicKey } = sshKeyPair(randomBytes(SECRET_BYTES), comment);
  return { privateKey, publicKey: `${publicKey} ${comment}`.trim() };
}

/** The key pair of 32 secret bytes; the comment is in the private key only. */
export function sshKeyPair(secret: Buffer, comment = ''): SshKeyPair {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_ED25519_PREFIX, secret]), format: 'der', type: 'pkcs8' });
  const point = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(SPKI_ED25519_PREFIX_BYTES);
  return {
    privateKey: openSshPrivateKey(secret, point, comment),
    publicKey: `${KEY_TYPE} ${publicBlob(point).toString('base64')}`,
  };
}

/** The line `<type> AAAA…` of an OpenSSH or PEM private key. Throws with the reason when it cannot be read. */
export function publicKeyOf(privateKey: string): string {
  const parsed = utils.parseKey(privateKey);
  if (parsed instanceof Error) throw new Error(`The SSH private key cannot be read: ${parsed.message}`);
  return `${parsed.type} ${parsed.getPublicSSH().toString('base64')}`;
}

function sshString(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function publicBlob(point: Buffer): Buffer {
  return Buffer.concat([sshString(KEY_TYPE), sshString(point)]);
}

/**
 * The openssh-key-v1 encoding (PROTOCOL.key of OpenSSH), unencrypted. Written here because ssh2 only encodes keys that it
 * generates. The check number, random elsewhere, comes from the key: the text must not change between runs.
 */
function openSshPrivateKey(secret: Buffer, point: Buffer, comment: string): string {
  const check = createHash('sha256').update(secret).digest().subarray(0, 4);
  const content = Buffer.concat([
    check,
    check,
    sshString(KEY_TYPE),
    sshString(point),
    sshString(Buffer.concat([secret, point])),
    sshString(comment),
  ]);
  const blockBytes = 8;
  const padding = Buffer.from(
    Array.from({ length: (blockBytes - (content.length % blockBytes)) % blockBytes }, (_, index) => index + 1),
  );
  const keyCount = Buffer.from([0, 0, 0, 1]);
  const encoded = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    sshString('none'),
    sshString('none'),
    sshString(''),
    keyCount,
    sshString(publicBlob(point)),
    sshString(Buffer.concat([content, padding])),
  ]).toString('base64');
  const lines = encoded.match(/.{1,70}/g) ?? [];
  return ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join('\n');
}
