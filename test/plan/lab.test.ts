import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { computePlan, type SitePlan } from '../../components/plan';
import { loadSite } from '../../components/spec';
import { cachedBundles } from '../../components/bundle/store';
import { joinDocument, kubeadmDocuments, TOKEN_PLACE } from '../../components/cluster/documents';
import { clusterSite, smallCluster } from './clusterSite';
import { expectGolden } from './golden';
import { planOf } from './site';

/** What the lab's cluster is made of, whole, as its nodes get it. */

const KIT = resolve(__dirname, '../..');
const KIT_VERSION = '0.1.0';

function labPlan(): SitePlan {
  const loaded = loadSite({ stacksDir: join(KIT, 'stacks'), site: 'lab', kitVersion: KIT_VERSION });
  if (!loaded.ok) throw new Error('the lab does not load');
  const { plan } = computePlan(loaded.spec, KIT_VERSION);
  if (plan === null) throw new Error('the lab has no plan');
  return plan;
}

const plan = labPlan();
const cluster = plan.cluster!;
const yaml = (...documents: unknown[]) => documents.map((one) => stringify(one)).join('---\n');

test('kubeadm: what the control plane shares, kubelet, and each node', () => {
  expectGolden('lab-kubeadm.yaml', yaml(...Object.values(cluster.kubeadm)));
  expectGolden('lab-nodes.yaml', yaml(...plan.nodes.map(({ name, cluster: node }) => ({ name, ...node }))));
});

/** With every key that only some sites have. */
function slowSite(): SitePlan {
  const timeouts = {
    controlPlaneComponentHealthCheck: '20m',
    discovery: '20m',
    etcdAPICall: '5m',
    kubeletHealthCheck: '20m',
    kubernetesAPICall: '5m',
    tlsBootstrap: '20m',
    upgradeManifests: '20m',
  };
  const admissionPlugins = { enable: ['DenyServiceExternalIPs'], disable: ['DefaultStorageClass'] };
  return planOf(clusterSite({ kubernetes: { timeouts, admissionPlugins } }));
}

const withEndpoint = (endpoint: object) => planOf(clusterSite({ kubernetes: { vip: undefined, endpoint } }));
const TOKEN = 'abcdef.0123456789abcdef';
const CA_HASH = `sha256:${'ca'.repeat(32)}`;

test.each([
  ['the lab', plan],
  ['a slow site', slowSite()],
  ['a site with three control-plane nodes behind a virtual address', planOf(clusterSite())],
  ['a site with one control-plane node', planOf(smallCluster())],
  ['a site with a load balancer that has a name', withEndpoint({ host: 'api.acme.example', port: 443 })],
  ['a site with a load balancer that has an address', withEndpoint({ host: '192.0.1.9' })],
  ['a site with a Pod Security Standard', planOf(clusterSite({ kubernetes: { podSecurity: 'restricted' } }))],
  ['a lab with three control-plane nodes', planOf(clusterSite({ more: { environment: 'lab' } }))],
])('the real kubeadm takes every document of %s', async (_, { cluster: planned, nodes }) => {
  const store = cachedBundles();
  const id = await store.idOf(cluster.bundle.name);
  if (id === null) throw new Error('the bundle of the lab is not on this machine: sitewright bundle build lab');
  const kubeadm = join(store.bundleFolder(id), 'bin/kubeadm');
  const documents = nodes.flatMap(({ cluster: node }) => [
    ...(node!.part === 'join-worker' ? [] : [kubeadmDocuments(planned!, node!)]),
    ...(node!.part === 'init' ? [] : [joinDocument(planned!, node!, CA_HASH).replace(TOKEN_PLACE, TOKEN)]),
  ]);
  documents.push(yaml(planned!.kubeadm.upgradeConfiguration));
  const folder = mkdtempSync(join(tmpdir(), 'kubeadm-'));
  try {
    documents.forEach((text, index) => {
      const file = join(folder, `${index}.yaml`);
      writeFileSync(file, text);
      const { stdout, stderr } = spawnSync(kubeadm, ['config', 'validate', '--config', file], { encoding: 'utf8' });
      expect(stdout + stderr).toMatch(/^ok$/m);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('kube-proxy', () => expectGolden('lab-kube-proxy.yaml', yaml(cluster.kubeProxy.configuration)));

test('Corefiles of CoreDNS and of the cache of a node', () => {
  expectGolden('lab-Corefile', cluster.dns.corefile);
  expectGolden('lab-Corefile-node', cluster.dns.nodeLocal!.corefile);
});

test('containerd', () => expectGolden('lab-containerd.toml', cluster.containerd.toml));

test('who gives pods the address of their node', () =>
  expectGolden('lab-masquerade.nft', cluster.podMasquerade!.ruleset));

test('nothing of it is undefined: what is compared is what is written', () => {
  expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
  expect(stringify(plan)).not.toContain('undefined');
});
