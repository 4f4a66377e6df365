import * as fs from 'node:fs';
import { encryptionConfiguration } from '../../components/cluster/documents';
import { joinSettings, renderControlPlaneScript, renderJoinScript } from '../../components/cluster/nodeScripts';
import {
  caCertHash,
  kubeconfig,
  mintPki,
  renewAuthorities,
  type ClusterPki,
  type Credential,
} from '../../components/secrets/pki';
import { runScript } from '../../components/ssh/script';
import { SshSession } from '../../components/ssh/session';
import { until } from '../plugins/kubernetes/apiServer';
import { ControlPlaneMachine, KUBEADM_FILE } from './controlPlaneMachine';
import { cluster, controlPlane, controlPlaneNode, workerNode } from './fixtures';

/** Authorities are renewed on a real etcd and API server (controlPlaneMachine), as the nodes' own scripts do it. */

const PARTS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'];
const KUBECONFIGS = ['admin', 'super-admin', 'controller-manager', 'scheduler', 'kubelet'];
const SERVER = 'https://192.0.2.11:6443';
const years = (count: number) => new Date(Date.now() + count * 365 * 86_400_000);
let machine: ControlPlaneMachine;
let pki: ClusterPki;

beforeAll(async () => {
  pki = await mintPki('oslo', new Date());
  machine = await ControlPlaneMachine.start('cp1', '192.0.2.11', encryptionConfiguration(pki.encryptionKeys), pki);
  for (const [file, text] of [
    ['lib/sitewright/cluster/initialised', 'v1.36.1\n'],
    // The stand-in of systemctl has every unit running, systemd-resolved too.
    ['lib/kubelet/config.yaml', 'kind: KubeletConfiguration\nresolvConf: /run/systemd/resolve/resolv.conf\n'],
  ]) {
    fs.mkdirSync(machine.at(file!.slice(0, file!.lastIndexOf('/'))), { recursive: true });
    fs.writeFileSync(machine.at(file!), text!);
  }
  machine.sh(`kubeadm init phase bootstrap-token --config ${KUBEADM_FILE}`);
});
afterAll(async () => machine?.stop());

/** Over SSH: the machine's pods are started by this process, which must not be held up meanwhile. */
async function run(script: string): Promise<{ stdout: string; steps: string[] }> {
  const steps: string[] = [];
  const session = await SshSession.connect(machine.host.target);
  try {
    return { stdout: await runScript(session, script, { onProgress: (step) => steps.push(step) }), steps };
  } finally {
    session.end();
  }
}

/** What the script of a control-plane node does about authorities; the rest of it needs a kubelet and a systemd. */
const controlPlaneRun = (given: ClusterPki) =>
  run(
    renderControlPlaneScript({
      ...controlPlane,
      cluster,
      nodeCluster: controlPlaneNode,
      pki: given,
      limitSeconds: 120,
    }).replace(
      /\nmain <\/dev\/null\n$/,
      `
kubelet_healthy() { :; }
lock 10
refuse_wrong_clock
refuse_other_identity
control_plane_files
authorities_take_over
cluster_info_trust
finish
`,
    ),
  );
const workerRun = ({ ca }: ClusterPki) =>
  run(
    renderJoinScript(
      joinSettings(
        { node: 'cp1', cluster, nodeCluster: workerNode, limitSeconds: 120 },
        ca.certificate,
        caCertHash(ca.certificate),
      ),
      null,
    ).replace('\nmain <', '\nkubelet_healthy() { :; }\nmain <'),
  );

const file = (name: string) => fs.readFileSync(machine.at(`etc/kubernetes/${name}`), 'utf8');
const files = () => [
  ...['pki/ca.crt', 'pki/etcd/ca.crt', 'pki/front-proxy-ca.crt'].map(file),
  ...KUBECONFIGS.map((name) => file(`${name}.conf`)),
];
const containers = () => PARTS.map((part) => fs.readFileSync(machine.at(`pods/${part}`), 'utf8'));
const systemctl = () => fs.readFileSync(machine.at('systemctl.log'), 'utf8');
const base64 = (text: string) => Buffer.from(text).toString('base64');
const clusterInfo = () => machine.kubectl("-n kube-public get configmap cluster-info -o 'jsonpath={.data.kubeconfig}'");
const trusts = (text: string) => /certificate-authority-data: (\S+)/.exec(text)?.[1];

/** What the API says to somebody who trusts an authority and shows a certificate. */
function ask(ca: Credential, client: Credential): string {
  const config = kubeconfig({
    site: 'oslo',
    server: SERVER,
    caPem: ca.certificate,
    clientCertificate: client.certificate,
    clientKey: client.privateKey,
  });
  fs.writeFileSync(machine.at('etc/asked.conf'), config);
  return machine.sh('kubectl --kubeconfig /etc/asked.conf get nodes -o name 2>&1');
}

