import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { targetArch } from '../../scripts/bundle/goParts';
import type { Publisher } from './publisher';

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');

export interface TestPackage {
  name: string;
  version: string;
  depends?: string;
  architecture?: string;
  copyright?: string;
}

/** Where a site says that it is. */
export const ARCHIVES = {
  archive: 'https://archive.example.org/debian',
  securityArchive: 'https://archive.example.org/debian-security',
};

/** An archive of Debian 12 with a key of its own, as the distribution lays it out. */
export class AptArchive {
  readonly folder = mkdtempSync(join(tmpdir(), 'sitewright-archive-'));
  readonly keyring = join(this.folder, 'archive.gpg');
  private readonly home = join(this.folder, 'gnupg');
  private readonly debs = new Map<string, Buffer>();

  constructor() {
    mkdirSync(this.home, { mode: 0o700 });
    this.gpg('--quick-generate-key', 'archive@example.org', 'ed25519', 'sign', 'never');
    writeFileSync(this.keyring, this.gpg('--export'));
  }

  remove(): void {
    execFileSync('gpgconf', ['--homedir', this.home, '--kill', 'all']);
    rmSync(this.folder, { recursive: true });
  }

  /** Where a package is, as a mirror has it. */
  static pool = ({ name, version, architecture = targetArch }: TestPackage) =>
    `archive.example.org/debian/pool/main/${name[0]}/${name}/${name}_${version.replace(/^\d+:/, '')}_${architecture}.deb`;

  /** Publishes these packages in the release, and nothing in its updates. */
  publish(publisher: Publisher, packages: TestPackage[]): void {
    const stanzas = packages.map((one) => {
      const place = AptArchive.pool(one);
      const deb = this.build(one);
      publisher.files.set(place, deb);
      const file = `Filename: ${place.replace('archive.example.org/debian/', '')}\nSize: ${deb.length}\nSHA256: ${sha256(deb)}\n`;
      return control(one) + file;
    });
    this.publishSuite(publisher, 'archive.example.org/debian', 'bookworm', stanzas.join('\n'));
    this.publishSuite(publisher, 'archive.example.org/debian', 'bookworm-updates', '');
    this.publishSuite(publisher, 'archive.example.org/debian-security', 'bookworm-security', '');
  }

  private publishSuite(publisher: Publisher, base: string, suite: string, text: string): void {
    const index = `main/binary-${targetArch}/Packages`;
    const release = [
      ...[
        'Origin: Debian',
        `Suite: ${suite}`,
        `Codename: ${suite}`,
        `Architectures: ${targetArch}`,
        'Components: main',
      ],
      ...[`Date: ${new Date().toUTCString()}`, 'SHA256:', ` ${sha256(text)} ${Buffer.byteLength(text)} ${index}`, ''],
    ].join('\n');
    writeFileSync(join(this.folder, 'Release'), release);
    publisher.files.set(
      `${base}/dists/${suite}/InRelease`,
      this.gpg('--clear-sign', '--output', '-', join(this.folder, 'Release')),
    );
    publisher.files.set(`${base}/dists/${suite}/${index}`, Buffer.from(text));
  }

  private gpg(...args: string[]): Buffer {
    return execFileSync('gpg', ['--homedir', this.home, '--batch', '--quiet', '--passphrase', '', ...args], {
      stdio: 'pipe',
    });
  }

  private build(one: TestPackage): Buffer {
    const key = JSON.stringify(one);
    const kept = this.debs.get(key);
    if (kept !== undefined) return kept;
    const root = mkdtempSync(join(this.folder, 'deb-'));
    mkdirSync(join(root, 'DEBIAN'));
    mkdirSync(join(root, 'usr/share/doc', one.name), { recursive: true });
    writeFileSync(join(root, 'DEBIAN/control'), control(one));
    writeFileSync(join(root, 'usr/share/doc', one.name, 'copyright'), one.copyright ?? 'free software\n');
    execFileSync('dpkg-deb', ['--root-owner-group', '--build', root, `${root}.deb`], { stdio: 'pipe' });
    const deb = readFileSync(`${root}.deb`);
    this.debs.set(key, deb);
    return deb;
  }
}

const control = ({ name, version, depends, architecture = targetArch }: TestPackage) =>
  [
    ...[
      `Package: ${name}`,
      `Version: ${version}`,
      `Architecture: ${architecture}`,
      'Maintainer: a test <a@example.org>',
    ],
    ...(depends === undefined ? [] : [`Depends: ${depends}`]),
    ...['Description: of a test', ''],
  ].join('\n');
