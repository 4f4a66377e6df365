import type { SitePlan } from '../../components/plan';
import type { Evidence } from './evidence';
import { groupBy } from './groupBy';
import { html, type Html, type Piece } from './html';
import { dataTable, marked, measuredBy } from './parts';
import { drawing, fitted, line, number, text, WIDTH } from './svg';

const PLOT = { left: 270, right: 670 };
const ROW = 30;
const HEAD = 24;

interface Row {
  label: string;
  /** In milliseconds, the smallest first; each has a shape of its own. */
  values: { shape: 'circle' | 'diamond' | 'bar'; word: string; milliseconds: number }[];
}

interface Plot {
  id: string;
  title: string;
  /** More than that fails, in milliseconds. */
  limit: number | null;
  rows: Row[];
}

/** How long names and the disk of etcd take, on a scale on which a tenth of a millisecond and five seconds are both seen. */
export function latencies(plan: SitePlan, evidence: Evidence): Html | null {
  const parts = [podNames(plan, evidence), nodeServers(evidence), etcdFsync(plan, evidence), etcdDisk(plan, evidence)];
  return parts.every((part) => part === null) ? null : html`${parts}`;
}

function podNames(plan: SitePlan, { cluster }: Evidence): Piece {
  const pods = cluster?.found.facts.pods.measured ?? [];
  const lookups = pods.flatMap(({ node, measured }) => (measured?.names ?? []).map((name) => ({ node, ...name })));
  if (cluster === null || lookups.length === 0) return null;
  const kinds = groupBy(lookups, ({ name, way }) => `${name}, ${way === 'parallel' ? 'ten at once' : 'in a row'}`);
  const rows = [...kinds].map(([label, found]) => {
    // A name that was never answered has no time.
    const answered = found.filter(({ failed, count }) => failed < count);
    const worst = (key: 'p99Milliseconds' | 'maxMilliseconds') => largest(answered, (one) => one[key]);
    return { label, found, answered, p99: worst('p99Milliseconds'), max: worst('maxMilliseconds') };
  });
  return part(
    'Names, looked up from pods',
    measuredBy(cluster),
    {
      id: 'pod-dns',
      title: 'Time of a look-up from pods: median, worst p99 and slowest of all pods',
      limit: plan.proof.thresholds.lookupMilliseconds,
      rows: rows
        .filter(({ answered }) => answered.length > 0)
        .map(({ label, answered, p99, max }) => ({
          label,
          values: [
            { shape: 'circle', word: 'p50', milliseconds: median(answered.map((one) => one.p50Milliseconds)) },
            { shape: 'diamond', word: 'p99', milliseconds: p99!.p99Milliseconds },
            { shape: 'bar', word: 'max', milliseconds: max!.maxMilliseconds },
          ],
        })),
    },
    dataTable(
      'Look-ups from pods',
      ['name', 'look-ups', 'failed', 'over 1 s', 'median', 'worst p99', 'slowest'],
      rows.map(({ label, found, answered, p99, max }) => [
        label,
        `${sum(found.map((one) => one.count))}`,
        failures(sum(found.map((one) => one.failed))),
        `${sum(found.map((one) => one.overOneSecond))}`,
        answered.length === 0 ? '–' : shown(median(answered.map((one) => one.p50Milliseconds))),
        p99 === null ? '–' : `${shown(p99.p99Milliseconds)} (pod on ${p99.node})`,
        max === null ? '–' : `${shown(max.maxMilliseconds)} (pod on ${max.node})`,
      ]),
    ),
  );
}

