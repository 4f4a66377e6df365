import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cachedBundles } from '../../components/bundle/store';
import type { BundlePlan } from '../../components/plan/clusterTypes';
import { pruneBundles } from '../../scripts/cli/commands/bundlePrune';
import { makeContext, type Context } from '../../scripts/cli/context';
import { openSite } from '../../scripts/cli/site';
import { lockOf, plantBundle } from './fixtures';

/** Bundles of a few bytes in a cache of its own, and the committed lab as the only site. */
const cacheBefore = process.env.XDG_CACHE_HOME;
let folder: string;
let stacks: string;
let plan: BundlePlan;
let said: string[];
let context: Context;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sitewright-prune-'));
  process.env.XDG_CACHE_HOME = folder;
  stacks = join(folder, 'stacks');
  cpSync('stacks/profiles', join(stacks, 'profiles'), { recursive: true });
  cpSync('stacks/sites/lab.yaml', join(stacks, 'sites/lab.yaml'));
  said = [];
  const speak = (text: string) => void said.push(text);
  context = { ...makeContext({ stacks }), terminal: false, out: speak, say: speak };
  plan = openSite(context, 'lab').plan.cluster!.bundle;
});
afterEach(() => {
  if (cacheBefore === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = cacheBefore;
  rmSync(folder, { recursive: true });
});

/** A bundle with its image, under the name that the lab names; another licence makes another bundle. */
function plant(licence = 'Apache-2.0'): string {
  const lock = lockOf(plan);
  lock.artifacts[0]!.licence = licence;
  return plantBundle(cachedBundles(), lock);
}

test('what no site names is told with what it takes, and stays without a yes', async () => {
  const [older, id] = [plant('MIT'), plant()];
  await expect(pruneBundles(context, false)).rejects.toMatchObject({
    exitCode: 2,
    message: expect.stringMatching(
      /^bundle prune would remove one bundle and free \d+ MB; nothing was removed\. If that is meant, add --yes$/,
    ),
  });
  expect(said.join('\n')).toMatch(new RegExp(`^named by no site of ${stacks} `));
  expect(said.join('\n')).toMatch(new RegExp(`^${plan.name} +${older.slice(0, 12)} +\\d+ MB$`, 'm'));
  expect(await cachedBundles().ids()).toEqual([older, id].sort());
});

test('it goes with its images and names; what a site names, or a build that runs is making, stays', async () => {
  const store = cachedBundles();
  const [older, id] = [plant('MIT'), plant()];
  const [halfRemoved, inTheMaking] = ['a'.repeat(64), 'b'.repeat(64)];
  writeFileSync(store.isoPath(halfRemoved), 'iso');
  mkdirSync(`${store.bundleFolder(halfRemoved)}.partial-999999999`);
  mkdirSync(store.bundleFolder(inTheMaking));
  writeFileSync(`${store.isoPath(inTheMaking)}.partial-${process.pid}`, 'is');
  writeFileSync(join(store.folder, 'by-name', 'source-1.35.9'), older);
  await pruneBundles({ ...context, json: true }, true);
  const size = expect.any(Number) as number;
  const removed = [
    { id: halfRemoved, name: null, sizeBytes: size },
    { id: older, name: plan.name, sizeBytes: size },
  ];
  expect(JSON.parse(said.join(''))).toEqual({ removed, kept: [{ id, sites: ['lab'] }], freedBytes: size });
  expect(readdirSync(store.folder).sort()).toEqual(
    [id, `${id}.iso`, `${id}.iso.sha256`, 'by-name', inTheMaking, `${inTheMaking}.iso.partial-${process.pid}`].sort(),
  );
  expect(await store.names()).toEqual([{ name: plan.name, id }]);

  said.length = 0;
  await pruneBundles(context, false);
  expect(said).toEqual(['nothing to remove: a site names every bundle of this machine']);
});

test('while a site file is wrong nothing is removed: it could name any of them', async () => {
  const older = plant('MIT');
  plant();
  writeFileSync(join(stacks, 'sites/broken.yaml'), 'kit: 1');
  await expect(pruneBundles(context, true)).rejects.toMatchObject({
    exitCode: 2,
    message: expect.stringMatching(/sites\/broken\.yaml:1:.*\n[^]*Which bundles broken need is not known/),
  });
  expect(existsSync(cachedBundles().isoPath(older))).toBe(true);
});
