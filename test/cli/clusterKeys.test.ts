import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { expiryOf, mintPki, parsePki, renewAdmin, type ClusterPki } from '../../components/secrets/pki';
import { startSshd, type TestSshd } from '../ssh/sshd';
import { TestKit } from './kit';

/** The keys of a cluster beside the site file, with the real command line and the engine's own secrets. */
const PASSPHRASE = { PULUMI_CONFIG_PASSPHRASE: 'correct horse' };
const KEY = 'sitewright:clusterPki';
/** A program in place of machines: a resource of the cluster, once its file is there. */
const PROGRAM = `
const { existsSync } = require('node:fs');
const pulumi = require('@pulumi/pulumi');
class ControlPlane extends pulumi.ComponentResource {
  constructor(name, pki) {
    super('sitewright:cluster:ControlPlane', name);
    this.registerOutputs({ pki });
  }
}
exports.program = async () => {
  if (!existsSync(process.env.SITEWRIGHT_STACKS_DIR + '/cluster')) return {};
  new ControlPlane('oslo-cluster', new pulumi.Config('sitewright').requireSecret('clusterPki'));
  return { nodes: [] };
};
`;
let kit: TestKit;
let sshd: TestSshd;
const run = (...args: string[]) => kit.run(args, PASSPHRASE);
const siteFile = () => join(kit.stacks, 'sites/oslo.yaml');
const settings = () => join(kit.stacks, 'Pulumi.oslo.yaml');
const config = () => kit.config('oslo', PASSPHRASE);
const pki = () => parsePki(config()[KEY].value);
const setPki = (value: ClusterPki) =>
  kit.pulumi(['config', 'set', KEY, '--secret', '-s', 'oslo'], PASSPHRASE, JSON.stringify(value));
const daysFromNow = (days: number) => new Date(Date.now() + days * 86_400_000);
const openssl = (args: string[], input: string) => execFileSync('openssl', args, { input, encoding: 'utf8' });
/** The keys go out of the settings as if an old version of the file were checked out. */
const withoutKeys = (text: string) => text.replace(/ {2}sitewright:clusterPki:\n {4}secure: .*\n/, '');

beforeAll(async () => {
  kit = new TestKit();
  kit.useProgram(PROGRAM);
  // Machines that answer, and are no control plane yet wherever the tests run.
  sshd = await startSshd({ config: ['ForceCommand echo null'] });
  expect(run('new', 'oslo', '--provider', 'existing', '--profile', 'staging').code).toBe(0);
  kit.pulumi(
    ['config', 'set', 'sitewright:sshPrivateKey', '--secret', '-s', 'oslo'],
    PASSPHRASE,
    sshd.target.privateKey,
  );
  const { port, user, hostKey } = sshd.target;
  const text = readFileSync(siteFile(), 'utf8')
    .replace(/user: sitewright/, `user: ${user}`)
    .replace(/hostKey: .*/g, `hostKey: ${hostKey}\n        host: 127.0.0.1\n        port: ${port}`);
  writeFileSync(siteFile(), text);
});
afterAll(async () => {
  await sshd?.stop();
  await kit?.remove();
});

test('a site without a cluster has no keys of one, and says so', () => {
  expect(Object.keys(config())).not.toContain(KEY);
  for (const command of ['kubeconfig', 'certs']) {
    expect(run(command, 'oslo')).toMatchObject({
      code: 2,
      stderr: 'oslo has no cluster: its site file names no kubernetes.version\n',
    });
  }
});

