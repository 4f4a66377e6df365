import { renderPlan } from '../../components/plan';
import { conntrackMax, proxyConntrack } from '../../components/plan/conntrack';
import { smallCluster } from './clusterSite';
import { clusterNetworks, controlPlane, findingsOf, kvmSite, node, planOf, siteOf } from './site';

const small = (more: Record<string, unknown> = {}) => kvmSite([controlPlane, node('w1', 1, 12)], {}, more);
const modules = (site: Record<string, unknown>) => planOf(site).nodes[0].modules.map((module) => module.name);
const sysctls = (site: Record<string, unknown>) =>
  planOf(site).nodes[0].sysctls.map((sysctl) => `${sysctl.key}=${sysctl.value}`);
const overridden = (values: object, more: object = {}) => findingsOf(small({ nodePrep: { sysctls: values }, ...more }));

describe('kernel modules', () => {
  const base = ['overlay', 'br_netfilter', 'nf_conntrack'];
  test('follow the Service proxy, the routing and the site', () => {
    expect(modules(small())).toEqual([...base, 'ip_vs', 'ip_vs_rr', 'ip_vs_wrr', 'ip_vs_sh']);
    expect(modules(small({ kubeProxy: { scheduler: 'lc' } })).slice(-1)).toEqual(['ip_vs_lc']);
    expect(modules(small({ kubeProxy: { mode: 'nftables' } }))).toEqual([...base, 'nf_tables']);
    expect(modules(small({ kubeProxy: { mode: 'iptables' } }))).toEqual(base);
    const iptables = { kubeProxy: { mode: 'iptables' } };
    expect(modules(small({ ...iptables, network: { routing: 'ipip' } }))).toEqual([...base, 'ipip']);
    expect(modules(small({ ...iptables, network: { routing: 'vxlan', wireguard: true } }))).toEqual([
      ...base,
      'vxlan',
      'wireguard',
    ]);
    expect(modules(small({ ...iptables, nodePrep: { modules: ['dm_crypt', 'overlay'] } }))).toEqual([
      ...base,
      'dm_crypt',
    ]);
  });

  test('each has a reason', () => {
    for (const module of planOf(small()).nodes[0].modules) expect(module.reason).not.toBe('');
  });
});

describe('sysctls', () => {
  test('of an IPv4 site, forwarding first', () => {
    expect(sysctls(small())).toEqual([
      'net.ipv4.ip_forward=1',
      'net.ipv4.conf.all.rp_filter=1',
      'net.ipv4.conf.default.rp_filter=1',
      'net.bridge.bridge-nf-call-iptables=1',
      'net.netfilter.nf_conntrack_max=131072',
      'net.netfilter.nf_conntrack_tcp_timeout_time_wait=30',
      'net.core.netdev_max_backlog=5000',
    ]);
  });

  test('of a dual-stack site have the IPv6 ones too', () => {
    expect(sysctls(siteOf('dual', 1))).toEqual([
      'net.ipv4.ip_forward=1',
      'net.ipv6.conf.all.forwarding=1',
      'net.ipv6.conf.default.accept_ra=0',
      'net.ipv4.conf.all.rp_filter=1',
      'net.ipv4.conf.default.rp_filter=1',
      'net.bridge.bridge-nf-call-iptables=1',
      'net.bridge.bridge-nf-call-ip6tables=1',
      'net.netfilter.nf_conntrack_max=131072',
      'net.netfilter.nf_conntrack_tcp_timeout_time_wait=30',
      'net.core.netdev_max_backlog=5000',
    ]);
  });

  test('the site adds and overrides, in either notation', () => {
    const { sysctls: planned } = planOf(
      small({ nodePrep: { sysctls: { 'net.core.somaxconn': 4096, 'net/core/netdev_max_backlog': ' 10000 ' } } }),
    ).nodes[0];
    expect(planned.slice(-2)).toEqual([
      {
        key: 'net.core.netdev_max_backlog',
        value: '10000',
        reason: 'stated in nodePrep.sysctls instead of 5000',
      },
      { key: 'net.core.somaxconn', value: '4096', reason: 'stated in nodePrep.sysctls' },
    ]);
    expect(sysctls(small({ nodePrep: { sysctls: { 'net/ipv4/conf/eth0.100/rp_filter': 2 } } }))).toContain(
      'net.ipv4.conf.eth0/100.rp_filter=2',
    );
  });
});

