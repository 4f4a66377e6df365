import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findBundle, teamLockPath } from '../../components/bundle/find';
import { lockText, parseLock } from '../../components/bundle/parse';
import type { BundlePlan } from '../../components/plan/clusterTypes';
import { download, mirrored } from '../../scripts/bundle/download';
import { cachedBundles } from '../../components/bundle/store';
import { publishedChecksum, releasesOf } from '../../scripts/bundle/releases';
import { buildFromUpstream } from '../../scripts/bundle/upstream';
import { releaseText } from '../network/calico/release';
import { clusterSite } from '../plan/clusterSite';
import { planOf } from '../plan/site';
import { bundlePlan } from './fixtures';
import { Publisher } from './publisher';

// Every download is a process of its own.

const before = process.env.XDG_CACHE_HOME;
const plan: BundlePlan = bundlePlan('upstream');
const lockFile = () => teamLockPath(stacksDir, plan.name);
let publisher: Publisher;
let folder: string;
let stacksDir: string;
let lines: string[];

/** A machine of its own: an empty cache, no lock. */
function newMachine(): void {
  folder = mkdtempSync(join(tmpdir(), 'sitewright-upstream-'));
  process.env.XDG_CACHE_HOME = join(folder, 'cache');
  stacksDir = join(folder, 'stacks');
}
const build = (mirror = `${publisher.url}/files`, registryMirror = publisher.url) =>
  buildFromUpstream(plan, { stacksDir, mirror, registryMirror, archiveKey: null }, (line) => void lines.push(line));
const forgetCache = () => rmSync(join(folder, 'cache'), { recursive: true, force: true });

beforeEach(async () => {
  newMachine();
  lines = [];
  publisher = new Publisher();
  await publisher.start();
  publisher.publish(plan);
});
afterEach(async () => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before;
  await publisher.stop();
  rmSync(folder, { recursive: true });
});

/** What the team has agreed on, by the first test; the others start from it. */
let agreed: { id: string; text: string };
const lock = () => parseLock(agreed.text, 'lock');
function haveLock(): string {
  mkdirSync(dirname(lockFile()), { recursive: true });
  writeFileSync(lockFile(), agreed.text);
  return agreed.id;
}

test('the first build makes a lock of what the projects publish; the next one downloads nothing', async () => {
  const first = await build();
  expect(first.newLock).toBe(lockFile());
  agreed = { id: first.id, text: readFileSync(lockFile(), 'utf8') };
  expect(parseLock(agreed.text, 'lock')).toEqual(first.lock);
  expect(await findBundle(cachedBundles(), stacksDir, 'oslo', plan)).toMatchObject({ id: first.id });
  expect(readFileSync(join(first.folder, 'bin/containerd-shim-runc-v2'), 'utf8')).toBe('bin/containerd-shim-runc-v2');
  const source = (path: string) => first.lock.artifacts.find((artifact) => artifact.path === path)!.source;
  expect(source('bin/kubelet')).toMatch(/^https:\/\/dl\.k8s\.io\/release\/v1\.36\.1\/bin\/linux\/\w+\/kubelet$/);
  expect(source('bin/etcdctl')).toMatch(
    /^https:\/\/github\.com\/etcd-io\/.*\.tar\.gz#etcd-v3\.6\.5-linux-\w+\/etcdctl$/,
  );
  expect(source('images/pause.tar')).toMatch(/^registry\.k8s\.io\/pause:3\.10\.2@sha256:[0-9a-f]{64}$/);

  publisher.requests.length = 0;
  expect(await build()).toMatchObject({ id: first.id, kept: true, newLock: null });
  expect(publisher.requests).toEqual([]);
});

