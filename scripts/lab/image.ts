/**
 * The lab's node image: Debian 12 from the distribution's packages, as files that libvirt boots directly.
 * Kept in the cache under a key made of everything that decides its content, and checked against its checksums at each use.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { cacheDir } from '../../components/cacheDir';
import { sha256OfFile } from '../engine/cache';
import { LabError, run } from './run';

export const imageRelease = 'bookworm';
/** A file system without a partition table: it grows with the disk in one step and is found by its label. */
export const imageRootLabel = 'sitewright-root';
/** Sparse; an overlay may be larger, and cloud-init grows the file system to it. */
export const imageDiskBytes = 10 * 1024 ** 3;

export const imagePackages = [
  'linux-image-cloud-amd64 systemd-sysv systemd-resolved libnss-resolve dbus udev kmod procps initramfs-tools e2fsprogs lz4',
  'cloud-init openssh-server sudo ca-certificates chrony jq fio',
  'iproute2 iputils-ping iputils-arping ethtool tcpdump iperf3 ncat socat nftables iptables ebtables ipset conntrack ipvsadm wireguard-tools haproxy keepalived',
].flatMap((line) => line.split(' '));

/**
 * `mitigations=off`: emulated processors have no speculation to guard, and the guards cost a tenth of their speed.
 * `tsc=reliable`: the kernel takes the counters of emulated processors for unsynchronised, which they are not, and would read the
 * clock from a device, under a lock that all processors share (four programs at once took half as long again).
 * `rw`: without a check of a file system that is as new as the machine, systemd need not mount it a second time.
 */
export const imageKernelArguments = `root=LABEL=${imageRootLabel} rw console=ttyS0,115200 mitigations=off tsc=reliable`;

export interface LabImageFile {
  /** Absolute. */
  path: string;
  sha256: string;
}

export interface LabImage {
  key: string;
  release: string;
  kernelVersion: string;
  /** qcow2, the backing file of every node's disk. */
  image: LabImageFile;
  kernel: LabImageFile;
  initrd: LabImageFile;
  kernelArgs: string;
}

const fileNames = { image: 'image.qcow2', kernel: 'vmlinuz', initrd: 'initrd.img' } as const;
type FileRole = keyof typeof fileNames;
const fileRoles = Object.keys(fileNames) as FileRole[];

/** Compiled code runs from bin/, where only .ts files have a twin. */
function sourceFile(name: string): string {
  return path.join(__dirname.replace(/([/\\])bin([/\\]scripts[/\\]lab)$/, '$2'), name);
}

/** The key: 16 hexadecimal digits over release, packages, disk size, kernel arguments and the set-up script. */
export function imageKey(setupScript: string): string {
  const recipe = { release: imageRelease, packages: imagePackages, imageDiskBytes, imageKernelArguments, setupScript };
  return createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 16);
}

async function readImage(directory: string): Promise<LabImage | undefined> {
  const text = await fs.readFile(path.join(directory, 'image.json'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as LabImage);
}

/** Which files of an image are not what they were when it was made. */
function damagedFiles(image: LabImage): string[] {
  const damaged: string[] = [];
  for (const role of fileRoles) {
    const { path: file, sha256 } = image[role];
    if (!existsSync(file) || sha256OfFile(file) !== sha256) damaged.push(file);
  }
  return damaged;
}

/**
 * Returns the image, making it when the cache has none or a damaged one (some 2 minutes, 500 MB, root needed).
 * An interrupted run leaves a `*.partial-<pid>` folder, which the next run removes.
 * @param progress told of each step, in words for a person
 */
export async function ensureImage(progress: (step: string) => void = () => undefined): Promise<LabImage> {
  const setupScript = await fs.readFile(sourceFile('image-setup.sh'), 'utf8');
  const key = imageKey(setupScript);
  const images = path.join(cacheDir(), 'lab-image');
  const directory = path.join(images, key);
  const cached = await readImage(directory);
  if (cached !== undefined) {
    const damaged = damagedFiles(cached);
    if (damaged.length === 0) return cached;
    progress(`lab image: ${damaged.join(', ')} changed since it was made; making the image again`);
    await fs.rm(directory, { recursive: true });
  }
  if (process.getuid?.() !== 0) throw new LabError('making the lab image needs root: run this with sudo', 2);
  await removePartials(images);
  const partial = `${directory}.partial-${process.pid}`;
  await fs.mkdir(partial, { recursive: true });
  try {
    const image = await makeImage(partial, directory, key, progress);
    await fs.writeFile(path.join(partial, 'image.json'), JSON.stringify(image, undefined, 2) + '\n');
    // The rename is what makes it an image: nobody ever sees half of one.
    await fs.rename(partial, directory).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
      // Another run was faster; its image is as good.
    });
    return (await readImage(directory)) ?? image;
  } finally {
    await fs.rm(partial, { recursive: true, force: true });
  }
}

