import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inflateSync } from 'node:zlib';
import { reportPage } from '../../scripts/report/page';
import { Browser } from './browser';
import { focused, layoutProblems, openFolds, sizes, unfold, weakTexts } from './inPage';
import { evidenceOf, nodeName, planOf, TODAY } from './sites';

/** Pages of a small and of a large site in a real browser, at their own addresses, as a reader opens them. */
const folder = mkdtempSync(join(tmpdir(), 'sitewright-report-'));
const addresses = new Map<number, string>();
let browser: Browser;
/** As long as a name may be. */
const LONG_NAME = `worker-${'x'.repeat(50)}-end`;
beforeAll(async () => {
  for (const count of [5, 150]) {
    const plan = planOf(count, {}, (index) => (count === 5 && index === 4 ? LONG_NAME : nodeName(index)));
    const file = join(folder, `${count}.html`);
    writeFileSync(file, reportPage({ plan, kit: '^0.1.0', evidence: evidenceOf(plan), today: TODAY }));
    addresses.set(count, pathToFileURL(file).href);
  }
  browser = await Browser.start();
});
afterAll(async () => {
  await browser?.stop();
  rmSync(folder, { recursive: true });
});

/** Colour at the left upper corner of a PNG: no filter changes the first pixel. */
function corner(png: Buffer): number[] {
  const parts: Buffer[] = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT')
      parts.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  }
  return [...inflateSync(Buffer.concat(parts)).subarray(1, 4)];
}

const GROUNDS = { light: [255, 255, 255], dark: [16, 20, 26] };

describe.each([5, 150])('%i machines', (count) => {
  test.each([
    ['light', 1280],
    ['dark', 1280],
    ['light', 390],
  ] as const)(
    '%s, %i wide: nothing overlaps, is cut off or too faint; nothing else is loaded',
    async (theme, width) => {
      await browser.look(width, 800, theme);
      await browser.open(addresses.get(count)!);
      expect(browser.requests).toEqual([addresses.get(count)]);
      await browser.evaluate(unfold);
      expect(await browser.evaluate(layoutProblems)).toEqual([]);
      expect(await browser.evaluate(weakTexts)).toEqual([]);
      const { page, drawings } = await browser.evaluate(sizes);
      expect(drawings).toBe(6);
      const png = await browser.screenshot();
      expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual(page);
      expect(corner(png)).toEqual(GROUNDS[theme]);
      expect(browser.complaints).toEqual([]);
    },
  );

  test('the keyboard reaches every part in the order of the page, and shows where it is', async () => {
    await browser.look(1280, 800, 'light');
    await browser.open(addresses.get(count)!);
    const stops: string[] = [];
    for (;;) {
      await browser.press('Tab');
      const at = await browser.evaluate(focused);
      if (at === null || stops.length > 60) break;
      expect(at).toMatchObject({ isVisible: true, isMarked: true });
      stops.push(at.what);
      if (at.what.startsWith('summary')) await browser.press('Enter');
    }
    expect(stops.slice(0, 8)).toEqual([
      'a Skip to the report',
      ...['Topology', 'MTU budget', 'Proof of the network', 'Names and etcd', 'Versions', 'Drift'].map(
        (name) => `a ${name}`,
      ),
      'div Topology of oslo',
    ]);
    expect(stops).toContain(`summary Table of ${count} machines`);
    expect(stops).toContain('div Machines of oslo');
    expect(stops).toContain('div Between machines: largest packet that passes, in bytes');
    expect(stops[stops.length - 1]).toBe('div Differences from the plan');
    expect(await browser.evaluate(openFolds)).toBe(1);
  });

  test('a screen reader is told of regions, headings, drawings with their descriptions, and tables with heads', async () => {
    await browser.look(1280, 800, 'light');
    await browser.open(addresses.get(count)!);
    const { nodes } = (await browser.send('Accessibility.getFullAXTree')) as { nodes: AxNode[] };
    const seen = nodes.filter(({ ignored }) => !ignored);
    const of = (role: string) => seen.filter((node) => node.role?.value === role);
    const names = (role: string) => of(role).map(({ name }) => name?.value);
    expect(names('heading').slice(0, 3)).toEqual(['oslo', 'Topology', 'MTU budget']);
    expect(names('navigation')).toEqual(['Sections']);
    expect(of('main')).toHaveLength(1);
    const drawings = seen.filter(({ role }) => role?.value === 'img' || role?.value === 'image');
    expect(drawings).toHaveLength(6);
    expect(drawings[0]).toMatchObject({
      name: { value: 'Topology of oslo' },
      description: {
        value: expect.stringMatching(new RegExp(`^${count} machines, on \\d+ hosts, in 3 subnets, 1 peer`)),
      },
    });
    for (const role of ['img', 'image', 'table', 'region', 'link']) expect(names(role)).not.toContain('');
    expect(of('columnheader').length).toBeGreaterThan(20);
    expect(of('rowheader').length).toBeGreaterThan(20);
    const cells = names('cell')
      .concat(names('gridcell'))
      .map((name) => name?.trim());
    expect(cells).toContain(count === 5 ? '1400 of 1500 fails' : '1350 of 1450 1 of 2548 fail');
  });
});

interface AxNode {
  ignored: boolean;
  role?: { value: string };
  name?: { value: string };
  description?: { value: string };
}
