import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { coordinatePair } from '../../components/proof/coordinatePair';
import type { PairRequest } from '../../components/proof/facts';
import { provePair } from '../../components/proof/prove';
import type { PortProbe } from '../../components/plan/types';
import { startNetwork, type TestNetwork } from './network';

let net: TestNetwork;
beforeAll(async () => {
  net = await startNetwork();
});
afterAll(() => net?.stop());
afterEach(() => net.fault());

function request(change: Partial<PairRequest['pair']> = {}, ports: PortProbe[] = []): PairRequest {
  return {
    kind: 'prove-pair',
    pair: {
      a: 'one',
      b: 'two',
      sameSubnet: true,
      sameHost: false,
      addresses: [{ family: 'ipv4', a: net.a.address, b: net.b.address }],
      underlayMtuBytes: 1500,
      encapsulation: 'vxlan',
      podMtuBytes: 1450,
      podFamilies: ['ipv4', 'ipv6'],
      ...change,
    },
    a: { name: 'one', role: 'control-plane', target: net.a.target },
    b: { name: 'two', role: 'worker', target: net.b.target },
    ports,
    // A machine under load delays packets; these tests are about which arrive.
    thresholds: { lossPercent: 0, jitterMilliseconds: 1000, controlPlaneRoundTripMilliseconds: 1000 },
    warn: [],
  };
}

const errors = (findings: { severity: string; probe: string; message: string }[]) =>
  findings.filter(({ severity }) => severity === 'error').map(({ probe, message }) => `${probe}: ${message}`);

