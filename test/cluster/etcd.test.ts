import * as fs from 'node:fs';
import * as path from 'node:path';
import { encryptionConfiguration } from '../../components/cluster/documents';
import { CLUSTER_CORE } from '../../components/cluster/node/core';
import { REPAIR } from '../../components/cluster/node/repair';
import { CONTROL_PLANE_UPDATE, KUBELET_UPDATE } from '../../components/cluster/node/updates';
import { renderSnapshotScript } from '../../components/cluster/snapshotScripts';
import { CORE } from '../../components/nodes/prep/core';
import { checkSnapshot, openSnapshot, plainSnapshot, snapshotKey } from '../../components/secrets/etcdSnapshot';
import { receiveSnapshot } from '../../scripts/cli/etcdSnapshot';
import { rewriteSecrets, takeOverKeys } from '../../scripts/cli/secretsAtRest';
import { until } from '../plugins/kubernetes/apiServer';
import { Restore } from '../../scripts/cli/etcdRestore';
import { ControlPlaneMachine, KUBEADM_FILE } from './controlPlaneMachine';

/** Snapshot and restore on a real etcd and API server (controlPlaneMachine), as the commands do them. */

const SEED = Buffer.alloc(32, 7).toString('base64');
const KEYS = [{ name: 'key1', secret: Buffer.alloc(32, 1).toString('base64') }];
const { privateKey } = snapshotKey(SEED);
let machine: ControlPlaneMachine;
let said: string[];
let say = (text: string) => void said.push(text);

beforeAll(async () => {
  machine = await ControlPlaneMachine.start('cp1', '192.0.2.11', encryptionConfiguration(KEYS));
});
afterAll(async () => machine?.stop());
beforeEach(() => (said = []));

const uid = (what: string) => machine.kubectl(`get ${what} -o 'jsonpath={.metadata.uid}'`);
const take = (name: string) =>
  receiveSnapshot(
    { site: 'oslo', host: machine.host, hostKeySeed: SEED, signal: new AbortController().signal, say },
    {
      folder: machine.folder,
      file: machine.at(name),
    },
  );

async function restore(file: string, signal = new AbortController().signal): Promise<string[]> {
  const snapshot = await openSnapshot(file);
  const hosts = { members: [machine.host], all: [machine.host] };
  const run = new Restore({ site: 'oslo', snapshot: snapshot.header, limitSeconds: 120, hosts, say });
  const { receivers } = await run.look(signal);
  const kept = await run.restore(receivers, () => plainSnapshot(snapshot, privateKey), signal);
  return kept.map(({ folder }) => folder);
}

/** The machine's pods are started by this process, so it must not be held up meanwhile. */
const answers = () =>
  until('the API answers', () => {
    try {
      return (
        fs.existsSync(machine.at('pods/etcd')) && machine.kubectl('--request-timeout 5s get --raw /readyz') === 'ok'
      );
    } catch {
      return false;
    }
  });

const keepsNothing = () => {
  expect(fs.existsSync(machine.at('lib/sitewright/etcd-restore'))).toBe(false);
  expect(fs.existsSync(machine.at('lib/sitewright/etcd-snapshot'))).toBe(false);
};

test('what was there before the data was destroyed is back; what came after is not', async () => {
  machine.kubectl('create configmap before --from-literal a=b');
  machine.kubectl('create secret generic before --from-literal word=geheim');
  const before = [uid('configmap before'), uid('secret before')];
  const { file, header } = await take('first');
  expect(fs.statSync(file).mode & 0o777).toBe(0o600);
  expect(header).toMatchObject({
    site: 'oslo',
    node: 'cp1',
    kubernetes: expect.stringMatching(/^v1\.36\./) as string,
    encryptionKeys: ['key1'],
  });
  keepsNothing();

  machine.kubectl('create configmap after --from-literal a=b');
  const newest = () => Number(/"resourceVersion":"([0-9]+)"/.exec(machine.kubectl('get --raw /api/v1/configmaps'))![1]);
  const wasNewest = newest();
  fs.rmSync(machine.at('lib/etcd/member'), { recursive: true });
  expect(await restore(file)).toEqual([]);

  expect([uid('configmap before'), uid('secret before')]).toEqual(before);
  expect(machine.kubectl(`get secret before -o 'jsonpath={.data.word}'`)).toBe(
    Buffer.from('geheim').toString('base64'),
  );
  expect(() => uid('configmap after')).toThrow(/NotFound/);
  // Time goes on: a watch that knew the newest revision of before must not take the next one for an old one.
  expect(newest()).toBeGreaterThan(wasNewest);
  keepsNothing();
});

