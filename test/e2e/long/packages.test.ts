import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { sha256OfText } from '../../../components/bundle/checksum';
import { packageIndex, type WantedArtifact } from '../../../components/bundle/contents';
import { LOCK_FILE, LOCK_SCHEMA_VERSION, type BundleLock } from '../../../components/bundle/lock';
import { lockText } from '../../../components/bundle/parse';
import { renderNodeScript } from '../../../components/nodes/script';
import { packageFiles, type PackageFile } from '../../../scripts/bundle/packages';
import { aptSources } from '../../../scripts/lab/image';
import { clusterSite } from '../../plan/clusterSite';
import { planOf } from '../../plan/site';

/**
 * Debian 12's own archive, its packages in a bundle, and small roots of Debian 12 that get what they lack from it, without
 * any network. Root; the first run downloads some 90 MB.
 */

const LIMIT_MILLISECONDS = 1_800_000;
/** The archives that this machine itself gets its packages from. */
const [archive, securityArchive] = readFileSync(aptSources()[0]!, 'utf8')
  .match(/^URIs: \S+(?=\/?$)/gm)!
  .map((line) => line.replace('URIs: ', ''));
const plan = planOf(
  clusterSite({ more: { artifacts: { packages: [{ name: 'debian-12', archive, securityArchive }] } } }),
);
const node = { ...plan.nodes[0]!, ntpServers: ['192.0.1.1'] };
const wanted = plan.cluster!.bundle.packages[0]!;
const index: WantedArtifact = {
  ...{ path: packageIndex('debian-12'), component: 'debian-12', version: '12' },
  kind: 'package-index',
};

let folder: string;
let root: string;
let files: PackageFile[];
let lock: BundleLock;
const lockOf = (found: PackageFile[]): BundleLock => ({
  schemaVersion: LOCK_SCHEMA_VERSION,
  ...{ name: 'upstream-1.36.1-debian-12', from: 'upstream' },
  artifacts: found.map(({ artifact }) => artifact).sort((a, b) => (a.path < b.path ? -1 : 1)),
});
const options = { mirror: null, archiveKey: null };

function run(program: string, args: string[], input = '') {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    ...{ input, encoding: 'utf8', maxBuffer: 64 * 1024 ** 2 },
  });
  if (error) throw error;
  return { status, stdout, stderr };
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sitewright-packages-'));
  files = await packageFiles(wanted, index, null, options, () => undefined);
  lock = lockOf(files);
  root = join(folder, 'root');
  const made = run('mmdebstrap', [
    ...['--quiet', '--variant=minbase', '--format=directory', '--aptopt=Acquire::Languages "none"'],
    ...['bookworm', root, ...aptSources()],
  ]);
  expect(made).toMatchObject({ status: 0 });
  // What says that a machine runs systemd: without it no package would try to start anything.
  mkdirSync(join(root, 'run/systemd/system'), { recursive: true });
}, LIMIT_MILLISECONDS);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A machine with the bundle; gives its root. */
function machine(name: string): string {
  const own = join(folder, name);
  expect(run('cp', ['--archive', '--reflink=auto', root, own])).toMatchObject({ status: 0 });
  const bundle = join(own, bundleDirectory());
  for (const { artifact, file } of files) {
    mkdirSync(dirname(join(bundle, artifact.path)), { recursive: true });
    cpSync(file, join(bundle, artifact.path));
  }
  writeFileSync(join(bundle, LOCK_FILE), lockText(lock));
  return own;
}
const bundleId = () => sha256OfText(lockText(lock));
const bundleDirectory = () => `/var/lib/sitewright/bundles/${bundleId()}`;