describe('a path as planned', () => {
  test('IPv4 and IPv6 through VXLAN: everything passes, and the nodes are as before', async () => {
    const before = [net.a.inventory(), net.b.inventory()];
    const addresses: PairRequest['pair']['addresses'] = [
      { family: 'ipv4', a: net.a.address, b: net.b.address },
      { family: 'ipv6', a: net.a.address6, b: net.b.address6 },
    ];
    const { facts, findings } = await provePair(request({ addresses, podMtuBytes: 1430 }));
    expect(errors(findings)).toEqual([]);
    expect(facts.directions.map(({ from, to, family }) => `${family} ${from}>${to}`)).toEqual([
      'ipv4 one>two',
      'ipv4 two>one',
      'ipv6 one>two',
      'ipv6 two>one',
    ]);
    for (const { family, underlay, tunnel, tcp } of facts.directions) {
      expect(underlay).toMatchObject({ largestBytes: 1500, fragments: 0, above: { sizeBytes: 1501, outcome: 'lost' } });
      // VXLAN over IPv6 takes 70 bytes and fills the underlay; over IPv4 it takes 50 and leaves room.
      const outcome = family === 'ipv4' ? 'passed' : 'lost';
      expect(tunnel).toMatchObject({ largestBytes: 1430, fragments: 0, above: { sizeBytes: 1431, outcome } });
      expect(tcp).toMatchObject({ bytes: 4194304, error: null });
    }
    expect(facts.roundTrips).toMatchObject([{ answered: 300 }, { answered: 300 }]);
    expect([net.a.inventory(), net.b.inventory()]).toEqual(before);
  });

  test('pod packets of a family that pods do not have are not tried: IPv4 pods leave no room for IPv6 outside', async () => {
    const addresses: PairRequest['pair']['addresses'] = [
      { family: 'ipv4', a: net.a.address, b: net.b.address },
      { family: 'ipv6', a: net.a.address6, b: net.b.address6 },
    ];
    const { facts, findings } = await provePair(request({ addresses, podMtuBytes: 1450, podFamilies: ['ipv4'] }));
    expect(errors(findings)).toEqual([]);
    const skipped = { skipped: 'the pods have no ipv6 addresses' };
    expect(facts.directions.map(({ underlay, tunnel }) => ({ underlay, tunnel }))).toMatchObject([
      { underlay: { largestBytes: 1500 }, tunnel: { largestBytes: 1450 } },
      { underlay: { largestBytes: 1500 }, tunnel: { largestBytes: 1450 } },
      { underlay: { largestBytes: 1500 }, tunnel: skipped },
      { underlay: { largestBytes: 1500 }, tunnel: skipped },
    ]);
  });

  test('pod packets without encapsulation go through the node that forwards', async () => {
    for (const { namespace } of [net.a, net.b]) net.run(namespace, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
    const before = [net.a.inventory(), net.b.inventory()];
    const { facts, findings } = await provePair(request({ encapsulation: 'none', podMtuBytes: 1500 }));
    expect(errors(findings)).toEqual([]);
    for (const { tunnel } of facts.directions) expect(tunnel).toMatchObject({ largestBytes: 1500, arrived: 5 });
    expect([net.a.inventory(), net.b.inventory()]).toEqual(before);

    net.run(net.b.namespace, 'sysctl', '-qw', 'net.ipv4.ip_forward=0');
    const closed = await provePair(request({ encapsulation: 'none', podMtuBytes: 1500 }));
    expect(errors(closed.findings)[0]).toContain('net.ipv4.ip_forward is 0 on two');
  });

  test('an underlay that carries more is said, and is no failure', async () => {
    for (const device of ['port-a', 'port-b', 'br0']) net.run(net.middle, 'ip', 'link', 'set', device, 'mtu', '9000');
    const { findings } = await provePair(request());
    expect(errors(findings)).toEqual([]);
    expect(findings.filter(({ probe }) => probe === 'underlay-mtu').map(({ message }) => message)).toEqual([
      '192.0.2.11 -> 192.0.2.12: 1501 passes too: the path carries more than the planned 1500',
      '192.0.2.12 -> 192.0.2.11: 1501 passes too: the path carries more than the planned 1500',
    ]);
  });
});

describe('a path that carries less', () => {
  test.each([
    [1450, 'something between them adds 50 bytes, as VXLAN does'],
    [1451, 'something between them takes 49 bytes; IPsec takes 50 to 80 by cipher'],
  ])('%i in the middle, silently, is found to the byte', async (mtu, cause) => {
    net.fault(`meta length > ${mtu} drop`);
    const { findings } = await provePair(request());
    expect(errors(findings)).toEqual([
      `underlay-mtu: 192.0.2.11 -> 192.0.2.12: 1500 does not pass, ${mtu} does: ${cause}`,
      `underlay-mtu: 192.0.2.12 -> 192.0.2.11: 1500 does not pass, ${mtu} does: ${cause}`,
    ]);
  });

  test('in one direction only', async () => {
    net.fault('iifname port-a meta length > 1400 drop');
    const { findings } = await provePair(request());
    expect(errors(findings)).toEqual([
      'underlay-mtu: 192.0.2.11 -> 192.0.2.12: 1500 does not pass, 1400 does: a device between them has an MTU of 1400',
    ]);
  });

  test('the device of the sender is not taken for the path', async () => {
    net.run(net.a.namespace, 'ip', 'link', 'set', 'eth0', 'mtu', '1400');
    const { findings } = await provePair(request());
    net.run(net.a.namespace, 'ip', 'link', 'set', 'eth0', 'mtu', '1500');
    expect(errors(findings)[0]).toBe(
      'underlay-mtu: 192.0.2.11 -> 192.0.2.12: 1500 does not leave the sender: its own device has an MTU of 1400',
    );
  });

  test('a pod MTU that is too large for the tunnel arrives in fragments only', async () => {
    const { findings } = await provePair(request({ podMtuBytes: 1500 }));
    expect(errors(findings)).toHaveLength(2);
    expect(errors(findings)[0]).toMatch(
      /^tunnel-mtu: .*1500 bytes between pods arrive in fragments only: 10 outer fragments/,
    );
  });

  test('nothing arrives at all', async () => {
    net.fault('ip saddr 192.0.2.11 drop', 'ip saddr 192.0.2.12 drop');
    const { findings } = await provePair(request());
    expect(errors(findings)[0]).toContain('no packet of any size arrives');
  });
});

describe('loss and filters', () => {
  test('5 % of random loss is loss and not a smaller MTU', async () => {
    net.fault('numgen random mod 100 < 5 drop');
    const { findings } = await provePair(request());
    expect(new Set(errors(findings).map((line) => line.split(':')[0]))).toEqual(new Set(['loss']));
  });

  test('a tunnel that a filter drops', async () => {
    net.fault('ip protocol udp udp dport 4789 drop');
    const { findings } = await provePair(request());
    expect(errors(findings)).toEqual([
      'tunnel-mtu: 192.0.2.11 -> 192.0.2.12: nothing arrives between pods: a filter on the way drops VXLAN (UDP 4789)',
      'tunnel-mtu: 192.0.2.12 -> 192.0.2.11: nothing arrives between pods: a filter on the way drops VXLAN (UDP 4789)',
    ]);
  });

  test('ports and protocols: who drops what', async () => {
    const ports: PortProbe[] = [
      { protocol: 'tcp', number: 179, what: 'BGP', between: 'any' },
      { protocol: 'tcp', number: 10250, what: 'kubelet', between: 'any' },
      { protocol: 'udp', number: 51820, what: 'WireGuard', between: 'any' },
      { protocol: 'udp', number: 4789, what: 'VXLAN', between: 'any' },
      { protocol: 'ip', number: 4, what: 'IP-in-IP', between: 'any' },
      { protocol: 'ip', number: 112, what: 'VRRP', between: 'any' },
      { protocol: 'tcp', number: 6443, what: 'API server', between: 'any-to-control-plane' },
      { protocol: 'tcp', number: 2379, what: 'etcd', between: 'control-plane' },
    ];
    net.fault('iifname port-a ip protocol 4 drop', 'iifname port-a tcp dport 179 drop');
    const filter = [
      'nft',
      'add table inet own; add chain inet own in { type filter hook input priority 0; }; add rule inet own in udp dport 51820 drop',
    ];
    net.run(net.b.namespace, ...filter);
    const facts = await coordinatePair(request({}, ports));
    net.run(net.b.namespace, 'nft', 'delete', 'table', 'inet', 'own');
    const table = facts.directions.map((direction) =>
      direction.ports.map(({ what, outcome }) => `${what}: ${outcome}`),
    );
    expect(table[0]).toEqual([
      'BGP: silent',
      'kubelet: reachable',
      'WireGuard: filtered by the receiver',
      'VXLAN: reachable',
      'IP-in-IP: silent',
      'VRRP: reachable',
    ]);
    expect(table[1]).toEqual([
      'BGP: reachable',
      'kubelet: reachable',
      'WireGuard: reachable',
      'VXLAN: reachable',
      'IP-in-IP: reachable',
      'VRRP: reachable',
      'API server: reachable',
    ]);
  });
});

describe('a machine that is to join a living cluster with Calico', () => {
  const tunnelPorts: PortProbe[] = [
    { protocol: 'ip', number: 4, what: 'IP-in-IP', between: 'any' },
    { protocol: 'udp', number: 4789, what: 'VXLAN', between: 'any' },
    { protocol: 'udp', number: 51820, what: 'WireGuard, IPv4', between: 'any' },
  ];
  /** What Felix has there of a host that it does not know, whatever its tunnel is. */
  const felix = () =>
    net.run(
      net.b.namespace,
      'nft',
      [
        'add table ip filter',
        'add chain ip filter cali-INPUT { type filter hook input priority 0; }',
        'add rule ip filter cali-INPUT ip protocol 4 drop',
        'add rule ip filter cali-INPUT udp dport 4789 drop',
      ].join('; '),
    );
  const device = (...words: string[]) => net.run(net.b.namespace, 'ip', 'link', ...words);
  const why = (kind: string, outer: number, pod: number) => ({
    skipped:
      `Calico runs on two already, and no second tunnel is opened beside its own: the wire carries the ${outer} bytes ` +
      `that ${kind} makes of ${pod}, and pods are measured through it in the cluster`,
  });

  const held: ChildProcess[] = [];
  /** As the kernel has it for WireGuard, which not every machine of the tests has. */
  const holdPort = () => {
    const program = `import socket, time
made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
made.bind(("", 51820))
print("bound", flush=True)
time.sleep(600)`;
    const child = spawn('ip', ['netns', 'exec', net.b.namespace, 'python3', '-c', program]);
    held.push(child);
    return once(child.stdout, 'data');
  };

  afterEach(() => {
    for (const child of held.splice(0)) child.kill();
    for (const name of ['vxlan.calico', 'wireguard.cali', 'cali1a2b3c4d5e6']) {
      try {
        device('del', name);
      } catch {
        // Not of this test.
      }
    }
    net.run(net.b.namespace, 'nft', 'flush', 'ruleset');
  });

  test.each([
    ['vxlan', 1450, ['add', 'vxlan.calico', 'type', 'vxlan', 'id', '4096', 'dstport', '4789']],
    ['ipip', 1480, ['add', 'cali1a2b3c4d5e6', 'type', 'bridge']],
    ['wireguard', 1440, ['add', 'wireguard.cali', 'type', 'bridge']],
  ] as const)(
    '%s: the wire is proved at the size of its outer packets, and no tunnel opened',
    async (kind, pod, link) => {
      felix();
      device(...link);
      if (kind === 'wireguard') await holdPort();
      const before = [net.a.inventory(), net.b.inventory()];
      const { facts, findings } = await provePair(request({ encapsulation: kind, podMtuBytes: pod }, tunnelPorts));
      expect(errors(findings)).toEqual([]);
      for (const { underlay, tunnel, ports } of facts.directions) {
        expect(underlay).toMatchObject({ largestBytes: 1500 });
        expect(tunnel).toEqual(why(kind, 1500, pod));
        expect(ports.map(({ outcome }) => outcome)).toEqual(['reachable', 'reachable', 'reachable']);
      }
      expect(findings.filter(({ probe }) => probe === 'tunnel-mtu').map(({ severity }) => severity)).toEqual([
        'info',
        'info',
      ]);
      expect([net.a.inventory(), net.b.inventory()]).toEqual(before);
      // What carries too little is found all the same, and what drops tunnels on the way.
      net.fault('meta length > 1499 drop');
      const less = await provePair(request({ encapsulation: kind, podMtuBytes: pod }));
      expect(errors(less.findings)[0]).toMatch(/^underlay-mtu: .*: 1500 does not pass, 1499 does/);
      net.fault('udp dport 4789 drop');
      const dropped = await provePair(request({ encapsulation: kind, podMtuBytes: pod }, tunnelPorts));
      expect(errors(dropped.findings)[0]).toMatch(/^ports: .*UDP 4789 \(VXLAN\) does not arrive/);
    },
  );

  test('a member without a pod has no device of Calico, and is known by calico-node', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sitewright-felix-'));
    const program = join(folder, 'calico-node');
    copyFileSync('/bin/sleep', program);
    const calicoNode = async (namespace: string) => {
      const child = spawn('ip', ['netns', 'exec', namespace, program, '600']);
      held.push(child);
      while (readFileSync(`/proc/${child.pid}/comm`, 'utf8') !== 'calico-node\n') await sleep(20);
    };
    try {
      // That of another node on the same kernel is none of this one's.
      await calicoNode(net.middle);
      const alone = await provePair(request());
      expect(alone.facts.directions[0]!.tunnel).toMatchObject({ largestBytes: 1450 });
      await calicoNode(net.b.namespace);
      const { facts } = await provePair(request());
      expect(facts.directions.map(({ tunnel }) => tunnel)).toEqual([
        why('vxlan', 1500, 1450),
        why('vxlan', 1500, 1450),
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
