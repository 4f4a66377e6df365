import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { lacking, packagePath, wantedArtifacts } from '../../components/bundle/contents';
import { teamLockPath } from '../../components/bundle/find';
import { LOCK_SCHEMA_VERSION, type BundleLock } from '../../components/bundle/lock';
import { parseLock } from '../../components/bundle/parse';
import type { BundlePlan } from '../../components/plan/clusterTypes';
import { packageLicence } from '../../scripts/bundle/debianLicences';
import { packageFiles, type PackageFile } from '../../scripts/bundle/packages';
import { buildFromUpstream } from '../../scripts/bundle/upstream';
import { ARCHIVES, AptArchive, type TestPackage } from './aptArchive';
import { bundlePlan, lockOf as bundleLock } from './fixtures';
import { Publisher } from './publisher';

// Packages of a distribution, resolved by the apt of this machine, from an archive on loopback that signs what it has.

const plan: BundlePlan = {
  ...bundlePlan('upstream'),
  name: 'upstream-1.36.1-debian-12',
  packages: [{ distribution: 'debian-12', ...ARCHIVES, names: ['conntrack', 'keepalived'] }],
};
const GPL = 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+\n';
const keepalived: TestPackage = {
  name: 'keepalived',
  version: '1:2.2.7-1+b2',
  depends: 'libnl++ (>= 3)',
  copyright: GPL,
};
const PACKAGES: TestPackage[] = [
  keepalived,
  { name: 'conntrack', version: '1.4' },
  { name: 'libnl++', version: '3.7~rc1+b1', architecture: 'all' },
  { name: 'libnl++-common', version: '1' },
  { name: 'unrelated', version: '9' },
];

const before = process.env.XDG_CACHE_HOME;
let archive: AptArchive;
let publisher: Publisher;
let folder: string;
let stacksDir: string;

beforeAll(() => void (archive = new AptArchive()));
afterAll(() => archive.remove());
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sitewright-packages-'));
  process.env.XDG_CACHE_HOME = join(folder, 'cache');
  stacksDir = join(folder, 'stacks');
  publisher = new Publisher();
  await publisher.start();
  publisher.publish(plan);
  archive.publish(publisher, PACKAGES);
});
afterEach(async () => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before;
  await publisher.stop();
  rmSync(folder, { recursive: true });
});

const build = () =>
  buildFromUpstream(
    plan,
    { stacksDir, mirror: `${publisher.url}/files`, registryMirror: publisher.url, archiveKey: archive.keyring },
    () => undefined,
  );
const [wanted] = plan.packages as [BundlePlan['packages'][number]];
const index = wantedArtifacts(plan).find(({ kind }) => kind === 'package-index')!;
/** The packages alone. */
const get = (
  lock: BundleLock | null = null,
  { mirror = `${publisher.url}/files`, archiveKey = archive.keyring } = {},
) => packageFiles(wanted, index, lock, { mirror, archiveKey }, () => undefined);
const refusal = (...args: Parameters<typeof get>) =>
  get(...args).then(
    () => '',
    (error: Error) => error.message,
  );
const lockOf = (files: PackageFile[]): BundleLock => ({
  schemaVersion: LOCK_SCHEMA_VERSION,
  ...{ name: plan.name, from: 'upstream', artifacts: files.map(({ artifact }) => artifact) },
});
const lockFile = () => teamLockPath(stacksDir, plan.name);
const forgetCache = () => rmSync(join(folder, 'cache'), { recursive: true, force: true });
const askedFor = (end: string) => publisher.requests.filter((line) => line.endsWith(end));

test('what the archive has is pinned with all that it depends on, and the lock alone gives the same again', async () => {
  const first = await build();
  const packages = first.lock.artifacts.filter(({ component }) => component === 'debian-12');
  expect(packages.map(({ path }) => path)).toEqual([
    'packages/debian-12/Packages',
    'packages/debian-12/conntrack.deb',
    'packages/debian-12/keepalived.deb',
    'packages/debian-12/libnl++.deb',
  ]);
  expect(packages[2]).toEqual({
    path: packagePath('debian-12', 'keepalived'),
    ...{ kind: 'package', component: 'debian-12', version: '1:2.2.7-1+b2', licence: 'GPL-2.0-or-later' },
    source: `https://${AptArchive.pool(keepalived)}`,
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    sizeBytes: publisher.files.get(AptArchive.pool(keepalived))!.length,
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
  });
  expect(packages[3]).toMatchObject({
    version: '3.7~rc1+b1',
    architecture: 'all',
    licence: 'LicenseRef-libnl--copyright',
  });
  const index = readFileSync(join(first.folder, 'packages/debian-12/Packages'), 'utf8');
  expect(index.match(/^(Package|Filename): .*$/gm)).toEqual(
    ['conntrack', 'keepalived', 'libnl++'].flatMap((name) => [`Package: ${name}`, `Filename: ./${name}.deb`]),
  );
  expect(parseLock(readFileSync(lockFile(), 'utf8'), 'lock')).toEqual(first.lock);

  // The archive goes on; its lists are not asked again.
  forgetCache();
  const gone = Object.fromEntries([...publisher.files].filter(([name]) => name.includes('/dists/')));
  for (const name of Object.keys(gone)) publisher.files.delete(name);
  publisher.requests.length = 0;
  expect(await build()).toMatchObject({ id: first.id, kept: false, newLock: null });
  expect(publisher.requests.filter((line) => line.includes('/dists/'))).toEqual([]);
});

