import { renderLeaveScript, renderResetScript, type LeaveAction, type LeaveSettings } from '../cluster/leaveScripts';
import { connectFirst } from '../ssh/first';
import { runScript } from '../ssh/script';
import { SshSession, type SshTarget } from '../ssh/session';
import type { RunOptions } from './awaitSsh';

/** Takes a node out of its cluster. Done again, it finds nothing to do. */
export interface LeaveNodeRequest {
  kind: 'leave-node';
  name: string;
  /** Null: the machine is lost, and nobody speaks to it. */
  target: SshTarget | null;
  /** Whether it holds a member of etcd. */
  isControlPlane: boolean;
  /** Control-plane nodes that stay; the first that answers does what is to be done there. */
  controlPlanes: { name: string; target: SshTarget }[];
  settings: LeaveSettings;
}

export interface LeaveNodeResult {
  kind: 'leave';
  name: string;
}

/**
 * In an order in which every step can be the last one for today: pods go first, and what holds one back stops all of it.
 * etcd never has a member that is not there, and the Node goes when nothing can bring it back.
 */
export async function leaveNode(request: LeaveNodeRequest, opts: RunOptions): Promise<LeaveNodeResult> {
  const { name, target, isControlPlane, settings } = request;
  const node = target === null ? null : await connectLeaving(name, target, opts);
  try {
    const controlPlane = await connectStaying(request.controlPlanes, opts);
    const take = (action: LeaveAction) =>
      runScript(controlPlane, renderLeaveScript(settings, action), { ...opts, name });
    try {
      if (node !== null) await take('drain');
      if (isControlPlane) await take('remove-member');
      if (node !== null) await runScript(node, renderResetScript(settings), { ...opts, name });
      await take('forget');
    } finally {
      controlPlane.end();
    }
  } finally {
    node?.end();
  }
  return { kind: 'leave', name };
}

async function connectLeaving(name: string, target: SshTarget, { signal }: RunOptions): Promise<SshSession> {
  try {
    return await SshSession.connect(target, { signal });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new Error(
      `${(error as Error).message}\n${name} must be there to leave: start it; or, if it is lost and never starts again, write state: dead`,
    );
  }
}

async function connectStaying(hosts: LeaveNodeRequest['controlPlanes'], opts: RunOptions): Promise<SshSession> {
  const problems: string[] = [];
  const found = await connectFirst(hosts, {
    signal: opts.signal,
    onSkipped({ name }, { message }) {
      opts.onProgress?.(`${name} does not answer`);
      problems.push(message);
    },
  });
  if (found !== null) return found.session;
  throw new Error(`no control-plane node that stays can be reached\n${problems.join('\n')}`);
}
