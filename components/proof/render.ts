import Table from 'cli-table3';
import type { DirectionFacts, NodeFacts, PairFacts, ProofFinding, ProofResult, SizeFacts } from './facts';

/** Table of proof results for a terminal; without colour it is plain ASCII and the same in a log. */
export function renderProof(results: ProofResult[], opts: { color: boolean }): string {
  const pairs = results.filter((result): result is ProofResult<PairFacts> => result.facts.kind === 'pair');
  const nodes = results.filter((result): result is ProofResult<NodeFacts> => result.facts.kind === 'node');
  const parts: string[] = [];

  if (pairs.length > 0) {
    const rows = pairs.flatMap(({ facts }) => facts.directions.map((direction) => pairRow(direction, facts)));
    parts.push(table(['path', 'family', 'underlay', 'pods', 'TCP', 'loss', 'round trip', 'ports'], rows));
  }
  if (nodes.length > 0) {
    const rows = nodes.map(({ facts }) => nodeRow(facts));
    parts.push(table(['node', 'etcd fsync p99', 'CPU steal', 'clock', 'DNS', 'NTP', 'peers'], rows));
  }
  const findings = results.flatMap((result) => result.findings);
  parts.push(...findingLines(findings, opts));
  parts.push(verdict(findings, `all probes passed (${pairs.length} pairs, ${nodes.length} nodes)`, opts));
  return `${parts.join('\n')}\n`;
}

const COLOURS = { error: 31, warn: 33, info: 36 } as const;
const paint = (code: number, text: string, color: boolean) => (color ? `\u001b[${code}m${text}\u001b[0m` : text);

/** One line a finding, the worst first. */
export function findingLines(findings: ProofFinding[], { color }: { color: boolean }): string[] {
  const serious = (['error', 'warn'] as const).flatMap((severity) =>
    findings
      .filter((one) => one.severity === severity)
      .map(({ probe, where, message }) => {
        return `${paint(COLOURS[severity], severity.padEnd(5), color)} ${probe} ${where}: ${message}`;
      }),
  );
  const label = paint(COLOURS.info, 'info ', color);
  const known = [...notes(findings)].map(([text, count]) => `${label} ${text}${count > 1 ? ` (${count} times)` : ''}`);
  return [...serious, ...known];
}

/** The last line: that everything passed, in the given words, or how many probes did not. */
export function verdict(findings: ProofFinding[], passed: string, { color }: { color: boolean }): string {
  const failed = findings.filter(({ severity }) => severity === 'error').length;
  return failed === 0 ? paint(32, passed, color) : paint(31, `${failed} probes failed`, color);
}

/** What is worth knowing is mostly true of every path alike: told once, with how often. */
function notes(findings: ProofFinding[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { probe, message } of findings.filter(({ severity }) => severity === 'info')) {
    const text = `${probe}: ${message.replace(/^\S+ -> \S+: /, '')}`;
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return counts;
}

export function table(head: string[], rows: string[][]): string {
  const made = new Table({
    head,
    style: { head: [], border: [], compact: true },
    chars: {
      top: '',
      'top-mid': '',
      'top-left': '',
      'top-right': '',
      bottom: '',
      'bottom-mid': '',
      'bottom-left': '',
      'bottom-right': '',
      left: '',
      'left-mid': '',
      mid: '',
      'mid-mid': '',
      right: '',
      'right-mid': '',
      middle: '  ',
    },
  });
  made.push(...rows);
  return made.toString().replace(/ +$/gm, '');
}

const round = (value: number, digits: number) => value.toFixed(digits);

function pairRow(direction: DirectionFacts, facts: PairFacts): string[] {
  const { tunnel, tcp, lossPercent, ports } = direction;
  const trip = facts.roundTrips.find(({ family }) => family === direction.family);
  const reached = ports.filter(({ outcome }) => outcome === 'reachable').length;
  return [
    `${direction.from} -> ${direction.to}`,
    direction.family,
    size(direction.underlay),
    'skipped' in tunnel ? 'not tried' : `${size(tunnel)} ${facts.encapsulation}`,
    tcp === null ? '-' : tcp.error !== null ? tcp.error : `${round(tcp.bytes / tcp.seconds / 1e6, 1)} MB/s`,
    lossPercent === null ? '-' : `${round(lossPercent, 1)} %`,
    trip === undefined || trip.answered === 0
      ? '-'
      : `${round(trip.meanMilliseconds, 2)} ms +- ${round(trip.deviationMilliseconds, 2)}`,
    ports.length === 0 ? '-' : `${reached}/${ports.length}`,
  ];
}

function size(facts: SizeFacts): string {
  if (facts.arrived > 0) return facts.fragments > 0 ? `${facts.wantedBytes} in fragments` : `${facts.wantedBytes} ok`;
  return facts.largestBytes === null ? 'nothing passes' : `${facts.largestBytes} of ${facts.wantedBytes}`;
}

function nodeRow(facts: NodeFacts): string[] {
  const { etcd, steal, ntp, dns, peers } = facts;
  const offset = ntp.find(({ offsetMilliseconds }) => offsetMilliseconds !== undefined)?.offsetMilliseconds;
  const count = (list: { error: string | null }[]) =>
    list.length === 0 ? '-' : `${list.filter(({ error }) => error === null).length}/${list.length}`;
  const reached = peers.filter(({ largestBytes, wantedBytes }) => largestBytes === wantedBytes).length;
  return [
    facts.node,
    etcd?.p99Milliseconds === undefined ? '-' : `${round(etcd.p99Milliseconds, 2)} ms`,
    `${round(steal.percent, 1)} %`,
    `${Math.round(offset ?? facts.engineClock.offsetMilliseconds)} ms`,
    count(dns),
    count(ntp),
    peers.length === 0 ? '-' : `${reached}/${peers.length}`,
  ];
}
