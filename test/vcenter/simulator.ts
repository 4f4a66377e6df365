import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import { cacheDir } from '../../components/cacheDir';
import { openTrusted } from '../../components/vcenter/trust';
import { usableGo } from '../../scripts/engine/go';
import { run } from '../../scripts/engine/run';

/** A vCenter on loopback: govmomi's simulator, built once from Go modules. */
export interface Simulator {
  /** Host and port. */
  server: string;
  end(): Promise<void>;
}

const SOURCE = path.join(__dirname, 'simulator');
const BUILD_LIMIT_SECONDS = 1800;

/** The program in the cache, named by everything that goes into it. */
async function program(): Promise<string> {
  const goVersion = await usableGo(path.join(SOURCE, 'go.mod'), 'The simulator of a vCenter has', 'skip these tests');
  const hash = createHash('sha256').update(goVersion);
  for (const name of ['go.mod', 'go.sum', 'main.go', 'vcenter.go'])
    hash.update(fs.readFileSync(path.join(SOURCE, name))).update('\0');
  const file = path.join(cacheDir(), 'vcenter-simulator', hash.digest('hex').slice(0, 16), 'simulator');
  if (fs.existsSync(file)) return file;
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const unfinished = `${file}.${process.pid}`;
  await run('go', ['build', '-trimpath', '-mod=readonly', '-o', unfinished, '.'], {
    cwd: SOURCE,
    env: { ...process.env, CGO_ENABLED: '0' },
    timeoutSeconds: BUILD_LIMIT_SECONDS,
  });
  fs.renameSync(unfinished, file);
  return file;
}

export async function startSimulator(): Promise<Simulator> {
  // Its end of standard input is its signal to go: it outlives no test that is killed.
  const child: ChildProcess = spawn(await program(), { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout!).once('line', resolve);
    child.once('exit', (code) => reject(new Error(`the simulator ended with ${code}`)));
  });
  return {
    server: new URL(url).host,
    async end() {
      child.stdin!.end();
      await ended;
    },
  };
}

/** Fingerprint of its certificate, from the message to whoever has not pinned it yet. */
export async function thumbprintOf({ server }: Simulator): Promise<string> {
  const refused = await openTrusted({ server, caFile: null, thumbprint: null }).catch((error: Error) => error);
  return /fingerprint ((?:[0-9A-F]{2}:){31}[0-9A-F]{2})/.exec((refused as Error).message)![1]!;
}

/** What it lets in. */
export const CREDENTIALS = { user: 'user', password: 'pass' };