test('what kubeadm has made of the authorities stays, and nothing is restarted', async () => {
  // The first run writes what else of the kit belongs on a control-plane machine.
  await controlPlaneRun(pki);
  const before = [files(), containers(), clusterInfo()];
  expect((await controlPlaneRun(pki)).steps.at(-1)).toBe('nothing to change');
  expect([files(), containers(), clusterInfo()]).toEqual(before);
});

test('renewed, they reach every file and everything that runs, and clients of before and after are let in', async () => {
  const renewed = await renewAuthorities(pki, new Date());
  const before = containers();
  const { steps } = await controlPlaneRun(renewed);
  expect(steps).toEqual(expect.arrayContaining(PARTS.map((part) => `restarts ${part}`)));
  expect(files().slice(0, 3)).toEqual([renewed.ca, renewed.etcdCa, renewed.frontProxyCa].map((one) => one.certificate));
  for (const text of [...files().slice(3), clusterInfo()]) expect(trusts(text)).toBe(base64(renewed.ca.certificate));
  for (const [index, id] of containers().entries()) expect(id).not.toBe(before[index]);
  expect(systemctl()).toContain('restart kubelet.service');
  for (const name of KUBECONFIGS) {
    expect(fs.statSync(machine.at(`etc/kubernetes/${name}.conf`)).mode & 0o777).toBe(0o600);
  }

  for (const { ca } of [pki, renewed]) expect(ask(ca, pki.admin)).toBe('node/cp1');
  expect((await controlPlaneRun(renewed)).steps.at(-1)).toBe('nothing to change');
});

test('another authority of the same name is let in nowhere, and the script changes nothing', async () => {
  const foreign = await mintPki('oslo', new Date());
  expect(() => ask(pki.ca, foreign.admin)).toThrow(/must be logged in|Unauthorized/);
  expect(() => ask(foreign.ca, pki.admin)).toThrow(/signed by unknown authority/);

  const before = [files(), containers()];
  const message = (name: string) =>
    new RegExp(`${name} is not the certificate authority of this site's secrets: it has another name or key`);
  await expect(controlPlaneRun(foreign)).rejects.toThrow(message('pki/ca.crt'));
  await expect(controlPlaneRun({ ...pki, etcdCa: foreign.etcdCa })).rejects.toThrow(message('pki/etcd/ca.crt'));
  await expect(controlPlaneRun({ ...pki, frontProxyCa: foreign.frontProxyCa })).rejects.toThrow(
    message('pki/front-proxy-ca.crt'),
  );
  await expect(workerRun(foreign)).rejects.toThrow(message('pki/ca.crt'));
  const { ca } = await mintPki('bergen', new Date());
  await expect(workerRun({ ...pki, ca })).rejects.toThrow(message('pki/ca.crt'));
  expect([files(), containers()]).toEqual(before);
});

test('a run that was cut off after it had written its files is taken up', async () => {
  const renewed = await renewAuthorities(pki, new Date());
  machine.authorities(renewed);
  machine.sh(': >/run/sitewright/pending-authorities');
  const before = containers();
  await controlPlaneRun(renewed);
  for (const [index, id] of containers().entries()) expect(id).not.toBe(before[index]);
  expect(trusts(file('admin.conf'))).toBe(base64(renewed.ca.certificate));
});

test('a worker takes the renewed authority over, and its kubelet once', async () => {
  fs.writeFileSync(machine.at('systemctl.log'), '');
  const renewed = await renewAuthorities(pki, new Date());
  const restarts = () => systemctl().match(/restart kubelet/g)?.length ?? 0;
  expect(JSON.parse((await workerRun(renewed)).stdout)).toMatchObject({ membership: 'member' });
  expect(file('pki/ca.crt')).toBe(renewed.ca.certificate);
  expect(trusts(file('kubelet.conf'))).toBe(base64(renewed.ca.certificate));
  expect(restarts()).toBe(1);
  expect((await workerRun(renewed)).steps.at(-1)).toBe('nothing to change');
  expect(restarts()).toBe(1);
});

test('a worker whose clock is behind is told, and changes nothing', async () => {
  const before = files();
  await expect(workerRun(await renewAuthorities(pki, years(1)))).rejects.toThrow(/the clock of this machine says/);
  expect(files()).toEqual(before);
});

test('a control plane whose authorities have expired answers again', async () => {
  const expired = await renewAuthorities(pki, years(-11));
  machine.authorities(expired);
  for (const part of ['etcd', 'kube-apiserver']) {
    const id = fs.readFileSync(machine.at(`pods/${part}`), 'utf8').trim();
    fs.writeFileSync(machine.at(`stop/${id}`), '');
    await until(`${part} has ended`, () => !containersOf(part).includes(id));
  }
  await until('the API refuses what it has let in', () => {
    try {
      ask(pki.ca, pki.admin);
      return false;
    } catch {
      return true;
    }
  });

  const renewed = await renewAuthorities(pki, new Date());
  await controlPlaneRun(renewed);
  expect(ask(renewed.ca, pki.admin)).toBe('node/cp1');
});

const containersOf = (part: string) =>
  fs.existsSync(machine.at(`pods/${part}`)) ? fs.readFileSync(machine.at(`pods/${part}`), 'utf8') : '';
