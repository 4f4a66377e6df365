import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { labConfig } from '../lab/lab';
import { BenchLab, SITE } from './benchLab';
import { interleaved, print, type Row, seconds } from './measure';
import { writePlainShell } from './plainShell';

/**
 * `sitewright up` of a lab against a plain shell script of the same steps, each from an empty lab to a proved one; and an
 * `up` that has nothing to change. Its yardstick is one log-in to each node, the least that any way of asking the nodes
 * would cost: the engine asks none, because the state says what they were given.
 */
export async function benchUp(
  what: 'machines' | 'cluster',
  rounds: number,
  verbose: boolean,
  signal: AbortSignal,
): Promise<void> {
  const say = verbose ? (line: string) => console.error(line) : undefined;
  const lab = new BenchLab(
    what,
    signal,
    say && ((line, elapsedSeconds) => say(`${elapsedSeconds.toFixed(1).padStart(7)}  ${line}`)),
  );
  // Outside the lab's own folder: the scripts of a round are used after its lab was emptied.
  const folder = mkdtempSync(join(tmpdir(), 'sitewright-bench-shell-'));
  let round = 0;
  let scripts: ReturnType<typeof writePlainShell>;
  const timed = async (what: string, work: () => Promise<void>) => {
    say?.(`${what}, round ${round}`);
    const figure = await seconds(work);
    say?.(`${what}, round ${round}: ${figure.toFixed(1)} s`);
    return figure;
  };
  try {
    const rows = await interleaved(
      [
        {
          name: 'sitewright up',
          run: async () => {
            round += 1;
            await lab.empty();
            const figure = await timed('sitewright up', () => lab.kitUp());
            scripts = writePlainShell(join(folder, String(round)), await lab.steps(), lab.plainCluster());
            return figure;
          },
        },
        { name: 'sitewright up, nothing to change', run: () => timed('no-op up', () => lab.kitUp()) },
        { name: 'one ssh to each node', run: () => timed('ssh', () => lab.shell(scripts.reach)) },
        {
          name: 'shell script',
          run: async () => {
            await lab.empty();
            return timed('shell script', () => lab.shell(scripts.up));
          },
        },
      ],
      rounds,
      signal,
    );
    const [kit, noOp, reach, shell] = rows as [Row, Row, Row, Row];
    const { domainType } = (await labConfig(SITE))!.accelerator;
    const machine = `${cpus().length} cores, ${domainType === 'kvm' ? 'KVM' : 'software emulation'}`;
    const made =
      what === 'machines' ? 'two machines, from nothing to proved' : 'a cluster of two machines, from nothing';
    print(`${made} (${machine})`, 's', [shell, kit]);
    if (what === 'cluster')
      console.log(
        'The script ends with Ready nodes and CoreDNS. sitewright up also checks every file of the bundle, has a DNS cache on every node, etcd on a disk of its own, encrypted Secrets, and ends with the proof of the cluster.',
      );
    print(`the same, built (${machine})`, 's', [reach, noOp]);
  } finally {
    await lab.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}