describe('a site whose file gets a version of Kubernetes', () => {
  let others: Record<string, { value: string }>;
  beforeAll(() => {
    others = config();
    writeFileSync(siteFile(), `${readFileSync(siteFile(), 'utf8')}\nkubernetes:\n  version: '1.36.1'\n`);
  });

  test('is told what makes its keys, by commands that change nothing', () => {
    const before = kit.snapshot();
    for (const command of ['preview', 'kubeconfig']) {
      const { code, stderr } = run(command, 'oslo');
      expect({ command, code, stderr }).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/sitewright new oslo makes/),
      });
    }
    expect(kit.snapshot()).toEqual(before);
  });

  test('gains them by new, beside the others, encrypted and once', () => {
    const made = run('new', 'oslo', '--json');
    expect(made).toMatchObject({ code: 0 });
    expect(JSON.parse(made.stdout)).toMatchObject({ made: ['keys of the cluster'] });
    expect(readFileSync(settings(), 'utf8')).toMatch(/ {2}sitewright:clusterPki:\n {4}secure: \S+\n/);
    expect(config()).toMatchObject(others);
    expect(pki().ca.certificate).toMatch(/BEGIN CERTIFICATE/);
    const before = kit.snapshot();
    expect(run('new', 'oslo')).toMatchObject({ code: 2, stderr: expect.stringMatching(/has its secrets/) });
    expect(kit.snapshot()).toEqual(before);
  });

  test('gains them by up as well, which leaves them alone from then on', () => {
    writeFileSync(settings(), withoutKeys(readFileSync(settings(), 'utf8')));
    expect(run('up', 'oslo').stderr).toMatch(/made keys of the cluster\. Commit stacks\/Pulumi\.oslo\.yaml/);
    const made = readFileSync(settings(), 'utf8');
    expect(run('up', 'oslo').stderr).not.toMatch(/made/);
    expect(readFileSync(settings(), 'utf8')).toBe(made);
    expect(config()).toMatchObject(others);
  });
});

describe('a kubeconfig', () => {
  interface Kubeconfig {
    clusters: { cluster: Record<string, string> }[];
    users: { name: string; user: Record<string, string> }[];
  }
  const read = (text: string) => {
    const { clusters, users } = parse(text) as Kubeconfig;
    const pem = (value: string) => Buffer.from(value, 'base64').toString();
    const certificate = pem(users[0].user['client-certificate-data']);
    const key = pem(users[0].user['client-key-data']);
    return { server: clusters[0].cluster.server, certificate, key };
  };
  const subject = (certificate: string) => openssl(['x509', '-noout', '-subject', '-nameopt', 'RFC2253'], certificate);
  const hoursLeft = (certificate: string) => (expiryOf(certificate).getTime() - Date.now()) / 3_600_000;

  test('is for who asks, for a working day, signed by the site', () => {
    const { code, stdout } = run('kubeconfig', 'oslo');
    expect(code).toBe(0);
    const { server, certificate, key } = read(stdout);
    expect(server).toBe('https://192.0.2.11:6443');
    expect(subject(certificate)).toMatch(/^subject=O=kubeadm:cluster-admins,CN=\S+$/m);
    expect(Math.round(hoursLeft(certificate))).toBe(8);
    expect(openssl(['x509', '-noout', '-pubkey'], certificate)).toBe(openssl(['pkey', '-pubout'], key));
    const ca = join(kit.dir, 'ca.crt');
    writeFileSync(ca, pki().ca.certificate);
    expect(openssl(['verify', '-CAfile', ca], certificate)).toMatch(/OK/);
    expect(certificate).not.toBe(read(run('kubeconfig', 'oslo').stdout).certificate);
  });

  test('has the user, groups and time that are asked for, in JSON too', () => {
    const args = ['--user', 'ann', '--group', 'dev', '--group', 'ops', '--ttl', '30m', '--json'];
    const answer = JSON.parse(run('kubeconfig', 'oslo', ...args).stdout) as { kubeconfig: string; expires: string };
    expect(answer).toMatchObject({ site: 'oslo', user: 'ann', groups: ['dev', 'ops'] });
    const { certificate } = read(answer.kubeconfig);
    expect(subject(certificate)).toBe('subject=O=ops,O=dev,CN=ann\n');
    expect(hoursLeft(certificate)).toBeLessThan(0.51);
    expect(expiryOf(certificate).toISOString()).toBe(answer.expires);
  });

  test('--admin is the certificate of the kit itself', () => {
    expect(read(run('kubeconfig', 'oslo', '--admin').stdout).certificate).toBe(pki().admin.certificate);
  });

  test('--output writes it for its owner alone, again for the same site, and over nothing else', () => {
    const file = join(kit.dir, 'oslo.kubeconfig');
    writeFileSync(file, run('kubeconfig', 'oslo').stdout, { mode: 0o644 });
    const first = readFileSync(file, 'utf8');
    expect(run('kubeconfig', 'oslo', '--output', file)).toMatchObject({
      code: 0,
      stdout: expect.not.stringMatching(/data/),
    });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).not.toBe(first);
    for (const text of ['a letter\n', readFileSync(file, 'utf8').replace('- name: oslo', '- name: bergen')]) {
      writeFileSync(file, text);
      const refused = run('kubeconfig', 'oslo', '--output', file);
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/no kubeconfig of oslo alone/) });
      expect(readFileSync(file, 'utf8')).toBe(text);
    }
  });

  test('wrong options are told together', () => {
    const wrong = run('kubeconfig', 'oslo', '--admin', '--user', '', '--ttl', '8d', '--output', join(kit.dir, 'none'));
    expect(wrong).toMatchObject({ code: 2, stdout: '' });
    expect(wrong.stderr).toMatch(/--admin is [^]*--user is empty\n--ttl: 8d is not a duration/);
    expect(existsSync(join(kit.dir, 'none'))).toBe(false);
    expect(run('kubeconfig', 'oslo', '--ttl', '8761h').stderr).toMatch(/--ttl 8761h: allowed are 1m to 8760h/);
  });
});

