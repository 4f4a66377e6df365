import { controlPlaneSum } from '../../components/cluster/nodeScripts';
import { clusterSite, controlPlanes, smallCluster, type ClusterSiteChanges } from './clusterSite';
import { controlPlane, findingsOf, kvmSite, node, planOf, siteOf, subnet } from './site';

const findings = (changes: ClusterSiteChanges) => findingsOf(clusterSite(changes));

describe('without a version', () => {
  const plan = planOf(kvmSite([controlPlane, node('w1', 1, 12)], {}, { network: { cni: 'routes' } }));

  test('there are machines and no cluster, and nothing that only a cluster needs', () => {
    expect(plan.cluster).toBeNull();
    expect(plan.nodes.map(({ cluster, interface: { podRoutes } }) => [cluster, podRoutes])).toEqual([
      [null, []],
      [null, []],
    ]);
    expect(plan.hosts.flatMap(({ names }) => names)).toEqual(['cp1', 'w1']);
    expect(plan.mtu.routing).toBe('bgp');
  });
});

describe('the endpoint', () => {
  const endpointOf = (changes: ClusterSiteChanges) => planOf(clusterSite(changes)).cluster!.endpoint;

  test('is the only control-plane machine, a virtual address or a load balancer, under one name', () => {
    const name = 'api.oslo.internal';
    expect(planOf(smallCluster()).cluster!.endpoint).toEqual({ name, port: 6443, address: '192.0.1.11', kind: 'node' });
    expect(endpointOf({})).toEqual({ name, port: 6443, address: '192.0.1.10', kind: 'vip' });
    const external = { vip: undefined, endpoint: { host: '203.0.113.9', port: 443 } };
    expect(endpointOf({ kubernetes: external })).toEqual({ name, port: 443, address: '203.0.113.9', kind: 'external' });
  });

  test('is what a name of its own says, where the load balancer has one', () => {
    const named = planOf(clusterSite({ kubernetes: { vip: undefined, endpoint: { host: 'api.acme.example' } } }));
    expect(named.cluster!.endpoint).toEqual({
      name: 'api.acme.example',
      port: 6443,
      address: 'api.acme.example',
      kind: 'external',
    });
  });

  test('is not among the hosts of node preparation: an address that nobody holds yet would take the API away', () => {
    expect(planOf(clusterSite()).hosts.flatMap(({ names }) => names)).toEqual(['cp1', 'cp2', 'cp3', 'w1', 'w2']);
  });

  test('the certificate has it, every control-plane machine, and what the site adds, each once', () => {
    const { clusterConfiguration } = planOf(
      clusterSite({ kubernetes: { certSans: ['k8s.acme.example', '2001:DB8::9', 'cp1'] } }),
    ).cluster!.kubeadm;
    expect((clusterConfiguration as { apiServer: { certSANs: string[] } }).apiServer.certSANs).toEqual([
      '127.0.0.1',
      '192.0.1.10',
      '192.0.1.11',
      '192.0.1.12',
      '192.0.1.13',
      '2001:db8::9',
      'api.oslo.internal',
      'cp1',
      'cp2',
      'cp3',
      'k8s.acme.example',
      'localhost',
    ]);
  });
});

describe('the virtual address', () => {
  test('is shared by the control-plane machines, under a number that is made of the name of the site', () => {
    const plan = planOf(clusterSite());
    const { vrid, ...vip } = plan.cluster!.vip!;
    expect(vip).toEqual({
      address: '192.0.1.10',
      members: [
        { node: 'cp1', address: '192.0.1.11' },
        { node: 'cp2', address: '192.0.1.12' },
        { node: 'cp3', address: '192.0.1.13' },
      ],
      advertSeconds: 1,
      checkSeconds: 2,
    });
    expect(plan.nodes.map(({ cluster }) => cluster!.sharesVip)).toEqual([true, true, true, false, false]);
    expect([vrid >= 1, vrid <= 255]).toEqual([true, true]);
    const vridOf = (site: Record<string, unknown>) => planOf(site).cluster!.vip!.vrid;
    expect(vridOf({ ...clusterSite(), name: 'bergen' })).not.toBe(vrid);
    expect(vridOf(clusterSite({ kubernetes: { vrid: 77 } }))).toBe(77);
  });

  test('is the same with one machine, and none without it', () => {
    const one = planOf(clusterSite({ nodes: controlPlanes(1) })).cluster!;
    expect(one.vip!.members).toEqual([{ node: 'cp1', address: '192.0.1.11' }]);
    expect(planOf(smallCluster()).cluster!.vip).toBeNull();
    expect(findings({ kubernetes: { vip: undefined, vrid: 7 }, nodes: controlPlanes(1) })).toContain(
      'error kubernetes.vrid: kubernetes.vrid is the number of a virtual address, and there is none: set kubernetes.vip too, or leave it out',
    );
  });

  test('leaves the port of the API to both haproxy and the API server', () => {
    const { cluster, nodes } = planOf(clusterSite());
    const argsOf = ({ kubeadm }: NonNullable<typeof cluster>) =>
      (kubeadm.clusterConfiguration as { apiServer: { extraArgs: unknown[] } }).apiServer.extraArgs;
    const shared = { name: 'permit-port-sharing', value: 'true' };
    expect(argsOf(cluster!)).toContainEqual(shared);
    // So that one becomes three without a restart.
    expect(argsOf(planOf(smallCluster()).cluster!)).toContainEqual(shared);
    const ignored = (node: number) =>
      (nodes[node]!.cluster!.registration.nodeRegistration as { ignorePreflightErrors?: string[] })
        .ignorePreflightErrors;
    expect([0, 1, 3].map(ignored)).toEqual([['Port-6443'], ['Port-6443'], undefined]);
  });
});

