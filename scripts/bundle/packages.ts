import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { sha256OfFile } from '../../components/bundle/checksum';
import { packageIndex, packagePath, type WantedArtifact } from '../../components/bundle/contents';
import type { BundleArtifact, BundleLock } from '../../components/bundle/lock';
import { BundleError } from '../../components/bundle/parse';
import type { BundlePackages, Distribution } from '../../components/plan/clusterTypes';
import { resolvePackages, type ArchivedPackage } from './aptArchive';
import { packageLicence } from './debianLicences';
import { download, downloadsFolder, type Mirror } from './download';
import { licenceOf } from './licences';
import { ensurePart, type Log, type MadePart } from './parts';
import { runProgram } from './program';

/** A file of a bundle and where it lies now. */
export interface PackageFile {
  artifact: BundleArtifact;
  /** Absolute. */
  file: string;
}

interface PackageOptions {
  mirror: Mirror;
  archiveKey: string | null;
}

/** What an archive says of a file that it no longer has: all such are told together, and no other failure is like it. */
const GONE = /returned error: (404|410)|no file /;
const TIMEOUT_SECONDS = 300;

/**
 * The packages of one distribution and their index: those of the lock where there is one, otherwise what the archive has now.
 * @throws BundleError with every package that cannot be had or is not what it was
 */
export async function packageFiles(
  wanted: BundlePackages,
  index: WantedArtifact,
  lock: BundleLock | null,
  options: PackageOptions,
  log: Log,
): Promise<PackageFile[]> {
  const { distribution } = wanted;
  const found = lock === null ? await resolvePackages(wanted, options, log) : lockedPackages(lock, distribution);
  // In the order of a lock, whoever named them: the index must have the same bytes.
  const place = ({ name }: ArchivedPackage) => packagePath(distribution, name);
  const packages = found.sort((a, b) => (place(a) < place(b) ? -1 : 1));
  const parts: MadePart[] = [];
  const problems: string[] = [];
  for (const [at, one] of packages.entries()) {
    try {
      parts.push(await packagePart(distribution, one, `${at + 1} of ${packages.length}`, options, log));
    } catch (error) {
      if (!(error instanceof UnusablePackage)) throw error;
      problems.push(`  ${one.name} ${one.version}: ${error.message}`);
    }
  }
  if (problems.length > 0) {
    throw new BundleError(
      [
        `packages of ${distribution}${lock === null ? '' : ` that the lock of ${lock.name} pins`} cannot be had:`,
        ...problems,
        'An archive removes what it has newer versions of: name a --mirror that still has these, or ' +
          (lock === null ? 'build again.' : 'remove the lock and build again to pin what the archive has now.'),
      ].join('\n'),
    );
  }
  const files = packages.map(({ name, version, architecture, url }, at): PackageFile => {
    const [[file, facts]] = Object.entries(parts[at].files);
    return {
      artifact: {
        ...{ path: packagePath(distribution, name), kind: 'package', component: distribution, version },
        ...{ source: url, ...facts, licence: parts[at].facts.licence, architecture },
      },
      file: path.join(parts[at].folder, file),
    };
  });
  const made = await indexPart(distribution, files, parts, log);
  const [[file, facts]] = Object.entries(made.files);
  const source = 'the control files of the packages beside it';
  return [
    ...files,
    { artifact: { ...index, source, ...facts, licence: licenceOf(index.path) }, file: path.join(made.folder, file) },
  ];
}

const lockedPackages = (lock: BundleLock, distribution: Distribution): ArchivedPackage[] =>
  lock.artifacts
    .filter(({ kind, component }) => kind === 'package' && component === distribution)
    .map(({ path: place, version, architecture, source, sha256 }) => ({
      ...{ name: path.basename(place, '.deb'), version, architecture: architecture!, url: source, sha256 },
    }));

class UnusablePackage extends Error {}

function packagePart(
  distribution: Distribution,
  { name, version, url, sha256 }: ArchivedPackage,
  place: string,
  { mirror }: PackageOptions,
  log: Log,
): Promise<MadePart> {
  return ensurePart(
    {
      name: `package-${distribution}-${name}`,
      recipe: { url, sha256 },
      async make(out) {
        log(`${distribution}: downloading ${name} ${version} (${place})`);
        const downloads = downloadsFolder(url);
        const target = path.join(downloads, 'package.deb');
        await download(url, target, log, { mirror }).catch((error: Error) => {
          throw GONE.test(error.message) ? new UnusablePackage(error.message) : error;
        });
        const found = await sha256OfFile(target);
        if (found !== sha256) {
          await fs.rm(target);
          throw new UnusablePackage(`expected sha256 ${sha256}, ${url} gave ${found}`);
        }
        const own = path.join(out, 'package.deb');
        await fs.rename(target, own);
        await fs.rm(downloads, { recursive: true });
        return {
          control: await runProgram('dpkg-deb', ['--field', own], { timeoutSeconds: TIMEOUT_SECONDS }),
          licence: packageLicence(name, await copyrightOf(own, name)),
        };
      },
    },
    log,
  );
}

/** Empty where another package has it, to whose folder this one's is a link. */
function copyrightOf(file: string, name: string): Promise<string> {
  const script =
    'dpkg-deb --fsys-tarfile "$1" | tar --extract --to-stdout "./usr/share/doc/$2/copyright" 2>/dev/null || :';
  return runProgram('sh', ['-c', script, 'sh', file, name], { timeoutSeconds: TIMEOUT_SECONDS });
}

/** As apt reads it from a folder. The packages alone decide its bytes, so a lock gives the same ones everywhere. */
function indexPart(distribution: Distribution, files: PackageFile[], parts: MadePart[], log: Log): Promise<MadePart> {
  const stanzas = files.map(({ artifact }, at) => {
    const { path: place, sizeBytes, sha256 } = artifact;
    const own = `Filename: ./${path.basename(place)}\nSize: ${sizeBytes}\nSHA256: ${sha256}\n`;
    return `${parts[at].facts.control.trimEnd()}\n${own}`;
  });
  return ensurePart(
    {
      name: `packages-${distribution}`,
      recipe: { stanzas },
      async make(out) {
        await fs.writeFile(path.join(out, path.basename(packageIndex(distribution))), stanzas.join('\n'));
        return {};
      },
    },
    log,
  );
}
