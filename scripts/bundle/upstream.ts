import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { sha256OfFile } from '../../components/bundle/checksum';
import { lacking, packageIndex, wantedArtifacts } from '../../components/bundle/contents';
import { teamLockPath } from '../../components/bundle/find';
import { LOCK_SCHEMA_VERSION, type BundleArtifact, type BundleLock } from '../../components/bundle/lock';
import { BundleError, lockText, parseLock } from '../../components/bundle/parse';
import type { BundleManifest, BundlePlan } from '../../components/plan/clusterTypes';
import { writeAtomically } from '../engine/cache';
import { download, downloadsFolder, downloadText, type Mirror } from './download';
import { licenceOf } from './licences';
import { packageFiles } from './packages';
import { ensurePart, forgetPart, type Log, type MadePart, type Part } from './parts';
import { placeBundle, type PlacedBundle } from './place';
import { runProgram } from './program';
import { pullImage } from './registry';
import { publishedChecksum, releasesOf, type Release } from './releases';

export interface UpstreamOptions {
  /** Folder of bundles/, with the locks that the team has agreed on. */
  stacksDir: string;
  /** For files: a folder or a URL with `<host>/<path>` below it. */
  mirror: Mirror;
  /** For images: a registry, such as https://mirror.example.org/k8s, with the repositories below it. */
  registryMirror: string | null;
  /** Keyring that packages of distributions are signed with, where a mirror does not have those of the distribution. */
  archiveKey: string | null;
}

/**
 * Downloads what a plan wants from the projects' own releases. With a lock of the team, each file must be the lock's.
 * Without one, each file is held against the checksum that its project publishes beside it, each image against its digest,
 * and a lock is written for the team to keep.
 * @throws BundleError with every file that differs from the lock
 */
export async function buildFromUpstream(
  plan: BundlePlan,
  options: UpstreamOptions,
  log: Log,
): Promise<PlacedBundle & { newLock: string | null }> {
  const lockFile = teamLockPath(options.stacksDir, plan.name);
  const text = await fs.readFile(lockFile, 'utf8').catch(() => undefined);
  const agreed = text === undefined ? null : parseLock(text, lockFile);
  const missing = agreed === null ? [] : lacking(agreed, plan);
  if (missing.length > 0) {
    throw new BundleError(
      [`${lockFile} is not what the plan wants:`, ...missing.map((line) => `  ${line}`)].join('\n') +
        '\nRemove it and build again to make a new one.',
    );
  }

  const files = new Map<string, string>();
  const artifacts: BundleArtifact[] = [];
  const differences: string[] = [];
  const wanted = new Map(wantedArtifacts(plan).map((artifact) => [artifact.path, artifact]));
  /** Whether it is what the lock says. */
  const keep = (artifact: BundleArtifact, file: string): boolean => {
    const { path: artifactPath, sha256, source } = artifact;
    const expected = inLock(agreed, artifactPath)?.sha256 ?? sha256;
    files.set(artifactPath, file);
    artifacts.push(artifact);
    if (sha256 !== expected)
      differences.push(`  ${artifactPath}: expected sha256 ${expected}, ${source} gave ${sha256}`);
    return sha256 === expected;
  };
  const add = async (artifactPath: string, part: MadePart, name: string, source: string) => {
    const found = part.files[name];
    const artifact = { ...wanted.get(artifactPath)!, source, ...found, licence: licenceOf(artifactPath) };
    // The next run asks again: whoever gave the wrong bytes may have been put right.
    if (!keep(artifact, path.join(part.folder, name))) await forgetPart(part);
  };
  for (const release of releasesOf(plan)) {
    const part = await releaseFiles(release, agreed, options, log);
    for (const { path: artifactPath, member } of release.files) {
      const source = member === undefined ? release.url : `${release.url}#${member}`;
      await add(artifactPath, part, path.basename(artifactPath), source);
    }
  }
  for (const manifest of plan.manifests) {
    const part = await manifestFile(manifest, options, log);
    await add(`manifests/${manifest.name}`, part, manifest.name, manifest.url);
  }
  for (const packages of plan.packages) {
    const index = wanted.get(packageIndex(packages.distribution))!;
    const found = await packageFiles(packages, index, agreed, options, log);
    for (const { artifact, file } of found) keep(artifact, file);
  }
  for (const [name, reference] of Object.entries(plan.images)) {
    const part = await imageFile(name, reference, agreed, options, log);
    await add(`images/${name}.tar`, part, `${name}.tar`, `${reference}@${part.facts.digest}`);
  }
  if (differences.length > 0) {
    throw new BundleError([`what was downloaded is not what ${lockFile} pins:`, ...differences].join('\n'));
  }

  artifacts.sort((a, b) => (a.path < b.path ? -1 : 1));
  const lock = agreed ?? { schemaVersion: LOCK_SCHEMA_VERSION, name: plan.name, from: plan.from, artifacts };
  const placed = await placeBundle(lock, (artifact) => files.get(artifact)!, log);
  if (agreed === null) writeAtomically(lockFile, lockText(lock));
  return { ...placed, newLock: agreed === null ? lockFile : null };
}

