import type { HypervisorSpec, NodeSpec, SiteSpec } from '../spec/schema';
import { sizeToBytes } from '../spec/units';
import { refuseDuplicates, type Findings } from './findings';
import type { KvmImagePlan, KvmMachinePlan, KvmPlan, MachinesPlan, SpecPath, SshPlan } from './types';

type KvmSpec = NonNullable<SiteSpec['machines']['kvm']>;

/** Driver of the NIC that the kit gives a kvm machine, as `ethtool -i` names it. */
export const KVM_NIC_DRIVER = 'virtio_net';
/** Queues beyond this bring little, and each takes interrupts and memory of the host. */
const AUTO_QUEUES_AT_MOST = 8;
/** kubeadm's preflight refuses a control plane with fewer. */
const CONTROL_PLANE_CPUS_AT_LEAST = 2;

/** libvirt domains of all sites share one list of names; so do the volumes of a pool, which are named after the domain. */
export const domainName = (site: string, machine: string) => `${site}-${machine}`;

/** What the machines concern knows of one machine. */
export interface MachinePlan {
  ssh: SshPlan;
  kvm: KvmMachinePlan | null;
  driver: string | null;
  sharesHostWith: string[];
}

export function planMachines(spec: SiteSpec, findings: Findings): { plan: MachinesPlan; machines: MachinePlan[] } {
  checkControlPlane(spec, findings);
  const { provider, kvm } = spec.machines;
  if (provider === 'existing') refuseKvmKeys(spec, findings);
  else if (!kvm)
    findings.error(
      ['machines', 'kvm'],
      undefined,
      'machines.kvm is missing: provider kvm needs its hypervisors, image and network',
    );

  const hypervisors = provider === 'kvm' ? (kvm?.hypervisors ?? []) : [];
  const homes = spec.machines.nodes.map((node, index) => homeOf(node, index, spec, hypervisors, findings));
  const guests = guestsOf(spec, homes);
  const machines = spec.machines.nodes.map((node, index): MachinePlan => {
    const path = ['machines', 'nodes', index];
    const home = homes[index];
    return {
      ssh: planSsh(spec, node, path, findings),
      kvm: provider === 'kvm' && kvm ? planKvmMachine(spec, kvm, node, home ?? '', path, findings) : null,
      driver: provider === 'kvm' ? KVM_NIC_DRIVER : null,
      sharesHostWith: home === null ? [] : (guests.get(home) ?? []).filter((name) => name !== node.name),
    };
  });
  if (kvm && provider === 'kvm') {
    checkQueues(kvm, machines, findings);
    checkAntiAffinity(spec, kvm, homes, findings);
  }
  const { jump } = spec.machines.ssh;
  return {
    plan: {
      provider,
      jump: jump ? { host: jump.host, port: jump.port, user: jump.user, hostKey: jump.hostKey } : null,
      kvm: provider === 'kvm' && kvm ? planKvm(kvm, findings) : null,
    },
    machines,
  };
}

/** An even number is a warning for machines that somebody else makes a cluster of; the kit's own cluster refuses it. */
function checkControlPlane(spec: SiteSpec, findings: Findings): void {
  const count = spec.machines.nodes.filter((node) => node.role === 'control-plane').length;
  const path = ['machines', 'nodes'];
  if (count === 0) {
    findings.error(path, undefined, 'no machine has role control-plane: a cluster needs at least one');
  } else if (count % 2 === 0 && spec.kubernetes.version === undefined) {
    findings.warning(
      path,
      undefined,
      `${count} control-plane machines survive no more failures than ${count - 1}: etcd needs a majority, so use an odd number`,
    );
  }
}

export function planSsh(spec: SiteSpec, node: NodeSpec, path: SpecPath, findings: Findings): SshPlan {
  const existing = spec.machines.provider === 'existing';
  const hostKey = node.ssh?.hostKey ?? null;
  if (existing && hostKey === null) {
    findings.error(
      [...path, 'ssh', 'hostKey'],
      undefined,
      `${node.name} needs ssh.hostKey: the first connection is checked too; take the line of ` +
        '/etc/ssh/ssh_host_ed25519_key.pub on its console',
    );
  }
  if (!existing && hostKey !== null) {
    findings.error(
      [...path, 'ssh', 'hostKey'],
      hostKey,
      `${node.name} gets its host key from the secrets of the site: with provider kvm leave ssh.hostKey out`,
    );
  }
  return {
    host: node.ssh?.host ?? node.addresses[0].split('/')[0],
    port: node.ssh?.port ?? 22,
    user: spec.machines.ssh.user,
    hostKey: existing ? hostKey : null,
  };
}

