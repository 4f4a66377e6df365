import { fork, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { cacheDir } from '../../components/cacheDir';
import { failed } from '../cli/errors';
import { forgetUnused, markUsed, writeAtomically } from '../engine/cache';
import { DOCUMENT_VERSION } from '../render/document';
import type { RenderResult } from '../render/render';
import type { WorkerAnswer } from '../render/worker';
import type { Revision } from './revision';

/**
 * Fingerprint of everything that a site's document is made of: the kit, its file, the profiles that it extends and the locks
 * of bundles. Null: there is no such site.
 */
export function inputsOf({ stacksDir, kit }: Revision, site: string): string | null {
  const file = join(stacksDir, 'sites', `${site}.yaml`);
  if (!existsSync(file)) return null;
  const hash = createHash('sha256').update(`${DOCUMENT_VERSION} ${kit.id} ${kit.version} ${site}\0`);
  const files = [file, ...profileFiles(stacksDir, file), ...filesIn(join(stacksDir, 'bundles'), '.lock.json')];
  for (const one of files)
    hash
      .update(`${one.slice(stacksDir.length)}\0`)
      .update(readFileSync(one))
      .update('\0');
  return hash.digest('hex');
}

/** Those that the site extends; all of them where that cannot be read, which the rendering then tells. */
function profileFiles(stacksDir: string, site: string): string[] {
  const profiles = join(stacksDir, 'profiles');
  const chain: string[] = [];
  for (let file = site; ; file = chain.at(-1)!) {
    const name = extendsOf(file);
    if (name === null) return chain;
    const next = join(profiles, `${String(name)}.yaml`);
    if (typeof name !== 'string' || !existsSync(next) || chain.includes(next)) return filesIn(profiles, '.yaml');
    chain.push(next);
  }
}

function extendsOf(file: string): unknown {
  try {
    return (parse(readFileSync(file, 'utf8')) as { extends?: unknown } | null)?.extends ?? null;
  } catch {
    return 0;
  }
}

const filesIn = (folder: string, suffix: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith(suffix))
        .sort()
        .map((name) => join(folder, name))
    : [];

interface Job {
  revision: Revision;
  site: string;
  resolve(result: RenderResult): void;
  reject(error: Error): void;
}

interface Worker {
  process: ChildProcess;
  program: string;
  job: Job | null;
}

/** A document is 0.2 to 20 MB; more processes than these only fill memory. */
const MAX_WORKERS = 8;

/**
 * Renders sites in processes of their own, of each kit as many as there are CPUs; what was rendered from the same inputs
 * before comes from the cache. `close` ends the processes.
 */
export class Renderer {
  private readonly waiting: Job[] = [];
  private readonly workers: Worker[] = [];
  /** By fingerprint of the inputs. */
  private readonly running = new Map<string, Promise<RenderResult>>();
  private hasPruned = false;
  private lastId = 0;

  constructor(private readonly size = Math.min(availableParallelism(), MAX_WORKERS)) {}

  /**
   * Equal inputs at the same time are one rendering.
   * @param revision one that has the site
   */
  async render(revision: Revision, site: string): Promise<RenderResult> {
    const inputs = inputsOf(revision, site)!;
    const cached = join(cacheDir(), 'renders', `${inputs}.json`);
    const running = this.running.get(inputs);
    if (running !== undefined) return running;
    if (existsSync(cached)) {
      markUsed(cached);
      return JSON.parse(readFileSync(cached, 'utf8')) as RenderResult;
    }
    const made = this.run(revision, site).then((result) => {
      if (!this.hasPruned && existsSync(dirname(cached))) forgetUnused(dirname(cached));
      this.hasPruned = true;
      writeAtomically(cached, JSON.stringify(result), 0o600);
      // A document may have 20 MB: from now on the cache has it.
      this.running.delete(inputs);
      return result;
    });
    this.running.set(inputs, made);
    return made;
  }

  private run(revision: Revision, site: string): Promise<RenderResult> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ revision, site, resolve, reject });
      this.next();
    });
  }

  close(): void {
    for (const { process: child } of this.workers) child.kill();
  }

  private next(): void {
    const job = this.waiting[0];
    if (job === undefined) return;
    const program = job.revision.kit.worker;
    let worker = this.workers.find((one) => one.job === null && one.program === program);
    if (worker === undefined) {
      if (this.workers.length >= this.size) {
        // One of another kit that has nothing to do makes room.
        const idle = this.workers.find((one) => one.job === null);
        if (idle === undefined) return;
        this.workers.splice(this.workers.indexOf(idle), 1);
        idle.process.kill();
      }
      worker = this.start(program);
    }
    this.waiting.shift();
    worker.job = job;
    const { revision, site } = job;
    worker.process.send({
      ...{ id: (this.lastId += 1), stacksDir: revision.stacksDir, site, kitVersion: revision.kit.version },
    });
    this.next();
  }

  private start(program: string): Worker {
    // Not the caller's environment: a render takes nothing of it.
    const child = fork(program, [], {
      stdio: ['ignore', 2, 2, 'ipc'],
      env: {},
      serialization: 'advanced',
    });
    const worker: Worker = { process: child, program, job: null };
    this.workers.push(worker);
    const settle = (finish: (job: Job) => void) => {
      const { job } = worker;
      worker.job = null;
      if (job !== null) finish(job);
      this.next();
    };
    child.on('message', (answer: WorkerAnswer) => {
      settle(({ resolve, reject, site }) =>
        'result' in answer ? resolve(answer.result) : reject(failed(`${site} could not be rendered: ${answer.error}`)),
      );
    });
    child.on('exit', () => {
      const at = this.workers.indexOf(worker);
      if (at >= 0) this.workers.splice(at, 1);
      settle(({ reject, site }) => reject(failed(`${site} could not be rendered: its process ended`)));
    });
    return worker;
  }
}
