/** What `sitewright new` is asked for. */
export interface Scaffold {
  site: string;
  provider: 'kvm' | 'vsphere' | 'existing';
  profile: string;
  environment: 'lab' | 'staging' | 'production';
  kitVersion: string;
}

/** A key of the right form that no machine has: the first connection is refused until the real one is filled in. */
const PLACEHOLDER_HOST_KEY = `ssh-ed25519 ${Buffer.concat([
  Buffer.from([0, 0, 0, 11]),
  Buffer.from('ssh-ed25519'),
  Buffer.from([0, 0, 0, 32]),
  Buffer.alloc(32),
]).toString('base64')}`;
const PLACEHOLDER_SHA256 = '0'.repeat(64);

const MARK = '# CHANGE';

function kvmMachines(): string {
  return `  provider: kvm
  defaults:
    cpus: 4
    memory: 8GiB
    rootDisk: 40GiB
    etcdDisk: 10GiB # a disk of its own on control-plane machines; none: etcd stays on the root disk
  kvm:
    hypervisors:
      - name: hv1
        connection: # or: local, when this program runs on the hypervisor
          host: 192.0.2.2 ${MARK}
          user: root
          hostKey: ${PLACEHOLDER_HOST_KEY} ${MARK}: on the host, cat /etc/ssh/ssh_host_ed25519_key.pub
    image:
      path: /var/lib/libvirt/images/debian-12-genericcloud-amd64.qcow2 ${MARK}: a file on the hypervisor, or url:
      sha256: '${PLACEHOLDER_SHA256}' ${MARK}: sha256sum of that file
    network:
      bridge: br0 ${MARK}: the bridge of the hypervisors that leads to the underlay
  nodes: ${MARK}: names and addresses of the machines to make
    - name: cp1
      role: control-plane
      addresses: [192.0.2.11/24]
      hypervisor: hv1
    - name: w1
      role: worker
      addresses: [192.0.2.21/24]
      hypervisor: hv1
`;
}

function vsphereMachines(): string {
  return `  provider: vsphere
  defaults:
    cpus: 4
    memory: 8GiB
    rootDisk: 40GiB # at least as large as that of the template
    etcdDisk: 10GiB # a disk of its own on control-plane machines; none: etcd stays on the root disk
  vsphere:
    server: vcenter.acme.example ${MARK}
    # caFile: /usr/local/share/ca-certificates/acme.crt # or thumbprint, where the system does not trust its certificate
    template:
      name: templates/debian-12-k8s-2026.11 ${MARK}: a template with cloud-init, its version in its name
    placements:
      - name: main
        datacenter: DC1 ${MARK}
        cluster: compute ${MARK}: or host
        datastore: vsan ${MARK}: or datastoreCluster
    networks:
      - name: nodes
        portGroup: k8s-nodes ${MARK}
        subnets: [nodes]
        switchMtu: 1500 ${MARK}: as vCenter shows it for the switch of the port group
  nodes: ${MARK}: names and addresses of the machines to make
    - name: cp1
      role: control-plane
      addresses: [192.0.2.11/24]
    - name: w1
      role: worker
      addresses: [192.0.2.21/24]
`;
}

function existingMachines(): string {
  const node = (name: string, role: string, address: string) => `    - name: ${name}
      role: ${role}
      addresses: [${address}]
      ssh:
        hostKey: ${PLACEHOLDER_HOST_KEY} ${MARK}: on it, cat /etc/ssh/ssh_host_ed25519_key.pub
`;
  return `  provider: existing
  defaults: null # sizes in profiles are for machines that the kit makes
  ssh:
    user: sitewright ${MARK}: a user with sudo without a password; the command below shows the key it must accept
  nodes: ${MARK}: names, addresses and host keys of your machines
${node('cp1', 'control-plane', '192.0.2.11/24')}${node('w1', 'worker', '192.0.2.21/24')}`;
}

const MACHINES = { kvm: kvmMachines, vsphere: vsphereMachines, existing: existingMachines };

/** A complete site file on documentation addresses (RFC 5737): it can be validated and planned as it is. */
export function siteFile(scaffold: Scaffold): string {
  const { site, provider, profile, environment, kitVersion } = scaffold;
  return `# yaml-language-server: $schema=../site.schema.json
# The site ${site}. Lines marked CHANGE hold examples; everything else is a choice that you may make.
#   sitewright validate ${site}     every problem at once
#   sitewright plan ${site}         what will be built, and why
#   sitewright explain ${site} network.podMtu     where a value came from
name: ${site}
extends: ${profile}
kit: ^${kitVersion} # versions of the kit that this site was reviewed with; another one refuses the site
environment: ${environment}

# Where the state of the site lives. A team names one that all of it can reach: s3://, gs://, azblob://, postgres://, https://
# backend:
#   url: s3://acme-infrastructure?region=eu-central-1

underlay:
  mtu: 1500 ${MARK}: the largest packet in bytes that every path between two machines carries; the proof measures it
  subnets:
    - name: nodes
      cidrs: [192.0.2.0/24] ${MARK}
      gateways: [192.0.2.1] ${MARK}
  dns:
    servers: [192.0.2.1] ${MARK}

machines:
${MACHINES[provider]()}
checks:
  # Names outside the cluster that pods on every node must resolve. Without one nothing tells of wrong resolvers:
  # underlay.dns.servers, or dns.upstreams and dns.stubZones of the cluster.
  names: [erp.acme.example] ${MARK}: names that the resolvers of the site know

# network:
#   routing: auto # bgp on one subnet, a cross-subnet tunnel otherwise; the pod MTU follows from it
`;
}
