import { createHash } from 'node:crypto';

/** Our namespace for name-based UUIDs; drawn once. */
const NAMESPACE = Buffer.from('7a3c0a6e4f0d4b6c9d0f3f1f5d0a92c4', 'hex');

/**
 * What cloud-init knows a vSphere machine by: a UUID of version 5 of RFC 9562, the same for the same site, machine and
 * state. The guestinfo is made before vCenter gives the machine a UUID of its own.
 */
export function instanceId(site: string, machine: string, stampId: string): string {
  const bytes = createHash('sha1').update(NAMESPACE).update(`${site}/${machine}/${stampId}`).digest().subarray(0, 16);
  bytes[6] = (bytes[6] & 0x0f) | 0x50;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
