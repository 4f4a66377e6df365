import { ALL_NODES, expectExit, Lab, type Result } from '../lab';
import { story } from '../story';

/** What a diff of files calls a change, held against what happens to the machines of a lab. */

const SITE = 'impact';
const CASE_LIMIT_MILLISECONDS = 40 * 60 * 1000;

jest.setTimeout(CASE_LIMIT_MILLISECONDS);

const lab = new Lab(SITE);
const step = story();

interface Report {
  worst: string | null;
  effects: { what: string; change: string; impact: string; machines: string[] }[];
}

/** What the engine says before it does something, in the words of a review. */
async function report(code: number): Promise<Report> {
  const result = await lab.sitewright('preview', SITE, '--report', '--json');
  expectExit(result, code);
  return JSON.parse(result.stdout) as Report;
}

/** Does the edit; returns the UUIDs of all machines before and after, and what was said of it. */
async function done(edit: (text: string) => string, code: number) {
  const before = await lab.domains();
  lab.edit(edit);
  const said = await report(code);
  const result: Result = await lab.up();
  expectExit(result, 0);
  return { before, after: await lab.domains(), said };
}

const machines = ({ effects }: Report) =>
  effects.filter(({ what }) => what === 'machine').map(({ impact, machines: names }) => ({ impact, names }));
const inNode = (name: string, line: string) => (text: string) =>
  text.replace(new RegExp(`(    - name: ${name}\\n)`), `$1      ${line}\n`);

afterAll(async () => {
  await lab.down();
  lab.remove();
});

describe('the label of a change', () => {
  step('is nothing when up has just ended', async () => {
    await lab.host('down', '--name', SITE);
    expectExit(await lab.host('up', '--name', SITE), 0);
    expectExit(await lab.up(), 0);
    expect(await report(0)).toMatchObject({ worst: null, effects: [] });
  });

  step('is in place for a sysctl, and every machine stays', async () => {
    const { before, after, said } = await done((text) => `${text}\nnodePrep:\n  sysctls:\n    vm.swappiness: 10\n`, 10);
    expect(said.worst).toBe('in place');
    expect(after).toEqual(before);
    expect((await lab.ssh('lab2', 'cat /proc/sys/vm/swappiness')).trim()).toBe('10');
  });

  step('is a restart for memory, and every machine stays', async () => {
    const { before, after, said } = await done(inNode('lab2', 'memory: 2GiB'), 10);
    expect(said.worst).toBe('restart');
    expect(after).toEqual(before);
    expect(await lab.virsh('dumpxml', '--inactive', `${SITE}-lab2`)).toMatch(/<memory unit='KiB'>2097152</);
  });

  step('is a replacement for another MAC address, and this machine alone begins anew', async () => {
    const { before, after, said } = await done(inNode('lab2', "mac: '52:54:00:ab:cd:02'"), 11);
    expect(machines(said)).toEqual([{ impact: 'replacement', names: ['lab2'] }]);
    const { [`${SITE}-lab2`]: old, ...others } = before;
    const { [`${SITE}-lab2`]: made, ...left } = after;
    expect(left).toEqual(others);
    expect(made).toMatch(/^[0-9a-f-]{36}$/);
    expect(made).not.toBe(old);
  });

  step('is in place for a machine more, and the others stay', async () => {
    const { before, after, said } = await done(
      (text) =>
        text.replace(
          /^network:$/m,
          `    - name: lab3\n      role: worker\n      addresses: [${ALL_NODES.lab3}/24, 2001:db8:0:2::13/64]\n\nnetwork:`,
        ),
      10,
    );
    expect(said.worst).not.toBe('replacement');
    expect(machines(said)).toEqual([{ impact: 'in place', names: ['lab3'] }]);
    expect(after).toMatchObject(before);
    expect(Object.keys(after)).toHaveLength(3);
  });

  step('is a deletion for a machine less, and the others stay', async () => {
    const { before, after, said } = await done((text) => text.replace(/ {4}- name: lab3\n( {6}.*\n)+/, ''), 11);
    expect(machines(said)).toEqual([{ impact: 'deletion', names: ['lab3'] }]);
    delete before[`${SITE}-lab3`];
    expect(after).toEqual(before);
  });
});
