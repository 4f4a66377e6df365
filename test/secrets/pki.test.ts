import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import {
  adminIsDue,
  caCertHash,
  issueClientCertificate,
  kubeconfig,
  mintPki,
  parsePki,
  pkiExpiries,
  renewAdmin,
  renewAuthorities,
  type ClusterPki,
} from '../../components/secrets/pki';

/** The judge is OpenSSL, which shares no code with what made the certificates. */
const now = new Date('2026-03-01T12:00:00.700Z');
const after = (days: number) => new Date(now.getTime() + days * 86_400_000);
let pki: ClusterPki;
let other: ClusterPki;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pki-'));
  [pki, other] = await Promise.all([mintPki('oslo', now), mintPki('oslo', now)]);
});
afterAll(() => rmSync(folder, { recursive: true }));

const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const openssl = (args: string[], input = '') =>
  execFileSync('openssl', args, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] });
const shown = (certificate: string) => openssl(['x509', '-noout', '-text', '-nameopt', 'RFC2253'], certificate);
const verify = (ca: string, certificate: string, at: Date, ...more: string[]) =>
  openssl([
    'verify',
    '-x509_strict',
    '-attime',
    String(Math.floor(at.getTime() / 1000)),
    ...more,
    '-CAfile',
    file('ca.crt', ca),
    file('one.crt', certificate),
  ]);

describe('authorities', () => {
  test.each([
    ['ca', 'kubernetes'],
    ['etcdCa', 'etcd-ca'],
    ['frontProxyCa', 'front-proxy-ca'],
  ] as const)('%s has the form that kubeadm gives it, for ten years', (name, commonName) => {
    const { certificate, privateKey } = pki[name];
    const text = shown(certificate);
    expect(text).toMatch(new RegExp(`Subject: CN=${commonName},O=oslo\n`));
    expect(text).toMatch(/Public Key Algorithm: id-ecPublicKey[^]*NIST CURVE: P-256/);
    expect(text).toMatch(/Basic Constraints: critical\n\s+CA:TRUE\n/);
    expect(text).toMatch(/Key Usage: critical\n\s+Digital Signature, Key Encipherment, Certificate Sign\n/);
    expect(text).toMatch(new RegExp(`Subject Alternative Name: \n\\s+DNS:${commonName}\n`));
    expect(text).toMatch(/Not Before: Mar {2}1 11:55:00 2026 GMT\n\s+Not After : Feb 27 12:00:00 2036 GMT/);
    expect(verify(certificate, certificate, now)).toMatch(/OK/);
    expect(openssl(['x509', '-noout', '-pubkey'], certificate)).toBe(openssl(['pkey', '-pubout'], privateKey));
    expect(privateKey).toMatch(/^-----BEGIN PRIVATE KEY-----\n[^]*-----END PRIVATE KEY-----\n$/);
  });

  test('a request that OpenSSL makes is signed by one, as kubeadm signs those of a machine', () => {
    const key = file('leaf.key', openssl(['genrsa', '2048']));
    const request = openssl(['req', '-new', '-key', key, '-subj', '/CN=kube-apiserver']);
    const files = ['-CA', file('signer.crt', pki.ca.certificate), '-CAkey', file('signer.key', pki.ca.privateKey)];
    const leaf = openssl(['x509', '-req', '-days', '365', '-set_serial', '7', ...files], request);
    expect(openssl(['verify', '-CAfile', file('ca.crt', pki.ca.certificate), file('leaf.crt', leaf)])).toMatch(/OK/);
    expect(() =>
      openssl(['verify', '-CAfile', file('ca.crt', pki.etcdCa.certificate), file('leaf.crt', leaf)]),
    ).toThrow();
  });

  test('the hash that kubeadm join pins is that of the public key', () => {
    const publicKey = openssl(['x509', '-noout', '-pubkey'], pki.ca.certificate);
    const der = execFileSync('openssl', ['pkey', '-pubin', '-outform', 'der'], { input: publicKey });
    const hash = execFileSync('openssl', ['dgst', '-sha256', '-r'], { input: der, encoding: 'utf8' });
    expect(caCertHash(pki.ca.certificate)).toBe(`sha256:${hash.split(' ')[0]}`);
  });
});

