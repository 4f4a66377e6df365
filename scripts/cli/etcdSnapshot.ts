import { createWriteStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { finished } from 'node:stream/promises';
import { renderSnapshotScript } from '../../components/cluster/snapshotScripts';
import {
  checkSnapshot,
  openSnapshot,
  SNAPSHOT_SUFFIX,
  SnapshotError,
  snapshotKey,
  type SnapshotHeader,
} from '../../components/secrets/etcdSnapshot';
import { SshError } from '../../components/ssh/errors';
import { runScript, ScriptError } from '../../components/ssh/script';
import { SshSession } from '../../components/ssh/session';
import { printJson, shownPath, type Context } from './context';
import { badInput, failed } from './errors';
import { Interruption } from './interrupt';
import { enterLab } from './lab';
import { openStack } from './secrets';
import { openSiteAloud } from './site';
import { table } from './table';
import { controlPlaneTargets, keysOf, type NamedTarget } from './targets';

export async function takeSnapshot(context: Context, site: string, to: string): Promise<void> {
  const { plan } = openSiteAloud(context, site);
  const target = await targetOf(to);
  await enterLab(plan);
  const { config } = await openStack(context, plan, { create: false });
  const keys = keysOf(config, site);
  const interruption = new Interruption((text) => context.say(text));
  try {
    const hosts = controlPlaneTargets(plan, keys);
    const common = { site, hostKeySeed: keys.hostKeySeed, signal: interruption.signal, say: context.say };
    const { file, header } = await fromFirst(context, hosts, (host) => receiveSnapshot({ ...common, host }, target));
    tell(context, file, header);
  } catch (error) {
    if (interruption.happened) throw failed(`the snapshot of ${site} was stopped; no file was made`);
    throw error;
  } finally {
    interruption.dispose();
  }
}

/** A folder that exists, or a file that does not; everything that can be wrong is found before a machine is asked. */
async function targetOf(to: string): Promise<{ folder: string; file: string | null }> {
  const path = resolve(to);
  const found = await stat(path).catch(() => null);
  if (found?.isDirectory()) return { folder: path, file: null };
  if (found !== null) throw badInput(`--to ${to}: there is such a file already; nothing was made`);
  const folder = dirname(path);
  if (!(await stat(folder).catch(() => null))?.isDirectory()) {
    throw badInput(`--to ${to}: there is no folder ${folder}; nothing was made`);
  }
  return { folder, file: path };
}

/** One member is as good as another; the next is asked where one does not answer or has no etcd that works. */
async function fromFirst<T>(
  context: Context,
  hosts: NamedTarget[],
  work: (host: NamedTarget) => Promise<T>,
): Promise<T> {
  const problems: string[] = [];
  for (const host of hosts) {
    try {
      return await work(host);
    } catch (error) {
      if (!(error instanceof SshError || error instanceof ScriptError)) throw error;
      const problem = error instanceof SshError ? `${host.name}: ${error.message}` : error.message;
      problems.push(problem);
      if (host !== hosts.at(-1)) context.say(`${problem}\nThe next control-plane machine is asked.`);
    }
  }
  throw failed(`${problems.join('\n')}\nNo snapshot was taken`);
}

interface Receiving {
  site: string;
  host: NamedTarget;
  hostKeySeed: string;
  signal: AbortSignal;
  say(text: string): void;
}

/**
 * Takes one snapshot on a machine into a file that does not exist yet; without a name it gets one of its own in the folder.
 * It has another name until it has been read back whole: what has the name of a snapshot can be restored.
 */
export async function receiveSnapshot(
  { site, host: { name, target: ssh }, hostKeySeed, signal, say }: Receiving,
  target: { folder: string; file: string | null },
): Promise<{ file: string; header: SnapshotHeader }> {
  const { privateKey, publicKeyPem } = snapshotKey(hostKeySeed);
  const partial = join(target.folder, `.${site}.${process.pid}.partial`);
  const session = await SshSession.connect(ssh, { signal });
  try {
    const output = createWriteStream(partial, { mode: 0o600, flags: 'wx', flush: true });
    const written = finished(output);
    written.catch(() => undefined);
    const script = renderSnapshotScript({ site, node: name, publicKeyPem, folder: null });
    try {
      await runScript(session, script, { name, signal, output, onProgress: say });
    } finally {
      output.end();
    }
    await written;
    say('reads the file back');
    const snapshot = await openSnapshot(partial);
    await checkSnapshot(snapshot, privateKey);
    const { header } = snapshot;
    const stamp = header.taken.replace(/[-:]/g, '');
    const file = target.file ?? join(target.folder, `${site}.${name}.${stamp}${SNAPSHOT_SUFFIX}`);
    await rename(partial, file);
    await syncFolder(target.folder);
    return { file, header };
  } catch (error) {
    if (error instanceof SnapshotError) throw failed(`${name}: what arrived cannot be used: ${error.message}`);
    throw withReason(error, target.folder);
  } finally {
    session.end();
    await rm(partial, { force: true });
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A full disk or a folder that may not be written is for the user; its code says which. */
function withReason(error: unknown, folder: string): unknown {
  const { code, message, syscall } = error as NodeJS.ErrnoException;
  return code !== undefined && syscall !== undefined ? failed(`${folder}: ${message}`) : error;
}

function tell(context: Context, file: string, header: SnapshotHeader): void {
  if (context.json) return printJson(context, { file, ...header });
  context.out(
    [
      shownPath(file),
      table(['node', 'taken', 'revision', 'keys', 'bytes', 'hash'], [facts(header)], context.color),
    ].join('\n'),
  );
}

const facts = ({ node, taken, revision, keys, sizeBytes, hash }: SnapshotHeader) => [
  node,
  taken,
  String(revision),
  String(keys),
  String(sizeBytes),
  hash,
];
