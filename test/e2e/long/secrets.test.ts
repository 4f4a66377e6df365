import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { computePlan, loadSite } from '../../../components';
import { deriveHostKey } from '../../../components/secrets/hostKey';
import { snapshotKey } from '../../../components/secrets/etcdSnapshot';
import { ADMIN_GROUP, mintPki, type ClusterPki } from '../../../components/secrets/pki';
import { version } from '../../../package.json';
import { TestKit } from '../../cli/kit';
import { ApiServer } from '../../plugins/kubernetes/apiServer';
import { FakeKubelet } from '../../plugins/kubernetes/fakeKubelet';
import { startSshd, type TestSshd } from '../../ssh/sshd';
import { readableSecrets, secretLines, type Planted } from '../../support/plantedSecrets';
import { ArgumentSampler } from '../../secrets/arguments';
import { JOIN_TOKEN, NodeRecord, placeBundle, siteText, standInForProbes } from '../../secrets/standIn';

/**
 * A site with every kind of secret is built by the real command line, engine, plugins and agent, into the real API server:
 * nothing of a secret may be readable in what any of them says, keeps or shows to other processes.
 */

/** No secret: it is everywhere, so a place in which it is not found was not searched. */
const SITE = 'canary-7f3a';
const PASSPHRASE = 'planted passphrase/of+the site';
const BGP = 'planted-bgp/password+8d1e';
const REGISTRY = 'planted-registry/password+55c0';
/** For a machine that does much else: alone it takes two minutes. */
const LIMIT_MILLISECONDS = 3_600_000;

let kit: TestKit;
let sshd: TestSshd;
let api: ApiServer;
let kubelet: FakeKubelet;
let node: NodeRecord;
let pki: ClusterPki;
let planted: Planted;
/** What each command said, both streams. */
const said: Record<string, string> = {};
const commandLines = new Set<string>();

/** One command, watched. */
async function run(...args: string[]): Promise<number> {
  const sampler = await ArgumentSampler.start();
  const { ended } = kit.start(args, { PULUMI_CONFIG_PASSPHRASE: PASSPHRASE, ...sampler.env });
  const { code, stdout, stderr } = await ended;
  for (const line of await sampler.stop()) commandLines.add(line);
  said[args.join(' ')] = `${stdout}\n${stderr}`;
  return code;
}

/** As a person would give a secret. */
async function give(what: string, text: string): Promise<void> {
  const file = join(kit.dir, 'given-by-a-person');
  writeFileSync(file, text);
  expect([await run('secrets', 'set', SITE, what, '--file', file), said]).toEqual([0, expect.anything()]);
}

const edit = (from: string | RegExp, to: string) => {
  const file = join(kit.stacks, 'sites', `${SITE}.yaml`);
  writeFileSync(file, readFileSync(file, 'utf8').replace(from, to));
};

const git = (...args: string[]) =>
  execFileSync('git', ['-C', kit.dir, '-c', 'user.name=T', '-c', 'user.email=t@example.test', ...args], {
    stdio: 'pipe',
  });

