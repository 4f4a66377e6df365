import { createPrivateKey, X509Certificate } from 'node:crypto';

/** Key of the stack's configuration: the private key of `ingress.certificate`, in PEM. stacks/program.ts reads it. */
export const INGRESS_KEY = 'ingressKey';

/** Why a text is not the private key of a certificate (the first one of a chain), or null. Tells nothing of the key. */
export function ingressKeyProblem(certificatePem: string, keyPem: string): string | null {
  try {
    const key = createPrivateKey(keyPem);
    return new X509Certificate(certificatePem).checkPrivateKey(key)
      ? null
      : 'it is the key of another certificate than the first of ingress.certificate';
  } catch {
    return 'it is no private key in PEM without a passphrase';
  }
}
