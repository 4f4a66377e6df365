import { create } from 'xmlbuilder2';
import type { XMLBuilder } from 'xmlbuilder2/lib/interfaces';
import type { NodePlan } from '../../components/plan';
import type { Evidence } from '../../scripts/report/evidence';
import { html } from '../../scripts/report/html';
import { reportPage } from '../../scripts/report/page';
import { groupsOf } from '../../scripts/report/paths';
import { evidenceOf, NEVER, pairResults, planOf, TODAY } from './sites';

const plan = planOf(5);
const large = planOf(150);
const pageOf = (of = plan, evidence: Evidence = evidenceOf(of), today = TODAY) =>
  reportPage({ plan: of, kit: '^0.1.0', evidence, today });

/** What the parser's nodes are; the kit has no types of a browser. */
interface Tag {
  localName: string;
  getAttribute(name: string): string | null;
}

/** What a page has, read back by a strict parser: it refuses an element that is not closed and a value that is not escaped. */
class Page {
  readonly root: XMLBuilder;

  constructor(readonly text: string) {
    this.root = create(text).root();
  }

  all(name: string, from: XMLBuilder = this.root): XMLBuilder[] {
    return from.filter((each) => (each.node as unknown as Tag).localName === name, false, true);
  }

  static textOf = (element: XMLBuilder): string => (element.node.textContent ?? '').replace(/\s+/g, ' ').trim();

  static attribute = (element: XMLBuilder, name: string) => (element.node as unknown as Tag).getAttribute(name);

  section(id: string): string {
    const found = this.all('section').find((each) => Page.attribute(each, 'id') === id);
    return found === undefined ? '' : Page.textOf(found);
  }

  table(caption: RegExp): string[][] {
    const found = this.all('table').find((each) => caption.test(Page.textOf(this.all('caption', each)[0]!)));
    if (found === undefined) throw new Error(`no table ${caption}`);
    return this.all('tr', found).map((row) =>
      row.filter((cell) => /^t[hd]$/.test((cell.node as unknown as Tag).localName), false, true).map(Page.textOf),
    );
  }
}