describe('time goes by', () => {
  test('certs shows what is left, without a machine', () => {
    const { code, stdout } = run('certs', 'oslo');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^secrets +ca +\d{4}-\d\d-\d\d \d\d:\d\d +3649 days$/m);
    expect(stdout).toMatch(/^secrets +admin .* 364 days$/m);
    const { certificates } = JSON.parse(run('certs', 'oslo', '--json').stdout) as { certificates: { name: string }[] };
    expect(certificates.map(({ name }) => name)).toEqual(['ca', 'etcdCa', 'frontProxyCa', 'admin']);
  });

  test('up renews what is due of the kit, and nothing else', async () => {
    const old = await mintPki('oslo', daysFromNow(-300));
    setPki(old);
    expect(run('up', 'oslo').stderr).toMatch(/own certificate was due and is made anew/);
    const renewed = pki();
    expect(renewed).toEqual({ ...old, admin: renewed.admin });
    expect(expiryOf(renewed.admin.certificate) > daysFromNow(364)).toBe(true);
  });

  test('certs --renew renews it before it is due', () => {
    const { admin } = pki();
    expect(run('certs', 'oslo', '--renew').code).toBe(0);
    expect(pki().admin).not.toEqual(admin);
  });

  test('an expired certificate of the kit is a failure that says what to do', async () => {
    setPki(await mintPki('oslo', daysFromNow(-400)));
    const shown = run('certs', 'oslo');
    expect(shown).toMatchObject({ code: 1, stdout: expect.stringMatching(/admin .* expired/) });
    expect(shown.stderr).toMatch(/^expired: admin \(secrets\)\. sitewright certs oslo --renew renews/m);
  });

  test('certs --renew-authorities makes the authorities anew under their keys, also when they have expired', async () => {
    for (const age of [-30, -3651]) {
      const old = await mintPki('oslo', daysFromNow(age));
      setPki(old);
      const told = run('certs', 'oslo', '--renew-authorities');
      expect(told.code).toBe(0);
      expect(told.stdout).toMatch(/^The authorities of oslo are valid until \d{4}-[^]*sitewright up oslo brings them/);
      expect(told.stdout).toContain(`which ends on ${expiryOf(old.ca.certificate).toISOString().slice(0, 10)}`);
      const renewed = pki();
      const { ca, etcdCa, frontProxyCa } = renewed;
      expect(renewed).toEqual({ ...old, ca, etcdCa, frontProxyCa });
      for (const [name, { certificate, privateKey }] of Object.entries({ ca, etcdCa, frontProxyCa })) {
        expect(privateKey).toBe(old[name as 'ca'].privateKey);
        expect(expiryOf(certificate) > daysFromNow(3649)).toBe(true);
      }
    }
    const { renewed } = JSON.parse(run('certs', 'oslo', '--renew-authorities', '--json').stdout) as {
      renewed: { name: string }[];
    };
    expect(renewed.map(({ name }) => name)).toEqual(['ca', 'etcdCa', 'frontProxyCa']);
    expect(run('certs', 'oslo', '--renew', '--renew-authorities')).toMatchObject({ code: 2, stdout: '' });
  });

  test('authorities in their last year are told, with what renews them', async () => {
    const due = /the authorities of oslo end on \d{4}-\d\d-\d\d.*: sitewright certs oslo --renew-authorities/;
    setPki(await renewAdmin(await mintPki('oslo', daysFromNow(-3300)), new Date()));
    for (const args of [['certs'], ['up']]) expect(run(args[0]!, 'oslo').stderr).toMatch(due);
    setPki(await mintPki('oslo', new Date()));
    for (const args of [['certs'], ['up']]) expect(run(args[0]!, 'oslo').stderr).not.toMatch(due);
  });

  test('expired authorities stop everything before it changes anything', async () => {
    setPki(await mintPki('oslo', daysFromNow(-3651)));
    const before = kit.snapshot();
    for (const args of [['up'], ['certs', '--renew'], ['kubeconfig']]) {
      const { code, stderr } = run(args[0], 'oslo', ...args.slice(1));
      expect({ args, code, stderr }).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/expired on \d{4}-\d\d-\d\d/),
      });
    }
    expect(kit.snapshot()).toEqual(before);
  });
});

