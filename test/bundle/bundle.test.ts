import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256OfText } from '../../components/bundle/checksum';
import { lacking, wantedArtifacts } from '../../components/bundle/contents';
import { LOCK_FILE } from '../../components/bundle/lock';
import { BundleError, lockText, parseLock } from '../../components/bundle/parse';
import { BundleStore } from '../../components/bundle/store';
import { verifyBundle } from '../../components/bundle/verify';
import { bundlePlan, lockOf, writeBundle } from './fixtures';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sitewright-bundle-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('a lock', () => {
  const lock = lockOf(bundlePlan());

  test('is read as it was written, whatever the order', () => {
    const shuffled = { ...lock, artifacts: [...lock.artifacts].reverse() };
    expect(lockText(shuffled)).toBe(lockText(lock));
    expect(parseLock(lockText(lock), 'lock')).toEqual(lock);
  });

  test.each([
    ['leads out of the bundle', (a: { path: string }) => (a.path = '../etc/passwd'), /lock: artifacts\.0\.path: /],
    ['is absolute', (a: { path: string }) => (a.path = '/etc/passwd'), /artifacts\.0\.path/],
    ['has two dots inside', (a: { path: string }) => (a.path = 'bin/../../x'), /artifacts\.0\.path/],
  ])('whose path %s is refused', (_title, spoil, message) => {
    const bad = structuredClone(lock);
    spoil(bad.artifacts[0]);
    expect(() => parseLock(JSON.stringify(bad), 'lock')).toThrow(message);
  });

  test('tells every problem at once', () => {
    const bad = { ...structuredClone(lock), more: 1 };
    bad.artifacts[1].sha256 = 'abc';
    bad.artifacts[2].sizeBytes = -1;
    const error = (() => {
      try {
        return parseLock(JSON.stringify(bad), 'x.lock.json');
      } catch (caught) {
        return caught as Error;
      }
    })();
    expect(error).toBeInstanceOf(BundleError);
    expect((error as Error).message).toMatch(/artifacts\.1\.sha256: 64 hex[^]*artifacts\.2\.sizeBytes[^]*"more"/);
  });

  test('names a path once, and a reference for images alone', () => {
    const twice = { ...lock, artifacts: [lock.artifacts[0], lock.artifacts[0]] };
    expect(() => parseLock(JSON.stringify(twice), 'lock')).toThrow(/each path once, sorted/);
    const bad = structuredClone(lock);
    bad.artifacts[0].reference = 'example.org/x:1';
    expect(() => parseLock(JSON.stringify(bad), 'lock')).toThrow(/an image has a reference, and nothing else/);
    expect(() => parseLock('{', 'lock')).toThrow(/lock is not JSON/);
  });
});

describe('a bundle in its folder', () => {
  const lock = lockOf(bundlePlan());
  let id: string;
  beforeEach(() => {
    id = writeBundle(folder, lock);
  });
  const problems = async () => (await verifyBundle(folder, id)).problems;

  test('is whole as it was written', async () => {
    expect(await verifyBundle(folder, id)).toEqual({ lock, problems: [] });
  });

  test('a changed byte is named with what was expected and found', async () => {
    writeFileSync(join(folder, 'bin/kubeadm'), 'bin/kubeadn');
    const [expected, found] = ['bin/kubeadm', 'bin/kubeadn'].map(sha256OfText);
    expect(await problems()).toEqual([`bin/kubeadm: expected sha256 ${expected}, found ${found}`]);
  });

  test('so are a longer file, a missing one, a surplus one and a link, all at once', async () => {
    appendFileSync(join(folder, 'bin/kubectl'), '!');
    rmSync(join(folder, 'cni/bridge'));
    mkdirSync(join(folder, 'bin/more'));
    writeFileSync(join(folder, 'bin/more/thing'), '');
    rmSync(join(folder, 'images/etcd.tar'));
    symlinkSync('/dev/null', join(folder, 'images/etcd.tar'));
    expect(await problems()).toEqual([
      'bin/more/thing is not in the lock',
      'bin/kubectl: expected 11 bytes, found 12',
      'cni/bridge is missing',
      'images/etcd.tar is not a plain file',
    ]);
  });

  test('a changed lock is known by the id', async () => {
    appendFileSync(join(folder, LOCK_FILE), '\n');
    expect((await verifyBundle(folder, id)).lock).toBeNull();
    expect(await problems()).toEqual([expect.stringMatching(`^bundle.lock.json: expected sha256 ${id}, found `)]);
    rmSync(join(folder, LOCK_FILE));
    expect(await problems()).toEqual(['bundle.lock.json is missing']);
  });
});

