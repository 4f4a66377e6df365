import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256OfFile } from '../../components/bundle/checksum';
import { LOCK_FILE } from '../../components/bundle/lock';
import { BundleError } from '../../components/bundle/parse';
import { imagePart } from '../../scripts/bundle/images';
import { ensurePart, type Part } from '../../scripts/bundle/parts';
import { cachedBundles } from '../../components/bundle/store';
import { placeBundle } from '../../scripts/bundle/place';
import { runProgram } from '../../scripts/bundle/program';
import { bundlePlan, lockOf } from './fixtures';

// Hashes, archives and disk images on a machine that has other things to do.

const before = process.env.XDG_CACHE_HOME;
let cache: string;
let lines: string[];
const log = (line: string) => void lines.push(line);
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'sitewright-parts-'));
  process.env.XDG_CACHE_HOME = cache;
  lines = [];
});
afterEach(() => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before;
  rmSync(cache, { recursive: true });
});
const partsFolder = () => join(cache, 'sitewright/bundle-parts');

describe('a part', () => {
  let made = 0;
  const part = (recipe: unknown, text = 'hello'): Part => ({
    name: 'greeting',
    recipe,
    async make(folder) {
      made += 1;
      writeFileSync(join(folder, 'hello'), text);
      return { version: '1' };
    },
  });
  beforeEach(() => (made = 0));

  test('is made once for one recipe, and its files and facts are kept', async () => {
    const first = await ensurePart(part('a'), log);
    expect(first.facts).toEqual({ version: '1' });
    expect(first.files).toEqual({ hello: { sha256: await sha256OfFile(join(first.folder, 'hello')), sizeBytes: 5 } });
    expect(await ensurePart(part('a'), log)).toEqual(first);
    expect(made).toBe(1);
    expect((await ensurePart(part('b'), log)).folder).not.toBe(first.folder);
    expect(made).toBe(2);
  });

  test('that was changed, or got a file more, is made again', async () => {
    const { folder } = await ensurePart(part('a'), log);
    writeFileSync(join(folder, 'hello'), 'hallo');
    await ensurePart(part('a'), log);
    expect(readFileSync(join(folder, 'hello'), 'utf8')).toBe('hello');
    writeFileSync(join(folder, 'more'), '');
    await ensurePart(part('a'), log);
    expect(made).toBe(3);
    expect(readdirSync(folder)).toEqual(['hello']);
  });

  test('that fails leaves nothing, and what a killed run left is removed', async () => {
    const failing = { ...part('a'), make: () => Promise.reject(new Error('no')) };
    await expect(ensurePart(failing, log)).rejects.toThrow('no');
    expect(readdirSync(partsFolder())).toEqual([]);
    const { folder } = await ensurePart(part('a'), log);
    rmSync(join(folder, '..'), { recursive: true });
    // No process has the highest number that the kernel gives out.
    const [alive, dead] = [process.ppid, 4194304].map((pid) => `${join(folder, '..')}.partial-${pid}`);
    for (const left of [alive, dead]) mkdirSync(left);
    await ensurePart(part('a'), log);
    expect([existsSync(alive), existsSync(dead)]).toEqual([true, false]);
  });
});

describe('an image', () => {
  async function build(seconds: number): Promise<string> {
    const program = join(cache, 'program');
    const root = join(cache, 'root.tar');
    writeFileSync(program, '#!program', { mode: 0o600 });
    utimesSync(program, seconds, seconds);
    if (!existsSync(root)) execFileSync('tar', ['-C', cache, '-cf', root, 'program']);
    const file = async (path: string) => ({ path, sha256: await sha256OfFile(path) });
    const part = imagePart('kube-proxy', 'example.org/kube-proxy:v1', [await file(program)], [await file(root)]);
    const { folder } = await ensurePart(part, log);
    expect(readdirSync(folder)).toEqual(['kube-proxy.tar']);
    return join(folder, 'kube-proxy.tar');
  }
  const read = (archive: string, member: string) => execFileSync('tar', ['-xOf', archive, member]);

  test('is an archive whose manifest leads to its layers, the root first', async () => {
    const archive = await build(1_000_000_000);
    const [manifest, ...others] = JSON.parse(read(archive, 'manifest.json').toString()) as [Record<string, string[]>];
    expect(others).toEqual([]);
    expect(manifest.RepoTags).toEqual(['example.org/kube-proxy:v1']);
    const config = JSON.parse(read(archive, String(manifest.Config)).toString());
    expect(config).toMatchObject({ os: 'linux', config: { Entrypoint: ['/usr/local/bin/kube-proxy'] } });
    const layers = manifest.Layers.map((member) => {
      const file = join(cache, 'layer.tar');
      writeFileSync(file, read(archive, member));
      return { file: member, listing: execFileSync('tar', ['-tvf', file]).toString() };
    });
    expect(config.rootfs.diff_ids).toEqual(layers.map(({ file }) => `sha256:${file.replace('.tar', '')}`));
    expect(await sha256OfFile(join(cache, 'layer.tar'))).toBe(layers[1].file.replace('.tar', ''));
    expect(layers[0].listing).toMatch(/ program$/m);
    // Root owns it, everybody may run it, and no build date is in it.
    expect(layers[1].listing).toMatch(/^-rwxr-xr-x 0\/0 +9 1970-01-01 00:00 usr\/local\/bin\/kube-proxy$/m);
  });

  test('without a program of its own is its layers, with a shell', async () => {
    const file = async (name: string) => {
      execFileSync('tar', ['-C', cache, '-cf', join(cache, `${name}.tar`), `${name}.txt`]);
      return { path: join(cache, `${name}.tar`), sha256: await sha256OfFile(join(cache, `${name}.tar`)) };
    };
    for (const name of ['lower', 'upper']) writeFileSync(join(cache, `${name}.txt`), name);
    const layers = [await file('lower'), await file('upper')];
    const part = imagePart('toolbox', 'example.org/toolbox:1', [], layers);
    const { folder } = await ensurePart(part, log);
    const archive = join(folder, 'toolbox.tar');
    const [manifest] = JSON.parse(read(archive, 'manifest.json').toString()) as [Record<string, string[]>];
    expect(manifest.Layers).toEqual(layers.map(({ sha256 }) => `${sha256}.tar`));
    const { config } = JSON.parse(read(archive, String(manifest.Config)).toString());
    expect(config).toMatchObject({ Cmd: ['/bin/bash'] });
    expect(config).not.toHaveProperty('Entrypoint');
  });

  test('with several programs and names for one of them runs what its recipe says', async () => {
    const file = async (name: string) => {
      writeFileSync(join(cache, name), `#!${name}`);
      return { path: join(cache, name), sha256: await sha256OfFile(join(cache, name)) };
    };
    const programs = [await file('install'), await file('calico')];
    const { folder } = await ensurePart(imagePart('calico-cni', 'example.org/cni:v1', programs, []), log);
    const archive = join(folder, 'calico-cni.tar');
    const [manifest] = JSON.parse(read(archive, 'manifest.json').toString()) as [Record<string, string[]>];
    const { config } = JSON.parse(read(archive, String(manifest.Config)).toString());
    expect(config.Cmd).toEqual(['/opt/cni/bin/install']);
    const layer = join(cache, 'layer.tar');
    writeFileSync(layer, read(archive, manifest.Layers[0]!));
    const listing = execFileSync('tar', ['-tvf', layer]).toString();
    for (const name of ['install', 'calico'])
      expect(listing).toMatch(new RegExp(`^-rwxr-xr-x .* opt/cni/bin/${name}$`, 'm'));
    expect(listing).toMatch(/^l.* opt\/cni\/bin\/calico-ipam -> calico$/m);
    expect(read(layer, 'opt/cni/bin/install').toString()).toBe('#!install');
  });

  test('of the same files is the same, whenever they were written', async () => {
    const first = await sha256OfFile(await build(1_000_000_000));
    rmSync(partsFolder(), { recursive: true });
    expect(await sha256OfFile(await build(1_700_000_000))).toBe(first);
  });
});