test('the data of before stays beside the new, and a restore can be made again', async () => {
  const { file } = await take('second');
  machine.kubectl('create configmap later --from-literal a=b');
  const [kept] = await restore(file);
  expect(fs.existsSync(machine.at(`lib/${path.relative('/var/lib', kept!)}/snap/db`))).toBe(true);
  expect(() => uid('configmap later')).toThrow(/NotFound/);
  expect(await restore(file)).toHaveLength(1);
  keepsNothing();
});

test('one that was interrupted goes on where it was', async () => {
  const { file } = await take('third');
  machine.kubectl('create configmap lost --from-literal a=b');
  const interrupt = new AbortController();
  const heard = say;
  say = (text) => {
    heard(text);
    if (text.includes('restores the data')) interrupt.abort(new Error('Ctrl-C'));
  };
  await expect(restore(file, interrupt.signal)).rejects.toThrow(/Ctrl-C/);
  say = heard;
  expect(() => machine.kubectl('get nodes')).toThrow();
  said = [];
  expect(await restore(file)).toHaveLength(1);
  expect(said).toContain('cp1: an earlier restore did not end; it goes on');
  expect(said).not.toContain('cp1: receives the snapshot');
  expect(() => uid('configmap lost')).toThrow(/NotFound/);
  keepsNothing();
});

describe('a file', () => {
  let file: string;
  beforeAll(async () => ({ file } = await take('whole')));

  const damaged = (change: (bytes: Buffer) => Buffer) => {
    fs.writeFileSync(machine.at('damaged'), change(fs.readFileSync(file)));
    return machine.at('damaged');
  };
  const check = async (path: string, key = privateKey) => checkSnapshot(await openSnapshot(path), key);

  test('holds nothing that can be read without the key', async () => {
    await check(file);
    const text = fs.readFileSync(file, 'latin1');
    for (const word of ['registry', 'kube-system', 'geheim']) expect(text).not.toContain(word);
    await expect(check(file, snapshotKey(Buffer.alloc(32, 8).toString('base64')).privateKey)).rejects.toThrow(
      /is damaged, or encrypted for another site/,
    );
  });

  test('one changed byte is found', async () => {
    const path = damaged((bytes) => (bytes.writeUInt8(bytes.readUInt8(5000) ^ 1, 5000), bytes));
    await expect(check(path)).rejects.toThrow(/is damaged/);
  });

  test('a missing end is found', async () => {
    await expect(check(damaged((bytes) => bytes.subarray(0, -7)))).rejects.toThrow(
      /is cut off: [0-9]+ of [0-9]+ bytes/,
    );
  });

  test('something else is no snapshot', async () => {
    await expect(check(damaged(() => Buffer.from('PK\n{}\n')))).rejects.toThrow(/is no snapshot of sitewright/);
    const header = damaged((bytes) => Buffer.concat([bytes.subarray(0, 40), Buffer.from('\n'), bytes]));
    await expect(check(header)).rejects.toThrow(/its header cannot be read/);
  });
});

test('a machine without etcd, and a folder that is not there, are told', async () => {
  const manifest = machine.at('etc/kubernetes/manifests/etcd.yaml');
  fs.renameSync(manifest, machine.at('etcd.yaml'));
  await expect(take('none')).rejects.toThrow(
    /cp1: error: this machine runs no etcd: \/etc\/kubernetes\/manifests\/etcd.yaml is not there/,
  );
  expect(fs.existsSync(machine.at('none'))).toBe(false);
  // Otherwise the one that is about to end still answers below.
  await until('etcd has ended', () => !fs.existsSync(machine.at('pods/etcd')));
  fs.renameSync(machine.at('etcd.yaml'), manifest);
  await answers();
});

describe('snapshots into a folder', () => {
  const snapshot = async (path: string) => {
    // Their names have seconds.
    const stamp = () => new Date().toISOString().replace(/[-:]|[.][0-9]+/g, '');
    await until('a second later', () => !files().some((name) => name.includes(stamp())));
    const { publicKeyPem } = snapshotKey(SEED);
    const script = renderSnapshotScript({ site: 'oslo', node: 'cp1', publicKeyPem, folder: { path, keep: 2 } });
    fs.writeFileSync(machine.at('etc/snapshot'), script);
    machine.sh('bash /etc/snapshot');
  };
  const files = () => fs.readdirSync(machine.at('log/backup')).sort();

  test('are whole, and the oldest goes', async () => {
    fs.mkdirSync(machine.at('log/backup'));
    fs.writeFileSync(machine.at('log/backup/oslo.cp1.1.partial'), '');
    fs.writeFileSync(machine.at('log/backup/oslo.cp2.20000101T000000Z.etcd-snapshot'), '');
    await snapshot('/var/log/backup');
    const [first] = files();
    expect(files()).toEqual([first, 'oslo.cp2.20000101T000000Z.etcd-snapshot']);
    await checkSnapshot(await openSnapshot(machine.at(`log/backup/${first}`)), privateKey);
    await snapshot('/var/log/backup');
    await snapshot('/var/log/backup');
    expect(files()).toHaveLength(3);
    expect(files()).not.toContain(first);
    keepsNothing();
  });

  test('a folder that is not there is refused', async () => {
    await expect(snapshot('/var/log/none')).rejects.toThrow(/error: \/var\/log\/none is not there: mount or make it/);
  });
});

