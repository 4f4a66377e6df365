import 'reflect-metadata';
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  KeyObject,
  randomBytes,
  webcrypto,
  X509Certificate,
} from 'node:crypto';
import { promisify } from 'node:util';
import * as x509 from '@peculiar/x509';
import { stringify } from 'yaml';
import { z } from 'zod';
import { parseJson } from './json';

/**
 * What a cluster trusts, made once with the other secrets of its site: its kubeconfig is known before the cluster is,
 * and control-plane machines can come and go without a new one. kubeadm takes these files as they are and signs the
 * certificates of each machine by them; those are renewed on the machines and are no secrets of the site.
 */
export interface ClusterPki {
  /** Signs the certificates of the API servers, of kubelets and of every user. */
  ca: Credential;
  /** Signs the members and clients of etcd. */
  etcdCa: Credential;
  /** Signs the API server's calls to extension API servers. */
  frontProxyCa: Credential;
  /** Signs the tokens of service accounts. */
  serviceAccount: { publicKey: string; privateKey: string };
  /** The kit's own client certificate, an administrator's. */
  admin: Credential;
  /** Keys of Secrets at rest in etcd. The first is written with, all are read with; more than one only while it is rotated. */
  encryptionKeys: EncryptionKey[];
}

export interface EncryptionKey {
  /** key1, key2 and so on: etcd has the name beside every Secret, so that no name comes twice. */
  name: string;
  /** 32 bytes in base64. */
  secret: string;
}

/** PEM, each with a final newline; the private key is PKCS #8. */
export interface Credential {
  certificate: string;
  privateKey: string;
}

x509.cryptoProvider.set(webcrypto);

const DAY_SECONDS = 24 * 60 * 60;
/** kubeadm's CACertificateValidityPeriod. */
const CA_DAYS = 3650;
/** kubeadm's CertificateValidityPeriod, and the most that a client certificate gets: nothing revokes one. */
export const CLIENT_DAYS = 365;
/** kubeadm's CertificateBackdate: machines whose clocks are this far behind accept what was signed just now. */
const BACKDATE_SECONDS = 5 * 60;
/** A quarter of its life before the end, the kit's own certificate is due: a site that is touched every season never sees it expire. */
const RENEWAL_DAYS = 90;
/** In their last year authorities cut short what they sign: certificates of kubelets are for a year. */
const AUTHORITY_RENEWAL_DAYS = 365;
const ENCRYPTION_KEY_BYTES = 32;

/**
 * kubeadm binds this group to the role cluster-admin when it makes the cluster. Unlike `system:masters`, which the API
 * server lets do everything without asking, it loses its rights when that binding is deleted.
 */
export const ADMIN_GROUP = 'kubeadm:cluster-admins';
/** User of the kit itself, in audit logs and in the managers of fields. */
const ADMIN_USER = 'sitewright';

/**
 * Makes everything new. The certificate authorities and the kit's certificate have ECDSA P-256 keys, which kubeadm
 * loads as it does RSA ones, at a fifth of their size. The key of service accounts is RSA 2048, kubeadm's default: its
 * tokens may be shown to verifiers outside the cluster, and RS256 is the one algorithm that OpenID Connect asks of all.
 * @param site goes into the subject of each authority, so that certificates of two sites can be told apart.
 */
export async function mintPki(site: string, now: Date): Promise<ClusterPki> {
  const [ca, etcdCa, frontProxyCa, serviceAccount] = await Promise.all([
    mintCa('kubernetes', site, now),
    mintCa('etcd-ca', site, now),
    mintCa('front-proxy-ca', site, now),
    mintServiceAccountKey(),
  ]);
  const admin = await issueClientCertificate({ ca }, adminRequest(now));
  return { ca, etcdCa, frontProxyCa, serviceAccount, admin, encryptionKeys: [encryptionKey(1)] };
}

const encryptionKey = (number: number): EncryptionKey => ({
  name: `key${number}`,
  secret: randomBytes(ENCRYPTION_KEY_BYTES).toString('base64'),
});

const numberOf = ({ name }: EncryptionKey) => Number(name.slice('key'.length));

export const encryptionKeyNames = (pki: ClusterPki): string[] => pki.encryptionKeys.map(({ name }) => name);

