import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseExpirations, readNodeCertificates, renewOn } from '../../scripts/cli/nodeCerts';
import { startSshd, type TestSshd } from '../ssh/sshd';

/**
 * The scripts over a real SSH server, with files and programs of a control plane in a folder: crictl, kubectl and
 * kubeadm say what the real ones do (answers/check-expiration.json is of kubeadm 1.36.1) and note what they were told.
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

beforeAll(async () => {
  machine = mkdtempSync(join(tmpdir(), 'control-plane-'));
  // The scripts set their own path and name their files in full; both are led into the folder on their way.
  const lead = `sed -u -e 's|^export PATH=|&${at('bin')}:|' -e 's|/etc/kubernetes|${at('etc')}|g' -e 's|/run/sitewright|${machine}|'`;
  sshd = await startSshd({ config: [`ForceCommand ${lead} | bash -s`] });
});
beforeEach(() => {
  for (const folder of ['bin', 'etc/manifests']) mkdirSync(at(folder), { recursive: true });
  for (const part of PARTS) writeFileSync(at(`etc/manifests/${part}.yaml`), '');
  for (const part of PARTS) writeFileSync(at(`container-${part}`), `${part}-1\n`);
  writeFileSync(at('etc/admin.conf'), '');
  writeFileSync(at('etc/scheduler.conf'), 'clusters:\n- cluster:\n    server: https://192.0.2.11:6443\n  name: oslo\n');
  writeFileSync(at('answer.json'), ANSWER);
  writeFileSync(at('calls'), '');
  program('kubeadm', `[ "$2" = renew ] || cat '${at('answer.json')}'`);
  program('kubectl', `[ -e '${at('container-kube-apiserver')}' ]`);
  program(
    'crictl',
    `case $3 in
ps) part=\${8#^}; cat '${machine}/container-'"\${part%?}" 2>/dev/null ;;
stop) part=\${6%-*}; echo "$part-2" >'${machine}/container-'"$part" ;;
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
    expect(found!.map(({ name }) => name)).toEqual([
      ...['apiserver', 'apiserver-etcd-client', 'apiserver-kubelet-client'],
      ...['etcd-healthcheck-client', 'etcd-peer', 'etcd-server', 'front-proxy-client'],
    ]);
    expect(found![0].expires.toISOString()).toBe('2027-11-21T08:42:14.000Z');
    expect(calls()).toEqual(['kubeadm certs check-expiration --kubeconfig /nonexistent -o json']);
  });

  test('a machine that is no control plane yet is none', async () => {
    rmSync(at('etc/admin.conf'));
    expect(await readNodeCertificates(host())).toBeNull();
  });

  test('what is no answer is told', async () => {
    expect(() => parseExpirations('Usage: kubeadm')).toThrow(/gave no JSON: Usage/);
    program('kubeadm', 'echo "no such certificate" >&2; exit 3');
    await expect(readNodeCertificates(host())).rejects.toThrow(/no such certificate/);
  });
});

describe('renewal', () => {
  const renew = async () => {
    const said: string[] = [];
    await renewOn(host(), 4, (text) => said.push(text));
    return said;
  };

  test('restarts every part once it is renewed, one after another, and waits for the API of this machine', async () => {
    expect(await renew()).toEqual([
      'cp1: renews the certificates',
      ...PARTS.map((part) => `cp1: restarts ${part}`),
      'cp1: waits for the API of this machine',
    ]);
    const told = calls().filter((line) => !/ ps /.test(line));
    const socket = 'crictl --runtime-endpoint unix:///run/containerd/containerd.sock';
    expect(told).toEqual([
      `kubeadm certs renew all --kubeconfig ${at('etc/admin.conf')}`,
      ...PARTS.map((part) => `${socket} stop --timeout 30 ${part}-1`),
      `kubectl --kubeconfig ${at('etc/admin.conf')} --server https://192.0.2.11:6443 get --raw /readyz`,
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
      `case $3 in ps) [ "$8" != '^kube-apiserver$' ] || cat '${at('container-kube-apiserver')}' ;; esac`,
    );
    rmSync(at('etc/manifests/etcd.yaml'));
    await expect(renew()).rejects.toThrow(/kube-apiserver runs again: not within 4 seconds; see crictl ps -a/);
    expect(calls().filter((line) => / stop /.test(line))).toHaveLength(1);
  });

  test('an API that does not get ready ends it', async () => {
    program('kubectl', 'exit 1');
    await expect(renew()).rejects.toThrow(/the API of this machine is ready: not within 4 seconds/);
  });
});
