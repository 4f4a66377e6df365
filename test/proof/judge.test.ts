import type { DirectionFacts, NodeFacts, PairFacts, SizeFacts } from '../../components/proof/facts';
import { judgeNode, judgePair } from '../../components/proof/judge';
import { portOutcome, portsFor } from '../../components/proof/ports';
import { renderProof } from '../../components/proof/render';

const passed = (wantedBytes: number, change: Partial<SizeFacts> = {}): SizeFacts => ({
  wantedBytes,
  sent: 5,
  arrived: 5,
  fragments: 0,
  counters: { created: 0, received: 0 },
  anyArrived: true,
  refused: null,
  deviceMtuBytes: 1500,
  largestBytes: wantedBytes,
  above: null,
  ...change,
});

const direction = (change: Partial<DirectionFacts> = {}): DirectionFacts => ({
  from: 'a',
  to: 'b',
  family: 'ipv4',
  fromAddress: '192.0.2.11',
  toAddress: '192.0.2.12',
  underlay: passed(1500),
  tunnel: passed(1450),
  tcp: { bytes: 4194304, seconds: 0.5, retransmits: 0, error: null },
  lossPercent: 0,
  ports: [],
  ...change,
});

const pair = (change: Partial<DirectionFacts> = {}, facts: Partial<PairFacts> = {}): PairFacts => ({
  kind: 'pair',
  a: 'a',
  b: 'b',
  encapsulation: 'vxlan',
  sameHost: false,
  bothControlPlane: false,
  directions: [direction(change)],
  roundTrips: [
    { family: 'ipv4', sent: 300, answered: 300, meanMilliseconds: 12, deviationMilliseconds: 1, maxMilliseconds: 20 },
  ],
  ...facts,
});

const thresholds = { lossPercent: 0, jitterMilliseconds: 5, controlPlaneRoundTripMilliseconds: 10 };
const judged = (facts: PairFacts, warn: string[] = []) =>
  judgePair(facts, { thresholds, warn }).map(({ severity, probe, message }) => `${severity} ${probe}: ${message}`);

describe('pairs', () => {
  test('everything as planned', () => expect(judged(pair())).toEqual([]));

  test('warn makes a failure a warning, of that probe alone', () => {
    const facts = pair({ lossPercent: 0.5, underlay: passed(1500, { arrived: 0, largestBytes: 1492 }) });
    expect(judged(facts, ['loss'])).toEqual([
      'error underlay-mtu: 192.0.2.11 -> 192.0.2.12: 1500 does not pass, 1492 does: something between them adds 8 bytes, as PPPoE does',
      'warn loss: 192.0.2.11 -> 192.0.2.12: 0.5 % of small packets are lost, allowed: 0 %',
    ]);
  });

  test('a limit is still allowed', () => {
    const roundTrips = [{ ...pair().roundTrips[0]!, deviationMilliseconds: 5 }];
    expect(judged(pair({}, { roundTrips }))).toEqual([]);
  });

  test('the round trip counts between control-plane nodes', () => {
    expect(judged(pair({}, { bothControlPlane: true }))).toEqual([
      'error round-trip: ipv4: the mean round trip is 12 ms, allowed between control-plane nodes: 10 ms',
    ]);
  });

  test('a transfer that stalls between machines of one hypervisor points to LRO', () => {
    const tcp = { bytes: 0, seconds: 20, retransmits: 31, error: 'timed out' };
    expect(judged(pair({ tcp }, { sameHost: true }))[0]).toMatch(/timed out after 20 s, 31 retransmits; .* LRO/);
  });

  test('what cannot be proved above is said and is no failure', () => {
    const above = { sizeBytes: 1501, outcome: 'not provable', detail: 'mtu greater than device maximum' } as const;
    expect(judged(pair({ underlay: passed(1500, { above }) }))).toEqual([
      "info underlay-mtu: 192.0.2.11 -> 192.0.2.12: not provable above 1500: the sender's device refuses (mtu greater than device maximum)",
    ]);
  });

  test('a port', () => {
    const port = { protocol: 'ip', number: 112, what: 'VRRP', outcome: 'silent', detail: null } as const;
    expect(judged(pair({ ports: [port] }))).toEqual([
      'error ports: 192.0.2.11 -> 192.0.2.12: IP protocol 112 (VRRP) does not arrive: a filter on the way or on the receiver drops it',
    ]);
  });
});