describe('a page', () => {
  const page = new Page(pageOf());

  test('needs nothing from anywhere: no script, no address to load, and a policy that says so', () => {
    expect(page.all('script').concat(page.all('img'), page.all('link'), page.all('iframe'))).toEqual([]);
    expect(page.text).not.toMatch(/\b(?:src|href)="(?!#)|url\(|@import/);
    expect(page.text).toMatch(
      /Content-Security-Policy" content="default-src &#39;none&#39;; style-src &#39;sha256-[^ ]+"/,
    );
    expect(page.text).not.toMatch(/ style="/);
  });

  test('can be told by its parts: one title, headings that skip no level, tables with captions and scopes, drawings with words', () => {
    expect(page.all('title')[0] && Page.textOf(page.all('title')[0]!)).toBe('oslo: Sitewright report');
    const levels = [...page.text.matchAll(/<h([1-6])\b/g)].map(([, level]) => Number(level));
    expect(levels.filter((level) => level === 1)).toHaveLength(1);
    expect(levels.filter((level, index) => level - (levels[index - 1] ?? 0) > 1)).toEqual([]);
    const tables = page.all('table');
    expect(tables.length).toBeGreaterThan(5);
    for (const table of tables) {
      expect(Page.textOf(page.all('caption', table)[0]!)).not.toBe('');
      for (const head of page.all('th', table)) expect(Page.attribute(head, 'scope')).toMatch(/^(col|row)$/);
    }
    const drawings = page.all('svg');
    expect(drawings.length).toBeGreaterThan(3);
    for (const drawing of drawings) {
      expect(Page.attribute(drawing, 'role')).toBe('img');
      for (const name of ['title', 'desc']) expect(Page.textOf(page.all(name, drawing)[0]!)).not.toBe('');
    }
    const ids = page.text.match(/ id="[^"]+"/g)!;
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, id] of page.text.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(` id="${id}"`);
    for (const [, id] of page.text.matchAll(/aria-(?:labelledby|describedby)="([^"]+)"/g))
      expect(ids).toContain(` id="${id}"`);
  });

  test('has the same bytes from the same results', () => {
    expect(pageOf(planOf(5))).toBe(page.text);
  });

  test('has the largest size that passes, machine by machine and both ways', () => {
    const [head, ...rows] = page.table(/^Between machines: largest/);
    expect(head).toEqual(['from', 'cp1', 'cp2', 'cp3', 'worker-001', 'worker-002']);
    expect(rows[0]).toEqual([
      'cp1',
      '·itself',
      '✓ 1500 passes',
      '✓ 1500 passes',
      '✓ 1500 passes',
      '✗ 1400 of 1500 fails',
    ]);
    expect(rows[4]![1]).toBe('✗ 1400 of 1500 fails');
    expect(page.table(/^Paths that fail: Between pods of the cluster/).slice(1)).toEqual([
      ['cp1', 'worker-002', 'IPv4', '1350 bytes', '1450 bytes'],
      ['worker-002', 'cp1', 'IPv4', '1350 bytes', '1450 bytes'],
    ]);
  });

  test('has each result with its command and time, the newest of each kind', () => {
    const proof = page.section('proof');
    expect(proof).toMatch(/Measured by up on 2026-11-20 10:00 UTC: ✗ 18 of 20 paths pass/);
    expect(proof).toMatch(/Measured by verify on 2026-11-21 08:30 UTC: ✗ 18 of 20 paths pass/);
    expect(proof).not.toMatch(/10:20/);
    expect(page.table(/did not answer/)[1]).toEqual(['cp2', '✗ Connection refused']);
    expect(page.section('drift')).toMatch(/by drift on 2026-11-21 09:00 UTC: ✗ 1 difference/);
    expect(page.table(/^Differences/)[1]).toEqual(['cp1', 'sysctl net.ipv4.ip_forward', '1', '0', '']);
  });

  test('has what machines are, the budget step by step, and times against what is allowed', () => {
    expect(page.table(/^Machines of oslo/)[5]).toEqual([
      'worker-002',
      'worker',
      'hv31',
      'rack3',
      '192.0.3.14/24',
      '1500',
      '✗ a probe failed',
    ]);
    expect(page.table(/^MTU budget/).map(([, bytes, left]) => [bytes, left])).toEqual(
      expect.arrayContaining([
        ['1500', '1500'],
        ['-50', '1450'],
      ]),
    );
    expect(page.table(/^Look-ups/).find(([name]) => name === 'erp.acme.example, ten at once')).toEqual([
      ...['erp.acme.example, ten at once', '250', '0', '0', '0.5 ms'],
      ...['8 ms (pod on worker-002)', '34 ms (pod on worker-002)'],
    ]);
    expect(page.table(/^fsync of/).map(([node, p99]) => [node, p99])).toEqual(
      expect.arrayContaining([
        ['cp1', '3 ms'],
        ['cp3', '✗ 13 ms'],
      ]),
    );
  });
});

test('a page of a site that nobody has looked at says so, and how to', () => {
  const page = new Page(pageOf(plan, NEVER));
  expect(page.section('proof')).toMatch(/not verified yet: sitewright verify oslo does it/);
  expect(page.section('latency')).toMatch(/Nothing of it was measured yet: sitewright verify oslo/);
  expect(page.section('drift')).toMatch(/Nobody has looked .*: sitewright drift oslo/);
  expect(page.section('versions')).toMatch(/planned; what runs is not known here/);
  expect(page.table(/^Machines of oslo/)[1]![6]).toBe('– not measured');
});

test('the end of support is told from the day after it on', () => {
  const { supportedUntil } = plan.cluster!;
  const told = (today: string) => {
    const page = new Page(pageOf(plan, NEVER, today));
    return [Page.textOf(page.all('dd')[2]!), page.table(/^Versions/).find(([name]) => name === 'Kubernetes')![3]];
  };
  expect(told(supportedUntil)).toEqual([`✓ until ${supportedUntil}`, supportedUntil]);
  expect(told('2031-01-01')).toEqual([`✗ ended on ${supportedUntil}`, `✗ ended on ${supportedUntil}`]);
});

test('results from before a change of the pod MTU are told as such', () => {
  const evidence = evidenceOf(plan);
  const changed = planOf(5, { network: { ...network, routing: 'ipip' } });
  expect(pageOf(changed, evidence)).toMatch(/Packets of 1450 bytes were tried, and the plan now has 1480/);
  expect(pageOf(plan, evidence)).not.toMatch(/were tried, and the plan now/);
});
const network = { cni: 'calico', podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16'] };

describe('150 machines', () => {
  const page = new Page(pageOf(large));

  test('are shown by rack, with the paths that fail one by one, and no table of every machine against each other', () => {
    const rows = page.table(/^Between pods of the cluster: largest/);
    expect(rows[0]).toEqual(['from', 'rack1', 'rack2', 'rack3']);
    expect(rows[1]).toEqual(['rack1', '✓ 1450 2652 of 2652', '✓ 1450 2548 of 2548', '✗ 1350 of 1450 1 of 2548 fail']);
    expect(page.table(/^Paths that fail: Between pods of the cluster/)).toHaveLength(3);
    expect(page.all('td').length).toBeLessThan(2500);
  });

  test('have their whole names in the drawing', () => {
    const drawn = page.all('text').map(Page.textOf);
    expect(drawn).toEqual(expect.arrayContaining(large.nodes.map(({ name }) => name)));
  });

  test('weigh no more than a picture', () => {
    expect(page.text.length).toBeLessThan(300_000);
  });
});

test('machines are parted by zone, else by subnet, else by host; never into too many groups', () => {
  const nodes = (change: (index: number) => object) =>
    large.nodes.map((node, index) => ({ ...node, ...change(index) }));
  expect(groupsOf(large.nodes)).toMatchObject({ by: 'zone', groups: [{ name: 'rack1' }, { name: 'rack2' }, {}] });
  expect(groupsOf(nodes(() => ({ cluster: null }))).by).toBe('subnet');
  expect(groupsOf(nodes(() => ({ cluster: null, subnet: 'one' }))).by).toBe('host');
  const single = nodes((index) => ({ cluster: null, subnet: 'one', kvm: { hypervisor: `hv${index}` } }));
  expect(groupsOf(single)).toMatchObject({ by: 'site', groups: [{ name: 'all machines' }] });
});

describe('what fails', () => {
  const failing = { ...evidenceOf(plan), drift: null, unanswered: null };

  test('is listed up to a hundred paths, and how many more there are', () => {
    failing.pairs!.found = pairResults(large, () => true);
    const page = new Page(pageOf(large, { ...NEVER, pairs: failing.pairs }));
    expect(page.table(/^Paths that fail: Between machines/)).toHaveLength(101);
    expect(page.section('proof')).toContain('and 598 more: sitewright verify --json has them all.');
    expect(page.table(/^Probes that failed/)).toHaveLength(201);
  });

  test('is also what arrives in fragments, or from which nothing arrives', () => {
    const results = pairResults(plan);
    results[0]!.facts.directions[0]!.underlay.fragments = 2;
    Object.assign(results[0]!.facts.directions[1]!.underlay, { arrived: 0, largestBytes: null });
    const page = new Page(pageOf(plan, { ...NEVER, pairs: { ...failing.pairs!, found: results } }));
    const rows = page.table(/^Between machines: largest/);
    expect([rows[1]![2], rows[2]![1]]).toEqual(['✗ 1500 of 1500 fails', '✗ nothing fails']);
  });

  test('is what the first lines say, with warnings apart from it', () => {
    const tiles = (severity: 'error' | 'warn' | 'info') => {
      const [first, ...rest] = pairResults(plan);
      const found = [{ ...first!, findings: [{ probe: 'loss', severity, where: 'cp1 -> cp2', message: '' }] }, ...rest];
      const page = new Page(pageOf(plan, { ...NEVER, pairs: { ...failing.pairs!, found } }));
      return [Page.textOf(page.all('dd')[0]!), ...page.table(/^Machines of/).map((row) => row[6])].slice(0, 5);
    };
    expect(tiles('error')).toEqual(['✗ 1 probe failed', 'proof', '✗ a probe failed', '✗ a probe failed', '✓ passed']);
    expect(tiles('warn')).toEqual(['! passed, 1 warning', 'proof', '! a probe warned', '! a probe warned', '✓ passed']);
    expect(tiles('info')).toEqual(['✓ passed', 'proof', '✓ passed', '✓ passed', '✓ passed']);
  });
});

test('a machine in a vCenter has a placement, which may be many hosts', () => {
  const nodes = large.nodes.map((node, index) => ({
    ...{ ...node, cluster: null, kvm: null, subnet: 'one' },
    vsphere: { placement: `zone-${index % 2}` } as NodePlan['vsphere'],
  }));
  expect(groupsOf(nodes).by).toBe('placement');
  expect(pageOf({ ...large, nodes }, NEVER)).toMatch(/150 machines, on 2 placements, /);
});

describe('markup', () => {
  test('every value is escaped but markup itself, and control characters are shown as such', () => {
    const { text } = html`<p title="${'"\''}">${['<b>&', html`<i>${1}</i>`, null]}${'\u001b[31mred\u0000\ud800'}</p>`;
    expect(text).toBe('<p title="&quot;&#39;">&lt;b&gt;&amp;<i>1</i>\ufffd[31mred\ufffd\ufffd</p>');
  });

  test('a message of a machine can break no page', () => {
    const evidence = evidenceOf(plan);
    const hostile = '</td><script>alert(1)</script>"\'&\u0007';
    evidence.drift!.found.differences[0]!.found = hostile;
    evidence.unanswered!.found[0]!.message = hostile;
    const page = new Page(pageOf(plan, evidence));
    expect(page.all('script')).toEqual([]);
    expect(page.section('drift')).toContain('</td><script>alert(1)</script>"\'&\ufffd');
  });
});