function refuseKvmKeys(spec: SiteSpec, findings: Findings): void {
  const refuse = (path: SpecPath, given: unknown) =>
    findings.error(
      path,
      given,
      `${String(path[path.length - 1])} is for machines that the kit makes: with provider existing leave it out`,
    );
  if (spec.machines.kvm) refuse(['machines', 'kvm'], undefined);
  const sizes = ['cpus', 'memory', 'rootDisk', 'etcdDisk'] as const;
  for (const key of sizes) {
    const given = spec.machines.defaults[key];
    if (given !== undefined) refuse(['machines', 'defaults', key], given);
  }
  spec.machines.nodes.forEach((node, index) => {
    for (const key of ['hypervisor', 'bridge', ...sizes] as const) {
      if (node[key] !== undefined) refuse(['machines', 'nodes', index, key], node[key]);
    }
  });
}

/** Name of the hypervisor of a machine; null for machines that are not the kit's, and beside a finding. */
export function homeOf(
  node: NodeSpec,
  index: number,
  spec: SiteSpec,
  hypervisors: HypervisorSpec[],
  findings: Findings,
): string | null {
  if (spec.machines.provider !== 'kvm' || hypervisors.length === 0) return null;
  const path = ['machines', 'nodes', index, 'hypervisor'];
  const names = () => hypervisors.map((hypervisor) => hypervisor.name).join(', ');
  if (node.hypervisor === undefined) {
    if (hypervisors.length === 1) return hypervisors[0].name;
    findings.error(path, undefined, `${node.name} needs a hypervisor: there are several, ${names()}`);
    return null;
  }
  if (hypervisors.some((hypervisor) => hypervisor.name === node.hypervisor)) return node.hypervisor;
  findings.error(
    path,
    node.hypervisor,
    `${node.hypervisor} is not in machines.kvm.hypervisors: choose one of ${names()}`,
  );
  return null;
}

function guestsOf(spec: SiteSpec, homes: (string | null)[]): Map<string, string[]> {
  const guests = new Map<string, string[]>();
  homes.forEach((home, index) => {
    if (home === null) return;
    const names = guests.get(home) ?? [];
    names.push(spec.machines.nodes[index].name);
    guests.set(home, names);
  });
  return guests;
}

function planKvmMachine(
  spec: SiteSpec,
  kvm: KvmSpec,
  node: NodeSpec,
  hypervisor: string,
  path: SpecPath,
  findings: Findings,
): KvmMachinePlan {
  const required = <T>(key: 'cpus' | 'memory' | 'rootDisk', value: T | undefined, otherwise: T, example: string): T => {
    if (value !== undefined) return value;
    findings.error(
      [...path, key],
      undefined,
      `${node.name} has no ${key}: state it for the machine or in machines.defaults, such as ${key}: ${example}`,
    );
    return otherwise;
  };
  const { defaults } = spec.machines;
  const cpus = required('cpus', node.cpus ?? defaults.cpus, 1, '2');
  if (
    node.role === 'control-plane' &&
    cpus < CONTROL_PLANE_CPUS_AT_LEAST &&
    (node.cpus ?? defaults.cpus) !== undefined
  ) {
    findings.warning(
      node.cpus === undefined ? ['machines', 'defaults', 'cpus'] : [...path, 'cpus'],
      cpus,
      `${cpus} is too few for ${node.name}: kubeadm refuses a control plane with fewer than ${CONTROL_PLANE_CPUS_AT_LEAST}`,
    );
  }
  if (node.role === 'worker' && node.etcdDisk !== undefined && node.etcdDisk !== 'none') {
    findings.error(
      [...path, 'etcdDisk'],
      node.etcdDisk,
      `${node.name} is a worker and only control-plane machines hold etcd: leave etcdDisk out`,
    );
  }
  const etcdDisk = node.role === 'control-plane' ? (node.etcdDisk ?? defaults.etcdDisk ?? 'none') : 'none';
  return {
    hypervisor,
    attach: node.bridge !== undefined ? { bridge: node.bridge } : kvm.network,
    cpus,
    memoryBytes: sizeToBytes(required('memory', node.memory ?? defaults.memory, '1B', '4GiB')),
    rootDiskBytes: sizeToBytes(required('rootDisk', node.rootDisk ?? defaults.rootDisk, '1B', '20GiB')),
    etcdDiskBytes: etcdDisk === 'none' ? null : sizeToBytes(etcdDisk),
    queues: kvm.queues === 'auto' ? Math.min(cpus, AUTO_QUEUES_AT_MOST) : kvm.queues,
  };
}