function nodeServers({ nodes }: Evidence): Piece {
  const answers = (nodes?.found ?? []).flatMap(({ facts }) => facts.dns.map((dns) => ({ node: facts.node, ...dns })));
  if (nodes === null || answers.length === 0) return null;
  const rows = [...groupBy(answers, ({ server }) => server)].map(([label, found]) => {
    const times = found.flatMap(({ node, milliseconds }) =>
      milliseconds === undefined ? [] : [{ node, milliseconds }],
    );
    const slowest = largest(times, ({ milliseconds }) => milliseconds);
    return { label, found, times: times.map(({ milliseconds }) => milliseconds), slowest };
  });
  return part(
    'DNS servers, asked by machines',
    measuredBy(nodes),
    {
      id: 'node-dns',
      title: 'Time of an answer of each DNS server: median and slowest of all machines',
      limit: null,
      rows: rows
        .filter(({ times }) => times.length > 0)
        .map(({ label, times, slowest }) => ({
          label,
          values: [
            { shape: 'circle', word: 'p50', milliseconds: median(times) },
            { shape: 'bar', word: 'max', milliseconds: slowest!.milliseconds },
          ],
        })),
    },
    dataTable(
      'Answers of DNS servers',
      ['server', 'machines', 'failed', 'median', 'slowest'],
      rows.map(({ label, found, times, slowest }) => [
        ...[label, `${found.length}`],
        failures(found.filter(({ error }) => error !== null).length),
        times.length === 0 ? '–' : shown(median(times)),
        slowest === null ? '–' : `${shown(slowest.milliseconds)} (${slowest.node})`,
      ]),
    ),
  );
}

function etcdFsync(plan: SitePlan, { cluster }: Evidence): Piece {
  const members = (cluster?.found.facts.nodes ?? []).flatMap(({ node, etcd }) => {
    if (etcd === undefined || 'error' in etcd || etcd.fsyncP99Milliseconds === null) return [];
    const since = etcd.duringRun ? 'during the probe' : 'since etcd started';
    return [{ node, milliseconds: etcd.fsyncP99Milliseconds, of: `${etcd.fsyncCount} ${since}` }];
  });
  if (cluster === null || members.length === 0) return null;
  const title = "fsync of etcd's write-ahead log, 99th percentile";
  return fsync('etcd', 'etcd', title, measuredBy(cluster), members, plan);
}

function etcdDisk(plan: SitePlan, { nodes }: Evidence): Piece {
  const disks = (nodes?.found ?? []).flatMap(({ facts: { node, etcd } }) =>
    etcd?.p99Milliseconds === undefined
      ? []
      : [{ node, milliseconds: etcd.p99Milliseconds, of: `${etcd.count ?? 0} on ${etcd.target ?? 'the disk'}` }],
  );
  if (nodes === null || disks.length === 0) return null;
  const title = 'fdatasync on the disk of etcd, 99th percentile, before etcd was there';
  return fsync('etcd-disk', 'Disks for etcd', title, measuredBy(nodes), disks, plan);
}

const fsync = (
  id: string,
  heading: string,
  title: string,
  measured: string,
  found: { node: string; milliseconds: number; of: string }[],
  { proof: { thresholds } }: SitePlan,
): Html =>
  part(
    heading,
    measured,
    {
      ...{ id, title, limit: thresholds.etcdFsyncP99Milliseconds },
      rows: found.map(({ node, milliseconds }) => ({
        label: node,
        values: [{ shape: 'diamond', word: 'p99', milliseconds }],
      })),
    },
    dataTable(
      title,
      ['machine', 'p99', 'of', 'allowed'],
      found.map(({ node, milliseconds, of }) => [
        node,
        milliseconds > thresholds.etcdFsyncP99Milliseconds ? marked('bad', shown(milliseconds)) : shown(milliseconds),
        ...[of, shown(thresholds.etcdFsyncP99Milliseconds)],
      ]),
    ),
  );

function part(heading: string, measured: string, plot: Plot, table: Html): Html {
  return html`<h3>${heading}</h3>
    <p>Measured ${measured}.</p>
    ${plot.rows.length === 0 ? null : chart(plot)}${table}`;
}

