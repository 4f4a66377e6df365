import {
  renderUpgradeLeadScript,
  renderUpgradeNodeScript,
  type Afterwards,
  type LeadArgs,
  type NodeAction,
  type UpgradeNodeSettings,
} from '../cluster/upgradeScripts';
import { etcdProblem, upgradeProblem } from '../plan/versions';
import { runScript } from '../ssh/script';
import { SshSession, type SshTarget } from '../ssh/session';
import type { RunOptions } from './awaitSsh';

/** Moves a living cluster to the planned version of Kubernetes, node by node; does nothing where every node runs it. */
export interface UpgradeClusterRequest {
  kind: 'upgrade-cluster';
  /** Of the site. */
  name: string;
  /** Workers that are moved at the same time. */
  maxUnavailable: number;
  /** Every machine of the site, the first control-plane node (part `init`) among them. */
  nodes: { target: SshTarget; settings: UpgradeNodeSettings }[];
}

export interface UpgradeClusterResult {
  kind: 'upgrade';
  /** Names of the nodes that this run moved, in the order in which they ended. */
  moved: string[];
}

/** What a node says of itself. */
interface Look {
  member: boolean;
  initialised: boolean;
  /** `1.36.3 uncordon` on a node that an earlier run did not finish. */
  mark: string;
  /** Programs and static pods with their versions, such as `kubelet 1.36.1`. */
  versions: string[];
  /** Version of its etcd; empty: it runs none. */
  etcd: string;
  /** Whether it has the data of an etcd, or a disk that had them. */
  etcdData: boolean;
}

/** What the cluster says of a node. */
interface Survey {
  version: string;
  ready: boolean;
  unschedulable: boolean;
}

interface Member {
  name: string;
  settings: UpgradeNodeSettings;
  session: SshSession;
  look: Look;
}

/**
 * The order: the first control-plane node, the others one by one, then the workers. Each node is judged by what it runs, so a
 * run that was cut off is taken up where it stopped.
 */
export async function upgradeCluster(request: UpgradeClusterRequest, opts: RunOptions): Promise<UpgradeClusterResult> {
  const sessions: SshSession[] = [];
  const look = async ({ target, settings }: UpgradeClusterRequest['nodes'][number]): Promise<Member> => {
    const session = await SshSession.connect(target, { signal: opts.signal });
    sessions.push(session);
    const name = settings.node;
    const said = await runScript(session, renderUpgradeNodeScript(settings, 'look'), { ...opts, name });
    return { name, settings, session, look: JSON.parse(said) as Look };
  };
  try {
    const first = request.nodes.find(({ settings }) => settings.part === 'init');
    if (first === undefined) throw new Error('no node of the request is the first of the control plane');
    const lead = await look(first);
    const others = await Promise.all(request.nodes.filter((node) => node !== first).map(look));
    if (!lead.look.initialised) {
      refuse(beginProblems(lead, others));
      return { kind: 'upgrade', moved: [] };
    }
    const members = [lead, ...others].filter((node) => node.look.member);
    const upgrade = new Upgrade(lead, members, request.maxUnavailable, opts);
    return { kind: 'upgrade', moved: await upgrade.run() };
  } finally {
    sessions.forEach((session) => session.end());
  }
}

class Upgrade {
  private readonly version: string;
  private readonly moved: string[] = [];
  private readonly busy = new Set<string>();
  private survey = new Map<string, Survey>();

  constructor(
    private readonly lead: Member,
    private readonly members: Member[],
    private readonly maxUnavailable: number,
    private readonly opts: RunOptions,
  ) {
    this.version = lead.settings.version;
  }

  async run(): Promise<string[]> {
    refuse(this.etcdProblems());
    const waiting = this.members.filter(({ look }) => look.mark !== '' || !this.runsVersion(look));
    if (waiting.length === 0) return this.moved;
    refuse(this.versionProblems());
    await this.takeSurvey();
    refuse(this.readinessProblems());

    const controlPlane = waiting.filter(({ settings }) => settings.part !== 'join-worker');
    const workers = waiting.filter(({ settings }) => settings.part === 'join-worker');
    this.tell(`moves the cluster to Kubernetes ${this.version}: ${waiting.map(({ name }) => name).join(', then ')}`);
    try {
      let hasSnapshot = false;
      for (const node of controlPlane) {
        await this.move(node, async () => {
          if (!hasSnapshot) await this.onLead({ action: 'snapshot' });
          hasSnapshot = true;
        });
      }
      await this.moveWorkers(workers);
    } catch (error) {
      const left = waiting.map(({ name }) => name).filter((name) => !this.moved.includes(name));
      const done = this.members.map(({ name }) => name).filter((name) => !left.includes(name));
      throw new Error(
        `${error instanceof Error ? error.message : String(error)}\n` +
          `The upgrade to ${this.version} stopped: ${done.join(', ') || 'no node'} run it, ${left.join(', ')} not yet. ` +
          `The next 'up' goes on with ${left[0]}`,
        { cause: error },
      );
    }
    return this.moved;
  }

  private runsVersion({ versions }: Look): boolean {
    return versions.every((each) => each.endsWith(` ${this.version}`));
  }

  /** What no order of steps makes right: a way back, or more than one minor. */
  private versionProblems(): string[] {
    return this.members.flatMap(({ name, look }) =>
      look.versions.flatMap((each) => {
        const [program, version] = each.split(' ') as [string, string];
        const problem = upgradeProblem(version, this.version);
        return problem === null ? [] : [`${name}: ${program}: kubernetes.version ${problem}`];
      }),
    );
  }

