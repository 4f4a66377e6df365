import { execFileSync } from 'node:child_process';
import { clusterSite } from '../plan/clusterSite';
import { planOf } from '../plan/site';

/**
 * What a site has for paths that lose ICMP, with packets: a pod, its node and a server as network namespaces, and a path
 * behind the node that carries 1400 bytes where the pod knows of 1500.
 */

const [POD, NODE, SERVER] = ['p', 'n', 's'].map((role) => `swseg${process.pid}-${role}`) as [string, string, string];

const sh = (command: string[], input = '') => execFileSync(command[0]!, command.slice(1), { encoding: 'utf8', input });
const within = (namespace: string, command: string[], input?: string) =>
  sh(['ip', 'netns', 'exec', namespace, ...command], input);

/** Address of the server by family, and what TCP has left of 1500 and of 1400 bytes. */
const FAMILIES = {
  ipv4: { server: '198.51.100.2', whole: 1460, clamped: 1360 },
  ipv6: { server: '2001:db8:2::2', whole: 1440, clamped: 1340 },
};
type Family = keyof typeof FAMILIES;

beforeAll(() => {
  if (process.getuid?.() !== 0) throw new Error('these tests make network namespaces: run them as root');
  for (const namespace of [POD, NODE, SERVER]) {
    sh(['ip', 'netns', 'add', namespace]);
    sh(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
  }
  const link = (a: string, aName: string, b: string, bName: string) =>
    sh(['ip', '-n', a, 'link', 'add', aName, 'type', 'veth', 'peer', 'name', bName, 'netns', b]);
  link(POD, 'eth0', NODE, 'cali1');
  link(NODE, 'eth0', SERVER, 'eth0');
  const addresses: [string, string, string, string][] = [
    [POD, 'eth0', '192.0.2.2/24', '2001:db8:1::2/64'],
    [NODE, 'cali1', '192.0.2.1/24', '2001:db8:1::1/64'],
    [NODE, 'eth0', '198.51.100.1/24', '2001:db8:2::1/64'],
    [SERVER, 'eth0', '198.51.100.2/24', '2001:db8:2::2/64'],
  ];
  for (const [namespace, device, ipv4, ipv6] of addresses) {
    sh(['ip', '-n', namespace, 'addr', 'add', ipv4, 'dev', device]);
    sh(['ip', '-n', namespace, 'addr', 'add', ipv6, 'dev', device, 'nodad']);
    sh(['ip', '-n', namespace, 'link', 'set', device, 'up']);
  }
  for (const [namespace, ipv4, ipv6] of [
    [POD, '192.0.2.1', '2001:db8:1::1'],
    [SERVER, '198.51.100.1', '2001:db8:2::1'],
  ] as const) {
    sh(['ip', '-n', namespace, 'route', 'add', 'default', 'via', ipv4]);
    sh(['ip', '-n', namespace, '-6', 'route', 'add', 'default', 'via', ipv6]);
  }
  within(NODE, ['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
  sh(['ip', '-n', NODE, 'link', 'set', 'eth0', 'mtu', '1400']);
});

afterAll(() => {
  for (const namespace of [POD, NODE, SERVER]) {
    // A transfer that never ends would keep it alive without its name.
    for (const pid of sh(['ip', 'netns', 'pids', namespace]).split('\n').filter(Boolean)) process.kill(Number(pid));
    sh(['ip', 'netns', 'del', namespace]);
  }
});

const load = (namespace: string, ruleset: string) => within(namespace, ['nft', '-f', '-'], ruleset);

const calico = (network: object) =>
  planOf(clusterSite({ network: { cni: 'calico', routing: 'bgp', ...network }, more: { kubeProxy: { mode: 'ipvs' } } }))
    .cluster!;

describe('mssClamp', () => {
  const { ruleset } = calico({ mssClamp: true }).podMasquerade!;

  /** MSS in the SYN of a connection from the pod, as the server gets it. */
  const segment = (family: Family): number =>
    Number(within(SERVER, ['python3', '-', POD, FAMILIES[family].server, family], SEGMENT_OF_SYN));
  const segments = () => ({ ipv4: segment('ipv4'), ipv6: segment('ipv6') });
  const clamped = { ipv4: FAMILIES.ipv4.clamped, ipv6: FAMILIES.ipv6.clamped };

  test('without it the pod offers what its own device takes', () => {
    expect(segments()).toEqual({ ipv4: FAMILIES.ipv4.whole, ipv6: FAMILIES.ipv6.whole });
  });

  test('both families are clamped to the route, and loading it again changes nothing', () => {
    load(NODE, ruleset);
    expect(segments()).toEqual(clamped);
    load(NODE, ruleset);
    expect(segments()).toEqual(clamped);
    expect(within(NODE, ['nft', 'list', 'ruleset']).match(/maxseg size set rt mtu/g)).toHaveLength(1);
  });

  test.each(['iptables-restore', 'ip6tables-restore'])('what Felix writes by %s leaves it alone', (restore) => {
    within(NODE, [restore, '--noflush'], FELIX_CHAINS);
    expect(segments()).toEqual(clamped);
    // Without --noflush every table that is named loses what it had.
    within(NODE, [restore], FELIX_CHAINS);
    expect(segments()).toEqual(clamped);
    within(NODE, [restore, '--noflush'], FELIX_CHAINS_GONE);
    expect(segments()).toEqual(clamped);
  });

  test("so does Felix's nftables dataplane, which makes its whole table anew", () => {
    const table =
      'table ip calico { chain filter-FORWARD { type filter hook forward priority 0; ct state new accept; }; }';
    load(NODE, table);
    load(NODE, `delete table ip calico\n${table}`);
    expect(segments()).toEqual(clamped);
    load(NODE, 'delete table ip calico');
    expect(segments()).toEqual(clamped);
  });
});

describe('podMtuProbing', () => {
  const sysctls = calico({ podMtuProbing: true }).calico!.manifest!.cniPluginsAdded[0]!.sysctl as Record<
    string,
    string
  >;

  test('a transfer out of the pod ends where the path says nothing of packets that are too large', () => {
    load(NODE, 'flush ruleset');
    load(NODE, BLACK_HOLE);
    // What the CNI plugin tuning does with them in the network of a pod.
    for (const [key, value] of Object.entries(sysctls)) within(POD, ['sysctl', '-qw', `${key}=${value}`]);
    const sent = within(SERVER, ['timeout', '100', 'python3', '-', POD, FAMILIES.ipv4.server], TRANSFER);
    expect(Number(sent)).toBe(262144);
    expect(Number(/counter packets (\d+)/.exec(within(NODE, ['nft', 'list', 'ruleset']))![1])).toBeGreaterThan(0);
  }, 120_000);
});

const BLACK_HOLE = `table ip black_hole {
  chain output {
    type filter hook output priority 0;
    icmp type destination-unreachable counter drop
  }
}
`;

const felixTable = (table: string) => `*${table}
:cali-FORWARD - [0:0]
-F cali-FORWARD
-A cali-FORWARD -i cali+ -m mark --mark 0x10000/0x10000 -j ACCEPT
-A cali-FORWARD -j MARK --set-xmark 0x10000/0x10000
-I FORWARD -j cali-FORWARD
COMMIT
`;
const FELIX_CHAINS = felixTable('mangle') + felixTable('filter').replace(/^-A .* MARK .*\n/m, '');
const FELIX_CHAINS_GONE = ['mangle', 'filter']
  .map((table) => `*${table}\n-F FORWARD\n-F cali-FORWARD\n-X cali-FORWARD\nCOMMIT\n`)
  .join('');

/** In the network of the server: it listens for frames before the pod connects, and takes the first SYN. */
const SEGMENT_OF_SYN = `
import socket, struct, subprocess, sys
pod, server, family = sys.argv[1:]
frames = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800 if family == 'ipv4' else 0x86DD))
frames.bind(('eth0', 0))
connect = "import socket, sys; socket.create_connection((sys.argv[1], 9), 60)"
subprocess.run(['ip', 'netns', 'exec', pod, 'python3', '-c', connect, server], stderr=subprocess.DEVNULL)
while True:
    packet = frames.recv(65535)
    if family == 'ipv4':
        if packet[9] != 6:
            continue
        tcp = packet[(packet[0] & 15) * 4:]
    else:
        if packet[6] != 6:
            continue
        tcp = packet[40:]
    if tcp[13] & 0x12 == 0x02:
        break
options = tcp[20:(tcp[12] >> 4) * 4]
while options:
    kind = options[0]
    if kind == 2:
        print(struct.unpack('!H', options[2:4])[0])
        break
    options = options[1:] if kind < 2 else options[options[1]:]
`;

const TRANSFER = `
import socket, subprocess, sys
pod, server = sys.argv[1:]
listener = socket.create_server((server, 9))
send = "import socket, sys; s = socket.create_connection((sys.argv[1], 9)); s.sendall(bytes(262144)); s.close()"
sender = subprocess.Popen(['ip', 'netns', 'exec', pod, 'python3', '-c', send, server])
connection = listener.accept()[0]
got = 0
while data := connection.recv(65536):
    got += len(data)
sender.wait()
print(got)
`;
