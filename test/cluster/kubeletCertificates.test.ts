import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { KUBELET_CERTIFICATES_TEXT, kubeletNames } from '../../components/cluster/kubeletCertificates';
import { describeScripts } from '../support/bashScripts';
import { ApiServer, program, until } from '../plugins/kubernetes/apiServer';
import { expectGolden } from './golden';

/** Who gets a certificate of kubelet, decided by the program of the control-plane nodes on a real API server. */
describeScripts([['kubelet-certificates.sh', KUBELET_CERTIFICATES_TEXT]], expectGolden);

let server: ApiServer;
let folder: string;
const MEMBERS = [
  { name: 'cp1', addresses: ['192.0.2.11'] },
  { name: 'w1', addresses: ['192.0.2.21', '2001:db8::21'] },
];

beforeAll(async () => {
  server = await ApiServer.start();
  server.startControllers();
  folder = mkdtempSync(join(tmpdir(), 'kubelet-certificates-'));
  mkdirSync(join(folder, 'etc/kubernetes/sitewright'), { recursive: true });
  writeFileSync(join(folder, 'etc/kubernetes/admin.conf'), server.kubeconfig(), { mode: 0o600 });
  writeFileSync(join(folder, 'etc/kubernetes/sitewright/kubelet-names'), kubeletNames(MEMBERS));
});
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const SERVING = ['digital signature', 'server auth'];
interface Asked {
  user: string;
  subject?: string;
  names: string | null;
  usages?: string[];
  signer?: string;
}

function ask(name: string, { user, subject = `/O=system:nodes/CN=${user}`, names, usages = SERVING, signer }: Asked) {
  const extension = names === null ? [] : ['-addext', `subjectAltName=${names}`];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', '/dev/null'];
  const pem = execFileSync('openssl', ['req', '-new', ...key, '-subj', subject, ...extension], { stdio: 'pipe' });
  const request = {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name },
    spec: { request: pem.toString('base64'), signerName: signer ?? 'kubernetes.io/kubelet-serving', usages },
  };
  const identity = ['--as', user, '--as-group', 'system:nodes', '--as-group', 'system:authenticated'];
  kubectl(
    [...(user === 'system:admin' ? [] : identity), 'create', '--validate=false', '-f', '-'],
    JSON.stringify(request),
  );
}

function kubectl(args: string[], input?: string): string {
  const file = ['--kubeconfig', join(folder, 'etc/kubernetes/admin.conf')];
  return execFileSync(program('kubernetes', 'kubectl'), [...file, ...args], { input, encoding: 'utf8', stdio: 'pipe' });
}

function decide() {
  const text = KUBELET_CERTIFICATES_TEXT.replaceAll('/etc/kubernetes', join(folder, 'etc/kubernetes')).replace(
    'PATH=',
    `PATH=${dirname(program('kubernetes', 'kubectl'))}:`,
  );
  return spawnSync('bash', ['-s'], { input: text, encoding: 'utf8' });
}

const conditions = (name: string) => kubectl(['get', 'csr', name, '-o', 'jsonpath={.status.conditions[*].type}']);

test('nodes get certificates for their own names, and for nothing else', async () => {
  // The node authorizer of a real control plane lets nodes ask; RBAC alone does not.
  kubectl(['create', 'clusterrolebinding', 'nodes', '--clusterrole=system:node', '--group=system:nodes']);
  ask('whole', { user: 'system:node:w1', names: 'DNS:w1,IP:192.0.2.21,IP:2001:db8::21' });
  ask('rsa-usages', {
    user: 'system:node:cp1',
    names: 'IP:192.0.2.11',
    usages: [...SERVING, 'key encipherment'],
  });
  ask('address-of-another', { user: 'system:node:w1', names: 'DNS:w1,IP:192.0.2.11' });
  ask('two-in-one', { user: 'system:node:w1', names: 'DNS:w1|IP Address:192.0.2.21' });
  ask('name-of-another', { user: 'system:node:w1', subject: '/O=system:nodes/CN=system:node:cp1', names: 'DNS:cp1' });
  ask('no-machine', { user: 'system:node:w9', names: 'DNS:w9' });
  ask('longer-name', { user: 'system:node:w1|x', names: 'DNS:w1' });
  ask('no-node', { user: 'system:admin', subject: '/O=system:nodes/CN=system:node:w1', names: 'DNS:w1' });
  ask('more-groups', { user: 'system:node:w1', subject: '/O=a/O=system:nodes/CN=system:node:w1', names: 'DNS:w1' });
  ask('no-names', { user: 'system:node:w1', names: null });
  ask('to-log-in', { user: 'system:node:w1', names: 'DNS:w1', usages: ['digital signature', 'client auth'] });
  ask('other-signer', {
    user: 'system:node:w1',
    names: 'DNS:w1',
    signer: 'example.com/serving',
  });

  const { status, stdout, stderr } = decide();
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(
    stdout
      .split('\n')
      .filter((line) => line.includes('undecided'))
      .map((line) => line.replace(/.*io\/(.*) stays undecided/, '$1')),
  ).toEqual([
    'address-of-another: it is for IP Address:192.0.2.11, which is not a name of w1',
    'longer-name: it is of no node of this site',
    'more-groups: it is not of the form that kubelet gives it',
    'name-of-another: it is not of the form that kubelet gives it',
    'no-machine: it is of no node of this site',
    'no-names: it is not of the form that kubelet gives it',
    'no-node: it is of no node of this site',
    'to-log-in: it is to be used for: digital signature client auth',
    'two-in-one: it is for DNS:w1|IP Address:192.0.2.21, which is not a name of w1',
  ]);
  for (const name of ['whole', 'rsa-usages']) {
    expect(conditions(name)).toBe('Approved');
    await until(`the certificate of ${name}`, () => certificate(name) !== '');
  }
  expect(
    execFileSync('openssl', ['x509', '-noout', '-ext', 'subjectAltName'], {
      input: Buffer.from(certificate('whole'), 'base64').toString(),
      encoding: 'utf8',
    }),
  ).toContain('DNS:w1, IP Address:192.0.2.21, IP Address:2001:DB8:0:0:0:0:0:21');
  expect(conditions('other-signer')).toBe('');
  expect(decide().stdout).not.toContain('approved');
});

const certificate = (name: string) => kubectl(['get', 'csr', name, '-o', 'jsonpath={.status.certificate}']);

test('an API server that does not answer is a failure, for systemd to show', () => {
  const conf = join(folder, 'etc/kubernetes/admin.conf');
  writeFileSync(conf, server.kubeconfig('https://127.0.0.1:1'));
  expect(decide().status).toBe(1);
});
