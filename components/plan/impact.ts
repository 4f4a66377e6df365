import type { Impact, SpecPath } from './types';

export interface ImpactEntry {
  /** Key of the site file; `[]` stands for any item of a list, `.**` for the key itself and everything below it. */
  pattern: string;
  impact: Impact;
  why: string;
  /** What a person does beside `up`. */
  action: string;
}

const NOTHING_MORE = 'nothing more';
const NOTHING_MORE_PROXY = 'nothing more: kube-proxy is restarted node by node';
const RESTART_MACHINES = 'restart the machines one after another, drained first';
const RESTART_PODS = 'restart the pods of every node, drained one after another';

type Row = [pattern: string, why: string, action?: string];

const entries = (impact: Impact, otherwise: string, rows: Row[]): ImpactEntry[] =>
  rows.map(([pattern, why, action = otherwise]) => ({ pattern, impact, why, action }));

/** What a change of each key means for a running site. Every key of the schema has exactly one entry. */
export const IMPACTS: readonly ImpactEntry[] = [
  ...entries('in place', NOTHING_MORE, [
    ['extends', 'only the values that the profile brings count, each with its own entry'],
    ['kit', 'says with which kit the site was reviewed'],
    ['environment', 'says what the site is used for'],
    ['joined', 'says which other sites this one is compared with'],
    ['rules.**', 'only `validate` and reviews see it'],
    [
      'backend.url',
      'the state lives elsewhere, the site stays',
      'move the state first: export from the old, import to the new',
    ],
    ['underlay.protocol4', 'only the choice of the routing depends on it', 'look at network.routing in the plan'],
    ['underlay.routes[].to', 'node preparation writes the routes'],
    ['underlay.routes[].via', 'node preparation writes the routes'],
    ['underlay.dns.servers', 'node preparation writes the resolvers; new pods read them'],
    ['underlay.dns.search', 'node preparation writes the search domains; new pods read them'],
    ['underlay.ntp.servers', 'node preparation sets the time servers'],
    ['machines.ssh.jump.**', 'only the way to the machines changes'],
    ['machines.kvm.hypervisors[].connection.**', 'only the way to the hypervisor changes'],
    ['machines.kvm.hypervisors[].uri', 'only the way to libvirt changes'],
    ['machines.kvm.autostart', 'libvirt keeps it beside the running machine'],
    ['machines.kvm.antiAffinity', 'a warning only'],
    ['machines.vsphere.server', 'only the way to the vCenter changes: it has to know the machines'],
    ['machines.vsphere.caFile', 'only the way to the vCenter changes'],
    ['machines.vsphere.thumbprint', 'only the way to the vCenter changes'],
    ['machines.vsphere.antiAffinity', 'a rule of the cluster; DRS moves the machines while they run'],
    ['machines.vsphere.networks[].portGroup', 'the virtual NICs are attached to it while the machines run'],
    ['machines.vsphere.networks[].subnets', 'it only says which port group a machine is attached to'],
    ['machines.vsphere.networks[].placements', 'it only says which port group a machine is attached to'],
    ['machines.vsphere.networks[].switchMtu', 'only what the MTU of the machines is held against'],
    ['machines.vsphere.networks[].name', 'machines are known to vCenter by their port group'],
    ['machines.vsphere.esxi', 'node preparation sets the offloads'],
    ['machines.nodes[].placement', 'vMotion moves the machine while it runs, where it can'],
    ['machines.vsphere.placements[].name', 'machines refer to it in the site file alone'],
    ['machines.vsphere.placements[].zone', 'a label of the Node; pods that run stay where they are'],
    ['machines.vsphere.placements[].folder', 'vCenter moves the machines to it while they run'],
    ['machines.vsphere.placements[].resourcePool', 'vCenter moves the machines to it while they run'],
    ['machines.vsphere.placements[].cluster', 'vMotion moves the machines while they run, where it can'],
    ['machines.vsphere.placements[].host', 'vMotion moves the machines while they run, where it can'],
    ['machines.vsphere.placements[].hostGroup', 'vMotion moves the machines while they run, where it can'],
    [
      'machines.vsphere.placements[].storagePolicy',
      'vCenter moves or copies what the disks hold while the machines run',
    ],
    ['machines.vsphere.placements[].etcdStoragePolicy', 'vCenter moves or copies what the disks hold while they run'],
    ['machines.vsphere.placements[].datastore', 'Storage vMotion moves the disks while the machines run'],
    ['machines.vsphere.placements[].datastoreCluster', 'Storage vMotion moves the disks while the machines run'],
    ['machines.vsphere.placements[].etcdDatastore', 'Storage vMotion moves the disks while the machines run'],
    ['machines.vsphere.placements[].isoDatastore', 'the image of the bundle is copied there, and the machines get it'],
    ['machines.vsphere.cpuReservation', 'vCenter reserves it while the machines run'],
    ['machines.vsphere.memoryReservation', 'vCenter reserves it while the machines run'],
    ['machines.nodes[].ssh.host', 'only the way to the machine changes'],
    ['machines.nodes[].ssh.port', 'only the way to the machine changes'],
    ['machines.nodes[].ssh.hostKey', 'the key that the machine is checked against', 'check the new key on its console'],
    ['nodePrep.modules', 'node preparation loads new ones; one taken out stays loaded until the next start'],
    ['nodePrep.sysctls', 'node preparation sets them; one taken out keeps its value until the next start'],
    ['nodePrep.journald.maxUse', 'node preparation sets the limit of the journal'],
    ['nodePrep.hosts', 'node preparation writes /etc/hosts'],
    ['artifacts.packages[].name', 'machines get another bundle, and node preparation installs from it what they lack'],
    ['artifacts.packages[].archive', 'only the next bundle without a lock is built from it'],
    ['artifacts.packages[].securityArchive', 'only the next bundle without a lock is built from it'],
    ['checks.**', 'only the next proof sees it'],
    ['machines.nodes[].zone', 'a label of the Node; pods that run stay where they are'],
    ['machines.nodes[].labels', 'labels of the Node; pods that run stay where they are'],
    ['kubernetes.drainLimit', 'only the next drain sees it'],
    ['kubernetes.timeouts.**', 'only the next node that joins, and the next upgrade, see it'],
    ['dns.upstreams', 'CoreDNS reads its file again within a minute'],
    ['dns.stubZones', 'CoreDNS reads its file again within a minute'],
    ['dns.cacheTtl', 'CoreDNS reads its file again within a minute'],
    ['dns.replicas', 'CoreDNS gets pods or loses them'],
    ['dns.pods.**', 'the API server gives it to new pods', 'restart the Deployments whose pods must have it'],
    ['policy.monitoring.**', 'policies change under open connections', 'look at what monitoring reaches'],
    [
      'residency.**',
      'new pods are judged; those that run stay where they are',
      'restart the Deployments of these namespaces',
    ],
    ['ingress.tuning.**', 'NGINX reads its configuration again; open connections are served to their end'],
    ['ingress.certificate', 'the controller reads it again; the first one restarts it machine by machine'],
    ['ingress.defaultClass', 'the API server writes the class into new Ingress objects that have none'],
    ['network.mssClamp', 'node preparation loads the rule; connections that are open keep their segment size'],
    ['network.calico.apiServer', "the operator makes Calico's own API server or removes it; pods do not notice"],
    ['network.calico.felix.**', 'Felix reads it again by itself; some settings make it restart, and pods keep running'],
    [
      'network.calico.vxlan.txChecksumIpGeneric',
      'node preparation sets it on the devices; taken out it stays until Calico makes them again',
    ],
    ['network.calico.bgp.peers[].**', 'only the session to this router is made again'],
    ['network.calico.bgp.filters[].**', 'routes are judged again, sessions stay'],
    ['network.calico.bgp.advertise.**', 'routers learn or forget addresses of Services', 'look at what they announce'],
    ['kubernetes.upgrade.maxUnavailable', 'only the next upgrade sees it'],
    ['registries[].**', 'containerd and kubelet read it at the next pull'],
    ['kubernetes.etcd.quota', 'the static pod of etcd is started again, one control-plane node after another'],
    ['kubernetes.etcd.compaction', 'etcd and the API server are started again, one control-plane node after another'],
    ['kubernetes.vrid', 'keepalived is told, one control-plane node after another; the address may move once'],
    ['kubernetes.etcd.snapshots.**', 'a timer of every control-plane node', 'look at the folder once it has run'],
    ['kubernetes.certSans.**', "the API server's certificate is made again, one control-plane node after another"],
  ]),
  ...entries('restart', RESTART_MACHINES, [
    ['machines.defaults.cpus', 'a machine gets CPUs when it starts'],
    ['machines.defaults.memory', 'a machine gets memory when it starts'],
    ['machines.defaults.rootDisk', 'a disk grows, its file system at the next start; it never shrinks'],
    ['machines.defaults.etcdDisk', 'a disk grows, its file system at the next start; it never shrinks'],
    ['machines.nodes[].cpus', 'a machine gets CPUs when it starts'],
    ['machines.nodes[].memory', 'a machine gets memory when it starts'],
    ['machines.nodes[].rootDisk', 'a disk grows, its file system at the next start; it never shrinks'],
    ['machines.nodes[].etcdDisk', 'a disk grows, its file system at the next start; it never shrinks'],
    ['machines.nodes[].bridge', 'the virtual NIC is attached when the machine starts'],
    ['machines.kvm.network.**', 'the virtual NICs are attached when the machines start'],
    ['machines.kvm.queues', 'the virtual NICs get queues when the machines start'],
    ['machines.kvm.rxQueueSize', 'the virtual NICs get rings when the machines start'],
    ['machines.kvm.cpuMode', 'a machine gets its CPU model when it starts'],
    ['machines.vsphere.hotAdd', 'a machine can grow while it runs from its next start'],
    ['machines.vsphere.latencySensitivity', 'a machine gets CPUs of its own when it starts'],
    ['machines.vsphere.secureBoot', 'the firmware checks signatures when a machine starts'],
    ['machines.kvm.hypervisors[].domainType', 'a machine is emulated or not from its start'],
    ['network.podMtu', 'new pods only get a new MTU', RESTART_PODS],
    ['network.podMtuProbing', 'a pod has it from its start', RESTART_PODS],
    ['ingress.resources.**', 'the controller is restarted machine by machine', NOTHING_MORE],
    ['ingress.replicas', 'pods come or go one by one', NOTHING_MORE],
    [
      'network.calico.resources.**',
      'calico-node and Typha are restarted node by node; pods keep their connections',
      NOTHING_MORE,
    ],
    [
      'network.calico.tolerations[].**',
      "Calico's own pods that do not run everywhere are made anew; those of others do not notice",
      NOTHING_MORE,
    ],
    ['network.calico.typha', 'calico-node is restarted node by node; pods keep their connections', NOTHING_MORE],
    ['kubeProxy.scheduler', 'kube-proxy reads it when it starts', NOTHING_MORE_PROXY],
    ['kubeProxy.strictARP', 'kube-proxy reads it when it starts', NOTHING_MORE_PROXY],
    ['kubeProxy.timeouts.**', 'kube-proxy reads it when it starts', NOTHING_MORE_PROXY],
    ['kubeProxy.excludeCIDRs', 'kube-proxy reads it when it starts', NOTHING_MORE_PROXY],
    [
      'kubeProxy.conntrack',
      'kube-proxy reads it when it starts, node preparation sets the sysctls',
      NOTHING_MORE_PROXY,
    ],
    [
      'kubernetes.kubelet.**',
      'kubelet reads it when it starts; running pods stay',
      'nothing more: kubelet is restarted node by node',
    ],
    [
      'kubernetes.podSecurity',
      'the API server reads it when it starts; pods that run stay, new ones are judged',
      'label the namespaces that need more before',
    ],
    [
      'kubernetes.admissionPlugins.**',
      'the API server is started again, one control-plane node after another; what is there stays, new objects are judged',
      NOTHING_MORE,
    ],
    ['nodePrep.swap', 'kubelet looks at swap when it starts', 'restart kubelet on every node'],
  ]),
  ...entries('disruptive', RESTART_PODS, [
    [
      'underlay.mtu',
      'switches rise before machines and machines shrink before switches; pods keep their MTU until restarted',
    ],
    [
      'underlay.subnets[].mtu',
      'switches rise before machines and machines shrink before switches; pods keep their MTU until restarted',
    ],
    ['underlay.gre', 'every MTU changes by 24 bytes; pods keep theirs until restarted'],
    ['network.cni', 'another network takes the pods over', 'drain and restart one node after another'],
    ['network.routing', 'the tunnel changes under running pods, and with it their MTU'],
    ['network.wireguard', 'the tunnel changes under running pods, and with it their MTU'],
    [
      'underlay.subnets[].name',
      'machines refer to it in no file, but the plan names their subnets by it',
      NOTHING_MORE,
    ],
    [
      'underlay.subnets[].cidrs',
      'every machine of the subnet gets another prefix',
      'change one machine after another, drained first',
    ],
    [
      'underlay.subnets[].gateways',
      'the way out of every machine of the subnet changes',
      'have the new gateway answer before',
    ],
    [
      'machines.nodes[].addresses',
      'a node, its certificates and etcd are known by their addresses',
      'drain it, take it out of the cluster, change it, join it again',
    ],
    ['machines.nodes[].interface', 'the addresses move to another interface', 'drain the node first'],
    ['network.calico.version', 'calico-node is replaced node by node', 'one minor at a time; read the release notes'],
    [
      'network.calico.install',
      "refused on a site that runs: up would delete what running pods have their network of, and Calico's own migration takes over what is the stack's",
      'build a site of its own with it, and move what runs there',
    ],
    [
      'network.calico.dataplane',
      'rules move to another mechanism under open connections',
      'restart one node after another, drained first',
    ],
    [
      'network.calico.pools[].**',
      'the CIDR and the block size of an IPPool cannot be changed, and one that is not disabled is not taken out',
      'add a pool and disable the old one, restart the pods of every node, drained one after another, take the old pool out',
    ],
    ['network.calico.bgp.mode', 'routes to pods are told another way', RESTART_PODS],
    ['network.calico.bgp.asNumber', 'every BGP session is made again', 'change the routers at the same time'],
    [
      'network.calico.bgp.routeReflectorLabel',
      'every node gets its routes from others',
      'have the new reflectors labelled before',
    ],
    ['network.calico.bgp.clusterId', 'the reflectors make their sessions again', NOTHING_MORE],
    [
      'ingress.controller',
      'another program answers, and reads annotations by other names',
      'have both in the Ingress objects before (`ingressAnnotations()`); each machine is without one for a moment',
    ],
    ['policy.baseline', 'connections that no policy allows end', 'write the NetworkPolicies of your programs before'],
    [
      'policy.everyNamespace',
      'connections that no policy allows end',
      'write the NetworkPolicies of your programs before',
    ],
    [
      'policy.namespaces[].**',
      'connections that no policy allows end; new pods are judged by the level. A Namespace that is taken out stays',
      'write the NetworkPolicies of your programs before',
    ],
    ['ingress.expose', 'requests come in another way', 'have clients use the new address'],
    ['ingress.nodes.**', 'machines that are no longer chosen refuse requests', 'have clients use the others before'],
    [
      'ingress.address',
      'Ingress objects report it; with load-balancer the old one answers no more',
      'change names in DNS',
    ],
    [
      'network.podCidrs',
      'without network.calico.pools they are the CIDRs of the IPPools, which cannot be changed',
      'name the old pool in network.calico.pools, disabled, and one in the new network beside it; move the pods, take the old pool out',
    ],
    [
      'network.serviceCidrs',
      'Services and certificates hold addresses of it',
      'add a ServiceCIDR, recreate the Services, take the old one out',
    ],
    [
      'kubernetes.version',
      'control plane and nodes are upgraded one after another, drained first; with the first version the cluster is made',
      'one minor at a time; read the release notes',
    ],
    [
      'kubernetes.endpoint.**',
      'nodes, kubeconfigs and certificates hold its name and port, so another one of these is refused on a site that runs',
      'have the old name lead where the API is to be',
    ],
    ['artifacts.from', 'every program and image is replaced, as in an upgrade', 'drain one node after another'],
    [
      'machines.nodes[].taints.**',
      'NoExecute takes pods off the node at once; the others are for new pods',
      NOTHING_MORE,
    ],
    [
      'machines.nodes[].state',
      'leaving drains the node and takes it out of the cluster, dead only takes it out; back to active it joins again',
      'delete its lines once it has left',
    ],
    ['dns.nodeLocal', 'pods hold their resolvers from their start', RESTART_PODS],
    [
      'kubernetes.vip',
      'nodes, kubeconfigs and certificates hold it',
      'have both addresses answer until every node uses the new one',
    ],
    [
      'kubeProxy.mode',
      'Services move to another mechanism under open connections',
      'nothing more: kube-proxy is restarted and the old rules are removed node by node, then calico-node is where there is one',
    ],
  ]),
  ...entries('replacement', 'drain a machine before it goes; etcd members one after another', [
    ['name', 'it is the name of the stack, and machines are stamped with it'],
    ['machines.provider', 'another maker makes other machines'],
    [
      'machines.ssh.user',
      'cloud-init makes the user once',
      'existing: make the user first; otherwise: replace one machine after another',
    ],
    ['machines.nodes[].name', 'a new name is a new machine'],
    ['machines.nodes[].role', 'a machine is a control plane from its first start, or never'],
    ['machines.nodes[].mac', 'the network settings of a machine belong to its MAC address'],
    ['machines.nodes[].hypervisor', 'a machine is made where it runs'],
    ['machines.vsphere.placements[].datacenter', 'nothing moves between datacenters by itself'],
    ['machines.vsphere.firmware', 'a root disk starts with the firmware that it was made for'],
    ['machines.kvm.hypervisors[].name', 'machines belong to a hypervisor by its name'],
    ['machines.kvm.hypervisors[].pool', 'disks are made in the pool'],
    ['machines.kvm.hypervisors[].etcdPool', 'disks are made in the pool'],
  ]),
  ...entries('new machines only', 'replace a machine to give it the change', [
    ['machines.kvm.image.**', 'a root disk is made from the image once'],
    ['machines.kvm.volumes', 'a root disk is made once'],
    ['machines.vsphere.template.**', 'a machine is cloned once'],
    ['machines.vsphere.disks', 'a disk is made once'],
  ]),
];

/**
 * The entry of a key: `['machines', 'nodes', 0, 'cpus']` or `machines.nodes[cp1].cpus`. Items of lists of plain values
 * and keys of maps (`nodePrep.sysctls`) belong to the list or map. Undefined for what is no key of a site file.
 */
export function impactOf(path: SpecPath | string): ImpactEntry | undefined {
  const text = typeof path === 'string' ? path.replace(/\[[^\]]*\]/g, '[]') : patternOf(path);
  return IMPACTS.find(({ pattern }) => matches(pattern, text));
}

const patternOf = (path: SpecPath) =>
  path.map((key, index) => (typeof key === 'number' ? '[]' : index === 0 ? key : `.${key}`)).join('');

function matches(pattern: string, text: string): boolean {
  const root = pattern.endsWith('.**') ? pattern.slice(0, -'.**'.length) : pattern;
  if (text === root) return true;
  // Below a key stand items of its list or keys of its map; an exact pattern never has siblings below it.
  return text.startsWith(`${root}.`) || text.startsWith(`${root}[]`);
}
