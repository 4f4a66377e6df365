import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { sha256OfText } from '../../components/bundle/checksum';
import { BUNDLE_PACKAGES } from '../../components/nodes/prep/bundlePackages';
import { CORE } from '../../components/nodes/prep/core';
import { OPEN_BUNDLE } from '../../components/nodes/prep/openBundle';
import { PREFLIGHT } from '../../components/nodes/prep/preflight';
import { WAIT_UNTIL } from '../../components/nodes/prep/waitUntil';

/** Packages from a bundle, on files of a folder of their own and with stand-ins for apt-get and dpkg. */
let folder: string;
const path = (name: string) => join(folder, name);
const text = (name: string) => (existsSync(path(name)) ? readFileSync(path(name), 'utf8') : '');
const policy = 'usr/sbin/policy-rc.d';
const LOCK = '{}\n';
const INDEX = 'Package: ethtool\n';

function file(name: string, content: string): void {
  mkdirSync(dirname(path(name)), { recursive: true });
  writeFileSync(path(name), content);
}
function program(name: string, body: string): void {
  file(`bin/${name}`, `#!/bin/bash\necho "${name} $*" >>${path('calls')}\n${body}\n`);
  chmodSync(path(`bin/${name}`), 0o755);
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sitewright-bundle-packages-'));
  mkdirSync(path('usr/sbin'), { recursive: true });
  file('bundle/bundle.lock.json', LOCK);
  file('bundle/packages/debian-12/Packages', INDEX);
  program('dpkg', '');
  // What it is told, and whether services may start meanwhile.
  program(
    'apt-get',
    `[[ " $* " != *' install '* ]] || { ${path(policy)}; echo "policy $?" >>${path('calls')}; cat "${path('run/packages/bundle.list')}" >>${path('calls')}; touch ${path('installed')}; }`,
  );
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function run(script: string, distribution = 'debian 12') {
  const library = [CORE, PREFLIGHT, WAIT_UNTIL, OPEN_BUNDLE, BUNDLE_PACKAGES]
    .join('\n')
    .replaceAll('/usr/sbin/', `${folder}/usr/sbin/`);
  const head = `set -u; export LC_ALL=C PATH=${path('bin')}:$PATH; CHANGES=0 AUDIT_LOG=${path('audit.log')} RUN_DIR=${path('run')}
DISTRIBUTION='${distribution}' BUNDLE_ID=${sha256OfText(LOCK)} BUNDLE_DEVICE= BUNDLE_FOLDER=${path('bundle')} BUNDLE_MOUNT=${path('mount')}
PACKAGE_INDEXES=('${sha256OfText(INDEX)} packages/debian-12/Packages' '${'0'.repeat(64)} packages/ubuntu-24.04/Packages')
MISSING_PACKAGES=(ethtool systemd-timesyncd)\n`;
  const standIns = `find_missing_packages() { [ ! -e ${path('installed')} ] || MISSING_PACKAGES=(); }`;
  const { status, stdout, stderr } = spawnSync('bash', ['-s'], {
    input: `${head}${library}\n${standIns}\n${script}`,
    encoding: 'utf8',
  });
  return { status, lines: stdout.split('\n').slice(0, -1), stderr };
}
const check = (distribution?: string) =>
  run('refusals=(); check_package_source; printf "%s\\n" "${refusals[@]}"', distribution).lines;

test('a machine of a release that the bundle has nothing for is told before anything changes', () => {
  expect(check()).toEqual(['']);
  expect(check('ubuntu 24.04')).toEqual(['']);
  expect(check('debian 13')).toEqual([
    'missing packages: ethtool systemd-timesyncd; the bundle has those of debian-12, ubuntu-24.04, and this machine is debian 13: ' +
      'add debian-13 to artifacts.packages and build the bundle, or put these packages in the image of the machine',
  ]);
});

test('only the bundle is asked, no service starts, and what kept it from starting is gone', () => {
  const { status, stderr } = run('install_packages');
  expect({ status, stderr }).toEqual({
    status: 0,
    stderr: 'step: installing ethtool systemd-timesyncd from the bundle\n',
  });
  const [configure, update, install, ...rest] = text('calls').trim().split('\n');
  expect(configure).toBe('dpkg --configure -a --force-confdef --force-confold');
  expect(update).toMatch(/^apt-get .* update$/);
  expect(install).toMatch(/ install -y --no-install-recommends --no-remove ethtool systemd-timesyncd$/);
  for (const line of [update, install]) {
    expect(line).toContain(
      `Dir::Etc::sourcelist=${path('run/packages/bundle.list')} -o Dir::Etc::sourceparts=/dev/null`,
    );
  }
  expect(rest).toEqual(['policy 101', `deb [trusted=yes] file:${path('bundle/packages/debian-12')} ./`]);
  expect(existsSync(path(policy))).toBe(false);
  expect(existsSync(path('run/packages'))).toBe(false);
  expect(existsSync(path('run/pending-systemd-timesyncd'))).toBe(true);
  expect(text('audit.log')).toContain('packages: (none) -> ethtool systemd-timesyncd, from the bundle');
});

test("a failure says what may be done, and leaves nothing of the kit's behind", () => {
  program('apt-get', '[[ " $* " != *" install "* ]]');
  const { status, stderr } = run('install_packages');
  expect(status).toBe(1);
  expect(stderr).toMatch(/error: apt-get could not install from the bundle: ethtool .*: remove the lock of the bundle/);
  expect(existsSync(path(policy))).toBe(false);
});

test('a bundle whose list of packages was changed, or another bundle, is refused before apt-get reads it', () => {
  file('bundle/packages/debian-12/Packages', 'Package: other\n');
  expect(run('install_packages').stderr).toMatch(
    /error: packages\/debian-12\/Packages of the bundle has the sha256 [0-9a-f]{64}, and its lock says/,
  );
  file('bundle/bundle.lock.json', 'other');
  expect(run('install_packages').stderr).toMatch(/holds the bundle [0-9a-f]{64}, and [0-9a-f]{64} is planned/);
  expect(text('calls')).toBe('');
});

describe('what keeps services from starting', () => {
  test('is taken away when a run was killed and nothing is missing any more', () => {
    run('hold_services; trap - EXIT');
    expect(existsSync(path(policy))).toBe(true);
    expect(run('MISSING_PACKAGES=(); install_packages')).toMatchObject({ status: 0, stderr: '' });
    expect(existsSync(path(policy))).toBe(false);
  });

  test("is left alone where it is somebody else's", () => {
    file(policy, '#!/bin/sh\nexit 104\n');
    chmodSync(path(policy), 0o755);
    expect(run('install_packages').status).toBe(0);
    expect(text('calls')).toContain('policy 104\n');
    expect(text(policy)).toBe('#!/bin/sh\nexit 104\n');
  });
});