describe('nodes', () => {
  const plan = planOf(clusterSite());
  const of = (name: string) => plan.nodes.find((each) => each.name === name)!.cluster!;

  test('the first control-plane machine makes the cluster, the others join it', () => {
    expect(plan.nodes.map(({ cluster }) => cluster!.part)).toEqual([
      'init',
      'join-control-plane',
      'join-control-plane',
      'join-worker',
      'join-worker',
    ]);
    expect(of('cp2').registration).toMatchObject({
      kind: 'JoinConfiguration',
      controlPlane: { localAPIEndpoint: { advertiseAddress: '192.0.1.12', bindPort: 6443 } },
    });
    expect(of('w1').registration).not.toHaveProperty('controlPlane');
    // Only software emulation needs longer waits than kubeadm's own.
    expect(of('cp1').registration).not.toHaveProperty('timeouts');
  });

  test('labels with the zone, and taints with that of the control plane', () => {
    expect(of('w1').labels).toEqual({ 'acme.example/disk': 'ssd', 'topology.kubernetes.io/zone': 'rack1' });
    expect(of('w2').taints).toEqual([{ key: 'dedicated', value: 'gpu', effect: 'NoSchedule' }]);
    expect(of('cp1').taints).toEqual([{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }]);
    expect(of('w2').registration).toMatchObject({ nodeRegistration: { taints: of('w2').taints } });
  });

  test('a site without a worker runs its pods beside the control plane', () => {
    expect(planOf(smallCluster({ nodes: controlPlanes(1) })).nodes[0].cluster!.taints).toEqual([]);
  });

  test('of two families have the addresses in the order of the pod networks', () => {
    const network = {
      podCidrs: ['fd00:10:244::/56', '10.244.0.0/16'],
      serviceCidrs: ['fd00:10:96::/112', '10.96.0.0/16'],
    };
    const dual = planOf(
      siteOf('dual', 1, { kubernetes: { version: '1.36.1' }, kubeProxy: { mode: 'iptables' }, network }),
    );
    expect(dual.nodes[0].cluster!.registration).toMatchObject({
      localAPIEndpoint: { advertiseAddress: '2001:db8:1::11' },
      nodeRegistration: { kubeletExtraArgs: [{ name: 'node-ip', value: '2001:db8:1::11,192.0.1.11' }] },
    });
    expect(dual.nodes[0].cluster!.podCidrs).toEqual(['fd00:10:244:b::/64', '10.244.11.0/24']);
    expect(dual.cluster!.dns.serviceAddresses).toEqual(['fd00:10:96::a', '10.96.0.10']);
  });
});

describe('etcd keeps', () => {
  const quota = (site: Record<string, unknown>) => {
    const { etcd } = planOf(site).cluster!.kubeadm.clusterConfiguration as {
      etcd: { local: { extraArgs: { name: string; value: string }[] } };
    };
    return Number(etcd.local.extraArgs.find(({ name }) => name === 'quota-backend-bytes')!.value) / 1024 ** 2;
  };
  const defaults = (etcdDisk: string) => ({ defaults: { cpus: 2, memory: '4GiB', rootDisk: '20GiB', etcdDisk } });

  test('half of its smallest disk, 8 GiB at most, 2 GiB where nobody knows', () => {
    expect(quota(smallCluster({ machines: defaults('6GiB') }))).toBe(3072);
    expect(quota(smallCluster({ machines: defaults('100GiB') }))).toBe(8192);
    expect(quota(smallCluster())).toBe(2048);
    expect(quota(smallCluster({ kubernetes: { etcd: { quota: '1GiB' } }, machines: defaults('6GiB') }))).toBe(1024);
  });

  test('no more than fits', () => {
    expect(findings({ kubernetes: { etcd: { quota: '4GiB' } }, machines: defaults('6GiB') })).toEqual([
      'error kubernetes.etcd.quota: 4GiB is too large: etcd needs as much again on its disk while it defragments, so at most 3072MiB; leave it out to have it computed',
    ]);
    expect(findings({ kubernetes: { etcd: { quota: '9GiB' } } })).toEqual([
      'error kubernetes.etcd.quota: 9GiB is too large: etcd recommends no more, whatever the disk, so at most 8192MiB; leave it out to have it computed',
    ]);
  });
});

