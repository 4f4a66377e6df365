import { utils } from 'ssh2';

/** A fresh ed25519 pair in OpenSSH's formats. */
export function newKey(): { privateKey: string; publicKey: string } {
  const pair = utils.generateKeyPairSync('ed25519');
  return { privateKey: pair.private, publicKey: pair.public.trim() };
}