test('the key of Secrets is rotated: all of them are written with the new one before the old one goes', async () => {
  const [old] = KEYS;
  const fresh = { name: 'key2', secret: Buffer.alloc(32, 2).toString('base64') };
  const keys = async (...all: typeof KEYS) => {
    fs.writeFileSync(machine.at('etc/kubernetes/sitewright/encryption.yaml'), encryptionConfiguration(all));
    await takeOverKeys(machine.host, all[0]!.name, 120, say);
  };
  const inEtcd = () => {
    const pki = '/etc/kubernetes/pki/etcd';
    const tls = `--cacert ${pki}/ca.crt --cert ${pki}/server.crt --key ${pki}/server.key`;
    return machine.sh(
      `etcdctl --endpoints https://127.0.0.1:2379 ${tls} get /registry/secrets/ --prefix --print-value-only | grep -ao 'v1:key[0-9]:' | sort | uniq -c`,
    );
  };
  machine.kubectl('create namespace other');
  machine.kubectl('create secret generic one --from-literal word=geheim');
  machine.kubectl('create secret generic two --namespace other --from-literal word=geheim');
  await keys(old!, fresh);
  await expect(rewriteSecrets(machine.host, 'key2', 120, say)).rejects.toThrow(
    /Secrets are not written with the new key/,
  );
  await keys(fresh, old!);
  expect(inEtcd()).toMatch(/^[0-9]+ v1:key1:$/);
  await rewriteSecrets(machine.host, 'key2', 120, say);
  expect(inEtcd()).toMatch(/^[0-9]+ v1:key2:$/);
  await keys(fresh);
  for (const name of ['one', 'two --namespace other']) {
    expect(machine.kubectl(`get secret ${name} -o 'jsonpath={.data.word}'`)).toBe(
      Buffer.from('geheim').toString('base64'),
    );
  }
});

describe('a control plane that does not answer', () => {
  const run = (words: string) => {
    const values = `NODE=cp1 SITE=oslo CHANGES=0 LIMIT_SECONDS=120 STATE_FOLDER=/var/lib/state KUBEADM_FILE=${KUBEADM_FILE} ETCD_FOLDER=/var/lib/etcd AUDIT_LOG=/var/log/audit RUN_DIR=/run/sitewright CONTROL_PLANE_SUM=plan SERVING_CERTIFICATE_SUM=names`;
    const libraries = [CORE, CLUSTER_CORE, KUBELET_UPDATE, CONTROL_PLANE_UPDATE, REPAIR].join('\n');
    fs.writeFileSync(machine.at('etc/repair'), `set -u; ${values}; mkdir -p /var/lib/state\n${libraries}\n${words}\n`);
    return machine.sh('bash /etc/repair 2>&1');
  };
  const manifest = (name: string) => machine.at(`etc/kubernetes/manifests/${name}.yaml`);

  test('gets its static pods and files again, and nothing else is touched', async () => {
    run('remember_applied');
    const before = fs.readFileSync(manifest('kube-apiserver'), 'utf8');
    const etcd = fs.readFileSync(machine.at('pods/etcd'), 'utf8');
    expect(run('repair_control_plane')).not.toContain('kubeadm writes them again');
    expect(() => run('ETCD_FOLDER=/var/lib/lost; repair_control_plane')).toThrow(
      /error: the data of etcd is gone from this machine/,
    );
    fs.rmSync(manifest('kube-apiserver'));
    fs.rmSync(machine.at('etc/kubernetes/pki/apiserver-etcd-client.crt'));
    fs.rmSync(machine.at('etc/kubernetes/pki/apiserver-etcd-client.key'));
    fs.writeFileSync(manifest('kube-scheduler'), 'kind: Broken\n');
    await until('the API server has ended', () => !fs.existsSync(machine.at('pods/kube-apiserver')));
    expect(run('repair_control_plane')).toContain('kubeadm writes them again');
    expect(fs.readFileSync(manifest('kube-apiserver'), 'utf8')).toBe(before);
    await answers();
    expect(fs.readFileSync(machine.at('pods/etcd'), 'utf8')).toBe(etcd);
    expect(run('repair_control_plane')).not.toContain('kubeadm writes them again');
  });
});