beforeAll(async () => {
  kit = new TestKit();
  standInForProbes(kit);
  node = new NodeRecord(join(kit.dir, 'machine'));
  pki = await mintPki(SITE, new Date());
  expect(await run('new', SITE, '--provider', 'existing', '--profile', 'staging')).toBe(0);
  const environment = { PULUMI_CONFIG_PASSPHRASE: PASSPHRASE };
  sshd = await startSshd({ authorizedKey: kit.publicKey(SITE, environment), config: [node.forceCommand] });
  api = await ApiServer.start(pki.ca);
  api.startControllers();
  // As kubeadm lets the kit in.
  const rbac = 'rbac.authorization.k8s.io';
  await api.done('POST', `/apis/${rbac}/v1/clusterrolebindings`, {
    metadata: { name: ADMIN_GROUP },
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ apiGroup: rbac, kind: 'Group', name: ADMIN_GROUP }],
  });
  kubelet = new FakeKubelet(api, null, [`${SITE}-cp1`, `${SITE}-w1`]);

  const ingress = pki.frontProxyCa;
  const apiPort = Number(new URL(api.url).port);
  kit.writeSite(SITE, siteText(SITE, { ssh: sshd.target, apiPort, certificate: ingress.certificate }));
  const loaded = loadSite({ stacksDir: kit.stacks, site: SITE, kitVersion: version });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  const { plan, findings } = computePlan(loaded.spec, version);
  if (plan === null) throw new Error(JSON.stringify(findings));
  placeBundle(kit, plan.cluster!.bundle);
  kit.pulumi(['config', 'set', '--secret', 'sitewright:clusterPki', '-s', SITE], environment, JSON.stringify(pki));
  await give('bgpPassword-tor', BGP);
  await give('registryPassword-registry.example.test', REGISTRY);
  await give('ingressKey', ingress.privateKey);

  const { 'sitewright:sshPrivateKey': ssh, 'sitewright:hostKeySeed': seed } = kit.config(SITE, environment);
  const ofSnapshots = snapshotKey(seed!.value).privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;
  planted = {
    passphrase: PASSPHRASE,
    'SSH key': secretLines(ssh!.value),
    'host-key seed': seed!.value,
    'derived host key': secretLines(deriveHostKey(seed!.value, `${SITE}-cp1`).privateKey),
    'key of snapshots': secretLines(ofSnapshots),
    'authority of Kubernetes': secretLines(pki.ca.privateKey),
    'authority of etcd': secretLines(pki.etcdCa.privateKey),
    'key of service accounts': secretLines(pki.serviceAccount.privateKey),
    'key of the administrator': secretLines(pki.admin.privateKey),
    'key of Secrets at rest': pki.encryptionKeys[0]!.secret,
    'password of BGP': BGP,
    'password of a registry': REGISTRY,
    'key of the ingress, which is that of the front proxy': secretLines(ingress.privateKey),
    'token of a join': JOIN_TOKEN,
  };
}, LIMIT_MILLISECONDS);

afterAll(async () => {
  await kubelet?.stop();
  await api?.stop();
  await sshd?.stop();
  await kit?.remove();
});

/** Everything that a person or a program can read of the site without its passphrase, by where it is. */
let places: Record<string, string | Buffer>;
/** The state with its secrets, as only their owner can have it. */
let openState: string;

test(
  'a site with every kind of secret is built, looked at in every way, and fails with machines that say what they were given',
  async () => {
    expect([await run('up', SITE, '--json'), said]).toEqual([0, expect.anything()]);
    const environment = { PULUMI_CONFIG_PASSPHRASE: PASSPHRASE };
    openState = kit.pulumi(['stack', 'export', '--show-secrets', '-s', SITE], environment);
    git('init', '-q', '-b', 'main');
    git('add', '--', 'package.json', 'stacks');
    git('commit', '-q', '-m', 'a site');
    edit('/var/backups/etcd', '/var/backups/other');
    const looks = [
      ['validate', SITE],
      ['plan', SITE],
      ['plan', SITE, '--json'],
      ['render', SITE],
      ['diff', SITE, '--from', 'main', '--full', '--same-kit'],
      ['review', '--base', 'main', '--report', 'report.md', '--same-kit'],
      ['fleet', '--markdown'],
      ['outputs', SITE, '--json'],
      ['kubeconfig', SITE],
      ['preview', SITE, '--verbose'],
      ['certs', SITE],
    ];
    for (const args of looks) expect([args, await run(...args)]).toEqual([args, args.includes('main') ? 10 : 0]);
    for (const given of ['registry.example.test', 'PRIVATE KEY']) {
      node.failAt(given);
      expect(await run('up', SITE, '--verbose')).toBe(1);
      said[`up, with a machine that tells what has ${given} in it`] = said[`up ${SITE} --verbose`]!;
    }

    places = {
      ...said,
      'arguments of processes': [...commandLines].join('\n'),
      'commands on machines': node.commands(),
      'the exported state': kit.pulumi(['stack', 'export', '-s', SITE], environment),
      'the report of the review': readFileSync(join(kit.dir, 'report.md')),
      ...filesBelow(kit.stacks),
      ...filesBelow(kit.home),
    };
  },
  LIMIT_MILLISECONDS,
);