/**
 * Where a rotation of the key of Secrets at rest stands. The keys themselves tell, so that it can be taken up wherever it was
 * interrupted: `added`: the new key is read with; `promoted`: it is written with, and the old one still read with.
 */
export function rotationStage({ encryptionKeys }: ClusterPki): 'none' | 'added' | 'promoted' {
  if (encryptionKeys.length === 1) return 'none';
  return numberOf(encryptionKeys[0]) < numberOf(encryptionKeys[1]) ? 'added' : 'promoted';
}

/** The keys of the next stage of a rotation: none, added, promoted, and none again with the new key alone. */
export function nextRotationStage(pki: ClusterPki): ClusterPki {
  const keys = pki.encryptionKeys;
  const next = {
    none: () => [...keys, encryptionKey(numberOf(keys[0]) + 1)],
    added: () => [keys[1], keys[0]],
    promoted: () => [keys[0]],
  };
  return { ...pki, encryptionKeys: next[rotationStage(pki)]() };
}

/**
 * The same authorities for ten years from now. Their names and keys stay, so that everything that they have signed stays
 * valid, whichever of both certificates it is checked by.
 */
export async function renewAuthorities(pki: ClusterPki, now: Date): Promise<ClusterPki> {
  const [ca, etcdCa, frontProxyCa] = await Promise.all([
    renewCa(pki.ca, now),
    renewCa(pki.etcdCa, now),
    renewCa(pki.frontProxyCa, now),
  ]);
  return { ...pki, ca, etcdCa, frontProxyCa };
}

/** The same with a new certificate and key of the kit. The old one stays valid until its end; nothing else changes. */
export async function renewAdmin(pki: ClusterPki, now: Date): Promise<ClusterPki> {
  return { ...pki, admin: await issueClientCertificate(pki, adminRequest(now)) };
}

const adminRequest = (now: Date): ClientRequest => ({
  commonName: ADMIN_USER,
  organizations: [ADMIN_GROUP],
  ttlSeconds: CLIENT_DAYS * DAY_SECONDS,
  now,
});

export interface ClientRequest {
  /** Name of the user. */
  commonName: string;
  /** Groups of the user. */
  organizations: string[];
  /** At most CLIENT_DAYS; cut to what is left of the authority. */
  ttlSeconds: number;
  now: Date;
}

/** A certificate that the API server takes for a user. Throws RangeError when the authority has expired or the request is out of bounds. */
export async function issueClientCertificate(pki: Pick<ClusterPki, 'ca'>, request: ClientRequest): Promise<Credential> {
  const { commonName, organizations, ttlSeconds, now } = request;
  if (commonName === '' || organizations.includes('')) throw new RangeError('a user and its groups must have names');
  if (!(ttlSeconds >= 1 && ttlSeconds <= CLIENT_DAYS * DAY_SECONDS)) {
    throw new RangeError(`a client certificate is valid for 1 second to ${CLIENT_DAYS} days`);
  }
  const end = expiryOf(pki.ca.certificate);
  if (end <= now) throw new RangeError(`the Kubernetes CA expired on ${end.toISOString()} and can sign nothing`);
  const ca = new x509.X509Certificate(pki.ca.certificate);
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    subject: new x509.Name([
      { CN: [{ utf8String: commonName }] },
      ...organizations.map((name) => ({ O: [{ utf8String: name }] })),
    ]),
    // The very bytes of the authority's subject: Go compares names byte by byte.
    issuer: ca.subjectName,
    publicKey: keys.publicKey,
    signingKey: await signingKeyOf(pki.ca.privateKey),
    ...validity(now, ttlSeconds, end),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(LEAF_USAGES, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      await x509.AuthorityKeyIdentifierExtension.create(ca.publicKey),
    ],
  });
  return credential(certificate, keys);
}

/** What kubeadm's NewSignedCert and NewSelfSignedCACert ask for. */
const LEAF_USAGES = x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment;
const CA_USAGES = LEAF_USAGES | x509.KeyUsageFlags.keyCertSign;

