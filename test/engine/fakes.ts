import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

/** A machine as the engine's set-up sees it: a PATH and a cache of its own, with programs that the test writes. */
export class FakeMachine {
  readonly dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sitewright-machine-'));
  readonly cache = path.join(this.dir, 'cache/sitewright');
  private readonly before = { PATH: process.env.PATH, XDG_CACHE_HOME: process.env.XDG_CACHE_HOME };

  constructor() {
    fs.mkdirSync(path.join(this.dir, 'bin'));
    // Only what the scripts need: a go or pulumi of this machine must not be found.
    for (const tool of ['chmod', 'mkdir']) fs.symlinkSync(`/bin/${tool}`, path.join(this.dir, 'bin', tool));
    process.env.PATH = path.join(this.dir, 'bin');
    process.env.XDG_CACHE_HOME = path.join(this.dir, 'cache');
  }

  /** A shell script on PATH; it notes each of its calls. */
  program(name: string, script: string): void {
    const file = path.join(this.dir, 'bin', name);
    fs.writeFileSync(file, `#!/bin/sh\necho "${name} $*" >> ${this.dir}/calls\n${script}\n`, { mode: 0o755 });
  }

  /** Calls of fake programs since the last look. */
  calls(): string[] {
    const file = path.join(this.dir, 'calls');
    const calls = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim().split('\n') : [];
    fs.rmSync(file, { force: true });
    return calls;
  }

  /** The vendor could not be reached a moment ago. */
  vendorUnreachable(what: string, agoHours = 0): void {
    const file = path.join(this.cache, 'unreachable', what);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, 'no such host');
    const when = new Date(Date.now() - agoHours * 3_600_000);
    fs.utimesSync(file, when, when);
  }

  restore(): void {
    for (const [name, value] of Object.entries(this.before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    fs.rmSync(this.dir, { recursive: true, force: true });
  }
}
