import execa from 'execa';
import { realpathSync } from 'node:fs';
import { relative } from 'node:path';
import { badInput, failed } from '../cli/errors';

/** The repository of a folder, read with git; nothing in it is changed. */
export class Repository {
  private constructor(readonly top: string) {}

  /** Null where the folder is in none. */
  static async of(folder: string): Promise<Repository | null> {
    const { stdout, exitCode } = await git(folder, ['rev-parse', '--show-toplevel'], { reject: false });
    return exitCode === 0 ? new Repository(stdout) : null;
  }

  /** Of a folder in the repository; empty for its top. */
  pathOf(folder: string): string {
    return relative(realpathSync(this.top), realpathSync(folder)).split('\\').join('/');
  }

  /** The commit that a branch, tag or hash means. */
  async commit(ref: string): Promise<string> {
    const name = `${ref}^{commit}`;
    const asked = ref.startsWith('-')
      ? null
      : await git(this.top, ['rev-parse', '--verify', '--quiet', name], { reject: false });
    if (asked === null || asked.exitCode !== 0) {
      throw badInput(
        `${ref}: there is no such commit in ${this.top}. Allowed are branches, tags and hashes; a shallow clone lacks ` +
          'what it did not fetch (git fetch --unshallow)',
      );
    }
    return asked.stdout;
  }

  /** Name of the content of a path at a commit; null where it is not there. */
  async tree(commit: string, path: string): Promise<string | null> {
    const { stdout, exitCode } = await git(this.top, ['rev-parse', '--verify', '--quiet', `${commit}:${path}`], {
      reject: false,
    });
    return exitCode === 0 ? stdout : null;
  }

  async show(commit: string, path: string): Promise<string | null> {
    const { stdout, exitCode } = await git(this.top, ['show', `${commit}:${path}`], {
      reject: false,
      stripFinalNewline: false,
    });
    return exitCode === 0 ? stdout : null;
  }

  /** Whether files differ between a commit and the folder as it is, new ones included. */
  async differs(commit: string, paths: string[]): Promise<boolean> {
    const changed = await git(this.top, ['diff', '--quiet', commit, '--', ...paths], { reject: false });
    if (changed.exitCode !== 0) return true;
    const { stdout } = await git(this.top, ['ls-files', '--others', '--exclude-standard', '--', ...paths]);
    return stdout !== '';
  }

  /** Writes the files of a commit into a folder. */
  async export(commit: string, paths: string[], folder: string): Promise<void> {
    const archive = execa('git', ['-C', this.top, 'archive', '--format=tar', commit, '--', ...paths]);
    const unpack = execa('tar', ['-x', '-C', folder]);
    archive.stdout!.pipe(unpack.stdin!);
    try {
      await Promise.all([archive, unpack]);
    } catch (error) {
      throw failed(`the files of ${commit} could not be read: ${(error as Error).message}`);
    }
  }
}

const git = (folder: string, args: string[], options: execa.Options = {}) =>
  execa('git', ['-C', folder, ...args], { env: { GIT_OPTIONAL_LOCKS: '0' }, ...options });
