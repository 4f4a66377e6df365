import * as fs from 'node:fs/promises';
import { homedir } from 'node:os';
import * as path from 'node:path';
import { BundleError } from '../../components/bundle/parse';
import { cacheDir } from '../../components/cacheDir';
import type { BundlePackages, Distribution } from '../../components/plan/clusterTypes';
import { mirrored, type Mirror } from './download';
import { targetArch } from './goParts';
import { removeAbandoned, type Log } from './parts';
import { runProgram } from './program';

/** A package as the archive of its distribution has it. */
export interface ArchivedPackage {
  name: string;
  version: string;
  /** Such as amd64, or all. */
  architecture: string;
  /** In the archive of the site, whichever mirror was asked. */
  url: string;
  sha256: string;
}

interface Release {
  suite: string;
  components: string;
  /** Of the distribution's keys, and the package that has it. */
  keyring: string;
  keyringPackage: string;
}

const debian = (suite: string): Release => ({
  suite,
  components: 'main',
  keyring: '/usr/share/keyrings/debian-archive-keyring.gpg',
  keyringPackage: 'debian-archive-keyring',
});

const ubuntu = (suite: string): Release => ({
  suite,
  components: 'main universe',
  keyring: '/usr/share/keyrings/ubuntu-archive-keyring.gpg',
  keyringPackage: 'ubuntu-keyring',
});

const RELEASES: Record<Distribution, Release> = {
  'debian-12': debian('bookworm'),
  'debian-13': debian('trixie'),
  'ubuntu-22.04': ubuntu('jammy'),
  'ubuntu-24.04': ubuntu('noble'),
};

const TIMEOUT_SECONDS = 1800;

/**
 * The packages with all that they depend on, in the newest versions of the archive. apt decides, as if on a machine without
 * any package, with lists of its own whose signatures it checks; how this machine reaches the network (its apt.conf, the
 * environment) holds for it, and its packages and lists stay as they are.
 * @param archiveKey keyring in place of the distribution's, for a mirror that signs what it has; absolute
 * @throws BundleError with what apt said
 */
export async function resolvePackages(
  { distribution, names, ...archives }: BundlePackages,
  { mirror, archiveKey }: { mirror: Mirror; archiveKey: string | null },
  log: Log,
): Promise<ArchivedPackage[]> {
  const { suite, components, ...own } = RELEASES[distribution];
  const keyring = archiveKey ?? own.keyring;
  if (!(await fs.stat(keyring).catch(() => undefined))) {
    const fix = archiveKey === null ? `; install the package ${own.keyringPackage}` : '';
    throw new BundleError(
      `the keys of the archive of ${distribution} are not on this machine: no file ${keyring}${fix}`,
    );
  }
  const places = [
    { url: archives.archive, suites: [suite, `${suite}-updates`] },
    { url: archives.securityArchive, suites: [`${suite}-security`] },
  ].map((place) => ({ ...place, asked: aptUrl(mirrored(place.url, mirror)) }));
  const parent = path.join(cacheDir(), 'bundle-downloads');
  await removeAbandoned(parent);
  const root = path.join(parent, `apt-${distribution}.partial-${process.pid}`);
  try {
    log(`${distribution}: reading the lists of its archive`);
    await writeRoot(root, places, components, keyring);
    const apt = (...args: string[]) =>
      runProgram('apt-get', [`--config-file=${path.join(root, 'apt.conf')}`, '--quiet=2', ...args], {
        env: proxies(),
        timeoutSeconds: TIMEOUT_SECONDS,
      });
    await apt('update');
    const lines = (await apt('install', '--print-uris', ...names)).split('\n').filter((line) => line.startsWith("'"));
    return lines.map((line) => parseLine(line, places));
  } finally {
    await fs.rm(root, { recursive: true, force: true });
  }
}

