import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import { documentText, type RenderDocument } from '../../scripts/render/document';
import { makeUp, plannedBundle } from '../../scripts/render/madeUp';
import { renderSite } from '../../scripts/render/render';
import { version } from '../../package.json';
import { TestKit } from '../cli/kit';
import { planOf, repoRoot } from '../site/sites';
import { removeStacksFolders, stacksFolder } from '../spec/stacksFolder';
import { readableSecrets } from '../support/plantedSecrets';

let kit: TestKit | undefined;
afterAll(async () => {
  removeStacksFolders();
  await kit?.remove();
});

async function render(site: string, stacksDir = join(repoRoot, 'stacks')): Promise<RenderDocument> {
  const rendered = await renderSite({ stacksDir, site, kitVersion: version });
  if (!rendered.ok) throw new Error(JSON.stringify(rendered.problems));
  return rendered.document;
}

let lab: RenderDocument;
beforeAll(async () => {
  lab = await render('lab');
});

test('another process without network, passphrase and cache, which makes up other secrets, writes the same bytes', () => {
  kit = new TestKit();
  kit.writeSite('lab', readFileSync(join(repoRoot, 'stacks/sites/lab.yaml'), 'utf8'));
  const main = join(kit.dir, 'bin/scripts/cli/main.js');
  const env = { PATH: process.env.PATH, HOME: '/nonexistent', PULUMI_CONFIG_PASSPHRASE: 'planted-passphrase' };
  const command = [process.execPath, main, 'render', 'lab', '--stacks', kit.stacks];
  const { stdout, stderr, status } = spawnSync('unshare', ['--net', '--map-root-user', ...command], {
    cwd: kit.dir,
    env,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  expect({ stderr: stderr.replace(/^.*warning: .*\n/gm, ''), status }).toEqual({ stderr: '', status: 0 });
  expect(stdout).toBe(documentText(lab));
});

test('URNs are those that the engine made of the lab of the first release', () => {
  const file = join(repoRoot, 'test/fixtures/release-0.1.0/lab-state.json');
  const released = [...new Set(readFileSync(file, 'utf8').match(/urn:pulumi:lab::[^"]+/g))]
    .map((urn) => urn.replace(/::[0-9a-f-]{36}$/, ''))
    .filter((urn) => !/::pulumi:(pulumi|providers):/.test(urn));
  expect(released.length).toBeGreaterThan(15);
  expect(lab.resources.map(({ urn }) => urn)).toEqual(expect.arrayContaining(released));
});

test('a reader finds the files of a node, its machine, the objects and the plan', () => {
  const { files, machine } = lab.nodes.lab1!;
  expect(files['/etc/sysctl.d/k8s-net.conf']).toMatchObject({
    mode: '0644',
    content: expect.arrayContaining(['net.ipv4.ip_forward = 1']),
  });
  expect(files['/etc/kubernetes/sitewright/kubeadm.yaml']!.content).toContain('kind: ClusterConfiguration');
  expect(files['/etc/kubernetes/pki/ca.key']!.content).toBe('[secret: key of Kubernetes]');
  expect(Object.keys(files).filter((path) => path.includes('$'))).toEqual([]);
  expect(machine!.cloudInit['user-data']).toContain('hostname: lab1');
  expect(machine!.domainXml).toContain('  <name>lab-lab1</name>');
  expect(lab.objects['DaemonSet kube-system/kube-proxy']).toMatchObject({ apiVersion: 'apps/v1' });
  expect(lab.tables).toEqual(expect.arrayContaining([expect.stringContaining('lab1')]));
  expect(lab.settings.underlay.mtu).toBe(1500);
});

test('options that decide what a change does are there', () => {
  const of = (name: string) => lab.resources.find((one) => one.name === name)!;
  expect(of('lab-machines-lab1-domain')).toMatchObject({
    parent: 'lab-machines-lab1',
    deleteBeforeReplace: true,
    inputs: { triggers: expect.arrayContaining(['pool default']) },
  });
  expect(of('lab-lab1-prepare')).toMatchObject({
    deletedWith: 'lab-machines-lab1-domain',
    dependencies: expect.arrayContaining(['lab-machines-lab1-ssh']),
    inputs: { connection: { host: '192.0.2.11', privateKey: '[secret: SSH private key]' } },
  });
});

test('no path of this machine is in a document', () => {
  const text = documentText(lab);
  expect(text).not.toContain(repoRoot);
  expect(text).not.toContain(process.env.HOME ?? '/root/');
});

describe('secrets planted wherever a site can have one', () => {
  const planted = {
    'password of the backend': 'pw-of-the-backend-1',
    'parameter of the backend': 'pa/ram+of-the-backend',
    'password of the image': 'pw-of-the-image-222',
    'key beside the site': 'plain-value-in-the-settings',
    passphrase: 'planted-passphrase-3333',
  };
  let text: string;
  let found: string;
  beforeAll(async () => {
    const site = parseDocument(readFileSync(join(repoRoot, 'stacks/sites/kvm-example.yaml'), 'utf8'));
    const { backend, image } = {
      backend: `postgres://ann:${planted['password of the backend']}@db.example/x?sslpassword=${encodeURIComponent(planted['parameter of the backend'])}`,
      image: `https://ann:${planted['password of the image']}@mirror.example/debian.qcow2`,
    };
    site.setIn(['backend', 'url'], backend);
    site.setIn(['machines', 'kvm', 'image', 'url'], image);
    const profiles = Object.fromEntries(
      ['base', 'production', 'staging', 'lab'].map((name) => [
        `profiles/${name}.yaml`,
        readFileSync(join(repoRoot, 'stacks/profiles', `${name}.yaml`), 'utf8'),
      ]),
    );
    const folder = stacksFolder({ ...profiles, 'sites/kvm-example.yaml': site.toString() });
    const settings = `config:\n  sitewright:sshPrivateKey: ${planted['key beside the site']}\n`;
    writeFileSync(join(folder, 'Pulumi.kvm-example.yaml'), settings);
    process.env.PULUMI_CONFIG_PASSPHRASE = planted.passphrase;
    found = site.toString() + settings + process.env.PULUMI_CONFIG_PASSPHRASE;
    text = documentText(await render('kvm-example', folder));
  });
  afterAll(() => void delete process.env.PULUMI_CONFIG_PASSPHRASE);

  test('they are where they were planted, and in no document', () => {
    expect(readableSecrets(found, planted)).toEqual(Object.keys(planted));
    expect(readableSecrets(text, planted)).toEqual([]);
    expect(text).toContain('ann:[secret: password of a URL]@');
  });
});

test('what is made up for a site has the shape of what the program reads, for every kind', async () => {
  const plan = planOf('calico-bgp-kvm');
  const { config, marks } = await makeUp(plan);
  expect(Object.keys(config)).toEqual(
    expect.arrayContaining(['sitewright:sshPrivateKey', 'sitewright:hostKeySeed', 'sitewright:clusterPki']),
  );
  expect(new Set(marks.values()).size).toBe(marks.size);
});

test('a lock that the team has agreed on gives its checksums; otherwise none is made up', async () => {
  const plan = planOf('lab');
  const bundle = await plannedBundle(plan, join(repoRoot, 'stacks'));
  expect(bundle).toMatchObject({ id: 'not-built-source-1.36.1', folder: null });
  expect(new Set(bundle!.lock.artifacts.map(({ sha256 }) => sha256))).toEqual(new Set(['[sha256-of-the-build]']));
});

test('problems of a site file come as they do everywhere', async () => {
  const stacksDir = stacksFolder({ 'sites/oslo.yaml': 'name: oslo\n' });
  const rendered = await renderSite({ stacksDir, site: 'oslo', kitVersion: version });
  expect(rendered.ok).toBe(false);
  expect(!rendered.ok && rendered.problems.length).toBeGreaterThan(2);
});

test('a site on vSphere: no vCenter is asked, and what cloud-init gets is readable without its key', async () => {
  const [text, again] = [await render('vsphere-example'), await render('vsphere-example')].map(documentText);
  expect(text).toBe(again);
  const { nodes, resources } = JSON.parse(text) as RenderDocument;
  const { cloudInit } = nodes.cp1!.machine!;
  expect(cloudInit['meta-data']).toEqual(
    expect.arrayContaining(['redact:', '  - userdata', 'instance-id: [instance id of cp1]']),
  );
  expect(JSON.stringify(cloudInit['user-data'])).toContain('[secret: SSH host key of cp1]');
  const { inputs } = resources.find(({ name }) => name === 'vsphere-example-machines-cp1-domain')!;
  expect(inputs).toMatchObject({ extraConfig: 'the machine', datastoreId: '[id of datastore vsan-a]' });
});
