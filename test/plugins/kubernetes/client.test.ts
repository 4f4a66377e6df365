import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiClient } from '../../../scripts/plugins/kubernetes/client';
import type { Connection } from '../../../scripts/plugins/kubernetes/kubeconfig';

/** What an API server answers while it starts, which a real one does for a moment only. */

const folder = mkdtempSync(join(tmpdir(), 'sitewright-client-'));
let server: Server;
let client: ApiClient;
let answers: Record<string, number[]> = {};
let asked: string[] = [];

beforeAll(async () => {
  const [key, cert] = [join(folder, 'key'), join(folder, 'cert')];
  const names = ['-subj', '/CN=test', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
  execFileSync('openssl', [...request, ...names, '-keyout', key, '-out', cert], { stdio: 'pipe' });
  const certificate = readFileSync(cert, 'utf8');
  server = createServer({ key: readFileSync(key), cert: certificate }, (incoming, response) => {
    asked.push(incoming.url!);
    const [status = 200, ...later] = answers[incoming.url!] ?? [];
    answers[incoming.url!] = later;
    response.writeHead(status).end(status === 200 ? '{}' : JSON.stringify({ message: 'pods is forbidden' }));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  client = new ApiClient({ server: url, caCertificate: certificate } as Connection);
});
beforeEach(() => {
  answers = {};
  asked = [];
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const pods = () => client.request(new AbortController().signal, 'GET', '/pods');

test('what a starting server forbids is asked again until it is ready', async () => {
  answers = { '/pods': [403, 403, 403], '/readyz': [403, 500] };
  await expect(pods()).resolves.toMatchObject({ body: {} });
  expect(asked.filter((path) => path === '/pods')).toHaveLength(4);
});

test('what a ready server forbids is told', async () => {
  answers = { '/pods': [403, 403, 403] };
  await expect(pods()).rejects.toThrow('pods is forbidden');
  // Once more: it may have become ready between the two answers.
  expect(asked).toEqual(['/pods', '/pods', '/readyz']);
});