async function removePartials(images: string): Promise<void> {
  for (const entry of await fs.readdir(images).catch(() => [])) {
    const pid = /\.partial-(\d+)$/.exec(entry)?.[1];
    if (pid === undefined) continue;
    const alive = await fs.access(`/proc/${pid}`).then(
      () => true,
      () => false,
    );
    if (alive) continue;
    // A killed mmdebstrap can leave the machine's /dev mounted in there: removing through it would remove the machine's.
    const mounts = (await fs.readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '');
    const below = mounts.filter((mount) => mount.startsWith(path.join(images, entry) + '/')).sort();
    for (const mount of below.reverse()) await run('umount', ['--lazy', mount]);
    await fs.rm(path.join(images, entry), { recursive: true, force: true });
  }
}

async function makeImage(
  partial: string,
  finalDirectory: string,
  key: string,
  progress: (step: string) => void,
): Promise<LabImage> {
  const root = path.join(partial, 'root');
  const raw = path.join(partial, 'root.raw');
  progress(`lab image: installing ${imagePackages.length} packages of Debian ${imageRelease}`);
  await run('mmdebstrap', mmdebstrapArguments(root), { timeoutMilliseconds: 30 * 60_000 });
  await run('sh', [sourceFile('image-setup.sh'), root], { timeoutMilliseconds: 5 * 60_000 });

  progress('lab image: writing the disk');
  await fs.writeFile(raw, '');
  await fs.truncate(raw, imageDiskBytes);
  await run('mke2fs', ['-q', '-t', 'ext4', '-L', imageRootLabel, '-m', '1', '-d', root, raw], {
    timeoutMilliseconds: 10 * 60_000,
  });
  await run('qemu-img', ['convert', '-O', 'qcow2', raw, path.join(partial, fileNames.image)], {
    timeoutMilliseconds: 10 * 60_000,
  });
  const boot = await fs.readdir(path.join(root, 'boot'));
  const kernel = boot.find((name) => name.startsWith('vmlinuz-'));
  const initrd = boot.find((name) => name.startsWith('initrd.img-'));
  if (kernel === undefined || initrd === undefined)
    throw new LabError(`the lab image has no kernel: ${boot.join(' ')}`);
  await fs.copyFile(path.join(root, 'boot', kernel), path.join(partial, fileNames.kernel));
  await fs.copyFile(path.join(root, 'boot', initrd), path.join(partial, fileNames.initrd));
  await fs.rm(raw);
  await fs.rm(root, { recursive: true });

  const file = (role: FileRole): LabImageFile => ({
    path: path.join(finalDirectory, fileNames[role]),
    sha256: sha256OfFile(path.join(partial, fileNames[role])),
  });
  return {
    key,
    release: imageRelease,
    kernelVersion: kernel.slice('vmlinuz-'.length),
    image: file('image'),
    kernel: file('kernel'),
    initrd: file('initrd'),
    kernelArgs: imageKernelArguments,
  };
}

export function mmdebstrapArguments(root: string): string[] {
  return [
    '--quiet',
    '--variant=minbase',
    '--format=directory',
    '--aptopt=Acquire::Languages "none"',
    '--aptopt=APT::Install-Recommends "false"',
    ...['man', 'locale', 'info', 'lintian'].map((folder) => `--dpkgopt=path-exclude=/usr/share/${folder}/*`),
    '--dpkgopt=path-exclude=/usr/share/doc/*',
    '--dpkgopt=path-include=/usr/share/doc/*/copyright',
    `--include=${imagePackages.join(',')}`,
    imageRelease,
    root,
    ...aptSources(),
  ];
}

/**
 * Where the packages come from: the sources of a host that runs the same release, so that its mirror is used here too.
 * Elsewhere none is named, and mmdebstrap takes the distribution's own servers.
 */
export function aptSources(): string[] {
  const host = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  if (!host.includes(`VERSION_CODENAME=${imageRelease}`) || !/^ID=debian$/m.test(host)) return [];
  return ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list']
    .filter((file) => existsSync(file))
    .slice(0, 1);
}