/** The part of preparation that deals with packages, in a root that has no network at all. */
function prepare(own: string, distribution = 'debian 12') {
  const script = renderNodeScript(
    node,
    { site: plan.site, stampId: '1', hosts: plan.hosts },
    { bundle: { id: bundleId(), lock }, place: { directory: bundleDirectory() } },
  ).replace(
    /main <\/dev\/null\n$/,
    `work() {
  DISTRIBUTION='${distribution}'
  find_missing_packages
  printf 'missing %s\\n' "\${MISSING_PACKAGES[@]}"
  local refusals=()
  [ "\${#MISSING_PACKAGES[@]}" -eq 0 ] || check_package_source
  [ "\${#refusals[@]}" -eq 0 ] || refuse "\${refusals[@]}"
  install_packages
}
work </dev/null
`,
  );
  return run('unshare', ['--net', '--pid', '--fork', '--mount-proc', `--root=${own}`, '--', 'bash', '-s'], script);
}
function versions(own: string): Map<string, string> {
  const { stdout } = run('dpkg-query', [
    `--admindir=${own}/var/lib/dpkg`,
    '--show',
    '--showformat=${Package} ${Version}\n',
  ]);
  return new Map(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' ') as [string, string]),
  );
}

test(
  'packages of the distribution are pinned by version, address, checksum and licence, and a lock gives them again',
  async () => {
    const find = (name: string) => lock.artifacts.find(({ path }) => path === `packages/debian-12/${name}.deb`)!;
    expect(find('keepalived')).toMatchObject({
      version: expect.stringMatching(/^1:2\./),
      architecture: expect.stringMatching(/^[a-z0-9]+$/),
      source: expect.stringMatching(/^https?:\/\/.*\/pool\/.*\/keepalived_2\.\S+\.deb$/),
      licence: 'LicenseRef-keepalived-copyright',
    });
    expect(find('ethtool').licence).toContain('GPL-2.0-only');
    expect(lock.artifacts.length).toBeGreaterThan(wanted.names.length + 50);
    const again = await packageFiles(wanted, index, lock, options, () => undefined);
    expect(again).toEqual(files);
  },
  LIMIT_MILLISECONDS,
);

test(
  'a machine without a network gets what it lacks from the bundle: nothing starts, nothing becomes older, a second run does nothing',
  () => {
    const own = machine('own');
    const before = versions(own);
    const first = prepare(own);
    expect({ status: first.status, stderr: first.stderr.slice(-3000) }).toMatchObject({ status: 0 });
    expect(first.stdout).toMatch(/^missing keepalived$/m);
    const after = versions(own);
    for (const name of ['keepalived', 'haproxy', 'ethtool', 'conntrack', 'fio', 'systemd-timesyncd', 'libssl3'])
      expect([name, after.get(name)]).toEqual([name, expect.any(String)]);
    for (const [name, version] of before) {
      const newer = run('dpkg', ['--compare-versions', after.get(name)!, 'ge', version]);
      expect({ name, ...newer }).toMatchObject({ status: 0 });
    }
    expect(run('chroot', [own, 'haproxy', '-v'])).toMatchObject({ status: 0 });
    expect(first.stderr).toMatch(/policy-rc\.d (denied|returned 101)/);
    expect(existsSync(join(own, 'usr/sbin/policy-rc.d'))).toBe(false);
    expect(readFileSync(join(own, 'var/log/sitewright/audit.log'), 'utf8')).toMatch(
      /packages: .*keepalived.*, from the bundle/,
    );

    expect(prepare(own)).toEqual({ status: 0, stdout: 'missing \n', stderr: '' });
  },
  LIMIT_MILLISECONDS,
);

test(
  'a package with a changed byte is refused by name, and so is a machine of another release',
  () => {
    const own = machine('changed');
    expect(prepare(own, 'debian 13')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(
        /^error: missing packages: .*keepalived.*; the bundle has those of debian-12, and this machine is debian 13: add debian-13 to artifacts\.packages/,
      ),
    });
    const file = join(own, bundleDirectory(), 'packages/debian-12/haproxy.deb');
    const bytes = readFileSync(file);
    bytes[bytes.length - 100]! ^= 1;
    writeFileSync(file, bytes);
    const { status, stderr } = prepare(own);
    expect(status).toBe(1);
    expect(stderr).toMatch(/packages\/debian-12\/\.?\/?haproxy\.deb.*Hash Sum mismatch/s);
    expect(versions(own).has('haproxy')).toBe(false);
    expect(versions(own).has('keepalived')).toBe(false);
    expect(existsSync(join(own, 'usr/sbin/policy-rc.d'))).toBe(false);
  },
  LIMIT_MILLISECONDS,
);
