import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import type { PodMeasurements } from '../../components/clusterProbe';
import { podProgram } from '../../components/clusterProbe/podProgram';

// Two pods as network namespaces, with a cable between them; a third address stands for the Service.

const PORT = 8080;
const names = ['a', 'b'].map((side) => `swprobe${process.pid % 1000}${side}`) as [string, string];
const servers: ChildProcess[] = [];
const ip = (...args: string[]) => execFileSync('ip', args, { encoding: 'utf8' });
const inside = (name: string, ...command: string[]) => ip('netns', 'exec', name, ...command);

beforeAll(() => {
  for (const name of names) ip('netns', 'add', name);
  const [a, b] = names;
  ip('link', 'add', 'eth0', 'netns', a, 'mtu', '1500', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', b);
  for (const [index, name] of names.entries()) {
    ip('-n', name, 'address', 'add', `192.0.2.${index + 1}/24`, 'dev', 'eth0');
    ip('-n', name, 'address', 'add', `2001:db8::${index + 1}/64`, 'dev', 'eth0', 'nodad');
    for (const device of ['lo', 'eth0']) ip('-n', name, 'link', 'set', device, 'up');
  }
});

afterAll(() => {
  for (const server of servers) server.kill('SIGKILL');
  for (const name of names) ip('netns', 'del', name);
});

const request = (more: object = {}) => ({
  node: 'one',
  mtuBytes: 1500,
  families: ['ipv4', 'ipv6'],
  others: [{ node: 'two', addresses: { ipv4: '192.0.2.2', ipv6: '2001:db8::2' } }],
  service: {
    addresses: { ipv4: '192.0.2.2', ipv6: '2001:db8::2' },
    port: PORT,
    pods: 1,
    tries: 3,
    seconds: 20,
    connectSeconds: 5,
  },
  names: ['localhost'],
  lookups: 5,
  peers: [
    { name: 'open', address: '192.0.2.2', family: 'ipv4', mtuBytes: 1500, tcpPort: PORT },
    { name: 'closed', address: '2001:db8::2', family: 'ipv6', mtuBytes: 1400, tcpPort: 9 },
  ],
  bytes: 1024 * 1024,
  transferSeconds: 20,
  zones: [],
  nameServers: [],
  reach: [],
  ...more,
});

/** A part of the program as if it had gone into the network of a pod. */
const program = (part: string, question: object) =>
  `${podProgram}\n${part}(json.loads(${JSON.stringify(JSON.stringify(question))}))\n`;

function measure(question: object): PodMeasurements {
  const input = program('found = measure', question).replace(/\n$/, '\nprint(json.dumps(found))\n');
  const args = ['netns', 'exec', names[0], 'python3', '-u', '-'];
  return JSON.parse(
    execFileSync('ip', args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'ignore'] }),
  ) as PodMeasurements;
}

test('from pod to pod: sizes, a Service, names and peers', () => {
  const served = { node: 'two', port: PORT, families: ['ipv4', 'ipv6'], seconds: 600 };
  const args = ['netns', 'exec', names[1], 'python3', '-u', '-c', program('serve', served)];
  servers.push(spawn('ip', args, { stdio: 'ignore' }));

  // The server is not awaited: a Service whose rules are not there yet is tried until it answers.
  const found = measure(request());
  expect(found.deviceMtuBytes).toBe(1500);
  for (const family of ['ipv4', 'ipv6'] as const) {
    expect(found.sizes.find((size) => size.family === family)).toMatchObject({
      ...{ node: 'two', full: { sizeBytes: 1500 }, largestBytes: 1500 },
      above: { sizeBytes: 1501, answered: 0, refused: 'EMSGSIZE' },
    });
    const service = found.services.find((one) => one.family === family)!;
    expect(service).toMatchObject({ reached: { two: 3 }, failed: {} });
    const headers = family === 'ipv4' ? 52 : 72;
    const tcp = { pathMtuBytes: 1500, segmentBytes: 1500 - headers };
    expect(service.transfer).toMatchObject({ node: 'two', bytes: 1024 * 1024, error: null, up: tcp, down: tcp });
    // Most segments were full: a megabyte takes 724 to 734 of them.
    expect(service.transfer!.up!.segments - service.transfer!.up!.retransmits).toBeLessThan(800);
  }
  expect(found.names.map(({ way, count, failed }) => ({ way, count, failed }))).toEqual([
    { way: 'sequence', count: 5, failed: 0 },
    { way: 'parallel', count: 5, failed: 0 },
  ]);
  expect(found.peers).toMatchObject([
    { name: 'open', largestBytes: 1500, tcp: { error: null } },
    { name: 'closed', largestBytes: 1400, tcp: { error: 'Connection refused' } },
  ]);
});

