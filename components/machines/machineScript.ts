import { domainName } from '../plan/machines';
import type { KvmImagePlan, KvmPlan, NodePlan } from '../plan/types';
import { baseImageVariables, stampVariables, STORE_BASES } from './baseImageScript';
import type { SiteBundle } from './bundle';
import { BUNDLE_DISK_XML, BUNDLE_FUNCTIONS } from './bundleDisk';
import {
  bundleVariables,
  REMOVE_UNUSED_BUNDLES,
  STORE_BUNDLE_FROM_CACHE,
  STORE_BUNDLE_OVER_SSH,
} from './bundleImageScript';
import { cloudInitSeed, seedOfNode, type SeedSettings } from './cloudInit';
import { CACHED_ACCESS, DIRECT_ACCESS, domainXml, EMULATED_CPU_FEATURES, type HypervisorFacts } from './domainXml';
import { hypervisorScript, hypervisorVariables, type ShellValue } from './hypervisorScript';
import { MACHINE_FUNCTIONS, MACHINE_MAIN } from './machineSteps';

/** One machine of a site on its hypervisor: everything that its scripts are made of. */
export interface MachineScriptSettings {
  site: string;
  stampId: string;
  node: NodePlan;
  kvm: KvmPlan;
  image: KvmImagePlan;
  seed: Pick<SeedSettings, 'authorizedKey' | 'hostKey'>;
  /** Null: the machine has no disk for one. */
  bundle: SiteBundle | null;
}

/** The planned part of a KVM machine. Throws for a node that was planned for another provider. */
export function kvmParts({ node, kvm }: Pick<MachineScriptSettings, 'node' | 'kvm'>) {
  const machine = node.kvm;
  const hypervisor = kvm.hypervisors.find(({ name }) => name === machine?.hypervisor);
  const mac = node.interface.mac;
  if (machine === null || hypervisor === undefined || mac === null) {
    throw new Error(`${node.name} has no plan of a KVM machine`);
  }
  return { machine, hypervisor, mac };
}

/**
 * Values that only the hypervisor knows; the script puts them in. Known beforehand are the domain type and the CPU mode where
 * the site states them.
 */
const PLACEHOLDERS: HypervisorFacts = {
  uuid: '@uuid@',
  domainType: '@domainType@',
  cpuMode: '@cpuMode@',
  rootFile: '@rootFile@',
  rootAccess: { cache: '@rootCache@', io: '@rootIo@' },
  etcdFile: '@etcdFile@',
  etcdAccess: { cache: '@etcdCache@', io: '@etcdIo@' },
  seedFile: '@seedFile@',
  kernelFile: '@kernelFile@',
  initrdFile: '@initrdFile@',
  configuration: '@configuration@',
};

/** Disk images are made of whole sectors. */
const SECTOR_BYTES = 512;
const wholeSectors = (bytes: number) => Math.ceil(bytes / SECTOR_BYTES) * SECTOR_BYTES;

/** The largest MTU of virtio-net. */
const VIRTIO_MAX_MTU_BYTES = 65535;

/**
 * One byte above the guest's MTU: to prove that a packet of one byte more does not pass, the guest's interface is raised by
 * one, and virtio-net refuses to rise above the host's side (seen: "mtu greater than device maximum").
 */
export const hostMtuBytes = (guestMtuBytes: number) => Math.min(guestMtuBytes + 1, VIRTIO_MAX_MTU_BYTES);

/**
 * Makes one machine, completes a half-made one, or changes it in place. Idempotent; run again after a kill at any point
 * it ends with the same domain and the same volumes. The order is what makes that so: the domain, which carries the stamp,
 * is defined before its volumes exist and undefined after they are gone; each volume appears whole under its name.
 */
