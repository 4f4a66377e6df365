import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { program, until } from '../plugins/kubernetes/apiServer';
import { smallCluster } from '../plan/clusterSite';
import { planOf } from '../plan/site';

/** The real containerd of the source bundle, on folders of its own, with what the plan writes for it. */
const containerd = program('container-runtime', 'containerd');
const LOGIN = 'puller:correct horse';
const REGISTRY = 'registry.acme.example:5000';
let folder: string;
let server: Server;
let child: ChildProcess;
const asked: string[] = [];
const at = (name: string) => join(folder, name);
const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });

const plan = (registries: object[]) =>
  planOf(smallCluster({ kubernetes: { version: '1.36.1' }, more: { artifacts: { from: 'source' }, registries } }))
    .cluster!;
const onThisMachine = (text: string) => text.replaceAll(/\/(etc|var\/lib|run)\/containerd/g, `${folder}/$1`);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'containerd-'));
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  openssl('req', '-x509', ...key, '-subj', '/CN=acme', '-keyout', 'ca.key', '-out', 'ca.crt');
  openssl(
    ...['req', '-x509', ...key, '-CA', 'ca.crt', '-CAkey', 'ca.key', '-subj', '/CN=mirror'],
    ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', 'server.key', '-out', 'server.crt'],
  );
  await serveImage();
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { containerd: config, registries } = plan([
    { name: REGISTRY, mirrors: [`${url}/v2/acme`], ca: readFileSync(at('ca.crt'), 'utf8') },
  ]);
  writeFileSync(at('config.toml'), onThisMachine(config.toml));
  for (const registry of registries) {
    const target = onThisMachine(registry.folder);
    mkdirSync(target, { recursive: true });
    writeFileSync(join(target, 'hosts.toml'), onThisMachine(registry.hostsToml));
    writeFileSync(join(target, 'ca.crt'), registry.ca!);
  }
  child = spawn(containerd, ['--config', at('config.toml')], { stdio: 'ignore' });
  await until('containerd', () => crictl('info').status === 0);
});
afterAll(async () => {
  if (child !== undefined && child.exitCode === null) {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill();
    await gone;
  }
  server?.closeAllConnections();
  server?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** One image of one empty layer, for who logs in. */
async function serveImage(): Promise<void> {
  const blobs = new Map<string, Buffer>();
  const put = (body: Buffer) => {
    const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`;
    blobs.set(digest, body);
    return { digest, size: body.length };
  };
  const layer = Buffer.alloc(1024);
  const layerType = 'application/vnd.oci.image.layer.v1.tar';
  const layerBlob = put(layer);
  const config = put(
    Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        config: {},
        rootfs: { type: 'layers', diff_ids: [layerBlob.digest] },
      }),
    ),
  );
  const type = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: type,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
      layers: [{ mediaType: layerType, ...layerBlob }],
    }),
  );
  const { digest } = put(manifest);
  server = createServer(
    { cert: readFileSync(at('server.crt')), key: readFileSync(at('server.key')) },
    (request, response) => {
      const path = request.url!.split('?')[0];
      asked.push(path);
      if (request.headers.authorization !== `Basic ${Buffer.from(LOGIN).toString('base64')}`) {
        response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="acme"' }).end();
        return;
      }
      const last = path.slice(path.lastIndexOf('/') + 1);
      const body = path.includes('/manifests/') ? manifest : blobs.get(last);
      if (body === undefined) response.writeHead(404).end();
      else {
        const isManifest = path.includes('/manifests/');
        response.writeHead(200, {
          'Content-Type': isManifest ? type : 'application/octet-stream',
          'Content-Length': body.length,
          ...(isManifest ? { 'Docker-Content-Digest': digest } : {}),
        });
        response.end(request.method === 'HEAD' ? undefined : body);
      }
    },
  );
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
}

const socket = () => `unix://${at('run/containerd.sock')}`;
// Not spawnSync: the registry answers in this process.
const crictl = (...args: string[]) =>
  spawnSync(program('cri-tools', 'crictl'), ['--runtime-endpoint', socket(), '--image-endpoint', socket(), ...args], {
    encoding: 'utf8',
  });
const pull = (...args: string[]) =>
  new Promise<{ code: number | null; text: string }>((resolve) => {
    const words = ['--runtime-endpoint', socket(), '--image-endpoint', socket(), '--timeout', '60s', 'pull', ...args];
    const child = spawn(program('cri-tools', 'crictl'), words);
    let text = '';
    child.stdout.on('data', (data) => (text += data));
    child.stderr.on('data', (data) => (text += data));
    child.on('close', (code) => resolve({ code, text }));
  });

test('takes the planned configuration as it is', () => {
  const dump = execFileSync(containerd, ['--config', at('config.toml'), 'config', 'dump'], { encoding: 'utf8' });
  expect(dump).toMatch(/^version = 2$/m);
  expect(dump).toContain(`config_path = "${folder}/etc/certs.d"`);
  expect(dump).toContain('SystemdCgroup = true');
  const status = JSON.parse(crictl('info', '-o', 'json').stdout) as { config: { sandboxImage: string } };
  expect(status.config.sandboxImage).toBe('bundle.sitewright.internal/pause:3.10.2');
});

test('pulls from the mirror instead of the registry, by its authority, with the log-in that kubelet hands over', async () => {
  const image = `${REGISTRY}/team/app:1`;
  const refused = await pull(image);
  expect(refused.code).not.toBe(0);
  asked.length = 0;
  await expect(pull('--creds', LOGIN, image)).resolves.toEqual({
    code: 0,
    text: expect.stringContaining('up to date'),
  });
  expect(asked).toContain('/v2/acme/team/app/manifests/1');
  expect(asked.filter((path) => !path.startsWith('/v2/acme/'))).toEqual([]);
  expect(crictl('images').stdout).toContain(`${REGISTRY}/team/app`);
});
