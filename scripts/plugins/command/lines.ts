import { createInterface } from 'node:readline';
import { StringDecoder } from 'node:string_decoder';
import type { Readable } from 'node:stream';

/** Keeps everything a stream says and hands out each line as it arrives. */
export class LineReader {
  private readonly decoder = new StringDecoder('utf8');
  private content = '';

  constructor(stream: Readable, onLine: (line: string) => void) {
    stream.on('data', (data: Buffer) => (this.content += this.decoder.write(data)));
    createInterface({ input: stream, crlfDelay: Infinity }).on('line', onLine);
  }

  text(): string {
    return this.content + this.decoder.end();
  }
}
