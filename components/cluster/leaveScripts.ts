import { CRI_SOCKET, ETCD_FOLDER } from '../plan/clusterPaths';
import { bracketed } from '../plan/ip';
import { KUBELET_CERTIFICATES_UNIT } from './kubeletCertificates';
import { DRAIN } from './node/drain';
import { ETCD_MEMBER } from './node/etcdMember';
import { RESET, TAKE_LEAVE } from './node/leave';
import { NODE_OBJECT } from './node/nodeObject';
import { HAPROXY_UNIT, KEEPALIVED_UNIT } from './vipFiles';
import { commonValues, LEAVING_ANNOTATION, render } from './nodeScripts';

/** A node that goes, as the scripts of its leave see it. */
export interface LeaveSettings {
  node: string;
  /** Addresses of the machine without prefix length: what a member of etcd that never started is known by. */
  addresses: string[];
  /** Most time to give up its pods. */
  drainLimitSeconds: number;
  /** Of each other wait of the scripts. */
  limitSeconds: number;
}

export type LeaveAction = 'drain' | 'remove-member' | 'forget';

/** The script that a control-plane node that stays runs for one that goes. */
export function renderLeaveScript(settings: LeaveSettings, action: LeaveAction): string {
  const { node, addresses, drainLimitSeconds } = settings;
  return render(
    `Takes ${node} out of its cluster: ${action}.`,
    [
      ...commonValues(settings),
      ['DRAIN_SECONDS', String(drainLimitSeconds)],
      ['PEER_URLS', addresses.map((address) => `https://${bracketed(address)}:2380`)],
      ['LEAVING_ANNOTATION', LEAVING_ANNOTATION],
      ['ACTION', action],
    ],
    [NODE_OBJECT, ETCD_MEMBER, DRAIN, TAKE_LEAVE],
  );
}

/** The script of the node itself. Run it when etcd goes on without the node: it removes the data of its member. */
export function renderResetScript(settings: LeaveSettings): string {
  return render(
    `Takes the node ${settings.node} apart.`,
    [
      ...commonValues(settings),
      ['CRI_SOCKET', CRI_SOCKET],
      ['ETCD_FOLDER', ETCD_FOLDER],
      ['UNITS', [`${KEEPALIVED_UNIT}.service`, `${HAPROXY_UNIT}.service`, `${KUBELET_CERTIFICATES_UNIT}.timer`]],
    ],
    [RESET],
  );
}
