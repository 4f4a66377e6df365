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

const urlSafe = (base64: string) => base64.replace(/\+/g, '-').replace(/\//g, '_');
/** Whatever characters were thought to need it. */
const withoutPercent = (text: string) =>
  text.replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 16)));

function spellings(secret: string): string[] {
  const base64 = base64Within(secret);
  const hex = Buffer.from(secret).toString('hex');
  return [
    secret,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret),
    hex,
    hex.toUpperCase(),
    ...base64,
    ...base64.map(urlSafe),
  ];
}

/** How often something is unpacked out of something: a file in gzip, in base64, in a Secret's base64, in JSON. */
const DEPTH = 4;
/** Base64, also cut into lines, whose ends may be spelled as in JSON. */
const WORDS = /[A-Za-z0-9+/_-]{16,}={0,2}/g;
// Only from the beginning of a word: from every character of a long one it would take hours.
const PARAGRAPHS = /(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/_-]{16,}(?:\\n|\s)+)+[A-Za-z0-9+/_-]+={0,2}/g;

/** A text, and what is packed in it at any depth. */
function unpacked(content: Buffer | string, depth = DEPTH): string[] {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    try {
      return unpacked(gunzipSync(bytes), depth);
    } catch {
      return [];
    }
  }
  const text = typeof content === 'string' ? content : bytes.toString('latin1');
  if (depth === 0) return [text];
  const packed = [...(text.match(WORDS) ?? []), ...(text.match(PARAGRAPHS) ?? [])];
  return [text, ...packed.flatMap((word) => ofWord(word.replace(/\\n|\s/g, ''), depth - 1))];
}

/** Only what was packed: the characters of base64 themselves are seen by their spelling. */
function ofWord(word: string, depth: number): string[] {
  const bytes = Buffer.from(word, /^[0-9A-Fa-f]+$/.test(word) ? 'hex' : 'base64');
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const isText = bytes.length >= 16 && bytes.subarray(0, 200).every((byte) => byte === 9 || byte === 10 || byte >= 32);
  return isGzip || isText ? unpacked(bytes, depth) : [];
}

/** A secret by its name; a key of several lines by those that hold what is secret, because it is often indented. */
export type Planted = Record<string, string | string[]>;

/**
 * Names of the secrets that can be read in a text or in the bytes of a file: raw, in JSON, URL-encoded, in hexadecimal, in
 * base64 at any offset, in base64 of that, or packed by gzip in any of these.
 */
export function readableSecrets(content: Buffer | string, planted: Planted): string[] {
  const search = new Search(planted);
  for (const text of unpacked(content)) {
    search.read(text);
    if (text.includes('%')) search.read(withoutPercent(text));
  }
  return Object.keys(planted).filter((name) => search.found.has(name));
}

/** Looks for all spellings at once, in one pass: states have megabytes, and there are hundreds of spellings. */
class Search {
  readonly found = new Set<string>();
  /** By their first four bytes as a number. */
  private readonly spelled = new Map<number, { name: string; bytes: Buffer }[]>();

  constructor(planted: Planted) {
    for (const [name, secret] of Object.entries(planted))
      for (const spelling of new Set([secret].flat().flatMap(spellings))) {
        const bytes = Buffer.from(spelling, 'latin1');
        const start = bytes.readInt32LE(0);
        this.spelled.set(start, [...(this.spelled.get(start) ?? []), { name, bytes }]);
      }
  }

  read(text: string): void {
    const bytes = Buffer.from(text, 'latin1');
    let start = 0;
    for (let end = 0; end < bytes.length; end++) {
      start = (start >>> 8) | (bytes[end]! << 24);
      const candidates = end < 3 ? undefined : this.spelled.get(start);
      if (candidates === undefined) continue;
      const rest = bytes.subarray(end - 3);
      for (const { name, bytes: spelling } of candidates)
        if (spelling.equals(rest.subarray(0, spelling.length))) this.found.add(name);
    }
  }
}

/** Lines of a private key in PEM that hold its secret half; in OpenSSH's own form the first three hold what is public. */
export function secretLines(privateKey: string): string[] {
  const [head, ...lines] = privateKey.trim().split('\n').slice(0, -1);
  return lines.slice(head!.includes('OPENSSH') ? 3 : 0).filter((line) => line.length > 20);
}
