import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { clusterNetworks, controlPlane, kvmSite, node, planOf, siteOf } from './site';

const ports = (site: Record<string, unknown>) =>
  planOf(site).proof.ports.map((port) => `${port.protocol} ${port.number} ${port.between}`);

const ALWAYS = [
  'tcp 6443 any-to-control-plane',
  'tcp 2379 control-plane',
  'tcp 2380 control-plane',
  'tcp 10250 any',
  'tcp 5473 any',
];

describe('the proof', () => {
  test('probes the ports that the routing needs', () => {
    const with_ = (families: 'v4' | 'dual', network: object, more: object = {}) =>
      ports(siteOf(families, 1, { network: { ...clusterNetworks(families), ...network }, ...more }));
    expect(with_('v4', { routing: 'bgp' })).toEqual([...ALWAYS, 'tcp 179 any']);
    expect(with_('v4', { routing: 'ipip' })).toEqual([...ALWAYS, 'tcp 179 any', 'ip 4 any']);
    expect(with_('v4', { routing: 'vxlan' })).toEqual([...ALWAYS, 'udp 4789 any']);
    expect(with_('v4', { routing: 'vxlan', wireguard: true })).toEqual([...ALWAYS, 'udp 4789 any', 'udp 51820 any']);
    expect(with_('dual', { routing: 'bgp', wireguard: true })).toEqual([
      ...ALWAYS,
      'tcp 179 any',
      'udp 51820 any',
      'udp 51821 any',
    ]);
    expect(with_('v4', { routing: 'vxlan' }, { kubernetes: { vip: '192.0.1.10' } })).toEqual([
      ...ALWAYS,
      'udp 4789 any',
      'ip 112 control-plane',
    ]);
  });

  test('probes BGP beside VXLAN where a router or a label asks for it, and VXLAN where bpf carries Services in it', () => {
    const calico = (routing: string, calico: object, mode = 'ipvs') => {
      const site = siteOf('v4', 2, { kubernetes: { version: '1.36.1' }, kubeProxy: { mode } });
      Object.assign(site.network as object, { cni: 'calico', routing, calico });
      return ports(site);
    };
    const tor = { name: 'tor', address: '192.0.1.1', asNumber: 64601 };
    expect(calico('vxlan', {})).toEqual([...ALWAYS, 'udp 4789 any']);
    expect(calico('vxlan', { bgp: { peers: [tor] } })).toEqual([...ALWAYS, 'tcp 179 any', 'udp 4789 any']);
    expect(calico('vxlan', { bgp: { mode: 'on' } })).toEqual([...ALWAYS, 'tcp 179 any', 'udp 4789 any']);
    expect(calico('bgp', { dataplane: 'bpf' }, 'iptables')).toEqual([...ALWAYS, 'tcp 179 any', 'udp 4789 any']);
    expect(calico('vxlan', { dataplane: 'bpf' }, 'iptables')).toEqual([...ALWAYS, 'udp 4789 any']);
  });

  test('says for a pair what must pass, and where', () => {
    const plan = planOf(siteOf('dual', 2));
    expect(plan.proof.pairs).toEqual([
      {
        a: 'n1',
        b: 'n2',
        round: 0,
        sameSubnet: false,
        sameHost: false,
        addresses: [
          { family: 'ipv4', a: '192.0.1.11', b: '192.0.2.12' },
          { family: 'ipv6', a: '2001:db8:1::11', b: '2001:db8:2::12' },
        ],
        underlayMtuBytes: 1500,
        encapsulation: 'vxlan',
        podMtuBytes: 1430,
        podFamilies: ['ipv4', 'ipv6'],
      },
    ]);
    expect(plan.proof.sample).toBeNull();
  });

  test('has no pair for one node, and one round fewer than nodes for a few', () => {
    const nodes = (count: number) =>
      Array.from({ length: count }, (_, index) => (index === 0 ? controlPlane : node(`w${index}`, 1, 20 + index)));
    expect(planOf(kvmSite([controlPlane])).proof.pairs).toEqual([]);
    const rounds = (count: number) => new Set(planOf(kvmSite(nodes(count))).proof.pairs.map((pair) => pair.round)).size;
    expect([2, 3, 4, 5, 20].map(rounds)).toEqual([1, 3, 3, 5, 19]);
    expect(planOf(kvmSite(nodes(3))).proof.pairs.every((pair) => pair.sameHost && pair.sameSubnet)).toBe(true);
  });

  test('takes every pair up to 20 nodes, and a sample from 21 on', () => {
    const nodes = (count: number) =>
      Array.from({ length: count }, (_, index) => (index === 0 ? controlPlane : node(`w${index}`, 1, 20 + index)));
    expect(planOf(kvmSite(nodes(20))).proof).toMatchObject({ sample: null, pairs: { length: 190 } });
    const { proof } = planOf(kvmSite(nodes(21)));
    expect(proof.pairs).toHaveLength(42);
    expect(proof.sample).toBe(
      '42 of 210 pairs, because the site has more than 20 nodes: every node with its two neighbours on either side in the ' +
        'site file, and at least one pair for every two subnets and every two hypervisors, and within each',
    );
  });

  test('of no profile but that of labs lets a name take longer than a second', () => {
    const limits = ['base', 'lab', 'production', 'staging'].map((name) => {
      const text = readFileSync(join(__dirname, `../../stacks/profiles/${name}.yaml`), 'utf8');
      return (parse(text) as { checks?: { lookup?: string } }).checks?.lookup;
    });
    expect(limits).toEqual([undefined, '3s', undefined, undefined]);
  });

  test('takes thresholds in their units, peers and servers from the site', () => {
    const { proof } = planOf(
      kvmSite(
        [controlPlane],
        {},
        {
          underlay: {
            subnets: [{ name: 's1', cidrs: ['192.0.1.0/24'], mtu: 1400 }],
            dns: { servers: ['192.0.1.53'] },
            ntp: { servers: ['ntp.example'] },
          },
          checks: {
            peers: [
              { name: 'win', address: '203.0.113.9', tcpPort: 443 },
              { name: 'small', address: '203.0.113.10', mtu: 1300 },
            ],
            warn: ['etcd-disk'],
            loss: '0.5%',
            jitter: '1.5ms',
            etcdFsyncP99: '1s',
            clockOffset: '2m',
          },
        },
      ),
    );
    expect(proof.peers).toEqual([
      { name: 'win', address: '203.0.113.9', family: 'ipv4', mtuBytes: 1400, tcpPort: 443 },
      { name: 'small', address: '203.0.113.10', family: 'ipv4', mtuBytes: 1300, tcpPort: null },
    ]);
    expect(proof).toMatchObject({ dnsServers: ['192.0.1.53'], ntpServers: ['ntp.example'], warn: ['etcd-disk'] });
    expect(proof.thresholds).toEqual({
      lossPercent: 0.5,
      jitterMilliseconds: 1.5,
      etcdFsyncP99Milliseconds: 1000,
      controlPlaneRoundTripMilliseconds: 10,
      cpuStealPercent: 5,
      clockOffsetMilliseconds: 120000,
      lookupMilliseconds: 1000,
    });
  });
});
