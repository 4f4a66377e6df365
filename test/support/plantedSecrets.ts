import { gunzipSync } from 'node:zlib';

/** Base64 of a text inside a longer one, whatever stands before it: cut to the characters that only the text decides. */
export function base64Within(text: string): string[] {
  return [0, 1, 2].map((shift) => {
    const encoded = Buffer.from('x'.repeat(shift) + text)
      .toString('base64')
      .replace(/=+$/, '');
    return encoded.slice(shift === 0 ? 0 : shift + 1, -1);
  });
}

const spellings = (secret: string): string[] => [
  secret,
  JSON.stringify(secret).slice(1, -1),
  encodeURIComponent(secret),
  Buffer.from(secret).toString('hex'),
  ...base64Within(secret),
];

/** What base64 words of a text are when they are read, compressed ones unpacked. */
function insides(text: string): string[] {
  return (text.match(/[A-Za-z0-9+/]{16,}={0,2}/g) ?? []).flatMap((word) => {
    const bytes = Buffer.from(word, 'base64');
    if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return [];
    try {
      return [gunzipSync(bytes).toString()];
    } catch {
      return [];
    }
  });
}

/** Names of the secrets that can be read in a text: raw, in JSON, URL-encoded, in hexadecimal, in base64, or packed. */
export function readableSecrets(text: string, planted: Record<string, string>): string[] {
  const texts = [text, ...insides(text)];
  return Object.entries(planted)
    .filter(([, secret]) => spellings(secret).some((spelling) => texts.some((one) => one.includes(spelling))))
    .map(([name]) => name);
}
