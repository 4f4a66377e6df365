import type { NodePlan } from '../../components/plan/types';
import type { SiteOfNode } from '../../components/nodes/script';

/** A Debian VM that the kit makes: IPv4 and IPv6, IPIP, kube-proxy in mode ipvs. */
export const kvmNode: NodePlan = {
  name: 'node-a',
  role: 'control-plane',
  state: 'active',
  subnet: 'rack-1',
  addresses: ['192.0.2.11/24', '2001:DB8:0:0::11/64'],
  interface: {
    name: null,
    mac: '52:54:00:00:02:11',
    mtuBytes: 9000,
    gateways: ['192.0.2.1'],
    routes: [{ to: '198.51.100.0/24', via: '192.0.2.2' }],
    podRoutes: [],
    driver: 'virtio_net',
  },
  ssh: { host: '192.0.2.11', port: 22, user: 'sitewright', hostKey: null },
  kvm: {
    hypervisor: 'local',
    attach: { bridge: 'sw0' },
    cpus: 2,
    memoryBytes: 2 * 1024 ** 3,
    rootDiskBytes: 20 * 1024 ** 3,
    etcdDiskBytes: null,
    queues: 2,
  },
  vsphere: null,
  neededVersions: [{ what: 'kernel', atLeast: '5.10', by: 'Calico (network.cni)' }],
  modules: [
    { name: 'overlay', reason: 'container file systems' },
    { name: 'br_netfilter', reason: 'bridged packets meet the rules of Services' },
    { name: 'nf_conntrack', reason: 'Services and masquerading' },
    { name: 'ip_vs', reason: 'kube-proxy in mode ipvs' },
    { name: 'ip_vs_rr', reason: "kube-proxy's scheduler" },
    { name: 'ipip', reason: 'tunnels between subnets' },
  ],
  sysctls: [
    { key: 'net.ipv4.ip_forward', value: '1', reason: 'a node forwards the packets of its pods' },
    { key: 'net.bridge.bridge-nf-call-iptables', value: '1', reason: 'bridged packets meet the rules of Services' },
    { key: 'net.netfilter.nf_conntrack_max', value: '131072', reason: 'connections of a node with 4 cores' },
    { key: 'net.ipv4.ip_local_port_range', value: '20000  60999', reason: 'given by the site' },
  ],
  offloads: [
    {
      id: 'vxlan-slow-checksums',
      device: 'vxlan.calico',
      driver: null,
      kernel: { min: '6.12', max: null },
      features: [{ name: 'tx-checksum-ip-generic', value: 'off' }],
      rings: [],
      reason: 'calico#11435',
    },
  ],
  dns: { servers: ['192.0.2.53'], search: ['lab.example'] },
  ntpServers: ['192.0.2.1'],
  swap: 'off',
  journaldMaxUseBytes: 500 * 1024 ** 2,
  sharesHostWith: [],
  ingressPorts: [],
  cluster: null,
};

/** A VMware VM that is already there: VXLAN, so everything that vmxnet3 gets wrong is switched off. */
export const vmxnet3Node: NodePlan = {
  ...kvmNode,
  name: 'node-b',
  role: 'worker',
  addresses: ['192.0.2.12/24'],
  interface: {
    name: null,
    mac: null,
    mtuBytes: 1500,
    gateways: [],
    routes: [],
    podRoutes: [],
    driver: null,
  },
  ssh: { host: '192.0.2.12', port: 22, user: 'admin', hostKey: 'ssh-ed25519 AAAA' },
  kvm: null,
  neededVersions: [],
  modules: [
    { name: 'br_netfilter', reason: 'bridged packets meet the rules of Services' },
    { name: 'nf_conntrack', reason: 'Services and masquerading' },
    { name: 'vxlan', reason: 'tunnels between all nodes' },
  ],
  offloads: [
    {
      id: 'vmxnet3-lro',
      device: 'nic',
      driver: 'vmxnet3',
      kernel: { min: null, max: null },
      features: [{ name: 'lro', value: 'off' }],
      rings: [{ name: 'rx', entries: 1024 }],
      reason: 'a forwarding NIC must not merge packets',
    },
    {
      id: 'vmxnet3-vxlan',
      device: 'nic',
      driver: 'vmxnet3',
      kernel: { min: null, max: null },
      features: [
        { name: 'tx-udp_tnl-segmentation', value: 'off' },
        { name: 'tx-udp_tnl-csum-segmentation', value: 'off' },
      ],
      rings: [],
      reason: 'only ICMP passes through VXLAN otherwise',
    },
  ],
  dns: { servers: [], search: [] },
  ntpServers: [],
  swap: 'keep',
};

export const site: SiteOfNode = {
  site: 'oslo',
  stampId: '4f9d3c1e8a7b6c5d',
  hosts: [
    { address: '192.0.2.11', names: ['node-a'] },
    { address: '192.0.2.12', names: ['node-b'] },
    { address: '2001:db8::11', names: ['node-a'] },
  ],
};