test('another machine gets the same bundle from the lock, also where a tag has moved meanwhile', async () => {
  const id = haveLock();
  expect(publisher.images.has('pause/manifests/3.10.2')).toBe(true);
  publisher.images.set('pause/manifests/3.10.2', { type: 'application/json', body: Buffer.from('{}') });
  const { id: found, folder: bundle } = await build();
  expect(found).toBe(id);

  // An image is an archive of what the registry has, for this platform, under its reference.
  const read = (member: string) =>
    execFileSync('tar', ['-xOf', join(bundle, 'images/etcd.tar'), member], { encoding: 'utf8' });
  const [manifest] = JSON.parse(read('index.json')).manifests;
  expect(manifest.annotations['io.containerd.image.name']).toBe('registry.k8s.io/etcd:3.6.5');
  const { architecture, layers } = JSON.parse(read(`blobs/${manifest.digest.replace(':', '/')}`));
  expect(architecture).toBe(process.arch === 'x64' ? 'amd64' : process.arch);
  expect(read(`blobs/${layers[0].digest.replace(':', '/')}`)).toBe('layer of etcd');
  const listed = execFileSync('tar', ['-tf', join(bundle, 'images/etcd.tar')], { encoding: 'utf8' });
  expect(listed.trim().split('\n')).toHaveLength(5);
});

test('what differs from the lock is refused by name, everything at once, and asked for again by the next build', async () => {
  const id = haveLock();
  publisher.publish(plan, ' changed');
  const failure = await build().catch((error: Error) => error.message);
  expect(failure).toMatch(/bin\/kubeadm: expected sha256 .{64}, https:\/\/dl\.k8s\.io\S+ gave .{64}\n/);
  expect(failure).toMatch(/cni\/portmap: expected sha256 .{64}/);
  publisher.publish(plan);
  expect((await build()).id).toBe(id);
});

test('a file that is not what its project publishes makes no lock', async () => {
  const { url, checksumUrl } = releasesOf(plan).find(({ component }) => component === 'runc')!;
  publisher.files.set(url.replace('https://', ''), Buffer.from('something else'));
  await expect(build()).rejects.toThrow(`${url} has the sha256`);
  publisher.files.set(checksumUrl.replace('https://', ''), Buffer.from('nothing\n'));
  await expect(build()).rejects.toThrow(`but ${checksumUrl} has no checksum of it`);
  publisher.files.delete(url.replace('https://', ''));
  await expect(build()).rejects.toThrow(`${url} could not be downloaded from the mirror: curl: (22)`);
  expect(existsSync(lockFile())).toBe(false);
});

test('layers that are not their digest are refused', async () => {
  for (const [key, blob] of publisher.images) {
    if (key.startsWith('coredns/coredns/blobs/')) publisher.images.set(key, { ...blob, body: Buffer.from('other') });
  }
  await expect(build()).rejects.toThrow(/coredns:v1\.14\.7: the registry gave other bytes than sha256:/);
});

test('a download that broke off is gone on with', async () => {
  publisher.breakOnce = '/kubelet';
  await expect(build()).rejects.toThrow(/kubelet could not be downloaded/);
  publisher.requests.length = 0;
  const { folder: bundle } = await build();
  expect(publisher.requests.filter((line) => line.endsWith('/kubelet'))).toEqual([
    expect.stringMatching(/^bytes=\d+- \/files\/dl\.k8s\.io/),
  ]);
  // What had arrived before it is not asked for again.
  expect(publisher.requests.join('\n')).not.toMatch(/\/kubeadm$/m);
  expect(readFileSync(join(bundle, 'bin/kubelet'), 'utf8')).toBe('bin/kubelet');
});

/** One file that the test publishes, and what was asked of it since. */
async function half(name: string, text: string) {
  const end = `/${name}`;
  const target = join(folder, 'downloads', name);
  publisher.files.set(name, Buffer.from(text));
  publisher.breakOnce = end;
  const get = () => download(`${publisher.url}/files/${name}`, target, () => undefined);
  await expect(get()).rejects.toThrow(/could not be downloaded: curl: \(18\)/);
  publisher.requests.length = 0;
  const asked = () => publisher.requests.map((line) => line.replace(` /files${end}`, '').replace(`/files${end}`, ''));
  return { get, asked, target, read: () => readFileSync(target, 'utf8') };
}