const inLock = (lock: BundleLock | null, file: string) => lock?.artifacts.find((artifact) => artifact.path === file);

/** The files of a release. Without a lock only such as were once held against the project's own checksum. */
async function releaseFiles(
  release: Release,
  agreed: BundleLock | null,
  { mirror }: UpstreamOptions,
  log: Log,
): Promise<MadePart> {
  const { component, version, url, checksumUrl, files } = release;
  const part: Part = {
    name: `release-${component}`,
    recipe: { url, files },
    async make(out) {
      const fileName = path.basename(new URL(url).pathname);
      log(`${component} ${version}: downloading ${url}`);
      const downloads = downloadsFolder(url);
      const target = path.join(downloads, fileName);
      await download(url, target, log, { mirror });
      if (agreed === null) {
        const expected = publishedChecksum(await downloadText(checksumUrl, downloads, log, mirror), fileName);
        const found = await sha256OfFile(target);
        if (expected !== found) {
          await fs.rm(target);
          const said = expected === undefined ? 'has no checksum of it' : `says ${expected}`;
          throw new BundleError(`${url} has the sha256 ${found}, but ${checksumUrl} ${said}`);
        }
      }
      for (const { path: file, member } of files) {
        const own = path.join(out, path.basename(file));
        if (member === undefined) await fs.rename(target, own);
        else await extract(target, member, own);
      }
      await fs.rm(downloads, { recursive: true });
      return { heldAgainst: agreed === null ? 'published checksum' : 'lock' };
    },
  };
  const made = await ensurePart(part, log);
  if (agreed !== null || made.facts.heldAgainst === 'published checksum') return made;
  await forgetPart(made);
  return ensurePart(part, log);
}

/** A release manifest; the plan itself has its checksum, which no lock has to agree on. */
function manifestFile(
  { name, component, url, sha256 }: BundleManifest,
  { mirror }: UpstreamOptions,
  log: Log,
): Promise<MadePart> {
  return ensurePart(
    {
      name: `manifest-${component}`,
      recipe: { url, sha256 },
      async make(out) {
        log(`${component}: downloading ${url}`);
        const downloads = downloadsFolder(url);
        const target = path.join(downloads, name);
        await download(url, target, log, { mirror });
        const found = await sha256OfFile(target);
        if (found !== sha256) {
          await fs.rm(target);
          throw new BundleError(`${url} has the sha256 ${found}, but this kit was made for ${sha256}`);
        }
        await fs.rename(target, path.join(out, name));
        await fs.rm(downloads, { recursive: true });
        return {};
      },
    },
    log,
  );
}

/** Archives name their members with and without a leading dot. */
async function extract(archive: string, member: string, target: string): Promise<void> {
  const list = await runProgram('tar', ['--list', '--file', archive], { timeoutSeconds: 300 });
  const name = list.split('\n').find((line) => line.replace(/^\.\//, '') === member);
  if (name === undefined) throw new BundleError(`${path.basename(archive)} has no ${member}`);
  const folder = `${target}.extracted`;
  await fs.mkdir(folder);
  await runProgram('tar', ['--extract', '--file', archive, '--directory', folder, '--', name], { timeoutSeconds: 300 });
  await fs.rename(path.join(folder, name), target);
  await fs.rm(folder, { recursive: true });
}

/** An image as one archive: the one of the lock, or what its tag means now. */
async function imageFile(
  name: string,
  reference: string,
  agreed: BundleLock | null,
  { registryMirror }: UpstreamOptions,
  log: Log,
): Promise<MadePart> {
  const source = inLock(agreed, `images/${name}.tar`)?.source ?? '';
  const digest = /@(sha256:[0-9a-f]{64})$/.exec(source)?.[1] ?? null;
  const part: Part = {
    name: `image-${name}`,
    recipe: { reference },
    async make(out) {
      log(`pulling ${reference}`);
      const downloads = downloadsFolder(reference);
      const found = await pullImage(reference, digest, registryMirror, downloads, path.join(out, `${name}.tar`), log);
      await fs.rm(downloads, { recursive: true });
      return { digest: found };
    },
  };
  const made = await ensurePart(part, log);
  if (digest === null || made.facts.digest === digest) return made;
  await forgetPart(made);
  return ensurePart(part, log);
}
