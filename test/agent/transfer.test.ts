import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { runRequest, type AgentRequest } from '../../components/agent/request';
import { LOCK_FILE } from '../../components/bundle/lock';
import { startSshd, type TestSshd } from '../ssh/sshd';

const sha256 = (text: string | Buffer) => createHash('sha256').update(text).digest('hex');
const site = { site: 'acme', stampId: '4b1d' };

let folder: string;
let server: TestSshd;
let steps: string[];
const cacheHome = process.env.XDG_CACHE_HOME;

/** A machine whose user is root, with a libvirt of stand-ins. The file `full` fills its disks. */
beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-transfer-'));
  process.env.XDG_CACHE_HOME = path.join(folder, 'cache');
  const program = (name: string, body: string) =>
    fs.writeFileSync(path.join(folder, 'programs', name), `#!/bin/bash\n${body}\n`, { mode: 0o755 });
  fs.mkdirSync(path.join(folder, 'programs'));
  program('id', 'echo 0');
  program('qemu-img', '');
  program('df', `if [ -e ${folder}/full ]; then echo h; echo x 1 1 4096 1; else exec /bin/df "$@"; fi`);
  program(
    'virsh',
    `case $* in *pool-dumpxml*) printf "<pool type='dir'>\\n    <path>${folder}/pool</path>\\n" ;; *pool-info*) echo 'State: running' ;; esac`,
  );
  server = await startSshd({ environment: { PATH: `${folder}/programs:${process.env.PATH}` } });
});
afterAll(async () => {
  await server?.stop();
  if (cacheHome === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = cacheHome;
  fs.rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  steps = [];
  for (const name of ['cache', 'pool', 'machine', 'full'])
    fs.rmSync(path.join(folder, name), { recursive: true, force: true });
  fs.mkdirSync(path.join(folder, 'pool'));
});

const bundles = () => path.join(folder, 'cache', 'sitewright', 'bundles');
const run = (request: AgentRequest) => runRequest(request, { onProgress: (step) => steps.push(step) });

/** A bundle in the cache, made of these files. */
function bundle(files: Record<string, string>): string {
  const artifacts = Object.entries(files).map(([path, text]) => ({
    path,
    kind: 'binary',
    component: 'kubernetes',
    version: '1.36.1',
    source: 'a test',
    sha256: sha256(text),
    sizeBytes: text.length,
    licence: 'Apache-2.0',
  }));
  artifacts.sort((a, b) => (a.path < b.path ? -1 : 1));
  const lock = JSON.stringify({ schemaVersion: 1, name: 'source-1.36.1', from: 'source', artifacts });
  const id = sha256(lock);
  for (const [file, text] of Object.entries({ ...files, [LOCK_FILE]: lock })) {
    fs.mkdirSync(path.dirname(path.join(bundles(), id, file)), { recursive: true });
    fs.writeFileSync(path.join(bundles(), id, file), text);
  }
  return id;
}

describe('copy-bundle', () => {
  const big = 'x'.repeat(3_000_000);
  const machine = (...parts: string[]) => path.join(folder, 'machine', ...parts);
  const request = (bundleId: string): AgentRequest => ({
    kind: 'copy-bundle',
    name: 'n1',
    target: server.target,
    bundleId,
    directory: machine(),
  });
  const copy = (bundleId: string) => run(request(bundleId));

  test('brings every file, programs executable, and nothing the second time', async () => {
    const id = bundle({ 'bin/kubeadm': big, 'images/etcd.tar': 'tar' });
    await expect(copy(id)).resolves.toEqual({ kind: 'bundle-copy', name: 'n1', sentFiles: 3 });
    expect(fs.readFileSync(machine(id, 'bin/kubeadm'), 'utf8')).toBe(big);
    expect(fs.statSync(machine(id, 'bin/kubeadm')).mode & 0o777).toBe(0o755);
    expect(fs.statSync(machine(id, 'images/etcd.tar')).mode & 0o777).toBe(0o644);
    expect(fs.readdirSync(machine())).toEqual([id]);
    await expect(copy(id)).resolves.toMatchObject({ sentFiles: 0 });
  });

  test('goes on with what an interrupted copy left, and never with a damaged file', async () => {
    const id = bundle({ 'bin/kubeadm': big, 'bin/kubectl': 'kubectl', 'bin/kubelet': 'kubelet' });
    fs.mkdirSync(machine(`${id}.partial`, 'bin'), { recursive: true });
    fs.writeFileSync(machine(`${id}.partial`, 'bin/kubeadm'), big);
    fs.writeFileSync(machine(`${id}.partial`, 'bin/kubectl'), 'half');
    fs.writeFileSync(machine(`${id}.partial`, 'bin/kubelet.incoming'), 'kube');
    await expect(copy(id)).resolves.toMatchObject({ sentFiles: 3 });
    expect(fs.readFileSync(machine(id, 'bin/kubectl'), 'utf8')).toBe('kubectl');
    expect(fs.readdirSync(machine(id, 'bin')).sort()).toEqual(['kubeadm', 'kubectl', 'kubelet']);
  });

  test('a file that was changed on the machine is copied again', async () => {
    const id = bundle({ 'bin/kubeadm': big, 'bin/kubectl': 'kubectl' });
    await copy(id);
    fs.writeFileSync(machine(id, 'bin/kubectl'), 'changed');
    await expect(copy(id)).resolves.toMatchObject({ sentFiles: 1 });
    expect(fs.readFileSync(machine(id, 'bin/kubectl'), 'utf8')).toBe('kubectl');
    expect(steps).toContain('the bundle on n1 was changed or damaged: what differs is copied again');
  });

  test('takes what has not changed from the bundle before, and keeps that one only', async () => {
    const ids = ['1', '2', '3'].map((version) => bundle({ 'bin/kubeadm': big, 'bin/kubectl': version }));
    await copy(ids[0]!);
    fs.utimesSync(machine(ids[0]!), 1, 1);
    await expect(copy(ids[1]!)).resolves.toMatchObject({ sentFiles: 2 });
    fs.utimesSync(machine(ids[1]!), 2, 2);
    await copy(ids[2]!);
    expect(fs.readdirSync(machine()).sort()).toEqual([ids[1]!, ids[2]!].sort());
    expect(fs.readFileSync(machine(ids[2]!, 'bin/kubeadm'), 'utf8')).toBe(big);
  });

  test('space is checked before anything is sent', async () => {
    fs.writeFileSync(path.join(folder, 'full'), '');
    const id = bundle({ 'bin/kubeadm': big });
    await expect(copy(id)).rejects.toThrow(/n1: .* has 1 MiB free, and the bundle needs 3 MiB more/);
    expect(fs.existsSync(machine(id))).toBe(false);
  });

  test('a bundle that was changed here is named by its file and never published there', async () => {
    const id = bundle({ 'bin/kubeadm': big, 'bin/kubectl': 'kubectl' });
    fs.writeFileSync(path.join(bundles(), id, 'bin/kubectl'), 'changed');
    await expect(copy(id)).rejects.toThrow(
      `bin/kubectl has the sha256 ${sha256('changed')} and not ${sha256('kubectl')}`,
    );
    fs.appendFileSync(path.join(bundles(), id, LOCK_FILE), ' ');
    await expect(copy(id)).rejects.toThrow(`${LOCK_FILE} has the sha256`);
    await expect(copy('ab'.repeat(32))).rejects.toThrow('build the bundle again');
    expect(fs.existsSync(machine(id))).toBe(false);
  });

  test('goes on over a new connection where one broke, without what had arrived', async () => {
    const id = bundle({ 'bin/kubeadm': big, 'bin/kubectl': 'kubectl', 'bin/kubelet': big });
    // Hangs up once, in the middle of a file.
    const cat = path.join(folder, 'programs', 'cat');
    fs.writeFileSync(
      cat,
      `#!/bin/bash\nif [ -e ${machine(`${id}.partial`, 'bin/kubectl')} ] && mkdir ${folder}/hung-up 2>/dev/null; then kill -9 $(ps -o ppid= $PPID); fi\nexec /bin/cat "$@"\n`,
      { mode: 0o755 },
    );
    try {
      await expect(copy(id)).resolves.toMatchObject({ sentFiles: 4 });
    } finally {
      fs.rmSync(cat);
    }
    expect(steps.some((step) => step.endsWith('goes on over a new connection'))).toBe(true);
    expect(fs.readFileSync(machine(id, 'bin/kubelet'), 'utf8')).toBe(big);
  });
});

describe('place-bundle-image', () => {
  const id = 'cd'.repeat(32);
  const iso = Buffer.alloc(2_500_000, 'iso');
  const placed = () => path.join(folder, 'pool', 'sitewright-bundle-cdcdcdcdcdcdcdcd.iso');
  const place = (isoSha256 = sha256(iso)) =>
    run({
      kind: 'place-bundle-image',
      name: 'hv1',
      target: server.target,
      hypervisor: { name: 'hv1', uri: 'qemu:///system', pool: 'default' },
      bundle: { id, isoSha256 },
      claim: site,
    });
  beforeEach(() => {
    fs.mkdirSync(bundles(), { recursive: true });
    fs.writeFileSync(path.join(bundles(), `${id}.iso`), iso);
  });

  test('brings the image into the pool once, and claims it', async () => {
    await expect(place()).resolves.toEqual({ kind: 'bundle-image', name: 'hv1', sentBytes: iso.length });
    expect(fs.readFileSync(placed()).equals(iso)).toBe(true);
    expect(fs.statSync(placed()).mode & 0o777).toBe(0o644);
    expect(fs.readdirSync(path.dirname(placed())).sort()).toEqual([
      '.sitewright-bundle-cdcdcdcdcdcdcdcd.iso.acme.4b1d',
      path.basename(placed()),
    ]);
    await expect(place()).resolves.toMatchObject({ sentBytes: 0 });
  });

  test('goes on where an earlier run stopped', async () => {
    fs.writeFileSync(`${placed()}.partial`, iso.subarray(0, 2_000_000));
    await expect(place()).resolves.toMatchObject({ sentBytes: 500_000 });
    expect(fs.readFileSync(placed()).equals(iso)).toBe(true);
  });

  test('an image with another checksum is never published, and the next run begins anew', async () => {
    fs.writeFileSync(`${placed()}.partial`, Buffer.alloc(2_000_000));
    await expect(place()).rejects.toThrow(/hv1: the image of the bundle .* build the bundle again/);
    expect(fs.existsSync(placed())).toBe(false);
    await expect(place()).resolves.toMatchObject({ sentBytes: iso.length });
  });

  test('a full pool is reported before anything is sent', async () => {
    fs.writeFileSync(path.join(folder, 'full'), '');
    await expect(place()).rejects.toThrow(
      'hv1: storage pool default is full: the bundle needs 2.4MiB, 4.0KiB are free',
    );
  });
});