test('a server that is busy, or does not know the file for a while, takes nothing away from what has arrived', async () => {
  const { get, asked, target, read } = await half('a.tar', 'of the first half');
  publisher.busy = '/a.tar';
  await expect(get()).rejects.toMatchObject({ status: 503, message: expect.stringMatching(/returned error: 503$/) });
  publisher.busy = null;
  publisher.files.delete('a.tar');
  await expect(get()).rejects.toMatchObject({ status: 404 });
  expect(readFileSync(`${target}.part`, 'utf8')).toBe('of the f');
  publisher.files.set('a.tar', Buffer.from('of the first half'));
  await get();
  expect(read()).toBe('of the first half');
  expect([...new Set(asked())]).toEqual(['bytes=8-']);
  expect(readdirSync(dirname(target))).toEqual(['a.tar']);
});

test('what has another content meanwhile is downloaded from the beginning, also where a busy server came between', async () => {
  const { get, asked, read } = await half('b.tar', 'of the first half');
  publisher.busy = '/b.tar';
  await expect(get()).rejects.toThrow(/503/);
  publisher.busy = null;
  publisher.requests.length = 0;
  publisher.files.set('b.tar', Buffer.from('entirely different'));
  await get();
  expect(read()).toBe('entirely different');
  expect(asked()).toEqual(['bytes=8-', '']);
});

test('a part that is longer than the file is downloaded from the beginning', async () => {
  const { get, target, read } = await half('c.tar', 'of the first half');
  rmSync(`${target}.part.headers`);
  publisher.files.set('c.tar', Buffer.from('short'));
  await get();
  expect(read()).toBe('short');
});

test('a token that becomes too old during a pull is replaced by a new one, once for each request', async () => {
  const id = haveLock();
  const layer = [...publisher.images]
    .find(([, { body }]) => body.toString() === 'layer of etcd')![0]
    .split('/')
    .pop()!;
  publisher.expired.push(`/etcd/blobs/${layer}`);
  publisher.breakOnce = `/etcd/blobs/${layer}`;
  await expect(build()).rejects.toThrow(new RegExp(`/v2/etcd/blobs/${layer} could not be downloaded`));
  // What had arrived is not asked for again because of a token.
  publisher.expired.push(`/etcd/blobs/${layer}`);
  publisher.requests.length = 0;
  expect((await build()).id).toBe(id);
  expect(publisher.requests.filter((line) => line.endsWith(layer))).toEqual(
    [/^bytes=\d+- /, /^bytes=\d+- /].map((range) => expect.stringMatching(range)),
  );

  forgetCache();
  publisher.expired.push(`/etcd/blobs/${layer}`, `/etcd/blobs/${layer}`);
  await expect(build()).rejects.toThrow(/returned error: 401$/);
});

