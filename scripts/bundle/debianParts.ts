import { existsSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { PROGRAMS } from '../../components/bundle/contents';
import { BundleError } from '../../components/bundle/parse';
import { aptSources, imageRelease } from '../lab/image';
import { sourceFolder, targetArch } from './goParts';
import type { ImageFile } from './images';
import type { Log, Part } from './parts';
import { runProgram } from './program';

/** Programs of the container runtime by the package that they are from. */
const RUNTIME = { containerd: PROGRAMS.containerd, runc: PROGRAMS.runc };

/** What kube-proxy calls in one of its modes, and what whoever looks into its container needs. */
const PROXY_PACKAGES = ['busybox', 'conntrack', 'iproute2', 'ipset', 'iptables', 'kmod', 'nftables'];

/** What a pod is probed and looked into with, beside the packages of kube-proxy's root, which is the layer below. */
const TOOLBOX_PACKAGES = ['bash', 'iperf3', 'iputils-ping', 'python3-minimal', 'tcpdump'];

/** What calico-node runs and calls, or is linked with, and what it is looked into with, above the same root. */
const CALICO_PACKAGES = ['ethtool', 'libbpf1', 'libpcap0.8', 'runit', 'wireguard-tools'];

const TIMEOUT_SECONDS = 1800;

/** Where a package of the distribution is from, for the lock. */
export const debianSource = (name: string, version: string) => `Debian ${imageRelease} package ${name} ${version}`;

/**
 * containerd and runc as the distribution builds them: neither is made of Go modules that a registry has whole.
 * @param versions the upstream versions of the plan; another one in the distribution is an error
 */
export function runtimePart(versions: Record<keyof typeof RUNTIME, string>): Part {
  const packages = Object.keys(RUNTIME) as (keyof typeof RUNTIME)[];
  return {
    name: 'container-runtime',
    recipe: { release: imageRelease, arch: targetArch, programs: RUNTIME, versions },
    async make(out, log) {
      log(`containerd ${versions.containerd}, runc ${versions.runc}: unpacking packages of Debian ${imageRelease}`);
      const root = path.join(out, 'root.tar');
      const found = await unpackPackages(packages, root);
      for (const name of packages) {
        // Debian's version is the upstream one, then how it was repacked and patched: 1.6.20~ds1-1+deb12u3.
        if (found[name].split(/[-~+]/)[0] === versions[name]) continue;
        throw new BundleError(
          `the plan wants ${name} ${versions[name]}, Debian ${imageRelease} has ${found[name]}. ` +
            'The versions of a bundle from source are those of the distribution: update the kit, or build it --from upstream.',
        );
      }
      const folder = path.join(out, 'root');
      await fs.mkdir(folder);
      await runProgram('tar', ['--extract', '--file', root, '--directory', folder, './usr/bin', './usr/sbin'], {
        timeoutSeconds: TIMEOUT_SECONDS,
      });
      for (const program of Object.values(RUNTIME).flat()) {
        // Debian's runc is in sbin, and a link in bin leads there.
        const places = ['usr/sbin', 'usr/bin'].map((place) => path.join(folder, place, program));
        const place = places.find((file) => existsSync(file));
        if (place === undefined) throw new BundleError(`${program} is in no package of Debian ${imageRelease}`);
        await fs.copyFile(place, path.join(out, program));
      }
      await fs.rm(folder, { recursive: true });
      await fs.rm(root);
      return found;
    },
  };
}

const PROXY_ROOT_SCRIPT = path.join(path.dirname(sourceFolder), 'kube-proxy-root.sh');
const TOOLBOX_ROOT_SCRIPT = path.join(path.dirname(sourceFolder), 'toolbox-root.sh');
const CALICO_ROOT_SCRIPT = path.join(path.dirname(sourceFolder), 'calico-node-root.sh');

/** The root below kube-proxy in its image: root.tar. */
export async function proxyRootPart(): Promise<Part> {
  const script = PROXY_ROOT_SCRIPT;
  return {
    name: 'kube-proxy-root',
    recipe: {
      ...{ release: imageRelease, arch: targetArch, packages: PROXY_PACKAGES },
      script: await fs.readFile(script, 'utf8'),
    },
    async make(out, log: Log) {
      log(`kube-proxy's root: unpacking packages of Debian ${imageRelease}`);
      return unpackPackages(PROXY_PACKAGES, path.join(out, 'root.tar'), [`sh '${script}' "$1"`]);
    },
  };
}

/** What the toolbox has above kube-proxy's root, which its image shares with that of kube-proxy: root.tar. */
export const toolboxPart = (proxyRoot: ImageFile) =>
  upperPart({ name: 'toolbox', packages: TOOLBOX_PACKAGES, scripts: [TOOLBOX_ROOT_SCRIPT] }, proxyRoot);

/** What calico-node has above the same root: root.tar. `files` are those of the project's own image. */
export const calicoRootPart = (proxyRoot: ImageFile, files: { folder: string; recipe: unknown }) =>
  upperPart(
    {
      ...{ name: 'calico-node-root', packages: CALICO_PACKAGES, scripts: [TOOLBOX_ROOT_SCRIPT, CALICO_ROOT_SCRIPT] },
      files,
    },
    proxyRoot,
  );

interface Upper {
  name: string;
  packages: string[];
  /** Run in the root with $1 the root, $2 the list of files of the layer below, and $3 the folder of `files`. */
  scripts: string[];
  files?: { folder: string; recipe: unknown };
}

/** A layer above kube-proxy's root. */
async function upperPart({ name, packages: own, scripts, files }: Upper, proxyRoot: ImageFile): Promise<Part> {
  const packages = [...PROXY_PACKAGES, ...own];
  const all = [PROXY_ROOT_SCRIPT, ...scripts];
  return {
    name,
    recipe: {
      ...{ release: imageRelease, arch: targetArch, packages, below: proxyRoot.sha256 },
      scripts: await Promise.all(all.map((file) => fs.readFile(file, 'utf8'))),
      ...(files === undefined ? {} : { files: files.recipe }),
    },
    async make(out, log: Log) {
      log(`${name}: unpacking packages of Debian ${imageRelease}`);
      const below = path.join(out, 'below');
      const list = await runProgram('tar', ['--list', '--file', proxyRoot.path], { timeoutSeconds: TIMEOUT_SECONDS });
      const names = list.split('\n').filter((entry) => !entry.endsWith('/'));
      await fs.writeFile(below, names.map((entry) => `${entry}\0`).join(''));
      const hooks = all.map((script) => `sh '${script}' "$1" '${below}' '${files?.folder ?? ''}'`);
      const found = await unpackPackages(packages, path.join(out, 'root.tar'), hooks);
      await fs.rm(below);
      return found;
    },
  };
}

/** Headers and libraries that programs are linked with: root.tar. */
export function sysrootPart(): Part {
  const packages = ['libbpf-dev', 'libc6-dev', 'libelf-dev', 'libpcap-dev', 'zlib1g-dev'];
  // Linking reads nothing else, and a user who is not root cannot unpack every file of a system.
  const change = 'cd "$1" && rm -rf usr/share usr/bin usr/sbin bin sbin etc var';
  return {
    name: 'sysroot',
    recipe: { release: imageRelease, arch: targetArch, packages, change },
    async make(out, log) {
      log(`libraries of Debian ${imageRelease} to link with: unpacking packages`);
      return unpackPackages(packages, path.join(out, 'root.tar'), [change]);
    },
  };
}

/**
 * Unpacks packages with all they depend on into a tar archive, without running anything of theirs; gives their versions.
 * An apt of its own does it, with the distribution's keys: the machine's packages and lists stay as they are. The same
 * packages give the same bytes.
 * @param changes shell commands that change the unpacked root, which is their $1
 */
async function unpackPackages(
  packages: string[],
  tarFile: string,
  changes: string[] = [],
): Promise<Record<string, string>> {
  const versionsFile = `${tarFile}.versions`;
  const hooks = [
    `cd "$1/var/cache/apt/archives" && for deb in *.deb; do dpkg-deb --show "$deb"; done >'${versionsFile}'`,
    ...changes,
  ];
  await runProgram(
    'mmdebstrap',
    [
      ...['--quiet', '--variant=extract', '--format=tar', '--skip=output/dev', '--skip=output/mknod', '--skip=cleanup'],
      '--aptopt=Acquire::Languages "none"',
      '--aptopt=APT::Install-Recommends "false"',
      `--include=${packages.join(',')}`,
      ...hooks.map((hook) => `--extract-hook=${hook}`),
      imageRelease,
      tarFile,
      ...aptSources(),
    ],
    // Every time stamp later than this becomes this.
    { env: { SOURCE_DATE_EPOCH: '0' }, timeoutSeconds: TIMEOUT_SECONDS },
  );
  const lines = (await fs.readFile(versionsFile, 'utf8')).trim().split('\n');
  await fs.rm(versionsFile);
  const versions = Object.fromEntries(lines.map((line) => line.split('\t')));
  return Object.fromEntries(packages.map((name) => [name, versions[name]]));
}
