import type { Readable } from 'node:stream';
import { existsSync } from 'node:fs';
import {
  renderRestoreScript,
  type RestoreAction,
  type RestoreSettings,
} from '../../components/cluster/snapshotScripts';
import type { SitePlan } from '../../components/plan';
import {
  checkSnapshot,
  openSnapshot,
  plainSnapshot,
  SnapshotError,
  snapshotKey,
  type SnapshotHeader,
} from '../../components/secrets/etcdSnapshot';
import { encryptionKeyNames } from '../../components/secrets/pki';
import { SshError } from '../../components/ssh/errors';
import { runScript, ScriptError } from '../../components/ssh/script';
import { SshSession } from '../../components/ssh/session';
import { clusterPkiOf } from './clusterKeys';
import { printJson, type Context } from './context';
import { badInput, failed } from './errors';
import { Interruption } from './interrupt';
import { enterLab } from './lab';
import { refuseLocked } from './locks';
import { agrees } from './passphrase';
import { openStack } from './secrets';
import { openSiteAloud } from './site';
import { controlPlaneTargets, keysOf, nodeTargets, onEach, type NamedTarget } from './targets';
import { limitFactorOf } from './verify';

/** For the API of a machine to come back; an emulated one on a busy host needs that much. */
const LIMIT_SECONDS = 900;

/** Brings the data of every member of etcd back to a snapshot. Whatever can be refused is refused before anything is stopped. */
export async function restoreSnapshot(context: Context, site: string, from: string, yes: boolean): Promise<void> {
  const { plan } = openSiteAloud(context, site);
  if (!existsSync(from)) throw badInput(`--from ${from}: there is no such file; nothing was changed`);
  await enterLab(plan);
  const { config } = await openStack(context, plan, { create: false });
  refuseLocked(plan);
  const keys = keysOf(config, site);
  const pki = clusterPkiOf(config, plan);
  const { privateKey } = snapshotKey(keys.hostKeySeed);
  const snapshot = await checked(from, () => openSnapshot(from));
  refuseUnfit(from, snapshot.header, plan, encryptionKeyNames(pki));
  await checked(from, () => checkSnapshot(snapshot, privateKey));

  const limitSeconds = Math.round(LIMIT_SECONDS * (await limitFactorOf(plan)));
  const hosts = { members: controlPlaneTargets(plan, keys), all: nodeTargets(plan, keys) };
  const run = new Restore({ site, snapshot: snapshot.header, limitSeconds, hosts, say: context.say });
  const interruption = new Interruption((text) => context.say(text));
  try {
    const { receivers } = await run.look(interruption.signal);
    if (!yes) await confirm(context, plan, snapshot.header);
    const kept = await run.restore(receivers, () => plainSnapshot(snapshot, privateKey), interruption.signal);
    tell(context, site, snapshot.header, kept);
  } catch (error) {
    if (interruption.happened) throw failed(`the restore of ${site} was stopped. ${run.whatNow(from)}`);
    if (error instanceof ScriptError || error instanceof SshError || (error as { exitCode?: number }).exitCode === 1) {
      throw failed(`${(error as Error).message}\n${run.whatNow(from)}`);
    }
    throw error;
  } finally {
    interruption.dispose();
  }
}

async function checked<T>(from: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SnapshotError) throw badInput(`${error.message}. Nothing was changed`);
    const { code, message } = error as NodeJS.ErrnoException;
    throw code === undefined ? error : badInput(`--from ${from}: ${message}. Nothing was changed`);
  }
}

/** Every reason at once. */
function refuseUnfit(from: string, header: SnapshotHeader, plan: SitePlan, keyNames: string[]): void {
  const problems: string[] = [];
  if (header.site !== plan.site) problems.push(`${from} is a snapshot of the site ${header.site}, not of ${plan.site}`);
  const lost = header.encryptionKeys.filter((name) => !keyNames.includes(name));
  if (header.site === plan.site && lost.length > 0) {
    problems.push(
      `its Secrets need ${lost.join(' and ')}, and the secrets of ${plan.site} have ${keyNames.join(' and ')}: the key was rotated since. ` +
        `Bring stacks/Pulumi.${plan.site}.yaml of ${header.taken} back from version control first, and run sitewright up afterwards`,
    );
  }
  const [wanted, taken] = [plan.cluster?.kubernetesVersion ?? '', header.kubernetes.replace(/^v/, '')].map((version) =>
    version.split('.').map(Number),
  );
  if (taken[0]! > wanted[0]! || (taken[0] === wanted[0] && taken[1]! > wanted[1]!)) {
    problems.push(
      `it is of Kubernetes ${header.kubernetes}, whose objects ${plan.cluster!.kubernetesVersion} may not read`,
    );
  }
  const leaving = plan.nodes.filter(({ role, state }) => role === 'control-plane' && state === 'leaving');
  for (const { name } of leaving) {
    problems.push(
      `${name} is leaving: let it leave first (sitewright up ${plan.site}), or declare it dead if it is lost`,
    );
  }
  if (problems.length > 0) throw badInput(`${problems.join('\n')}\nNothing was changed`);
}