function checkQueues(kvm: KvmSpec, machines: MachinePlan[], findings: Findings): void {
  const fewest = Math.min(...machines.map((machine) => machine.kvm?.cpus ?? Infinity));
  if (kvm.queues === 'auto' || kvm.queues <= fewest) return;
  findings.warning(
    ['machines', 'kvm', 'queues'],
    kvm.queues,
    `${kvm.queues} queues are more than the ${fewest} CPUs of the smallest machine: virtio-net uses one per CPU at most; ` +
      'leave it out to have it computed',
  );
}

function checkAntiAffinity(spec: SiteSpec, kvm: KvmSpec, homes: (string | null)[], findings: Findings): void {
  if (kvm.antiAffinity === 'off') return;
  const controlPlane = homes.map((home, index) => (spec.machines.nodes[index].role === 'control-plane' ? home : null));
  for (const hypervisor of kvm.hypervisors) {
    const together = controlPlane.flatMap((home, index) => (home === hypervisor.name ? [index] : []));
    if (together.length < 2) continue;
    const names = together.map((index) => spec.machines.nodes[index].name).join(', ');
    findings.warning(
      ['machines', 'nodes', together[1], 'hypervisor'],
      spec.machines.nodes[together[1]].hypervisor,
      `${names} are control-plane machines on one hypervisor, ${hypervisor.name}: losing it can cost the majority of etcd; ` +
        'spread them, or set machines.kvm.antiAffinity to off',
    );
  }
}

function planKvm(kvm: KvmSpec, findings: Findings): KvmPlan {
  refuseDuplicates(
    kvm.hypervisors.map((item, index) => ({
      key: item.name,
      path: ['machines', 'kvm', 'hypervisors', index, 'name'],
      given: item.name,
      item,
    })),
    findings,
    (name) => `${name} is the name of another hypervisor too: give each its own`,
  );
  return {
    hypervisors: kvm.hypervisors.map((hypervisor) => ({
      name: hypervisor.name,
      connection:
        hypervisor.connection === 'local'
          ? 'local'
          : {
              host: hypervisor.connection.host,
              port: hypervisor.connection.port,
              user: hypervisor.connection.user,
              hostKey: hypervisor.connection.hostKey,
            },
      uri: hypervisor.uri,
      pool: hypervisor.pool,
      etcdPool: hypervisor.etcdPool ?? hypervisor.pool,
      domainType: hypervisor.domainType,
    })),
    image: planImage(kvm.image, findings),
    volumes: kvm.volumes,
    cpuMode: kvm.cpuMode,
    rxQueueSize: kvm.rxQueueSize,
    autostart: kvm.autostart,
  };
}

function planImage(image: KvmSpec['image'], findings: Findings): 'lab' | KvmImagePlan {
  if (image === 'lab') return 'lab';
  const path = ['machines', 'kvm', 'image'];
  if (image.path === undefined && image.url === undefined) {
    findings.error(
      path,
      undefined,
      'the image needs a path on the hypervisors or a url that they download: state one of them',
    );
  }
  if (image.path !== undefined && image.url !== undefined) {
    findings.error([...path, 'url'], image.url, 'the image has a path and a url: keep one of them');
  }
  const { kernel } = image;
  return {
    path: image.path ?? null,
    url: image.url ?? null,
    sha256: image.sha256,
    format: image.format,
    kernel: kernel
      ? {
          path: kernel.path,
          sha256: kernel.sha256,
          initrd: kernel.initrd,
          initrdSha256: kernel.initrdSha256,
          arguments: kernel.arguments,
        }
      : null,
  };
}