describe('ports', () => {
  test('by roles', () => {
    const ports = (['any', 'control-plane', 'any-to-control-plane'] as const).map((between, number) => {
      return { protocol: 'tcp' as const, number, what: '', between };
    });
    const numbers = (from: string, to: string) => portsFor(ports, from, to).map(({ number }) => number);
    expect(numbers('worker', 'worker')).toEqual([0]);
    expect(numbers('worker', 'control-plane')).toEqual([0, 2]);
    expect(numbers('control-plane', 'worker')).toEqual([0]);
    expect(numbers('control-plane', 'control-plane')).toEqual([0, 1, 2]);
  });

  test.each([
    ['tcp', 'listening', 'open', false, false, 'reachable'],
    ['tcp', 'in use', 'open', false, false, 'reachable'],
    ['tcp', 'listening', 'silent', false, false, 'silent'],
    ['udp', 'listening', 'sent', true, true, 'reachable'],
    ['udp', 'listening', 'sent', true, false, 'filtered by the receiver'],
    ['udp', 'in use', 'sent', true, false, 'reachable'],
    ['ip', 'listening', 'sent', false, false, 'silent'],
    ['ip', 'listening', 'Operation not permitted', false, false, 'not sent'],
  ] as const)('%s, %s, %s, arrived %s, heard %s: %s', (protocol, state, answer, arrived, heard, outcome) => {
    expect(portOutcome(protocol, state, { answer }, { arrived, heard }).outcome).toBe(outcome);
  });
});

const node = (change: Partial<NodeFacts> = {}): NodeFacts => ({
  kind: 'node',
  node: 'a',
  role: 'control-plane',
  addresses: [],
  dns: [],
  ntp: [],
  peers: [],
  steal: { percent: 1, windowSeconds: 3 },
  etcd: { tool: 'fio', target: '/var/lib/etcd', count: 9000, p99Milliseconds: 4 },
  engineClock: { offsetMilliseconds: 900, uncertaintyMilliseconds: 500 },
  ...change,
});
const judgedNode = (facts: NodeFacts) =>
  judgeNode(facts, {
    thresholds: { etcdFsyncP99Milliseconds: 10, cpuStealPercent: 5, clockOffsetMilliseconds: 500 },
    warn: [],
  }).map(({ probe }) => probe);

test('nodes', () => {
  // 900 ms that the way to the node may explain to 500 are no proof of more than 400.
  expect(judgedNode(node())).toEqual([]);
  expect(judgedNode(node({ engineClock: { offsetMilliseconds: -900, uncertaintyMilliseconds: 5 } }))).toEqual([
    'clock',
  ]);
  const ntp = [{ server: '192.0.2.1', error: null, offsetMilliseconds: -501 }];
  expect(judgedNode(node({ ntp }))).toEqual(['clock']);
  expect(judgedNode(node({ steal: { percent: 5.1, windowSeconds: 3 } }))).toEqual(['cpu-steal']);
  expect(judgedNode(node({ etcd: { p99Milliseconds: 10.5 } }))).toEqual(['etcd-disk']);
  expect(judgedNode(node({ etcd: { error: 'the etcd disk is not there' } }))).toEqual(['etcd-disk']);
});

test('the table for a terminal', () => {
  const broken = pair({
    underlay: passed(1500, { arrived: 0, largestBytes: 1450 }),
    tunnel: { skipped: '-' },
    tcp: null,
  });
  const results = [pair(), broken].map((facts) => ({ facts, findings: judgePair(facts, { thresholds, warn: [] }) }));
  const text = renderProof([...results, { facts: node(), findings: [] }], { color: false });
  expect(text).toContain('1500 ok');
  expect(text).toContain('8.4 MB/s');
  expect(text).toContain('1450 of 1500');
  expect(text).toContain('4.00 ms');
  expect(text).toContain('error underlay-mtu a -> b: 192.0.2.11 -> 192.0.2.12: 1500 does not pass, 1450 does');
  expect(text).toContain('1 probes failed');
  expect(text).not.toContain('\u001b');
  expect(renderProof(results, { color: true })).toContain('\u001b[31m');
});
