import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';

/** SHA-256 in hexadecimal. Read in pieces and without blocking: a bundle has most of a gigabyte, and Ctrl-C must get through. */
export async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

export const sha256OfText = (text: string) => createHash('sha256').update(text).digest('hex');