describe('what a plan wants', () => {
  test('is every program, plugin and image, in the planned version', () => {
    const wanted = wantedArtifacts(bundlePlan());
    expect(wanted.map(({ path }) => path)).toEqual([
      ...['bin/containerd', 'bin/containerd-shim-runc-v2', 'bin/crictl', 'bin/ctr', 'bin/etcdctl', 'bin/etcdutl'],
      ...['bin/kubeadm', 'bin/kubectl', 'bin/kubelet', 'bin/runc'],
      ...['cni/bridge', 'cni/host-local', 'cni/loopback', 'cni/portmap'],
      ...['images/coredns.tar', 'images/etcd.tar', 'images/kube-apiserver.tar', 'images/kube-controller-manager.tar'],
      ...['images/kube-proxy.tar', 'images/kube-scheduler.tar', 'images/pause.tar', 'images/toolbox.tar'],
    ]);
    expect(wanted.find(({ path }) => path === 'images/etcd.tar')).toEqual({
      ...{ path: 'images/etcd.tar', kind: 'image', component: 'etcd', version: '3.6.5' },
      reference: 'bundle.sitewright.internal/etcd:3.6.5',
    });
  });

  test('is named where a bundle lacks it or has it in another version', () => {
    const lock = lockOf(bundlePlan());
    expect(lacking(lock, bundlePlan())).toEqual([]);
    const plan = bundlePlan();
    plan.components.find(({ name }) => name === 'pause')!.version = '3.11';
    plan.images.pause = 'bundle.sitewright.internal/pause:3.11';
    const without = { ...lock, artifacts: lock.artifacts.filter(({ path }) => path !== 'bin/crictl') };
    expect(lacking(without, plan)).toEqual([
      'bin/crictl (cri-tools 1.36.0) is missing',
      'images/pause.tar: version is 3.10.2, the plan wants 3.11',
      'images/pause.tar: reference is bundle.sitewright.internal/pause:3.10.2, the plan wants bundle.sitewright.internal/pause:3.11',
    ]);
  });
});

describe('the bundles of a machine', () => {
  test('are found by id and by name, and what is not whole is told without reading every byte', async () => {
    const lock = lockOf(bundlePlan());
    const id = writeBundle(join(folder, 'new'), lock);
    renameSync(join(folder, 'new'), join(folder, id));
    mkdirSync(join(folder, 'by-name'));
    writeFileSync(join(folder, 'by-name/source-1.36.1'), `${id}\n`);
    const store = new BundleStore(folder);
    expect(await store.idOf('source-1.36.1')).toBe(id);
    expect(await store.idOf('source-1.36.2')).toBeNull();
    expect(await store.names()).toEqual([{ name: 'source-1.36.1', id }]);
    expect(await store.ids()).toEqual([id]);
    expect(await store.find('0'.repeat(64))).toBeNull();

    expect((await store.find(id))?.problems).toEqual([`${id}.iso is missing or unfinished`]);
    writeFileSync(store.isoPath(id), 'iso');
    writeFileSync(`${store.isoPath(id)}.sha256`, 'x');
    expect(await store.find(id)).toEqual({ lock, problems: [] });
    rmSync(join(folder, id, 'bin/runc'));
    expect((await store.find(id))?.problems).toEqual(['bin/runc is missing']);
    appendFileSync(join(folder, id, LOCK_FILE), ' ');
    expect((await store.find(id))?.problems).toEqual([expect.stringMatching(`expected sha256 ${id}, found`)]);
  });

  test('have an image whose every byte counts', async () => {
    const store = new BundleStore(folder);
    const id = 'a'.repeat(64);
    expect(await store.isoProblems(id)).toEqual([`${id}.iso is missing or unfinished`]);
    writeFileSync(store.isoPath(id), 'iso');
    writeFileSync(`${store.isoPath(id)}.sha256`, `${sha256OfText('iso')}\n`);
    expect(await store.isoProblems(id)).toEqual([]);
    writeFileSync(store.isoPath(id), 'ISO');
    const [expected, found] = ['iso', 'ISO'].map(sha256OfText);
    expect(await store.isoProblems(id)).toEqual([`${id}.iso: expected sha256 ${expected}, found ${found}`]);
  });
});
