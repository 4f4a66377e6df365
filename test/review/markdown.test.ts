import { BUDGET_BYTES, REVIEW, reviewMarkdown } from '../../scripts/review/markdown';
import { exitCodeOf, type Review } from '../../scripts/review/review';
import type { SiteDiff } from '../../scripts/review/siteDiff';

const diff = (site: string, more: Partial<SiteDiff> = {}): SiteDiff => ({
  site,
  environment: 'staging',
  kits: { before: '0.1.0', after: '0.1.0' },
  machines: 3,
  settings: [
    {
      ...{ key: 'nodePrep.sysctls.vm.swappiness', before: undefined, after: 10, impact: 'in place' },
      ...{ why: 'node preparation sets them', action: 'nothing more' },
    },
  ],
  effects: [
    {
      ...{ machines: ['cp1', 'w1', 'w2'], what: 'sysctl vm.swappiness', change: 'new', impact: 'in place' },
      ...{ why: 'stated in nodePrep.sysctls', lines: ['+ 10'], sameLines: true },
    },
  ],
  worst: 'in place',
  afterwards: [],
  ...more,
});

const review = (changed: SiteDiff[], more: Partial<Review> = {}): Review => ({
  ...{ base: 'main (0123456789ab)', head: 'worktree', changed, same: [], untouched: 0, broken: [] },
  findings: { sites: [], notCompared: [] },
  ...more,
});

test('another kit is named once, where both sides have one', () => {
  const kits = { before: '0.1.0', after: '0.2.0' };
  const text = reviewMarkdown(
    review([diff('new', { kits: { before: null, after: '0.2.0' } }), diff('oslo', { kits })]),
  );
  expect(text).toContain('compared with `worktree`, kit 0.1.0 becomes 0.2.0. A comparison');
  expect(text.match(/kit 0/g)).toHaveLength(1);
});

test('a table of the sites, a line for each change, differences folded', () => {
  const text = reviewMarkdown(review([diff('oslo')], { same: ['bergen'], untouched: 98 }), BUDGET_BYTES);
  expect(text).toBe(`${REVIEW.marker}

## 1 of 100 sites change, worst is in place

\`main (0123456789ab)\` compared with \`worktree\`. A comparison of desired states: it knows no state and shows no drift.

| site | environment | machines | in place | new machines only | restart | disruptive | replacement | deletion | worst |
| --- | --- | --: | --: | --: | --: | --: | --: | --: | --- |
| oslo | staging | 3 | 1 |  |  |  |  |  | in place |

### oslo (staging): in place

- setting \`nodePrep.sysctls.vm.swappiness\`: \`nothing\` becomes \`10\`: in place: node preparation sets them
- + \`sysctl vm.swappiness\` on every machine: in place: stated in nodePrep.sysctls

<details><summary>Differences</summary>

sysctl vm.swappiness (every machine)

\`\`\`diff
+ 10
\`\`\`

</details>

Sites without a change: 1 touched and the same, 98 untouched.
`);
});

