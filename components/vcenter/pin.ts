import * as fs from 'node:fs';
import * as path from 'node:path';
import { cacheDir } from '../cacheDir';
import { openTrusted, type VcenterTrust } from './trust';

/**
 * The plugin of the provider knows files of authorities and no fingerprints. A certificate in such a file vouches for itself,
 * so the one that the fingerprint names becomes a file.
 */
const pinnedFile = (thumbprint: string) => path.join(cacheDir(), 'vcenters', `${thumbprint.replace(/:/g, '')}.pem`);

/** Environment in which the plugin trusts the vCenter that the site file means, beside the authorities of the system. */
export function vcenterEnv(trust: Omit<VcenterTrust, 'server'> | null | undefined): Record<string, string> {
  const file = trust?.caFile ?? (trust?.thumbprint ? pinnedFile(trust.thumbprint) : null);
  return file === null ? {} : { SSL_CERT_FILE: path.resolve(file) };
}

/** Writes the certificate that has the thumbprint of the site file to where `vcenterEnv` points. */
export async function pinCertificate(trust: VcenterTrust): Promise<void> {
  if (trust.thumbprint === null) return;
  const file = pinnedFile(trust.thumbprint);
  // Named by its content.
  if (fs.existsSync(file)) return;
  const socket = await openTrusted(trust);
  const der = socket.getPeerCertificate().raw.toString('base64');
  socket.destroy();
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const unfinished = `${file}.${process.pid}`;
  fs.writeFileSync(
    unfinished,
    `-----BEGIN CERTIFICATE-----\n${der.replace(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`,
  );
  fs.renameSync(unfinished, file);
}
