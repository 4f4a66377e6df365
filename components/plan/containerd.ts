import { posix } from 'node:path';
import { CNI_CONFIGURATION_FILE, CNI_PLUGIN_FOLDER, CRI_SOCKET } from './clusterPaths';
import type { BundlePlan, ContainerdPlan } from './clusterTypes';
import { componentVersion, containerdConfigVersion } from './versions';

/** Folder of hosts.toml files: mirrors, credentials and certificates of registries, read without a restart. */
export const REGISTRY_CONFIG_FOLDER = '/etc/containerd/certs.d';
const CNI_CONFIGURATION_FOLDER = posix.dirname(CNI_CONFIGURATION_FILE);
const SOCKET_FILE = CRI_SOCKET.replace(/^unix:\/\//, '');

/**
 * The whole config.toml. Only what differs from containerd's defaults, or must not follow them: cgroups by systemd, as
 * kubelet has them; the pause image of the bundle, pinned, or the garbage collector removes what nobody can pull again;
 * the folder for registries. Layouts: docs/cri/config.md of containerd 1.6 and 2.3.
 */
export function planContainerd(bundle: BundlePlan): ContainerdPlan {
  const version = componentVersion(bundle, 'containerd');
  const configVersion = containerdConfigVersion(version);
  return {
    version,
    configVersion,
    toml: configVersion === 2 ? versionTwo(bundle) : versionThree(bundle, configVersion),
  };
}

/** First line of every file of containerd that is the kit's: what no longer has a place in the plan is known by it. */
export const CONTAINERD_HEAD = '# Made by sitewright. Edits are undone by the next preparation of this node.\n';

const HEAD = (version: number) =>
  `${CONTAINERD_HEAD}version = ${version}

root = "/var/lib/containerd"
state = "/run/containerd"
# The kernel takes a pod before the runtime of all pods.
oom_score = -999
`;

function versionTwo({ images }: BundlePlan): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return `${HEAD(2)}
[grpc]
  address = "${SOCKET_FILE}"

[${cri}]
  sandbox_image = "${images.pause}"
  # A pod may ping and bind ports below 1024 without privileges, as containerd 2 has it by default.
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true

  [${cri}.containerd]
    default_runtime_name = "runc"

    [${cri}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [${cri}.containerd.runtimes.runc.options]
        SystemdCgroup = true

  [${cri}.cni]
    bin_dir = "${CNI_PLUGIN_FOLDER}"
    conf_dir = "${CNI_CONFIGURATION_FOLDER}"

  [${cri}.registry]
    config_path = "${REGISTRY_CONFIG_FOLDER}"
`;
}

/** Version 4 has the layout of version 3, except that the servers are plugins too. */
function versionThree({ images }: BundlePlan, version: 3 | 4): string {
  const server = version === 3 ? 'grpc' : `plugins.'io.containerd.server.v1.grpc'`;
  const [image, runtime] = [`plugins.'io.containerd.cri.v1.images'`, `plugins.'io.containerd.cri.v1.runtime'`];
  // bin_dirs came with 2.1; 2.0 still wants bin_dir, and no bundle of this kit has 2.0.
  return `${HEAD(version)}
[${server}]
  address = "${SOCKET_FILE}"

[${image}]
  [${image}.pinned_images]
    sandbox = "${images.pause}"

  [${image}.registry]
    config_path = "${REGISTRY_CONFIG_FOLDER}"

[${runtime}]
  [${runtime}.containerd]
    default_runtime_name = "runc"

    [${runtime}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [${runtime}.containerd.runtimes.runc.options]
        SystemdCgroup = true

  [${runtime}.cni]
    bin_dirs = ["${CNI_PLUGIN_FOLDER}"]
    conf_dir = "${CNI_CONFIGURATION_FOLDER}"
`;
}
