import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SitePlan } from '../../components/plan';
import { mintPki, type ClusterPki } from '../../components/secrets/pki';
import { checkIngressKey, readIngressKey } from '../../scripts/cli/ingressKey';

let pki: ClusterPki;
let folder: string;
beforeAll(async () => {
  pki = await mintPki('oslo', new Date());
  folder = mkdtempSync(join(tmpdir(), 'sitewright-key-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const planWith = (certificate: string | null) =>
  ({ site: 'oslo', cluster: { ingress: { certificate } } }) as unknown as SitePlan;
const configWith = (value: string) => ({ 'sitewright:ingressKey': { value, secret: true } });

test('a certificate needs its own key, and the command that gives it is told', () => {
  const plan = planWith(pki.ca.certificate);
  expect(() => checkIngressKey(plan, {})).toThrow(
    'oslo lacks the private key of ingress.certificate: sitewright secrets set oslo ingressKey --file <key.pem>',
  );
  expect(() => checkIngressKey(plan, configWith(pki.etcdCa.privateKey))).toThrow(
    /it is the key of another certificate/,
  );
  checkIngressKey(plan, configWith(pki.ca.privateKey));
  checkIngressKey(planWith(null), {});
  checkIngressKey({ site: 'oslo', cluster: null }, {});
});

test('a file with the key of the certificate is taken, and nothing else; what is in it is not told', () => {
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const plan = planWith(pki.ca.certificate);
  expect(readIngressKey(plan, file('right.pem', pki.ca.privateKey))).toEqual({
    key: 'sitewright:ingressKey',
    value: pki.ca.privateKey,
  });
  expect(() => readIngressKey(plan, file('other.pem', pki.etcdCa.privateKey))).toThrow(/key of another certificate/);
  expect(() => readIngressKey(plan, file('word.pem', 'planted-word'))).toThrow(/no private key in PEM/);
  expect(() => readIngressKey(plan, file('word.pem', 'planted-word'))).not.toThrow(/planted-word/);
  expect(() => readIngressKey(plan, join(folder, 'none.pem'))).toThrow(/there is no such file/);
  expect(() => readIngressKey(plan, undefined)).toThrow(/--file/);
  expect(() => readIngressKey(planWith(null), undefined)).toThrow(/has no ingress\.certificate/);
});
