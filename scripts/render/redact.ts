/** What a reader sees in place of a secret: what kind of secret it is. */
export const mark = (kind: string) => `[secret: ${kind}]`;

/** Text of these shapes may be a secret or come from one. */
const PEM = /-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g;
const PUBLIC_SSH_KEY = /ssh-[a-z0-9]+ [A-Za-z0-9+/]{40,}={0,2}/g;
const UUID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
const HASH = /(sha256:)?[0-9a-f]{64}/g;
const BASE64 = /[A-Za-z0-9+/]{24,}={0,2}/g;
/** The user's name alone is none. A quote would be spelled in another way: what follows one is another text. */
const URL_PASSWORD = /([a-z][a-z0-9+.-]*:\/\/[^\s/@:]*):[^\s/@"]+@/gi;
const URL_PARAMETER =
  /([?&][a-z0-9_.-]*(?:password|passwd|passphrase|secret|token|signature|sig|key|credential)[a-z0-9_.-]*=)[^&\s'"]+/gi;
const VRRP_PASSWORD = /(\bauth_pass )\S+/g;

/** Where a URL of a site file has a password or another secret, a mark stands instead. */
export const withoutUrlSecrets = (text: string): string =>
  text
    .replace(URL_PASSWORD, `$1:${mark('password of a URL')}@`)
    .replace(URL_PARAMETER, `$1${mark('parameter of a URL')}`);

/**
 * Makes a function that shows marks in place of secrets: of the known texts, and of whatever has the shape of a private key
 * or of a password in a URL.
 * @param marks known text and what is shown for it
 */
export function redactor(marks: ReadonlyMap<string, string>): (text: string) => string {
  const known = (text: string) => marks.get(text) ?? text;
  return (text) =>
    marks.get(text.trim()) ??
    withoutUrlSecrets(text)
      .replace(PEM, (pem, kind: string) => {
        // In YAML it is indented.
        const shown = marks.get(pem.replace(/\n\s+/g, '\n'));
        return shown ?? (kind.includes('PRIVATE') ? mark('private key') : pem);
      })
      .replace(PUBLIC_SSH_KEY, known)
      .replace(UUID, known)
      .replace(HASH, known)
      .replace(BASE64, (word) => marks.get(word) ?? encoded(word))
      .replace(VRRP_PASSWORD, `$1${mark('VRRP password')}`);
}

/** A private key in base64 is one. */
const encoded = (word: string) =>
  word.startsWith('LS0tLS1CRUdJTi') && Buffer.from(word, 'base64').includes('PRIVATE KEY') ? mark('private key') : word;