async function mintCa(commonName: string, site: string, now: Date): Promise<Credential> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: new x509.Name([{ O: [{ utf8String: site }] }, { CN: [{ utf8String: commonName }] }]),
    keys,
    ...validity(now, CA_DAYS * DAY_SECONDS),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(CA_USAGES, true),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: commonName }]),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return credential(certificate, keys);
}

async function renewCa({ certificate, privateKey }: Credential, now: Date): Promise<Credential> {
  const before = new x509.X509Certificate(certificate);
  const renewed = await x509.X509CertificateGenerator.create({
    // The very bytes: Go compares names byte by byte, and certificates name their authority by its key identifier.
    subject: before.subjectName,
    issuer: before.subjectName,
    publicKey: before.publicKey,
    signingKey: await signingKeyOf(privateKey),
    ...validity(now, CA_DAYS * DAY_SECONDS),
    extensions: before.extensions,
  });
  return { certificate: pemOf(renewed), privateKey };
}

interface Keys {
  publicKey: webcrypto.CryptoKey;
  privateKey: webcrypto.CryptoKey;
}

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256' };

const newKeys = async (): Promise<Keys> => webcrypto.subtle.generateKey(ECDSA, true, ['sign', 'verify']);

async function signingKeyOf(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' });
  return webcrypto.subtle.importKey('pkcs8', der, ECDSA, false, ['sign']);
}

const credential = (certificate: x509.X509Certificate, { privateKey }: Keys): Credential => ({
  certificate: pemOf(certificate),
  privateKey: KeyObject.from(privateKey).export({ format: 'pem', type: 'pkcs8' }).toString(),
});

const pemOf = (certificate: x509.X509Certificate) => `${certificate.toString('pem').trim()}\n`;

/** From a little before `now` until `seconds` after it, or until `limit`; certificates know no fractions of a second. */
function validity(now: Date, seconds: number, limit?: Date): { notBefore: Date; notAfter: Date } {
  const start = Math.floor(now.getTime() / 1000) * 1000;
  const end = new Date(start + Math.floor(seconds) * 1000);
  return {
    notBefore: new Date(start - BACKDATE_SECONDS * 1000),
    notAfter: limit !== undefined && limit < end ? limit : end,
  };
}

async function mintServiceAccountKey(): Promise<ClusterPki['serviceAccount']> {
  return promisify(generateKeyPair)('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { format: 'pem', type: 'spki' },
    privateKeyEncoding: { format: 'pem', type: 'pkcs8' },
  });
}

const text = z.string().min(1);
const credentialShape = z.strictObject({ certificate: text, privateKey: text });
/** A site whose keys were made before they could be rotated has one, without a name. */
const namedKeys = (given: unknown) => {
  if (typeof given !== 'object' || given === null || !('encryptionKey' in given)) return given;
  const { encryptionKey: secret, ...rest } = given;
  return { ...rest, encryptionKeys: [{ name: 'key1', secret }] };
};
const pkiShape = z.strictObject({
  ca: credentialShape,
  etcdCa: credentialShape,
  frontProxyCa: credentialShape,
  serviceAccount: z.strictObject({ publicKey: text, privateKey: text }),
  admin: credentialShape,
  encryptionKeys: z
    .array(z.strictObject({ name: z.string().regex(/^key[1-9][0-9]*$/), secret: text }))
    .min(1)
    .max(2),
});

/**
 * The secret of a site's configuration as what it is. Throws with every reason why it cannot be used, and with nothing
 * of its content. A certificate that has expired is no reason: `pkiExpiries` tells.
 */
export function parsePki(json: string): ClusterPki {
  const found = pkiShape.safeParse(namedKeys(parseJson(json)));
  const problems = found.success
    ? contentProblems(found.data)
    : found.error.issues.map(({ path, message }) => `${path.join('.') || 'the whole'}: ${message}`);
  if (!found.success || problems.length > 0) {
    throw new Error(`The keys and certificates of the cluster cannot be used: ${problems.join('; ')}`);
  }
  return found.data;
}

