import { createHash } from 'node:crypto';
import type { SitePlan } from '../../components/plan';
import { mtuBudget } from './budget';
import { findingsOf, type Evidence } from './evidence';
import { html, Html, type Piece } from './html';
import { latencies } from './latency';
import { matrices } from './matrix';
import { capped, count, dataTable, marked, measuredBy, paragraph, section, type Mark } from './parts';
import { layersOf } from './paths';
import { STYLE } from './style';
import { topology } from './topology';
import { versions } from './versions';

export interface Report {
  plan: SitePlan;
  /** Versions of the kit that the site was reviewed with. */
  kit: string;
  evidence: Evidence;
  /** Day in UTC, such as 2026-11-21: whether a version is still supported depends on it. */
  today: string;
}

/** Thousands of findings say the same; verify tells every one. */
const MOST_LISTED = 200;

/** One file that needs nothing else: no network, no script, the same bytes from the same results. */
export function reportPage(report: Report): string {
  const { plan, evidence, today } = report;
  const sections: [id: string, title: string, content: Piece][] = [
    ['topology-section', 'Topology', topology(plan, stateOf(evidence))],
    ['mtu', 'MTU budget', mtuBudget(plan.mtu)],
    ['proof', 'Proof of the network', proof(report)],
    ['latency', 'Names and etcd', latencies(plan, evidence) ?? never(plan, 'Nothing of it was measured yet', 'verify')],
    ['versions', 'Versions', versions(report)],
    ['drift', 'Drift', drift(report)],
  ];
  const body = html`<a class="skip" href="#main">Skip to the report</a>
    <header>
      <h1>${plan.site}</h1>
      <p class="muted">
        Report of ${today}: a ${plan.environment} site of ${count(plan.nodes.length, 'machine')}, by Sitewright
        ${plan.kitVersion}.
      </p>
      <nav aria-label="Sections">
        <ul>
          ${sections.map(([id, title]) => html`<li><a href="#${id}">${title}</a></li> `)}
        </ul>
      </nav>
    </header>
    <main id="main">${summary(report)}${sections.map(([id, title, content]) => section(id, title, content))}</main> `;
  // No value of a page can become a request or a program: the browser refuses all but this one style sheet.
  const policy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`;
  return html`<!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${policy}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${plan.site}: Sitewright report</title>
        ${new Html(`<style>${STYLE}</style>`)}
      </head>
      <body>
        ${body}
      </body>
    </html> `.text;
}

/** The answers that a reader has come for, before any detail. */
function summary({ plan, evidence, today }: Report): Html {
  const { pairs, nodes, cluster, drift: audit } = evidence;
  const machines = [...(pairs?.found ?? []), ...(nodes?.found ?? [])];
  const tiles: [title: string, answer: Html][] = [
    ['Network of the machines', machines.length === 0 ? neverMark() : verdict(machines.flatMap((one) => one.findings))],
  ];
  if (plan.cluster !== null) {
    const { kubernetesVersion, supportedUntil } = plan.cluster;
    const isOver = today > supportedUntil;
    tiles.push(
      ['Cluster', cluster === null ? neverMark() : verdict(cluster.found.findings)],
      [
        `Support of Kubernetes ${kubernetesVersion}`,
        marked(isOver ? 'bad' : 'ok', `${isOver ? 'ended on' : 'until'} ${supportedUntil}`),
      ],
    );
  }
  if (evidence.unanswered !== null) {
    tiles.push(['Without an answer', marked('bad', count(evidence.unanswered.found.length, 'probe'))]);
  }
  tiles.push(['Pod MTU', html`${plan.mtu.podMtuBytes} bytes`]);
  tiles.push(['Drift', audit === null ? marked('none', 'never looked for') : driftVerdict(audit.found)]);
  return html`<dl class="summary">
    ${tiles.map(
      ([title, answer]) =>
        html`<div>
          <dt>${title}</dt>
          <dd>${answer}</dd>
        </div> `,
    )}
  </dl> `;
}

const neverMark = () => marked('none', 'not verified yet');

function verdict(findings: readonly { severity: 'error' | 'warn' | 'info' }[]): Html {
  const of = (severity: string) => findings.filter((finding) => finding.severity === severity).length;
  if (of('error') > 0) return marked('bad', `${count(of('error'), 'probe')} failed`);
  return of('warn') > 0 ? marked('warn', `passed, ${count(of('warn'), 'warning')}`) : marked('ok', 'passed');
}

const driftVerdict = ({ differences, unanswered }: { differences: unknown[]; unanswered: unknown[] }) => {
  if (differences.length > 0) return marked('bad', `${count(differences.length, 'difference')}`);
  return unanswered.length > 0 ? marked('warn', 'not all could be read') : marked('ok', 'as planned');
};

const never = ({ site }: SitePlan, what: string, command: 'verify' | 'drift') =>
  html`<p>${marked('none', `${what}`)}: <code>sitewright ${command} ${site}</code> does it.</p> `;

function proof({ plan, evidence }: Report): Html {
  const { pairs, nodes, cluster, unanswered } = evidence;
  if (pairs === null && nodes === null && cluster === null && unanswered === null) {
    return never(plan, 'The network of this site was not verified yet', 'verify');
  }
  const rank = { error: 0, warn: 1, info: 2 };
  const serious = findingsOf(evidence)
    .filter(({ severity }) => severity !== 'info')
    .sort((a, b) => rank[a.severity] - rank[b.severity]);
  const { shown, left } = capped(serious, MOST_LISTED);
  const sample = plan.proof.sample === null ? null : paragraph(`Pairs of machines: ${plan.proof.sample}.`);
  return html`${sample}${
    unanswered === null
      ? null
      : dataTable(
          `What did not answer (${measuredBy(unanswered)})`,
          ['where', 'why'],
          unanswered.found.map(({ where, message }) => [where, marked('bad', message)]),
        )
  }${
    serious.length === 0
      ? paragraph(marked('ok', 'No probe failed or warned.'))
      : dataTable(
          'Probes that failed or warned',
          ['where', 'probe', 'what was found'],
          shown.map(({ severity, where, probe, message }) => [
            ...[where, probe],
            marked(severity === 'error' ? 'bad' : 'warn', `${severity === 'error' ? 'failed' : 'warning'}: ${message}`),
          ]),
        )
  }${left === null ? null : paragraph(`${left}: sitewright verify tells them all.`)}${matrices(layersOf(evidence), plan.nodes, plan.mtu.podMtuBytes)}`;
}

function drift({ plan, evidence }: Report): Html {
  if (evidence.drift === null) return never(plan, 'Nobody has looked for drift on this machine yet', 'drift');
  const { differences, unanswered } = evidence.drift.found;
  const { shown, left } = capped(differences, MOST_LISTED);
  return html`<p>Looked for ${measuredBy(evidence.drift)}: ${driftVerdict(evidence.drift.found)}.</p>
    ${
      differences.length === 0
        ? null
        : dataTable(
            'Differences from the plan',
            ['where', 'what', 'planned', 'found', 'note'],
            shown.map(({ where, what, wanted, found, why }) => [where, what, wanted || '–', found || '–', why]),
          )
    }${left === null ? null : paragraph(`${left}: sitewright drift tells them all.`)}${
      unanswered.length === 0
        ? null
        : dataTable(
            'What could not be read',
            ['where', 'why'],
            unanswered.map(({ where, message }) => [where, marked('bad', message)]),
          )
    }`;
}

/** What the probes say of each machine: those that name it, and whether any was about it. */
function stateOf(evidence: Evidence): (node: string) => Mark {
  const { pairs, nodes, cluster } = evidence;
  const measured = new Set([
    ...(pairs?.found ?? []).flatMap(({ facts }) => [facts.a, facts.b]),
    ...(nodes?.found ?? []).map(({ facts }) => facts.node),
    ...(cluster?.found.facts.nodes ?? []).map(({ node }) => node),
  ]);
  const worst = new Map<string, Mark>();
  for (const { severity, where } of findingsOf(evidence)) {
    if (severity === 'info') continue;
    for (const name of where.replace(/^pod on /, '').split(/ (?:->|<->) /)) {
      if (worst.get(name) !== 'bad') worst.set(name, severity === 'error' ? 'bad' : 'warn');
    }
  }
  for (const { where } of evidence.unanswered?.found ?? [])
    for (const name of where.split(' <-> ')) worst.set(name, 'bad');
  return (node) => worst.get(node) ?? (measured.has(node) ? 'ok' : 'none');
}