test('so is an image whose layer broke off', async () => {
  const id = haveLock();
  const layer = [...publisher.images]
    .find(([, { body }]) => body.toString() === 'layer of etcd')![0]
    .split('/')
    .pop()!;
  publisher.breakOnce = `/etcd/blobs/${layer}`;
  await expect(build()).rejects.toThrow(new RegExp(`/v2/etcd/blobs/${layer} could not be downloaded`));
  publisher.requests.length = 0;
  expect((await build()).id).toBe(id);
  expect(publisher.requests.filter((line) => line.endsWith(layer))).toEqual([
    expect.stringMatching(/^bytes=\d+- \/v2\/etcd\/blobs\//),
  ]);
  expect(publisher.requests.join('\n')).not.toMatch(/\/kube-apiserver\//);
});

test('a mirror can be a folder', async () => {
  const id = haveLock();
  const mirror = join(folder, 'mirror');
  for (const [name, body] of publisher.files) {
    mkdirSync(join(mirror, dirname(name)), { recursive: true });
    writeFileSync(join(mirror, name), body);
  }
  publisher.files.clear();
  expect((await build(mirror)).id).toBe(id);
  forgetCache();
  const kubectl = [...lock().artifacts].find(({ path }) => path === 'bin/kubectl')!.source.replace('https://', '');
  writeFileSync(join(mirror, kubectl), 'bin/kubectL');
  const refused = await build(mirror).catch((error: Error) => error.message);
  expect(refused).toMatch(/pins:\n {2}bin\/kubectl: expected sha256 .{64}, https:\S+ gave .{64}$/);
  writeFileSync(join(mirror, kubectl), 'bin/kubectl');
  expect((await build(mirror)).id).toBe(id);
  forgetCache();
  rmSync(join(mirror, 'dl.k8s.io'), { recursive: true });
  await expect(build(mirror)).rejects.toThrow(/kubeadm was looked for in the mirror: no file .*mirror\/dl\.k8s\.io/);
  expect(mirrored('https://a.example/b/c', 'https://m.example/x/')).toBe('https://m.example/x/a.example/b/c');
  expect(mirrored('https://a.example/b/c', null)).toBe('https://a.example/b/c');
});

test('a proxy of the environment is used', async () => {
  process.env.http_proxy = publisher.url;
  try {
    const { lock } = await build('http://releases.invalid/files', 'http://registry.invalid');
    expect(lock.artifacts).toHaveLength(21);
  } finally {
    delete process.env.http_proxy;
  }
});

test('and left out for what no_proxy names', async () => {
  Object.assign(process.env, { http_proxy: 'http://proxy.invalid:3128', no_proxy: '127.0.0.1' });
  try {
    haveLock();
    expect((await build()).id).toBe(agreed.id);
  } finally {
    delete process.env.http_proxy;
    delete process.env.no_proxy;
  }
});

test('release manifests are taken from a mirror too, and must be those that the kit was made for', async () => {
  const withCalico = planOf(clusterSite({ network: { cni: 'calico' }, more: { kubeProxy: { mode: 'ipvs' } } })).cluster!
    .bundle;
  publisher.publish(withCalico);
  for (const { name, url } of withCalico.manifests)
    publisher.files.set(url.replace('https://', ''), Buffer.from(releaseText(withCalico, name)));
  const make = () =>
    buildFromUpstream(
      withCalico,
      { stacksDir, mirror: `${publisher.url}/files`, registryMirror: publisher.url, archiveKey: null },
      () => undefined,
    );
  const { folder: bundle, lock: made } = await make();
  const [{ name, url, sha256 }] = withCalico.manifests as [(typeof withCalico.manifests)[number]];
  expect(readFileSync(join(bundle, 'manifests', name), 'utf8')).toBe(releaseText(withCalico, name));
  expect(made.artifacts.find(({ kind }) => kind === 'manifest')).toMatchObject({ source: url, sha256 });

  forgetCache();
  publisher.files.set(url.replace('https://', ''), Buffer.from(`${releaseText(withCalico, name)}\n`));
  await expect(make()).rejects.toThrow(`${url} has the sha256`);
});

test('a lock that lacks what the plan wants is named before anything is downloaded', async () => {
  haveLock();
  writeFileSync(lockFile(), lockText({ ...lock(), artifacts: lock().artifacts.slice(1) }));
  await expect(build()).rejects.toThrow(
    /not what the plan wants:\n {2}bin\/containerd \(containerd 1\.6\.20\) is missing\n/,
  );
  expect(publisher.requests).toEqual([]);
  expect(readdirSync(join(stacksDir, 'bundles'))).toEqual(['upstream-1.36.1.lock.json']);
});

test('checksums are read in every form that the projects use', () => {
  const [mine, other] = ['a'.repeat(64), 'b'.repeat(64)];
  expect(publishedChecksum(`${mine}`, 'kubeadm')).toBe(mine);
  expect(publishedChecksum(`${other}  x.tgz\n${mine}  file.tgz\n`, 'file.tgz')).toBe(mine);
  expect(publishedChecksum(`${mine} *runc.amd64\n${other} *runc.arm64`, 'runc.amd64')).toBe(mine);
  expect(publishedChecksum(`${other}  x.tgz\n`, 'file.tgz')).toBeUndefined();
  expect(publishedChecksum('<html>', 'file.tgz')).toBeUndefined();
});
