import { planContainerd } from '../../components/plan/containerd';
import { clusterSite, controlPlanes, smallCluster } from './clusterSite';
import { findingsOf, node, planOf, siteOf } from './site';

const dnsOf = (dns: object, more: Record<string, unknown> = {}) =>
  planOf(smallCluster({ more: { dns, ...more } })).cluster!.dns;

describe('DNS', () => {
  test('asks the resolvers of the site, else those of the machines, else those of each node', () => {
    const underlay = {
      underlay: { subnets: [{ name: 's1', cidrs: ['192.0.1.0/24'] }], dns: { servers: ['192.0.1.53'] } },
    };
    expect(dnsOf({ upstreams: ['203.0.113.1', '203.0.113.2'] }, underlay).corefile).toContain(
      'forward . 203.0.113.1 203.0.113.2 {',
    );
    expect(dnsOf({}, underlay).corefile).toContain('forward . 192.0.1.53 {');
    const existing = siteOf('v4', 1, { kubernetes: { version: '1.36.1' }, kubeProxy: { mode: 'iptables' } });
    expect(planOf(existing).cluster!.dns.corefile).toContain('forward . /etc/resolv.conf {');
    // A machine of the kit has none but those of the site.
    const { corefile, nodeLocal } = dnsOf({});
    expect(corefile).not.toContain('forward');
    expect(nodeLocal!.corefile).not.toContain('\n.:53');
  });

  test('has zones with resolvers of their own, in CoreDNS and in the cache', () => {
    const { corefile, nodeLocal, stubZones } = dnsOf({
      ...{ stubZones: { 'corp.example': ['203.0.113.9'] }, cacheTtl: '1m' },
    });
    expect(stubZones).toEqual([{ zone: 'corp.example', servers: ['203.0.113.9'] }]);
    expect(corefile).toContain('corp.example:53 {\n    errors\n    forward . 203.0.113.9 {');
    expect(corefile).toContain('cache 60');
    expect(nodeLocal!.corefile).toContain(
      'corp.example:53 {\n    errors\n    bind 169.254.20.10\n    cache 60\n    forward . 203.0.113.9 {',
    );
  });

  test('that nobody tests is told, where there is a resolver at all', () => {
    const untested = (more: object) =>
      findingsOf(clusterSite({ more: { dns: { upstreams: ['203.0.113.1'] }, ...more } })).filter((line) =>
        line.includes('checks.names'),
      );
    expect(untested({})).toEqual([
      'warning checks.names: no name outside the cluster is looked up from pods, so `verify` passes with resolvers that know none (203.0.113.1): name one that they must know, such as erp.corp.example',
    ]);
    expect(untested({ checks: { names: ['erp.corp.example'] } })).toEqual([]);
    // Without one there are no names outside.
    expect(untested({ dns: {} })).toEqual([]);
    expect(untested({ kubernetes: {} })).toEqual([]);
  });

  test('every server of the cache binds its own address alone, and asks the cluster by TCP', () => {
    const { corefile } = dnsOf({ upstreams: ['203.0.113.1'] }).nodeLocal!;
    const servers = corefile.split(/^}\n/m).filter((block) => block !== '');
    expect(servers).toHaveLength(4);
    for (const server of servers) expect(server).toContain('\n    bind 169.254.20.10\n');
    expect(servers.filter((server) => server.includes('forward . 10.96.0.10 {\n        force_tcp\n'))).toHaveLength(3);
  });

  test('without the cache pods ask the Service', () => {
    expect(dnsOf({ nodeLocal: false })).toMatchObject({ nodeLocal: null, clusterDnsAddresses: ['10.96.0.10'] });
  });

  test('of a site of IPv6 only listens on IPv6', () => {
    const site = siteOf('v6', 1, { kubernetes: { version: '1.36.1' }, kubeProxy: { mode: 'iptables' } });
    const { dns, kubeProxy } = planOf(site).cluster!;
    expect(dns.clusterDnsAddresses).toEqual(['fd53:5157:20::10', 'fd00:10:96::a']);
    expect(dns.nodeLocal!.corefile).toContain('health [fd53:5157:20::10]:8080');
    expect(kubeProxy.configuration).toMatchObject({ bindAddress: '::', healthzBindAddress: '[::]:10256' });
  });

  test('grows with the nodes', () => {
    const replicas = (workers: number, dns: object = {}) => {
      const nodes = [
        ...controlPlanes(1),
        ...Array.from({ length: workers }, (_, index) => node(`w${index}`, 1, 30 + index)),
      ];
      return planOf(smallCluster({ nodes, network: { cni: 'none' }, more: { dns } })).cluster!.dns.replicas;
    };
    expect([0, 1, 15, 31, 32].map((workers) => replicas(workers))).toEqual([1, 2, 2, 2, 3]);
    expect(replicas(1, { replicas: 5 })).toBe(5);
  });

  test('is not forwarded to itself', () => {
    const checks = { names: ['erp.corp.example'] };
    const refused = (dns: object) => findingsOf(clusterSite({ more: { dns, checks } }));
    const loop =
      "is the cluster's own (DNS answers on 10.96.0.10): forwarding there is a loop; name a resolver outside it";
    expect(refused({ upstreams: ['10.96.0.10'] })).toEqual([`error dns.upstreams.0: 10.96.0.10 ${loop}`]);
    expect(refused({ stubZones: { 'corp.example': ['169.254.20.10'] } })).toEqual([
      `error dns.stubZones.corp.example.0: 169.254.20.10 ${loop}`,
    ]);
    expect(refused({ stubZones: { 'svc.cluster.local': ['203.0.113.9'] } })).toEqual([
      'error dns.stubZones.svc.cluster.local: svc.cluster.local belongs to the cluster, which answers for all of cluster.local: leave it out',
    ]);
  });
});

