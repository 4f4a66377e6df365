import { renderInviteScript, renderJoinScript, type EtcdState, type JoinSettings } from '../cluster/nodeScripts';
import { INITIALISED_FILE } from '../plan/clusterPaths';
import { connectFirst } from '../ssh/first';
import { runScript } from '../ssh/script';
import { SshSession, type SshTarget } from '../ssh/session';
import type { RunOptions } from './awaitSsh';

/** Makes a node a member of its cluster, or brings a member up to date. */
export interface JoinNodeRequest {
  kind: 'join-node';
  name: string;
  target: SshTarget;
  /** Control-plane nodes, the first one first. One of them makes the token and keeps the Node. */
  controlPlanes: SshTarget[];
  settings: JoinSettings;
}

export interface JoinNodeResult {
  kind: 'join';
  name: string;
}

/** Time for a script that only removes a token, when everything else has ended. */
const DISMISS_LIMIT_SECONDS = 120;

/**
 * The token is made for this one join, goes from the control plane to the node through this process alone, by stdin,
 * and is deleted afterwards, whatever came of the join; should even that fail, it expires after 15 minutes.
 */
export async function joinNode(request: JoinNodeRequest, opts: RunOptions): Promise<JoinNodeResult> {
  const { name, settings } = request;
  const node = await SshSession.connect(request.target, { signal: opts.signal });
  try {
    const controlPlane = await connectControlPlane(request, opts);
    const onNode = (token: string | null) => runScript(node, renderJoinScript(settings, token), { ...opts, name });
    const forNode = (
      action: 'invite' | 'admit' | 'dismiss',
      { etcd, ...limited }: RunOptions & { timeoutSeconds?: number; etcd?: EtcdState } = opts,
    ) => runScript(controlPlane, renderInviteScript(settings, action, etcd), { ...limited, name });
    try {
      const { membership, etcd } = JSON.parse(await onNode(null)) as {
        membership: 'member' | 'stranger';
        etcd: EtcdState;
      };
      if (membership === 'stranger') {
        try {
          await onNode((await forNode('invite', { ...opts, etcd })).trim());
        } finally {
          await forNode('dismiss', { timeoutSeconds: DISMISS_LIMIT_SECONDS }).catch(() => undefined);
        }
      }
      await forNode('admit');
    } finally {
      controlPlane.end();
    }
  } finally {
    node.end();
  }
  return { kind: 'join', name };
}

/** The first control-plane node that answers and belongs to the cluster: any of them can let a node in. */
async function connectControlPlane({ name, controlPlanes }: JoinNodeRequest, opts: RunOptions): Promise<SshSession> {
  const reasons: string[] = [];
  const found = await connectFirst(
    controlPlanes.map((target) => ({ target })),
    {
      signal: opts.signal,
      unfit: async (session, { target }) =>
        (await session.exec(IS_MEMBER, { signal: opts.signal })).code === 0
          ? null
          : `${target.host} is not in the cluster yet`,
      onSkipped(_, { message }) {
        reasons.push(message);
        if (controlPlanes.length > reasons.length) opts.onProgress?.(`${name}: ${message}; asking the next one`);
      },
    },
  );
  if (found !== null) return found.session;
  throw new Error(`${name}: no control-plane node can let it in:\n  ${reasons.join('\n  ')}`);
}

/** Of what `kubeadm init` and `kubeadm join` left when they had ended well. */
const IS_MEMBER = `test -e ${INITIALISED_FILE}`;
