import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expiryOf, mintPki } from '../../components/secrets/pki';
import { parseExpirations, readNodeCertificates, renewEverywhere } from '../../scripts/cli/nodeCerts';
import { startSshd, type TestSshd } from '../ssh/sshd';

/**
 * The scripts over a real SSH server, with files and programs of a control plane in a folder: crictl, kubectl and
 * kubeadm say what the real ones do (answers/check-expiration.json is of kubeadm 1.36.1) and note what they were told.
 * What kubeadm signs, and what has expired: test/cluster/certificates.test.ts.
 */
const ANSWER = readFileSync(join(__dirname, 'answers/check-expiration.json'), 'utf8');
const PARTS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'];
let machine: string;
let sshd: TestSshd;
const host = () => ({ name: 'cp1', target: sshd.target });
const at = (name: string) => join(machine, name);
const program = (name: string, text: string) => {
  writeFileSync(at(`bin/${name}`), `#!/bin/bash\necho "${name} $*" >>'${at('calls')}'\n${text}\n`);
  chmodSync(at(`bin/${name}`), 0o755);
};
const calls = () => readFileSync(at('calls'), 'utf8').trim().split('\n');

let kubeletConf: string;
let expires: Date;

beforeAll(async () => {
  const { admin } = await mintPki('oslo', new Date());
  kubeletConf = `users:\n- user:\n    client-certificate-data: ${Buffer.from(admin.certificate).toString('base64')}\n`;
  expires = expiryOf(admin.certificate);
  machine = mkdtempSync(join(tmpdir(), 'control-plane-'));
  // The scripts set their own path and name their files in full; both are led into the folder on their way.
  const lead = `sed -u -e 's|^export PATH=|&${at('bin')}:|' -e 's|/etc/kubernetes|${at('etc')}|g' -e 's|/run/sitewright|${machine}|' -e 's|/var/lib|${machine}|' -e 's|/var/log|${machine}|'`;
  sshd = await startSshd({ config: [`ForceCommand ${lead} | bash -s`] });
});
beforeEach(() => {
  for (const folder of ['bin', 'etc/manifests']) mkdirSync(at(folder), { recursive: true });
  for (const part of PARTS) writeFileSync(at(`etc/manifests/${part}.yaml`), '');
  for (const part of PARTS) writeFileSync(at(`container-${part}`), `${part}-1\n`);
  writeFileSync(at('etc/admin.conf'), '');
  writeFileSync(at('etc/kubelet.conf'), kubeletConf);
  writeFileSync(at('etc/scheduler.conf'), 'clusters:\n- cluster:\n    server: https://192.0.2.11:6443\n  name: oslo\n');
  writeFileSync(at('answer.json'), ANSWER);
  writeFileSync(at('calls'), '');
  program('kubeadm', `[ "$2" = renew ] || cat '${at('answer.json')}'`);
  program('systemctl', '');
  program('kubectl', `[ -e '${at('container-kube-apiserver')}' ]`);
  program(
    'crictl',
    `case $1 in
ps) part=\${6#^}; cat '${machine}/container-'"\${part%?}" 2>/dev/null ;;
stop) part=\${4%-*}; echo "$part-$((\${4##*-} + 1))" >'${machine}/container-'"$part" ;;
esac`,
  );
});
afterAll(async () => {
  await sshd?.stop();
  rmSync(machine, { recursive: true, force: true });
});

