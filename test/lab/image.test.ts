import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { ensureImage, imageKey, imagePackages, mmdebstrapArguments } from '../../scripts/lab/image';
import { cacheDir } from '../../components/cacheDir';
import { speedFactorFrom } from '../../scripts/lab/accelerator';

describe('the key of the lab image', () => {
  it('is the same for the same recipe and another one for another set-up script', () => {
    expect(imageKey('a')).toBe(imageKey('a'));
    expect(imageKey('a')).not.toBe(imageKey('b'));
    expect(imageKey('a')).toMatch(/^[0-9a-f]{16}$/);
  });
});

describe('the recipe', () => {
  it('names every package once, and passes them in one list', () => {
    expect(new Set(imagePackages).size).toBe(imagePackages.length);
    expect(mmdebstrapArguments('/r')).toContain(`--include=${imagePackages.join(',')}`);
  });

  it('takes packages from where the host takes its own, and names no server itself', () => {
    expect(mmdebstrapArguments('/r').filter((argument) => argument.includes('://'))).toEqual([]);
  });
});

describe('an image in the cache', () => {
  const before = process.env.XDG_CACHE_HOME;
  let cache: string;
  beforeEach(async () => {
    cache = await fs.mkdtemp(path.join(os.tmpdir(), 'lab-image-'));
    process.env.XDG_CACHE_HOME = cache;
  });
  afterEach(async () => {
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
    jest.restoreAllMocks();
    await fs.rm(cache, { recursive: true });
  });

  async function plantImage(): Promise<string> {
    const key = imageKey(await fs.readFile('scripts/lab/image-setup.sh', 'utf8'));
    const directory = path.join(cacheDir(), 'lab-image', key);
    await fs.mkdir(directory, { recursive: true });
    // sha256 of "x"
    const sha256 = '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881';
    const file = (name: string) => ({ path: path.join(directory, name), sha256 });
    for (const name of ['image.qcow2', 'vmlinuz', 'initrd.img']) await fs.writeFile(path.join(directory, name), 'x');
    const image = { key, image: file('image.qcow2'), kernel: file('vmlinuz'), initrd: file('initrd.img') };
    await fs.writeFile(path.join(directory, 'image.json'), JSON.stringify(image));
    return directory;
  }

  it('is used as it is when its files are what they were', async () => {
    const directory = await plantImage();
    await expect(ensureImage()).resolves.toMatchObject({ image: { path: path.join(directory, 'image.qcow2') } });
  });

  it('is thrown away when a file has changed, and another user than root is told who can make it', async () => {
    const directory = await plantImage();
    await fs.writeFile(path.join(directory, 'vmlinuz'), 'y');
    jest.spyOn(process, 'getuid').mockReturnValue(1000);
    // The cache of another user lies elsewhere unless the environment says so, which it does here.
    await expect(ensureImage()).rejects.toThrow(/needs root/);
    await expect(fs.access(directory)).rejects.toThrow();
  });
});

describe('the speed factor', () => {
  it('grows with the time a test guest takes, and never shortens a limit', () => {
    expect(speedFactorFrom(2.1)).toBe(1);
    expect(speedFactorFrom(0.5)).toBe(1);
    expect(speedFactorFrom(4.2)).toBe(2);
  });
});
