import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deriveHostKey, generateSshKey, publicKeyOf, sshKeyPair } from '../../components/secrets/hostKey';

/** First four bytes of a secret, the rest of it zero, whose public key begins with a zero byte: one in 256 does. */
const SECRET_OF_A_ZERO_BYTE = 135;
const seed = Buffer.alloc(32, 7).toString('base64');

/** What OpenSSH itself reads out of a private key. */
function sshKeygen(privateKey: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'key-'));
  try {
    const file = join(folder, 'key');
    writeFileSync(file, privateKey, { mode: 0o600 });
    return execFileSync('ssh-keygen', ['-y', '-P', '', '-f', file], { encoding: 'utf8' }).trim();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('OpenSSH and our own reader find the public half in the derived private key', () => {
  for (const name of ['cp1', 'w1', 'a'.repeat(63)]) {
    const { privateKey, publicKey } = deriveHostKey(seed, name);
    expect(sshKeygen(privateKey)).toBe(publicKey);
    expect(publicKeyOf(privateKey)).toBe(publicKey);
  }
});

test('a seed and a name give the same bytes for ever', () => {
  // Taken from the first release: another value would lock the kit out of every machine made before.
  expect(deriveHostKey(seed, 'n1').publicKey).toBe(
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHFj7AklEdMijCGxIMqaLfJa93V314gzrmXGFaNTLTva',
  );
  expect(deriveHostKey(seed, 'n1')).toEqual(deriveHostKey(seed, 'n1'));
});

test('another name or another seed gives another key', () => {
  const otherSeed = Buffer.alloc(32, 8).toString('base64');
  const keys = [deriveHostKey(seed, 'n1'), deriveHostKey(seed, 'n2'), deriveHostKey(otherSeed, 'n1')];
  expect(new Set(keys.map(({ publicKey }) => publicKey)).size).toBe(3);
});

test('a seed that is too short is refused with its size', () => {
  expect(() => deriveHostKey(Buffer.alloc(16).toString('base64'), 'n1')).toThrow('32 bytes in base64; this one has 16');
});

test('a new user key is one that OpenSSH reads, with its comment', () => {
  const { privateKey, publicKey } = generateSshKey('site acme');
  expect(publicKey).toMatch(/^ssh-ed25519 \S+ site acme$/);
  expect(sshKeygen(privateKey)).toBe(publicKey);
  expect(publicKeyOf(privateKey)).toBe(publicKey.split(' ').slice(0, 2).join(' '));
  expect(generateSshKey('site acme').privateKey).not.toBe(privateKey);
});

test('a public key that begins with a zero byte keeps its 32 bytes', () => {
  const secret = Buffer.alloc(32);
  secret.writeUInt32BE(SECRET_OF_A_ZERO_BYTE);
  const { privateKey, publicKey } = sshKeyPair(secret);
  expect(Buffer.from(publicKey.split(' ')[1], 'base64').subarray(-32)[0]).toBe(0);
  expect(sshKeygen(privateKey)).toBe(publicKey);
  expect(publicKeyOf(privateKey)).toBe(publicKey);
});

test('text that is no key is refused without repeating it', () => {
  expect(() => publicKeyOf('not a key')).toThrow('The SSH private key cannot be read');
});