describe('a bundle that is put together', () => {
  const lock = lockOf(bundlePlan());
  const place = () => {
    const files = join(cache, 'made');
    for (const { path } of lock.artifacts) {
      mkdirSync(join(files, path, '..'), { recursive: true });
      writeFileSync(join(files, path), path);
    }
    return placeBundle(lock, (path) => join(files, path), log);
  };

  test('has its lock, its name and an ISO image with everything in it', async () => {
    const { id, folder, isoPath, kept } = await place();
    expect(kept).toBe(false);
    expect(id).toBe(await sha256OfFile(join(folder, LOCK_FILE)));
    expect(await cachedBundles().idOf('source-1.36.1')).toBe(id);
    expect(await cachedBundles().find(id)).toEqual({ lock, problems: [] });
    const listed = execFileSync('xorriso', ['-indev', isoPath, '-find', '/', '-type', 'f', '-exec', 'lsdl'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const files = [...listed.matchAll(/^(\S+).*'\/(.*)'$/gm)].map(([, mode, path]) => `${mode} ${path}`);
    expect(files).toHaveLength(lock.artifacts.length + 1);
    expect(files).toEqual(
      expect.arrayContaining(['-r-xr-xr-x bin/kubeadm', '-r--r--r-- images/kube-controller-manager.tar']),
    );
    expect(execFileSync('file', ['-b', isoPath]).toString()).toContain("'SITEWRIGHT'");
  });

  test('is the same to the last byte when it is put together again, and kept where it is whole', async () => {
    const first = await place();
    const iso = await sha256OfFile(first.isoPath);
    expect((await place()).kept).toBe(true);
    rmSync(cachedBundles().folder, { recursive: true });
    expect((await place()).id).toBe(first.id);
    rmSync(first.isoPath);
    for (const entry of ['', 'bin', 'bin/kubeadm']) utimesSync(join(first.folder, entry), 1_000_000_000, 1_000_000_000);
    await place();
    expect(await sha256OfFile(first.isoPath)).toBe(iso);
  });

  test('is mended where a byte was changed', async () => {
    const { id, folder, isoPath } = await place();
    writeFileSync(join(folder, 'bin/runc'), 'bin/runC');
    writeFileSync(isoPath, 'x');
    expect((await place()).kept).toBe(false);
    expect(lines.join('\n')).toMatch(/bundle source-1.36.1 was changed and is put together again: bin\/runc: expected/);
    expect(await cachedBundles().isoProblems(id)).toEqual([]);
  });
});

describe('a program that is run', () => {
  test('gives its output, and its lines as they come', async () => {
    const args = ['-c', 'echo one; echo two >&2; printf three'];
    expect(await runProgram('sh', args, { timeoutSeconds: 10, onLine: log })).toBe('one\nthree');
    expect(lines.sort()).toEqual(['one', 'three', 'two']);
  });

  test('that fails or is not there says so for a person', async () => {
    const failing = runProgram('sh', ['-c', 'echo why >&2; exit 3'], { timeoutSeconds: 10 });
    await expect(failing).rejects.toThrow(/^sh: Command failed with exit code 3[^]*why/);
    await expect(failing).rejects.toBeInstanceOf(BundleError);
    await expect(runProgram('no-such-program', [], { timeoutSeconds: 1 })).rejects.toThrow(/no-such-program is needed/);
  });
});
