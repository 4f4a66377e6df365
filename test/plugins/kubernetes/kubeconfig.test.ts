import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { connectionOf } from '../../../scripts/plugins/kubernetes/kubeconfig';

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** Text of a kubeconfig; JSON is YAML too. */
function kubeconfig(cluster: object = {}, user: object = { token: 'T' }): string {
  return JSON.stringify({
    'current-context': 'a',
    contexts: [
      { name: 'a', context: { cluster: 'c', user: 'u', namespace: 'apps' } },
      { name: 'b', context: { cluster: 'd', user: 'u' } },
    ],
    clusters: [
      { name: 'c', cluster: { server: 'https://c:6443/', 'certificate-authority-data': base64('CA'), ...cluster } },
      { name: 'd', cluster: { server: 'https://d:6443' } },
    ],
    users: [{ name: 'u', user }],
  });
}

test('the current context, with the namespace and the credentials it leads to', () => {
  const user = { 'client-certificate-data': base64('CERT'), 'client-key-data': base64('KEY') };
  expect(connectionOf(kubeconfig({ 'tls-server-name': 'api.internal' }, user), {})).toEqual({
    server: 'https://c:6443',
    caCertificate: 'CA',
    tlsServerName: 'api.internal',
    clientCertificate: 'CERT',
    clientKey: 'KEY',
    token: undefined,
    namespace: 'apps',
  });
});

test('another context or another cluster where the provider names one', () => {
  expect(connectionOf(kubeconfig(), { context: 'b' }).server).toBe('https://d:6443');
  expect(connectionOf(kubeconfig(), { cluster: 'd' })).toMatchObject({ server: 'https://d:6443', namespace: 'apps' });
});

test('a path, and files named relative to it', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-kubeconfig-'));
  try {
    fs.writeFileSync(path.join(dir, 'token'), 'FROM-FILE\n');
    fs.writeFileSync(path.join(dir, 'config'), kubeconfig({}, { tokenFile: 'token' }));
    expect(connectionOf(path.join(dir, 'config'), {}).token).toBe('FROM-FILE');
    expect(() => connectionOf(path.join(dir, 'none'), {})).toThrow(`the kubeconfig ${dir}/none does not exist`);
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
});

test.each([
  [kubeconfig({}, { exec: { command: 'login' } }), 'starts no login programs'],
  [kubeconfig({}, { username: 'a', password: 'b' }), 'Kubernetes has no passwords'],
  [kubeconfig({ 'insecure-skip-tls-verify': true }), "the server's certificate is always checked"],
  [kubeconfig({ server: 'http://c' }), 'must be an https:// address'],
  [kubeconfig({}, {}), 'neither a client certificate nor a token'],
  [kubeconfig({}, { 'client-certificate-data': base64('CERT') }), 'must be given together'],
  ['{}', 'has no current-context'],
  ['{"current-context": "x"}', 'has no context "x"; it has none'],
])('refused with what is wrong: %#', (text, message) => {
  expect(() => connectionOf(text, {})).toThrow(message);
});

test('a kubeconfig that is no YAML is not quoted', () => {
  expect(() => connectionOf('token: PLANTED\n: : {', {})).toThrow(/^the kubeconfig is not valid YAML$/);
});
