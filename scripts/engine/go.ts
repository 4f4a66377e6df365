import * as fs from 'node:fs';
import * as path from 'node:path';
import * as semver from 'semver';
import { run } from './run';

/** Where Go cannot be used: what is missing and how to get it. */
export class GoMissingError extends Error {
  readonly exitCode = 1;

  constructor(found: string, neededVersion: string, what: string, otherWay: string) {
    super(
      `${what} to be built here, and that needs Go ${neededVersion} or newer; ${found}. ` +
        `Install it from https://go.dev/dl/ (the distributions' golang packages are often older), or ${otherWay}.`,
    );
    this.name = 'GoMissingError';
  }
}

/** The folder of package.json: go.mod files lie in the sources and not in the compiled tree. */
export function packageRoot(dir: string): string {
  if (fs.existsSync(path.join(dir, 'package.json'))) return dir;
  return packageRoot(path.dirname(dir));
}

/**
 * The version of the Go command, e.g. "go1.26.8". Only Go itself is asked: it is not made to download another one.
 * @param modFile names the oldest version that will do
 * @param what begins the message where there is none, such as "The Pulumi engine has"
 * @param otherWay ends it: what to do without Go
 * @throws GoMissingError
 */
export async function usableGo(
  modFile: string,
  what = 'The Pulumi engine has',
  otherWay = 'put a Pulumi CLI of version 3.248 or newer on PATH',
): Promise<string> {
  const needed = /^go (\S+)$/m.exec(fs.readFileSync(modFile, 'utf8'))?.[1] ?? '1.25.0';
  const printed = await run('go', ['env', 'GOVERSION'], {
    env: { ...process.env, GOTOOLCHAIN: 'local' },
    cwd: '/',
    timeoutSeconds: 30,
  }).catch(() => undefined);
  if (printed === undefined) throw new GoMissingError('no go command was found on PATH', needed, what, otherWay);
  const version = printed.trim();
  const coerced = semver.coerce(version);
  if (!coerced || semver.lt(coerced, semver.coerce(needed) as semver.SemVer)) {
    throw new GoMissingError(`found ${version}`, needed, what, otherWay);
  }
  return version;
}
