import type { NodeSpec, SiteSpec } from '../spec/schema';
import type { Addressing } from './address';
import { refuseDuplicates, type Findings } from './findings';
import { planSize } from './machineSize';
import type { KvmImagePlan, KvmMachinePlan, KvmPlan, MachinesPlan, SpecPath, SshPlan } from './types';
import { placementOf, planVsphere, VSPHERE_NIC_DRIVER } from './vsphere';
import type { VsphereMachinePlan } from './vsphereTypes';

type KvmSpec = NonNullable<SiteSpec['machines']['kvm']>;

/** Driver of the NIC that the kit gives a kvm machine, as `ethtool -i` names it. */
export const KVM_NIC_DRIVER = 'virtio_net';
const DRIVERS = { kvm: KVM_NIC_DRIVER, vsphere: VSPHERE_NIC_DRIVER, existing: null };
const MISSING = {
  kvm: 'machines.kvm is missing: provider kvm needs its hypervisors, image and network',
  vsphere: 'machines.vsphere is missing: provider vsphere needs its server, template, placements and networks',
};
/** Queues beyond this bring little, and each takes interrupts and memory of the host. */
const AUTO_QUEUES_AT_MOST = 8;

/** libvirt domains of all sites share one list of names; so do the volumes of a pool, which are named after the domain. */
export const domainName = (site: string, machine: string) => `${site}-${machine}`;

/** What the machines concern knows of one machine. */
export interface MachinePlan {
  ssh: SshPlan;
  kvm: KvmMachinePlan | null;
  vsphere: VsphereMachinePlan | null;
  driver: string | null;
  /** Host that runs it, where the site file says which; null: unknown. */
  host: string | null;
  sharesHostWith: string[];
}

export function planMachines(
  spec: SiteSpec,
  addressing: Addressing,
  findings: Findings,
): { plan: MachinesPlan; machines: MachinePlan[] } {
  checkControlPlane(spec, findings);
  const { provider } = spec.machines;
  const kvm = provider === 'kvm' ? spec.machines.kvm : undefined;
  const vsphere = provider === 'vsphere' ? spec.machines.vsphere : undefined;
  if (provider === 'existing') refuseKeysOfMakers(spec, findings);
  else if (!kvm && !vsphere) findings.error(['machines', provider], undefined, MISSING[provider]);

  const homes = spec.machines.nodes.map((node, index) => homeOf(node, index, spec, findings));
  const guests = guestsOf(spec, homes);
  const onVsphere = vsphere ? planVsphere(spec, vsphere, addressing, homes, findings) : null;
  const machines = spec.machines.nodes.map((node, index): MachinePlan => {
    const path = ['machines', 'nodes', index];
    const home = homes[index];
    return {
      ssh: planSsh(spec, node, path, findings),
      kvm: kvm ? planKvmMachine(spec, kvm, node, home ?? '', path, findings) : null,
      vsphere: onVsphere?.machines[index] ?? null,
      driver: DRIVERS[provider],
      host: onVsphere ? onVsphere.hosts[index] : home,
      sharesHostWith:
        onVsphere?.neighbours[index] ??
        (home === null ? [] : (guests.get(home) ?? []).filter((name) => name !== node.name)),
    };
  });
  if (kvm) {
    checkQueues(kvm, machines, findings);
    checkAntiAffinity(spec, kvm, homes, findings);
  }
  const { jump } = spec.machines.ssh;
  return {
    plan: {
      provider,
      jump: jump ? { host: jump.host, port: jump.port, user: jump.user, hostKey: jump.hostKey } : null,
      kvm: kvm ? planKvm(kvm, findings) : null,
      vsphere: onVsphere?.plan ?? null,
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
      `${node.name} gets its host key from the secrets of the site: with provider ${spec.machines.provider} leave ssh.hostKey out`,
    );
  }
  return {
    host: node.ssh?.host ?? node.addresses[0].split('/')[0],
    port: node.ssh?.port ?? 22,
    user: spec.machines.ssh.user,
    hostKey: existing ? hostKey : null,
  };
}

function refuseKeysOfMakers(spec: SiteSpec, findings: Findings): void {
  const refuse = (path: SpecPath, given: unknown) =>
    findings.error(
      path,
      given,
      `${String(path[path.length - 1])} is for machines that the kit makes: with provider existing leave it out`,
    );
  for (const maker of ['kvm', 'vsphere'] as const) {
    if (spec.machines[maker]) refuse(['machines', maker], undefined);
  }
  const sizes = ['cpus', 'memory', 'rootDisk', 'etcdDisk'] as const;
  for (const key of sizes) {
    const given = spec.machines.defaults[key];
    if (given !== undefined) refuse(['machines', 'defaults', key], given);
  }
  spec.machines.nodes.forEach((node, index) => {
    for (const key of ['hypervisor', 'bridge', 'placement', ...sizes] as const) {
      if (node[key] !== undefined) refuse(['machines', 'nodes', index, key], node[key]);
    }
  });
}

/** Hypervisor or placement of a machine, by name; null for machines that are not the kit's, and beside a finding. */
export function homeOf(node: NodeSpec, index: number, spec: SiteSpec, findings: Findings): string | null {
  const { provider } = spec.machines;
  if (provider === 'vsphere') return placementOf(node, index, spec, findings);
  const hypervisors = spec.machines.kvm?.hypervisors ?? [];
  if (provider !== 'kvm' || hypervisors.length === 0) return null;
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
  const size = planSize(spec, node, path, findings);
  return {
    hypervisor,
    attach: node.bridge !== undefined ? { bridge: node.bridge } : kvm.network,
    ...size,
    queues: kvm.queues === 'auto' ? Math.min(size.cpus, AUTO_QUEUES_AT_MOST) : kvm.queues,
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