describe('reading', () => {
  test('gives what kubeadm says, without what the machine does not have', async () => {
    const found = await readNodeCertificates(host());
    expect(found!.role).toBe('control-plane');
    expect(found!.certificates.map(({ name }) => name)).toEqual([
      ...['apiserver', 'apiserver-etcd-client', 'apiserver-kubelet-client'],
      ...['etcd-healthcheck-client', 'etcd-peer', 'etcd-server', 'front-proxy-client', 'kubelet.conf'],
    ]);
    expect(found!.certificates[0]!.expires!.toISOString()).toBe('2027-11-21T08:42:14.000Z');
    expect(found!.certificates.at(-1)!.expires).toEqual(expires);
    expect(calls()).toEqual(['kubeadm certs check-expiration --kubeconfig /nonexistent -o json']);
  });

  test('of a worker it is the one of kubelet; a machine that is no member yet has none', async () => {
    rmSync(at('etc/admin.conf'));
    const certificate = { name: 'kubelet.conf', expires };
    expect(await readNodeCertificates(host())).toEqual({ role: 'worker', certificates: [certificate] });
    expect(calls()).toEqual(['']);
    rmSync(at('etc/kubelet.conf'));
    expect(await readNodeCertificates(host())).toBeNull();
  });

  test('a kubeconfig whose certificate is not there has none that can be used', async () => {
    writeFileSync(at('etc/kubelet.conf'), `users:\n- user:\n    client-certificate: ${at('none.pem')}\n`);
    const { certificates } = (await readNodeCertificates(host()))!;
    expect(certificates.at(-1)).toEqual({ name: 'kubelet.conf', expires: null });
  });

  test('what is no answer is told', async () => {
    expect(() => parseExpirations('Usage: kubeadm')).toThrow(/gave no JSON: Usage/);
    program('kubeadm', 'echo "no such certificate" >&2; exit 3');
    await expect(readNodeCertificates(host())).rejects.toThrow(/no such certificate/);
  });
});

describe('renewal', () => {
  let said: string[];
  const renew = async (...more: Parameters<typeof renewEverywhere>[0]) => {
    said = [];
    const machines = [{ host: host(), certificates: [{ name: 'apiserver', expires }] }, ...more];
    await renewEverywhere(machines, new Date(), { limitSeconds: 4, say: (text) => void said.push(text) });
    return said.filter((text) => !text.includes('waiting until'));
  };

  test('restarts every part once it is renewed, one after another, and waits for the API of this machine', async () => {
    expect(await renew()).toEqual([
      'cp1: renews the certificates',
      ...PARTS.map((part) => `cp1: restarts ${part}`),
      'cp1: waits for the API of this machine',
    ]);
    const told = calls().filter((line) => !/ ps /.test(line));
    expect(told).toEqual([
      `kubeadm certs renew all --config ${at('etc/sitewright/kubeadm.yaml')}`,
      'systemctl start kubelet.service',
      ...PARTS.map((part) => `crictl stop --timeout 30 ${part}-1`),
      `kubectl --kubeconfig ${at('etc/admin.conf')} --server https://192.0.2.11:6443 --request-timeout 30s get --raw /readyz`,
    ]);
  });

  test('those that expired are all started before one is waited for, and before those that serve', async () => {
    const member = (name: string, until: Date | null) => ({
      host: { ...host(), name },
      certificates: [
        { name: 'apiserver', expires },
        { name: 'kubelet.conf', expires: until },
      ],
    });
    const steps = await renew(member('cp2', new Date(0)), member('cp3', null));
    expect(steps.filter((text) => /renews|waits/.test(text))).toEqual([
      ...['cp2', 'cp3'].map((name) => `${name}: renews the certificates`),
      ...['cp2', 'cp3'].map((name) => `${name}: waits for the API of this machine`),
      ...['cp1: renews the certificates', 'cp1: waits for the API of this machine'],
    ]);
  });

  test('leaves out what is not there: etcd of somebody else', async () => {
    rmSync(at('etc/manifests/etcd.yaml'));
    expect(await renew()).not.toContain('cp1: restarts etcd');
  });

  test('a failed renewal restarts nothing', async () => {
    program('kubeadm', 'echo "the CA key is gone" >&2; exit 1');
    await expect(renew()).rejects.toThrow(/^cp1: the CA key is gone\nerror: kubeadm certs renew all failed/);
    expect(calls().filter((line) => line.startsWith('crictl'))).toEqual([]);
  });

  test('a part that does not come back ends it there, with where to look', async () => {
    program(
      'crictl',
      `case $1 in ps) [ "$6" != '^kube-apiserver$' ] || cat '${at('container-kube-apiserver')}' ;; esac`,
    );
    rmSync(at('etc/manifests/etcd.yaml'));
    await expect(renew()).rejects.toThrow(/kube-apiserver does not run again: not within 4 seconds; see crictl ps -a/);
    expect(calls().filter((line) => / stop /.test(line))).toHaveLength(1);
  });

  test('an API that does not get ready ends it', async () => {
    program('kubectl', 'exit 1');
    await expect(renew()).rejects.toThrow(/the API of this machine is not ready: not within 4 seconds/);
  });
});
