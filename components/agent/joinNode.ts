import { renderInviteScript, renderJoinScript, type JoinSettings } from '../cluster/nodeScripts';
import { runScript } from '../ssh/script';
import { SshSession, type SshTarget } from '../ssh/session';
import type { RunOptions } from './awaitSsh';

/** Makes a node a member of its cluster, or brings a member up to date. */
export interface JoinNodeRequest {
  kind: 'join-node';
  name: string;
  target: SshTarget;
  /** The first control-plane node, which makes the token and keeps the Node. */
  controlPlane: SshTarget;
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
    const controlPlane = await SshSession.connect(request.controlPlane, { signal: opts.signal });
    const onNode = (token: string | null) => runScript(node, renderJoinScript(settings, token), { ...opts, name });
    const forNode = (
      action: 'invite' | 'admit' | 'dismiss',
      limited: RunOptions & { timeoutSeconds?: number } = opts,
    ) => runScript(controlPlane, renderInviteScript(settings, action), { ...limited, name });
    try {
      const { membership } = JSON.parse(await onNode(null)) as { membership: 'member' | 'stranger' };
      if (membership === 'stranger') {
        try {
          await onNode((await forNode('invite')).trim());
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