test('the key of service accounts is one RSA pair', () => {
  expect(openssl(['pkey', '-pubout'], pki.serviceAccount.privateKey)).toBe(pki.serviceAccount.publicKey);
  expect(openssl(['pkey', '-noout', '-text'], pki.serviceAccount.privateKey)).toMatch(/^Private-Key: \(2048 bit/);
});

test('nothing is made twice', () => {
  const values = [pki, other].flatMap((one) => [
    ...[one.ca, one.etcdCa, one.frontProxyCa, one.admin, one.serviceAccount].map(({ privateKey }) => privateKey),
    one.encryptionKeys[0].secret,
  ]);
  expect(new Set(values).size).toBe(12);
  const serials = [pki.ca, other.ca, pki.admin].map(({ certificate }) =>
    openssl(['x509', '-noout', '-serial'], certificate),
  );
  expect(new Set(serials).size).toBe(3);
});

describe('client certificates', () => {
  test('the kit is an administrator for a year, and nobody else is trusted', () => {
    const text = shown(pki.admin.certificate);
    expect(text).toMatch(/Subject: O=kubeadm:cluster-admins,CN=sitewright\n/);
    expect(text).toMatch(/Extended Key Usage: \n\s+TLS Web Client Authentication\n/);
    expect(text).toMatch(/CA:FALSE/);
    expect(verify(pki.ca.certificate, pki.admin.certificate, after(364), '-purpose', 'sslclient')).toMatch(/OK/);
    expect(() => verify(pki.ca.certificate, pki.admin.certificate, after(366))).toThrow(/expired/);
    expect(() => verify(pki.ca.certificate, pki.admin.certificate, now, '-purpose', 'sslserver')).toThrow(/purpose/);
    expect(() => verify(pki.etcdCa.certificate, pki.admin.certificate, now)).toThrow();
  });

  test('a machine whose clock is five minutes behind takes one', async () => {
    const { certificate } = await issueClientCertificate(pki, {
      commonName: 'ann',
      organizations: ['dev', 'ops, "night"'],
      ttlSeconds: 600,
      now,
    });
    expect(shown(certificate)).toMatch(/Subject: O=ops\\, \\"night\\",O=dev,CN=ann\n/);
    expect(verify(pki.ca.certificate, certificate, new Date(now.getTime() - 299_000))).toMatch(/OK/);
    expect(() => verify(pki.ca.certificate, certificate, new Date(now.getTime() - 301_000))).toThrow(/not yet valid/);
    expect(() => verify(pki.ca.certificate, certificate, new Date(now.getTime() + 601_000))).toThrow(/expired/);
  });

  test('none outlives its authority, and an expired one signs nothing', async () => {
    const request = { commonName: 'ann', organizations: [], ttlSeconds: 86_400 };
    const { certificate } = await issueClientCertificate(pki, { ...request, now: after(3649.5) });
    expect(shown(certificate)).toMatch(/Not After : Feb 27 12:00:00 2036 GMT/);
    await expect(issueClientCertificate(pki, { ...request, now: after(3651) })).rejects.toThrow(
      /CA expired on 2036-02-27/,
    );
  });

  test.each([
    ['no name', { commonName: '' }, /must have names/],
    ['a group without a name', { organizations: ['dev', ''] }, /must have names/],
    ['no time', { ttlSeconds: 0 }, /1 second to 365 days/],
    ['no number', { ttlSeconds: NaN }, /1 second to 365 days/],
    ['more than a year', { ttlSeconds: 366 * 86_400 }, /1 second to 365 days/],
  ])('%s is refused', async (_title, wrong, message) => {
    const request = { commonName: 'ann', organizations: [], ttlSeconds: 60, now, ...wrong };
    await expect(issueClientCertificate(pki, request)).rejects.toThrow(message);
  });

  test('renewal changes the certificate of the kit and nothing else', async () => {
    expect([after(274), after(276)].map((at) => adminIsDue(pki, at))).toEqual([false, true]);
    const renewed = await renewAdmin(pki, after(300));
    expect(adminIsDue(renewed, after(300))).toBe(false);
    expect(renewed).toEqual({ ...pki, admin: renewed.admin });
    expect(renewed.admin.privateKey).not.toBe(pki.admin.privateKey);
    // Both are accepted while the old one lasts.
    for (const { certificate } of [pki.admin, renewed.admin]) {
      expect(verify(pki.ca.certificate, certificate, after(300))).toMatch(/OK/);
    }
    expect(parsePki(JSON.stringify(renewed))).toEqual(renewed);
  });
});

describe('renewal of the authorities', () => {
  let renewed: ClusterPki;
  beforeAll(async () => (renewed = await renewAuthorities(pki, after(3000))));

  test.each(['ca', 'etcdCa', 'frontProxyCa'] as const)('%s is the same but for its time', (name) => {
    const form = (certificate: string) =>
      shown(certificate)
        .replace(/Serial Number:\n.*\n/, '')
        .replace(/Validity\n.*\n.*\n/, '')
        .replace(/Signature Value:[^]*/, '');
    expect(form(renewed[name].certificate)).toBe(form(pki[name].certificate));
    expect(renewed[name].privateKey).toBe(pki[name].privateKey);
    expect(shown(renewed[name].certificate)).toMatch(/Subject Key Identifier/);
    expect(openssl(['x509', '-noout', '-serial'], renewed[name].certificate)).not.toBe(
      openssl(['x509', '-noout', '-serial'], pki[name].certificate),
    );
    expect(verify(renewed[name].certificate, renewed[name].certificate, after(6649))).toMatch(/OK/);
    expect(() => verify(renewed[name].certificate, renewed[name].certificate, after(6651))).toThrow(/expired/);
  });

  test('what was signed before and after it is valid by both, and by no other', async () => {
    const request = { commonName: 'ann', organizations: [], ttlSeconds: 365 * 86_400, now: after(3001) };
    const [old, fresh] = await Promise.all([pki, renewed].map((one) => issueClientCertificate(one, request)));
    for (const { certificate } of [old!, fresh!]) {
      for (const { ca } of [pki, renewed]) expect(verify(ca.certificate, certificate, after(3002))).toMatch(/OK/);
      expect(() => verify(other.ca.certificate, certificate, after(3002))).toThrow();
    }
    // Ten years and a day later, only the renewed one counts.
    const late = await issueClientCertificate(renewed, { ...request, now: after(3640) });
    expect(verify(renewed.ca.certificate, late.certificate, after(3651))).toMatch(/OK/);
    expect(() => verify(pki.ca.certificate, late.certificate, after(3651))).toThrow(/expired/);
  });

  test('nothing else changes, nor what a join pins the authority by', () => {
    const { ca, etcdCa, frontProxyCa } = renewed;
    expect(parsePki(JSON.stringify(renewed))).toEqual({ ...pki, ca, etcdCa, frontProxyCa });
    expect(caCertHash(ca.certificate)).toBe(caCertHash(pki.ca.certificate));
  });
});

test('expiries are those of the certificates', () => {
  expect(pkiExpiries(pki).map(({ name, expires }) => `${name} ${expires.toISOString()}`)).toEqual([
    'ca 2036-02-27T12:00:00.000Z',
    'etcdCa 2036-02-27T12:00:00.000Z',
    'frontProxyCa 2036-02-27T12:00:00.000Z',
    'admin 2027-03-01T12:00:00.000Z',
  ]);
});

describe('reading', () => {
  test('what was made comes back as it was', () => {
    expect(parsePki(JSON.stringify(pki))).toEqual(pki);
  });

  test.each<[string, (own: ClusterPki, foreign: ClusterPki) => unknown, RegExp]>([
    ['no JSON', () => undefined, /the whole: /],
    ['a part is missing', ({ etcdCa: _, ...rest }) => rest, /etcdCa: /],
    ['a stranger', (own) => ({ ...own, more: 1 }), /the whole: .*more/],
    ['no PEM', (own) => ({ ...own, ca: { ...own.ca, certificate: 'x' } }), /ca: it cannot be read as PEM/],
    [
      'the key of another',
      (own, foreign) => ({ ...own, etcdCa: { ...own.etcdCa, privateKey: foreign.etcdCa.privateKey } }),
      /etcdCa: the private key is not the one of the certificate$/,
    ],
    [
      'no authority',
      (own) => ({ ...own, etcdCa: own.admin }),
      /etcdCa: the certificate is not one of a certificate auth/,
    ],
    ['an authority of another', (own, { ca }) => ({ ...own, ca }), /admin: the certificate is not signed by ca$/],
    [
      'halves of two keys',
      (own, foreign) => ({
        ...own,
        serviceAccount: { ...own.serviceAccount, publicKey: foreign.serviceAccount.publicKey },
      }),
      /serviceAccount: the public key is not the one of the private key$/,
    ],
    [
      'a short key',
      (own) => ({ ...own, encryptionKeys: [{ name: 'key1', secret: 'c2hvcnQ=' }] }),
      /encryptionKeys: each must be 32 bytes in base64$/,
    ],
  ])('%s is refused without a word of its content', (_title, change, message) => {
    const text = JSON.stringify(change(pki, other)) ?? 'not json';
    let said = '';
    try {
      parsePki(text);
    } catch (error) {
      said = (error as Error).message;
    }
    expect(said).toMatch(message);
    expect(said).not.toMatch(/BEGIN|not json|[A-Za-z0-9+/]{30}/);
  });

  test('several reasons are told together', () => {
    const text = JSON.stringify({ ...pki, etcdCa: pki.admin, encryptionKeys: [] });
    expect(() => parsePki(text)).toThrow(/encryptionKeys/);
    expect(() =>
      parsePki(JSON.stringify({ ...pki, etcdCa: pki.admin, encryptionKeys: [{ name: 'key1', secret: 'aa' }] })),
    ).toThrow(/etcdCa: .*; encryptionKeys: /);
  });
});

test('a kubeconfig holds everything, under names of its site', () => {
  const text = kubeconfig({
    site: 'oslo',
    server: 'https://[fd00::11]:6443',
    caPem: pki.ca.certificate,
    clientCertificate: pki.admin.certificate,
    clientKey: pki.admin.privateKey,
  });
  const read = parse(text) as {
    clusters: { name: string; cluster: Record<string, string> }[];
    users: { name: string; user: Record<string, string> }[];
    contexts: { name: string; context: { cluster: string; user: string } }[];
    'current-context': string;
  };
  const decoded = (value: string) => Buffer.from(value, 'base64').toString();
  const [{ cluster }] = read.clusters;
  expect(cluster.server).toBe('https://[fd00::11]:6443');
  expect(decoded(cluster['certificate-authority-data'])).toBe(pki.ca.certificate);
  expect(read.users[0].name).toBe('oslo-sitewright');
  expect(decoded(read.users[0].user['client-certificate-data'])).toBe(pki.admin.certificate);
  expect(decoded(read.users[0].user['client-key-data'])).toBe(pki.admin.privateKey);
  expect(read.contexts).toEqual([{ name: 'oslo', context: { cluster: 'oslo', user: 'oslo-sitewright' } }]);
  expect(read['current-context']).toBe('oslo');
});
