/** The lab's host side from the command line; `./scripts/up lab` and the tests call it. */
import { spawn } from 'node:child_process';
import { Command } from 'commander';
import { clearFault, parseFault, setFault } from './faults';
import { ensureImage } from './image';
import { down, existingLayout, inventory, status, up } from './lab';
import { defaultLabName, LabTopology } from './layout';
import { namespaceExists } from './network';
import { LabError } from './run';

const print = (value: unknown) => console.log(JSON.stringify(value, undefined, 2));
/** Progress goes to stderr, so that --json on stdout stays JSON. */
const progress = (step: string) => console.error(step);

function parseMtu(text: string): number {
  if (!/^\d+$/.test(text)) throw new LabError(`--mtu ${text}: give a number of bytes, as --mtu 1500`, 2);
  return Number(text);
}

function parseTopology(text: string): LabTopology {
  if (text !== 'flat' && text !== 'routed') throw new LabError(`--topology ${text}: allowed are flat and routed`, 2);
  return text;
}

/** Runs a command inside the lab; its exit code becomes ours. `virsh` there speaks to the lab's libvirtd. */
async function execute(name: string, command: string[]): Promise<number> {
  const lab = await existingLayout(name);
  if (!(await namespaceExists(lab.namespace))) {
    throw new LabError(`lab ${name} is not up: start it with ./scripts/up lab`, 2);
  }
  const child = spawn('ip', ['netns', 'exec', lab.namespace, ...command], {
    stdio: 'inherit',
    env: { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, LIBVIRT_DEFAULT_URI: lab.libvirtUri },
  });
  // A terminal sends Ctrl-C to the command itself; it decides what happens then.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (signal === 'SIGTERM') child.kill(signal);
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}

export function program(): Command {
  const cli = new Command('host').description('The lab on this machine: namespace, bridges, libvirtd, faults.');
  cli.exitOverride((error) => {
    // Help and version are no mistakes; everything else commander refuses is bad input.
    process.exit(error.exitCode === 0 ? 0 : 2);
  });
  const name = ['--name <name>', 'which lab', defaultLabName] as const;

  cli
    .command('up')
    .description('bring a lab up, or complete it')
    .option(...name)
    .option('--topology <kind>', 'flat (one subnet) or routed (two)', parseTopology, 'flat')
    .option('--mtu <bytes>', 'MTU of the bridges', parseMtu, 1500)
    .action(async (o: { name: string; topology: LabTopology; mtu: number }) =>
      print(await up(o.name, { topology: o.topology, mtuBytes: o.mtu, progress })),
    );
  cli
    .command('down')
    .description('remove everything a lab made')
    .option(...name)
    .action(async (o: { name: string }) => down(o.name, progress));
  cli
    .command('status')
    .description('what a lab is, as JSON; exit 1 when it is not ready')
    .option(...name)
    .action(async (o: { name: string }) => {
      const found = await status(o.name);
      print(found ?? { name: o.name, ready: false });
      process.exitCode = found?.ready === true ? 0 : 1;
    });
  cli
    .command('inventory')
    .description('everything that exists of a lab, as JSON')
    .option(...name)
    .action(async (o: { name: string }) => print(await inventory(o.name)));
  cli
    .command('image')
    .description('make the node image if the cache has none, and print where it is')
    .action(async () => print(await ensureImage(progress)));
  cli
    .command('exec')
    .description('run a command inside a lab: host exec -- virsh list')
    .option(...name)
    .argument('<command...>')
    .action(async (command: string[], o: { name: string }) => {
      process.exitCode = await execute(o.name, command);
    });
  cli
    .command('fault')
    .description('host fault <lab> set mtu=1450 icmp=drop delay=50ms loss=5% cut=192.0.2.12 | clear')
    .argument('<lab>')
    .argument('<set|clear>')
    .argument('[settings...]')
    .action(async (lab: string, action: string, settings: string[]) => {
      if (action === 'set') await setFault(lab, parseFault(settings));
      else if (action === 'clear' && settings.length === 0) await clearFault(lab);
      else throw new LabError(`fault ${action} ${settings.join(' ')}: allowed are "set <settings>" and "clear"`, 2);
    });
  return cli;
}

if (require.main === module) {
  program()
    .parseAsync()
    .catch((error: Error) => {
      console.error(error instanceof LabError ? error.message : error.stack);
      process.exitCode = error instanceof LabError ? error.exitCode : 1;
    });
}
