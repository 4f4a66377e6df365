import { Worker } from 'node:worker_threads';

/**
 * Reads /proc again and again in a thread of its own: the arguments of every process that has a variable in its environment,
 * which a child has from its parent, also where its parent is gone.
 */
const SAMPLE = `
const { parentPort, workerData } = require('node:worker_threads');
const { readdirSync, readFileSync } = require('node:fs');
const seen = new Set();
/** Whether a process is one of these; a number comes back for another process only after it was gone. */
let ours = new Map();
const read = (pid, file) => {
  try {
    return readFileSync('/proc/' + pid + '/' + file, 'latin1');
  } catch {
    return '';
  }
};
function round() {
  const before = ours;
  ours = new Map();
  for (const pid of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(pid)) continue;
    const isOurs = before.get(pid) ?? read(pid, 'environ').split('\\0').includes(workerData);
    ours.set(pid, isOurs);
    // Every time: one process becomes another program.
    if (isOurs) seen.add(read(pid, 'cmdline').split('\\0').join(' ').trim());
  }
}
round();
const timer = setInterval(round, 20);
parentPort.postMessage('begun');
parentPort.once('message', () => {
  clearInterval(timer);
  parentPort.postMessage([...seen].filter((line) => line !== ''));
});
`;

const VARIABLE = 'SITEWRIGHT_TEST_SAMPLED';

export class ArgumentSampler {
  private static runs = 0;
  private readonly mark = `${process.pid}-${ArgumentSampler.runs++}`;
  private readonly worker = new Worker(SAMPLE, { eval: true, workerData: `${VARIABLE}=${this.mark}` });

  /** For the environment of what is to be sampled. */
  readonly env = { [VARIABLE]: this.mark };

  static async start(): Promise<ArgumentSampler> {
    const sampler = new ArgumentSampler();
    await new Promise((resolve) => sampler.worker.once('message', resolve));
    return sampler;
  }

  /** Every command line that was seen, once each. */
  async stop(): Promise<string[]> {
    const seen = new Promise<string[]>((resolve) => this.worker.once('message', resolve));
    this.worker.postMessage('stop');
    const lines = await seen;
    await this.worker.terminate();
    return lines;
  }
}
