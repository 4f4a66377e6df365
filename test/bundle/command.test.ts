import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findBundle, teamLockPath } from '../../components/bundle/find';
import { lockText } from '../../components/bundle/parse';
import { BundleStore } from '../../components/bundle/store';
import type { BundlePlan } from '../../components/plan/clusterTypes';
import { goPart, type GoComponent } from '../../scripts/bundle/goParts';
import { TestKit } from '../cli/kit';
import { lockOf, plantBundle } from './fixtures';

/** The real command line, with bundles of a few bytes in a cache of its own. */

let kit: TestKit;
let cache: string;
let store: BundleStore;
let plan: BundlePlan;
beforeAll(() => {
  kit = new TestKit();
  for (const site of ['lab', 'kvm-example']) kit.writeSite(site, readFileSync(`stacks/sites/${site}.yaml`, 'utf8'));
  cache = join(kit.dir, 'cache');
  store = new BundleStore(join(cache, 'sitewright/bundles'));
  plan = JSON.parse(kit.run(['plan', 'lab', '--json']).stdout).cluster.bundle;
});
afterAll(() => kit?.remove());
afterEach(() => rmSync(cache, { recursive: true, force: true }));

const run = (...args: string[]) => kit.run(['bundle', ...args], { XDG_CACHE_HOME: cache });

const plant = (lock = lockOf(plan)): string => plantBundle(store, lock);

test('the versions of the lab are those that the go.mod files of the kit pin', async () => {
  const built = plan.components.filter(({ name }) => !['containerd', 'runc', 'toolbox'].includes(name));
  expect(built).toHaveLength(6);
  for (const { name, version } of built) {
    const { recipe } = await goPart(name as GoComponent, version);
    expect({ name, ...(recipe as object) }).toMatchObject({ name, sources: expect.any(Array) });
  }
  expect((await goPart('kubernetes', '1.36.0')).recipe).toMatchObject({ sources: 'resolved' });
});

test('another patch is pinned by the checksums that it adds, and leaves what was built of the first as it is', async () => {
  const sources = async (version: string) =>
    ((await goPart('kubernetes', version)).recipe as { sources: string[] }).sources;
  const [first, patch] = [await sources('1.36.1'), await sources('1.36.3')];
  expect(patch.slice(0, -1)).toEqual(first);
  expect(patch.at(-1)).toMatch(/^k8s\.io\/kubernetes v1\.36\.3 h1:/m);
  expect(first.join()).not.toContain('1.36.3');
});

describe('a site without a bundle', () => {
  test('whose machines get no cluster needs none', () => {
    const { code, stderr } = run('verify', 'kvm-example');
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(/kvm-example has no kubernetes.version/),
    });
    expect(run('build', 'kvm-example').code).toBe(2);
    expect(existsSync(cache)).toBe(false);
  });

  test('is told how to make it', () => {
    const { code, stderr } = run('verify', 'lab');
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(
        /the bundle source-1.36.1 of lab is not on this machine. Run: sitewright bundle build lab/,
      ),
    });
    expect(run('list')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^no bundle on this machine/) });
    expect(run('list', '--json').stdout).toBe('[]\n');
    expect(run('build', 'lab', '--from', 'nowhere')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/Allowed choices are source, upstream/),
    });
  });
});

describe('a bundle in the cache', () => {
  test('is verified and listed', () => {
    const id = plant();
    expect(run('verify', 'lab')).toMatchObject({ code: 0, stdout: `source-1.36.1 is whole: 22 files, id ${id}\n` });
    expect(JSON.parse(run('verify', 'lab', '--json').stdout)).toEqual({
      ...{ site: 'lab', name: 'source-1.36.1', id, whole: true, problems: [] },
    });
    expect(run('list').stdout).toMatch(new RegExp(`^source-1.36.1 +${id.slice(0, 12)} +source +22 +0 MB$`, 'm'));
  });

  test('is refused by name where a byte was changed or an artifact is missing', () => {
    const lock = lockOf(plan);
    lock.artifacts = lock.artifacts.filter(({ path }) => path !== 'cni/portmap');
    const id = plant(lock);
    writeFileSync(join(store.bundleFolder(id), 'bin/runc'), 'bin/runC');
    writeFileSync(store.isoPath(id), 'ISO');
    const { code, stderr } = run('verify', 'lab');
    expect(code).toBe(1);
    expect(stderr).toMatch(/ {2}bin\/runc: expected sha256 .{64}, found .{64}\n/);
    expect(stderr).toMatch(/\.iso: expected sha256 .{64}, found .{64}\n/);
    expect(stderr).toMatch(/ {2}cni\/portmap \(cni-plugins 1.9.1\) is missing\n/);
    const json = run('verify', 'lab', '--json');
    expect(json.code).toBe(1);
    expect(json.stdout).toMatch(/"whole": false/);
  });
});

describe('the bundle that a program gets', () => {
  const find = (wanted = plan) => findBundle(store, kit.stacks, 'lab', wanted);

  test('is the one that was built under the name', async () => {
    await expect(find()).rejects.toThrow(/not on this machine. Run: sitewright bundle build lab/);
    const id = plant();
    expect(await find()).toEqual({
      id,
      lock: lockOf(plan),
      folder: store.bundleFolder(id),
      isoPath: store.isoPath(id),
      isoSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  test('is refused with everything that is missing or damaged', async () => {
    const id = plant();
    rmSync(join(store.bundleFolder(id), 'bin/runc'));
    rmSync(`${store.isoPath(id)}.sha256`);
    await expect(find()).rejects.toThrow(
      /is damaged:\n {2}bin\/runc is missing\n.*\.iso is missing or unfinished\nRun: /,
    );
    const lock = lockOf(plan);
    lock.artifacts = lock.artifacts.slice(1);
    plant(lock);
    await expect(find()).rejects.toThrow(
      /not what the plan wants:\n {2}bin\/containerd \(containerd 1.6.20\) is missing\n/,
    );
  });

  test('is for upstream the one of the lock that the team has agreed on', async () => {
    const upstream: BundlePlan = { ...plan, from: 'upstream', name: 'upstream-1.36.1' };
    const lock = lockOf(upstream);
    const id = plant(lock);
    await expect(find(upstream)).rejects.toThrow(/upstream-1.36.1 of lab is not on this machine/);
    mkdirSync(join(kit.stacks, 'bundles'));
    writeFileSync(teamLockPath(kit.stacks, upstream.name), lockText(lock));
    expect((await find(upstream)).id).toBe(id);
  });
});