function contentProblems(pki: ClusterPki): string[] {
  const { ca, etcdCa, frontProxyCa, admin, serviceAccount, encryptionKeys } = pki;
  const checks: [string, () => boolean, string][] = [
    ...Object.entries({ ca, etcdCa, frontProxyCa, admin }).map(
      ([name, { certificate, privateKey }]): [string, () => boolean, string] => [
        name,
        () => new X509Certificate(certificate).checkPrivateKey(createPrivateKey(privateKey)),
        'the private key is not the one of the certificate',
      ],
    ),
    ...Object.entries({ ca, etcdCa, frontProxyCa }).map(([name, { certificate }]): [string, () => boolean, string] => [
      name,
      () => new X509Certificate(certificate).ca,
      'the certificate is not one of a certificate authority',
    ]),
    [
      'admin',
      () => new X509Certificate(admin.certificate).verify(new X509Certificate(ca.certificate).publicKey),
      'the certificate is not signed by ca',
    ],
    [
      'serviceAccount',
      () => createPublicKey(serviceAccount.privateKey).equals(createPublicKey(serviceAccount.publicKey)),
      'the public key is not the one of the private key',
    ],
    [
      'encryptionKeys',
      () => encryptionKeys.every(({ secret }) => Buffer.from(secret, 'base64').length === ENCRYPTION_KEY_BYTES),
      `each must be ${ENCRYPTION_KEY_BYTES} bytes in base64`,
    ],
  ];
  return checks.flatMap(([name, holds, otherwise]) => {
    try {
      return holds() ? [] : [`${name}: ${otherwise}`];
    } catch {
      return [`${name}: it cannot be read as PEM`];
    }
  });
}

/** What `kubeadm join` pins the authority by: `sha256:` and the hash of its public key (SubjectPublicKeyInfo) in hex. */
export function caCertHash(caPem: string): string {
  const spki = new X509Certificate(caPem).publicKey.export({ format: 'der', type: 'spki' });
  return `sha256:${createHash('sha256').update(spki).digest('hex')}`;
}

/** When the first certificate of a PEM text stops being valid. */
export const expiryOf = (certificatePem: string): Date => new Date(new X509Certificate(certificatePem).validTo);

export interface Expiry {
  name: 'ca' | 'etcdCa' | 'frontProxyCa' | 'admin';
  expires: Date;
}

/** The certificates that a site keeps, the authorities first. */
export function pkiExpiries(pki: ClusterPki): Expiry[] {
  const names = ['ca', 'etcdCa', 'frontProxyCa', 'admin'] as const;
  return names.map((name) => ({ name, expires: expiryOf(pki[name].certificate) }));
}

/** Whether the kit's own certificate has expired or will within RENEWAL_DAYS. */
export const adminIsDue = (pki: ClusterPki, now: Date): boolean =>
  expiryOf(pki.admin.certificate).getTime() - now.getTime() < RENEWAL_DAYS * DAY_SECONDS * 1000;

/** Whether an authority has expired or will within AUTHORITY_RENEWAL_DAYS. */
export const authoritiesAreDue = ({ ca, etcdCa, frontProxyCa }: ClusterPki, now: Date): boolean =>
  [ca, etcdCa, frontProxyCa].some(
    ({ certificate }) => expiryOf(certificate).getTime() - now.getTime() < AUTHORITY_RENEWAL_DAYS * DAY_SECONDS * 1000,
  );

export interface KubeconfigArgs {
  /** Name of the cluster and of the context. */
  site: string;
  /** `https://address:port` of the API; an IPv6 address in brackets. */
  server: string;
  caPem: string;
  clientCertificate: string;
  clientKey: string;
}

/** A kubeconfig as YAML, complete in itself. Names carry the site, so that those of several sites can be merged. */
export function kubeconfig({ site, server, caPem, clientCertificate, clientKey }: KubeconfigArgs): string {
  const base64 = (pem: string) => Buffer.from(pem).toString('base64');
  const user = `${site}-${commonNameOf(clientCertificate)}`;
  return stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: site, cluster: { server, 'certificate-authority-data': base64(caPem) } }],
      users: [
        {
          name: user,
          user: { 'client-certificate-data': base64(clientCertificate), 'client-key-data': base64(clientKey) },
        },
      ],
      contexts: [{ name: site, context: { cluster: site, user } }],
      'current-context': site,
    },
    { lineWidth: 0 },
  );
}

const commonNameOf = (certificate: string) => new x509.X509Certificate(certificate).subjectName.getField('CN')[0] ?? '';