async function confirm(context: Context, { site }: SitePlan, header: SnapshotHeader): Promise<void> {
  if (!context.terminal || process.stdin.isTTY !== true) {
    throw badInput(`etcd restore ${site}: without a terminal, confirm with --yes; nothing was changed`);
  }
  context.say(
    `The cluster of ${site} goes back to ${header.taken} (revision ${header.revision}, ${header.keys} keys): what was made or changed since is gone.`,
  );
  if (await agrees('Do this?')) return;
  throw failed('Nothing was changed.');
}

interface Looked {
  member: string;
  unfinished: string;
  received: boolean;
}

export interface RestoreArgs {
  site: string;
  snapshot: SnapshotHeader;
  /** Of each wait. */
  limitSeconds: number;
  hosts: { members: NamedTarget[]; all: NamedTarget[] };
  say(text: string): void;
}

/** The steps over all machines. One is done everywhere before the next is begun anywhere. */
export class Restore {
  private initialCluster = '';
  private stopping = false;

  constructor(private readonly args: RestoreArgs) {}

  /** What to do after a failure. */
  whatNow(from: string): string {
    return this.stopping
      ? `The control plane may be stopped. The same command goes on: sitewright etcd restore ${this.args.site} --from ${from}`
      : 'Nothing of the cluster was changed.';
  }

  /** Asks every control-plane machine; all must answer. Returns those that do not have the snapshot yet. */
  async look(signal: AbortSignal): Promise<{ receivers: NamedTarget[] }> {
    const {
      hosts: { members },
      snapshot,
      say,
    } = this.args;
    const found = await onEach(
      members,
      async (host) => JSON.parse(await this.script(host, 'look', { signal })) as Looked,
    );
    this.initialCluster = found.map(({ member }) => member).join(',');
    for (const [index, { unfinished }] of found.entries()) {
      if (unfinished === '') continue;
      const what = unfinished === snapshot.sha256 ? 'it goes on' : 'that was of another snapshot; this takes its place';
      say(`${members[index].name}: an earlier restore did not end; ${what}`);
    }
    return { receivers: members.filter((_, index) => !found[index].received) };
  }

  /** Returns where the data of before is, by machine. */
  async restore(
    receivers: NamedTarget[],
    read: () => Promise<Readable>,
    signal: AbortSignal,
  ): Promise<{ node: string; folder: string }[]> {
    const { members, all } = this.args.hosts;
    await onEach(receivers, async (host) => this.script(host, 'receive', { signal, payload: await read() }));
    this.stopping = true;
    for (const action of ['stop', 'data', 'start'] as const) {
      await onEach(members, (host) => this.script(host, action, { signal }));
    }
    const answering = await this.restartKubelets(all.filter((host) => !members.some(({ name }) => name === host.name)));
    await this.script(members[0], 'ready', { signal }, [...members, ...answering]);
    const kept = await onEach(members, async (host) => ({
      node: host.name,
      folders: (await this.script(host, 'end', { signal })).split('\n').filter((line) => line !== ''),
    }));
    return kept.flatMap(({ node, folders }) => folders.map((folder) => ({ node, folder })));
  }

  /** A worker that does not answer is not waited for: the cluster is the same without it. Returns the others. */
  private async restartKubelets(workers: NamedTarget[]): Promise<NamedTarget[]> {
    const outcomes = await Promise.allSettled(workers.map((host) => this.script(host, 'kubelet', {})));
    return workers.filter((host, index) => {
      const outcome = outcomes[index];
      if (outcome.status === 'rejected') {
        this.args.say(`${host.name}: its kubelet was not restarted: ${(outcome.reason as Error).message}`);
      }
      return outcome.status === 'fulfilled';
    });
  }

  private async script(
    { name, target }: NamedTarget,
    action: RestoreAction,
    options: { signal?: AbortSignal; payload?: Readable },
    nodes: NamedTarget[] = [],
  ): Promise<string> {
    const { site, snapshot, limitSeconds, say } = this.args;
    const settings: RestoreSettings = {
      ...{ site, node: name, snapshot, limitSeconds },
      initialCluster: this.initialCluster,
      nodes: nodes.map((host) => host.name),
    };
    const session = await SshSession.connect(target, { signal: options.signal });
    try {
      return await runScript(session, renderRestoreScript(action, settings), {
        ...options,
        name,
        onProgress: say,
      });
    } finally {
      session.end();
    }
  }
}

function tell(
  context: Context,
  site: string,
  { taken, revision }: SnapshotHeader,
  kept: { node: string; folder: string }[],
): void {
  if (context.json) return printJson(context, { site, restored: taken, revision, kept });
  context.out(
    [
      `the cluster of ${site} is as it was on ${taken} (revision ${revision})`,
      ...kept.map(({ node, folder }) => `${node}: the data of before is in ${folder}; remove it when nobody needs it`),
      `What the kit keeps in the cluster may be older than the site file now: sitewright refresh ${site}, then sitewright up ${site}`,
    ].join('\n'),
  );
}
