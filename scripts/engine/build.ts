import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { cacheDir } from '../../components/cacheDir';
import { sha256OfFile, writeAtomically } from './cache';
import { packageRoot, usableGo } from './go';
import { run } from './run';

/** The version go.mod pins; the newest that the module mirrors of closed networks were seen to carry. */
export const builtVersion = '3.259.0';

const goPackage = 'github.com/pulumi/pulumi/pkg/v3/cmd/pulumi';

/** Without its version the engine calls itself a development build, which the Automation API refuses. */
const buildFlags = [
  '-trimpath',
  '-mod=readonly',
  '-ldflags',
  `-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v${builtVersion}`,
];

/** About 6 CPU minutes on a cold cache; a slow machine with a slow mirror gets ten times that. */
const buildTimeoutSeconds = 3600;
const progressIntervalMs = 5000;

/** go.mod and go.sum of the engine. They lie in the sources and not in the compiled tree. */
export const moduleDir = path.join(packageRoot(__dirname), 'scripts/engine/pulumi');

export interface BuildPlace {
  /** The finished engine. */
  command: string;
  /** Builds it unless it is there and whole. Interrupted, it starts over; what Go compiled before is not compiled again. */
  build(log: (line: string) => void): Promise<void>;
  /** Whether a finished engine is there with the content that was recorded when it was built. */
  isWhole(): boolean;
}

/** The place of this build in the cache, named by everything that goes into it. Throws GoMissingError. */
export async function buildPlace(): Promise<BuildPlace> {
  const goVersion = await usableGo(path.join(moduleDir, 'go.mod'));
  const inputs = ['go.mod', 'go.sum'].map((name) => fs.readFileSync(path.join(moduleDir, name)));
  const hash = createHash('sha256');
  for (const input of [...inputs, goVersion, ...buildFlags, process.platform, process.arch])
    hash.update(input).update('\0');
  const dir = path.join(cacheDir(), 'engine', hash.digest('hex').slice(0, 16));
  // The Automation API looks for `bin/pulumi` below the root it is given.
  const command = path.join(dir, 'bin', 'pulumi');
  const recorded = path.join(dir, 'pulumi.sha256');
  const isWhole = () =>
    fs.existsSync(command) &&
    fs.existsSync(recorded) &&
    fs.readFileSync(recorded, 'utf8').trim() === sha256OfFile(command);

  return {
    command,
    isWhole,
    async build(log) {
      fs.mkdirSync(path.dirname(command), { recursive: true });
      const unfinished = `${command}.${process.pid}.tmp`;
      log(`building Pulumi ${builtVersion} from Go modules (some minutes, once)`);
      try {
        const { onLine, compiled } = progress(log);
        await run('go', ['build', '-v', ...buildFlags, '-o', unfinished, goPackage], {
          cwd: moduleDir,
          // The static build runs on any distribution, whatever C library it was made with.
          env: { ...process.env, CGO_ENABLED: '0' },
          timeoutSeconds: buildTimeoutSeconds,
          onLine,
        });
        log(`built Pulumi ${builtVersion}: ${compiled()} packages`);
        writeAtomically(recorded, `${sha256OfFile(unfinished)}\n`);
        fs.renameSync(unfinished, command);
      } finally {
        fs.rmSync(unfinished, { force: true });
      }
    },
  };
}

/** Go names each package when it has compiled it, and each module when it fetches it; a line every 5 s is enough. */
function progress(log: (line: string) => void): { onLine(line: string): void; compiled(): number } {
  const start = Date.now();
  let packages = 0;
  let lastMs = start;
  return {
    compiled: () => packages,
    onLine(line) {
      if (!line.startsWith('go: ')) packages += 1;
      if (Date.now() - lastMs < progressIntervalMs) return;
      lastMs = Date.now();
      const elapsedSeconds = Math.round((lastMs - start) / 1000);
      log(`building Pulumi ${builtVersion}: ${packages} packages compiled, ${elapsedSeconds} s, now ${line}`);
    },
  };
}
