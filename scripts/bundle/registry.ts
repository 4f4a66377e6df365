import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { sha256OfFile } from '../../components/bundle/checksum';
import { BundleError } from '../../components/bundle/parse';
import { curl, download, HttpError, quoted } from './download';
import { targetArch } from './goParts';
import { deterministicTar } from './images';
import type { Log } from './parts';

/**
 * Container images from a registry, by the OCI distribution specification: the manifest of this platform, its
 * configuration and its layers, byte for byte as the registry has them and each held against its digest.
 */

const INDEXES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];
const MANIFESTS = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  platform?: { os: string; architecture: string };
}

interface Place {
  /** Such as https://registry.k8s.io/v2/coredns/coredns */
  url: string;
  reference: string;
  /** Headers of the requests; a registry asks for a token first, and for another one when that is too old. */
  headers: string[];
}

/**
 * Pulls an image into an OCI archive that `ctr images import` reads. The same manifest gives the same archive.
 * @param digest of the manifest, such as sha256:…; null takes what the tag means now
 * @param mirror registry in place of the reference's own, such as https://mirror.example.org/k8s
 * @param downloads folder where an interrupted pull is gone on with
 * @returns the digest of the manifest
 */
export async function pullImage(
  reference: string,
  digest: string | null,
  mirror: string | null,
  downloads: string,
  archive: string,
  log: Log,
): Promise<string> {
  const { host, repository, tag } = parseReference(reference);
  const base = mirror === null ? `https://${host}` : mirror.replace(/\/+$/, '');
  const { origin, pathname } = new URL(base);
  const prefix = pathname === '/' ? '' : pathname.slice(1) + '/';
  const place: Place = { url: `${origin}/v2/${prefix}${repository}`, reference, headers: [] };
  const layout = path.join(downloads, 'layout');
  await fs.mkdir(path.join(layout, 'blobs/sha256'), { recursive: true });

  let found = await fetchManifest(place, digest ?? tag, layout);
  if (INDEXES.includes(found.descriptor.mediaType)) {
    const all = (found.body as { manifests: Descriptor[] }).manifests;
    const mine = all.find(({ platform }) => platform?.os === 'linux' && platform.architecture === targetArch);
    if (mine === undefined) throw new BundleError(`${reference} has no image for linux/${targetArch}`);
    await fs.rm(blobFile(layout, found.descriptor.digest));
    found = await fetchManifest(place, mine.digest, layout);
  }
  const { config, layers } = found.body as { config: Descriptor; layers: Descriptor[] };
  for (const blob of [config, ...layers]) {
    const file = blobFile(layout, blob.digest);
    if (await isBlob(file, blob.digest)) continue;
    await admitted(place, () => download(`${place.url}/blobs/${blob.digest}`, file, log, { headers: place.headers }));
    if (await isBlob(file, blob.digest)) continue;
    await fs.rm(file);
    throw new BundleError(`${reference}: the registry gave other bytes than ${blob.digest}`);
  }
  const annotations = { 'io.containerd.image.name': reference, 'org.opencontainers.image.ref.name': tag };
  const index = { schemaVersion: 2, manifests: [{ ...found.descriptor, annotations }] };
  await fs.writeFile(path.join(layout, 'index.json'), JSON.stringify(index));
  await fs.writeFile(path.join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  const digests = [
    ...new Set([found.descriptor, config, ...layers].map((blob) => blob.digest.replace(':', '/'))),
  ].sort();
  const members = ['oci-layout', 'index.json', ...digests.map((blob) => `blobs/${blob}`)];
  await deterministicTar(layout, members, archive);
  return found.descriptor.digest;
}

export function parseReference(reference: string): { host: string; repository: string; tag: string } {
  const parts = /^([^/]+)\/(.+):([^:/]+)$/.exec(reference);
  if (parts === null) throw new BundleError(`${reference}: an image reference has a registry, a repository and a tag`);
  return { host: parts[1], repository: parts[2], tag: parts[3] };
}

const blobFile = (layout: string, digest: string) => path.join(layout, 'blobs', digest.replace(':', '/'));

const isBlob = async (file: string, digest: string) =>
  /^sha256:[0-9a-f]{64}$/.test(digest) && `sha256:${await sha256OfFile(file).catch(() => '')}` === digest;

async function fetchManifest(
  place: Place,
  name: string,
  layout: string,
): Promise<{ descriptor: Descriptor; body: unknown }> {
  const body = path.join(layout, 'manifest');
  const answer = await admitted(place, () => request(place, `${place.url}/manifests/${name}`, body));
  const digest = `sha256:${await sha256OfFile(body)}`;
  if (name.startsWith('sha256:') && name !== digest) {
    throw new BundleError(`${place.reference}: expected the manifest ${name}, the registry gave ${digest}`);
  }
  const text = await fs.readFile(body, 'utf8');
  const parsed = JSON.parse(text) as { mediaType?: string };
  const mediaType = parsed.mediaType ?? answer.contentType;
  if (![...INDEXES, ...MANIFESTS].includes(mediaType)) {
    throw new BundleError(`${place.reference}: the registry gave a manifest of the unknown type ${mediaType}`);
  }
  await fs.rename(body, blobFile(layout, digest));
  return { descriptor: { mediaType, digest, size: Buffer.byteLength(text) }, body: parsed };
}

/** Asks; where the registry wants a token, or one that is newer, once more with that. Later requests carry it as well. */
async function admitted<T>(place: Place, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof HttpError) || error.status !== 401) throw error;
    place.headers = [`Authorization: Bearer ${await token(place, error.headers)}`];
    return ask();
  }
}

async function request(place: Place, url: string, body: string): Promise<{ contentType: string }> {
  const accept = `header = ${quoted(`Accept: ${[...INDEXES, ...MANIFESTS].join(', ')}`)}`;
  const headersFile = `${body}.headers`;
  const answer = await curl([
    ...['location', 'netrc-optional', 'connect-timeout = 30', 'max-time = 120', 'retry = 3', accept],
    ...place.headers.map((line) => `header = ${quoted(line)}`),
    ...[`dump-header = ${quoted(headersFile)}`, `output = ${quoted(body)}`, `url = ${quoted(url)}`],
    'write-out = "%{http_code} %{content_type}"',
  ]).catch((error: Error) => {
    throw new BundleError(`${place.reference}: ${url}: ${error.message.split('\n').pop()}`);
  });
  const [status, contentType] = answer.split(' ');
  const headers = await fs.readFile(headersFile, 'utf8');
  await fs.rm(headersFile);
  if (status === '200') return { contentType: contentType.split(';')[0] };
  throw new HttpError(`${place.reference}: ${url}: HTTP status ${status}`, Number(status), headers);
}

async function token({ reference }: Place, headers: string): Promise<string> {
  const challenge = /^www-authenticate: *bearer +(.*)$/im.exec(headers)?.[1] ?? '';
  const { realm, ...query } = Object.fromEntries(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]),
  );
  if (realm === undefined) throw new BundleError(`${reference}: the registry wants credentials; give them in ~/.netrc`);
  const url = `${realm}?${new URLSearchParams(query).toString()}`;
  const answer = await curl(['fail', 'location', 'netrc-optional', 'max-time = 60', `url = ${quoted(url)}`]);
  const { token, access_token } = JSON.parse(answer) as { token?: string; access_token?: string };
  return token ?? access_token ?? '';
}
