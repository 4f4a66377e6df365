import * as fs from 'node:fs';
import * as path from 'node:path';
import { promisify } from 'node:util';
import type { SFTPWrapper, Stats } from 'ssh2';
import type { Operation } from '../base';
import { dial } from './dial';
import type { ConnectionInputs } from './inputs';

export interface CopyInputs {
  connection: ConnectionInputs;
  /** A file or string asset, or a file archive: `path` or `text` is set. */
  source: { path?: string; text?: string; hash?: string };
  remotePath: string;
}

/**
 * Copies a text, a file or a directory to another machine:
 *
 * | source | remotePath is a directory | does not exist | is a file   |
 * |--------|---------------------------|----------------|-------------|
 * | `dir`  | remotePath/dir            | remotePath/dir | error       |
 * | `dir/` | into remotePath           | into remotePath| error       |
 * | file   | remotePath/file           | remotePath     | overwritten |
 * | text   | error                     | remotePath     | overwritten |
 */
export async function copy(op: Operation, inputs: CopyInputs): Promise<void> {
  const session = await dial(op, inputs.connection);
  const stop = () => session.end();
  op.signal.addEventListener('abort', stop, { once: true });
  try {
    const remote = new Remote(await session.sftp());
    const { source, remotePath } = inputs;
    if (source.text !== undefined) await copyText(remote, source.text, remotePath);
    else await copyPath(remote, source.path as string, remotePath);
  } catch (error) {
    op.signal.throwIfAborted();
    throw error;
  } finally {
    op.signal.removeEventListener('abort', stop);
    session.end();
  }
}

async function copyText(remote: Remote, text: string, remotePath: string): Promise<void> {
  if ((await remote.stat(remotePath))?.isDirectory()) {
    throw new Error(`remote path ${remotePath} is a directory; for a text asset remotePath must name a file`);
  }
  await remote.makeDirectories(path.posix.dirname(remotePath));
  await remote.writeFile(remotePath, text);
}

async function copyPath(remote: Remote, source: string, remotePath: string): Promise<void> {
  const there = await remote.stat(remotePath);
  if (fs.statSync(source).isDirectory()) {
    const target = source.endsWith('/') ? remotePath : path.posix.join(remotePath, path.basename(source));
    await remote.makeDirectories(target);
    return copyDirectory(remote, source, target);
  }
  if (there?.isDirectory()) return remote.putFile(source, path.posix.join(remotePath, path.basename(source)));
  if (!there) await remote.makeDirectories(path.posix.dirname(remotePath));
  return remote.putFile(source, remotePath);
}

async function copyDirectory(remote: Remote, source: string, target: string): Promise<void> {
  for (const entry of fs.readdirSync(source)) {
    const from = path.join(source, entry);
    const to = path.posix.join(target, entry);
    if (fs.statSync(from).isDirectory()) {
      await remote.makeDirectories(to);
      await copyDirectory(remote, from, to);
    } else await remote.putFile(from, to);
  }
}

/** SFTP status code of "no such file" (draft-ietf-secsh-filexfer-02 section 7). */
const noSuchFile = 2;

class Remote {
  constructor(private readonly sftp: SFTPWrapper) {}

  async stat(name: string): Promise<Stats | undefined> {
    try {
      return await promisify<string, Stats>(this.sftp.stat.bind(this.sftp))(name);
    } catch (error) {
      if ((error as { code?: number }).code === noSuchFile) return undefined;
      throw this.named('look at', name, error);
    }
  }

  async makeDirectories(name: string): Promise<void> {
    const there = await this.stat(name);
    if (there?.isDirectory()) return;
    if (there) throw new Error(`remote path ${name} exists but is not a directory`);
    const parent = path.posix.dirname(name);
    if (parent !== name) await this.makeDirectories(parent);
    try {
      await promisify<string>(this.sftp.mkdir.bind(this.sftp))(name);
    } catch (error) {
      // Another copy may have made it in the meantime.
      if (!(await this.stat(name))?.isDirectory()) throw this.named('make the directory', name, error);
    }
  }

  async writeFile(name: string, text: string): Promise<void> {
    await promisify<string, string>(this.sftp.writeFile.bind(this.sftp))(name, text).catch((error) => {
      throw this.named('write', name, error);
    });
  }

  async putFile(source: string, name: string): Promise<void> {
    await promisify<string, string>(this.sftp.fastPut.bind(this.sftp))(source, name).catch((error) => {
      throw this.named(`copy ${source} to`, name, error);
    });
  }

  private named(what: string, name: string, error: unknown): Error {
    return new Error(`cannot ${what} ${name} on the remote machine: ${(error as Error).message}`);
  }
}
