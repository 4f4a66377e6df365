import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { benchCalico } from './calicoMatrix';
import { benchUp } from './labUp';
import { benchNames } from './names';
import { benchPlan } from './plan';
import { benchServices } from './services';
import { benchSites } from './sites';
import { benchTunnel } from './tunnel';

/** The measurements of the README's figures: `npm run bench`. */

interface Options {
  rounds: number;
  only?: string;
  verbose: boolean;
}

interface Bench {
  name: string;
  /** Commands that it calls. */
  tools: string[];
  needsRoot: boolean;
  /** Takes hours: it runs only where it is asked for by its name. */
  slow?: true;
  run(options: Options, signal: AbortSignal): Promise<void>;
}

const LAB_TOOLS = ['ip', 'nft', 'ssh', 'virsh', 'libvirtd', 'qemu-img', 'qemu-system-x86_64'];

const BENCHES: Bench[] = [
  { name: 'plan', tools: [], needsRoot: false, run: ({ rounds }, signal) => benchPlan(rounds, signal) },
  { name: 'calico', tools: [], needsRoot: false, run: ({ rounds }, signal) => benchCalico(rounds, signal) },
  { name: 'sites', tools: ['git'], needsRoot: false, run: ({ rounds }, signal) => benchSites(rounds, signal) },
  {
    name: 'tunnel',
    tools: ['ip', 'nft', 'ethtool', 'python3'],
    needsRoot: true,
    run: ({ rounds }, signal) => benchTunnel(rounds, signal),
  },
  {
    name: 'services',
    tools: ['ip', 'nft', 'iptables', 'python3'],
    needsRoot: true,
    run: ({ rounds }, signal) => benchServices(rounds, signal),
  },
  {
    name: 'names',
    tools: ['ip', 'nft', 'iptables', 'python3'],
    needsRoot: true,
    run: ({ rounds }, signal) => benchNames(rounds, signal),
  },
  {
    name: 'up',
    tools: LAB_TOOLS,
    needsRoot: true,
    run: ({ rounds, verbose }, signal) => benchUp('machines', rounds, verbose, signal),
  },
  {
    name: 'cluster',
    tools: LAB_TOOLS,
    needsRoot: true,
    slow: true,
    run: ({ rounds, verbose }, signal) => benchUp('cluster', rounds, verbose, signal),
  },
];

/** Debian keeps network tools in sbin, which is not in every PATH. */
function isInstalled(tool: string): boolean {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function lacks({ tools, needsRoot }: Bench): string[] {
  const missing = tools.filter((tool) => !isInstalled(tool));
  return [
    ...(needsRoot && process.getuid?.() !== 0 ? ['it needs root'] : []),
    ...(missing.length > 0 ? [`${missing.join(', ')} not found (scripts/lab/packages.sh installs them)`] : []),
  ];
}

function parseRounds(text: string): number {
  if (!/^[1-9]\d?$/.test(text)) throw new InvalidArgumentError('Allowed are 1 to 99.');
  return Number(text);
}

/** What failed or could not run is told; the exit code is 1 then, and the other benches ran all the same. */
async function bench(options: Options, signal: AbortSignal): Promise<number> {
  let exitCode = 0;
  for (const one of BENCHES.filter(({ name, slow }) => (options.only === undefined ? !slow : name === options.only))) {
    const reasons = lacks(one);
    if (reasons.length > 0) {
      console.error(`${one.name}: not run: ${reasons.join('; ')}`);
      exitCode = 1;
      continue;
    }
    try {
      await one.run(options, signal);
    } catch (error) {
      console.error(`${one.name}: ${error instanceof Error ? error.message : String(error)}`);
      exitCode = 1;
      if (signal.aborted) break;
    }
  }
  return exitCode;
}

export function program(): Command {
  return new Command('bench')
    .description('Measures the kit against what does the same without it: medians of interleaved runs, with spread.')
    .option('--rounds <n>', 'runs of each case', parseRounds, 3)
    .addOption(
      new Option('--only <bench>', 'one of them; cluster, which takes hours, runs no other way').choices(
        BENCHES.map(({ name }) => name),
      ),
    )
    .option('--verbose', 'show the steps of each `up`, with the seconds since its start', false)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .action(async (options: Options) => {
      const interrupted = new AbortController();
      // Not once: while a bench cleans up, another Ctrl-C must not end it halfway.
      const stop = () => interrupted.abort(new Error('stopped; what it had made is removed'));
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);
      process.exitCode = await bench(options, interrupted.signal);
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.removeListener(name, stop);
    });
}

if (require.main === module) void program().parseAsync();