describe('how long kubeadm waits', () => {
  const timeouts = { tlsBootstrap: '10m', upgradeManifests: '20m' };
  const planned = planOf(clusterSite({ kubernetes: { timeouts } }));

  test('is what the site says, with every document that knows of it', () => {
    const written = { tlsBootstrap: '600s', upgradeManifests: '1200s' };
    for (const { cluster } of planned.nodes) expect(cluster!.registration.timeouts).toEqual(written);
    expect(planned.cluster!.kubeadm.upgradeConfiguration.timeouts).toEqual(written);
  });

  test('restarts no control plane when it changes', () =>
    expect(controlPlaneSum(planned.cluster!)).toBe(controlPlaneSum(planOf(clusterSite()).cluster!)));

  test('in a lab is longer, but for what the site says', () => {
    const lab = planOf(clusterSite({ kubernetes: { timeouts }, more: { environment: 'lab' } }));
    expect(lab.nodes[3]!.cluster!.registration.timeouts).toMatchObject({
      discovery: '15m0s',
      tlsBootstrap: '600s',
      upgradeManifests: '1200s',
    });
  });

  test('is whole seconds, and some', () =>
    expect(findings({ kubernetes: { timeouts: { discovery: '0s', etcdAPICall: '1500ms' } } })).toEqual([
      'error kubernetes.timeouts.discovery: 0s is no time to wait: write 1s or more',
      'error kubernetes.timeouts.etcdAPICall: 1500ms is not a whole number of seconds: write 2s',
    ]));
});

describe('what the API server admits', () => {
  test('is what Kubernetes does by itself, or a standard that kube-system is exempt from', () => {
    expect(planOf(clusterSite()).cluster!.admissionConfiguration).toBeNull();
    const { admissionConfiguration, kubeadm } = planOf(
      clusterSite({ kubernetes: { podSecurity: 'baseline' } }),
    ).cluster!;
    expect(admissionConfiguration).toMatchObject({
      kind: 'AdmissionConfiguration',
      plugins: [
        {
          name: 'PodSecurity',
          configuration: { defaults: { enforce: 'baseline' }, exemptions: { namespaces: ['kube-system'] } },
        },
      ],
    });
    expect(JSON.stringify(kubeadm)).toContain('"admission-control-config-file"');
    expect(JSON.stringify(planOf(clusterSite()).cluster!.kubeadm)).not.toContain('admission');
  });
});

