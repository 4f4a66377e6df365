import * as pulumi from '@pulumi/pulumi';
import type { SeedSettings } from '../../components/machines/cloudInit';
import type { KvmImagePlan, KvmPlan, NodePlan } from '../../components/plan/types';
import { deriveHostKey, generateSshKey } from '../../components/secrets/hostKey';

export const image: KvmImagePlan = {
  path: '/srv/images/debian-12.qcow2',
  url: null,
  sha256: 'ab'.repeat(32),
  format: 'qcow2',
  kernel: null,
};

export const imageWithKernel: KvmImagePlan = {
  ...image,
  kernel: {
    path: '/srv/images/vmlinuz',
    sha256: 'cd'.repeat(32),
    initrd: '/srv/images/initrd.img',
    initrdSha256: 'ef'.repeat(32),
    arguments: 'root=LABEL=root ro console=ttyS0',
  },
};

export const remoteHostKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHFj7AklEdMijCGxIMqaLfJa93V314gzrmXGFaNTLTva';

export const kvmPlan: KvmPlan = {
  hypervisors: [
    {
      name: 'hv1',
      connection: 'local',
      uri: 'qemu:///system',
      pool: 'default',
      etcdPool: 'nvme',
      domainType: 'auto',
    },
    {
      name: 'hv2',
      connection: { host: '192.0.2.2', port: 22, user: 'root', hostKey: remoteHostKey },
      uri: 'qemu:///system',
      pool: 'default',
      etcdPool: 'default',
      domainType: 'kvm',
    },
  ],
  image,
  volumes: 'overlay',
  cpuMode: 'auto',
  rxQueueSize: 1024,
  autostart: true,
};

export function node(name: string, role: NodePlan['role'], over: Partial<NodePlan> = {}): NodePlan {
  return {
    name,
    role,
    state: 'active',
    subnet: 'rack1',
    addresses: ['192.0.2.11/24', '2001:db8::11/64'],
    interface: {
      name: null,
      mac: '52:54:00:12:34:56',
      mtuBytes: 9000,
      gateways: ['192.0.2.1', '2001:db8::1'],
      routes: [{ to: '198.51.100.0/24', via: '192.0.2.254' }],
      podRoutes: [],
      driver: 'virtio_net',
    },
    ssh: { host: '192.0.2.11', port: 22, user: 'sitewright', hostKey: null },
    kvm: {
      hypervisor: 'hv1',
      attach: { bridge: 'br0' },
      cpus: 4,
      memoryBytes: 8 * 1024 ** 3,
      rootDiskBytes: 20 * 1024 ** 3,
      etcdDiskBytes: role === 'control-plane' ? 8 * 1024 ** 3 : null,
      queues: 4,
    },
    vsphere: null,
    neededVersions: [],
    modules: [],
    sysctls: [],
    offloads: [],
    dns: { servers: ['192.0.2.53'], search: ['example.org'] },
    ntpServers: ['192.0.2.123'],
    swap: 'off',
    journaldMaxUseBytes: 500 * 1024 ** 2,
    sharesHostWith: [],
    ingressPorts: [],
    cluster: null,
    ...over,
  };
}

export const userKey = generateSshKey('site test');
export const hostKeySeedBase64 = Buffer.alloc(32, 7).toString('base64');

/** Secret outputs, as the stack's configuration gives them. */
export const secrets = () => ({
  sshPrivateKey: pulumi.secret(userKey.privateKey),
  hostKeySeed: pulumi.secret(hostKeySeedBase64),
});

/** Everything that a seed can hold, in both address families. */
export const dualStackSeed: SeedSettings = {
  instanceId: '6f1c8f8e-3f0a-5d3b-9a53-5f2f3f1c9a11',
  hostName: 'cp1',
  user: 'sitewright',
  authorizedKey: remoteHostKey,
  hostKey: deriveHostKey(hostKeySeedBase64, 'cp1'),
  mac: '52:54:00:12:34:56',
  mtuBytes: 9000,
  addresses: ['192.0.2.11/24', '2001:db8::11/64'],
  gateways: ['192.0.2.1', '2001:db8::1'],
  routes: [{ to: '198.51.100.0/24', via: '192.0.2.254' }],
  dns: { servers: ['192.0.2.53'], search: ['example.org'] },
  ntpServers: ['192.0.2.123'],
};
