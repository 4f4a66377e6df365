import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import type { BundleComponent, IngressImage } from '../../components/plan/clusterTypes';
import { packageRoot, usableGo } from '../engine/go';
import { isPatchSum, patchModules, readPatchSum, resolveModules } from './goModules';
import type { Log, Part } from './parts';
import { runProgram } from './program';

/** What is built from Go modules. */
export type GoComponent = Exclude<BundleComponent, 'containerd' | 'runc' | 'toolbox' | IngressImage>;

interface GoRecipe {
  /** Modules whose version is the component's. Empty: a program of the kit itself. */
  modules: string[];
  /** Versions of the modules where they are not the component's own, by the version of the component. */
  moduleVersions?: Record<string, string>;
  /** Packages by the name of the program. */
  programs: Record<string, string>;
  /** The same, of programs that are linked with libraries of the distribution. */
  linkedPrograms?: Record<string, string>;
  /** Variables that carry the version into the program, where the module does not carry it itself. */
  variables(version: string): Record<string, string>;
}

const kubernetes = (program: string) => `k8s.io/kubernetes/cmd/${program}`;
const cni = (plugin: string) => `github.com/containernetworking/plugins/plugins/${plugin}`;
const CALICO = 'github.com/projectcalico/calico';

const RECIPES: Record<GoComponent, GoRecipe> = {
  kubernetes: {
    modules: ['k8s.io/kubernetes'],
    programs: Object.fromEntries(
      [
        ...[
          'kubeadm',
          'kubelet',
          'kubectl',
          'kube-apiserver',
          'kube-controller-manager',
          'kube-scheduler',
          'kube-proxy',
        ],
      ].map((program) => [program, kubernetes(program)]),
    ),
    // As hack/lib/version.sh of Kubernetes sets them; without them the programs call themselves v0.0.0.
    variables: (version) => {
      const [major, minor] = version.split('.');
      const values = { gitVersion: `v${version}`, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
      const packages = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'];
      return Object.fromEntries(
        packages.flatMap((name) => Object.entries(values).map(([key, value]) => [`${name}.${key}`, value])),
      );
    },
  },
  etcd: {
    modules: ['go.etcd.io/etcd/server/v3', 'go.etcd.io/etcd/etcdctl/v3', 'go.etcd.io/etcd/etcdutl/v3'],
    programs: {
      etcd: 'go.etcd.io/etcd/server/v3',
      etcdctl: 'go.etcd.io/etcd/etcdctl/v3',
      etcdutl: 'go.etcd.io/etcd/etcdutl/v3',
    },
    variables: () => ({}),
  },
  coredns: {
    modules: ['github.com/coredns/coredns'],
    programs: { coredns: 'github.com/coredns/coredns' },
    variables: () => ({}),
  },
  'cni-plugins': {
    modules: ['github.com/containernetworking/plugins'],
    programs: {
      bridge: cni('main/bridge'),
      loopback: cni('main/loopback'),
      'host-local': cni('ipam/host-local'),
      portmap: cni('meta/portmap'),
      bandwidth: cni('meta/bandwidth'),
      tuning: cni('meta/tuning'),
    },
    variables: (version) => ({
      'github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion': `v${version}`,
    }),
  },
  'cri-tools': {
    modules: ['sigs.k8s.io/cri-tools'],
    programs: { crictl: 'sigs.k8s.io/cri-tools/cmd/crictl' },
    variables: (version) => ({ 'sigs.k8s.io/cri-tools/pkg/version.Version': version }),
  },
  calico: {
    modules: [CALICO],
    // Its releases are no Go modules. This is the commit of the release's branch, whose manifests are the release's.
    moduleVersions: { '3.28.5': '1.11.0-cni-plugin.0.20250813170300-a0db560f0520' },
    programs: { calico: `${CALICO}/cni-plugin/cmd/calico`, install: `${CALICO}/cni-plugin/cmd/install` },
    // Felix speaks to the kernel's BPF through libbpf; without it, it panics where another would use iptables.
    linkedPrograms: { 'calico-node': `${CALICO}/node/cmd/calico-node`, mountns: `${CALICO}/node/cmd/mountns` },
    variables: (version) => ({
      [`${CALICO}/node/pkg/lifecycle/startup.VERSION`]: `v${version}`,
      [`${CALICO}/node/buildinfo.GitVersion`]: `v${version}`,
      'main.VERSION': `v${version}`,
    }),
  },
  pause: {
    modules: [],
    programs: { pause: 'sitewright.dev/bundle/pause' },
    variables: (version) => ({ 'main.version': version }),
  },
};

/** go.mod and go.sum of each component, pinned at the version that the kit was tried with; `<version>.sum` of others. */
export const sourceFolder = path.join(packageRoot(__dirname), 'scripts/bundle/source');

const GOARCH: Partial<Record<NodeJS.Architecture, string>> = { x64: 'amd64', arm64: 'arm64' };
export const targetArch = GOARCH[process.arch] ?? process.arch;

/** Static, so that the programs run on any distribution. Nothing else of this machine's Go settings gets in. */
const BUILD_ENV = {
  ...{ CGO_ENABLED: '0', GOFLAGS: '', GOTOOLCHAIN: 'local', GOWORK: 'off' },
  ...{ GOOS: 'linux', GOARCH: targetArch, GOAMD64: 'v1', GOARM64: 'v8.0', GOEXPERIMENT: '', GOFIPS140: 'off' },
};
const BUILD_FLAGS = ['-trimpath', '-buildvcs=false', '-mod=readonly'];

/** Kubernetes takes 11 CPU minutes from nothing; a slow machine with a slow mirror gets ten times that. */
const BUILD_TIMEOUT_SECONDS = 7200;
const UNPACK_TIMEOUT_SECONDS = 600;
const PROGRESS_INTERVAL_MILLISECONDS = 5000;

/** Where a program of a component is from, for the lock. */
export function goSource(component: GoComponent, version: string, program: string): string {
  const { modules, programs, linkedPrograms } = RECIPES[component];
  const name = { ...programs, ...linkedPrograms }[program];
  const module = modules.find((one) => `${name}/`.startsWith(`${one}/`));
  return module === undefined
    ? `Go program of the kit: scripts/bundle/source/${component}`
    : `Go module ${module}@v${moduleVersion(RECIPES[component], version)}`;
}

/** The module of a component that has one, and its version. */
export function goModule(component: GoComponent, version: string): { module: string; version: string } {
  const recipe = RECIPES[component];
  return { module: recipe.modules[0], version: moduleVersion(recipe, version) };
}

const moduleVersion = ({ moduleVersions }: GoRecipe, version: string) => moduleVersions?.[version] ?? version;

/**
 * The programs of one component, each a file with its name.
 * @param sysroot headers and libraries of the distribution, as a tar archive, for a component that is linked with them
 */
export async function goPart(
  component: GoComponent,
  version: string,
  sysroot: { path: string; sha256: string } | null = null,
): Promise<Part> {
  const recipe = RECIPES[component];
  const folder = path.join(sourceFolder, component);
  const inputs = (await fs.readdir(folder)).filter((name) => !isPatchSum(name)).sort();
  const texts = await Promise.all(inputs.map((name) => fs.readFile(path.join(folder, name), 'utf8')));
  const goVersion = await usableGo(
    path.join(folder, 'go.mod'),
    'A bundle from source has',
    'build it on a machine that has Go',
  );
  const pinned = isPinned(recipe, version, texts[inputs.indexOf('go.mod')]);
  const patchSum = pinned ? null : await readPatchSum(folder, version);
  const linkFlags = linkerFlags(recipe.variables(version));
  return {
    name: component,
    recipe: {
      ...{ component, version, goVersion, env: BUILD_ENV, flags: BUILD_FLAGS, linkFlags, programs: recipe.programs },
      sources: pinned ? texts : patchSum === null ? 'resolved' : [...texts, patchSum],
      ...(sysroot === null
        ? {}
        : { linked: recipe.linkedPrograms, sysroot: sysroot.sha256, compiler: await compilerVersion() }),
    },
    async make(out, log) {
      log(`${component} ${version}: building from Go modules`);
      const modules = pinned ? folder : path.join(out, 'modules');
      const wanted = { component, version, ...recipe, folder: modules, env: BUILD_ENV };
      if (patchSum !== null) await patchModules(wanted, folder, patchSum);
      else if (!pinned) await resolveModules(wanted, log);
      await build(component, recipe.programs, modules, linkFlags, BUILD_ENV, out, log);
      if (sysroot !== null) {
        const root = path.join(out, 'sysroot');
        await fs.mkdir(root);
        const unpack = ['--extract', '--file', sysroot.path, '--directory', root];
        await runProgram('tar', unpack, { timeoutSeconds: UNPACK_TIMEOUT_SECONDS });
        await build(component, recipe.linkedPrograms ?? {}, modules, linkFlags, linkedEnv(root), out, log);
        await fs.rm(root, { recursive: true });
      }
      if (!pinned) await fs.rm(modules, { recursive: true });
      return {};
    },
  };
}

const isPinned = (recipe: GoRecipe, version: string, goMod: string) =>
  recipe.modules.every((module) =>
    goMod.split('\n').some((line) => ` ${line.trim()} `.includes(` ${module} v${moduleVersion(recipe, version)} `)),
  );

const compilerVersion = () => runProgram('gcc', ['-dumpfullversion'], { timeoutSeconds: 30 });

/**
 * The compiler is this machine's; headers and libraries are those of the distribution that is in the image as well, or
 * the program would ask for a C library that its image does not have.
 */
const linkedEnv = (root: string) => ({
  ...BUILD_ENV,
  CGO_ENABLED: '1',
  CC: `gcc --sysroot=${root}`,
  // Debian has the headers of libbpf in a folder of their own; "=" is the root.
  CGO_CFLAGS: '-O2 -g0 -I=/usr/include/bpf',
  CGO_CPPFLAGS: '',
  CGO_LDFLAGS: '',
});

const linkerFlags = (variables: Record<string, string>) =>
  ['-s', '-w', ...Object.entries(variables).map(([name, value]) => `-X ${name}=${value}`)].join(' ');

async function build(
  component: GoComponent,
  programs: Record<string, string>,
  folder: string,
  linkFlags: string,
  env: Record<string, string>,
  out: string,
  log: Log,
): Promise<void> {
  const packages = Object.values(programs);
  await runProgram('go', ['build', '-v', ...BUILD_FLAGS, '-ldflags', linkFlags, '-o', `${out}/`, ...packages], {
    cwd: folder,
    env,
    timeoutSeconds: BUILD_TIMEOUT_SECONDS,
    onLine: progress(component, log),
  });
  // Go names a program after the last part of its package that is no version: etcd's is "server".
  for (const [program, name] of Object.entries(programs)) {
    const built = name
      .split('/')
      .filter((piece) => !/^v\d+$/.test(piece))
      .pop()!;
    if (built !== program) await fs.rename(path.join(out, built), path.join(out, program));
  }
}

/** Go names each package when it has compiled it, and each module when it fetches it; a line every 5 s is enough. */
function progress(component: GoComponent, log: Log): (line: string) => void {
  const startMilliseconds = Date.now();
  let lastMilliseconds = startMilliseconds;
  let packages = 0;
  return (line) => {
    if (!line.startsWith('go: ')) packages += 1;
    if (Date.now() - lastMilliseconds < PROGRESS_INTERVAL_MILLISECONDS) return;
    lastMilliseconds = Date.now();
    const elapsedSeconds = Math.round((lastMilliseconds - startMilliseconds) / 1000);
    log(`${component}: ${packages} packages compiled, ${elapsedSeconds} s, now ${line}`);
  };
}
