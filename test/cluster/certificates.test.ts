import { X509Certificate } from 'node:crypto';
import * as fs from 'node:fs';
import { stringify, parseAllDocuments } from 'yaml';
import { encryptionConfiguration } from '../../components/cluster/documents';
import { CLUSTER_CORE } from '../../components/cluster/node/core';
import { JOIN } from '../../components/cluster/node/join';
import { CORE } from '../../components/nodes/prep/core';
import { expiryOf } from '../../components/secrets/pki';
import { hasExpired, readNodeCertificates, renewEverywhere, type NodeCertificate } from '../../scripts/cli/nodeCerts';
import { unfitness } from '../../scripts/cli/unfit';
import { INITIALISED_FILE } from '../../components/plan/clusterPaths';
import { SshSession } from '../../components/ssh/session';
import { until } from '../plugins/kubernetes/apiServer';
import { ControlPlaneMachine, KUBEADM_FILE } from './controlPlaneMachine';

/** Certificates that the real kubeadm made, and that have expired, on a machine with a real etcd and API server. */
const KEYS = [{ name: 'key1', secret: Buffer.alloc(32, 1).toString('base64') }];
const CURRENT = '/var/lib/kubelet/pki/kubelet-client-current.pem';
/** All that kubeadm makes on a machine with etcd. */
const EXPIRED = [
  ...['apiserver', 'apiserver-etcd-client', 'apiserver-kubelet-client', 'front-proxy-client'].map(pki),
  ...['etcd/server', 'etcd/peer', 'etcd/healthcheck-client'].map(pki),
  ...['admin', 'super-admin', 'controller-manager', 'scheduler', 'kubelet'].map(
    (name) => `/etc/kubernetes/${name}.conf`,
  ),
];
let machine: ControlPlaneMachine;
let said: string[];

function pki(name: string): string {
  return `/etc/kubernetes/pki/${name}.crt`;
}

beforeAll(async () => {
  machine = await ControlPlaneMachine.start('cp1', '192.0.2.11', encryptionConfiguration(KEYS));
  machine.sh(`mkdir -p $(dirname ${INITIALISED_FILE}) && touch ${INITIALISED_FILE}`);
});
afterAll(async () => machine?.stop());
beforeEach(() => (said = []));

const read = async () => (await readNodeCertificates(machine.host))!.certificates;
const expired = (certificates: NodeCertificate[]) =>
  certificates.filter((one) => hasExpired(one, new Date())).map(({ name }) => name);
const renew = async () =>
  renewEverywhere([{ host: machine.host, certificates: await read() }], new Date(), {
    limitSeconds: 120,
    say: (text) => void said.push(text),
  });
const answers = () => machine.kubectl('--request-timeout 5s get --raw /readyz') === 'ok';
const kubelet = (words: string) => machine.kubectl(words, 'kubelet');
const currentCertificate = () => new X509Certificate(machine.sh(`cat ${CURRENT}`));
const hasEnded = () => expiryOf(currentCertificate().toString()) < new Date();

/** A configuration with which kubeadm signs for a second. */
function shortLived(): string {
  const documents = parseAllDocuments(machine.sh(`cat ${KUBEADM_FILE}`)).map((one) => one.toJS() as { kind: string });
  const changed = documents.map((one) =>
    one.kind === 'ClusterConfiguration' ? { ...one, certificateValidityPeriod: '1s' } : one,
  );
  fs.writeFileSync(machine.at('etc/short.yaml'), changed.map((one) => stringify(one)).join('---\n'));
  return '/etc/short.yaml';
}

/** What `up` finds before it changes anything. */
async function unfit() {
  const session = await SshSession.connect(machine.host.target);
  try {
    return await unfitness('cp1', session);
  } finally {
    session.end();
  }
}

/** In the form in which kubelet keeps it, as after a year of rotations. */
function keepForKubelet(conf: string): void {
  const words = `{ print $2 }' ${conf} | base64 -d`;
  machine.sh(`mkdir -p /var/lib/kubelet/pki
awk '/client-certificate-data/ ${words} >/var/lib/kubelet/pki/kubelet-client-old.pem
awk '/client-key-data/ ${words} >>/var/lib/kubelet/pki/kubelet-client-old.pem
ln -sfn /var/lib/kubelet/pki/kubelet-client-old.pem ${CURRENT}
sed -i 's|client-certificate-data: .*|client-certificate: ${CURRENT}|; s|client-key-data: .*|client-key: ${CURRENT}|' /etc/kubernetes/kubelet.conf`);
}

