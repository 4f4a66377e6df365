import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { BundlePlan } from '../../components/plan/clusterTypes';
import { parseReference } from '../../scripts/bundle/registry';
import { releasesOf } from '../../scripts/bundle/releases';

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');

/** The servers of every project on loopback: files as a mirror has them, and a registry that wants a token. */
export class Publisher {
  /** By path, such as dl.k8s.io/release/v1.36.1/… */
  readonly files = new Map<string, Buffer>();
  /** Manifests by name, blobs by digest: `<repository>/manifests/<tag>`. */
  readonly images = new Map<string, { type: string; body: Buffer }>();
  readonly requests: string[] = [];
  /** End of the path of a file or a layer whose connection breaks after half of its bytes, once. */
  breakOnce: string | null = null;
  /** End of the path of what the server is too busy for. */
  busy: string | null = null;
  /** Ends of paths of the registry; who asks for one finds that every token has become too old, once for each that is here. */
  readonly expired: string[] = [];
  private tokens = 0;
  private server!: Server;

  async start(): Promise<void> {
    this.server = createServer((request, response) => this.answer(request, response));
    await new Promise<void>((listening) => this.server.listen(0, '127.0.0.1', listening));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((closed) => this.server.close(closed));
  }

  /** Publishes everything that a plan wants. A program is its own name and the salt. */
  publish(plan: BundlePlan, salt = ''): void {
    for (const { url, checksumUrl, files } of releasesOf(plan)) {
      const body =
        files[0].member === undefined
          ? Buffer.from(`${files[0].path}${salt}`)
          : archive(files.map(({ member, path }) => ({ member: member!, text: `${path}${salt}` })));
      this.files.set(url.replace('https://', ''), body);
      const name = url.slice(url.lastIndexOf('/') + 1);
      this.files.set(
        checksumUrl.replace('https://', ''),
        Buffer.from(`${'0'.repeat(64)}  other\n${sha256(body)}  ${name}\n`),
      );
    }
    for (const reference of Object.values(plan.images)) this.publishImage(reference, salt);
  }

  private publishImage(reference: string, salt: string): void {
    const { repository, tag } = parseReference(reference);
    const put = (kind: string, name: string | null, type: string, text: string) => {
      const body = Buffer.from(text);
      const digest = `sha256:${sha256(body)}`;
      for (const key of [digest, name ?? digest]) this.images.set(`${repository}/${kind}/${key}`, { type, body });
      return { mediaType: type, digest, size: body.length };
    };
    const config = put('blobs', null, 'application/vnd.oci.image.config.v1+json', '{"os":"linux"}');
    const layer = put('blobs', null, 'application/vnd.oci.image.layer.v1.tar+gzip', `layer of ${repository}${salt}`);
    const manifests = ['amd64', 'arm64', 's390x'].map((architecture) => {
      const type = 'application/vnd.oci.image.manifest.v1+json';
      const text = JSON.stringify({ schemaVersion: 2, mediaType: type, config, layers: [layer], architecture });
      return { ...put('manifests', null, type, text), platform: { os: 'linux', architecture } };
    });
    const index = 'application/vnd.oci.image.index.v1+json';
    put('manifests', tag, index, JSON.stringify({ schemaVersion: 2, mediaType: index, manifests }));
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url!, this.url);
    this.requests.push(`${request.headers.range ?? ''} ${url.pathname}`.trim());
    if (url.pathname === '/token')
      return void response.end(JSON.stringify({ token: this.tokenFor(url.searchParams.get('scope')!) }));
    if (url.pathname.startsWith('/v2/')) return this.answerRegistry(url, request, response);
    const file = this.files.get(url.pathname.slice('/files/'.length));
    if (file === undefined) return void response.writeHead(404).end();
    this.give(file, {}, url, request, response);
  }

  private give(
    file: Buffer,
    headers: Record<string, string>,
    url: URL,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    if (this.busy !== null && url.pathname.endsWith(this.busy))
      return void response.writeHead(503, { 'retry-after': '1' }).end('busy');
    const etag = `"${sha256(file)}"`;
    const own = { ...headers, etag };
    if (this.breakOnce !== null && url.pathname.endsWith(this.breakOnce)) {
      this.breakOnce = null;
      response.writeHead(200, { ...own, 'content-length': file.length });
      response.write(file.subarray(0, file.length / 2), () => response.destroy());
      return;
    }
    const condition = request.headers['if-range'];
    const isSame = condition === undefined || condition === etag;
    const from = isSame ? Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0) : 0;
    const range = { 'content-range': `bytes ${from}-${file.length - 1}/${file.length}` };
    if (from >= file.length) return void response.writeHead(416, { 'content-range': `bytes */${file.length}` }).end();
    response.writeHead(from > 0 ? 206 : 200, from > 0 ? { ...own, ...range } : own).end(file.subarray(from));
  }

  private readonly tokenFor = (scope: string) => `${this.tokens} for ${scope}`;

  private answerRegistry(url: URL, request: IncomingMessage, response: ServerResponse): void {
    const path = url.pathname.slice('/v2/'.length);
    const scope = `repository:${path.replace(/\/(manifests|blobs)\/.*/, '')}:pull`;
    const at = this.expired.findIndex((end) => url.pathname.endsWith(end));
    if (at !== -1 && request.headers.authorization !== undefined) {
      this.expired.splice(at, 1);
      this.tokens += 1;
    }
    if (request.headers.authorization !== `Bearer ${this.tokenFor(scope)}`) {
      const challenge = `Bearer realm="${this.url}/token",service="registry",scope="${scope}"`;
      return void response.writeHead(401, { 'www-authenticate': challenge }).end('{}');
    }
    const found = this.images.get(path);
    if (found === undefined) return void response.writeHead(404).end('{}');
    this.give(found.body, { 'content-type': found.type }, url, request, response);
  }
}

function archive(members: { member: string; text: string }[]): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'sitewright-release-'));
  for (const { member, text } of members) {
    mkdirSync(join(folder, dirname(member)), { recursive: true });
    writeFileSync(join(folder, member), text, { mode: 0o755 });
  }
  execFileSync('tar', [
    '-czf',
    join(folder, 'release.tar.gz'),
    '-C',
    folder,
    ...members.map(({ member }) => `./${member}`),
  ]);
  const body = readFileSync(join(folder, 'release.tar.gz'));
  rmSync(folder, { recursive: true });
  return body;
}
