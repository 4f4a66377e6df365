import { CRI_SOCKET, ETCD_FOLDER } from '../plan/clusterPaths';
import type { VipPlan } from '../plan/clusterTypes';
import { API_PORT } from '../plan/endpoint';
import { bracketed } from '../plan/ip';
import { KUBELET_CERTIFICATES_UNIT } from './kubeletCertificates';
import { DRAIN } from './node/drain';
import { ETCD_MEMBER } from './node/etcdMember';
import { RESET, TAKE_LEAVE } from './node/leave';
import { NODE_OBJECT } from './node/nodeObject';
import { STEP_DOWN, VIP } from './node/vip';
import { HAPROXY_UNIT, KEEPALIVED_UNIT, VIP_FOLDER } from './vipFiles';
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

/** The script of a control-plane node that is to leave its virtual address to the others. */
export function renderStepDownScript(
  settings: Pick<LeaveSettings, 'node' | 'limitSeconds'>,
  { address }: Pick<VipPlan, 'address'>,
): string {
  return render(
    `Takes ${settings.node} out of the nodes that hold the virtual address.`,
    [
      // What is remembered of the cluster stays as it is.
      ...commonValues(settings).filter(([name]) => name !== 'STATE_FOLDER'),
      ['VIP_FOLDER', VIP_FOLDER],
      ['HAPROXY_UNIT', HAPROXY_UNIT],
      ['KEEPALIVED_UNIT', KEEPALIVED_UNIT],
      ['VIP_ADDRESS', address],
      ['API_PORT', String(API_PORT)],
    ],
    [VIP, STEP_DOWN],
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