test('packages that have left the archive or have other bytes are told together, by name', async () => {
  const files = await get();
  const lock = lockOf(files);
  forgetCache();
  publisher.files.delete(AptArchive.pool(PACKAGES[1]!));
  const whole = publisher.files.get(AptArchive.pool(keepalived))!;
  publisher.files.set(
    AptArchive.pool(keepalived),
    Buffer.from(whole.map((byte, at) => (at === 200 ? byte ^ 1 : byte))),
  );
  const said = await refusal(lock);
  expect(said).toMatch(/^packages of debian-12 that the lock of upstream-1\.36\.1-debian-12 pins cannot be had:\n/);
  expect(said).toMatch(/\n {2}conntrack 1\.4: https:\S+conntrack_1\.4_\w+\.deb could not be downloaded.*404\n/);
  expect(said).toMatch(/\n {2}keepalived 1:2\.2\.7-1\+b2: expected sha256 [0-9a-f]{64}, https:\S+ gave [0-9a-f]{64}\n/);
  expect(said).toContain('remove the lock and build again');
  archive.publish(publisher, PACKAGES);
  expect(await get(lock)).toEqual(files);
});

test('a download that broke off is gone on with, and nothing is asked for twice', async () => {
  publisher.breakOnce = 'libnl++_3.7~rc1+b1_all.deb';
  expect(await refusal()).toMatch(/libnl\+\+_3\.7~rc1\+b1_all\.deb could not be downloaded/);
  publisher.requests.length = 0;
  await get();
  expect(askedFor('libnl++_3.7~rc1+b1_all.deb')).toEqual([expect.stringMatching(/^bytes=\d+- /)]);
  expect(publisher.requests.filter((line) => /\/keepalived_\S+\.deb$/.test(line))).toEqual([]);
});

test('lists that nobody signed, or another than the distribution, are refused before anything is pinned', async () => {
  const other = new AptArchive();
  try {
    expect(await refusal(null, { archiveKey: other.keyring })).toMatch(/apt-get: .*\n(.*\n)*.*NO_PUBKEY/);
    expect(await refusal(null, { archiveKey: join(folder, 'none.gpg') })).toBe(
      `the keys of the archive of debian-12 are not on this machine: no file ${join(folder, 'none.gpg')}`,
    );
  } finally {
    other.remove();
  }
  // The file is not what the signed list says.
  publisher.files.set(AptArchive.pool(keepalived), Buffer.from('other'));
  expect(await refusal()).toMatch(/^packages of debian-12 cannot be had:\n {2}keepalived .* expected sha256 /);
  archive.publish(publisher, PACKAGES.slice(1));
  expect(await refusal()).toMatch(/apt-get: .*\n(.*\n)*.*keepalived/);
});

test('a mirror of packages can be a folder', async () => {
  const files = await get();
  const mirror = join(folder, 'mirror');
  for (const [name, body] of publisher.files) {
    mkdirSync(join(mirror, dirname(name)), { recursive: true });
    writeFileSync(join(mirror, name), body);
  }
  forgetCache();
  publisher.requests.length = 0;
  expect(await get(null, { mirror })).toEqual(files);
  expect(publisher.requests).toEqual([]);
  forgetCache();
  rmSync(join(mirror, AptArchive.pool(keepalived)));
  expect(await refusal(lockOf(files), { mirror })).toMatch(
    /\n {2}keepalived 1:2\.2\.7-1\+b2: .* was looked for in the mirror: no file /,
  );
});

test('a lock without a package that is wanted is named', async () => {
  const others = lockOf(await get());
  const { artifacts } = bundleLock({ ...plan, packages: [] });
  const lock = { ...others, artifacts: [...others.artifacts, ...artifacts] };
  expect(lacking(lock, plan)).toEqual([]);
  const more = {
    ...plan,
    packages: [{ distribution: 'debian-12' as const, ...ARCHIVES, names: ['conntrack', 'fio'] }],
  };
  expect(lacking(lock, more)).toEqual(['packages/debian-12/fio.deb is missing']);
  const other = { ...plan, packages: [{ distribution: 'debian-13' as const, ...ARCHIVES, names: ['conntrack'] }] };
  expect(lacking(lock, other)).toEqual([
    'packages/debian-13/Packages (debian-13 13) is missing',
    'packages/debian-13/conntrack.deb is missing',
  ]);
});

test.each([
  ['GPL-2+', 'GPL-2.0-or-later'],
  ['LGPL-2.1', 'LGPL-2.1-only'],
  ['Expat or GPL-3.0+', 'GPL-3.0-or-later AND MIT'],
  ['BSD-3-clause, ISC', 'BSD-3-Clause AND ISC'],
  ['GPL-2+ with OpenSSL exception', 'LicenseRef-a-b-copyright'],
])('licence %s is %s', (short, expression) => {
  expect(packageLicence('a+b', GPL.replace('GPL-2+', short))).toBe(expression);
});

test('words of its own are a licence that its file has', () => {
  expect(packageLicence('kmod', 'This is free software; License: GPL-2+ and more\n')).toBe('LicenseRef-kmod-copyright');
});