test('what is reached and what is dropped, at once; a name server that answers and one that does not', () => {
  const answer = 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("192.0.2.2", 53))\n';
  const loop = 'while True:\n  data, peer = s.recvfrom(512); s.sendto(data, peer)';
  servers.push(spawn('ip', ['netns', 'exec', names[1], 'python3', '-c', answer + loop], { stdio: 'ignore' }));
  inside(names[1], 'nft', 'add table inet fence; add chain inet fence in { type filter hook input priority 0; }');
  inside(names[1], 'nft', 'add rule inet fence in tcp dport 8081-8083 drop');
  try {
    const target = (name: string, port: number, family = 'ipv4') => ({
      ...{ name, family, port, address: family === 'ipv4' ? '192.0.2.2' : '2001:db8::2' },
    });
    const reach = [target('open', PORT), target('a', 8081), target('b', 8082, 'ipv6'), target('closed', 9)];
    const nothing = { families: [], others: [], names: [], peers: [], service: { addresses: {} } };
    const found = measure(request({ ...nothing, reach, nameServers: ['192.0.2.2', '2001:db8::2'] }));
    expect(found.reach).toEqual([
      { name: 'open', family: 'ipv4', error: null },
      { name: 'a', family: 'ipv4', error: 'no answer' },
      { name: 'b', family: 'ipv6', error: 'no answer' },
      { name: 'closed', family: 'ipv4', error: 'Connection refused' },
    ]);
    expect(found.nameServers).toMatchObject([
      { address: '192.0.2.2', error: null },
      { address: '2001:db8::2', error: 'Connection refused' },
    ]);
  } finally {
    inside(names[1], 'nft', 'delete table inet fence');
  }
});

test('a path that carries less: the largest packet is found, and large segments do not arrive', () => {
  inside(names[1], 'nft', 'add table inet less; add chain inet less in { type filter hook input priority 0; }');
  inside(names[1], 'nft', 'add rule inet less in meta length > 1450 drop');
  try {
    const { services, sizes } = measure(request({ families: ['ipv4'], peers: [], names: [], transferSeconds: 2 }));
    expect(sizes).toMatchObject([{ full: { answered: 0 }, largestBytes: 1450 }]);
    expect(services[0]!.transfer).toMatchObject({ error: 'no answer' });
  } finally {
    inside(names[1], 'nft', 'delete table inet less');
  }
});

test('nobody there: every connection fails and is told, and no packet is answered', () => {
  const others = [{ node: 'two', addresses: { ipv4: '192.0.2.3' } }];
  const service = { addresses: { ipv4: '192.0.2.1' }, port: 9, pods: 1, tries: 3, seconds: 1, connectSeconds: 5 };
  const { services, sizes } = measure(
    request({ families: ['ipv4'], peers: [], names: ['no.such.invalid'], others, service }),
  );
  expect(sizes).toMatchObject([{ largestBytes: null }]);
  expect(services).toMatchObject([{ reached: {}, failed: { 'Connection refused': 1 }, transfer: null }]);
});