function chart({ id, title, limit, rows }: Plot): Html {
  const all = [...rows.flatMap(({ values }) => values.map(({ milliseconds }) => milliseconds)), limit ?? 1];
  // What is too short for the clock of a node still has its place, at the left end.
  const least = Math.floor(Math.log10(Math.max(0.01, Math.min(...all))));
  const most = Math.max(least + 1, Math.ceil(Math.log10(Math.max(...all))));
  const at = (milliseconds: number) => {
    const share = (Math.log10(Math.max(milliseconds, 10 ** least)) - least) / (most - least);
    return PLOT.left + share * (PLOT.right - PLOT.left);
  };
  const bottom = HEAD + rows.length * ROW;
  const content: Html[] = [];
  for (let decade = least; decade <= most; decade += 1) {
    const x = at(10 ** decade);
    content.push(line(x, HEAD, x, bottom, 'grid'));
    const anchor = decade === most ? 'end' : decade === least ? 'start' : 'middle';
    content.push(text(x, bottom + 16, shown(10 ** decade), { anchor, kind: 'label muted' }));
  }
  if (limit !== null) {
    content.push(line(at(limit), HEAD - 4, at(limit), bottom, 'limit'));
    const anchor = at(limit) > (PLOT.left + PLOT.right) / 2 ? 'end' : 'start';
    content.push(text(at(limit), 14, `allowed: ${shown(limit)}`, { anchor }));
  }
  for (const [index, { label, values }] of rows.entries()) {
    const y = HEAD + index * ROW + ROW / 2;
    content.push(text(1, y + 4, label, { width: PLOT.left - 16 }));
    content.push(line(at(values[0]!.milliseconds), y, at(values[values.length - 1]!.milliseconds), y, 'range'));
    content.push(
      ...values.map(({ shape, milliseconds }) => markOf(shape, at(milliseconds), y, isOver(milliseconds, limit))),
    );
    const words = values.map(({ word, milliseconds }) => `${word} ${shown(milliseconds)}`).join('  ');
    const over = values.some(({ milliseconds }) => isOver(milliseconds, limit)) ? '✗ ' : '';
    content.push(text(PLOT.right + 16, y + 4, over + words, { width: WIDTH - PLOT.right - 17 }));
  }
  const description = rows
    .map(({ label, values }) => {
      const times = values.map(({ word, milliseconds }) => `${word} ${shown(milliseconds)}`);
      return `${fitted(label, PLOT.left)}: ${times.join(', ')}`;
    })
    .join('; ');
  const shapes = rows.some(({ values }) => values.length > 1)
    ? html`<p class="muted">
        Circle: p50 (median). ${rows.some(({ values }) => values.length > 2) ? 'Diamond: p99. ' : null}Bar: the slowest.
        Each step of the scale is ten times the one before.
      </p> `
    : null;
  return html`${drawing(id, title, `${description}.`, bottom + 22, content)}${shapes}`;
}

const isOver = (milliseconds: number, limit: number | null) => limit !== null && milliseconds > limit;

/** Corners, from the middle. */
const DIAMOND: [number, number][] = [
  [0, -6],
  [6, 0],
  [0, 6],
  [-6, 0],
];
const BAR: [number, number][] = [
  [-2, -9],
  [2, -9],
  [2, 9],
  [-2, 9],
];

function markOf(shape: Row['values'][number]['shape'], x: number, y: number, over: boolean): Html {
  const kind = over ? 'mark over' : 'mark';
  if (shape === 'circle') return html`<circle cx="${number(x)}" cy="${number(y)}" r="5" class="${kind}" /> `;
  const corners = shape === 'diamond' ? DIAMOND : BAR;
  const points = corners.map(([right, down]) => `${number(x + right)},${number(y + down)}`);
  return html`<polygon points="${points.join(' ')}" class="${kind}" /> `;
}

/** Three digits tell a disk from another, and no more than that was measured. */
function shown(milliseconds: number): string {
  if (milliseconds >= 1000) return `${Number((milliseconds / 1000).toPrecision(3))} s`;
  return `${Number(milliseconds.toPrecision(3))} ms`;
}

const failures = (number: number): Piece => (number === 0 ? '0' : marked('bad', `${number}`));
const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor((sorted.length - 1) / 2);
  return sorted[middle]!;
}

const largest = <T>(items: readonly T[], value: (item: T) => number): T | null =>
  items.reduce<T | null>((best, item) => (best === null || value(item) > value(best) ? item : best), null);