/** apt reads files of a folder in place and then has nothing to tell of them; with `copy` it does. */
const aptUrl = (place: string) => (/^https?:\/\//.test(place) ? place : `copy:${path.resolve(place)}`);

/** apt knows these in lower case only. */
function proxies(): Record<string, string> {
  const found = (['https_proxy', 'no_proxy'] as const).map((name): [string, string | undefined] => [
    name,
    process.env[name] ?? process.env[name.toUpperCase()],
  ]);
  return Object.fromEntries(found.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

async function writeRoot(
  root: string,
  places: { asked: string; suites: string[] }[],
  components: string,
  keyring: string,
): Promise<void> {
  for (const folder of ['state/lists/partial', 'cache/archives/partial', 'sources'])
    await fs.mkdir(path.join(root, folder), { recursive: true, mode: 0o700 });
  const sources = places.map(({ asked, suites }) =>
    [
      ...['Types: deb', `URIs: ${asked}`, `Suites: ${suites.join(' ')}`, `Components: ${components}`],
      ...[`Architectures: ${targetArch}`, `Signed-By: ${keyring}`, ''],
    ].join('\n'),
  );
  // A URL can carry a password.
  await fs.writeFile(path.join(root, 'sources/archive.sources'), sources.join('\n'), { mode: 0o600 });
  await fs.writeFile(path.join(root, 'status'), '');
  const netrc = path.join(homedir(), '.netrc');
  const hasNetrc = await fs.stat(netrc).then(
    () => true,
    () => false,
  );
  await fs.writeFile(
    path.join(root, 'apt.conf'),
    [
      // What this machine sets for packages of its own.
      '#clear APT::Architectures;',
      '#clear APT::Update::Pre-Invoke;',
      '#clear APT::Update::Post-Invoke;',
      '#clear APT::Update::Post-Invoke-Success;',
      '#clear Acquire::IndexTargets::deb::DEP-11;',
      '#clear Acquire::IndexTargets::deb::CNF;',
      `Dir "${root}/";`,
      'Dir::Etc::sourcelist "/dev/null";',
      `Dir::Etc::sourceparts "${root}/sources";`,
      'Dir::Etc::preferences "/dev/null";',
      'Dir::Etc::preferencesparts "/dev/null";',
      `Dir::Etc::netrc "${hasNetrc ? netrc : '/etc/apt/auth.conf'}";`,
      'Dir::Etc::netrcparts "/etc/apt/auth.conf.d";',
      `Dir::State "${root}/state";`,
      `Dir::State::status "${root}/status";`,
      `Dir::Cache "${root}/cache";`,
      `APT::Architecture "${targetArch}";`,
      `APT::Architectures { "${targetArch}"; };`,
      'APT::Default-Release "";',
      'APT::Install-Recommends "false";',
      'APT::Install-Suggests "false";',
      // Its other user may not read this folder.
      'APT::Sandbox::User "root";',
      'APT::Update::Error-Mode "any";',
      'Acquire::Languages "none";',
      'Acquire::ForceHash "SHA256";',
      '',
    ].join('\n'),
  );
}

/** Such as `'https://…/libc6_2.36-9%2bdeb12u14_amd64.deb' libc6_2.36-9+deb12u14_amd64.deb 2759320 SHA256:…`. */
function parseLine(line: string, places: { url: string; asked: string }[]): ArchivedPackage {
  const [, uri, file, sha256] = /^'([^']+)' (\S+) \d+ SHA256:([0-9a-f]{64})$/.exec(line) ?? [];
  const place = places.find(({ asked }) => uri?.startsWith(`${asked}/`));
  if (place === undefined) throw new BundleError(`apt-get named a package in words that this kit cannot read: ${line}`);
  const [name, version, architecture] = file
    .replace(/\.deb$/, '')
    .split('_')
    .map(decodeURIComponent);
  const url = `${place.url}${decodeURIComponent(uri.slice(place.asked.length))}`;
  return { name, version, architecture, url, sha256 };
}