test('keys that were tampered with are refused by name', async () => {
  const fresh = await mintPki('oslo', new Date());
  setPki({ ...fresh, encryptionKeys: [{ name: 'key1', secret: 'c2hvcnQ=' }] });
  const { code, stderr } = run('up', 'oslo');
  expect(code).toBe(2);
  expect(stderr).toMatch(/encryptionKeys: each must be 32 bytes in base64\nBring stacks\/Pulumi\.oslo\.yaml back/);
  setPki(fresh);
});

test('a built cluster whose keys are gone gets no new ones', () => {
  mkdirSync(join(kit.stacks, 'cluster'));
  expect(run('up', 'oslo').code).toBe(0);
  const whole = readFileSync(settings(), 'utf8');
  writeFileSync(settings(), withoutKeys(whole));
  const before = kit.snapshot();
  for (const command of ['new', 'up']) {
    const { code, stderr } = run(command, 'oslo');
    expect(code).toBe(2);
    expect(stderr).toMatch(/the cluster of oslo is built, but its keys .* are missing: bring .* back/);
  }
  expect(kit.snapshot()).toEqual(before);
  writeFileSync(settings(), whole);
  expect(run('up', 'oslo').code).toBe(0);
});

test('nothing of the keys is written or said in the clear', () => {
  const { ca, admin, encryptionKeys } = pki();
  const planted = [ca, admin]
    .flatMap(({ privateKey }) => privateKey.split('\n').slice(1, -2))
    .concat(encryptionKeys[0].secret);
  const said = ['up', 'preview'].flatMap((command) => {
    const { stdout, stderr } = run(command, 'oslo', '--verbose');
    return stdout + stderr;
  });
  const shown = [...said, ...Object.values(kit.snapshot())];
  expect(planted.filter((text) => text.length > 8 && shown.some((where) => where.includes(text)))).toEqual([]);
  expect(shown.filter((text) => text.includes('PRIVATE KEY'))).toEqual([]);
});