test('a site with every kind of secret has its name in every place that is searched', () => {
  const searched = [
    // Outputs name no site.
    ...Object.keys(said).filter((command) => !command.startsWith('outputs')),
    ...['arguments of processes', 'commands on machines', 'the exported state', 'the report of the review'],
    join(kit.stateDir, '.pulumi/stacks/sitewright', `${SITE}.json`),
  ];
  const without = searched.filter((place) => readableSecrets(places[place] ?? '', { SITE }).length === 0);
  expect(without).toEqual([]);
  const programs = ['sitewright/agent', 'config set sitewright:bgpPassword-tor', 'scripts/plugins/kubernetes/main.js'];
  for (const program of programs) expect(places['arguments of processes']).toContain(program);
});

test('a site with every kind of secret has them in its state and on its machines', () => {
  const neverInState = ['passphrase', 'host-key seed', 'derived host key', 'key of snapshots', 'token of a join'];
  expect(readableSecrets(openState, planted)).toEqual(
    Object.keys(planted).filter((name) => !neverInState.includes(name)),
  );
  expect(readableSecrets(node.given(), planted)).toEqual(
    expect.arrayContaining([
      'authority of Kubernetes',
      'key of Secrets at rest',
      'password of a registry',
      'token of a join',
    ]),
  );
});

test('a site with every kind of secret has them nowhere that others can read', () => {
  const found = Object.entries(places).flatMap(([place, content]) =>
    readableSecrets(content, planted).map((name) => `${name}: ${place}`),
  );
  expect(found).toEqual([]);
});

test('a site with every kind of secret would show one that is in any of these places', () => {
  const secret = Buffer.from(`before ${BGP} after`).toString('base64');
  for (const [place, content] of Object.entries(places)) {
    const leaking = Buffer.concat([Buffer.from(content), Buffer.from(`\n${secret}\n`)]);
    // What is packed as a whole holds nothing behind its end.
    if (leaking[0] === 0x1f) continue;
    expect([place, readableSecrets(leaking, { BGP })]).toEqual([place, ['BGP']]);
  }
});

test('a site with every kind of secret has processes whose arguments are seen, also where their parent is gone', async () => {
  const sampler = await ArgumentSampler.start();
  const child = spawn('bash', ['-c', `(exec sleep 60 '${BGP}') & sleep 1`], {
    env: { ...process.env, ...sampler.env },
    stdio: 'ignore',
  });
  await new Promise((resolve) => child.once('exit', resolve));
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(readableSecrets((await sampler.stop()).join('\n'), { BGP })).toEqual(['BGP']);
});

test('a site with every kind of secret has every one that the program asks for', () => {
  const stacks = join(__dirname, '../../../stacks');
  const asked = readdirSync(stacks)
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => [...readFileSync(join(stacks, name), 'utf8').matchAll(/(?:require|get)Secret\(([^)]*)\)/g)])
    .map(([, key]) => key!.replace(/['`]/g, ''));
  expect([...new Set(asked)].sort()).toEqual([
    '${BGP_PASSWORD}${name}',
    'INGRESS_KEY',
    'clusterPki',
    'hostKeySeed',
    'registryPasswords',
    'sshPrivateKey',
    // Of a vCenter, which no site here has: vcenterSecrets.test.ts plants these.
    'vspherePassword',
    'vsphereSession',
    'vsphereUser',
  ]);
});

/** Also what was removed from a state is in its history; files of the caches are no part of the site. */
function filesBelow(folder: string): Record<string, Buffer> {
  if (!existsSync(folder)) return {};
  return Object.assign(
    {},
    ...readdirSync(folder, { withFileTypes: true }).map((entry): Record<string, Buffer> => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return entry.name === 'bundles' || entry.name === 'plugins' ? {} : filesBelow(path);
      return entry.isFile() ? { [path]: readFileSync(path) } : {};
    }),
  ) as Record<string, Buffer>;
}