function expireKubelet(): void {
  machine.sh(
    `rm -rf /etc/short && kubeadm init phase kubeconfig kubelet --config ${shortLived()} --kubeconfig-dir /etc/short`,
  );
  keepForKubelet('/etc/short/kubelet.conf');
}

test('what a machine has is read with the certificate of kubelet, wherever it is', async () => {
  const embedded = (await read()).find(({ name }) => name === 'kubelet.conf')!;
  expect(embedded.expires! > new Date()).toBe(true);
  keepForKubelet('/etc/kubernetes/kubelet.conf');
  expect(await readNodeCertificates(machine.host)).toMatchObject({
    role: 'control-plane',
    certificates: expect.arrayContaining([embedded]) as unknown,
  });
  machine.sh(`mv ${CURRENT} ${CURRENT}.away`);
  expect((await read()).find(({ name }) => name === 'kubelet.conf')).toEqual({ name: 'kubelet.conf', expires: null });
  machine.sh(`mv ${CURRENT}.away ${CURRENT}`);
});

test('one that kubelet can use is left to kubelet', async () => {
  const before = currentCertificate().fingerprint256;
  await renew();
  expect(currentCertificate().fingerprint256).toBe(before);
  expect(said.filter((text) => text.includes("kubelet's"))).toEqual([]);
  expect(answers()).toBe(true);
});

test('a machine that was off while everything expired gets its control plane back', async () => {
  machine.sh(`kubeadm certs renew all --config ${shortLived()}`);
  expireKubelet();
  const all = (await read()).map(({ name }) => name);
  await until('all have expired', hasEnded);
  expect(expired(await read())).toEqual(all);
  expect(all).toEqual(
    expect.arrayContaining(['apiserver', 'admin.conf', 'scheduler.conf', 'etcd-peer', 'kubelet.conf']),
  );
  await machine.restart();
  expect(fs.readdirSync(machine.at('pods'))).toEqual([]);
  expect(await unfit()).toEqual({ name: 'cp1', expired: EXPIRED, clock: null });

  await renew();
  expect(await unfit()).toBeNull();
  expect(expired(await read())).toEqual([]);
  expect(answers()).toBe(true);
  // It is a node to the API server, and begins with the certificate that it will renew.
  expect(kubelet('auth whoami -o jsonpath={.status.userInfo}')).toMatch(/"system:nodes".*"system:node:cp1"/);
  expect(machine.sh('cat /etc/kubernetes/kubelet.conf')).toMatch(
    new RegExp(`client-certificate: ${CURRENT}\\n +client-key: ${CURRENT}$`),
  );
  expect(machine.sh(`readlink ${CURRENT}; stat -L -c %a ${CURRENT} /etc/kubernetes/kubelet.conf`)).toMatch(
    /^\/var\/lib\/kubelet\/pki\/kubelet-client-[-0-9]+\.pem\n600\n600$/,
  );
  // Keys as the configuration of the cluster wants them, also of what kubeadm renewed without an API.
  for (const pem of [currentCertificate(), new X509Certificate(machine.sh('cat /etc/kubernetes/pki/apiserver.crt'))]) {
    expect(pem.publicKey.asymmetricKeyType).toBe('ec');
  }
  expect(machine.sh('cat /var/log/sitewright/audit.log')).toContain('/etc/kubernetes/kubelet.conf: no certificate');
  expect(machine.sh('ls /run/sitewright')).not.toContain('kubelet');
  await machine.restart();
  await until('the API answers', () => {
    try {
      return answers();
    } catch {
      return false;
    }
  });
});

test('a node whose kubelet has none that is valid is a stranger to its join, which lets it in anew', async () => {
  const library = [CORE, CLUSTER_CORE, JOIN].join('\n');
  const membership = () => machine.sh(`set -u; NODE=cp1; ${library}\nown_node; echo "$MEMBERSHIP \${SAID-}"`);
  expect(membership()).toBe('member');
  expireKubelet();
  await until('it has expired', hasEnded);
  expect(membership()).toBe('stranger');
  await renew();
  expect(membership()).toBe('member');
});

test('a kubelet.conf that is gone is made again', async () => {
  machine.sh('rm /etc/kubernetes/kubelet.conf');
  await renew();
  expect(kubelet('auth whoami -o jsonpath={.status.userInfo.username}')).toBe('system:node:cp1');
});