describe('the table of connections of a cluster', () => {
  const ofCluster = (conntrack: string, nodePrep = {}) =>
    smallCluster({ more: { kubeProxy: { mode: 'nftables', conntrack }, nodePrep } });

  test('takes a size of the site only where the site owns it', () => {
    const stated = { sysctls: { 'net/netfilter/nf_conntrack_max': 524288 } };
    expect(sysctls(ofCluster('site', stated))).toContain('net.netfilter.nf_conntrack_max=524288');
    expect(findingsOf(ofCluster('kube-proxy', stated))).toEqual([
      'error nodePrep.sysctls.net/netfilter/nf_conntrack_max: net.netfilter.nf_conntrack_max = 524288 is refused: kube-proxy sets it whenever it starts (kubeProxy.conntrack), and both would take turns; leave it out, or set kubeProxy.conntrack to site',
    ]);
  });

  test('has the size that kube-proxy gives it, from 1.36 on with an upper bound', () => {
    expect([2, 8, 64].map((cpus) => conntrackMax(proxyConntrack('1.36.1'), cpus))).toEqual([131072, 262144, 1048576]);
    expect(conntrackMax(proxyConntrack('1.35.4'), 64)).toBe(2097152);
  });

  test('is told in the plan', () => {
    const text = renderPlan(planOf(ofCluster('kube-proxy')), { color: false }).replace(/[\s│]+/g, ' ');
    expect(text).toContain('(32768 a CPU, at least 131072, at most 1048576); node preparation leaves it alone');
  });
});

describe('an override that breaks what the cluster needs is refused', () => {
  const dual = { network: clusterNetworks('dual') };
  const CASES: [key: string, value: number | string, more: object, part: string][] = [
    ['net.ipv4.ip_forward', 0, {}, 'without forwarding no packet reaches a pod of this node; leave it out, 1 is set'],
    ['net/ipv4/ip_forward', '0', {}, 'without forwarding no packet reaches a pod of this node; leave it out, 1 is set'],
    ['net.ipv4.conf.all.forwarding', 0, {}, 'without forwarding no packet reaches a pod'],
    ['net.ipv6.conf.all.forwarding', 0, dual, 'without forwarding no IPv6 packet reaches a pod'],
    ['net.ipv6.conf.all.disable_ipv6', 1, dual, 'network.podCidrs has an IPv6 network'],
    ['net.bridge.bridge-nf-call-iptables', 0, {}, 'bridged pods would bypass Services and network policy'],
    ['net.bridge.bridge-nf-call-ip6tables', 0, dual, 'bridged pods would bypass Services and network policy'],
    ['net.ipv4.conf.all.rp_filter', 2, {}, 'Felix accepts 0 or 1'],
    ['net.ipv4.ip_no_pmtu_disc', 1, {}, 'path MTU discovery must stay on'],
    ['net.ipv4.vs.conn_reuse_mode', 0, {}, 'kube-proxy chooses it by the kernel'],
    ['net.ipv4.vs.conn_reuse_mode', 1, {}, 'kube-proxy chooses it by the kernel'],
    ['net.ipv4.vs.conntrack', 0, {}, 'kube-proxy in mode ipvs sets it to 1 whenever it starts'],
  ];
  test.each(CASES)('%s = %s', (key, value, more, part) => {
    // Machines of one family refuse a second one of the pods as well; only the sysctl is looked at here.
    const found = overridden({ [key]: value }, more).filter((line) => line.includes('nodePrep'));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(`error nodePrep.sysctls.${key}: `);
    expect(found[0]).toContain(` = ${value} is refused: ${part}`);
  });

  test('and nothing else is', () => {
    expect(
      overridden({
        'net.ipv4.ip_forward': 1,
        'net.ipv4.conf.all.rp_filter': 0,
        'net.ipv4.conf.ens192.rp_filter': 2,
        'net.ipv6.conf.all.forwarding': 0,
      }),
    ).toEqual([]);
    expect(overridden({ 'net.ipv4.vs.conntrack': 0 }, { kubeProxy: { mode: 'nftables' } })).toEqual([]);
  });

  test('patterns, empty values and the same key twice', () => {
    expect(overridden({ 'net.ipv4.conf.*.rp_filter': 1, 'net.core.somaxconn': ' ', 'net/core/somaxconn': 1 })).toEqual([
      'error nodePrep.sysctls.net.ipv4.conf.*.rp_filter: net.ipv4.conf.*.rp_filter is a pattern: every value is read back after it is set, so name each key',
      'error nodePrep.sysctls.net.core.somaxconn: net.core.somaxconn needs a value of one line',
      'error nodePrep.sysctls.net/core/somaxconn: net/core/somaxconn and net.core.somaxconn are the same key: keep one',
    ]);
  });

  test('a conntrack limit that kube-proxy will overwrite is a warning', () => {
    expect(overridden({ 'net.netfilter.nf_conntrack_max': 262144 })).toEqual([
      'warning nodePrep.sysctls.net.netfilter.nf_conntrack_max: 262144 holds until kube-proxy starts: it then sets max(32768 x cores, 131072)',
    ]);
  });
});
