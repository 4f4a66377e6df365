import type { NodeRequest } from '../../components/proof/facts';
import { proveNode } from '../../components/proof/prove';
import { startNetwork, type TestNetwork } from './network';

let net: TestNetwork;
beforeAll(async () => {
  net = await startNetwork();
});
afterAll(() => net?.stop());

test('a node: its disk, its clock, a duplicate address, silent servers, a peer behind a smaller MTU', async () => {
  // A third host on the segment claims the first node's address too.
  const { middle } = net;
  net.run(
    middle,
    'ip',
    'link',
    'add',
    'twin',
    'address',
    '02:00:00:00:00:99',
    'type',
    'veth',
    'peer',
    'name',
    'port-c',
  );
  net.run(middle, 'ip', 'link', 'set', 'port-c', 'master', 'br0', 'up');
  net.run(middle, 'sysctl', '-qw', 'net.ipv4.conf.all.arp_ignore=1');
  net.run(middle, 'ip', 'addr', 'add', '192.0.2.11/24', 'dev', 'twin');
  net.run(middle, 'ip', 'link', 'set', 'twin', 'up');
  net.fault('ip daddr 192.0.2.12 meta length > 1450 drop');
  const before = net.a.inventory();

  const request: NodeRequest = {
    kind: 'prove-node',
    node: {
      name: 'one',
      role: 'control-plane',
      target: net.a.target,
      addresses: [net.a.address, net.a.address6],
      etcdDisk: null,
    },
    peers: [
      { name: 'windows', address: net.b.address, family: 'ipv4', mtuBytes: 1500, tcpPort: 445 },
      { name: 'six', address: net.b.address6, family: 'ipv6', mtuBytes: 1500, tcpPort: null },
    ],
    dnsServers: [net.b.address],
    ntpServers: [net.b.address],
    thresholds: { etcdFsyncP99Milliseconds: 0, cpuStealPercent: 100, clockOffsetMilliseconds: 500 },
    warn: ['dns'],
  };
  const { facts, findings } = await proveNode(request);
  expect(facts.etcd).toMatchObject({ target: '/var/lib' });
  expect(Math.abs(facts.engineClock.offsetMilliseconds)).toBeLessThanOrEqual(
    facts.engineClock.uncertaintyMilliseconds + 5,
  );
  const lines = findings.map(({ severity, probe, message }) => `${severity} ${probe}: ${message}`);
  expect(lines).toEqual([
    'error duplicate-address: 192.0.2.11 is also used by 02:00:00:00:00:99',
    'warn dns: DNS server 192.0.2.12: no answer',
    'error ntp: NTP server 192.0.2.12: no answer',
    expect.stringMatching(/^error etcd-disk: fdatasync on \/var\/lib takes [\d.]+ ms \(p99 of \d+\), allowed: 0 ms$/),
    'error peers: windows (192.0.2.12): TCP 445: Connection refused',
    'error peers: windows (192.0.2.12): 1500 does not pass, 1450 does: something between them adds 50 bytes, as VXLAN does',
  ]);
  expect(facts.peers[1]).toMatchObject({ name: 'six', largestBytes: 1500 });
  expect(net.a.inventory()).toBe(before);
});