export function machineScript(settings: MachineScriptSettings): string {
  const { site, stampId, node, kvm, image } = settings;
  const { machine, hypervisor, mac } = kvmParts(settings);
  const isLocal = hypervisor.connection === 'local';
  const domain = domainName(site, node.name);
  const xml = domainXml(
    {
      domain,
      stamp: { site, machine: node.name, hypervisor: hypervisor.name, id: stampId },
      cpus: machine.cpus,
      memoryBytes: machine.memoryBytes,
      mac,
      hostMtuBytes: hostMtuBytes(node.interface.mtuBytes),
      attach: machine.attach,
      queues: machine.queues,
      rxQueueSize: kvm.rxQueueSize,
      hasEtcdDisk: machine.etcdDiskBytes !== null,
      kernelArguments: image.kernel?.arguments ?? null,
    },
    PLACEHOLDERS,
  );
  const seed = cloudInitSeed({
    ...settings.seed,
    instanceId: PLACEHOLDERS.uuid,
    ...seedOfNode(node),
  });
  return hypervisorScript({
    variables: {
      ...identityVariables(settings),
      ...baseImageVariables(image),
      ...bundleVariables(settings.bundle),
      bundleDisk: settings.bundle === null ? '' : BUNDLE_DISK_XML,
      volumes: kvm.volumes,
      rootBytes: wholeSectors(machine.rootDiskBytes),
      etcdBytes: machine.etcdDiskBytes === null ? '' : wholeSectors(machine.etcdDiskBytes),
      domainType: hypervisor.domainType,
      cpuMode: kvm.cpuMode,
      emulatedCpuFeatures: EMULATED_CPU_FEATURES,
      bridge: 'bridge' in machine.attach ? machine.attach.bridge : '',
      libvirtNetwork: 'libvirtNetwork' in machine.attach ? machine.attach.libvirtNetwork : '',
      mac,
      hostMtuBytes: hostMtuBytes(node.interface.mtuBytes),
      autostart: kvm.autostart ? 'yes' : 'no',
      directCache: DIRECT_ACCESS.cache,
      directIo: DIRECT_ACCESS.io,
      cachedCache: CACHED_ACCESS.cache,
      cachedIo: CACHED_ACCESS.io,
      domainXml: xml,
      metaData: seed.metaData,
      networkConfig: seed.networkConfig,
      userData: seed.userData,
    },
    functions: [
      OWNERSHIP_FUNCTIONS,
      STORE_BASES,
      ...(settings.bundle === null ? [] : [isLocal ? STORE_BUNDLE_FROM_CACHE : STORE_BUNDLE_OVER_SSH]),
      REMOVE_UNUSED_BUNDLES,
      BUNDLE_FUNCTIONS,
      MACHINE_FUNCTIONS,
      MACHINE_MAIN,
    ],
    readFrom: 'stdin',
    usesCache: isLocal && settings.bundle !== null,
  });
}

/** Removes the machine and everything that was made for it, when it carries this state's stamp. */
export function machineDeleteScript(settings: IdentitySettings): string {
  return hypervisorScript({
    variables: identityVariables(settings),
    functions: [OWNERSHIP_FUNCTIONS, DELETE_MAIN],
    readFrom: 'argument',
  });
}

type IdentitySettings = Omit<MachineScriptSettings, 'seed' | 'image' | 'bundle'>;

function identityVariables(settings: IdentitySettings): Record<string, ShellValue> {
  const { site, stampId, node } = settings;
  const { machine, hypervisor } = kvmParts(settings);
  return {
    ...hypervisorVariables(hypervisor),
    etcdPool: machine.etcdDiskBytes === null ? hypervisor.pool : hypervisor.etcdPool,
    ...stampVariables(site, stampId),
    machine: node.name,
    domain: domainName(site, node.name),
  };
}

const OWNERSHIP_FUNCTIONS = `
# read_domain: sets existing (its configuration, or nothing), stampSite, stampMachine and stampId.
read_domain() {
  local metadata
  existing=$(vir dumpxml --inactive "$domain" 2>/dev/null) || existing=
  metadata=$(stamp_of "$domain")
  stampSite=$(attribute site "$metadata")
  stampMachine=$(attribute machine "$metadata")
  stampId=$(attribute stamp "$metadata")
}

is_ours() { [ "$stampSite" = "$site" ] && [ "$stampMachine" = "$machine" ] && [ "$stampId" = "$stamp" ]; }

inspect_pools() {
  inspect_pool "$pool"
  etcdPoolDirectory=$poolDirectory
  if [ "$etcdPool" != "$pool" ]; then
    local rootPoolDirectory=$poolDirectory
    inspect_pool "$etcdPool"
    etcdPoolDirectory=$poolDirectory
    poolDirectory=$rootPoolDirectory
  fi
}
# Only for the lists of other tools; a pool that is busy shows the change at its next refresh.
refresh_pools() {
  local each
  for each in "$pool" "$etcdPool"; do vir pool-refresh "$each" >/dev/null 2>&1 || true; done
}

volume_files() {
  rootFile=$poolDirectory/$domain-root.qcow2
  seedFile=$poolDirectory/$domain-seed.iso
  etcdFile=$etcdPoolDirectory/$domain-etcd.raw
}
`;

const DELETE_MAIN = `
main() {
  local file left=()
  require_libvirt
  inspect_pools
  if [ -d "$poolDirectory" ]; then lock_pool "$poolDirectory"; fi
  volume_files
  read_domain
  if [ -n "$existing" ] && ! is_ours; then
    step "leaves $domain on $hypervisor alone: it does not carry the stamp of this state"
    return 0
  fi
  if [ -z "$existing" ]; then
    for file in "$rootFile" "$seedFile" "$etcdFile"; do
      if [ -e "$file" ]; then left+=("$file"); fi
    done
    step "$domain is not on $hypervisor any more\${left:+; these files have its name, but nothing proves whose they are: \${left[*]}}"
    return 0
  fi
  if [ -z "$poolDirectory" ] || [ -z "$etcdPoolDirectory" ]; then stop_on_problems; fi
  stop_domain "$domain"
  step "removes the volumes of $domain"
  for file in "$rootFile" "$seedFile" "$etcdFile"; do rm -f "$file" "$file.partial"; done
  rm -rf "$poolDirectory/.$domain.probe" "$etcdPoolDirectory/.$domain.probe" "/run/sitewright-seed-$domain"
  undefine_domain "$domain"
  refresh_pools
}
`;
