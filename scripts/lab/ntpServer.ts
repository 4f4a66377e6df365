/**
 * The lab's time server: answers NTP (RFC 5905) with this machine's clock. A real one would want to steer the clock, or
 * replace the machine's own time service when its package is installed; the lab must do neither.
 */
import * as dgram from 'node:dgram';

/** Seconds from 1900 (NTP) to 1970 (Unix). */
const unixEpochSeconds = 2_208_988_800;
const packetBytes = 48;
/** "Local clock" by convention: good enough to follow, worse than any real source. */
const stratum = 8;

function writeTimestamp(packet: Buffer, offset: number, unixMilliseconds: number): void {
  const seconds = Math.floor(unixMilliseconds / 1000);
  packet.writeUInt32BE((seconds + unixEpochSeconds) % 2 ** 32, offset);
  packet.writeUInt32BE(Math.floor(((unixMilliseconds - seconds * 1000) / 1000) * 2 ** 32), offset + 4);
}

/** The answer to one request, or undefined for what is no client's request. Times are Unix milliseconds. */
export function answer(request: Buffer, receivedMilliseconds: number, now: () => number): Buffer | undefined {
  if (request.length < packetBytes) return undefined;
  const version = (request[0] >> 3) & 7;
  const clientMode = 3;
  if ((request[0] & 7) !== clientMode || version < 3 || version > 4) return undefined;
  const reply = Buffer.alloc(packetBytes);
  reply[0] = (version << 3) | 4;
  reply[1] = stratum;
  reply[2] = request[2];
  reply[3] = 0xec; // precision: 2^-20 s, about a microsecond
  reply.writeUInt32BE(0, 4); // root delay
  reply.writeUInt32BE(66, 8); // root dispersion: 66 / 65536 s, a millisecond
  reply.write('LOCL', 12, 'latin1');
  writeTimestamp(reply, 16, receivedMilliseconds);
  request.copy(reply, 24, 40, 48); // the client's transmit time, by which it knows its answer
  writeTimestamp(reply, 32, receivedMilliseconds);
  writeTimestamp(reply, 40, now());
  return reply;
}

if (require.main === module) {
  for (const type of ['udp4', 'udp6'] as const) {
    const socket = dgram.createSocket({ type, ipv6Only: type === 'udp6' });
    socket.on('message', (request, from) => {
      const reply = answer(request, Date.now(), Date.now);
      if (reply !== undefined) socket.send(reply, from.port, from.address);
    });
    socket.on('error', (error) => {
      console.error(error.message);
      process.exit(1);
    });
    socket.bind(123);
  }
}