  /** The bundle of another origin can have the same Kubernetes with an older etcd. */
  private etcdProblems(): string[] {
    return this.members.flatMap(({ name, look, settings }) => {
      const problem = look.etcd === '' ? null : etcdProblem(look.etcd, settings.holds);
      return problem === null ? [] : [`${name}: ${problem}`];
    });
  }

  private async takeSurvey(): Promise<void> {
    const said = await this.onLead({ action: 'survey' });
    const rows = said
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split('\t') as [string, string, string, string]);
    this.survey = new Map(
      rows.map(([name, version, ready, unschedulable]) => [
        name,
        { version: version.replace(/^v/, ''), ready: ready === 'True', unschedulable: unschedulable === 'true' },
      ]),
    );
  }

  /** A node that an earlier run did not finish may be anything: it is what this run begins with. */
  private readinessProblems(): string[] {
    return this.members.flatMap(({ name, look }) =>
      look.mark !== '' || this.survey.get(name)?.ready === true
        ? []
        : [
            `${name} is not Ready: an upgrade begins with a healthy cluster; look at it with 'kubectl describe node ${name}'`,
          ],
    );
  }

  /** As many at a time as may be; after a failure none begins, and those that have begun end. */
  private async moveWorkers(workers: Member[]): Promise<void> {
    const queue = [...workers];
    let failed = false;
    const next = async (): Promise<void> => {
      for (let node = queue.shift(); node !== undefined && !failed; node = queue.shift()) {
        await this.move(node, async () => undefined).catch((error: unknown) => {
          failed = true;
          throw error;
        });
      }
    };
    const ended = await Promise.allSettled(Array.from({ length: this.maxUnavailable }, next));
    const failures = ended.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new Error(failures.map((one) => (one as Error).message ?? String(one)).join('\n'));
  }

  private async move(node: Member, beforeChange: () => Promise<void>): Promise<void> {
    const { name, settings, look } = node;
    const survey = this.survey.get(name);
    const stays = look.mark === '' ? survey?.unschedulable === true : look.mark.endsWith(' stay');
    const afterwards: Afterwards = stays ? 'stay' : 'uncordon';
    const about = { node: name, afterwards };
    this.busy.add(name);
    await this.onNode(node, 'prepare', afterwards);
    // Programs come last, so a node that runs them was drained and moved, and only has to be let in again.
    if (!this.runsVersion(look) || survey?.version !== this.version) {
      const drain = () => this.drain(about);
      const move = () => this.onNode(node, 'move', afterwards);
      if (settings.part === 'join-worker') {
        await drain();
        await move();
      } else {
        await beforeChange();
        await move();
        await drain();
      }
    }
    await runScript(node.session, settings.runtimeScript, { ...this.opts, name });
    await this.onLead({ action: 'admit', ...about });
    await this.onNode(node, 'finish_upgrade', afterwards);
    this.busy.delete(name);
    await this.onLead({ action: 'gate', ...about, members: this.names(), busy: [...this.busy] });
    this.moved.push(name);
    this.tell(`${name} runs ${this.version}: ${this.moved.length} moved`);
  }

  /** The pods of the only node have nowhere to go, and go on while kubelet is restarted. */
  private async drain(about: Partial<LeadArgs>): Promise<void> {
    if (this.members.length > 1) await this.onLead({ action: 'drain', ...about });
  }

  private names(): string[] {
    return this.members.map(({ name }) => name);
  }

  private onNode({ session, settings, name }: Member, action: NodeAction, afterwards: Afterwards): Promise<string> {
    return runScript(session, renderUpgradeNodeScript(settings, action, afterwards), { ...this.opts, name });
  }

  private onLead(args: Omit<LeadArgs, 'lead'>): Promise<string> {
    const { session, settings, name } = this.lead;
    return runScript(session, renderUpgradeLeadScript({ lead: settings, ...args }), {
      ...this.opts,
      name: args.node ?? name,
    });
  }

  private tell(step: string): void {
    this.opts.onProgress?.(step);
  }
}

/**
 * Why the first control-plane machine, which is no member of a cluster, must not begin one. A machine that was installed
 * anew by hand looks as one that is new; those beside it tell the difference. With the data of its etcd it begins nothing: init takes
 * the cluster up that they hold.
 */
function beginProblems({ name, look }: Member, others: Member[]): string[] {
  const members = others.filter((other) => other.look.initialised || other.look.member);
  const controlPlane = members.filter(({ settings }) => settings.part !== 'join-worker').map((one) => one.name);
  const all = members.map((one) => one.name).join(', ');
  if (controlPlane.length > 0) {
    return [
      `${name} is no member of a cluster and comes first in the site file, and ${all} are members: kubeadm init on ${name} would ` +
        `begin a second cluster. Put ${controlPlane[0]} before it in machines.nodes: ${name} joins then, in place of the machine that it was`,
    ];
  }
  if (members.length === 0 || look.etcdData) return [];
  return [
    `${all} are members of a cluster whose data are not on ${name}, the only control-plane machine: kubeadm init there would begin an ` +
      `empty one that knows none of them. Attach the disk of etcd if there is one. If the data are lost, take each of ${all} out with ` +
      "'kubeadm reset --force' on it, run 'up' again, and 'sitewright etcd restore' brings a snapshot back",
  ];
}

function refuse(problems: string[]): void {
  if (problems.length > 0) throw new Error([...problems, 'Nothing of the cluster was changed.'].join('\n'));
}