describe('kube-proxy', () => {
  test('leaves the virtual address and the networks of the site alone', () => {
    const proxy = { mode: 'ipvs', excludeCIDRs: ['203.0.113.0/24'], strictARP: false, timeouts: { tcp: '2h' } };
    expect(planOf(clusterSite({ more: { kubeProxy: proxy } })).cluster!.kubeProxy.configuration).toMatchObject({
      mode: 'ipvs',
      ipvs: {
        excludeCIDRs: ['192.0.1.10/32', '203.0.113.0/24'],
        strictARP: false,
        tcpTimeout: '7200s',
        tcpFinTimeout: '120s',
        udpTimeout: '300s',
      },
    });
    expect(
      findingsOf(clusterSite({ more: { kubeProxy: { mode: 'iptables', excludeCIDRs: ['203.0.113.1/24'] } } })),
    ).toEqual([
      'error kubeProxy.excludeCIDRs.0: 203.0.113.1/24 is an address inside a network: write the network itself, 203.0.113.0/24',
    ]);
  });
});

describe('containerd', () => {
  const { bundle } = planOf(smallCluster()).cluster!;
  const tables = (version: string) => {
    const components = bundle.components.map((one) => (one.name === 'containerd' ? { ...one, version } : one));
    const { toml } = planContainerd({ ...bundle, components });
    return toml.split('\n').flatMap((line) => /^ *\[(.+)\]$/.exec(line)?.[1] ?? /^version = .*/.exec(line)?.[0] ?? []);
  };
  const cri = "plugins.'io.containerd.cri.v1";
  const later = [
    `${cri}.images'`,
    `${cri}.images'.pinned_images`,
    `${cri}.images'.registry`,
    `${cri}.runtime'`,
    `${cri}.runtime'.containerd`,
    `${cri}.runtime'.containerd.runtimes.runc`,
    `${cri}.runtime'.containerd.runtimes.runc.options`,
    `${cri}.runtime'.cni`,
  ];

  test('3 and 4 have the tables of the documentation of containerd 2', () => {
    expect(tables('2.2.9')).toEqual(['version = 3', 'grpc', ...later]);
    expect(tables('2.3.7')).toEqual(['version = 4', "plugins.'io.containerd.server.v1.grpc'", ...later]);
  });

  test('2 has those of containerd 1', () => {
    const one = 'plugins."io.containerd.grpc.v1.cri"';
    expect(tables('1.6.20')).toEqual([
      'version = 2',
      'grpc',
      one,
      `${one}.containerd`,
      `${one}.containerd.runtimes.runc`,
      `${one}.containerd.runtimes.runc.options`,
      `${one}.cni`,
      `${one}.registry`,
    ]);
  });

  test.each(['1.6.20', '2.2.9', '2.3.7'])(
    'of %s: cgroups of systemd, the pause image, registries by folder',
    (version) => {
      const components = bundle.components.map((one) => (one.name === 'containerd' ? { ...one, version } : one));
      const { toml } = planContainerd({ ...bundle, components });
      expect(toml).toMatch(/runtimes\.runc\.options\]\n +SystemdCgroup = true\n/);
      expect(toml).toMatch(/ (sandbox|sandbox_image) = "registry\.k8s\.io\/pause:3\.10\.2"\n/);
      expect(toml).toMatch(/registry\]\n +config_path = "\/etc\/containerd\/certs\.d"\n/);
    },
  );
});