test('sites that change in the same way are told together, and each is in the table', () => {
  const text = reviewMarkdown(review(['a', 'b', 'c', 'd', 'e', 'f'].map((site) => diff(site))));
  expect(text.match(/^### .*$/gm)).toEqual(['### a, b, c, d, e and 1 more (6 sites in the same way): in place']);
  expect(text.match(/^\| [a-f] \|/gm)).toHaveLength(6);
});

test('exit codes: none, changes, disruptive, broken', () => {
  const replaced = diff('oslo', { worst: 'replacement' });
  expect(exitCodeOf(review([]))).toBe(0);
  expect(exitCodeOf(review([diff('oslo')]))).toBe(10);
  expect(exitCodeOf(review([diff('bergen'), replaced]))).toBe(11);
  expect(exitCodeOf(review([replaced], { broken: [{ site: 'x', problems: ['p'] }] }))).toBe(2);
  expect(reviewMarkdown(review([]))).toContain('## No site changes\n');
  expect(reviewMarkdown(review([], { broken: [{ site: 'x', problems: ['x.yaml:1:1 `bad`'] }] }))).toMatch(
    /\*\*1 cannot be read\*\*[^]*### x: cannot be read\n\n- `` ?x\.yaml:1:1 `bad` ?``/,
  );
});

test('findings of rules and other sites: errors first, the same of many sites once, and exit code 2', () => {
  const of = (site: string, errors: string[], warnings: string[] = []) => ({ site, errors, warnings });
  const found = review([diff('oslo')], {
    findings: {
      sites: [of('bergen', ['a b.yaml:1:2 no'], ['w']), of('oslo', ['a b.yaml:1:2 no'], ['w']), of('x', [], ['w'])],
      notCompared: ['broken'],
    },
  });
  expect(exitCodeOf(found)).toBe(2);
  expect(exitCodeOf(review([diff('oslo')], { findings: { sites: [of('x', [], ['w'])], notCompared: [] } }))).toBe(10);
  const text = reviewMarkdown(found);
  expect(text).toContain('worst is in place, **2 refused by rules or other sites**\n');
  expect(text).toContain(
    '### bergen, oslo: **refused by rules or other sites**\n\n- **error**: `a b.yaml:1:2 no`\n- `w`\n\n### x: findings of',
  );
  expect(text).toContain('_not compared with broken: no plan');
});

describe('a report that is too large', () => {
  test('with problems of more sites than fit', () => {
    const sites = Array.from({ length: 3000 }, (_, index) => `site${index}`);
    const text = reviewMarkdown(
      review([], {
        broken: sites.map((site) => ({ site, problems: [`${site}.yaml:1:1 bad`] })),
        findings: {
          sites: sites.map((site) => ({ site, errors: [`${site}.yaml no`], warnings: [] })),
          notCompared: [],
        },
      }),
      BUDGET_BYTES,
    );
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(BUDGET_BYTES);
    expect(text).toMatch(/### site0: cannot be read[^]*_\d+ more lists of problems left out here for its size/);
  });

  const effect = diff('x').effects[0]!;
  const lines = (count: number) => Array.from({ length: count }, (_, index) => `+ line ${index} ${'x'.repeat(60)}`);
  const large = (site: string, effects: number, length: number) =>
    diff(site, {
      effects: Array.from({ length: effects }, (_, index) => ({
        ...effect,
        what: `file ${site} ${index}`,
        lines: lines(length),
      })),
    });

  test('loses its largest differences first, says so, and the full one has them', () => {
    const found = review([large('big', 1, 2000), large('small', 3, 2)]);
    const text = reviewMarkdown(found, BUDGET_BYTES);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(BUDGET_BYTES);
    expect(text).toContain('_1 of 1 differences left out here for their size; the full report has all._');
    expect(text.match(/```diff/g)).toHaveLength(3);
    expect(text).toContain('`file big 0`');
    expect(Buffer.byteLength(reviewMarkdown(found))).toBeGreaterThan(BUDGET_BYTES);
  });

  test.each([
    ['many changes of one site', [large('one', 3000, 1)]],
    ['many sites, each in its own way', Array.from({ length: 400 }, (_, index) => large(`site${index}`, 12, 1))],
    ['more sites than a table has room for', Array.from({ length: 3000 }, (_, index) => large(`site${index}`, 1, 1))],
  ])('stays below the limit with %s', (_title, changed) => {
    const text = reviewMarkdown(review(changed), BUDGET_BYTES);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(BUDGET_BYTES);
    expect(Buffer.byteLength(text)).toBeGreaterThan(BUDGET_BYTES / 8);
    expect(text).toMatch(/left out here for (its|their) size; the full report has all/);
  });
});

test('what is in a site file stays text: no markup, no mention, no control characters', () => {
  const nasty = diff('oslo', {
    settings: [
      {
        ...diff('x').settings[0]!,
        key: 'labels.a`b',
        after: '```\u001b[31m\n@everyone <b>',
        why: 'see @team | <img> [x](y)',
      },
    ],
    effects: [{ ...diff('x').effects[0]!, lines: ['+ ```', '+ \u001b[2J'] }],
  });
  const text = reviewMarkdown(review([nasty]));
  expect(text).not.toMatch(/(?!\n)\p{Cc}/u);
  expect(text).toContain('see \\@team \\| \\<img\\> \\[x\\](y)');
  expect(text).toContain('````diff\n+ ```\n');
});