type Refusal = [what: string, actual: () => string[], expected: string];
const REFUSALS: Refusal[] = [
  [
    'two control-plane machines',
    () => findings({ nodes: controlPlanes(2) }),
    'error machines.nodes: 2 control-plane machines: etcd needs a majority, so a cluster has 1, 3 or 5; 2 survive no more failures than 1. On the way down, the lines of one that has left go in the edit that lets the next one leave',
  ],
  [
    'seven control-plane machines',
    () => findings({ nodes: controlPlanes(7) }),
    'error machines.nodes: 7 control-plane machines: etcd needs a majority, so a cluster has 1, 3 or 5; more than 5 only slow it down',
  ],
  [
    'three control-plane machines without an address of all',
    () => findings({ kubernetes: { vip: undefined } }),
    'error kubernetes.vip: 3 control-plane machines need one address: set kubernetes.vip to an unused address of their subnet, or kubernetes.endpoint to a load balancer that you have',
  ],
  [
    'a virtual address and a load balancer',
    () => findings({ kubernetes: { endpoint: { host: '203.0.113.9' } } }),
    'error kubernetes.endpoint: kubernetes.endpoint and kubernetes.vip are both stated: the control plane has one address, so keep one of the two',
  ],
  [
    'the name of the API in nodePrep.hosts',
    () => findings({ more: { nodePrep: { hosts: { 'api.oslo.internal': '192.0.1.99' } } } }),
    "error nodePrep.hosts.api.oslo.internal: api.oslo.internal is the name of the cluster's API, which stands for 192.0.1.10: leave it out",
  ],
  [
    'a part of a second',
    () => findings({ kubernetes: { kubelet: { shutdown: { gracePeriod: '30.5s' } } } }),
    'error kubernetes.kubelet.shutdown.gracePeriod: 30.5s is not a whole number of seconds: write 31s',
  ],
  [
    'a last part of the shutdown that is longer than all of it',
    () => findings({ kubernetes: { kubelet: { shutdown: { critical: '1m' } } } }),
    'error kubernetes.kubelet.shutdown.critical: 1m is more than the whole of it: gracePeriod is 30s, and critical is its last part',
  ],
  [
    'a zone as a label',
    () =>
      findings({ nodes: [...controlPlanes(3), node('w1', 1, 21, { labels: { 'topology.kubernetes.io/zone': 'a' } })] }),
    'error machines.nodes.3.labels.topology.kubernetes.io/zone: topology.kubernetes.io/zone is set by the zone of the machine: write zone: a',
  ],
  [
    'a label of the cluster itself',
    () => findings({ nodes: [...controlPlanes(3), node('w1', 1, 21, { labels: { 'kubernetes.io/hostname': 'a' } })] }),
    'error machines.nodes.3.labels.kubernetes.io/hostname: kubernetes.io/hostname is set by the cluster itself: leave it out',
  ],
  [
    'a taint twice',
    () => {
      const taint = { key: 'a', effect: 'NoSchedule' };
      return findings({
        nodes: [...controlPlanes(3), node('w1', 1, 21, { taints: [taint, { ...taint, value: 'b' }] })],
      });
    },
    'error machines.nodes.3.taints.1.key: a with effect NoSchedule is there twice: keep one',
  ],
  [
    'a virtual address across subnets',
    () =>
      findings({
        nodes: [...controlPlanes(2), node('cp3', 2, 13, { role: 'control-plane' })],
        network: { cni: 'none' },
        more: { underlay: { subnets: [subnet(1), subnet(2)] } },
      }),
    'error kubernetes.vip: 192.0.1.10 cannot move between subnets: the control-plane machines are in s1 and s2, and a virtual address is announced by ARP, neighbour discovery and VRRP, which no router passes on; put them in one subnet, or leave it out',
  ],
];
test.each(REFUSALS)('%s is refused', (_, actual, expected) => expect(actual()).toEqual([expected]));

test('everything wrong with a cluster is told at once', () => {
  const found = findings({
    nodes: controlPlanes(2),
    kubernetes: { version: '1.20.0', etcd: { quota: '9GiB' } },
    network: { routing: 'vxlan' },
    more: { dns: { upstreams: ['10.96.0.10'] }, checks: { names: ['erp.corp.example'] } },
  });
  expect(found.map((line) => line.split(':')[0]).sort()).toEqual([
    'error dns.upstreams.0',
    'error kubernetes.etcd.quota',
    'error kubernetes.version',
    'error machines.nodes',
    'error network.routing',
  ]);
});

describe('the connection table', () => {
  const conntrack = (more: Record<string, unknown>, cpus = 2) =>
    planOf(smallCluster({ more, machines: { defaults: { cpus, memory: '4GiB', rootDisk: '20GiB' } } }))
      .nodes[0].sysctls.filter(({ key }) => key.includes('nf_conntrack_max') || key.includes('buckets'))
      .map(({ key, value }) => `${key.split('.').pop()}=${value}`);
  const proxy = { kubeProxy: { mode: 'nftables', conntrack: 'kube-proxy' } };

  test('of the site grows with the CPUs, and its hash table with it', () => {
    expect(conntrack({})).toEqual(['nf_conntrack_max=131072', 'nf_conntrack_buckets=32768']);
    expect(conntrack({}, 16)).toEqual(['nf_conntrack_max=524288', 'nf_conntrack_buckets=131072']);
    expect(conntrack({}, 64)).toEqual(['nf_conntrack_max=1048576', 'nf_conntrack_buckets=262144']);
    expect(conntrack({ nodePrep: { sysctls: { 'net/netfilter/nf_conntrack_max': 200000 } } })).toEqual([
      'nf_conntrack_max=200000',
      'nf_conntrack_buckets=50176',
    ]);
  });

  test('of kube-proxy is left to it: a value of ours would lower the table until its next start', () => {
    expect(conntrack(proxy, 16)).toEqual([]);
  });

  test('kube-proxy is told who owns it', () => {
    const told = (more: Record<string, unknown>) => planOf(smallCluster({ more })).cluster!.kubeProxy;
    expect(told({})).toMatchObject({ conntrackOwner: 'site', configuration: { conntrack: { maxPerCore: 0, min: 0 } } });
    expect(told(proxy)).toMatchObject({
      conntrackOwner: 'kube-proxy',
      configuration: { conntrack: { maxPerCore: 32768, min: 131072 } },
    });
  });

  test('a limit that is no number is refused', () => {
    expect(findings({ more: { nodePrep: { sysctls: { 'net.netfilter.nf_conntrack_max': 'many' } } } })).toEqual([
      'error nodePrep.sysctls.net.netfilter.nf_conntrack_max: many is not a number of connections',
    ]);
  });
});
