import { generateSshKey, type SshKeyPair } from '../../components/secrets/hostKey';

/** A fresh ed25519 pair in OpenSSH's formats. */
export function newKey(): SshKeyPair {
  return generateSshKey('');
}
